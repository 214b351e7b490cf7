//! The checks of single namespaces by a serving exporter: which namespace is examined next, and what has
//! been found twice.
//!
//! A check reads what no event reports: addresses, routes, neighbours, switches. At most one namespace a
//! second is examined. A check of a host with many links reads much that all namespaces share, so there
//! several namespaces are examined together, and as many seconds pass until the next ones.

use super::explain::facts::FactKind;
use super::link::End;
use super::problems::ProblemKind;
use super::problems::checked::{CheckedFinding, CheckedPair};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The time before a new namespace is examined: engines set interfaces up in steps.
const NEW: Duration = Duration::from_secs(10);

/// The time before a namespace is examined again in which something was found.
const FOUND: Duration = Duration::from_secs(10);

/// The time before a namespace is examined again in which nothing was found.
const WELL: Duration = Duration::from_secs(60);

/// The number of namespaces for each of which one more is examined together with others.
const SHARING: usize = 100;

/// The most namespaces that are examined together.
const TOGETHER: usize = 60;

/// The identity of a finding from one check to the next.
type FoundKey = ([End; 2], ProblemKind);

/// The times of checks, and what the last ones found.
#[derive(Debug, Default)]
pub(crate) struct CheckSchedule {
    known: BTreeMap<u32, CheckedNetns>,
    /// The time before which no namespace is examined.
    next: Duration,
}

/// The result of one check of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairCheck {
    /// Everything that was found.
    pub pair: CheckedPair,
    /// The facts that could not be read.
    pub unread: BTreeSet<FactKind>,
}

#[derive(Debug)]
struct CheckedNetns {
    /// The time of the next check.
    due: Duration,
    found: BTreeMap<FoundKey, KnownFinding>,
}

/// A finding of an earlier check.
#[derive(Clone, Debug)]
struct KnownFinding {
    finding: CheckedFinding,
    /// The facts that could not be read when it was found.
    unread: BTreeSet<FactKind>,
    /// True if two checks have found it.
    confirmed: bool,
}

impl KnownFinding {
    /// Returns true if a check that did not find it lacks a fact that it was found with.
    fn is_hidden_by(&self, unread: &BTreeSet<FactKind>) -> bool {
        unread.difference(&self.unread).any(|fact| rests_on(self.finding.kind, *fact))
    }
}

/// Returns true if a finding of this kind may be missed without the fact.
fn rests_on(kind: ProblemKind, fact: FactKind) -> bool {
    use ProblemKind as Kind;
    match fact {
        FactKind::Links | FactKind::Addresses => true,
        // The routes lead to the gateway: without them only the way's own links are examined.
        FactKind::Routes | FactKind::Files => {
            !matches!(kind, Kind::NoCarrier | Kind::ArpOff | Kind::PortNotForwarding | Kind::BondBackup)
        }
        FactKind::Neighbours => {
            matches!(kind, Kind::NeighbourFailed | Kind::NeighbourOther | Kind::WrongGateway)
        }
        FactKind::Stack => matches!(kind, Kind::ListenOverflow | Kind::ForwardingOff | Kind::RpFilter),
        FactKind::SettingsOfAll => matches!(kind, Kind::ArpIgnore | Kind::RpFilter | Kind::AcceptLocal),
        FactKind::Lookup => matches!(kind, Kind::NoRoute | Kind::RouteRefuses | Kind::OtherDevice),
        FactKind::Listening | FactKind::Filter => false,
    }
}

impl CheckSchedule {
    /// Returns true if a namespace may be examined now.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Returns the namespaces that are to be examined now, of those with pairs that are shown. The ones that
    /// have waited longest come first.
    pub(crate) fn due(&mut self, shown: &BTreeSet<u32>, now: Duration) -> Vec<u32> {
        self.known.retain(|nsid, _| shown.contains(nsid));
        for nsid in shown {
            let new = || CheckedNetns { due: now + NEW, found: BTreeMap::new() };
            self.known.entry(*nsid).or_insert_with(new);
        }
        if !self.is_due(now) {
            return Vec::new();
        }
        let together = shown.len().div_ceil(SHARING).min(TOGETHER);
        let due = self.known.iter().filter(|(_, netns)| netns.due <= now);
        let mut due: Vec<(Duration, u32)> = due.map(|(nsid, netns)| (netns.due, *nsid)).collect();
        due.sort_unstable();
        due.truncate(together);
        self.next = now + Duration::from_secs(due.len().try_into().unwrap_or_default());
        due.into_iter().map(|(_, nsid)| nsid).collect()
    }

    /// Takes everything that was found at a check of a namespace, and returns what was found at the check
    /// before as well: what an engine is about to change is no problem. A finding of the check before that is
    /// not found now, as a fact was not read, stays as it was.
    pub(crate) fn confirm(&mut self, nsid: u32, checks: Vec<PairCheck>, now: Duration) -> Vec<CheckedPair> {
        let before = self.known.remove(&nsid).map(|netns| netns.found).unwrap_or_default();
        let mut found: BTreeMap<FoundKey, KnownFinding> = BTreeMap::new();
        let mut confirmed = Vec::new();
        for PairCheck { pair: CheckedPair { ends, findings }, unread } in checks {
            let mut shown = Vec::new();
            for finding in findings {
                let key = (ends, finding.kind);
                let is_known = before.contains_key(&key);
                shown.extend(is_known.then(|| finding.clone()));
                found.insert(key, KnownFinding { finding, unread: unread.clone(), confirmed: is_known });
            }
            for (key, known) in before.iter().filter(|((of, _), _)| *of == ends) {
                if !found.contains_key(key) && known.is_hidden_by(&unread) {
                    shown.extend(known.confirmed.then(|| known.finding.clone()));
                    found.insert(*key, known.clone());
                }
            }
            confirmed.push(CheckedPair { ends, findings: shown });
        }
        let again = if found.is_empty() { WELL } else { FOUND };
        self.known.insert(nsid, CheckedNetns { due: now + again, found });
        confirmed
    }

    /// Puts a check off that could not read its namespace: what the last ones found stays as it is.
    pub(crate) fn postpone(&mut self, nsid: u32, now: Duration) {
        if let Some(netns) = self.known.get_mut(&nsid) {
            netns.due = now + FOUND;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::NetnsId;
    use crate::model::problems::Severity;
    use crate::model::problems::checked::CheckedFinding;

    const SECOND: Duration = Duration::from_secs(1);

    fn check_of(nsid: u32, kinds: &[ProblemKind]) -> PairCheck {
        let port = End { netns: NetnsId::Host, ifindex: 10 + nsid };
        let interface = End { netns: NetnsId::Other { nsid, generation: 0 }, ifindex: 2 };
        let finding = |kind: &ProblemKind| CheckedFinding {
            kind: *kind,
            severity: Severity::Critical,
            text: String::new(),
            remedy: String::new(),
        };
        let pair = CheckedPair { ends: [port, interface], findings: kinds.iter().map(finding).collect() };
        PairCheck { pair, unread: BTreeSet::new() }
    }

    /// Returns the kinds that a check of the namespace 7 confirms.
    fn confirmed(
        schedule: &mut CheckSchedule,
        kinds: &[ProblemKind],
        unread: &[FactKind],
    ) -> Vec<ProblemKind> {
        let check = PairCheck { unread: unread.iter().copied().collect(), ..check_of(7, kinds) };
        let confirmed = schedule.confirm(7, vec![check], Duration::ZERO);
        confirmed.into_iter().flat_map(|pair| pair.findings).map(|of| of.kind).collect()
    }

    /// Runs the schedule for so many seconds on a host where every check finds this; returns the time and
    /// the namespaces of each check.
    fn run(
        schedule: &mut CheckSchedule,
        namespaces: u32,
        kinds: &[ProblemKind],
        seconds: u32,
    ) -> Vec<(u32, Vec<u32>)> {
        let shown: BTreeSet<u32> = (0..namespaces).collect();
        let checks = (0..seconds).filter_map(|second| {
            let now = second * SECOND;
            let due = schedule.due(&shown, now);
            for &nsid in &due {
                schedule.confirm(nsid, vec![check_of(nsid, kinds)], now);
            }
            (!due.is_empty()).then_some((second, due))
        });
        checks.collect()
    }

    #[test]
    fn at_most_one_namespace_a_second_is_examined() {
        for namespaces in [1, 3, 100, 101, 1000, 5000] {
            let checks = run(&mut CheckSchedule::default(), namespaces, &[], 600);
            let all: BTreeSet<u32> = checks.iter().flat_map(|(_, nsids)| nsids).copied().collect();
            // The first 10 s and the last turn are without a check.
            assert!(all.len() >= (namespaces as usize).min(590 - TOGETHER), "{namespaces}: {}", all.len());
            for (time, nsids) in checks.windows(2).map(|of| (of[1].0 - of[0].0, &of[0].1)) {
                assert!(time as usize >= nsids.len() && nsids.len() <= TOGETHER, "{namespaces}");
            }
        }
    }

    #[test]
    fn what_is_well_is_examined_once_a_minute_and_what_is_not_each_ten_seconds() {
        let times = |kinds: &[ProblemKind]| -> Vec<u32> {
            run(&mut CheckSchedule::default(), 1, kinds, 130).iter().map(|(second, _)| *second).collect()
        };
        assert_eq!(times(&[]), [10, 70]);
        assert_eq!(times(&[ProblemKind::NoRoute]), (1..13).map(|turn| 10 * turn).collect::<Vec<_>>());
    }

    #[test]
    fn a_finding_counts_when_two_checks_in_turn_have_it() {
        use ProblemKind::{ArpOff, NoRoute};
        let mut schedule = CheckSchedule::default();
        let mut check = |kinds: &[ProblemKind]| confirmed(&mut schedule, kinds, &[]);
        assert_eq!(check(&[NoRoute]), []);
        assert_eq!(check(&[NoRoute, ArpOff]), [NoRoute]);
        assert_eq!(check(&[ArpOff]), [ArpOff]);
        assert_eq!(check(&[]), []);
        assert_eq!(check(&[ArpOff]), []);
    }

    #[test]
    fn a_check_that_could_not_read_comes_again_and_forgets_nothing() {
        let mut schedule = CheckSchedule::default();
        let found = || vec![check_of(0, &[ProblemKind::NoRoute])];
        let shown = BTreeSet::from([0]);
        schedule.due(&shown, Duration::ZERO);
        schedule.confirm(0, found(), 10 * SECOND);
        schedule.postpone(0, 20 * SECOND);
        assert_eq!(schedule.due(&shown, 29 * SECOND), [0; 0]);
        assert_eq!(schedule.due(&shown, 30 * SECOND), [0]);
        let pairs: Vec<CheckedPair> = found().into_iter().map(|check| check.pair).collect();
        assert_eq!(schedule.confirm(0, found(), 30 * SECOND), pairs);
    }

    #[test]
    fn a_check_that_lacks_a_fact_ends_no_problem_that_rests_on_it() {
        use FactKind::{Addresses, Files, Neighbours, Routes};
        use ProblemKind::{ArpOff, NeighbourFailed, NoRoute};
        let mut schedule = CheckSchedule::default();
        let all = [NoRoute, ArpOff, NeighbourFailed];
        assert_eq!(confirmed(&mut schedule, &all, &[]), []);
        assert_eq!(confirmed(&mut schedule, &all, &[]), all);
        // ARP is seen by the link alone; the others are neither found nor gone.
        assert_eq!(confirmed(&mut schedule, &[], &[Routes]), [NeighbourFailed, NoRoute]);
        assert_eq!(confirmed(&mut schedule, &[], &[Files]), [NeighbourFailed, NoRoute]);
        assert_eq!(confirmed(&mut schedule, &[], &[Neighbours]), [NeighbourFailed]);
        assert_eq!(confirmed(&mut schedule, &[], &[Addresses]), [NeighbourFailed]);
        assert_eq!(confirmed(&mut schedule, &[], &[]), []);
    }

    #[test]
    fn what_was_found_without_a_fact_ends_without_it_too() {
        use FactKind::{Addresses, Routes};
        use ProblemKind::SameAddress;
        let mut schedule = CheckSchedule::default();
        assert_eq!(confirmed(&mut schedule, &[SameAddress], &[Routes]), []);
        assert_eq!(confirmed(&mut schedule, &[SameAddress], &[Routes]), [SameAddress]);
        assert_eq!(confirmed(&mut schedule, &[], &[Addresses, Routes]), [SameAddress]);
        assert_eq!(confirmed(&mut schedule, &[], &[Routes]), []);
    }

    #[test]
    fn what_one_check_has_found_and_the_next_could_not_read_is_no_problem_yet() {
        let mut schedule = CheckSchedule::default();
        let no_route = [ProblemKind::NoRoute];
        assert_eq!(confirmed(&mut schedule, &no_route, &[]), []);
        assert_eq!(confirmed(&mut schedule, &[], &[FactKind::Routes]), []);
        assert_eq!(confirmed(&mut schedule, &no_route, &[]), no_route);
    }

    #[test]
    fn a_namespace_that_is_gone_is_forgotten() {
        let mut schedule = CheckSchedule::default();
        run(&mut schedule, 5, &[ProblemKind::NoRoute], 60);
        assert_eq!(schedule.due(&BTreeSet::new(), 61 * SECOND), [0; 0]);
        assert!(schedule.known.is_empty());
    }
}
