use super::super::whole::Whole;
use super::super::{Booking, Flow, Overflow, RowKind};
use super::*;
use crate::model::link::{Counters, End, Link, NetnsId};
use crate::model::pairing::{Pair, Side};
use crate::model::series::OutputLimits;
use crate::model::workload::Runtime;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The number of series of a pair with a label set of its own.
const OF_A_PAIR: usize = 21;

fn labels(runtime: Runtime, container: &str) -> LabelSet {
    LabelSet {
        runtime,
        container: container.into(),
        namespace: String::new(),
        pod: String::new(),
        interface: "eth0".into(),
        network: "front".into(),
    }
}

/// A container behind a port.
#[derive(Clone, Debug)]
struct Container {
    ifindex: u32,
    name: String,
    runtime: Runtime,
    received: u64,
    hidden: bool,
}

fn container(ifindex: u32, received: u64) -> Container {
    Container { ifindex, name: format!("c{ifindex}"), runtime: Runtime::Docker, received, hidden: false }
}

impl Container {
    fn pair(&self) -> Pair {
        let netns = NetnsId::Other { nsid: self.ifindex, generation: 0 };
        let end = |netns, ifindex, counters| Side {
            end: End { netns, ifindex },
            link: Some(Link { counters, ..Link::default() }),
        };
        let sent = Counters { transmit_bytes: self.received, ..Counters::default() };
        let got = Counters { receive_bytes: self.received, ..Counters::default() };
        Pair { sides: [end(NetnsId::Host, self.ifindex, sent), end(netns, 2, got)] }
    }

    fn cost(&self) -> SeriesCost {
        let trust = if self.runtime == Runtime::Docker { Trust::Vouched } else { Trust::Discovered };
        match self.hidden {
            true => SeriesCost { rows: [RowKind::Nothing; 2], series: 0, trust, hidden: [true; 2] },
            false => SeriesCost {
                rows: [RowKind::Port, RowKind::Container],
                series: 11,
                trust,
                hidden: [false; 2],
            },
        }
    }
}

#[derive(Default)]
struct Told {
    ledger: Whole,
    summed: usize,
}

impl Told {
    /// Books these containers, all of them created while the exporter runs.
    fn judge(&mut self, containers: &[Container], limit: usize, now: Duration) {
        let pairs: Vec<Pair> = containers.iter().map(Container::pair).collect();
        self.ledger.reconcile(&pairs, now, |_| true, |_| false);
        let book = |c: &Container| Booking::To([None, Some(labels(c.runtime, &c.name))], c.cost());
        let bookings: Vec<Booking> = containers.iter().map(book).collect();
        let of_hidden = |set: &LabelSet| containers.iter().any(|c| c.hidden && c.name == set.container);
        let shows = |set: &LabelSet| !of_hidden(set) && !set.is_hidden_overflow();
        let limits =
            SeriesLimits { output: OutputLimits { series: limit, ..OutputLimits::default() }, shows: &shows };
        self.ledger.expire(now, 5 * MINUTE);
        self.ledger.book(bookings, now, &limits);
        self.ledger.expire(now, 5 * MINUTE);
        self.summed = self.ledger.refused();
    }

    fn totals(&self) -> Vec<(String, u64)> {
        let totals = self.ledger.book_of_all();
        totals.map(|(labels, traffic)| (labels.container.clone(), traffic.receive.bytes)).collect()
    }

    fn is_listed(&self, ifindex: u32) -> bool {
        let (id, _) = self.ledger.place(End { netns: NetnsId::Host, ifindex }).unwrap();
        self.ledger.is_listed(id)
    }

    fn names(&self) -> Vec<String> {
        self.totals().into_iter().map(|(name, _)| name).collect()
    }

    fn received(&self) -> u64 {
        self.totals().iter().map(|(_, bytes)| bytes).sum()
    }
}

#[test]
fn who_is_shown_stays_and_newcomers_are_summed_until_there_is_room() {
    let mut book = Told::default();
    let limit = 2 * OF_A_PAIR + OF_A_NETWORK;
    let (old, new) = ([container(5, 100), container(6, 10)], [container(3, 7), container(4, 8)]);
    book.judge(&old, limit, MINUTE);
    assert_eq!((book.names(), book.summed), (vec!["c5".to_owned(), "c6".to_owned()], 0));
    // The new containers come before the old ones in the order of the links.
    let all = [new.as_slice(), old.as_slice()].concat();
    book.judge(&all, limit, MINUTE);
    assert_eq!(book.totals(), [("c5".into(), 100), ("c6".into(), 10), ("other".into(), 15)]);
    assert_eq!([3, 4, 5, 6].map(|ifindex| book.is_listed(ifindex)), [false, false, true, true]);
    assert_eq!(book.summed, 2 * OF_A_PAIR);
    // The rows of the two networks are complete.
    assert_eq!(
        book.ledger.networks().map(|(_, traffic, _)| traffic.receive.bytes).collect::<Vec<_>>(),
        [125]
    );
    // The listed containers go: their ports free series at once, and their totals when they expire. The
    // containers in the overflow stay there.
    let mut left = vec![container(3, 9), container(4, 8), container(9, 1), container(10, 4)];
    book.judge(&left, limit, 2 * MINUTE);
    let totals = [("c5".into(), 100), ("c6".into(), 10), ("c9".into(), 1), ("other".into(), 21)];
    assert_eq!(book.totals(), totals);
    book.judge(&left, limit, 8 * MINUTE);
    left.push(container(11, 6));
    book.judge(&left, limit, 8 * MINUTE);
    assert_eq!(book.totals(), [("c11".into(), 6), ("c9".into(), 1), ("other".into(), 21)]);
}

#[test]
fn what_ports_and_interfaces_of_the_rest_count_is_one_sum_that_outlives_them() {
    let mut book = Told::default();
    book.judge(&[container(5, 100)], OF_A_PAIR + OF_A_NETWORK, MINUTE);
    assert_eq!(book.ledger.overflow(), Overflow::default());
    for (received, sum) in [(7, 7), (9, 9), (9, 9)] {
        book.judge(&[container(5, 100), container(6, received)], OF_A_PAIR + OF_A_NETWORK, MINUTE);
        let ports = Counters { transmit_bytes: sum, ..Counters::default() };
        let containers = Counters { receive_bytes: sum, ..Counters::default() };
        assert_eq!(book.ledger.overflow(), Overflow { ports: Some(ports), containers: Some(containers) });
    }
    book.judge(&[container(5, 100), container(7, 30)], OF_A_PAIR + OF_A_NETWORK, MINUTE);
    assert_eq!(book.ledger.overflow().ports.unwrap().transmit_bytes, 39);
}

#[test]
fn a_pair_in_the_rest_that_was_there_before_us_counts_from_when_it_was_found() {
    let mut ledger = Whole::default();
    let found = container(5, 1_000);
    for received in [1_000, 1_001] {
        let pairs = [Container { received, ..found.clone() }.pair()];
        ledger.reconcile(&pairs, MINUTE, |_| false, |_| false);
        let bookings = vec![Booking::To([None, Some(labels(Runtime::Docker, "c5"))], found.cost())];
        ledger.book(
            bookings,
            MINUTE,
            &SeriesLimits { output: OutputLimits { series: 1, ..OutputLimits::default() }, shows: &|_| true },
        );
    }
    assert_eq!(ledger.overflow().ports.unwrap().transmit_bytes, 1);
    let total = ledger.workloads().next().unwrap().id;
    assert_eq!(ledger.traffic(total).0.receive, Flow { bytes: 1, ..Flow::default() });
}

#[test]
fn what_is_hidden_is_bounded_too_and_summed_where_nobody_sees_it() {
    let mut book = Told::default();
    let hide = |ifindex| Container { hidden: true, ..container(ifindex, 1) };
    let containers: Vec<Container> = (10..1_010).map(hide).chain([container(5, 100)]).collect();
    book.judge(&containers, 210, MINUTE);
    assert!(book.names().len() <= 210 / OF_A_LABEL_SET + 2, "{}", book.names().len());
    assert!(book.ledger.book_of_all().any(|(labels, _)| labels.is_hidden_overflow()));
    assert!(book.names().contains(&"c5".to_owned()));
    assert_eq!((book.received(), book.summed), (1_100, 0));
}

#[test]
fn containers_that_come_and_go_faster_than_totals_are_forgotten_leave_no_more_than_there_is_room_for() {
    let mut book = Told::default();
    let limit = 100 * OF_A_PAIR;
    for n in 0..20_000u32 {
        book.judge(&[container(10 + n, 3)], limit, MINUTE + Duration::from_millis(u64::from(n)));
    }
    assert!(book.names().len() <= limit / OF_A_LABEL_SET + 1, "{}", book.names().len());
    assert_eq!(book.received(), 60_000);
    // All that is left expires after the retention.
    book.judge(&[], limit, 2 * MINUTE);
    book.judge(&[], limit, 30 * MINUTE);
    assert!(book.names().is_empty());
}

#[test]
fn what_was_only_found_leaves_room_for_what_a_runtime_tells_of() {
    let mut book = Told::default();
    let limit = 10 * OF_A_PAIR;
    let found = |ifindex| Container { runtime: Runtime::Process, ..container(ifindex, 1) };
    let mut containers: Vec<Container> = (10..200).map(found).collect();
    book.judge(&containers, limit, MINUTE);
    assert_eq!(book.names().iter().filter(|name| *name != "other").count(), 5);
    containers.push(container(500, 9));
    book.judge(&containers, limit, MINUTE);
    assert!(book.names().contains(&"c500".to_owned()), "{:?}", book.names());
}

#[test]
fn networks_beyond_their_part_are_one_network() {
    let mut ledger = Whole::default();
    let limits =
        SeriesLimits { output: OutputLimits { series: 400, ..OutputLimits::default() }, shows: &|_| true };
    let network =
        |n: u32| super::super::NetworkLabels { runtime: Runtime::Docker, network: format!("n{n:03}") };
    for known in [5, 50, 60] {
        ledger.know_networks((0..known).map(network).collect(), MINUTE, &limits);
    }
    let names: Vec<&str> = ledger.networks().map(|(labels, ..)| labels.network.as_str()).collect();
    assert_eq!(names.len(), series::networks(400) + 1);
    assert!(names.starts_with(&["n000", "n001"]) && names.ends_with(&["other"]), "{names:?}");
}

/// One step in the life of a container.
#[derive(Clone, Debug)]
enum Step {
    Receive(u8, u64),
    Recreate(u8),
    Rename(u8, u8),
    Remove(u8),
    Minutes(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u8..8, 0u64..1000).prop_map(|(which, bytes)| Step::Receive(which, bytes)),
        (0u8..8).prop_map(Step::Recreate),
        (0u8..8, 0u8..20).prop_map(|(which, name)| Step::Rename(which, name)),
        (0u8..8).prop_map(Step::Remove),
        (1u32..7).prop_map(Step::Minutes),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// No stored total falls in any order of starts, stops and renames, the sum of all totals is every
    /// byte, and the shown series are within the limit.
    #[test]
    fn beyond_the_limit_nothing_falls_is_lost_or_counted_twice(steps in steps(), room in 0usize..6) {
        let limit = room * OF_A_PAIR + OF_A_NETWORK;
        let mut book = Told::default();
        let mut now = MINUTE;
        let mut living: BTreeMap<u8, Container> = BTreeMap::new();
        let (mut carried, mut forgotten, mut next) = (0u64, 0u64, 100u32);
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Receive(which, bytes) => if let Some(container) = living.get_mut(&which) {
                    container.received += bytes;
                    carried += bytes;
                },
                Step::Recreate(which) => {
                    next += 1;
                    let name = format!("c{which}");
                    living.insert(which, Container { name, ..container(next, 0) });
                }
                Step::Rename(which, name) => if let Some(container) = living.get_mut(&which) {
                    container.name = format!("n{name}");
                },
                Step::Remove(which) => _ = living.remove(&which),
                Step::Minutes(minutes) => now += minutes * MINUTE,
            }
            let containers: Vec<Container> = living.values().cloned().collect();
            // The counters of each container are read before the container may go.
            for container in &containers {
                let sent = Counters { transmit_bytes: container.received, ..Counters::default() };
                book.ledger.observe(End { netns: NetnsId::Host, ifindex: container.ifindex }, &sent);
            }
            book.judge(&containers, limit, now);
            let totals: BTreeMap<String, u64> = book.totals().into_iter().collect();
            for (name, before) in &last {
                match totals.get(name) {
                    Some(bytes) => prop_assert!(bytes >= before, "{name} fell from {before} to {bytes}"),
                    None => forgotten += before,
                }
            }
            prop_assert_eq!(totals.values().sum::<u64>() + forgotten, carried);
            let ports = containers.iter().filter(|c| book.is_listed(c.ifindex)).count();
            let sets = totals.keys().filter(|name| *name != "other").count();
            prop_assert!(ports * 11 + sets * OF_A_LABEL_SET <= limit, "{ports} ports, {sets} label sets");
            last = totals;
        }
    }
}
