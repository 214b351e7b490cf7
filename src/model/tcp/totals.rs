//! Totals of TCP figures by workload.

use super::{TCP_COUNTERS, TcpFigures};
use crate::model::slab::Slab;
use crate::model::workload::WorkloadName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The number of a total while it is stored.
pub(crate) type TcpTotalId = u32;

/// A workload with TCP figures, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpWorkload {
    /// The labels of its series.
    pub labels: Arc<WorkloadName>,
    /// The time from which the totals count, as the state machine's time.
    pub begun: Duration,
}

/// The figures of all namespaces that had the same labels.
#[derive(Debug)]
struct TcpTotal {
    workload: TcpWorkload,
    counters: [Option<u64>; TCP_COUNTERS],
    /// The sum over the namespaces that carry the total, and the number of those with a reading.
    sockets: u64,
    readable: usize,
    /// The number of namespaces that carry the total.
    carriers: usize,
    /// The time since which the total has had no carrier.
    idle: Duration,
}

/// The totals of all label sets.
#[derive(Debug, Default)]
pub(super) struct TcpTotals {
    slots: Slab<TcpTotal>,
    by_labels: BTreeMap<Arc<WorkloadName>, TcpTotalId>,
    /// The totals without a carrier, each with the time since which it has had none.
    idle: BTreeSet<(Duration, TcpTotalId)>,
    version: u64,
    /// The number of changes of figures.
    changes: u64,
}

impl TcpTotals {
    /// Returns a number that changes whenever a total is added or forgotten.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns a number that changes whenever the figures of a total do.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the number of totals.
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Returns the total with these labels. If there is none, adds one that has no carrier yet, or returns
    /// `None` unless it `may_open` one.
    pub(super) fn find_or_open(
        &mut self,
        labels: WorkloadName,
        begun: Duration,
        now: Duration,
        may_open: bool,
    ) -> Option<TcpTotalId> {
        if let Some(id) = self.by_labels.get(&labels) {
            return Some(*id);
        }
        if !may_open {
            return None;
        }
        self.version += 1;
        let labels = Arc::new(labels);
        let id = self.slots.insert(TcpTotal {
            workload: TcpWorkload { labels: Arc::clone(&labels), begun },
            counters: [None; TCP_COUNTERS],
            sockets: 0,
            readable: 0,
            carriers: 0,
            idle: now,
        });
        self.by_labels.insert(labels, id);
        self.idle.insert((now, id));
        Some(id)
    }

    /// Adds a carrier to a total.
    pub(super) fn hold(&mut self, id: TcpTotalId) {
        if let Some(total) = self.slots.get_mut(id) {
            self.idle.remove(&(total.idle, id));
            total.carriers += 1;
        }
    }

    /// Removes a carrier with its sockets.
    pub(super) fn release(&mut self, id: TcpTotalId, sockets: Option<u64>, now: Duration) {
        self.add(id, &[None; TCP_COUNTERS], sockets, None);
        if let Some(total) = self.slots.get_mut(id) {
            total.carriers -= 1;
            if total.carriers == 0 {
                total.idle = now;
                self.idle.insert((now, id));
            }
        }
    }

    /// Adds what a carrier has counted, and replaces its sockets.
    pub(super) fn add(
        &mut self,
        id: TcpTotalId,
        counted: &[Option<u64>; TCP_COUNTERS],
        before: Option<u64>,
        now: Option<u64>,
    ) {
        let Some(total) = self.slots.get_mut(id) else { return };
        self.changes += 1;
        for (sum, counted) in total.counters.iter_mut().zip(counted) {
            if let Some(counted) = counted {
                *sum = Some(sum.unwrap_or(0).saturating_add(*counted));
            }
        }
        total.readable = total.readable - usize::from(before.is_some()) + usize::from(now.is_some());
        total.sockets = (total.sockets - before.unwrap_or(0)).saturating_add(now.unwrap_or(0));
    }

    /// Removes the totals that have had no carrier for longer than `retention`.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) {
        while let Some(&(idle, id)) = self.idle.first()
            && now.saturating_sub(idle) > retention
        {
            self.idle.pop_first();
            if let Some(total) = self.slots.remove(id) {
                self.version += 1;
                self.by_labels.remove(&total.workload.labels);
            }
        }
    }

    /// Returns the time at which the next total expires.
    pub(super) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        self.idle.first().map(|(idle, _)| *idle + retention + Duration::from_nanos(1))
    }

    /// Returns every total, sorted by labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TcpTotalId, TcpWorkload)> {
        self.by_labels.values().filter_map(|&id| Some((id, self.slots.get(id)?.workload.clone())))
    }

    /// Returns the figures of a total.
    pub(super) fn figures(&self, id: TcpTotalId) -> TcpFigures {
        let Some(total) = self.slots.get(id) else { return TcpFigures::default() };
        TcpFigures::new(total.counters, (total.readable > 0).then_some(total.sockets))
    }
}
