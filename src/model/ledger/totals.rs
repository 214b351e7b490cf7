//! Totals by label set: found by their labels, booked to by their number.

use super::Traffic;
use crate::model::peak::Peaks;
use crate::model::slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The number of a total among those of its kind, while it is kept.
pub(super) type TotalId = u32;

/// A total, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Total<L, D> {
    pub(super) labels: Arc<L>,
    pub(super) traffic: Traffic,
    /// Since when it is counted.
    pub(super) begun: Duration,
    pub(super) peaks: Peaks,
    pub(super) detail: D,
    /// A pair carries it at the tick that is being noted.
    pub(super) carried: bool,
    /// When it was stored.
    opened: Duration,
    /// How many accounts, or totals, or runtimes keep it.
    carriers: usize,
    /// Since when nothing keeps it.
    idle: Duration,
}

impl<L, D> Total<L, D> {
    /// Leaves what was just booked out of the peaks: it is of an unknown time.
    pub(super) fn skip(&mut self) {
        self.peaks.skip_to(&self.traffic);
    }
}

/// All totals of one kind.
#[derive(Clone, Debug)]
pub(super) struct Totals<L, D> {
    slots: Slab<Total<L, D>>,
    by_labels: BTreeMap<Arc<L>, TotalId>,
    /// Those that nothing keeps, with the time since when.
    idle: BTreeSet<(Duration, TotalId)>,
    /// How often a total was added or forgotten, or has begun earlier.
    version: u64,
}

impl<L, D> Default for Totals<L, D> {
    fn default() -> Totals<L, D> {
        Totals { slots: Slab::default(), by_labels: BTreeMap::new(), idle: BTreeSet::new(), version: 0 }
    }
}

impl<L: Ord, D> Totals<L, D> {
    /// Returns how often a total was added or forgotten, or has begun earlier.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns how many totals there are.
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// Returns the total with these labels.
    pub(super) fn find(&self, labels: &L) -> Option<TotalId> {
        self.by_labels.get(labels).copied()
    }

    /// Stores a total of nothing that nothing keeps yet; there must be none with these labels.
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

    /// Dates back the beginning of a total that was opened at this very time.
    pub(super) fn begin_earlier(&mut self, id: TotalId, begun: Duration, now: Duration) {
        if let Some(total) = self.slots.get_mut(id).filter(|total| total.opened == now) {
            self.version += u64::from(begun < total.begun);
            total.begun = total.begun.min(begun);
        }
    }

    /// Keeps a total until [`release`](Totals::release).
    pub(super) fn hold(&mut self, id: TotalId) {
        if let Some(total) = self.slots.get_mut(id) {
            if total.carriers == 0 {
                self.idle.remove(&(total.idle, id));
            }
            total.carriers += 1;
        }
    }

    /// Takes one [`hold`](Totals::hold) back: what nothing keeps is forgotten in its time.
    pub(super) fn release(&mut self, id: TotalId, now: Duration) {
        if let Some(total) = self.slots.get_mut(id) {
            total.carriers -= 1;
            if total.carriers == 0 {
                total.idle = now;
                self.idle.insert((now, id));
            }
        }
    }

    /// Takes out the totals that nothing has kept for longer than `retention`.
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

    /// Returns when the next total is to be forgotten.
    pub(super) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        // What is as old as `retention` stays, what is older goes.
        self.idle.first().map(|(idle, _)| *idle + retention + Duration::from_nanos(1))
    }

    /// Returns the total with this number.
    pub(super) fn get(&self, id: TotalId) -> Option<&Total<L, D>> {
        self.slots.get(id)
    }

    /// Returns the total with this number, to change it.
    pub(super) fn get_mut(&mut self, id: TotalId) -> Option<&mut Total<L, D>> {
        self.slots.get_mut(id)
    }

    /// Returns every total, to change it.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Total<L, D>> {
        self.slots.values_mut()
    }

    /// Returns every total, sorted by labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Total<L, D>> {
        self.by_labels.values().filter_map(|&id| self.slots.get(id))
    }
}
