//! The totals that traffic is booked to, within the limit on series.

use super::account::Account;
use super::history::History;
use super::overflow::{Overflow, Placement, SeriesCost};
use super::totals::{TotalId, Totals};
use super::{LabelSet, NetworkLabels, PairChange, PairChangeKind, SeriesLimits, Traffic};
use crate::model::periods::{ByPeriod, PeriodBases};
use crate::model::series::{self, OF_A_LABEL_SET, OF_A_NETWORK, SeriesBudget, Trust};
use crate::model::state::SavedTotal;
use crate::model::workload::WorkloadName;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A workload total's network, its rates, and whether the user's filter hides the total.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    /// The total of the network; `None` if the labels name none.
    network: Option<TotalId>,
    /// True if the user's filter hides the total.
    pub(super) hidden: bool,
    /// The rates in the last hour; `None` if they are not kept.
    pub(super) history: Option<Box<History>>,
    /// The bytes that the total had when the present periods began.
    pub(super) bases: PeriodBases,
}

/// The totals of workloads and networks, the overflow, and the series that they take.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) workloads: Totals<LabelSet, Detail>,
    pub(super) networks: Totals<NetworkLabels, ()>,
    pub(super) overflow: Overflow,
    /// The networks that runtimes report, with their totals.
    known: BTreeMap<NetworkLabels, TotalId>,
    /// The number of label sets of each workload.
    sets: HashMap<WorkloadName, usize>,
    /// The series that shown pairs and totals take.
    room: SeriesBudget,
    /// The room that hidden totals take: they need no series, but as much memory.
    hidden: SeriesBudget,
    /// The number of hidden totals of workloads.
    hidden_totals: usize,
    /// The number of further series that would be shown without a limit.
    refused: usize,
    /// True if series have become free since the last call of [`take_freed`](Book::take_freed).
    freed: bool,
    /// True once a label set was summed because its workload had too many.
    crowded: bool,
}

impl Book {
    /// Adds traffic to a total and to the total of its network.
    pub(super) fn book(&mut self, id: TotalId, traffic: Traffic) {
        let Some(total) = self.workloads.get_mut(id) else { return };
        total.traffic += traffic;
        if let Some(network) = total.detail.network.and_then(|network| self.networks.get_mut(network)) {
            network.traffic += traffic;
        }
    }

    /// Returns the total of the network of a workload's total.
    pub(super) fn network_of(&self, id: TotalId) -> Option<TotalId> {
        self.workloads.get(id)?.detail.network
    }

    /// Returns the labels of a total.
    pub(super) fn labels(&self, id: TotalId) -> Option<Arc<LabelSet>> {
        Some(Arc::clone(&self.workloads.get(id)?.labels))
    }

    /// Returns true once a label set was summed because its workload had too many.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Returns the number of totals shown, of workloads and of networks.
    pub(super) fn shown_totals(&self) -> (usize, usize) {
        (self.workloads.len() - self.hidden_totals, self.networks.len())
    }

    /// Returns a number that changes whenever a total is added or forgotten, begins earlier, or becomes or
    /// ceases to be shared.
    pub(super) fn version(&self) -> u64 {
        self.workloads.version() + self.networks.version()
    }

    /// Returns the number of further series that would be shown without a limit.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// Returns true if series have become free since the last call.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    /// Keeps the totals of the networks that runtimes report, and releases those of all others.
    pub(super) fn know_networks(
        &mut self,
        known: BTreeSet<NetworkLabels>,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) {
        let gone: Vec<NetworkLabels> =
            self.known.keys().filter(|labels| !known.contains(labels)).cloned().collect();
        for labels in gone {
            if let Some(id) = self.known.remove(&labels) {
                self.networks.release(id, now);
            }
        }
        for labels in known {
            if !self.known.contains_key(&labels) {
                let id = self.hold_network(labels.clone(), now, now, limits);
                self.known.insert(labels, id);
            }
        }
    }

    /// Holds a network's total, opened if there is none. If the networks' part of the series is taken, the
    /// new network is summed with the others of its runtime.
    fn hold_network(
        &mut self,
        labels: NetworkLabels,
        begun: Duration,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> TotalId {
        let room = self.networks.len() < series::networks(limits.output.series);
        let id = self.networks.find(&labels).unwrap_or_else(|| {
            let labels = if room { labels } else { labels.overflow() };
            let found = self.networks.find(&labels);
            found.unwrap_or_else(|| self.networks.open(labels, begun, now, ()))
        });
        self.networks.begin_earlier(id, begun, now);
        self.networks.hold(id);
        id
    }

    /// Returns those of `labels` that no traffic of the pair has been booked to.
    pub(super) fn new_labels(&self, account: &Account, labels: &[Option<LabelSet>; 2]) -> Vec<LabelSet> {
        let before = account.totals.map(|total| self.labels(total?));
        // The labels of the overflow stand for those of other workloads, so a pair in it would have new
        // labels each time.
        let in_overflow =
            |side: usize| before[side].as_ref().is_some_and(|labels| labels.interface == series::OTHER);
        let sides = labels.iter().enumerate().filter_map(|(side, labels)| Some((side, labels.as_ref()?)));
        let new = sides.filter(|(side, labels)| before[*side].as_deref() != Some(*labels));
        new.filter(|(side, _)| !in_overflow(*side)).map(|(_, labels)| labels.clone()).collect()
    }

    /// Returns the changes of a pair that was created while the exporter runs and is shown: `named` are the
    /// labels that it did not have before, and `known` says which of them had a total.
    pub(super) fn changes(
        &self,
        account: &Account,
        before: [Option<TotalId>; 2],
        named: &[LabelSet],
        known: &[bool],
    ) -> Vec<PairChange> {
        if !account.born || !matches!(account.placement, Placement::Listed) {
            return Vec::new();
        }
        let had: Vec<LabelSet> =
            before.into_iter().flatten().filter_map(|total| self.shown_labels(total)).collect();
        let shown: Vec<LabelSet> =
            account.totals.into_iter().flatten().filter_map(|total| self.shown_labels(total)).collect();
        let new = named.iter().zip(known).filter(|(labels, _)| shown.contains(labels));
        let change = |(labels, known): (&LabelSet, &bool)| PairChange {
            ends: Some(account.ends),
            labels: labels.clone(),
            kind: match (had.first(), known) {
                (Some(before), _) => PairChangeKind::Renamed(before.clone()),
                (None, true) => PairChangeKind::Recreated,
                (None, false) => PairChangeKind::Appeared,
            },
        };
        new.map(change).collect()
    }

    /// Returns the labels of a total that is shown by itself.
    pub(super) fn shown_labels(&self, id: TotalId) -> Option<LabelSet> {
        let total = self.workloads.get(id).filter(|total| !total.detail.hidden)?;
        (!total.labels.is_overflow() && total.labels.interface != series::OTHER)
            .then(|| LabelSet::clone(&total.labels))
    }

    /// Places a pair that is booked to `labels`: the first time it is listed with its label sets or moved
    /// to the overflow, and from then on it stays where it is. Returns the total of each side.
    pub(super) fn place(
        &mut self,
        account: &mut Account,
        labels: [Option<LabelSet>; 2],
        cost: &SeriesCost,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> [Option<TotalId>; 2] {
        let since = match account.held.is_some() || account.in_transit {
            true => account.arrived,
            false => now,
        };
        let labels = labels.map(|labels| labels.map(|labels| self.limit_workload(labels, limits)));
        let mut refused = 0;
        let mut surely = [false, false];
        if !matches!(account.placement, Placement::Listed) {
            let new = [0, 1].map(|side| {
                !cost.hidden[side]
                    && labels[side].as_ref().is_some_and(|labels| self.workloads.find(labels).is_none())
            });
            // Both sides may have the same labels, which are one new set.
            let count = match new == [true, true] && labels[0] == labels[1] {
                true => 1,
                false => new.iter().filter(|new| **new).count(),
            };
            let sets = count * OF_A_LABEL_SET;
            let series = cost.series + sets;
            if matches!(account.placement, Placement::Overflow(_)) {
                refused += sets;
                account.set_rows(&mut self.overflow, cost.rows);
            } else if self.has_room(series, cost.trust, limits) {
                account.placement = Placement::Listed;
                surely = new;
            } else {
                refused += sets;
                account.move_to_overflow(&mut self.overflow, cost.rows);
            }
        }
        let listed = matches!(account.placement, Placement::Listed);
        refused += if listed { 0 } else { cost.series };
        self.charge(account, Some(*cost).filter(|_| listed), 0);
        let mut side = 0;
        let totals = labels.map(|labels| {
            side += 1;
            let (hidden, surely) = (cost.hidden[side - 1], surely[side - 1]);
            let (total, not_shown) = self.find_or_open(labels?, hidden, (listed, surely), since, now, limits);
            refused += not_shown;
            Some(total)
        });
        self.charge(account, Some(*cost).filter(|_| listed), refused);
        totals
    }

    /// Returns the total of these labels. If there is none, opens one within the limit, else uses that of
    /// the overflow; also returns the number of series that are not shown for this reason. `admitted` has
    /// two flags: the total may be new, and its series are already reserved.
    pub(super) fn find_or_open(
        &mut self,
        labels: LabelSet,
        hidden: bool,
        admitted: (bool, bool),
        since: Duration,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> (TotalId, usize) {
        if let Some(id) = self.workloads.find(&labels) {
            self.workloads.begin_earlier(id, since, now);
            return (id, 0);
        }
        let (may_be_new, surely) = admitted;
        let has_room = match hidden {
            true => self.hidden.has_room(OF_A_LABEL_SET, Trust::Vouched, 0, limits.output.series),
            false => surely || may_be_new && self.has_room(OF_A_LABEL_SET, labels.trust(), limits),
        };
        if has_room {
            return (self.open(labels, since, now, limits), 0);
        }
        let refused = if hidden || !may_be_new { 0 } else { OF_A_LABEL_SET };
        let labels = labels.overflow(hidden);
        match self.workloads.find(&labels) {
            Some(id) => {
                self.workloads.begin_earlier(id, since, now);
                (id, refused)
            }
            None => (self.open(labels, since, now, limits), refused),
        }
    }

    fn open(
        &mut self,
        labels: LabelSet,
        since: Duration,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> TotalId {
        let hidden = !(limits.shows)(&labels);
        self.hidden_totals += usize::from(hidden);
        if !labels.is_overflow() {
            match hidden {
                true => self.hidden.reserve(OF_A_LABEL_SET, Trust::Vouched),
                false => self.room.reserve(OF_A_LABEL_SET, labels.trust()),
            }
        }
        if labels.interface != series::OTHER {
            *self.sets.entry(labels.workload_name()).or_default() += 1;
        }
        let network = labels.network().map(|network| self.hold_network(network, since, now, limits));
        let is_kept = limits.output.history && !hidden && !labels.is_overflow();
        let history = is_kept.then(|| Box::new(History::new(now)));
        self.workloads.open(
            labels,
            since,
            now,
            Detail { network, hidden, history, bases: PeriodBases::default() },
        )
    }

    /// Returns the labels, with the interface `other` if the workload already has very many label sets: the
    /// workload itself chooses the names of its interfaces. The network stays, so that the network's total
    /// is complete.
    pub(super) fn limit_workload(&mut self, mut labels: LabelSet, limits: &SeriesLimits<'_>) -> LabelSet {
        let is_new = labels.interface != series::OTHER && self.workloads.find(&labels).is_none();
        let crowded = || {
            let sets = self.sets.get(&labels.workload_name());
            sets.is_some_and(|sets| sets.saturating_add(1) >= limits.output.interfaces)
        };
        if is_new && crowded() {
            self.crowded = true;
            series::OTHER.clone_into(&mut labels.interface);
        }
        labels
    }

    /// Begins the periods that are new.
    pub(super) fn begin_periods(&mut self, new: ByPeriod<bool>) {
        for total in self.workloads.values_changed() {
            total.detail.bases.begin(&total.traffic, new);
        }
    }

    /// Opens the total of a workload with the traffic of an earlier run, within the limits of this one.
    /// Returns its number.
    pub(super) fn restore_workload(
        &mut self,
        saved: SavedTotal<LabelSet>,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> TotalId {
        let SavedTotal { labels, traffic, begun, idle, bases } = saved;
        let labels = self.limit_workload(labels, limits);
        let hidden = !(limits.shows)(&labels);
        let (id, _) = self.find_or_open(labels, hidden, (true, false), begun, now, limits);
        if let Some(total) = self.workloads.get_mut(id) {
            total.traffic += traffic;
            total.detail.bases.add(bases);
            total.skip();
        }
        self.workloads.set_idle(id, idle.unwrap_or(now));
        id
    }

    /// Opens the total of a network with the traffic of an earlier run, which contains that of its workloads.
    pub(super) fn restore_network(
        &mut self,
        saved: SavedTotal<NetworkLabels>,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) {
        let SavedTotal { labels, traffic, begun, idle, .. } = saved;
        let id = self.hold_network(labels, begun, now, limits);
        if let Some(total) = self.networks.get_mut(id) {
            total.traffic += traffic;
        }
        self.networks.release(id, now);
        self.networks.set_idle(id, idle.unwrap_or(now));
    }

    /// Changes the series that a pair takes, and the number of those that are not shown.
    pub(super) fn charge(&mut self, account: &mut Account, cost: Option<SeriesCost>, refused: usize) {
        if let Some(before) = std::mem::replace(&mut account.cost, cost) {
            self.room.release(before.series, before.trust);
            self.freed |= cost.is_none_or(|cost| cost.series < before.series);
        }
        if let Some(cost) = cost {
            self.room.reserve(cost.series, cost.trust);
        }
        self.refused = self.refused - std::mem::replace(&mut account.refused, refused) + refused;
    }

    /// Returns the number of series that count towards the limit.
    pub(super) fn series(&self) -> usize {
        self.room.taken() + self.networks.len() * OF_A_NETWORK
    }

    fn has_room(&self, series: usize, trust: Trust, limits: &SeriesLimits<'_>) -> bool {
        let of_networks = self.networks.len() * OF_A_NETWORK;
        self.room.has_room(series, trust, of_networks, limits.output.series)
    }

    /// Forgets the totals that have had no carrier for longer than `retention`. Returns true if there were
    /// any.
    pub(super) fn expire(&mut self, now: Duration, retention: Duration) -> bool {
        let workloads = self.workloads.expire(now, retention);
        for total in &workloads {
            self.hidden_totals -= usize::from(total.detail.hidden);
            if !total.labels.is_overflow() {
                match total.detail.hidden {
                    true => self.hidden.release(OF_A_LABEL_SET, Trust::Vouched),
                    false => self.room.release(OF_A_LABEL_SET, total.labels.trust()),
                }
            }
            if total.labels.interface != series::OTHER {
                let key = total.labels.workload_name();
                if let Some(sets) = self.sets.get_mut(&key) {
                    *sets -= 1;
                    if *sets == 0 {
                        self.sets.remove(&key);
                    }
                }
            }
            if let Some(network) = total.detail.network {
                self.networks.release(network, now);
            }
        }
        let networks = self.networks.expire(now, retention);
        self.freed |= !workloads.is_empty() || !networks.is_empty();
        !workloads.is_empty() || !networks.is_empty()
    }

    /// Returns the time at which the next total expires.
    pub(super) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        let ends = [self.workloads.expires_at(retention), self.networks.expires_at(retention)];
        ends.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
