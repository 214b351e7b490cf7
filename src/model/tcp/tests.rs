use super::TcpCounter::{ListenDrops, ResetsSent, SegmentsSent};
use super::*;
use crate::model::workload::Runtime;
use std::cell::RefCell;

const SECOND: Duration = Duration::from_secs(1);
const RETENTION: Duration = Duration::from_secs(300);

fn netns(nsid: u32) -> NetnsId {
    NetnsId::Other { nsid, generation: 0 }
}

fn labels(name: &str) -> WorkloadName {
    let container = name.to_owned();
    WorkloadName { runtime: Runtime::Docker, container, namespace: String::new(), pod: String::new() }
}

fn figures(sent: u64, sockets: u64) -> TcpFigures {
    let mut figures = TcpFigures::default();
    figures.set_counter(SegmentsSent, sent);
    figures.add_sockets(sockets);
    figures
}

/// A host with namespaces, each with an owner and processes.
struct World {
    tcp: TcpState,
    owners: RefCell<BTreeMap<NetnsId, TcpOwner>>,
    processes: RefCell<BTreeMap<NetnsId, Vec<u32>>>,
    room: usize,
    now: Duration,
}

impl World {
    fn new(found: &[u32]) -> World {
        let mut world = World {
            tcp: TcpState::default(),
            owners: RefCell::default(),
            processes: RefCell::default(),
            room: usize::MAX,
            now: SECOND,
        };
        world.tcp.update(found.iter().map(|nsid| netns(*nsid)), |_| Some(TcpPairs::Found), world.now);
        world
    }

    /// Gives a namespace an owner and a process with the number of the namespace.
    fn own(&mut self, nsid: u32, name: &str) {
        self.owners.borrow_mut().insert(netns(nsid), TcpOwner::Known(labels(name)));
        self.processes.borrow_mut().entry(netns(nsid)).or_insert_with(|| vec![nsid]);
    }

    fn born(&mut self, nsid: u32, name: &str) {
        self.own(nsid, name);
        self.tcp.update([netns(nsid)], |_| Some(TcpPairs::Born), self.now);
    }

    fn with<T>(&mut self, then: impl FnOnce(&mut TcpState, &TcpFacts<'_>, Duration) -> T) -> T {
        let World { tcp, owners, processes, room, now } = self;
        let facts = TcpFacts {
            is_there: &|netns| owners.borrow().contains_key(&netns),
            owner: &|netns| owners.borrow()[&netns].clone(),
            process: &|netns, failed| {
                let processes = processes.borrow();
                let all = processes.get(&netns)?;
                all.iter().find(|pid| Some(**pid) != failed).or(all.first()).copied()
            },
            room: *room,
        };
        then(tcp, &facts, *now)
    }

    fn question(&mut self) -> Vec<TcpTarget> {
        self.with(|tcp, facts, now| tcp.question(facts, now)).unwrap_or_default()
    }

    fn answer(&mut self, readings: Vec<TcpReading>) -> Result<(), LookFailure> {
        self.with(|tcp, facts, now| tcp.answer(readings, facts, now))
    }

    /// Reads all that is due after this time, with these figures. Returns the nsids that were read.
    fn read(&mut self, after: Duration, figures: impl Fn(u32) -> TcpFigures) -> Vec<u32> {
        self.now += after;
        let mut read = Vec::new();
        loop {
            let targets = self.question();
            if targets.is_empty() {
                return read;
            }
            let nsid = |target: TcpTarget| target.netns.nsid().unwrap();
            let answer = |target| TcpReading { target, answer: Ok(figures(nsid(target))) };
            read.extend(targets.iter().map(|target| nsid(*target)));
            self.answer(targets.into_iter().map(answer).collect()).unwrap();
        }
    }

    fn shown(&self, name: &str) -> Option<TcpFigures> {
        let found = self.tcp.totals().find(|(_, workload)| *workload.labels == labels(name));
        found.map(|(id, _)| self.tcp.figures(id))
    }

    fn sent(&self, name: &str) -> Option<u64> {
        self.shown(name)?.counter(SegmentsSent)
    }

    fn end(&mut self, nsid: u32) {
        self.owners.borrow_mut().remove(&netns(nsid));
        self.tcp.end(netns(nsid), self.now);
    }
}

#[test]
fn what_was_there_at_the_start_counts_from_its_first_reading_and_what_is_born_from_its_birth() {
    let mut world = World::new(&[1]);
    world.own(1, "old");
    world.now += 5 * SECOND;
    world.born(2, "new");
    world.read(SECOND, |nsid| figures(1_000 * u64::from(nsid), 1));
    assert_eq!((world.sent("old"), world.sent("new")), (Some(0), Some(2_000)));
    world.read(TCP_EVERY, |nsid| figures(1_000 * u64::from(nsid) + 5, 1));
    assert_eq!((world.sent("old"), world.sent("new")), (Some(5), Some(2_005)));
    let begun: Vec<Duration> = world.tcp.totals().map(|(_, workload)| workload.begun).collect();
    assert_eq!(begun, [6 * SECOND, 7 * SECOND], "new began at its birth, old at its first reading");
}

#[test]
fn a_workload_that_is_created_again_goes_on_and_its_totals_are_kept_for_the_retention() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    world.read(SECOND, |_| figures(70, 3));
    world.end(1);
    assert_eq!(world.shown("web"), Some(TcpFigures::new(figures(70, 0).counters(), None)));
    world.born(2, "web");
    world.read(SECOND, |_| figures(5, 2));
    assert_eq!((world.sent("web"), world.shown("web").unwrap().sockets()), (Some(75), Some(2)));
    world.end(2);
    world.tcp.expire(world.now + RETENTION, RETENTION);
    assert_eq!(world.sent("web"), Some(75));
    assert_eq!(world.tcp.expires_at(RETENTION), Some(world.now + RETENTION + Duration::from_nanos(1)));
    world.tcp.expire(world.now + RETENTION + SECOND, RETENTION);
    assert_eq!((world.shown("web"), world.tcp.series()), (None, (0, 0)));
}

#[test]
fn two_namespaces_with_the_same_labels_are_added_up() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    world.born(2, "web");
    world.read(SECOND, |nsid| figures(u64::from(nsid), 10 * u64::from(nsid)));
    assert_eq!(world.shown("web"), Some(figures(3, 30)));
    world.end(1);
    assert_eq!(world.shown("web"), Some(figures(3, 20)), "the counters stay, its sockets are gone");
}

#[test]
fn counters_that_go_back_begin_anew_and_no_total_falls() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    let mut before = figures(100, 1);
    before.set_counter(ResetsSent, 10);
    world.read(SECOND, |_| before);
    let mut restored = figures(40, 1);
    restored.set_counter(ResetsSent, 12);
    world.read(TCP_EVERY, |_| restored);
    let shown = world.shown("web").unwrap();
    assert_eq!((shown.counter(SegmentsSent), shown.counter(ResetsSent)), (Some(100), Some(10)));
    restored.set_counter(SegmentsSent, 41);
    world.read(TCP_EVERY, |_| restored);
    assert_eq!(world.sent("web"), Some(101));
}

#[test]
fn a_figure_that_is_missing_is_absent_and_goes_on_when_it_is_back() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    let mut whole = figures(7, 1);
    whole.set_counter(ListenDrops, 3);
    world.read(SECOND, |_| figures(7, 1));
    assert_eq!(world.shown("web").unwrap().counter(ListenDrops), None);
    world.read(TCP_EVERY, |_| whole);
    assert_eq!(world.shown("web").unwrap().counter(ListenDrops), Some(0), "since when is not known");
    world.read(TCP_EVERY, |_| figures(8, 1));
    whole.set_counter(ListenDrops, 5);
    whole.set_counter(SegmentsSent, 9);
    world.read(TCP_EVERY, |_| whole);
    assert_eq!((world.sent("web"), world.shown("web").unwrap().counter(ListenDrops)), (Some(9), Some(2)));
}

#[test]
fn what_is_counted_goes_to_the_workload_that_is_known_at_the_reading() {
    let mut world = World::new(&[]);
    world.born(1, "sleep");
    world.owners.borrow_mut().insert(netns(1), TcpOwner::Held);
    assert_eq!(world.read(SECOND, |_| figures(10, 1)), [] as [u32; 0], "a better name may come");
    world.own(1, "web");
    world.read(SECOND, |_| figures(12, 1));
    assert_eq!((world.sent("web"), world.sent("sleep")), (Some(12), None));
    world.own(1, "shop");
    world.read(TCP_EVERY, |_| figures(20, 2));
    assert_eq!((world.shown("shop"), world.sent("web")), (Some(figures(8, 2)), Some(12)));
    assert_eq!(world.shown("web").unwrap().sockets(), None, "no namespace has these labels");
}

#[test]
fn a_namespace_without_a_process_has_no_figures() {
    let mut world = World::new(&[]);
    world.own(1, "named");
    world.processes.borrow_mut().clear();
    world.tcp.update([netns(1)], |_| Some(TcpPairs::Born), world.now);
    for _ in 0..100 {
        assert!(world.read(SECOND, |_| unreachable!()).is_empty());
    }
    assert_eq!(world.shown("named"), None);
    world.processes.borrow_mut().insert(netns(1), vec![7]);
    world.read(TCP_EVERY, |_| figures(3, 1));
    assert_eq!(world.shown("named"), Some(figures(3, 1)));
    // The last process is gone and the namespace stays.
    world.processes.borrow_mut().clear();
    world.read(TCP_EVERY, |_| unreachable!());
    assert_eq!((world.sent("named"), world.shown("named").unwrap().sockets()), (Some(3), None));
}

#[test]
fn a_process_that_is_gone_is_no_failure_and_another_one_is_read_soon() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    world.processes.borrow_mut().insert(netns(1), vec![8, 9]);
    world.now += SECOND;
    let targets = world.question();
    assert_eq!(targets, [TcpTarget { netns: netns(1), pid: 8 }]);
    let gone = |target| TcpReading { target, answer: Err(LookFailure::Gone) };
    assert_eq!(world.answer(targets.into_iter().map(gone).collect()), Ok(()));
    world.now += TCP_RETRY;
    assert_eq!(world.question(), [TcpTarget { netns: netns(1), pid: 9 }]);
    assert_eq!(world.shown("web"), None);
}

#[test]
fn a_denied_reading_is_a_failure_if_nothing_can_be_read() {
    let mut world = World::new(&[]);
    world.born(1, "a");
    world.born(2, "b");
    world.now += SECOND;
    let targets = world.question();
    let denied = |target| TcpReading { target, answer: Err(LookFailure::Denied) };
    let readings: Vec<TcpReading> = targets.iter().map(|target| denied(*target)).collect();
    assert_eq!(world.answer(readings), Err(LookFailure::Denied));
    world.now += TCP_EVERY;
    let targets = world.question();
    let one = vec![denied(targets[0]), TcpReading { target: targets[1], answer: Ok(figures(1, 1)) }];
    assert_eq!(world.answer(one), Ok(()));
}

#[test]
fn an_answer_about_a_namespace_that_has_ended_is_void() {
    let mut world = World::new(&[]);
    world.born(1, "web");
    world.now += SECOND;
    let targets = world.question();
    assert!(world.question().is_empty(), "one request is open at a time");
    world.end(1);
    let late = |target| TcpReading { target, answer: Ok(figures(9, 1)) };
    assert_eq!(world.answer(targets.into_iter().map(late).collect()), Ok(()));
    assert_eq!(world.shown("web"), None);
}

#[test]
fn a_thousand_are_read_in_slices_once_in_the_pace_and_spread_over_its_seconds() {
    let all: Vec<u32> = (0..1_000).collect();
    let mut world = World::new(&all);
    all.iter().for_each(|nsid| world.own(*nsid, &format!("w{nsid}")));
    world.now += SECOND;
    assert_eq!(world.question().len(), TCP_AT_A_TIME);
    let mut world = World::new(&all);
    all.iter().for_each(|nsid| world.own(*nsid, &format!("w{nsid}")));
    assert_eq!(world.read(SECOND, |_| figures(1, 1)).len(), 1_000, "the baseline at once");
    let counts: Vec<usize> = (0..45).map(|_| world.read(SECOND, |_| figures(1, 1)).len()).collect();
    assert!(counts.iter().all(|count| (60..=70).contains(count)), "{counts:?}");
}

#[test]
fn an_older_namespace_that_gets_its_first_network_counts_from_its_first_reading() {
    let mut world = World::new(&[]);
    world.own(1, "web");
    world.tcp.update([netns(1)], |_| Some(TcpPairs::Absent), world.now);
    world.now += TRANSIT;
    world.tcp.update([netns(1)], |_| Some(TcpPairs::Born), world.now);
    world.read(SECOND, |_| figures(500, 1));
    assert_eq!(world.sent("web"), Some(0));
}

#[test]
fn without_room_a_workload_has_no_series_until_there_is_some() {
    let mut world = World::new(&[]);
    world.room = OF_TCP;
    world.born(1, "a");
    world.born(2, "b");
    world.read(SECOND, |_| figures(5, 1));
    assert_eq!((world.sent("a"), world.sent("b")), (Some(5), None));
    assert_eq!(world.tcp.series(), (OF_TCP, OF_TCP));
    world.room = 2 * OF_TCP;
    world.read(TCP_EVERY, |_| figures(6, 1));
    assert_eq!((world.sent("b"), world.tcp.series()), (Some(6), (2 * OF_TCP, 0)));
}
