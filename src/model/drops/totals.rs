//! Totals of dropped packets by owner and reason.

use super::reasons::DropReasons;
use crate::model::policy::DROP_REASONS;
use crate::model::workload::WorkloadName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The owner of dropped packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropOwner {
    /// The labels of the workload.
    Workload(Arc<WorkloadName>),
    /// The host's namespace, and no port of a workload.
    Host,
    /// A namespace without a workload, or none, or a workload beyond the limit of series.
    NoWorkload,
}

/// One series of dropped packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSeries {
    /// The workload, the host, or none.
    pub owner: DropOwner,
    /// The name of the reason in lower case.
    pub reason: Arc<str>,
    /// The time from which the total counts, as the state machine's time.
    pub begun: Duration,
}

/// The packets of one owner.
#[derive(Debug)]
struct OwnersDrops {
    reasons: BTreeMap<Arc<str>, (u64, Duration)>,
    /// The cookies of living namespaces of which something was booked here.
    carriers: BTreeSet<u64>,
    /// The time of the last change.
    changed: Duration,
}

/// The totals of all owners.
#[derive(Debug, Default)]
pub(super) struct DropTotals {
    owners: BTreeMap<DropOwner, OwnersDrops>,
    series: usize,
    /// The workloads that there was no room for.
    refused: BTreeSet<Arc<WorkloadName>>,
    version: u64,
}

impl DropTotals {
    /// Adds packets to a total, and opens it if there is room for its series.
    pub(super) fn add(
        &mut self,
        owner: DropOwner,
        reason: Arc<str>,
        packets: u64,
        carrier: Option<u64>,
        room: usize,
        now: Duration,
    ) {
        let owner = match owner {
            DropOwner::Workload(name) if !self.has_room(&name, &reason, room) => {
                if self.refused.len() < room.max(1) {
                    self.refused.insert(name);
                }
                DropOwner::NoWorkload
            }
            DropOwner::Workload(name) => {
                self.refused.remove(&name);
                DropOwner::Workload(name)
            }
            owner => owner,
        };
        let is_bounded = matches!(owner, DropOwner::Workload(_));
        let drops = self.owners.entry(owner).or_insert_with(|| OwnersDrops {
            reasons: BTreeMap::new(),
            carriers: BTreeSet::new(),
            changed: now,
        });
        let is_full = is_bounded && drops.reasons.len() >= DROP_REASONS;
        let reason = match drops.reasons.contains_key(&reason) || !is_full {
            true => reason,
            false => DropReasons::other(),
        };
        let (total, _) = drops.reasons.entry(reason).or_insert_with(|| {
            self.series += 1;
            self.version += 1;
            (0, now)
        });
        *total = total.saturating_add(packets);
        drops.changed = now;
        drops.carriers.extend(carrier);
    }

    /// Returns true if there is room for a series, or it is there.
    fn has_room(&self, name: &Arc<WorkloadName>, reason: &Arc<str>, room: usize) -> bool {
        let drops = self.owners.get(&DropOwner::Workload(Arc::clone(name)));
        let is_there = drops.is_some_and(|drops| drops.reasons.contains_key(reason));
        is_there || self.series < room
    }

    /// Takes the news that the namespace with this cookie is gone.
    pub(super) fn release(&mut self, cookie: u64, now: Duration) {
        for drops in self.owners.values_mut() {
            if drops.carriers.remove(&cookie) {
                drops.changed = now;
            }
        }
    }

    /// Removes the totals of workloads that no namespace has carried for longer than `retention`.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) {
        let (series, version) = (&mut self.series, &mut self.version);
        self.owners.retain(|owner, drops| {
            let is_idle = drops.carriers.is_empty() && now.saturating_sub(drops.changed) > retention;
            let goes = is_idle && matches!(owner, DropOwner::Workload(_));
            if goes {
                *series -= drops.reasons.len();
                *version += 1;
            }
            !goes
        });
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the number of series, and of workloads that there was no room for.
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.series, self.refused.len())
    }

    /// Returns the packets of a series; 0 if it is gone.
    pub(super) fn value(&self, series: &DropSeries) -> u64 {
        let drops = self.owners.get(&series.owner);
        drops.and_then(|drops| drops.reasons.get(&series.reason)).map_or(0, |(total, _)| *total)
    }

    /// Returns every series with its value, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DropSeries, u64)> {
        self.owners.iter().flat_map(|(owner, drops)| {
            drops.reasons.iter().map(|(reason, (total, begun))| {
                let series = DropSeries { owner: owner.clone(), reason: Arc::clone(reason), begun: *begun };
                (series, *total)
            })
        })
    }
}
