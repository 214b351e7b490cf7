//! Claims without a namespace: when to look them up again, and which of them count as rejected.

use crate::model::host::LookFailure;
use crate::model::policy::{LOCATE_PAUSE, LOCATED_AGAIN, YOUNG_CLAIM};
use crate::model::workload::Locator;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The claims for which the last look-up failed.
#[derive(Debug, Default)]
pub(super) struct Locating {
    lost: BTreeMap<Locator, Lost>,
    rejected_ever: u64,
    /// The last locator of the rotation that was looked up again.
    turn: Option<Locator>,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    since: Duration,
    next: Duration,
    rejected: bool,
}

impl Locating {
    /// Handles a failed look-up. A container that vanishes is no error. A path that is no namespace, or that
    /// may not be opened, counts as rejected after a second: a name is created a moment before its namespace
    /// is mounted on it.
    pub(super) fn failed(&mut self, locator: Locator, failure: &LookFailure, now: Duration) {
        let lost = self.lost.entry(locator).or_insert(Lost { since: now, next: now, rejected: false });
        let age = now.saturating_sub(lost.since);
        lost.next = if age < YOUNG_CLAIM { now } else { now + (age / 2).min(LOCATE_PAUSE) };
        if *failure != LookFailure::Gone && !lost.rejected && age >= SECOND {
            lost.rejected = true;
            self.rejected_ever += 1;
        }
    }

    pub(super) fn found(&mut self, locator: &Locator) {
        self.lost.remove(locator);
    }

    /// Forgets a locator without a claim.
    pub(super) fn forget(&mut self, locator: &Locator) {
        self.lost.remove(locator);
    }

    /// Returns the locators to look up now: all that have never failed, and a part of the failed ones that
    /// are due, in rotation.
    pub(super) fn choose(&mut self, wanted: BTreeSet<Locator>, now: Duration) -> Vec<Locator> {
        let (again, mut chosen): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|locator| self.lost.contains_key(locator));
        chosen.extend(self.in_turn(again.into_iter().filter(|l| self.is_due(l, now)).collect()));
        chosen
    }

    fn is_due(&self, locator: &Locator, now: Duration) -> bool {
        self.lost.get(locator).is_none_or(|lost| lost.next <= now)
    }

    fn in_turn(&mut self, due: BTreeSet<Locator>) -> Vec<Locator> {
        let after = self.turn.take().map_or(Bound::Unbounded, Bound::Excluded);
        let later = due.range((after.clone(), Bound::Unbounded));
        let chosen: Vec<Locator> = match &after {
            Bound::Excluded(turn) => later.chain(due.range(..=turn)).take(LOCATED_AGAIN).cloned().collect(),
            _ => later.take(LOCATED_AGAIN).cloned().collect(),
        };
        self.turn = chosen.last().cloned();
        chosen
    }

    /// Returns true while a claim may precede its namespace by a moment.
    pub(super) fn doubts(&self, now: Duration) -> bool {
        self.lost.values().any(|lost| now.saturating_sub(lost.since) < YOUNG_CLAIM)
    }

    /// Returns the number of claims rejected since the start.
    pub(super) fn rejected_ever(&self) -> u64 {
        self.rejected_ever
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pids(range: std::ops::Range<u32>) -> BTreeSet<Locator> {
        range.map(Locator::Pid).collect()
    }

    fn lose(locating: &mut Locating, chosen: Vec<Locator>, now: Duration) -> usize {
        let count = chosen.len();
        chosen.into_iter().for_each(|locator| locating.failed(locator, &LookFailure::Gone, now));
        count
    }

    #[test]
    fn thousands_that_do_not_exist_are_looked_for_once_and_then_in_turn_less_and_less_often() {
        let mut locating = Locating::default();
        let wanted = pids(1..1_001);
        let chosen = locating.choose(wanted.clone(), SECOND);
        assert_eq!(lose(&mut locating, chosen, SECOND), 1_000);
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            let chosen = locating.choose(wanted.clone(), 2 * SECOND);
            assert!(chosen.len() <= LOCATED_AGAIN);
            seen.extend(chosen);
        }
        assert_eq!(seen, wanted, "each has its turn");
        // In an hour of one list per second, each locator is looked up once a minute at most.
        let hour = (3_600..7_200).map(|second| {
            let now = SECOND * second;
            let chosen = locating.choose(wanted.clone(), now);
            lose(&mut locating, chosen, now)
        });
        let looks: usize = hour.sum();
        assert!((55_000..=65_000).contains(&looks), "{looks}");
        assert!(!locating.doubts(7_200 * SECOND) && locating.rejected_ever() == 0);
    }

    #[test]
    fn who_is_new_does_not_wait_behind_those_that_were_not_found() {
        let mut locating = Locating::default();
        let lost = locating.choose(pids(1..10_000), SECOND);
        lose(&mut locating, lost, SECOND);
        let chosen = locating.choose(pids(1..10_002), 2 * SECOND);
        assert_eq!(chosen[..2], [Locator::Pid(10_000), Locator::Pid(10_001)]);
        assert_eq!(chosen.len(), LOCATED_AGAIN + 2);
    }

    #[test]
    fn what_may_not_be_opened_counts_as_rejected_once_and_not_in_its_first_second() {
        let mut locating = Locating::default();
        for (second, rejected) in [(1, 0), (2, 1), (3, 1)] {
            locating.failed(Locator::Pid(1), &LookFailure::Denied, SECOND * second);
            assert_eq!(locating.rejected_ever(), rejected);
        }
        locating.found(&Locator::Pid(1));
        assert!(!locating.doubts(4 * SECOND));
    }
}
