//! The traffic of pairs that died before their owner was known.

use super::account::HeldBack;
use super::{LabelSet, Ledger, OwnerHint, PairChange, PairChangeKind, SeriesLimits, Traffic};
use crate::model::policy::UNATTRIBUTED;
use std::time::Duration;

/// The traffic of a pair that died while it was held back.
#[derive(Clone, Debug)]
pub(crate) struct Unattributed {
    /// The labels that the traffic is booked to if no hint leads to the owner.
    pub labels: [Option<LabelSet>; 2],
    /// The properties by which a runtime may identify the owner.
    pub hint: Option<OwnerHint>,
    /// The time at which the pair died.
    pub since: Duration,
    /// The time from which the traffic was counted.
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
    /// Books the traffic of dead pairs to the labels that `owner` returns; traffic for which it returns
    /// `None` waits. With `all`, asks about every dead pair, else about those that have died since the last
    /// call. Beyond the bound, the oldest pairs are booked to the labels that they have.
    pub(crate) fn attribute_late(
        &mut self,
        owner: impl Fn(&Unattributed) -> Option<[Option<LabelSet>; 2]>,
        all: bool,
        now: Duration,
        limits: &SeriesLimits<'_>,
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
                let labels = self.book.limit_workload(labels, limits);
                let hidden = !(limits.shows)(&labels);
                let (total, _) =
                    self.book.find_or_open(labels, hidden, (true, false), entry.arrived, now, limits);
                self.changes.extend(self.book.shown_labels(total).map(|labels| PairChange {
                    ends: None,
                    labels,
                    kind: PairChangeKind::Gone {
                        lived: entry.since.saturating_sub(entry.arrived),
                        bytes: traffic.receive.bytes + traffic.transmit.bytes,
                    },
                }));
                // The hold starts the retention of the total anew.
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

    /// Returns the time of death of the first pair that waits for its owner.
    pub(crate) fn waits_since(&self) -> Option<Duration> {
        self.unattributed.first().map(|entry| entry.since)
    }

    /// Returns true if the traffic of a dead pair waits for its owner.
    pub(crate) fn waits(&self) -> bool {
        !self.unattributed.is_empty()
    }
}
