use super::*;
use crate::model::ledger::{Dropping, LabelSet};
use crate::model::link::{Link, LinkKind, Mac, Master, Name, NetnsId};
use crate::model::pairing::{EndState, Role};
use crate::model::peak::Rates;
use crate::model::view::{DropRates, Ownership};

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    Name::from_bytes(text.as_bytes()).unwrap()
}

/// A link of a container's pair that is up, on an engine's bridge.
fn link(ifindex: u32, text: &str) -> Link {
    Link {
        ifindex,
        name: name(text),
        kind: LinkKind::Veth,
        mtu: 1500,
        up: true,
        enabled: true,
        carrier_changes: 2,
        address: Some(Mac([2, 0, 0, 0, 0, ifindex as u8])),
        ..Link::default()
    }
}

/// The pair of a container: the port `vethN` on br0, and `eth0`.
fn pair(n: u32, container: &str) -> ShownPair {
    let owner = Workload::named(Runtime::Docker, container);
    let side = |netns, link: Link, role| ShownSide {
        end: End { netns, ifindex: link.ifindex },
        link: Some(link),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    };
    let port = ShownSide {
        master: Some(Master { name: name("br0"), kind: LinkKind::Bridge }),
        ..side(NetnsId::Host, link(10 + n, &format!("veth{n}")), Role::Port)
    };
    let interface = ShownSide {
        labels: Some(LabelSet::of(&owner, "eth0".into(), String::new())),
        ownership: Some(Arc::new(Ownership::alone(owner, None))),
        ..side(NetnsId::Other { nsid: n, generation: 0 }, link(n, "eth0"), Role::Interface)
    };
    ShownPair { sides: [port, interface], state: EndState::Paired }
}

/// The kinds, the severities, the sentences and the remedies of what is found.
fn told(found: &[Found]) -> Vec<String> {
    let line = |found: &Found| {
        let Found { key, severity, text, remedy, .. } = found;
        format!("{} {}: {text}: {remedy}", key.kind().as_str(), severity.as_str())
    };
    found.iter().map(line).collect()
}

#[test]
fn a_link_that_was_up_is_a_problem_when_it_is_down_and_one_that_never_was_is_none() {
    type Change = fn(&mut [Link; 2]);
    let table: [(&str, Change, &[&str]); 8] = [
        ("up", |_| {}, &[]),
        ("its carrier is there, and it is not said to be up yet", |[port, _]| port.up = false, &[]),
        (
            "the interface is switched off",
            |[port, interface]| {
                (interface.up, interface.enabled, interface.carrier_changes) = (false, false, 3);
                (port.up, port.carrier_changes) = (false, 3);
            },
            &[
                "link_down critical: eth0 of docker/web is switched off: ip link set dev eth0 up, inside docker/web",
            ],
        ),
        (
            "the port is switched off",
            |[port, interface]| {
                (port.up, port.enabled, port.carrier_changes) = (false, false, 3);
                (interface.up, interface.carrier_changes) = (false, 3);
            },
            &["link_down critical: veth1 is switched off: ip link set dev veth1 up"],
        ),
        (
            "both ends are switched on and have no carrier",
            |links| links.iter_mut().for_each(|link| (link.up, link.carrier_changes) = (false, 3)),
            &[
                "link_down critical: veth1 is down and was up before: it has no carrier: see what is at its other \
                 end: ip -d link show dev veth1",
            ],
        ),
        (
            "made, and never up",
            |links| {
                let never =
                    |link: &mut Link| (link.up, link.enabled, link.carrier_changes) = (false, false, 1);
                links.iter_mut().for_each(never);
            },
            &[],
        ),
        (
            "an MTU that is lower inside",
            |[_, interface]| interface.mtu = 1400,
            &[
                "mtu_mismatch warning: veth1 has an MTU of 1500 bytes and eth0 of docker/web one of 1400: longer \
                 frames than 1400 bytes are dropped: give both ends the same MTU: ip link set dev eth0 mtu 1500, \
                 inside docker/web",
            ],
        ),
        (
            "an MTU that is lower outside",
            |[port, _]| port.mtu = 1280,
            &[
                "mtu_mismatch warning: veth1 has an MTU of 1280 bytes and eth0 of docker/web one of 1500: longer \
                 frames than 1280 bytes are dropped: give both ends the same MTU: ip link set dev veth1 mtu 1500",
            ],
        ),
    ];
    for (what, change, expected) in table {
        let mut pair = pair(1, "web");
        let mut links = pair.sides.each_ref().map(|side| side.link.unwrap());
        change(&mut links);
        pair.sides.iter_mut().zip(links).for_each(|(side, link)| side.link = Some(link));
        assert_eq!(told(&links::of_pair(&pair)), expected, "{what}");
        pair.sides.swap(0, 1);
        assert_eq!(told(&links::of_pair(&pair)), expected, "{what}, the other way round");
    }
}

#[test]
fn nothing_is_said_of_a_link_that_cannot_be_read() {
    let mut pair = pair(1, "web");
    pair.sides[1].link = None;
    assert_eq!(told(&links::of_pair(&pair)), [] as [&str; 0]);
    let port = pair.sides[0].link.as_mut().unwrap();
    (port.up, port.carrier_changes) = (false, 3);
    assert_eq!(links::of_pair(&pair).len(), 1, "the port is down");
}

#[test]
fn two_interfaces_with_one_address_on_one_bridge_are_a_problem_of_both() {
    let [web, mut db] = [pair(1, "web"), pair(2, "db")];
    let address = links::segment_address(&web).unwrap();
    assert_ne!(links::segment_address(&db), Some(address));
    db.sides[1].link.as_mut().unwrap().address = Some(address.2);
    assert_eq!(links::segment_address(&db), Some(address));
    let told = told(&links::of_address(address, &[&web, &db]));
    let remedy = "give one of them another address, or remove mac_address from its configuration";
    let line = |own: &str, other: &str| {
        format!(
            "duplicate_address critical: eth0 of docker/{own} and eth0 of docker/{other} have the same MAC address \
             02:00:00:00:00:01 on br0: {remedy}"
        )
    };
    assert_eq!(told, [line("web", "db"), line("db", "web")]);
    db.sides[0].master = None;
    assert_eq!(links::segment_address(&db), None, "without a bridge nothing is shared");
}

/// Lets a pair drop and receive so many packets a second towards its container for some seconds.
fn dropping(windows: &mut DropWindows, pair: &ShownPair, seconds: u64, (dropped, received): (u64, u64)) {
    let ends = pair.sides.each_ref().map(|side| side.end);
    for second in 1..=seconds {
        // The port is the first side: it sends what the container receives.
        let drops = DropRates { receive: 0, transmit: dropped };
        let of_pair = Dropping { account: 0, ends, packets: [0, dropped], rates: drops };
        let rates = Rates { transmit_packets: received, ..Rates::default() };
        let all = if dropped > 0 { vec![of_pair] } else { Vec::new() };
        windows.tick(&all, SECOND, |_| Some(rates), SECOND * second as u32);
    }
}

fn found_drops(windows: &mut DropWindows, pair: &ShownPair) -> Vec<Found> {
    let mut problems = Problems { drops: std::mem::take(windows), ..Problems::default() };
    problems.find_drops(|_| Some(pair), SECOND);
    *windows = std::mem::take(&mut problems.drops);
    problems.known.values().map(|known| (*known.found).clone()).collect()
}

#[test]
fn drops_are_a_problem_by_their_share_of_all_packets_within_the_last_seconds() {
    let pair = pair(1, "web");
    for (seconds, packets, expected) in [
        (1, (2, 0), None),
        (3, (1, 0), Some("critical: 3 packets to docker/web were dropped in the last 3 s, 100 % of all")),
        (
            20,
            (99, 1),
            Some("critical: 1485 packets to docker/web were dropped in the last 15 s, 99 % of all"),
        ),
        (20, (1, 49), Some("warning: 15 packets to docker/web were dropped in the last 15 s, 2.0 % of all")),
        (20, (1, 499), Some("notice: 15 packets to docker/web were dropped in the last 15 s, 0.2 % of all")),
        (
            20,
            (1, 9_999),
            Some("notice: 15 packets to docker/web were dropped in the last 15 s, less than 0.1 % of all"),
        ),
        (20, (0, 500), None),
    ] {
        let mut windows = DropWindows::default();
        dropping(&mut windows, &pair, seconds, packets);
        let remedy =
            "see whether the receiver is busy, filtered or has a smaller MTU: ip -s -d link show dev veth1";
        let expected: Vec<String> = expected.iter().map(|told| format!("drops {told}: {remedy}")).collect();
        assert_eq!(told(&found_drops(&mut windows, &pair)), expected, "{seconds} {packets:?}");
    }
}

#[test]
fn what_has_dropped_is_forgotten_after_some_seconds_and_with_its_pair() {
    let pair = pair(1, "web");
    let mut windows = DropWindows::default();
    dropping(&mut windows, &pair, 3, (10, 0));
    let quiet = |windows: &mut DropWindows, second: u32, there: bool| {
        windows.tick(&[], SECOND, |_| there.then(Rates::default), SECOND * second);
        found_drops(windows, &pair).len()
    };
    assert_eq!((4..=17).map(|second| quiet(&mut windows, second, true)).collect::<Vec<_>>(), [1; 14]);
    assert_eq!(quiet(&mut windows, 18, true), 0, "15 seconds after the last one");
    assert_eq!(format!("{windows:?}"), format!("{:?}", DropWindows::default()));
    dropping(&mut windows, &pair, 3, (10, 0));
    assert_eq!(quiet(&mut windows, 4, false), 0);
    assert_eq!(format!("{windows:?}"), format!("{:?}", DropWindows::default()));
}

fn found(kind: ProblemKind, n: u32, severity: Severity) -> Found {
    let ends = [1, 2].map(|ifindex| End { netns: NetnsId::Other { nsid: n, generation: 0 }, ifindex });
    Found {
        key: ProblemKey::Pair(kind, ends),
        severity,
        subject: Subject { pair: Some(ends), ..Subject::default() },
        text: format!("{n} is wrong"),
        remedy: String::new(),
    }
}

/// One tick at which these things are wrong.
fn tick(problems: &mut Problems, found: Vec<Found>, hold_back: Duration, now: Duration) {
    found.into_iter().for_each(|found| problems.find(&Arc::new(found), hold_back, now));
    problems.end_tick();
}

#[test]
fn the_most_severe_comes_first_and_then_the_oldest_and_each_has_the_time_since_when() {
    let mut problems = Problems::default();
    let mut step = |found: Vec<Found>, second: u32| {
        tick(&mut problems, found, Duration::ZERO, SECOND * second);
        let line = |problem: &Problem| format!("{} since {}", problem.text, problem.since.as_secs());
        problems.listed().iter().map(line).collect::<Vec<_>>()
    };
    let warning = |n| found(ProblemKind::Drops, n, Severity::Warning);
    let critical = |n| found(ProblemKind::LinkDown, n, Severity::Critical);
    assert_eq!(step(vec![warning(1)], 1), ["1 is wrong since 1"]);
    assert_eq!(step(vec![warning(0), warning(1)], 2), ["1 is wrong since 1", "0 is wrong since 2"]);
    assert_eq!(
        step(vec![warning(0), critical(2), warning(1)], 3),
        ["2 is wrong since 3", "1 is wrong since 1", "0 is wrong since 2"]
    );
    assert_eq!(step(vec![warning(0)], 4), ["0 is wrong since 2"]);
    assert_eq!(
        step(vec![warning(0), warning(1)], 5),
        ["0 is wrong since 2", "1 is wrong since 5"],
        "another time"
    );
}

#[test]
fn a_link_is_a_problem_once_it_has_been_in_a_bad_state_for_three_hold_backs() {
    let mut problems = Problems::default();
    let mut listed = |second: u32| {
        let down = vec![found(ProblemKind::LinkDown, 1, Severity::Critical)];
        tick(&mut problems, down, SECOND, SECOND * second);
        assert_eq!(problems.counts()[ProblemKind::LinkDown as usize], problems.listed().len());
        problems.listed().len()
    };
    assert_eq!([1, 2, 3, 4, 5].map(&mut listed), [0, 0, 0, 1, 1]);
}

#[test]
fn an_unchanged_list_is_the_same_allocation_and_a_long_one_is_cut() {
    let mut problems = Problems::default();
    let all =
        |count: u32| (0..count).map(|n| found(ProblemKind::Drops, n, Severity::Notice)).collect::<Vec<_>>();
    tick(&mut problems, all(3), Duration::ZERO, SECOND);
    let before = Arc::clone(problems.listed());
    tick(&mut problems, all(3), Duration::ZERO, 2 * SECOND);
    assert!(Arc::ptr_eq(&before, problems.listed()));
    tick(&mut problems, all(LISTED as u32 + 9), Duration::ZERO, 3 * SECOND);
    assert_eq!(problems.listed().len(), LISTED);
    let counts = problems.counts();
    assert_eq!((counts[ProblemKind::Drops as usize], counts.iter().sum::<usize>()), (LISTED + 9, LISTED + 9));
    tick(&mut problems, Vec::new(), Duration::ZERO, 4 * SECOND);
    assert_eq!((problems.listed().len(), problems.known.len()), (0, 0));
}

#[test]
fn a_source_that_fails_or_lacks_something_is_a_problem_with_its_remedy() {
    use crate::model::lack::LackReason;
    let mut status = Status::default();
    status.set_result(Source::Docker, Err(Lack::new(LackReason::EngineDown, "no engine at X")), SECOND);
    status.set_result(Source::Links, Err(Lack::failure("cannot read")), SECOND);
    status.set_result(Source::Events, Ok(()), SECOND);
    status.set_limits(Source::Named, vec![Lack::failure("one name leads nowhere")]);
    let mut problems = Problems::default();
    problems.find_lacks(&status, SECOND);
    let mut found: Vec<Found> = problems.known.values().map(|known| (*known.found).clone()).collect();
    found.sort_by_key(|found| found.severity);
    assert_eq!(
        told(&found),
        [
            "source critical: links: cannot read: ",
            "source warning: docker: no engine at X: start the engine, or name its address with --docker.host",
            "source notice: named: one name leads nowhere: ",
        ]
    );
}

#[test]
fn a_state_that_cannot_be_written_is_a_problem_until_it_is_written() {
    use crate::model::state::{StateFailure, StateFault};
    let failure = |fault, reason: &str| StateFailure {
        directory: "/var/lib/x".to_owned(),
        fault,
        reason: reason.to_owned(),
    };
    let mut problems = Problems::default();
    let mut after = |failure: Option<&StateFailure>| {
        problems.set_state_failure(failure);
        problems.find_state(SECOND);
        problems.end_tick();
        let known = problems.known.values().map(|known| (*known.found).clone());
        told(&known.collect::<Vec<Found>>())
    };
    assert_eq!(
        after(Some(&failure(StateFault::Full, "no space"))),
        [
            "state warning: the state cannot be written to /var/lib/x (no space): a restart would lose what was counted since the last write: free space there (df -h /var/lib/x): it is tried again by itself"
        ]
    );
    assert_eq!(
        after(Some(&failure(StateFault::Missing, "not there"))),
        [
            "state warning: the state directory /var/lib/x cannot be used (not there): totals end with this run: make the directory (mkdir -p /var/lib/x), and start the exporter again"
        ]
    );
    use StateFault::{Full, InUse, Missing, Other, Permission, ReadOnly, Removed};
    let faults = [Full, ReadOnly, Permission, Removed, InUse, Missing, Other];
    let remedies: std::collections::BTreeSet<String> =
        faults.iter().map(|fault| failure(*fault, "").remedy()).collect();
    assert_eq!(remedies.len(), faults.len(), "{remedies:#?}");
    assert_eq!(after(None), [] as [&str; 0]);
    assert_eq!(problems.counts()[ProblemKind::State as usize], 0);
}

#[test]
fn each_kind_has_a_word_of_its_own() {
    let words: std::collections::BTreeSet<&str> = ProblemKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), ProblemKind::ALL.len());
}
