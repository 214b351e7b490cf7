use super::super::whole::{NO_COST, Whole};
use super::super::{Booking, LabelSet, NetworkLabels, SeriesLimits, Traffic, WorkloadTotal};
use super::*;
use crate::model::link::{Counters, LinkKind};
use crate::model::pairing::Side;
use crate::model::periods::ByPeriod;
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
    let totals = ledger.workloads().map(|WorkloadTotal { id, labels, begun, .. }| {
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
fn a_pair_that_lives_on_books_the_difference_to_the_total_that_it_had_which_begins_as_before() {
    let (state, _) = first_run();
    for (container, wanted) in [
        ("web", vec![("web".to_owned(), 160, 9, 3 * SECOND)]),
        ("shop", vec![("shop".to_owned(), 0, 0, LATER), ("web".to_owned(), 160, 9, 3 * SECOND)]),
    ] {
        let mut ledger = restored(&state, "b", LATER);
        assert_eq!(totals(&ledger), [("web".to_owned(), 100, 7, 3 * SECOND)]);
        // Before anything has named it: a scrape must not show less than the run before.
        ledger.reconcile(&[pair(5, 1, [160, 9])], LATER, |_| false, |_| false);
        assert_eq!(totals(&ledger), [("web".to_owned(), 160, 9, 3 * SECOND)]);
        see(&mut ledger, &[(pair(5, 1, [160, 9]), container)], LATER, false);
        assert_eq!(totals(&ledger), wanted);
        see(&mut ledger, &[(pair(5, 1, [165, 9]), container)], LATER, false);
        assert_eq!(totals(&ledger)[0].1, wanted[0].1 + 5);
        assert_eq!(outcomes(&ledger), [1, 0, 0, 0]);
        let network = ledger.networks().map(|(_, traffic, _)| traffic.receive.bytes).collect::<Vec<_>>();
        assert_eq!(network, [165], "a network's total is that of its workloads");
    }
}

#[test]
fn a_total_stays_until_its_pair_is_seen_or_no_longer_waited_for() {
    let (state, _) = first_run();
    let mut ledger = restored(&state, "b", LATER);
    let late = LATER + 30 * SECOND;
    assert!(!ledger.expire(late, 5 * SECOND), "its pair may come yet");
    ledger.reconcile(&[pair(5, 1, [160, 9])], late, |_| false, |_| false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 160, 9, 3 * SECOND)]);
    ledger.end_restoring();
    assert!(!ledger.expire(late + MINUTE, 5 * SECOND), "the pair has it");
    // Of one that is gone or another, the retention began with this run.
    for another in [None, Some(pair(5, 1, [99, 9]))] {
        let mut ledger = restored(&state, "b", LATER);
        let pairs: Vec<Pair> = another.into_iter().collect();
        ledger.reconcile(&pairs, LATER, |_| false, |_| false);
        ledger.end_restoring();
        assert!(!ledger.expire(LATER + 5 * SECOND, 5 * SECOND));
        assert!(ledger.expire(LATER + 6 * SECOND, 5 * SECOND));
        assert_eq!(totals(&ledger), []);
    }
}

#[test]
fn a_pair_keeps_the_name_that_it_had_until_it_gets_one_in_this_run() {
    let (state, _) = first_run();
    let mut ledger = restored(&state, "b", LATER);
    let ends = pair(5, 1, [160, 9]).sides.map(|side| side.end);
    ledger.reconcile(&[pair(5, 1, [160, 9])], LATER, |_| false, |_| false);
    let (id, _) = ledger.place(ends[0]).unwrap();
    assert!(ledger.is_resumed(id));
    let held = || Booking::Held { labels: [None, None], hint: None };
    limits(|limits| ledger.book(vec![held()], LATER, limits));
    assert!(ledger.is_resumed(id) && ledger.is_held(id));
    assert_eq!(ledger.labels(id)[1].as_ref().map(|labels| &*labels.container), Some("web"));
    limits(|limits| ledger.book(vec![to("shop")], LATER, limits));
    assert!(!ledger.is_resumed(id), "it has a name in this run");
}

#[test]
fn a_restart_before_anything_has_named_a_pair_loses_no_total_of_it() {
    let (state, _) = first_run();
    let mut ledger = restored(&state, "b", LATER);
    let seen = pair(5, 1, [160, 9]);
    ledger.reconcile(&[seen], LATER, |_| false, |_| false);
    let state = saved(&mut ledger, &[seen], 5);
    assert_eq!(state.pairs[0].totals, [None, Some(0)]);
    let mut ledger = restored(&state, "b", LATER + MINUTE);
    ledger.reconcile(&[pair(5, 1, [170, 9])], LATER + MINUTE, |_| false, |_| false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 170, 9, 3 * SECOND)]);
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

/// A runtime gives a new container the MAC address of the one before; and an end that has moved to the host may
/// have another one there, while its peer is what it was.
#[test]
fn a_pair_with_a_known_address_is_new_only_if_the_end_has_sent_less_than_the_one_that_had_it() {
    let (state, _) = first_run();
    for (sent, is_new) in [(0, true), (6, true), (7, false), (400, false)] {
        let mut ledger = restored(&state, "b", LATER);
        let mut now = pair(7, 2, [40, sent]);
        now.sides[1].link.as_mut().unwrap().address = mac(105);
        see(&mut ledger, &[(now, "web")], LATER, false);
        let wanted = if is_new { (140, 7 + sent) } else { (100, 7) };
        assert_eq!(totals(&ledger), [("web".to_owned(), wanted.0, wanted.1, 3 * SECOND)], "{sent}");
        assert_eq!(outcomes(&ledger), [0, u64::from(is_new), u64::from(!is_new), 0], "{sent}");
    }
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
        (&state.workloads, &networks(&state), &state.pairs)
    );
    let mut ledger = restored(&again, "b", LATER);
    see(&mut ledger, &[(pair(5, 1, [160, 9]), "web")], LATER, false);
    assert_eq!(totals(&ledger), [("web".to_owned(), 160, 9, 3 * SECOND)]);
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
        SavedState { workloads: workloads.collect(), pairs: Vec::new(), ..state.clone() }
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

/// Returns the bytes of a container that were received today and in this month.
fn received(ledger: &Ledger, container: &str) -> [u64; 2] {
    let total = ledger.workloads().find(|total| total.labels.container == container).unwrap();
    let traffic = ledger.traffic(total.id).0;
    [total.bases.today, total.bases.month].map(|base| base.until(&traffic).receive)
}

const DAY: Duration = Duration::from_secs(86_400);
const NIGHT: Duration = Duration::from_secs(3 * 86_400);

/// Returns when the periods of a day have begun: days are counted from `NIGHT`, and a month has ten.
fn calendar(day: u32) -> ByPeriod<Duration> {
    ByPeriod { today: NIGHT + day * DAY, month: NIGHT + day / 10 * 10 * DAY }
}

/// Returns a ledger at noon of a day, which continues a state.
fn restored_on(day: u32, state: &SavedState) -> Whole {
    let mut ledger = Whole::default();
    ledger.begin_periods(calendar(day), NIGHT + day * DAY + DAY / 2);
    let model_time = |time: Duration| time.saturating_sub(EPOCH).min(LATER);
    limits(|limits| ledger.restore(state.clone(), &here("b"), model_time, LATER, limits));
    ledger
}

#[test]
fn what_passed_today_and_in_this_month_goes_on_across_restarts_and_ends_with_the_period() {
    let mut first = Whole::default();
    assert!(first.begin_periods(calendar(4), NIGHT + 4 * DAY));
    assert!(!first.begin_periods(calendar(4), NIGHT + 4 * DAY));
    see(&mut first, &[(pair(5, 1, [100, 7]), "web")], SECOND, true);
    assert_eq!(received(&first, "web"), [100, 100]);
    let version = first.version();
    assert!(first.begin_periods(calendar(5), NIGHT + 5 * DAY));
    assert_ne!(first.version(), version, "the scene has the bases");
    assert_eq!(received(&first, "web"), [0, 100]);
    // A pair of another workload that begins inside the day.
    let pairs = [(pair(5, 1, [130, 7]), "web"), (pair(6, 2, [20, 0]), "shop")];
    see(&mut first, &pairs, 2 * SECOND, true);
    assert_eq!((received(&first, "web"), received(&first, "shop")), ([30, 130], [20, 20]));
    let mut state = saved(&mut first, &pairs.map(|(pair, _)| pair), 6);
    state.moment.taken = NIGHT + 5 * DAY + DAY / 4;
    assert_eq!(state.periods.unwrap().today.start, NIGHT + 5 * DAY);
    // While the exporter was down, `web` has received 3 bytes and `shop` 4.
    let while_down = [(pair(5, 1, [133, 7]), "web"), (pair(6, 2, [24, 0]), "shop")];
    for (day, web, shop) in [
        (5, [33, 133], [24, 24]),
        (6, [3, 133], [4, 24]),
        (9, [3, 133], [4, 24]),
        (10, [3, 3], [4, 4]),
        (47, [3, 3], [4, 4]),
        // The clock was set back: only what passes from now on is surely of that day.
        (4, [3, 133], [4, 24]),
    ] {
        let mut ledger = restored_on(day, &state);
        let before = [received(&ledger, "web"), received(&ledger, "shop")];
        see(&mut ledger, &while_down, LATER, false);
        let after = [received(&ledger, "web"), received(&ledger, "shop")];
        assert_eq!(after, [web, shop], "day {day}");
        let carried = [0, 1].map(|which| [0, 1].map(|at| after[which][at] - before[which][at]));
        assert_eq!(carried, [[3, 3], [4, 4]], "day {day}: nothing is booked twice");
        // And it goes on from there.
        let mut again = saved(&mut ledger, &while_down.map(|(pair, _)| pair), 6);
        again.moment.taken = NIGHT + day * DAY + DAY / 2;
        let third = restored_on(day, &again);
        assert_eq!([received(&third, "web"), received(&third, "shop")], [web, shop], "day {day}, again");
    }
}

#[test]
fn a_state_without_periods_counts_from_when_it_was_taken() {
    let (state, _) = first_run();
    let state = SavedState { periods: None, ..state };
    let mut ledger = restored_on(
        0,
        &SavedState { moment: Moment { taken: NIGHT + DAY / 4, ..state.moment.clone() }, ..state },
    );
    assert_eq!(received(&ledger, "web"), [0, 0]);
    see(&mut ledger, &[(pair(5, 1, [160, 9]), "web")], LATER, false);
    assert_eq!(received(&ledger, "web"), [60, 60]);
    let ByPeriod { today, month } = ledger.periods().unwrap();
    assert_eq!([today.since, month.since], [NIGHT + DAY / 4; 2]);
}

#[test]
fn a_total_that_began_anew_after_its_retention_has_only_its_own_bytes_of_the_period() {
    let mut ledger = Whole::default();
    ledger.begin_periods(calendar(0), NIGHT + DAY / 2);
    see(&mut ledger, &[(pair(5, 1, [100, 7]), "web")], SECOND, true);
    ledger.reconcile(&[], 2 * SECOND, |_| true, |_| false);
    assert!(ledger.expire(2 * SECOND + 6 * MINUTE, 5 * MINUTE));
    see(&mut ledger, &[(pair(6, 2, [20, 0]), "web")], 10 * MINUTE, true);
    assert_eq!(received(&ledger, "web"), [20, 20]);
    let total = ledger.workloads().next().unwrap();
    assert_eq!(total.begun, 10 * MINUTE);
}

#[test]
fn totals_that_are_summed_keep_the_sum_of_what_passed_in_a_period() {
    let mut ledger = Whole::default();
    ledger.begin_periods(calendar(4), NIGHT + 4 * DAY);
    let names: Vec<String> = (1..=9).map(|n| format!("c{n}")).collect();
    let pairs = |bytes: u64| -> Vec<Pair> { (1..=9).map(|n| pair(n, n, [bytes, 7])).collect() };
    let booked = |bytes: u64| -> Vec<(Pair, &str)> {
        pairs(bytes).into_iter().zip(names.iter().map(String::as_str)).collect()
    };
    see(&mut ledger, &booked(100), SECOND, true);
    ledger.begin_periods(calendar(5), NIGHT + 5 * DAY);
    see(&mut ledger, &booked(101), 2 * SECOND, true);
    let state = saved(&mut ledger, &pairs(101), 9);
    let mut ledger = Whole::default();
    ledger.begin_periods(calendar(5), NIGHT + 5 * DAY + DAY / 2);
    let output = OutputLimits { series: 45, ..OutputLimits::default() };
    let few = SeriesLimits { output, shows: &|_| true };
    ledger.restore(state, &here("b"), |time| time.saturating_sub(EPOCH).min(LATER), LATER, &few);
    let containers: Vec<String> = totals(&ledger).into_iter().map(|total| total.0).collect();
    assert!(containers.len() < 9 && containers.iter().any(|name| name == "other"), "{containers:?}");
    let sums = containers.iter().map(|name| received(&ledger, name));
    assert_eq!(sums.fold([0, 0], |[today, month], more| [today + more[0], month + more[1]]), [9, 909]);
}
