use super::*;
use crate::model::ledger::Flow;
use crate::model::link::Mac;
use crate::model::periods::ByteSums;
use crate::model::state::recover::{Recovered, Unusable, recover};
use crate::model::state::{SavedPair, SavedStarts, SavedState, SavedTotal};
use crate::model::workload::Runtime;
use proptest::prelude::*;

fn moment(taken: u64) -> Moment {
    Moment { boot: "b0-1".into(), netns: 4_026_531_840, highest: 77, taken: Duration::from_nanos(taken) }
}

fn labels(container: &str) -> LabelSet {
    LabelSet {
        runtime: Runtime::Docker,
        container: container.into(),
        namespace: String::new(),
        pod: String::new(),
        interface: "eth0".into(),
        network: "shop front".into(),
    }
}

fn traffic(bytes: u64) -> Traffic {
    Traffic { receive: Flow { bytes, packets: 1, dropped: 0 }, ..Traffic::default() }
}

fn bases(bytes: u64) -> PeriodBases {
    let base = |receive| ByteSums { receive, transmit: 0 };
    PeriodBases { today: base(bytes / 2), month: base(bytes / 3) }
}

/// Returns periods that have begun that long after 1970, and that are counted from a later time.
fn periods(start: u64) -> Option<ByPeriod<Period>> {
    let period = |start| Period {
        start: Duration::from_nanos(start),
        since: Duration::from_nanos(start) + Duration::from_millis(3),
    };
    Some(ByPeriod { today: period(start), month: period(start / 2) })
}

fn state(container: &str, bytes: u64, taken: u64) -> SavedState {
    let (labels, begun) = (labels(container), Duration::from_nanos(5));
    let end = |nsid, ifindex| SavedEnd { nsid, ifindex, address: Some(Mac([2, 0, 0, 0, 0, 9])) };
    let counters = Counters { transmit_bytes: bytes, ..Counters::default() };
    let network = NetworkLabels { runtime: Runtime::Docker, network: labels.network.clone() };
    let name = labels.workload_name();
    SavedState {
        moment: moment(taken),
        periods: periods(taken / 2),
        workloads: vec![SavedTotal {
            labels,
            traffic: traffic(bytes),
            begun,
            idle: Some(begun),
            bases: bases(bytes),
        }],
        networks: vec![SavedTotal {
            labels: network,
            traffic: traffic(bytes),
            begun,
            idle: None,
            bases: PeriodBases::default(),
        }],
        starts: vec![SavedStarts { name, count: 3, begun, is_shown: true }],
        pairs: vec![SavedPair {
            ends: [end(None, 12), SavedEnd { address: None, ..end(Some(4), 2) }],
            highest: [counters, Counters::default()],
            unbooked: [traffic(7), Traffic::default()],
            totals: [None, None],
        }],
    }
}

/// Adds all of a state as one batch.
fn write(journal: &mut Journal, state: &SavedState, whole: bool) -> Option<Batch> {
    journal.begin(whole);
    journal.periods(state.periods);
    let mut records = Vec::new();
    for total in &state.workloads {
        let record = journal.workload(&total.labels, &total.traffic, total.begun, total.idle, &total.bases);
        records.push(record);
    }
    for total in &state.networks {
        journal.network(&total.labels, &total.traffic, total.begun, total.idle);
    }
    for starts in &state.starts {
        journal.starts(&starts.name, starts.count, starts.begun, starts.is_shown);
    }
    for pair in &state.pairs {
        let totals = pair.totals.map(|total| total.map(|index| records[index]));
        journal.pair(&pair.ends, &pair.highest, &pair.unbooked, totals);
    }
    let mut batch = journal.commit(&state.moment)?;
    batch.seal();
    Some(batch)
}

/// Two batches: a state, and another that replaces it.
fn two_batches() -> (Vec<u8>, usize, [SavedState; 2]) {
    let states = [state("web", 100, 1), state("web", 250, 2)];
    let mut journal = Journal::default();
    let first = write(&mut journal, &states[0], false).unwrap();
    let second = write(&mut journal, &states[1], false).unwrap();
    assert_eq!((first.is_whole, second.is_whole), (true, false));
    ([first.bytes.as_slice(), &second.bytes].concat(), first.bytes.len(), states)
}

#[test]
fn a_state_comes_back_as_it_was_and_only_what_has_changed_is_written() {
    let (file, _, states) = two_batches();
    assert_eq!(recover(&file), Ok(Recovered { state: states[1].clone(), lost: 0 }));
    let mut journal = Journal::default();
    write(&mut journal, &states[0], false);
    // Nothing has changed but the time.
    let later = SavedState { moment: moment(9), ..states[0].clone() };
    assert_eq!(write(&mut journal, &later, false), None);
    let mut one = later.clone();
    one.starts[0].count = 4;
    let batch = write(&mut journal, &one, false).unwrap();
    assert_eq!(batch.bytes.iter().filter(|&&byte| byte == b'\n').count(), 2);
}

#[test]
fn a_pair_has_the_totals_that_it_is_booked_to_whatever_comes_and_goes_before_them() {
    let mut journal = Journal::default();
    let mut all = state("web", 100, 1);
    all.workloads.push(SavedTotal { labels: labels("db"), ..all.workloads[0].clone() });
    all.pairs[0].totals = [Some(1), None];
    let mut file = write(&mut journal, &all, false).unwrap().bytes;
    assert_eq!(recover(&file).unwrap().state, all);
    // The first total is gone, and the one behind it is another.
    let mut later = SavedState { moment: moment(2), ..all.clone() };
    later.workloads =
        vec![all.workloads[1].clone(), SavedTotal { labels: labels("new"), ..all.workloads[0].clone() }];
    later.pairs[0].totals = [Some(0), Some(1)];
    file.extend(write(&mut journal, &later, false).unwrap().bytes);
    assert_eq!(recover(&file).unwrap().state, later);
}

#[test]
fn what_is_gone_does_not_come_back() {
    let (mut file, _, states) = two_batches();
    let mut journal = Journal::default();
    write(&mut journal, &states[0], false);
    write(&mut journal, &states[1], false);
    let without = SavedState { pairs: Vec::new(), starts: Vec::new(), ..states[1].clone() };
    file.extend(write(&mut journal, &without, false).unwrap().bytes);
    assert_eq!(recover(&file).unwrap().state, without);
}

#[test]
fn a_file_that_is_cut_at_any_byte_has_the_last_whole_batch() {
    let (file, first, states) = two_batches();
    for length in 0..file.len() {
        let found = recover(&file[..length]);
        match found {
            Err(why) => {
                assert!(length < first, "{length}");
                let is_begun = length >= MAGIC.len();
                assert_eq!(why, if is_begun { Unusable::Damaged } else { Unusable::Foreign }, "{length}");
            }
            Ok(found) => {
                assert!(length >= first, "{length}");
                assert_eq!(found, Recovered { state: states[0].clone(), lost: length - first }, "{length}");
            }
        }
    }
}

#[test]
fn a_bit_that_is_turned_over_is_never_taken_for_another_number() {
    let (file, first, states) = two_batches();
    for bit in 0..file.len() * 8 {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match recover(&bad) {
            // Of a checksum's digits, a letter may become a capital one.
            Ok(found) => assert!(states.contains(&found.state), "{bit}"),
            Err(_) => assert!(bit / 8 < first, "{bit}"),
        }
    }
}

#[test]
fn a_foreign_file_and_another_version_are_told_apart() {
    for foreign in ["", "{}", "veth-exporter", "PK\x03\x04"] {
        assert_eq!(recover(foreign.as_bytes()), Err(Unusable::Foreign), "{foreign}");
    }
    for other in ["veth-exporter-state 3\n", "veth-exporter-state 4000000000\nx", "veth-exporter-state 0\n"] {
        assert_eq!(recover(other.as_bytes()), Err(Unusable::OtherVersion), "{other}");
    }
    for damaged in ["veth-exporter-state 1\n", "veth-exporter-state 1", "veth-exporter-state one\n"] {
        assert_eq!(recover(damaged.as_bytes()), Err(Unusable::Damaged), "{damaged}");
    }
}

/// A file of version 1, as the program wrote it before there were periods.
const VERSION_1: &str = "\
veth-exporter-state 1
b23b4a6b w docker .web . . .eth0 .shop%20front 100 1 0 0 0 0 5 5 0
7fcbeefc n docker .shop%20front 100 1 0 0 0 0 5 - 1
895cbb91 s docker .web . . 3 5 1 2
b9da3532 p - 12 2199023255561 4 2 - 0 0 0 100 0 0 0 0 0 0 0 0 7 1 0 0 0 0 0 0 0 0 0 0 3
cf5673b3 c 4 1 .b0-1 4026531840 77
";

#[test]
fn a_file_of_version_1_has_totals_and_no_periods() {
    let mut expected = state("web", 100, 1);
    expected.periods = None;
    expected.workloads[0].bases = PeriodBases::default();
    assert_eq!(recover(VERSION_1.as_bytes()), Ok(Recovered { state: expected.clone(), lost: 0 }));
    // A program of version 1 takes a file of this version as a whole for another version's.
    let file = write(&mut Journal::default(), &expected, false).unwrap().bytes;
    assert_eq!(
        file.strip_prefix(b"veth-exporter-state 2\n"),
        VERSION_1.as_bytes().strip_prefix(b"veth-exporter-state 1\n")
    );
}

#[test]
fn a_file_is_written_anew_when_its_changes_are_longer_than_its_records() {
    let mut journal = Journal::default();
    let (mut file, mut most, mut whole) = (Vec::new(), 0, 0);
    for n in 0..20_000 {
        let batch = write(&mut journal, &state("web", n, n), n == 4_000).unwrap();
        match batch.is_whole {
            true => (file, whole) = (batch.bytes, whole + 1),
            false => file.extend(batch.bytes),
        }
        most = most.max(file.len());
    }
    assert!(whole > 4 && most < SMALL + 1_000, "{whole} times, {most} bytes");
    assert_eq!(recover(&file).unwrap().state, state("web", 19_999, 19_999));
}

proptest! {
    #[test]
    fn labels_with_any_text_come_back(container: String, interface: String, bytes: u64, taken: u64) {
        let mut hostile = state(&container, bytes, taken);
        hostile.workloads[0].labels.interface = interface;
        hostile.moment.boot = container;
        let file = write(&mut Journal::default(), &hostile, false).unwrap().bytes;
        prop_assert_eq!(recover(&file).unwrap().state, hostile);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let file = [format!("{MAGIC}{VERSION}\n").as_bytes(), &bytes].concat();
        prop_assert!(recover(&file).is_err());
    }
}
