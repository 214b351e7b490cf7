//! TCP figures: which process is read, and whose they are.

use super::live::{eth0, hear, port};
use super::*;
use crate::model::event::Event;
use crate::model::lack::LackReason;
use crate::model::series::{OF_A_LABEL_SET, OF_A_NETWORK, OF_A_PORT, OF_AN_INFO, OF_TCP, OutputLimits};

const READ_EVERY: Duration = Duration::from_secs(15);

fn host(learning: Learning) -> Host {
    let limits = OutputLimits { tcp: true, ..OutputLimits::default() };
    Host::new(Config { limits, ..config(learning) }, [Runtime::Docker])
}

/// The segments that each workload has sent, by its name.
fn sent(host: &Host) -> Vec<(String, Option<u64>)> {
    let view = host.view().unwrap();
    assert_eq!(view.scene.beside.tcp.len(), view.condition.tcp.len());
    let figures = view.scene.beside.tcp.iter().zip(view.condition.tcp.iter());
    let sent = figures.map(|(workload, figures)| {
        (workload.labels.container.clone(), figures.counter(TcpCounter::SegmentsSent))
    });
    sent.collect()
}

fn is(name: &str, sent: u64) -> (String, Option<u64>) {
    (name.to_owned(), Some(sent))
}

/// A host with the container `web`, whose process is 700, in namespace 0.
fn with_web() -> World {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    world.segments.insert(0, 1_000);
    world
}

#[test]
fn a_container_is_read_by_its_process_and_a_restart_of_the_exporter_is_no_spike() {
    let mut world = with_web();
    let mut host = host(Learning::Events);
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(sent(&host), [is("web", 0)]);
    world.segments.insert(0, 1_007);
    let scene = host.view().unwrap().scene;
    world.tick(&mut host, NOW + SECOND + READ_EVERY);
    assert_eq!(sent(&host), [is("web", 7)]);
    assert!(Arc::ptr_eq(&scene, &host.view().unwrap().scene), "only numbers have changed");
    let of_a_pair = OF_A_PORT + OF_A_LABEL_SET + OF_A_NETWORK + OF_AN_INFO;
    assert_eq!(host.status().series.shown, of_a_pair + OF_TCP);
}

#[test]
fn a_container_that_is_created_again_goes_on_though_its_nsid_is_used_again() {
    for learning in [Learning::Events, Learning::Polling] {
        let mut world = with_web();
        let mut host = host(learning);
        world.tick(&mut host, NOW);
        world.tick(&mut host, NOW + SECOND);
        world.segments.insert(0, 1_003);
        world.tick(&mut host, NOW + SECOND + READ_EVERY);
        assert_eq!(sent(&host), [is("web", 3)]);

        let later = NOW + 20 * SECOND;
        world.kill(0, 10);
        world.start(0, 12);
        world.docker_says(&[("web", 701, 12)]);
        world.pids = BTreeMap::from([(701, Located::Nsid(0))]);
        world.segments.insert(0, 50);
        if learning == Learning::Events {
            let port = port(12, 2, PeerNetns::Nsid(0), Counters::default());
            hear(&mut host, [Event::DeletedNsid(0), Event::NewNsid(0)]);
            let gone = veth(10, 2, PeerNetns::Nsid(0));
            hear(&mut host, [Event::Unlink { source: None, link: gone, moved: false }]);
            hear(&mut host, [Event::Link { source: None, link: port }]);
            hear(&mut host, [Event::Link { source: Some(0), link: eth0(2, 12, Counters::default()) }]);
        }
        for second in 0..20 {
            world.tick(&mut host, later + second * SECOND);
        }
        assert_eq!(sent(&host), [is("web", 53)], "{learning:?}: 3 before, and 50 since its birth");
    }
}

#[test]
fn a_pid_that_belongs_to_another_namespace_by_now_is_no_reading_and_no_failure() {
    let mut world = with_web();
    let mut host = host(Learning::Events);
    world.tick(&mut host, NOW);
    // The kernel has given the pid to a process of another namespace, and the engine does not know it yet.
    world.pids.insert(700, Located::Nsid(9));
    let targets = host.apply(Input::Tick, NOW + SECOND).into_iter();
    let targets: Vec<Request> = targets.filter(|request| matches!(request, Request::Tcp(_))).collect();
    assert_eq!(targets.len(), 1);
    let sources = host.status().sources.clone();
    for request in targets {
        world.tell(&mut host, world.answer(request), NOW + SECOND);
    }
    assert_eq!(sent(&host), []);
    assert_eq!(host.status().sources, sources);
}

#[test]
fn an_answer_about_a_namespace_that_had_the_nsid_before_is_void() {
    let world = with_web();
    let mut host = host(Learning::Events);
    world.tick(&mut host, NOW);
    let requests = host.apply(Input::Tick, NOW + SECOND);
    hear(&mut host, [Event::DeletedNsid(0), Event::NewNsid(0)]);
    for request in requests.into_iter().filter(|request| matches!(request, Request::Tcp(_))) {
        host.apply(world.answer(request), NOW + SECOND);
    }
    assert_eq!(sent(&host), []);
}

#[test]
fn what_the_exporter_may_not_read_is_a_limit_of_the_source_of_processes_until_it_may() {
    let mut world = with_web();
    let mut host = host(Learning::Events);
    world.tick(&mut host, NOW);
    let limits = |host: &Host| -> Vec<LackReason> {
        let process = host.status().sources.get(&Source::Process);
        process.into_iter().flat_map(|status| &status.limits).map(|lack| lack.reason).collect()
    };
    for second in [1, 2] {
        for request in host.apply(Input::Tick, NOW + second * SECOND) {
            let Request::Tcp(targets) = request else { continue };
            let denied = |target| TcpReading { target, answer: Err(LookFailure::Denied) };
            host.apply(Input::Tcp(targets.into_iter().map(denied).collect()), NOW + second * SECOND);
        }
        assert_eq!(limits(&host), [LackReason::Permission]);
    }
    world.segments.insert(0, 1);
    world.tick(&mut host, NOW + 60 * SECOND);
    assert_eq!((limits(&host), sent(&host)), (vec![], vec![is("web", 0)]));
}

#[test]
fn nothing_is_read_unless_it_is_wanted_and_nothing_of_the_host() {
    let mut world = with_web();
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW);
    assert!(!host.apply(Input::Tick, NOW + SECOND).iter().any(|request| matches!(request, Request::Tcp(_))));
    let mut host = self::host(Learning::Events);
    world.pids.insert(700, Located::Host);
    world.tick(&mut host, NOW);
    for second in 1..40 {
        let requests = host.apply(Input::Tick, NOW + second * SECOND);
        assert!(!requests.iter().any(|request| matches!(request, Request::Tcp(_))), "{requests:?}");
    }
}
