use super::*;
use crate::model::ledger::{LabelSet, Traffic};
use crate::model::link::{Counters, Errors, Link, LinkKind, Mac, Name, PeerNetns};
use crate::model::pairing::{EndState, Role};
use crate::model::tcp::{TcpCounter, TcpFigures, TcpReading, TcpTarget};
use crate::model::workload::{Claim, Claims, Endpoint, Locator, Network, Started, Workload};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const NOW: Duration = Duration::from_secs(100);
const SECOND: Duration = Duration::from_secs(1);

/// The host as it would answer.
#[derive(Default)]
struct World {
    links: BTreeMap<Option<u32>, Result<Vec<Link>, LookFailure>>,
    pids: BTreeMap<u32, Located>,
    /// The cgroups of processes, by pid.
    cgroups: BTreeMap<u32, &'static str>,
    /// The process that is found in a namespace, by nsid.
    inhabitants: BTreeMap<u32, (u32, Workload)>,
    /// The segments that were sent from a namespace, by nsid.
    segments: BTreeMap<u32, u64>,
    docker: Option<Result<Claims, Lack>>,
    named: Option<Result<Claims, Lack>>,
}

impl World {
    /// A bridge `br-front`, and one container on it for each of these (nsid, host ifindex).
    fn with_containers(containers: &[(u32, u32)]) -> World {
        let bridge = Link { ifindex: 2, name: name("br-front"), kind: LinkKind::Bridge, ..Link::default() };
        let mut world = World { links: BTreeMap::from([(None, Ok(vec![bridge]))]), ..World::default() };
        for &(nsid, ifindex) in containers {
            world.start(nsid, ifindex);
        }
        world
    }

    fn host_links(&mut self) -> &mut Vec<Link> {
        self.links.get_mut(&None).unwrap().as_mut().unwrap()
    }

    fn start(&mut self, nsid: u32, ifindex: u32) {
        let port = Link { master: Some(2), ..veth(ifindex, 2, PeerNetns::Nsid(nsid)) };
        self.host_links().push(port);
        let eth0 =
            Link { name: name("eth0"), address: Some(mac(ifindex)), ..veth(2, ifindex, PeerNetns::Host) };
        self.links.insert(Some(nsid), Ok(vec![eth0]));
    }

    fn kill(&mut self, nsid: u32, ifindex: u32) {
        self.host_links().retain(|link| link.ifindex != ifindex);
        self.links.remove(&Some(nsid));
    }

    /// Docker says that these (name, pid, host ifindex of the MAC it gave) run.
    fn docker_says(&mut self, containers: &[(&str, u32, u32)]) {
        let claims = containers.iter().map(|&(name, pid, ifindex)| Claim {
            owner: Workload { id: format!("id-{name}"), ..Workload::named(Runtime::Docker, name) },
            locator: Locator::Pid(pid),
            endpoints: vec![Endpoint {
                network: "front".into(),
                address: Some(mac(ifindex)),
                interface: String::new(),
            }],
            members: Vec::new(),
            started: Started::default(),
        });
        let networks =
            vec![Network { name: "front".into(), bridge: Some(name("br-front")), ..Network::default() }];
        self.docker = Some(Ok(Claims { claims: claims.collect(), networks, ..Claims::default() }));
    }

    fn answer(&self, request: Request) -> Input {
        match request {
            Request::Links { nsid } => {
                let links = self.links.get(&nsid).cloned().unwrap_or(Err(LookFailure::Gone));
                Input::Links { nsid, answer: links.map(|links| Links { links, ..Links::default() }) }
            }
            Request::HostLink(ifindex) => {
                let links = self.links[&None].as_ref().map_err(Clone::clone);
                let link = links.map(|links| links.iter().find(|link| link.ifindex == ifindex));
                let answer = link.and_then(|link| link.copied().ok_or(LookFailure::Gone)).map(Box::new);
                Input::HostLink { ifindex, answer }
            }
            Request::Locate(locator) => {
                let Locator::Pid(pid) = locator else { panic!("{locator:?}") };
                let found = self.pids.get(&pid).copied().ok_or(LookFailure::Gone);
                let cgroup = self.cgroups.get(&pid).map(|&path| path.to_owned());
                Input::Located { answer: found.map(|netns| Location { netns, cgroup }), locator }
            }
            Request::FinalSample(_) | Request::WatchExit(_) => Input::FinalCounters(Vec::new()),
            Request::Drops(_) => Input::Drops { answer: Ok(Default::default()), took: Duration::ZERO },
            Request::Barrier => Input::Barrier,
            Request::Tcp(targets) => Input::Tcp(targets.into_iter().map(|target| self.tcp(target)).collect()),
            Request::Search(nsids) => {
                Input::Processes { answer: Ok(self.living_in(&nsids)), nsids, took: Duration::ZERO }
            }
            Request::NewProcesses(nsids) => Input::NewProcesses { answer: Ok(self.living_in(&nsids)), nsids },
            Request::Claims(runtime) | Request::ClaimsOfNameless(runtime) => {
                let answer = if runtime == Runtime::Named { &self.named } else { &self.docker };
                Input::Claims { runtime, answer: answer.clone(), took: Duration::ZERO }
            }
        }
    }

    /// Reads the TCP figures of a namespace by a process that is in it.
    fn tcp(&self, target: TcpTarget) -> TcpReading {
        let nsid = target.netns.nsid().unwrap();
        let is_there = self.pids.get(&target.pid) == Some(&Located::Nsid(nsid));
        let segments = self.segments.get(&nsid).filter(|_| is_there);
        let figures = |segments: &u64| {
            let mut figures = TcpFigures::default();
            figures.set_counter(TcpCounter::SegmentsSent, *segments);
            figures
        };
        TcpReading { target, answer: segments.map(figures).ok_or(LookFailure::Gone) }
    }

    fn living_in(&self, nsids: &BTreeSet<u32>) -> Vec<ProcessInNetns> {
        let inhabitant = |&nsid: &u32| {
            let (pid, workload) = self.inhabitants.get(&nsid)?.clone();
            let cgroup = self.cgroups.get(&pid).map(|&path| path.to_owned());
            Some(ProcessInNetns { nsid, pid, workload, cgroup })
        };
        nsids.iter().filter_map(inhabitant).collect()
    }

    /// Applies an input to the host, and answers all requests.
    fn tell(&self, host: &mut Host, input: Input, now: Duration) {
        self.tell_but(host, input, now, |_| false);
    }

    /// Applies an input to the host, and answers all requests but those that stay open.
    fn tell_but(&self, host: &mut Host, input: Input, now: Duration, stays_open: impl Fn(&Request) -> bool) {
        let mut asked = VecDeque::from(host.apply(input, now));
        // A runtime may be asked again and again while a name is missing.
        for _ in 0..100 {
            let Some(request) = asked.pop_front() else { return };
            if !stays_open(&request) {
                asked.extend(host.apply(self.answer(request), now));
            }
        }
    }

    fn tick(&self, host: &mut Host, now: Duration) {
        self.tell(host, Input::Tick, now);
    }
}

/// The claim of a name in /run/netns, and its locator.
fn claim_of_name(name: &str) -> Claim {
    Claim {
        owner: Workload::named(Runtime::Named, name),
        locator: locator_of_name(name),
        endpoints: Vec::new(),
        members: Vec::new(),
        started: Started::default(),
    }
}

fn locator_of_name(name: &str) -> Locator {
    Locator::Path(std::path::Path::new("/run/netns").join(name).into())
}

fn name(text: &str) -> Name {
    Name::from_bytes(text.as_bytes()).unwrap()
}

fn mac(ifindex: u32) -> Mac {
    Mac([2, 0, 0, 0, 0, ifindex as u8])
}

fn veth(ifindex: u32, iflink: u32, peer_netns: PeerNetns) -> Link {
    Link {
        ifindex,
        name: name(&format!("veth{ifindex}")),
        kind: LinkKind::Veth,
        iflink: Some(iflink),
        peer_netns,
        ..Link::default()
    }
}

fn new_host() -> Host {
    host_learning(Learning::Polling)
}

fn host_learning(learning: Learning) -> Host {
    Host::new(config(learning), [Runtime::Docker])
}

fn host_retaining(retention: Duration) -> Host {
    Host::new(Config { retention, ..config(Learning::Polling) }, [Runtime::Docker])
}

fn config(learning: Learning) -> Config {
    Config {
        retention: 300 * SECOND,
        hold_back: SECOND,
        leaving: SECOND,
        peak_window: 60 * SECOND,
        learning,
        gather: Duration::ZERO,
        resync: Duration::from_secs(300),
        pods: false,
        filter: Default::default(),
        limits: Default::default(),
        sockets: BTreeMap::from([(Runtime::Docker, "unix:///d.sock".to_owned())]),
        processes: true,
    }
}

fn bytes(received: u64, sent: u64) -> Counters {
    Counters { transmit_bytes: received, receive_bytes: sent, ..Counters::default() }
}

fn sample(host: &mut Host, counters: &[(u32, Counters)]) {
    let samples = Samples { counters: counters.to_vec(), ..Samples::default() };
    host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, NOW);
}

/// `runtime/container/interface/network` of every shown interface, with its device.
fn names(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let sides = view.scene.pairs.iter().flat_map(|pair| [(&pair.sides[0], &pair.sides[1])]);
    sides
        .map(|(port, interface)| {
            let device = port.link.unwrap().name;
            match &interface.labels {
                None => device.to_string(),
                Some(l) => {
                    format!("{device} {}/{}/{}/{}", l.runtime.as_str(), l.container, l.interface, l.network)
                }
            }
        })
        .collect()
}

fn totals(host: &Host) -> Vec<(String, u64, u64)> {
    let view = host.view().unwrap();
    let row = |(labels, traffic): (&Arc<LabelSet>, &Traffic)| {
        (labels.container.clone(), traffic.receive.bytes, traffic.transmit.bytes)
    };
    view.scene.workloads.iter().zip(&view.workloads).map(row).collect()
}

#[test]
fn there_is_no_view_before_the_first_round_is_complete() {
    let mut host = new_host();
    let world = World::with_containers(&[(0, 10)]);
    let asked = host.apply(Input::Tick, NOW);
    assert_eq!(asked, [Request::Claims(Runtime::Docker), Request::Links { nsid: None }]);
    let more = host.apply(world.answer(Request::Links { nsid: None }), NOW);
    assert_eq!(more, [Request::Links { nsid: Some(0) }]);
    assert!(host.view().is_none());
    host.apply(world.answer(Request::Links { nsid: Some(0) }), NOW);
    assert!(host.view().is_some());
}

#[test]
fn a_container_is_named_whichever_answer_comes_first() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    world.docker_says(&[("db", 700, 10), ("web", 701, 11)]);
    world.pids = BTreeMap::from([(700, Located::Nsid(0)), (701, Located::Nsid(1))]);
    let wanted = ["veth10 docker/db/eth0/front", "veth11 docker/web/eth0/front"];

    let mut links_first = new_host();
    let asked = links_first.apply(Input::Tick, NOW);
    for request in asked.into_iter().rev() {
        world.tell(&mut links_first, world.answer(request), NOW);
    }
    assert_eq!(names(&links_first), wanted);

    let mut docker_first = new_host();
    let asked = docker_first.apply(Input::Tick, NOW);
    for request in asked {
        world.tell(&mut docker_first, world.answer(request), NOW);
    }
    assert_eq!(names(&docker_first), wanted);
}

#[test]
fn an_end_is_held_back_for_a_second_while_docker_may_still_name_it() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), [""; 0]);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 2);
    sample(&mut host, &[(10, bytes(70, 7))]);

    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    world.tick(&mut host, NOW + SECOND / 2);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    assert_eq!(totals(&host), [("web".to_owned(), 70, 7)]);
}

#[test]
fn an_end_that_nobody_names_in_time_is_shown_as_unknown() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 unknown//eth0/front"]);
}

#[test]
fn nothing_is_held_back_where_there_is_no_docker() {
    let world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth10 unknown//eth0/"]);
    assert!(!host.status().sources.contains_key(&Source::Docker));
}

#[test]
fn names_stay_while_docker_is_away_and_go_with_the_container() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.docker = Some(Err(Lack::failure("refused")));
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    assert_eq!(host.status().sources[&Source::Docker].result, Err(Lack::failure("refused")));

    // The container died; its pid, nsid and ifindex are another's now.
    world.kill(0, 10);
    world.start(0, 12);
    world.tick(&mut host, NOW + 2 * SECOND);
    assert_eq!(names(&host), ["veth12 unknown//eth0/front"]);
    world.tick(&mut host, NOW + 3 * SECOND);
    assert_eq!(host.status().claims_rejected, 1);
}

#[test]
fn a_claim_whose_addresses_are_not_there_is_rejected_and_counted_once() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("elsewhere", 700, 99)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    for n in 0..3 {
        world.tick(&mut host, NOW + n * SECOND);
    }
    assert_eq!(names(&host), ["veth10 unknown//eth0/front"]);
    assert_eq!(host.status().claims_rejected, 1);
}

#[test]
fn a_container_that_changes_its_address_keeps_its_name() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.links.get_mut(&Some(0)).unwrap().as_mut().unwrap()[0].address = Some(mac(77));
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
}

#[test]
fn without_the_privilege_to_look_inside_the_device_still_has_its_container() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.links.insert(Some(0), Err(LookFailure::Denied));
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth10 docker/web//front"]);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::PeerHidden], 1);
}

#[test]
fn who_left_and_is_claimed_again_without_being_found_is_not_judged_without_end() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.docker_says(&[("db", 701, 11)]);
    world.pids.clear();
    world.tick(&mut host, NOW + SECOND / 2);
    world.docker_says(&[("web", 700, 10)]);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    let later = NOW + 3 * SECOND;
    world.tell(&mut host, Input::Wake, later);
    assert!(host.deadline().unwrap() >= later + SECOND, "{:?}", host.deadline());
}

#[test]
fn what_lives_is_not_judged_without_end_where_totals_are_not_retained() {
    let world = World::with_containers(&[(0, 10), (1, 11)]);
    let mut host = host_retaining(Duration::ZERO);
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    let later = NOW + 3 * SECOND;
    world.tell(&mut host, Input::Wake, later);
    assert!(host.deadline().unwrap() >= later + SECOND, "{:?}", host.deadline());
}

#[test]
fn a_deleted_end_takes_its_pair_with_it() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.kill(0, 10);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth11 unknown//eth0/"]);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 2);
}

#[test]
fn a_namespace_that_dies_during_the_round_takes_no_other_with_it() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    world.links.remove(&Some(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth11 unknown//eth0/"]);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::PeerMissing], 1);
}

#[test]
fn what_was_known_stays_when_the_host_cannot_be_read() {
    let mut world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.links.insert(None, Err(LookFailure::Failed("interrupted".into())));
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 unknown//eth0/"]);
    assert_eq!(host.status().sources[&Source::Links].result, Err(Lack::failure("interrupted")));
}

#[test]
fn a_tick_during_a_round_begins_no_other() {
    let mut host = new_host();
    assert!(!host.apply(Input::Tick, NOW).is_empty());
    assert_eq!(host.apply(Input::Tick, NOW + SECOND), []);
}

#[test]
fn a_sample_that_is_newer_than_the_links_is_not_taken_back() {
    let mut world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    sample(&mut host, &[(10, bytes(500, 50))]);
    world.host_links()[1].counters = bytes(400, 40); // read before, arrives after
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(host.view().unwrap().samples, [[bytes(500, 50), Counters::default()]]);
}

#[test]
fn the_scene_is_the_same_allocation_while_only_numbers_change() {
    let world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let before = host.view().unwrap().scene;
    sample(&mut host, &[(10, bytes(500, 50))]);
    world.tick(&mut host, NOW + SECOND);
    assert!(Arc::ptr_eq(&before, &host.view().unwrap().scene));
}

#[test]
fn a_container_made_anew_goes_on_under_its_name() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    sample(&mut host, &[(10, bytes(500, 50))]);
    world.kill(0, 10);
    world.start(0, 11); // the same nsid
    world.docker_says(&[("web", 701, 11)]);
    world.pids = BTreeMap::from([(701, Located::Nsid(0))]);
    world.tick(&mut host, NOW + SECOND);
    sample(&mut host, &[(11, bytes(30, 3))]);
    assert_eq!(names(&host), ["veth11 docker/web/eth0/front"]);
    assert_eq!(totals(&host), [("web".to_owned(), 530, 53)]);
}

#[test]
fn a_pair_on_its_way_into_a_container_is_shown_when_it_has_arrived() {
    let mut world = World::with_containers(&[]);
    world.docker_says(&[]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.host_links().extend([veth(10, 11, PeerNetns::Same), veth(11, 10, PeerNetns::Same)]);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), [""; 0]);
    world.tick(&mut host, NOW + 2 * SECOND);
    assert_eq!(names(&host), ["veth10"]);
    let view = host.view().unwrap();
    assert_eq!(view.scene.pairs[0].sides.each_ref().map(|side| side.role), [Role::Port, Role::Port]);
}

#[test]
fn a_namespace_that_no_runtime_claims_is_named_by_a_process_in_it() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    world.inhabitants.insert(0, (900, Workload::named(Runtime::Process, "vpn")));
    world.pids.insert(900, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth10 process/vpn/eth0/", "veth11 unknown//eth0/"]);
    // The process goes, and its number to a process elsewhere.
    world.pids.insert(900, Located::Nsid(1));
    world.inhabitants.clear();
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth10 unknown//eth0/", "veth11 unknown//eth0/"]);
}

#[test]
fn a_runtimes_word_comes_before_a_process() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    world.inhabitants.insert(0, (700, Workload::named(Runtime::Process, "nginx")));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
}

#[test]
fn processes_are_looked_for_less_and_less_often() {
    let world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    let mut searches = Vec::new();
    for second in 0..40 {
        let now = NOW + second * SECOND;
        let mut asked = VecDeque::from(host.apply(Input::Tick, now));
        while let Some(request) = asked.pop_front() {
            if matches!(request, Request::Search(_)) {
                searches.push(second);
            }
            asked.extend(host.apply(world.answer(request), now));
        }
    }
    assert_eq!(searches, [0, 1, 3, 7, 15, 31]);
}

#[test]
fn a_claim_on_an_id_that_is_used_again_does_not_take_over_the_pair_of_the_one_before() {
    let claim = |name: &str, pid| Claim {
        owner: Workload::named(Runtime::Docker, name),
        locator: Locator::Pid(pid),
        endpoints: Vec::new(),
        members: Vec::new(),
        started: Started::default(),
    };
    let say = |claim| Some(Ok(Claims { claims: vec![claim], ..Claims::default() }));
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker = say(claim("one", 700));
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(names(&host), ["veth10 docker/one/eth0/"]);

    // Between two rounds `one` is gone, and `two` is there with the same id; the host's links were read
    // before that.
    world.kill(0, 10);
    world.start(0, 11);
    world.docker = say(claim("two", 701));
    world.pids = BTreeMap::from([(701, Located::Nsid(0))]);
    let told = world.answer(Request::Claims(Runtime::Docker));
    world.tell(&mut host, told, NOW + SECOND / 2);
    assert_eq!(names(&host), [""; 0]);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(names(&host), ["veth11 docker/two/eth0/"]);
}

#[test]
fn a_container_in_a_container_has_a_parent_and_the_parents_end_is_the_port() {
    // `outer` is Docker's; in its own namespace ends a pair to a namespace that only a process tells of.
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("outer", 700, 10)]);
    // There it is on a bridge that has the name of a network's on the host.
    let bridge = Link { ifindex: 9, name: name("br-front"), kind: LinkKind::Bridge, ..Link::default() };
    let port = Link { master: Some(9), ..veth(3, 2, PeerNetns::Nsid(1)) };
    world.links.get_mut(&Some(0)).unwrap().as_mut().unwrap().extend([bridge, port]);
    let inner = Link { name: name("eth0"), ..veth(2, 3, PeerNetns::Nsid(0)) };
    world.links.insert(Some(1), Ok(vec![inner]));
    world.pids = BTreeMap::from([(700, Located::Nsid(0)), (900, Located::Nsid(1))]);
    world.inhabitants.insert(1, (900, Workload::named(Runtime::Process, "inner")));
    for cgroup in ["/docker/outer", "/docker/outer/docker/inner"] {
        world.cgroups = BTreeMap::from([(700, "/docker/outer"), (900, cgroup)]);
        let mut host = new_host();
        world.tick(&mut host, NOW);
        world.tick(&mut host, NOW + SECOND);
        assert_eq!(names(&host), ["veth10 docker/outer/eth0/front", "veth3 process/inner/eth0/"], "{cgroup}");
        let scene = host.view().unwrap().scene;
        let parents: Vec<_> =
            scene.ownerships.iter().map(|t| (t.owner.name.as_str(), t.parent.as_str())).collect();
        assert_eq!(parents, [("outer", ""), ("inner", "outer")]);
        assert_eq!(&*scene.pairs[1].sides[0].netns, "docker/outer");
    }
}

#[test]
fn two_namespaces_never_have_one_name() {
    let mut world = World::with_containers(&[(0, 10), (1, 11), (2, 12)]);
    for (nsid, pid) in [(0, 900), (1, 901)] {
        world.inhabitants.insert(nsid, (pid, Workload::named(Runtime::Process, "sleep")));
        world.pids.insert(pid, Located::Nsid(nsid));
    }
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let scene = host.view().unwrap().scene;
    let called: Vec<_> = scene.pairs.iter().map(|pair| pair.sides[1].netns.to_string()).collect();
    assert_eq!(called, ["process/sleep", "process/sleep~1", "nsid-2"]);
}

#[test]
fn a_workload_with_very_many_interfaces_has_64_label_sets() {
    let mut world = World::with_containers(&[]);
    let ports = (0..200).map(|n| veth(100 + n, 2 + n, PeerNetns::Nsid(0)));
    world.host_links().extend(ports);
    world.links.insert(Some(0), Ok((0..200).map(|n| veth(2 + n, 100 + n, PeerNetns::Host)).collect()));
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let counters: Vec<_> = (0..200).map(|n| (100 + n, bytes(10, 1))).collect();
    sample(&mut host, &counters);
    let view = host.view().unwrap();
    assert_eq!(view.scene.workloads.len(), 64);
    assert_eq!(view.scene.pairs.len(), 200);
    let sum: u64 = view.workloads.iter().map(|traffic| traffic.receive.bytes).sum();
    assert_eq!(sum, 2000);
}

#[test]
fn a_peak_is_the_rate_of_a_tick_and_not_of_a_scrape_between_ticks() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    let sample = |host: &mut Host, received: u64, now: Duration| {
        let samples = Samples { counters: vec![(10, bytes(received, 0))], ..Samples::default() };
        host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, now);
        host.view().unwrap().peaks[0].map(|peak| peak.receive_bytes)
    };
    world.tick(&mut host, NOW);
    assert_eq!(sample(&mut host, 0, NOW), Some(0));
    // A scrape 1 ms later sees a burst: 1,000,000 bytes a second if it counted.
    assert_eq!(sample(&mut host, 1000, NOW + SECOND / 1000), Some(0));
    world.tick(&mut host, NOW + SECOND / 2);
    assert_eq!(sample(&mut host, 1000, NOW + SECOND / 2), Some(2000));
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(sample(&mut host, 1000, NOW + SECOND), Some(2000));
}

#[test]
fn a_late_tick_and_a_clock_that_jumps_change_no_total_and_make_no_peak() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = new_host();
    let mut received = 0;
    // Of the model's clock: on time, late by six intervals, an hour ahead, back again, and on time.
    for (at, carried, peak) in [
        (0, 0, Some(0)),
        (1, 100, Some(100)),
        (8, 700, Some(100)),
        (3_608, 3_600, Some(1)),
        (9, 100, Some(1)),
        (10, 100, Some(100)),
    ] {
        received += carried;
        let now = NOW + at * SECOND;
        world.tick(&mut host, now);
        let samples = Samples { counters: vec![(10, bytes(received, 0))], ..Samples::default() };
        host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, now);
        let view = host.view().unwrap();
        assert_eq!(view.workloads[0].receive.bytes, received, "at {at}");
        assert_eq!(view.peaks[0].map(|peak| peak.receive_bytes), peak, "at {at}");
    }
}

#[test]
fn an_id_that_nobody_has_is_asked_about_once_a_round() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.links.remove(&Some(0)); // the namespace has died, its peer on the host is not yet gone
    let mut host = new_host();
    for round in 1..=3u32 {
        let now = NOW + SECOND * round;
        let mut asked = VecDeque::from(host.apply(Input::Tick, now));
        let mut about = 0;
        while let Some(request) = asked.pop_front() {
            about += u32::from(request == Request::Links { nsid: Some(0) });
            assert!(about < 3, "asked without end");
            asked.extend(host.apply(world.answer(request), now));
        }
    }
}

mod filtered;
mod leftovers;
mod limited;
mod live;
mod moves;
mod names;
mod netkit;
mod networks;
mod polled;
mod processes;
mod provisional;
mod queues;
mod resyncs;
mod sequences;
mod stranded;
mod tcp;

#[test]
fn of_two_containers_in_one_namespace_the_one_owns_it_that_was_started_first() {
    for (first, started, owner) in [
        // By time, not by name; then by id.
        ("zebra", ["2026-11-26T15:00:01Z", "2026-11-26T15:00:02Z"], "zebra"),
        ("zebra", ["2026-11-26T15:00:03Z", "2026-11-26T15:00:02Z"], "apple"),
        ("zebra", ["", "2026-11-26T15:00:02Z"], "apple"),
        ("zebra", ["", ""], "apple"),
    ] {
        let mut world = World::with_containers(&[(0, 10)]);
        world.docker_says(&[(first, 700, 10), ("apple", 701, 10)]);
        let claims = &mut world.docker.as_mut().unwrap().as_mut().unwrap().claims;
        for (claim, started) in claims.iter_mut().zip(started) {
            claim.started = Started::parse(started);
        }
        world.pids = BTreeMap::from([(700, Located::Nsid(0)), (701, Located::Nsid(0))]);
        let mut host = new_host();
        world.tick(&mut host, NOW);
        let ownership = &host.view().unwrap().scene.ownerships[0];
        let members: Vec<&str> = ownership.members.iter().map(|member| member.name.as_str()).collect();
        let other = if owner == first { "apple" } else { first };
        assert_eq!((ownership.owner.name.as_str(), members), (owner, vec![other]), "{started:?}");
    }
}

#[test]
fn there_is_a_container_to_show_from_the_first_claim_of_a_runtime_on() {
    let mut world = World::with_containers(&[(0, 10)]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert!(!host.has_containers());
    world.docker_says(&[("web", 700, 10)]);
    world.pids = BTreeMap::from([(700, Located::Nsid(0))]);
    world.tick(&mut host, NOW + SECOND);
    assert!(host.has_containers());
}

#[test]
fn a_name_that_a_runtime_made_up_waits_for_the_runtime_and_gives_way_to_it() {
    let uuid = "be49d294-f624-cd99-43b9-ee11fa7ac673";
    for (name, runtime_tells, wanted) in [
        (format!("netns-{uuid}"), true, "veth10 docker/web/eth0/front"),
        (format!("cni-{uuid}"), false, "veth10 named/cni-be49d294-f624-cd99-43b9-ee11fa7ac673/eth0/"),
    ] {
        let mut world = World::with_containers(&[(0, 10)]);
        world.docker = Some(Ok(Claims::default()));
        world.pids = BTreeMap::from([(700, Located::Nsid(0)), (1, Located::Nsid(0))]);
        let claim = Claim {
            owner: Workload::named(Runtime::Named, name),
            locator: Locator::Pid(1),
            endpoints: Vec::new(),
            members: Vec::new(),
            started: Started::default(),
        };
        world.named = Some(Ok(Claims { claims: vec![claim], ..Claims::default() }));
        let mut host = new_host();
        host.known.evidence.answered(Runtime::Named, Some(true), NOW);
        world.tick(&mut host, NOW);
        assert_eq!(names(&host), [] as [&str; 0], "held back");
        if runtime_tells {
            world.docker_says(&[("web", 700, 10)]);
        }
        world.tick(&mut host, NOW + 2 * SECOND);
        assert_eq!(names(&host), [wanted]);
        // Who is dismantled keeps the name, too.
        world.docker = Some(Ok(Claims::default()));
        world.tick(&mut host, NOW + 2 * SECOND + SECOND / 2);
        assert_eq!(names(&host)[0].split('/').nth(1), wanted.split('/').nth(1));
        // A pod's network is taken down last, and for as long as that takes no other pod has come.
        world.tick(&mut host, NOW + 60 * SECOND);
        assert_eq!(names(&host)[0].split('/').nth(1), wanted.split('/').nth(1), "a minute later");
    }
}

#[test]
fn once_a_cri_server_has_answered_or_failed_pods_are_thinkable_for_good() {
    let claims = |host: &mut Host, answer| {
        let input = Input::Claims { runtime: Runtime::Cri, answer, took: Duration::ZERO };
        host.apply(input, NOW);
        host.apply(Input::Wake, NOW + SECOND);
        host.view().unwrap().scene.pods
    };
    let mut host = new_host();
    World::with_containers(&[]).tick(&mut host, NOW);
    assert!(!claims(&mut host, None), "absent");
    assert!(claims(&mut host, Some(Err(Lack::failure("broken")))));
    assert!(claims(&mut host, None), "it stays so");
    let mut host = new_host();
    host.config.pods = true;
    World::with_containers(&[]).tick(&mut host, NOW);
    assert!(host.view().unwrap().scene.pods, "somebody may answer");
    assert!(!claims(&mut host, None), "and it was nobody");
}

/// The events of a host, each with its workload.
fn events(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let line = |event: &Arc<crate::model::recent_events::RecentEvent>| {
        format!("{} {}: {}", event.kind.as_str(), event.subject.workload, event.text)
    };
    view.condition.events.iter().map(line).collect()
}

#[test]
fn containers_that_come_are_made_anew_and_go_are_events_with_their_bytes() {
    let mut world = World::with_containers(&[(1, 11)]);
    world.docker_says(&[("web", 701, 11)]);
    world.pids = [1, 2, 3].map(|nsid| (700 + nsid, Located::Nsid(nsid))).into();
    let mut host = new_host();
    world.tick(&mut host, SECOND);
    sample(&mut host, &[(11, bytes(5_000, 0))]);
    assert_eq!(events(&host), [] as [&str; 0], "what was there before is no event");
    world.start(2, 12);
    world.docker_says(&[("web", 701, 11), ("db", 702, 12)]);
    world.tick(&mut host, 2 * SECOND);
    world.kill(1, 11);
    world.docker_says(&[("db", 702, 12)]);
    world.tick(&mut host, 62 * SECOND);
    world.start(3, 13);
    world.docker_says(&[("db", 702, 12), ("web", 703, 13)]);
    world.tick(&mut host, 63 * SECOND);
    let told = events(&host);
    let expected = [
        "appeared db: appeared",
        "gone web: gone after 61 s with 5.00 kB",
        "recreated web: recreated: its totals go on",
    ];
    assert_eq!(told, expected);
}
