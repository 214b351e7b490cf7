//! What costs nothing: a tick of a host on which nothing but numbers changes asks for no memory.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use veth_exporter::testing::model::event::Event;
use veth_exporter::testing::model::host::{
    Config, Host, Input, Learning, Links, Located, Location, Request, Samples,
};
use veth_exporter::testing::model::link::{Counters, Link, LinkKind, Name, PeerNetns};
use veth_exporter::testing::model::problems::{Problem, ProblemKind};
use veth_exporter::testing::model::workload::{Claim, Claims, Locator, Runtime, Workload};

const PAIRS: u32 = 100;
/// The MTU of the interfaces, and of the ports if the pairs have no problem.
const MTU: u32 = 1_500;
const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);

fn config() -> Config {
    Config {
        retention: 300 * SECOND,
        hold_back: SECOND,
        leaving: 2 * SECOND,
        peak_window: WINDOW,
        learning: Learning::Events,
        gather: Duration::from_millis(2),
        resync: Duration::from_secs(300),
        processes: true,
        pods: false,
        filter: Default::default(),
        limits: Default::default(),
        sockets: Default::default(),
    }
}

/// A port on the host, and the interface behind it in the namespace of the same number.
fn port(number: u32, mtu: u32) -> Link {
    Link { mtu, ..veth(10 + number, 2, format!("veth{number}"), PeerNetns::Nsid(number)) }
}

fn interface(number: u32) -> Link {
    veth(2, 10 + number, "eth0".to_owned(), PeerNetns::Host)
}

fn veth(ifindex: u32, iflink: u32, name: String, peer_netns: PeerNetns) -> Link {
    let name = Name::from_bytes(name.as_bytes()).unwrap();
    Link {
        ifindex,
        name,
        kind: LinkKind::Veth,
        iflink: Some(iflink),
        peer_netns,
        up: true,
        enabled: true,
        mtu: MTU,
        ..Link::default()
    }
}

fn locator(number: u32) -> Locator {
    Locator::Path(std::path::PathBuf::from(format!("/run/netns/web-{number}")).into())
}

/// The answer of the world to a request, with ports of this MTU; `None` for a thing that is not there.
fn answer(request: Request, mtu: u32) -> Option<Input> {
    let found = |links| Ok(Links { links, ..Links::default() });
    Some(match request {
        Request::Links { nsid: None } => {
            Input::Links { nsid: None, answer: found((0..PAIRS).map(|number| port(number, mtu)).collect()) }
        }
        Request::Links { nsid: Some(nsid) } => {
            Input::Links { nsid: Some(nsid), answer: found(vec![interface(nsid)]) }
        }
        Request::Claims(Runtime::Named) => {
            let claims = (0..PAIRS).map(|number| Claim {
                owner: Workload::named(Runtime::Named, format!("web-{number}")),
                locator: locator(number),
                endpoints: Vec::new(),
                members: Vec::new(),
                started: Default::default(),
            });
            let claims = Claims { claims: claims.collect(), ..Claims::default() };
            Input::Claims { runtime: Runtime::Named, answer: Some(Ok(claims)), took: Duration::ZERO }
        }
        Request::Claims(runtime) => Input::Claims { runtime, answer: None, took: Duration::ZERO },
        Request::Locate(locator) => {
            let number = (0..PAIRS).find(|&number| self::locator(number) == locator)?;
            let location = Location { netns: Located::Nsid(number), cgroup: None };
            Input::Located { locator, answer: Ok(location) }
        }
        other => panic!("asked for {other:?}"),
    })
}

/// Gives an input, and answers until nothing more is asked.
fn tell(host: &mut Host, mtu: u32, input: Input, now: Duration) {
    let mut requests = host.apply(input, now);
    while let Some(request) = requests.pop() {
        if let Some(input) = answer(request, mtu) {
            requests.extend(host.apply(input, now));
        }
    }
}

/// One tick as the collector does it, where every runtime says what it has said before. The counters go up by rates that
/// rise and fall. True if it has read namespaces: at one of eight ticks some are, to see what goes past their ports.
fn tick(host: &mut Host, number: u32) -> bool {
    let mut read = false;
    let now = SECOND * (20 + number);
    let mut requests = host.apply(Input::Tick, now);
    for request in requests.drain(..) {
        let more = match request {
            Request::Claims(Runtime::Named) => {
                host.apply(Input::SameClaims { runtime: Runtime::Named, took: Duration::ZERO }, now)
            }
            Request::Claims(runtime) => {
                host.apply(Input::Claims { runtime, answer: None, took: Duration::ZERO }, now)
            }
            links @ Request::Links { nsid: Some(_) } => {
                read = true;
                host.apply(answer(links, MTU).unwrap(), now)
            }
            other => panic!("a tick asks for {other:?}"),
        };
        assert!(more.is_empty(), "{more:?}");
    }
    host.reuse(requests);
    let mut samples = host.spent_samples();
    samples.clear();
    let bytes = u64::from(number) * 1_000 + u64::from(number % 3) * 400;
    samples.counters.extend((0..PAIRS).map(|pair| {
        (10 + pair, Counters { receive_bytes: bytes, transmit_bytes: 2 * bytes, ..Counters::default() })
    }));
    let more = host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, now);
    assert!(more.is_empty(), "{more:?}");
    read
}

/// A host with ports of this MTU that has ticked until its peaks are full, and the number of the next tick.
fn steady(mtu: u32) -> (Host, u32) {
    let mut host = Host::new(config(), [Runtime::Docker, Runtime::Named]);
    tell(&mut host, mtu, Input::Listening { answer: Ok(()) }, Duration::ZERO);
    tell(&mut host, mtu, Input::Tick, Duration::ZERO);
    let samples = Samples::default();
    tell(&mut host, mtu, Input::Samples { answer: Ok(samples), took: Duration::ZERO }, Duration::ZERO);
    tell(&mut host, mtu, Input::Wake, 2 * SECOND);
    let mut number = 0;
    // The state machine judges of its own accord every 10 s; what is measured is between two of those.
    while number < 15 || host.deadline().unwrap() < SECOND * (20 + number + 8) {
        assert!(number < 60, "it judges too often: {:?}", host.deadline());
        tick(&mut host, number);
        number += 1;
    }
    let view = host.view().unwrap();
    assert_eq!((view.scene.pairs.len(), view.workloads.len()), (100, 100), "{:#?}", view.scene.ends);
    (host, number)
}

/// Lets a host tick seven times, and measures that each tick that reads no namespace asks for no memory.
fn ask_for_nothing(host: &mut Host, first: u32) {
    let mut quiet = 0;
    for number in first..first + 7 {
        let mut read = false;
        let asked = measure(|| read = tick(host, number));
        if !read {
            quiet += 1;
            assert_eq!((asked.count_total, asked.bytes_total), (0, 0), "tick {number}");
        }
    }
    assert!(quiet >= 6, "{quiet}");
}

#[test]
fn a_tick_on_which_only_numbers_change_asks_for_no_memory() {
    let (mut host, first) = steady(MTU);
    let before = host.view().unwrap();
    assert!(before.condition.problems.iter().all(|problem| problem.kind == ProblemKind::Source));
    ask_for_nothing(&mut host, first);
    let after = host.view().unwrap();
    assert!(after.workloads.iter().zip(&before.workloads).all(|(after, before)| {
        after.receive.bytes > before.receive.bytes && after.transmit.bytes > before.transmit.bytes
    }));
    assert!(after.peaks.iter().all(Option::is_some), "{:?}", after.peaks);
}

#[test]
fn a_problem_that_stays_as_it_is_costs_a_tick_no_memory() {
    let (mut host, first) = steady(MTU - 100);
    let before = host.view().unwrap().condition;
    let mismatches = |problems: &[Problem]| {
        problems.iter().filter(|problem| problem.kind == ProblemKind::MtuMismatch).count()
    };
    assert_eq!(mismatches(&before.problems), PAIRS as usize);
    ask_for_nothing(&mut host, first);
    let after = host.view().unwrap().condition;
    assert!(Arc::ptr_eq(&before.problems, &after.problems), "the list is the same allocation");
    // One that ends changes the list, and no other.
    let now = SECOND * (20 + first + 7);
    let repaired = Event::Link { source: None, link: port(3, MTU) };
    host.apply(Input::Events(vec![repaired]), now);
    host.apply(Input::Wake, now + SECOND / 10);
    tick(&mut host, first + 8);
    let after = host.view().unwrap().condition;
    assert_eq!(mismatches(&after.problems), PAIRS as usize - 1);
    assert_eq!(after.problem_counts[ProblemKind::MtuMismatch as usize], PAIRS as usize - 1);
}

#[test]
fn the_measure_sees_what_a_change_asks_for() {
    let (mut host, number) = steady(MTU);
    let renamed = port(3, 1_400);
    let asked = measure(|| {
        host.apply(Input::Events(vec![Event::Link { source: None, link: renamed }]), SECOND * (20 + number));
        tick(&mut host, number + 1);
    });
    assert!(asked.count_total > 0, "{asked:?}");
}
