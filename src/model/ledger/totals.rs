//! Totals by label set: looked up by their labels, booked to by their number.

use super::Traffic;
use crate::model::peak::Peaks;
use crate::model::slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The number of a total among those of its kind, while the total is stored.
pub(crate) type TotalId = u32;

/// A total with its labels and its bookkeeping.
#[derive(Clone, Debug)]
pub(super) struct Total<L, D> {
    pub(super) labels: Arc<L>,
    pub(super) traffic: Traffic,
    /// The time from which the total counts.
    pub(super) begun: Duration,
    pub(super) peaks: Peaks,
    pub(super) detail: D,
    /// True if a pair carries the total at the tick that is being recorded.
    pub(super) carried: bool,
    /// The time at which the total was stored.
    opened: Duration,
    /// The number of accounts, other totals and runtimes that hold the total.
    carriers: usize,
    /// The time since which the total has had no carrier.
    idle: Duration,
}

impl<L, D> Total<L, D> {
    /// Leaves the latest booking out of the peaks: the time in which its traffic was carried is not known.
    pub(super) fn skip(&mut self) {
        self.peaks.skip_to(&self.traffic);
    }

    /// Returns the time since which the total has had no carrier; `None` if it has one.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        (self.carriers == 0).then_some(self.idle)
    }

    /// Returns true if several accounts hold the total.
    pub(super) fn is_shared(&self) -> bool {
        self.carriers > 1
    }
}

/// All totals of one kind.
#[derive(Clone, Debug)]
pub(super) struct Totals<L, D> {
    slots: Slab<Total<L, D>>,
    by_labels: BTreeMap<Arc<L>, TotalId>,
    /// The totals without a carrier, each with the time since which it has had none.
    idle: BTreeSet<(Duration, TotalId)>,
    /// The number of times that a total was added or forgotten, was set to begin earlier, or became or ceased
    /// to be shared, or that a period began.
    version: u64,
}

impl<L, D> Default for Totals<L, D> {
    fn default() -> Totals<L, D> {
        Totals { slots: Slab::default(), by_labels: BTreeMap::new(), idle: BTreeSet::new(), version: 0 }
    }
}

impl<L: Ord, D> Totals<L, D> {
    /// Returns a number that changes whenever a total is added or forgotten, begins earlier, or becomes or
    /// ceases to be shared.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the number of totals.
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Returns the total with these labels.
    pub(super) fn find(&self, labels: &L) -> Option<TotalId> {
        self.by_labels.get(labels).copied()
    }

    /// Stores an empty total that has no carrier yet. There must be no total with these labels.
    pub(super) fn open(&mut self, labels: L, begun: Duration, now: Duration, detail: D) -> TotalId {
        self.version += 1;
        let labels = Arc::new(labels);
        let total = Total {
            labels: Arc::clone(&labels),
            traffic: Traffic::default(),
            begun,
            peaks: Peaks::default(),
            detail,
            carried: false,
            opened: now,
            carriers: 0,
            idle: now,
        };
        let id = self.slots.insert(total);
        self.by_labels.insert(labels, id);
        self.idle.insert((now, id));
        id
    }

    /// Sets an earlier beginning of a total that was stored at the time `now`; other totals keep theirs.
    pub(super) fn begin_earlier(&mut self, id: TotalId, begun: Duration, now: Duration) {
        if let Some(total) = self.slots.get_mut(id).filter(|total| total.opened == now) {
            self.version += u64::from(begun < total.begun);
            total.begun = total.begun.min(begun);
        }
    }

    /// Sets the time since which a total without a carrier has had none.
    pub(super) fn set_idle(&mut self, id: TotalId, idle: Duration) {
        if let Some(total) = self.slots.get_mut(id).filter(|total| total.carriers == 0) {
            self.idle.remove(&(total.idle, id));
            total.idle = idle;
            self.idle.insert((idle, id));
        }
    }

    /// Adds a carrier to a total, which is then stored until [`release`](Totals::release).
    pub(super) fn hold(&mut self, id: TotalId) {
        if let Some(total) = self.slots.get_mut(id) {
            if total.carriers == 0 {
                self.idle.remove(&(total.idle, id));
            }
            total.carriers += 1;
            self.version += u64::from(total.carriers == 2);
        }
    }

    /// Removes a carrier that [`hold`](Totals::hold) has added. A total without carriers expires after the
    /// retention.
    pub(super) fn release(&mut self, id: TotalId, now: Duration) {
        if let Some(total) = self.slots.get_mut(id) {
            total.carriers -= 1;
            self.version += u64::from(total.carriers == 1);
            if total.carriers == 0 {
                total.idle = now;
                self.idle.insert((now, id));
            }
        }
    }

    /// Removes and returns the totals that have had no carrier for longer than `retention`.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) -> Vec<Total<L, D>> {
        let mut expired = Vec::new();
        while let Some(&(idle, id)) = self.idle.first()
            && now.saturating_sub(idle) > retention
        {
            self.idle.pop_first();
            if let Some(total) = self.slots.remove(id) {
                self.version += 1;
                self.by_labels.remove(&total.labels);
                expired.push(total);
            }
        }
        expired
    }

    /// Returns the time at which the next total expires.
    pub(super) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        // A total exactly as old as `retention` stays; one that is a nanosecond older expires.
        self.idle.first().map(|(idle, _)| *idle + retention + Duration::from_nanos(1))
    }

    /// Returns the total with this number.
    pub(super) fn get(&self, id: TotalId) -> Option<&Total<L, D>> {
        self.slots.get(id)
    }

    /// Returns the total with this number for modification.
    pub(super) fn get_mut(&mut self, id: TotalId) -> Option<&mut Total<L, D>> {
        self.slots.get_mut(id)
    }

    /// Returns every total for a modification that [`version`](Totals::version) reports.
    pub(super) fn values_changed(&mut self) -> impl Iterator<Item = &mut Total<L, D>> {
        self.version += 1;
        self.slots.values_mut()
    }

    /// Returns every total for modification.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Total<L, D>> {
        self.slots.values_mut()
    }

    /// Returns every total with its number, sorted by labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TotalId, &Total<L, D>)> {
        self.by_labels.values().filter_map(|&id| Some((id, self.slots.get(id)?)))
    }
}
