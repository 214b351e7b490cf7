use super::*;
use crate::model::view::Ownership;
use crate::model::workload::ContainerNetwork;

const SECOND: Duration = Duration::from_secs(1);
const RETENTION: Duration = Duration::from_secs(300);
/// Everything is known first at this second.
const STARTED: u32 = 10;

fn container(name: &str, id: &str) -> Workload {
    Workload { id: id.to_owned(), ..Workload::named(Runtime::Docker, name) }
}

fn owner(workload: Workload, started: u32) -> Arc<Ownership> {
    let started = match started {
        0 => Started::default(),
        second => Started::parse(&format!("2026-11-26T15:07:{second:02}Z")),
    };
    Arc::new(Ownership { started, ..Ownership::alone(workload, None) })
}

/// The starts of a host, one evaluation after the other.
#[derive(Default)]
struct Scene {
    starts: Starts,
    now: u32,
}

impl Scene {
    fn evaluate(&mut self, now: u32, presences: Vec<OwnerPresence>) {
        self.now = now;
        self.starts.evaluate(presences, SECOND * STARTED, RETENTION, SECOND * now);
    }

    /// An owner comes to a namespace with a pair that has come at the same time.
    fn appear(&mut self, now: u32, nsid: u32, ownership: &Arc<Ownership>) {
        self.evaluate(now, vec![presence(nsid, ownership, now, true)]);
    }

    fn leave(&mut self, now: u32, nsid: u32, ownership: &Arc<Ownership>) {
        self.evaluate(now, vec![presence(nsid, ownership, now, false)]);
    }

    fn report(&mut self, now: u32, workload: &Workload) {
        self.starts.report(workload);
        self.evaluate(now, Vec::new());
    }

    fn follow(&mut self, now: u32, is_followed: bool) {
        self.starts.set_followed(Runtime::Docker, is_followed, SECOND * now);
    }

    /// The starts by the names of the containers.
    fn told(&self) -> Vec<String> {
        let names = self.starts.names().zip(self.starts.counts().iter());
        names.map(|((name, _), count)| format!("{} {count}", name.container)).collect()
    }
}

/// The list of containers without a veth with one that has ended.
fn stopped(name: &str, id: &str) -> Arc<Vec<ShownVethless>> {
    Arc::new(vec![ShownVethless {
        workload: container(name, id),
        state: ContainerState::Stopped { exit_code: Some(0) },
        network: ContainerNetwork::Own,
        since: None,
    }])
}

fn presence(nsid: u32, ownership: &Arc<Ownership>, arrived: u32, is_there: bool) -> OwnerPresence {
    OwnerPresence {
        netns: NetnsId::Other { nsid, generation: 0 },
        ownership: Arc::clone(ownership),
        arrived: SECOND * arrived,
        is_there,
    }
}

#[test]
fn what_runs_at_the_start_has_0_and_each_event_of_a_start_adds_1() {
    let mut scene = Scene::default();
    scene.follow(1, true);
    let web = owner(container("web", "id-1"), 1);
    scene.appear(5, 1, &web);
    assert_eq!(scene.told(), ["web 0"]);
    // A restart: the namespace goes, the event comes, the new namespace and the new time come later.
    scene.leave(20, 1, &web);
    scene.report(21, &web.owner);
    let again = owner(container("web", "id-1"), 21);
    scene.appear(22, 2, &again);
    assert_eq!(scene.told(), ["web 1"]);
    // A recreation, of which the namespace is known before the event.
    scene.leave(30, 2, &again);
    let new = owner(container("web", "id-2"), 31);
    scene.appear(31, 3, &new);
    assert_eq!(scene.told(), ["web 1"], "the event is still to come");
    scene.report(32, &new.owner);
    assert_eq!(scene.told(), ["web 2"]);
    // A crash loop whose namespaces no list ever has.
    for second in 40..45 {
        scene.report(second, &container("job", "id-3"));
    }
    assert_eq!(scene.told(), ["web 2"], "a member of a hidden container has such events too");
    scene.starts.set_vethless(&stopped("job", "id-3"), SECOND * 45);
    assert_eq!(scene.told(), ["job 5", "web 2"]);
}

#[test]
fn what_no_start_is_adds_nothing() {
    let mut scene = Scene::default();
    scene.follow(1, true);
    let web = owner(container("web", "id-1"), 1);
    scene.appear(5, 1, &web);
    // Another network, and its end: further pairs in the same namespace.
    scene.evaluate(20, vec![presence(1, &web, 20, true)]);
    scene.evaluate(25, vec![presence(1, &web, 25, false)]);
    // The engine restarts and lets its containers live.
    scene.follow(30, false);
    scene.evaluate(31, vec![presence(1, &web, 5, true), presence(1, &web, 5, false)]);
    scene.follow(35, true);
    scene.evaluate(36, vec![presence(1, &web, 5, true), presence(1, &web, 5, false)]);
    assert_eq!(scene.told(), ["web 0"]);
    // A new name for the same container.
    let renamed = owner(container("shop", "id-1"), 1);
    scene.evaluate(40, vec![presence(1, &renamed, 5, true), presence(1, &web, 5, false)]);
    assert_eq!(scene.told(), ["shop 0", "web 0"]);
    // Traffic of no workload.
    scene.appear(50, 9, &owner(Workload::named(Runtime::Unknown, ""), 0));
    assert_eq!(scene.told(), ["shop 0", "web 0"]);
}

#[test]
fn a_start_that_no_event_has_reported_is_found_by_its_time_or_by_its_namespace_and_counts_once() {
    let mut scene = Scene::default();
    scene.follow(1, true);
    let web = owner(container("web", "id-1"), 1);
    scene.appear(5, 1, &web);
    // The connection to the engine is down while the container is restarted.
    scene.follow(20, false);
    scene.leave(21, 1, &web);
    // The engine does not say yet when it was started.
    let early = owner(container("web", "id-1"), 0);
    scene.appear(22, 2, &early);
    assert_eq!(scene.told(), ["web 1"]);
    let again = owner(container("web", "id-1"), 22);
    scene.evaluate(24, vec![presence(2, &again, 22, true), presence(2, &early, 22, false)]);
    assert_eq!(scene.told(), ["web 1"], "it is the same start");
    // The connection comes back: what was recreated just before has no event.
    scene.leave(30, 2, &again);
    scene.follow(32, true);
    let new = owner(container("web", "id-2"), 31);
    scene.evaluate(33, vec![presence(3, &new, 31, true)]);
    assert_eq!(scene.told(), ["web 2"]);
    // The event of a start just before the connection came back may have arrived all the same.
    scene.follow(40, false);
    scene.follow(41, true);
    let other = owner(container("db", "id-3"), 41);
    scene.evaluate(41, vec![presence(4, &other, 40, true)]);
    scene.report(42, &other.owner);
    assert_eq!(scene.told(), ["db 1", "web 2"]);
    scene.report(50, &other.owner);
    assert_eq!(scene.told(), ["db 2", "web 2"], "a later event is another start");
}

#[test]
fn a_workload_without_an_engine_that_reports_events_is_known_by_its_namespace() {
    let mut scene = Scene::default();
    let shed = owner(Workload::named(Runtime::Named, "shed"), 0);
    scene.evaluate(STARTED, vec![presence(1, &shed, 5, true)]);
    assert_eq!(scene.told(), ["shed 0"]);
    scene.leave(20, 1, &shed);
    scene.appear(21, 1, &shed);
    assert_eq!(scene.told(), ["shed 0"], "another pair in the same namespace");
    for (second, nsid) in [(30, 2), (31, 3)] {
        scene.leave(second, nsid - 1, &shed);
        scene.appear(second, nsid, &shed);
    }
    assert_eq!(scene.told(), ["shed 2"]);
    let pod = |id: &str| {
        owner(Workload { pod: "web".into(), id: id.into(), ..Workload::named(Runtime::Cri, "") }, 0)
    };
    scene.appear(40, 7, &pod("sandbox-1"));
    scene.appear(41, 8, &pod("sandbox-2"));
    assert_eq!(scene.told(), [" 2", "shed 2"]);
}

#[test]
fn the_starts_of_what_is_gone_stay_for_the_retention_and_for_ten_minutes_at_least() {
    let mut scene = Scene::default();
    scene.follow(1, true);
    scene.report(20, &container("job", "id-1"));
    scene.starts.set_vethless(&stopped("job", "id-1"), SECOND * 20);
    let begun = scene.starts.version();
    scene.evaluate(620, Vec::new());
    assert_eq!((scene.told(), scene.starts.version()), (vec!["job 1".to_owned()], begun));
    scene.evaluate(621, Vec::new());
    assert_eq!(scene.told(), [] as [&str; 0]);
    assert!(scene.starts.version() > begun);
    // One that its engine is about to start again stays.
    scene.report(700, &container("loop", "id-2"));
    let restarting = Arc::new(vec![ShownVethless {
        workload: container("loop", "id-2"),
        state: ContainerState::Restarting,
        network: ContainerNetwork::Own,
        since: None,
    }]);
    scene.starts.set_vethless(&restarting, SECOND * 701);
    scene.evaluate(5_000, Vec::new());
    assert_eq!(scene.told(), ["loop 1"]);
    scene.starts.set_vethless(&Arc::default(), SECOND * 5_001);
    scene.evaluate(5_602, Vec::new());
    assert_eq!(scene.told(), [] as [&str; 0]);
    let Starts { names, idle, instances, idle_instances, .. } = &scene.starts;
    assert_eq!((names.len(), idle.len(), instances.len(), idle_instances.len()), (0, 0, 0, 0));
}

#[test]
fn any_number_of_containers_takes_no_more_than_its_room() {
    let mut scene = Scene::default();
    scene.follow(1, true);
    for n in 0..KNOWN + 50 {
        let id = format!("job-{n}");
        scene.starts.report(&container(&id, &id));
    }
    scene.evaluate(20, Vec::new());
    assert_eq!((scene.starts.names.len(), scene.starts.instances.len()), (KNOWN, KNOWN));
}
