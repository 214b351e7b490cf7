use super::super::whole::{NO_COST, Whole};
use super::super::{Booking, LabelSet, NetworkLabels, SeriesLimits, Traffic, WorkloadTotal};
use super::*;
use crate::model::link::{Counters, LinkKind};
use crate::model::pairing::Side;
use crate::model::series::OutputLimits;
use crate::model::state::SavedTotal;
use crate::model::state::recover::recover;
use crate::model::workload::Runtime;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// The zero of the first run's times, since 1970.
const EPOCH: Duration = Duration::from_secs(1_000_000);

fn here(boot: &str) -> Moment {
    Moment { boot: boot.into(), netns: 4, ..Moment::default() }
}

fn mac(last: u8) -> Option<Mac> {
    Some(Mac([2, 0, 0, 0, 0, last]))
}

/// Returns a pair with a port on the host and these numbers of bytes sent by the port and by the workload. The
/// MAC addresses follow from the ifindex.
fn pair(ifindex: u32, nsid: u32, bytes: [u64; 2]) -> Pair {
    let side = |netns, ifindex, address, own: usize| {
        let counters =
            Counters { transmit_bytes: bytes[own], receive_bytes: bytes[1 - own], ..Counters::default() };
        let link = Link { ifindex, address, counters, kind: LinkKind::Veth, ..Link::default() };
        Side { end: End { netns, ifindex }, link: Some(link) }
    };
    let inside = NetnsId::Other { nsid, generation: 0 };
    Pair {
        sides: [
            side(NetnsId::Host, ifindex, mac(ifindex as u8), 0),
            side(inside, 2, mac(ifindex as u8 + 100), 1),
        ],
    }
}

fn to(container: &str) -> Booking {
    let labels = LabelSet {
        runtime: Runtime::Docker,
        container: container.into(),
        namespace: String::new(),
        pod: String::new(),
        interface: "eth0".into(),
        network: "front".into(),
    };
    Booking::To([None, Some(labels)], NO_COST)
}

fn limits(then: impl FnOnce(&SeriesLimits<'_>)) {
    then(&SeriesLimits { output: OutputLimits::default(), shows: &|_| true });
}

/// Returns the container, received and sent bytes of each total, and when it began.
fn totals(ledger: &Ledger) -> Vec<(String, u64, u64, Duration)> {
    let totals = ledger.workloads().map(|WorkloadTotal { id, labels, begun }| {
        let traffic = ledger.traffic(id).0;
        (labels.container.clone(), traffic.receive.bytes, traffic.transmit.bytes, begun)
    });
    totals.collect()
}

/// Books these pairs, each to its container, and gives them a further reading.
fn see(ledger: &mut Whole, pairs: &[(Pair, &str)], now: Duration, born: bool) {
    let all: Vec<Pair> = pairs.iter().map(|(pair, _)| *pair).collect();
    ledger.reconcile(&all, now, |_| born, |_| false);
    limits(|limits| ledger.book(pairs.iter().map(|(_, container)| to(container)).collect(), now, limits));
}

/// Returns the state of a ledger in the boot `b`, as it was read from a file.
fn saved(ledger: &mut Whole, pairs: &[Pair], highest: u32) -> SavedState {
    let address = |end: End| {
        let sides = pairs.iter().flat_map(|pair| pair.sides);
        sides.filter(|side| side.end == end).find_map(|side| side.link?.address)
    };
    let mut journal = Journal::default();
    journal.begin(true);
    ledger.save(&mut journal, EPOCH, address);
    let moment = Moment { highest, taken: EPOCH + MINUTE, ..here("b") };
    let mut batch = journal.commit(&moment).unwrap();
    batch.seal();
    recover(&batch.bytes).unwrap().state
}

/// Returns a ledger that continues a state in this boot, with times that begin `EPOCH` after 1970.
fn restored(state: &SavedState, boot: &str, now: Duration) -> Whole {
    let mut ledger = Whole::default();
    let model_time = |time: Duration| time.saturating_sub(EPOCH).min(now);
    limits(|limits| ledger.restore(state.clone(), &here(boot), model_time, now, limits));
    ledger
}

/// Returns the state after a first run: `web` has a pair that was made in it and carried 100 and 7 bytes.
fn first_run() -> (SavedState, Pair) {
    let mut ledger = Whole::default();
    let first = pair(5, 1, [100, 7]);
    see(&mut ledger, &[(first, "web")], 3 * SECOND, true);
    (saved(&mut ledger, &[first], 5), first)
}

const LATER: Duration = Duration::from_secs(500);

fn outcomes(ledger: &Whole) -> [u64; 4] {
    let RestoredPairs { resumed, made_meanwhile, unknown, gone } = ledger.restored_pairs();
    [resumed, made_meanwhile, unknown, gone]
}

#[test]
fn a_pair_that_lives_on_books_the_difference_to_whom_it_belongs_now_and_its_total_begins_as_before() {
    let (state, _) = first_run();
    for (container, wanted) in [
        ("web", vec![("web".to_owned(), 160, 9, 3 * SECOND)]),
        ("shop", vec![("shop".to_owned(), 60, 2, LATER), ("web".to_owned(), 100, 7, 3 * SECOND)]),
    ] {
        let mut ledger = restored(&state, "b", LATER);
        assert_eq!(totals(&ledger), [("web".to_owned(), 100, 7, 3 * SECOND)]);
        see(&mut ledger, &[(pair(5, 1, [160, 9]), container)], LATER, false);
        assert_eq!(totals(&ledger), wanted);
        assert_eq!(outcomes(&ledger), [1, 0, 0, 0]);
        let network = ledger.networks().map(|(_, traffic, _)| traffic.receive.bytes).collect::<Vec<_>>();
        assert_eq!(network, [160], "a network's total is that of its workloads");
    }
}

#[test]
fn a_pair_that_is_not_surely_the_same_begins_anew() {
    let (state, same) = first_run();
    let with_mac = |side: usize, address| {
        let mut other = pair(5, 1, [160, 9]);
        other.sides[side].link.as_mut().unwrap().address = address;
        other
    };
    let others = [
        ("another namespace", pair(5, 2, [160, 9])),
        ("another MAC address on the host", with_mac(0, mac(77))),
        ("another MAC address inside", with_mac(1, mac(77))),
        ("no MAC address inside", with_mac(1, None)),
        ("its port has sent less", pair(5, 1, [99, 9])),
        ("its workload has sent less", pair(5, 1, [160, 6])),
        ("an ifindex that another may have had", pair(4, 1, [160, 9])),
    ];
    for (what, other) in others {
        let mut ledger = restored(&state, "b", LATER);
        see(&mut ledger, &[(other, "web")], LATER, false);
        assert_eq!(totals(&ledger), [("web".to_owned(), 100, 7, 3 * SECOND)], "{what}");
        assert_eq!(outcomes(&ledger), [0, 0, 1, 0], "{what}");
    }
    let mut elsewhere =
        restored(&SavedState { moment: Moment { netns: 5, ..state.moment.clone() }, ..state }, "b", LATER);
    see(&mut elsewhere, &[(same, "web"), (pair(9, 3, [1, 1]), "db")], LATER, false);
    assert_eq!(outcomes(&elsewhere), [0, 0, 2, 0], "the exporter is in another namespace");
}

#[test]
fn a_pair_that_was_made_meanwhile_counts_from_0_and_one_that_moved_to_the_host_does_not() {
    let (state, _) = first_run();
    let mut ledger = restored(&state, "b", LATER);
    let mut moved = pair(7, 1, [40, 4]);
    moved.sides[0].link.as_mut().unwrap().address = mac(105);
    see(&mut ledger, &[(pair(6, 2, [30, 3]), "db"), (moved, "web")], LATER, false);
    let db = ("db".to_owned(), 30, 3, LATER);
    assert_eq!(totals(&ledger), [db, ("web".to_owned(), 100, 7, 3 * SECOND)]);
    assert_eq!(outcomes(&ledger), [0, 1, 1, 0]);
    ledger.end_restoring();
    assert_eq!(outcomes(&ledger), [0, 1, 1, 1], "the saved pair is not there any more");
    see(&mut ledger, &[(pair(8, 3, [30, 3]), "late")], LATER, false);
    assert_eq!(totals(&ledger)[1], ("late".to_owned(), 0, 0, LATER), "pairs are no longer waited for");
}

#[test]
fn after_a_reboot_totals_go_on_with_all_that_the_pairs_have_counted() {
    let (state, same) = first_run();
    let mut ledger = restored(&state, "c", LATER);
    // The same ids and higher counters prove nothing in another boot.
    see(&mut ledger, &[(same, "web")], LATER, false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 200, 14, 3 * SECOND)]);
    assert_eq!(outcomes(&ledger), [0, 1, 0, 0]);
    assert_eq!(ledger.raise_highest(3), 3, "ifindexes begin anew");
}

#[test]
fn what_was_held_back_when_the_state_was_saved_is_booked_later() {
    let mut ledger = Whole::default();
    let first = pair(5, 1, [100, 7]);
    ledger.reconcile(&[first], SECOND, |_| true, |_| false);
    let state = saved(&mut ledger, &[first], 5);
    assert_eq!(state.pairs[0].unbooked[1].receive.bytes, 100);
    let mut ledger = restored(&state, "b", LATER);
    see(&mut ledger, &[(pair(5, 1, [160, 9]), "web")], LATER, false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 160, 9, LATER)]);
}

#[test]
fn a_second_restart_before_a_pair_was_seen_again_loses_nothing() {
    let (state, first) = first_run();
    let mut between = restored(&state, "b", LATER);
    let again = saved(&mut between, &[first], 5);
    assert_eq!(
        (&again.workloads, &again.networks, &again.pairs),
        (&with_idle(&state), &networks(&state), &state.pairs)
    );
    let mut ledger = restored(&again, "b", LATER);
    see(&mut ledger, &[(pair(5, 1, [160, 9]), "web")], LATER, false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 160, 9, 3 * SECOND)]);
}

/// Returns the totals of a state as they are while no pair carries them.
fn with_idle(state: &SavedState) -> Vec<SavedTotal<LabelSet>> {
    let idle = Some(EPOCH + LATER);
    state.workloads.iter().map(|total| SavedTotal { idle, ..total.clone() }).collect()
}

fn networks(state: &SavedState) -> Vec<SavedTotal<NetworkLabels>> {
    // The workload's total carries that of its network.
    state.networks.iter().map(|total| SavedTotal { idle: None, ..total.clone() }).collect()
}

#[test]
fn a_total_without_a_pair_has_what_is_left_of_its_retention_whatever_the_clock_says() {
    let (state, _) = first_run();
    let idle = |at: Duration| {
        let workloads = state.workloads.iter().map(|total| SavedTotal { idle: Some(at), ..total.clone() });
        SavedState { workloads: workloads.collect(), ..state.clone() }
    };
    let mut ledger = restored(&idle(EPOCH + LATER - MINUTE), "b", LATER);
    assert!(!ledger.expire(LATER + 3 * MINUTE, 5 * MINUTE));
    assert!(ledger.expire(LATER + 4 * MINUTE + SECOND, 5 * MINUTE));
    // The clock was set back by a day: the total was left in the future, which counts as now.
    let mut ledger = restored(&idle(EPOCH + 1_440 * MINUTE), "b", LATER);
    assert!(!ledger.expire(LATER + 5 * MINUTE, 5 * MINUTE));
    assert!(ledger.expire(LATER + 5 * MINUTE + SECOND, 5 * MINUTE));
    assert_eq!(Traffic::default(), ledger.traffic(0).0);
}

#[test]
fn totals_beyond_a_lower_limit_are_summed_and_no_byte_is_lost() {
    let mut ledger = Whole::default();
    let pairs: Vec<Pair> = (1..=9).map(|n| pair(n, n, [100, 7])).collect();
    let names: Vec<String> = (1..=9).map(|n| format!("c{n}")).collect();
    let booked: Vec<(Pair, &str)> = pairs.iter().copied().zip(names.iter().map(String::as_str)).collect();
    see(&mut ledger, &booked, SECOND, true);
    let state = saved(&mut ledger, &pairs, 9);
    let mut ledger = Whole::default();
    let output = OutputLimits { series: 45, ..OutputLimits::default() };
    let few = SeriesLimits { output, shows: &|_| true };
    ledger.restore(state, &here("b"), |time| time.saturating_sub(EPOCH).min(LATER), LATER, &few);
    let totals = totals(&ledger);
    assert!(totals.len() < 9 && totals.iter().any(|total| total.0 == "other"), "{totals:?}");
    assert_eq!(totals.iter().map(|total| total.1).sum::<u64>(), 900);
}
