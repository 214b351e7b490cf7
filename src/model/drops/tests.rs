use super::*;
use crate::model::policy::DROP_REASONS;
use crate::model::workload::{Runtime, WorkloadName};
use std::cell::RefCell;

const SECOND: Duration = Duration::from_secs(1);

/// The facts, as a test sets them: the owner of each namespace and of each port of the host.
#[derive(Default)]
struct Facts {
    netns: BTreeMap<u32, NetnsId>,
    owners: RefCell<BTreeMap<(NetnsId, u32), DropBooking>>,
    reasons: DropReasons,
    room: usize,
}

impl Facts {
    fn new() -> Facts {
        let kernel = [
            (0, "SKB_NOT_DROPPED_YET"),
            (1, "SKB_CONSUMED"),
            (2, "SKB_DROP_REASON_NOT_SPECIFIED"),
            (3, "SKB_DROP_REASON_NO_SOCKET"),
            (4, "SKB_DROP_REASON_TCP_OLD_ACK"),
        ];
        let kernel = kernel.into_iter().map(|(number, name)| (number, name.to_owned())).collect();
        Facts { reasons: DropReasons::new(&kernel), room: 1_000, ..Facts::default() }
    }

    fn owns(&self, netns: NetnsId, ifindex: u32, owner: DropBooking) {
        self.owners.borrow_mut().insert((netns, ifindex), owner);
    }

    fn answer(&self, state: &mut DropState, reading: DropReading, now: Duration) {
        let owner = |netns, ifindex| {
            let owners = self.owners.borrow();
            let owner = owners.get(&(netns, ifindex)).or_else(|| owners.get(&(netns, 0)));
            owner.cloned().unwrap_or(DropBooking::To(DropOwner::NoWorkload))
        };
        let facts = DropFacts {
            netns: &|nsid| nsid.map_or(NetnsId::Host, |nsid| self.netns[&nsid]),
            owner: &owner,
            room: self.room,
        };
        state.answer(reading, &facts, now);
    }
}

fn web() -> WorkloadName {
    named("web")
}

fn named(name: &str) -> WorkloadName {
    let container = name.to_owned();
    WorkloadName { runtime: Runtime::Docker, container, namespace: String::new(), pod: String::new() }
}

fn counts(counts: &[(u64, u32, u32, u64)]) -> Vec<(DropKey, u64)> {
    let row = |&(cookie, ifindex, reason, packets): &(u64, u32, u32, u64)| {
        (DropKey { cookie, ifindex, reason }, packets)
    };
    counts.iter().map(row).collect()
}

/// A reading with the namespaces 5 (the host's, which has the id 0 in itself) and 6 (that of the id 1).
fn reading(rows: &[(u64, u32, u32, u64)]) -> DropReading {
    let namespaces = [(None, 5), (Some(1), 6), (Some(0), 5)];
    let namespaces = namespaces.map(|(nsid, cookie)| NetnsCookie { nsid, cookie }).into();
    DropReading { counts: counts(rows), namespaces: Some(namespaces), ..DropReading::default() }
}

fn guest() -> NetnsId {
    NetnsId::Other { nsid: 1, generation: 1 }
}

fn shown(state: &DropState) -> Vec<(String, String, u64)> {
    let owner = |owner: &DropOwner| match owner {
        DropOwner::Workload(name) => name.container.to_string(),
        DropOwner::Host => "host".to_owned(),
        DropOwner::NoWorkload => "none".to_owned(),
    };
    state
        .series()
        .map(|(series, packets)| (owner(&series.owner), series.reason.to_string(), packets))
        .collect()
}

fn row(owner: &str, reason: &str, packets: u64) -> (String, String, u64) {
    (owner.to_owned(), reason.to_owned(), packets)
}

/// A state and facts with the workload `web` in the namespace 6, behind the port 7 of the host.
fn begun() -> (DropState, Facts) {
    let mut facts = Facts::new();
    facts.netns.insert(1, guest());
    facts.owns(NetnsId::Host, 0, DropBooking::To(DropOwner::Host));
    facts.owns(NetnsId::Host, 7, of_workload(web()));
    facts.owns(guest(), 0, of_workload(web()));
    let mut state = DropState::default();
    assert_eq!(state.question(Duration::ZERO), None, "nothing is read without reasons");
    state.begin(facts.reasons.clone());
    assert!(state.question(Duration::ZERO).unwrap().with_namespaces);
    (state, facts)
}

#[test]
fn the_reasons_have_the_kernels_names_in_lower_case_and_some_are_left_out() {
    let reasons = Facts::new().reasons;
    let names = [2, 3, 77, 0x2_0005].map(|number| reasons.name(number).to_string());
    assert_eq!(names, ["not_specified", "no_socket", "reason_77", "subsystem_2_5"]);
    let left_out: Vec<usize> =
        reasons.left_out().iter().enumerate().filter(|(_, out)| **out == 1).map(|(at, _)| at).collect();
    assert_eq!((left_out, reasons.unspecified()), (vec![0, 1, 4], 2));
}

#[test]
fn packets_are_booked_to_the_namespaces_owner_to_the_one_behind_a_port_or_to_the_host() {
    let (mut state, facts) = begun();
    let rows = [(5, 0, 3, 1), (5, 7, 3, 2), (5, 9, 3, 4), (6, 2, 3, 8), (6, 3, 2, 16), (0, 0, 3, 32)];
    facts.answer(&mut state, reading(&rows), SECOND);
    let wanted = [
        row("web", "no_socket", 10),
        row("web", "not_specified", 16),
        row("host", "no_socket", 5),
        row("none", "no_socket", 32),
    ];
    assert_eq!(shown(&state), wanted);
    // The same counts again are nothing new.
    facts.answer(&mut state, reading(&rows), 2 * SECOND);
    assert_eq!(shown(&state), wanted);
    assert_eq!(state.counted(), (4, 0));
}

#[test]
fn packets_wait_while_a_better_name_may_come_and_while_their_namespace_is_not_known() {
    let (mut state, facts) = begun();
    facts.owns(guest(), 0, DropBooking::Held);
    facts.answer(&mut state, reading(&[(6, 2, 3, 8), (9, 1, 3, 3)]), SECOND);
    assert_eq!(shown(&state), []);
    assert!(state.question(2 * SECOND).unwrap().with_namespaces, "of whom is the cookie 9?");
    facts.owns(guest(), 0, of_workload(web()));
    facts.answer(&mut state, reading(&[(6, 2, 3, 9), (9, 1, 3, 3)]), 2 * SECOND);
    assert_eq!(shown(&state), [row("web", "no_socket", 9)]);
    let late = SECOND + DROPS_UNKNOWN;
    facts.answer(&mut state, reading(&[(6, 2, 3, 9), (9, 1, 3, 3)]), late);
    assert_eq!(shown(&state), [row("web", "no_socket", 9), row("none", "no_socket", 3)]);
}

#[test]
fn what_a_dead_namespace_dropped_last_is_its_owners_and_then_its_counts_are_removed() {
    let (mut state, facts) = begun();
    facts.answer(&mut state, reading(&[(6, 2, 3, 8)]), SECOND);
    state.end(guest(), of_workload(web()), SECOND);
    facts.owns(guest(), 0, DropBooking::To(DropOwner::NoWorkload));
    assert_eq!(state.question(2 * SECOND).unwrap().forget, counts(&[(6, 2, 3, 8)]));
    // It has dropped one more meanwhile, so it was not removed.
    let last = DropReading { counts: counts(&[(6, 2, 3, 9)]), ..DropReading::default() };
    facts.answer(&mut state, last, 2 * SECOND);
    assert_eq!(shown(&state), [row("web", "no_socket", 9)]);
    let forget = state.question(3 * SECOND).unwrap().forget;
    assert_eq!(forget, counts(&[(6, 2, 3, 9)]));
    let forgotten = forget.iter().map(|(key, _)| *key).collect();
    facts.answer(&mut state, DropReading { forgotten, ..DropReading::default() }, 3 * SECOND);
    assert_eq!(shown(&state), [row("web", "no_socket", 9)]);
    assert_eq!(state.question(4 * SECOND).unwrap().forget, []);
    assert!(state.booked.is_empty());
    state.expire(SECOND + 300 * SECOND, 300 * SECOND);
    assert_eq!(shown(&state), [row("web", "no_socket", 9)], "it is kept for the retention");
    state.expire(3 * SECOND + 300 * SECOND, 300 * SECOND);
    assert_eq!((shown(&state), state.counted()), (vec![], (0, 0)));
}

#[test]
fn a_namespace_of_which_an_id_came_or_went_meanwhile_is_not_believed() {
    let (mut state, facts) = begun();
    state.touch(1);
    facts.answer(&mut state, reading(&[(6, 2, 3, 8)]), SECOND);
    assert_eq!(shown(&state), []);
    assert!(state.question(2 * SECOND).unwrap().with_namespaces);
    facts.answer(&mut state, reading(&[(6, 2, 3, 8)]), 2 * SECOND);
    assert_eq!(shown(&state), [row("web", "no_socket", 8)]);
}

#[test]
fn the_reasons_beyond_the_limit_of_a_workload_are_summed_and_workloads_beyond_the_limit_of_series_too() {
    let (mut state, mut facts) = begun();
    let rows: Vec<_> = (0..40).map(|reason| (6, 0, 0x1_0000 + reason, 1)).collect();
    facts.answer(&mut state, reading(&rows), SECOND);
    let series = shown(&state);
    assert_eq!(series.len(), DROP_REASONS + 1);
    assert!(series.contains(&row("web", "other", 8)), "{series:?}");
    facts.room = series.len();
    facts.owns(guest(), 0, of_workload(named("late")));
    facts.answer(&mut state, reading(&[(6, 1, 3, 5)]), 2 * SECOND);
    assert!(shown(&state).contains(&row("none", "no_socket", 5)), "{:?}", shown(&state));
    assert_eq!(state.counted(), (DROP_REASONS + 2, 1));
}

#[test]
fn no_second_request_is_made_before_the_answer_nor_at_once_behind_it() {
    let (mut state, facts) = begun();
    assert_eq!(state.question(10 * SECOND), None, "one is open");
    facts.answer(&mut state, reading(&[]), SECOND);
    assert_eq!(state.question(DROPS_AT_LEAST / 2), None);
    let request = state.question(2 * SECOND).unwrap();
    assert!(!request.with_namespaces, "no id has come or gone");
    state.fail();
    assert!(state.question(3 * SECOND).is_some(), "a failure closes the request");
}

#[test]
fn counts_of_no_known_namespace_leave_the_kernels_map_once_they_rest() {
    let (mut state, facts) = begun();
    let rest = |state: &mut DropState, now| {
        let request = state.question(now).unwrap();
        facts.answer(state, reading(&[(9, 1, 3, 3)]), now);
        request.forget
    };
    facts.answer(&mut state, reading(&[(9, 1, 3, 3)]), Duration::ZERO);
    assert_eq!(rest(&mut state, DROPS_UNKNOWN), []);
    assert_eq!(rest(&mut state, DROPS_UNKNOWN + DROPS_KEPT / 2), []);
    assert_eq!(rest(&mut state, DROPS_UNKNOWN + DROPS_KEPT), counts(&[(9, 1, 3, 3)]));
}
