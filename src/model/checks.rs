//! The checks of single namespaces by a serving exporter: which namespace is examined next, and what has
//! been found twice.
//!
//! A check reads what no event reports: addresses, routes, neighbours, switches. At most one namespace a
//! second is examined. A check of a host with many links reads much that all namespaces share, so there
//! several namespaces are examined together, and as many seconds pass until the next ones.

use super::link::End;
use super::problems::ProblemKind;
use super::problems::checked::CheckedPair;
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

#[derive(Debug)]
struct CheckedNetns {
    /// The time of the next check.
    due: Duration,
    found: BTreeSet<FoundKey>,
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
            let new = || CheckedNetns { due: now + NEW, found: BTreeSet::new() };
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
    /// before as well: what an engine is about to change is no problem.
    pub(crate) fn confirm(&mut self, nsid: u32, found: Vec<CheckedPair>, now: Duration) -> Vec<CheckedPair> {
        let keys =
            found.iter().flat_map(|pair| pair.findings.iter().map(|finding| (pair.ends, finding.kind)));
        let keys: BTreeSet<FoundKey> = keys.collect();
        let again = if keys.is_empty() { WELL } else { FOUND };
        let next = CheckedNetns { due: now + again, found: keys };
        let before = self.known.insert(nsid, next).map(|before| before.found).unwrap_or_default();
        let confirmed = found.into_iter().map(|CheckedPair { ends, mut findings }| {
            findings.retain(|finding| before.contains(&(ends, finding.kind)));
            CheckedPair { ends, findings }
        });
        confirmed.collect()
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

    fn pair(nsid: u32, kinds: &[ProblemKind]) -> CheckedPair {
        let port = End { netns: NetnsId::Host, ifindex: 10 + nsid };
        let interface = End { netns: NetnsId::Other { nsid, generation: 0 }, ifindex: 2 };
        let finding = |kind: &ProblemKind| CheckedFinding {
            kind: *kind,
            severity: Severity::Critical,
            text: String::new(),
            remedy: String::new(),
        };
        CheckedPair { ends: [port, interface], findings: kinds.iter().map(finding).collect() }
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
                schedule.confirm(nsid, vec![pair(nsid, kinds)], now);
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
        let mut check = |kinds: &[ProblemKind]| {
            let confirmed = schedule.confirm(7, vec![pair(7, kinds)], Duration::ZERO);
            confirmed.into_iter().flat_map(|pair| pair.findings).map(|of| of.kind).collect::<Vec<_>>()
        };
        assert_eq!(check(&[NoRoute]), []);
        assert_eq!(check(&[NoRoute, ArpOff]), [NoRoute]);
        assert_eq!(check(&[ArpOff]), [ArpOff]);
        assert_eq!(check(&[]), []);
        assert_eq!(check(&[ArpOff]), []);
    }

    #[test]
    fn a_check_that_could_not_read_comes_again_and_forgets_nothing() {
        let mut schedule = CheckSchedule::default();
        let found = || vec![pair(0, &[ProblemKind::NoRoute])];
        let shown = BTreeSet::from([0]);
        schedule.due(&shown, Duration::ZERO);
        schedule.confirm(0, found(), 10 * SECOND);
        schedule.postpone(0, 20 * SECOND);
        assert_eq!(schedule.due(&shown, 29 * SECOND), [0; 0]);
        assert_eq!(schedule.due(&shown, 30 * SECOND), [0]);
        assert_eq!(schedule.confirm(0, found(), 30 * SECOND), found());
    }

    #[test]
    fn a_namespace_that_is_gone_is_forgotten() {
        let mut schedule = CheckSchedule::default();
        run(&mut schedule, 5, &[ProblemKind::NoRoute], 60);
        assert_eq!(schedule.due(&BTreeSet::new(), 61 * SECOND), [0; 0]);
        assert!(schedule.known.is_empty());
    }
}
