//! What pairs had carried that died before their owner was known.

use super::account::HeldBack;
use super::{LabelSet, Ledger, Limits, OwnerHint, Traffic};
use std::time::Duration;

/// So many dead pairs wait for their owner.
pub(super) const UNATTRIBUTED: usize = 4096;

/// What a pair had carried that died while it was held back.
#[derive(Clone, Debug)]
pub(crate) struct Unattributed {
    /// Where it is booked if nothing names the owner.
    pub labels: [Option<LabelSet>; 2],
    /// What may name the owner.
    pub hint: Option<OwnerHint>,
    /// Since when the pair is dead.
    pub since: Duration,
    /// Since when it was counted.
    arrived: Duration,
    traffic: [Traffic; 2],
}

impl Unattributed {
    pub(super) fn new(
        held: HeldBack,
        since: Duration,
        arrived: Duration,
        traffic: [Traffic; 2],
    ) -> Unattributed {
        Unattributed { labels: held.labels, hint: held.hint, since, arrived, traffic }
    }
}

impl Ledger {
    /// Asks of each dead pair's traffic where it is booked, or, unless `all`, of those that have died since
    /// the last time; it waits while the answer is `None`. Where very many wait, the oldest are booked to the
    /// labels that they have without an answer.
    pub(crate) fn attribute_late(
        &mut self,
        owner: impl Fn(&Unattributed) -> Option<[Option<LabelSet>; 2]>,
        all: bool,
        now: Duration,
        limits: &Limits<'_>,
    ) {
        let mut excess = self.unattributed.len().saturating_sub(UNATTRIBUTED);
        let first = if all || excess > 0 { 0 } else { self.asked_late };
        for entry in self.unattributed.split_off(first) {
            let labels = owner(&entry).or_else(|| (excess > 0).then(|| entry.labels.clone()));
            let Some(labels) = labels else {
                self.unattributed.push(entry);
                continue;
            };
            excess = excess.saturating_sub(1);
            for (labels, traffic) in labels.into_iter().zip(entry.traffic) {
                let Some(labels) = labels else { continue };
                let labels = self.book.limit_workload(labels);
                let hidden = !(limits.shows)(&labels);
                let (total, _) =
                    self.book.find_or_open(labels, hidden, (true, false), entry.arrived, now, limits);
                // It is kept for the whole retention from now.
                self.book.workloads.hold(total);
                self.book.book(total, traffic);
                if let Some(total) = self.book.workloads.get_mut(total) {
                    total.skip();
                }
                self.book.workloads.release(total, now);
            }
        }
        self.asked_late = self.unattributed.len();
    }

    /// Returns since when the first of the dead pairs waits for its owner.
    pub(crate) fn waits_since(&self) -> Option<Duration> {
        self.unattributed.first().map(|entry| entry.since)
    }

    /// Returns true if the traffic of a dead pair waits for its owner.
    pub(crate) fn waits(&self) -> bool {
        !self.unattributed.is_empty()
    }
}
