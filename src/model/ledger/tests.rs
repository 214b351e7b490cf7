use super::whole::{NO_COST, Whole};
use super::*;
use crate::model::link::{Link, LinkKind, NetnsId};
use crate::model::pairing::Side;
use crate::model::policy::UNATTRIBUTED;
use crate::model::series::OutputLimits;
use crate::model::workload::Runtime;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: Duration = Duration::from_secs(60);

fn end(nsid: Option<u32>, ifindex: u32) -> End {
    let netns = nsid.map_or(NetnsId::Host, |nsid| NetnsId::Other { nsid, generation: 0 });
    End { netns, ifindex }
}

fn sent(bytes: u64) -> Counters {
    Counters { transmit_bytes: bytes, ..Counters::default() }
}

/// Returns a pair with this number of bytes sent by each side.
fn pair(ends: [End; 2], bytes: [u64; 2]) -> Pair {
    let side = |i: usize| {
        let counters = Counters { receive_bytes: bytes[1 - i], ..sent(bytes[i]) };
        Side { end: ends[i], link: Some(Link { counters, ..Link::default() }) }
    };
    Pair { sides: [side(0), side(1)] }
}

fn labels(container: &str) -> LabelSet {
    LabelSet {
        namespace: String::new(),
        pod: String::new(),
        runtime: Runtime::Docker,
        container: container.into(),
        interface: "eth0".into(),
        network: "front".into(),
    }
}

/// Returns a booking with this container on the second side and a port on the first.
fn to(container: &str) -> Booking {
    Booking::To([None, Some(labels(container))], NO_COST)
}

/// Returns the container, received bytes and sent bytes of each total.
fn totals(ledger: &Ledger) -> Vec<(&str, u64, u64)> {
    let totals = ledger.workloads().map(|WorkloadTotal { id, labels, .. }| {
        let traffic = ledger.traffic(id).0;
        (labels.container.as_str(), traffic.receive.bytes, traffic.transmit.bytes)
    });
    totals.collect()
}

fn held(labels: [Option<LabelSet>; 2]) -> Booking {
    Booking::Held { labels, hint: None }
}

fn assign(ledger: &mut Whole, bookings: Vec<Booking>, now: Duration) {
    ledger.assign(bookings, |entry| Some(entry.labels.clone()), now, 5 * MINUTE);
}

#[test]
fn what_the_port_sends_its_workload_receives() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    assert_eq!(totals(&ledger), [("web", 100, 7)]);
}

#[test]
fn a_pair_that_was_only_found_counts_from_there() {
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [100, 7])], MINUTE, |_| false, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    assert_eq!(totals(&ledger), [("web", 0, 0)]);
    ledger.observe(end(None, 5), &sent(130));
    assert_eq!(totals(&ledger), [("web", 30, 0)]);
}

#[test]
fn four_pairs_with_one_label_set_share_its_total_and_have_rates_of_their_own() {
    let mut ledger = Whole::default();
    let pairs: Vec<Pair> = (1..=4).map(|n| pair([end(None, 5 + n), end(Some(n), 2)], [1_000, 0])).collect();
    ledger.reconcile(&pairs, MINUTE, |_| false, |_| false);
    assign(&mut ledger, vec![to("twin"), to("twin"), to("twin"), to("twin")], MINUTE);
    let account = |ledger: &Whole, n: u32| ledger.place(end(None, 5 + n)).unwrap().0;
    assert_eq!(ledger.latest(account(&ledger, 1)).1, None, "no tick has ended");
    ledger.sample_host(&[(8, sent(1_600))]);
    ledger.tick(MINUTE, Duration::from_secs(2), MINUTE);
    for n in 1..=4 {
        let rates = ledger.latest(account(&ledger, n)).1.unwrap();
        assert_eq!((rates.transmit_bytes, rates.receive_bytes), (if n == 3 { 300 } else { 0 }, 0), "{n}");
        assert!(ledger.totals(account(&ledger, n))[1].is_some_and(|(_, shared)| shared));
    }
    ledger.reconcile(&pairs[2..3], MINUTE, |_| false, |_| false);
    let [port, interface] = ledger.totals(account(&ledger, 3));
    assert!(port.is_none() && interface.is_some_and(|(_, shared)| !shared), "the others are gone");
    ledger.tick(2 * MINUTE, Duration::from_secs(2), MINUTE);
    assert_eq!(
        ledger.latest(account(&ledger, 3)).1,
        Some(Rates::default()),
        "the last tick, not the highest"
    );
}

#[test]
fn of_very_many_that_died_unnamed_the_oldest_are_booked_to_nobody_and_no_byte_is_lost() {
    let mut ledger = Whole::default();
    let pairs: Vec<Pair> =
        (0..UNATTRIBUTED as u32 + 3).map(|n| pair([end(None, 5 + n), end(Some(n), 2)], [1, 0])).collect();
    ledger.reconcile(&pairs, MINUTE, |_| true, |_| false);
    assign(&mut ledger, pairs.iter().map(|_| held([None, Some(labels("nobody"))])).collect(), MINUTE);
    ledger.reconcile(&[], 2 * MINUTE, |_| true, |_| false);
    let wait = |ledger: &mut Whole, owner: Option<[Option<LabelSet>; 2]>| {
        ledger.assign(Vec::new(), |_| owner.clone(), 2 * MINUTE, 5 * MINUTE);
    };
    wait(&mut ledger, None);
    assert_eq!(totals(&ledger), [("nobody", 3, 0)]);
    wait(&mut ledger, None);
    assert_eq!(totals(&ledger), [("nobody", 3, 0)]);
    wait(&mut ledger, Some([None, Some(labels("web"))]));
    assert_eq!(totals(&ledger), [("nobody", 3, 0), ("web", UNATTRIBUTED as u64, 0)]);
}

#[test]
fn a_total_goes_on_when_its_container_is_recreated() {
    let mut ledger = Whole::default();
    for life in 1..=3 {
        ledger.reconcile(
            &[pair([end(None, 10 + life), end(Some(life), 2)], [100, 7])],
            MINUTE,
            |_| true,
            |_| false,
        );
        assign(&mut ledger, vec![to("web")], MINUTE);
        assert_eq!(totals(&ledger), [("web", 100 * u64::from(life), 7 * u64::from(life))]);
    }
}

#[test]
fn a_reused_nsid_and_ifindex_is_another_pair_if_the_hosts_end_is() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [100, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    let before = ledger.place(end(None, 5));
    ledger.reconcile(
        &[pair([end(None, 5), end(Some(2), 2)], [110, 0]), pair([end(None, 6), end(Some(1), 2)], [40, 0])],
        MINUTE,
        |_| true,
        |_| false,
    );
    assert_eq!(ledger.place(end(None, 5)), before);
    assert_ne!(ledger.place(end(None, 6)), before);
    assign(&mut ledger, vec![to("web"), to("db")], MINUTE);
    assert_eq!(totals(&ledger), [("db", 40, 0), ("web", 110, 0)]);
}

#[test]
fn a_receive_counter_that_falls_at_the_detach_takes_nothing_back() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [100, 70])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    ledger.observe(end(None, 5), &sent(120)); // receive_bytes is 0 now
    assert_eq!(totals(&ledger), [("web", 120, 70)]);
}

#[test]
fn a_counter_that_goes_backwards_takes_nothing_back_and_books_what_exceeds_its_highest() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [0, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    // No veth's own counter was ever seen to fall during the life of the veth: a lower value comes from an
    // older message.
    for (counter, total) in [(100, 100), (10, 100), (0, 100), (60, 100), (150, 150)] {
        ledger.observe(end(None, 5), &sent(counter));
        assert_eq!(totals(&ledger), [("web", total, 0)], "after {counter}");
    }
}

#[test]
fn a_rename_freezes_the_old_total_and_goes_on_under_the_new_name() {
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [100, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("old")], MINUTE);
    assign(&mut ledger, vec![to("new")], MINUTE);
    ledger.observe(end(None, 5), &sent(150));
    assert_eq!(totals(&ledger), [("new", 50, 0), ("old", 100, 0)]);
}

#[test]
fn what_went_through_before_the_name_was_known_is_booked_to_the_name() {
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [100, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![held([None, Some(labels(""))])], MINUTE);
    assert_eq!(totals(&ledger), []);
    ledger.observe(end(None, 5), &sent(150));
    assign(&mut ledger, vec![to("web")], MINUTE);
    assert_eq!(totals(&ledger), [("web", 150, 0)]);
}

#[test]
fn a_total_begins_when_its_first_pair_came_and_not_when_its_name_did() {
    let begun = |ledger: &Ledger| -> Vec<(String, u64)> {
        ledger.workloads().map(|total| (total.labels.container.clone(), total.begun.as_secs())).collect()
    };
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![held([None, Some(labels("?"))])], MINUTE);
    assert_eq!(begun(&ledger), []);
    assign(&mut ledger, vec![to("web")], 2 * MINUTE);
    assert_eq!(begun(&ledger), [("web".into(), 60)]);
    assert_eq!(ledger.networks().map(|(.., begun)| begun).collect::<Vec<_>>(), [MINUTE]);
    // A new name of a running pair begins now, and the total of the old name stays.
    assign(&mut ledger, vec![to("renamed")], 3 * MINUTE);
    assign(&mut ledger, vec![to("web")], 4 * MINUTE);
    assert_eq!(begun(&ledger), [("renamed".into(), 180), ("web".into(), 60)]);
    // A pair that dies without a name.
    let late = [end(None, 6), end(Some(2), 2)];
    ledger.reconcile(&[pair(ends, [100, 7]), pair(late, [9, 9])], 5 * MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web"), held([None, Some(labels("?"))])], 5 * MINUTE);
    ledger.reconcile(&[pair(ends, [100, 7])], 6 * MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], 6 * MINUTE);
    assert_eq!(begun(&ledger)[0], ("?".into(), 300));
}

#[test]
fn a_pair_that_dies_before_its_name_is_known_is_booked_as_nobodys() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![held([None, Some(labels(""))])], MINUTE);
    ledger.reconcile(&[], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![], MINUTE);
    assert_eq!(totals(&ledger), [("", 100, 7)]);
}

#[test]
fn the_owner_sticks_to_a_pair_that_moves_back_to_the_host_to_die() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 4)], [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    // The container's end is now on the host and is the first side: 4 comes before 5.
    let before = ledger.place(end(None, 5)).unwrap();
    ledger.reconcile(&[pair([end(None, 4), end(None, 5)], [9, 120])], MINUTE, |_| true, |_| false);
    assert_eq!((before.1, ledger.place(end(None, 5))), (0, Some((before.0, 1))));
    assign(&mut ledger, vec![held([None, None])], MINUTE);
    ledger.reconcile(&[], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![], MINUTE);
    assert_eq!(totals(&ledger), [("web", 120, 9)]);
}

#[test]
fn traffic_between_two_ports_is_nobodys_also_when_one_of_them_becomes_an_interface() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(None, 6)], [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![Booking::To([None, None], NO_COST)], 2 * MINUTE);
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 6)], [130, 8])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    assert_eq!(totals(&ledger), [("web", 30, 1)]);
}

#[test]
fn what_a_pair_carried_on_its_way_into_a_container_is_the_containers() {
    // On a busy host the pair stays on the host for longer than it is held back.
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(None, 6)], [90, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![Booking::To([None, None], NO_COST)], MINUTE + Duration::from_secs(2));
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 6)], [130, 8])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE + Duration::from_secs(3));
    assert_eq!(totals(&ledger), [("web", 130, 8)]);
}

#[test]
fn a_total_is_kept_for_the_retention_after_its_last_pair_and_no_longer() {
    let mut ledger = Whole::default();
    ledger.reconcile(&[pair([end(None, 5), end(Some(1), 2)], [100, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    ledger.reconcile(&[], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![], 6 * MINUTE);
    assert_eq!(totals(&ledger), [("web", 100, 0)]);
    assign(&mut ledger, vec![], 6 * MINUTE + Duration::from_millis(1));
    assert_eq!(totals(&ledger), []);
}

#[test]
fn a_network_is_there_with_zero_as_soon_as_it_is_known_and_sums_its_workloads() {
    let mut ledger = Whole::default();
    let network = |name: &str| NetworkLabels { runtime: Runtime::Docker, network: name.into() };
    let known = [network("front"), network("idle")].into();
    ledger.reconcile(
        &[pair([end(None, 5), end(Some(1), 2)], [100, 7]), pair([end(None, 6), end(Some(2), 2)], [50, 1])],
        MINUTE,
        |_| true,
        |_| false,
    );
    ledger.know_networks(
        known,
        MINUTE,
        &SeriesLimits {
            output: OutputLimits { series: 1_000_000, ..OutputLimits::default() },
            shows: &|_| true,
        },
    );
    assign(&mut ledger, vec![to("web"), to("db")], MINUTE);
    let rows: Vec<_> =
        ledger.networks().map(|(l, t, _)| (l.network.as_str(), t.receive.bytes, t.transmit.bytes)).collect();
    assert_eq!(rows, [("front", 150, 8), ("idle", 0, 0)]);
}

/// One step in the life of the pair under test.
#[derive(Clone, Debug)]
enum Step {
    /// The workload receives this many bytes.
    Carry(u64),
    /// The port's counters are read.
    Sample,
    /// The links are read.
    Reconcile,
    /// The pair's name is one of three, or not known.
    Name(Option<u8>),
    /// The container is deleted and created anew.
    Recreate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u64..1000).prop_map(Step::Carry),
        Just(Step::Sample),
        Just(Step::Reconcile),
        proptest::option::of(0u8..3).prop_map(Step::Name),
        Just(Step::Recreate),
    ];
    proptest::collection::vec(step, 1..60)
}

#[test]
fn what_two_parted_ends_have_kept_is_added_up() {
    // With GRO on the receiving end: that end counted 1,009 of 1,010 packets itself (measured).
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [0, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    let packets = |transmit_packets, receive_packets| Counters {
        transmit_packets,
        receive_packets,
        ..Counters::default()
    };
    ledger.observe(ends[0], &packets(1, 0));
    ledger.observe(ends[1], &packets(0, 1010));
    ledger.observe_detached(ends[1], &packets(0, 1009));
    ledger.observe_detached(ends[0], &packets(1, 0));
    let total = ledger.workloads().next().unwrap().id;
    assert_eq!(ledger.traffic(total).0.receive.packets, 1010);
}

/// Returns the counters of one end of a pair with a receiver that counts what its XDP program lets pass.
fn counted(transmit_bytes: u64, receive_bytes: u64) -> Counters {
    Counters { transmit_bytes, receive_bytes, ..Counters::default() }
}

#[test]
fn what_a_receiver_with_xdp_counted_is_not_added_to_a_transmit_that_holds_it_already() {
    // While the ends are attached, the sender shows 1,000: 100 of its own and 900 that its peer counted.
    let attached = [counted(1_000, 0), counted(0, 1_000)];
    let detached = [counted(100, 0), counted(0, 900)];
    for order in [[0, 1], [1, 0]] {
        let mut ledger = Whole::default();
        let ends = [end(None, 5), end(Some(1), 2)];
        ledger.reconcile(&[pair(ends, [0, 0])], MINUTE, |_| true, |_| false);
        assign(&mut ledger, vec![to("web")], MINUTE);
        for side in 0..2 {
            ledger.observe(ends[side], &attached[side]);
        }
        for side in order {
            ledger.observe_detached(ends[side], &detached[side]);
            assert_eq!(totals(&ledger), [("web", 1_000, 0)], "after the end {side} of {order:?}");
        }
    }
}

#[test]
fn without_a_sample_before_the_end_both_last_messages_together_are_all() {
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [0, 0])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    ledger.observe_detached(ends[1], &counted(7, 900));
    ledger.observe_detached(ends[0], &counted(100, 3));
    assert_eq!(totals(&ledger), [("web", 1_000, 10)]);
}

#[test]
fn the_end_that_is_left_brings_the_last_numbers() {
    let mut ledger = Whole::default();
    let ends = [end(None, 5), end(Some(1), 2)];
    ledger.reconcile(&[pair(ends, [100, 7])], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![to("web")], MINUTE);
    // The namespace is gone; the host's end is still there.
    ledger.reconcile(&[], MINUTE, |_| true, |left| left == ends[0]);
    assign(&mut ledger, vec![], MINUTE);
    assert_eq!(ledger.observe_detached(ends[0], &sent(130)), Some((0, 0)));
    ledger.reconcile(&[], MINUTE, |_| true, |_| false);
    assign(&mut ledger, vec![], MINUTE);
    assert_eq!(totals(&ledger), [("web", 130, 7)]);
    assert_eq!(ledger.observe(ends[0], &sent(200)), None);
}

proptest! {
    /// No total falls in any order of steps, and the sum of all totals is all traffic that was carried.
    #[test]
    fn nothing_is_lost_or_counted_twice(steps in steps()) {
        let mut ledger = Whole::default();
        let (mut life, mut carried, mut before_this_life) = (1u32, 0u64, 0u64);
        let mut name: Option<u8> = None;
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let booking = |name: Option<u8>| match name {
            None => held([None, Some(labels("nobody"))]),
            Some(name) => to(&name.to_string()),
        };
        let now = |life: u32, bytes: u64| [pair([end(None, 10 + life), end(Some(1), 2)], [bytes, 0])];
        ledger.reconcile(&now(life, 0), MINUTE, |_| true, |_| false);
        assign(&mut ledger, vec![booking(name)], MINUTE);
        for step in steps {
            let bytes = carried - before_this_life;
            match step {
                Step::Carry(more) => carried += more,
                Step::Sample => {
                    ledger.observe(end(None, 10 + life), &sent(bytes));
                                }
                Step::Name(new) => name = new,
                Step::Reconcile => {
                    ledger.reconcile(&now(life, bytes), MINUTE, |_| true, |_| false);
                    assign(&mut ledger, vec![booking(name)], MINUTE);
                }
                Step::Recreate => {
                    ledger.observe(end(None, 10 + life), &sent(bytes)); // the final counters
                    life += 1;
                    before_this_life = carried;
                    ledger.reconcile(&now(life, 0), MINUTE, |_| true, |_| false);
                    assign(&mut ledger, vec![booking(name)], MINUTE);
                }
            }
            for (container, receive, _) in totals(&ledger) {
                let earlier = last.insert(container.to_owned(), receive).unwrap_or(0);
                prop_assert!(receive >= earlier, "{container} fell from {earlier} to {receive}");
            }
        }
        ledger.reconcile(&now(life, carried - before_this_life), MINUTE, |_| true, |_| false);
        assign(&mut ledger, vec![to("end")], MINUTE);
        let sum: u64 = totals(&ledger).iter().map(|(_, receive, _)| receive).sum();
        prop_assert_eq!(sum, carried);
    }
}

#[test]
fn a_receive_that_falls_is_another_pairs_where_the_receiver_counts_it() {
    for (kind, another) in [(LinkKind::Netkit, true), (LinkKind::Veth, false)] {
        let mut ledger = Whole::default();
        let ends = [end(Some(1), 2), end(Some(2), 2)];
        let mut joined = pair(ends, [100, 7]);
        for link in joined.sides.iter_mut().filter_map(|side| side.link.as_mut()) {
            link.kind = kind;
        }
        ledger.reconcile(&[joined], MINUTE, |_| true, |_| false);
        let seen = |receive_bytes| Counters { receive_bytes, ..sent(100) };
        assert!(!ledger.is_another(ends[0], &seen(7)), "{kind:?}");
        assert_eq!(ledger.is_another(ends[0], &seen(3)), another, "{kind:?}");
        assert!(ledger.is_another(ends[0], &sent(99)), "{kind:?}");
    }
}
