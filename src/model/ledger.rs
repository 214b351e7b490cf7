//! Counters over time -> totals that never fall and outlive their pairs.
//!
//! An account belongs to a pair, not to the ids of its ends: the kernel reuses ids, and ends move. The
//! ledger books the traffic of a pair, as differences of counters, to the label sets that the pair has at
//! that moment. A total is therefore the sum over every pair that ever had its labels.

use super::link::{Counters, End, Mac, Name, NetnsId};
use super::pairing::Pair;
use super::peak::{Rates, per_second};
use super::periods::{ByPeriod, Period, PeriodBases, Periods};
use super::series::{OTHER, OutputLimits};
use super::slab::Slab;
use super::view::DropRates;
use super::workload::Workload;
use crate::model::policy::TRANSIT;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod account;
mod book;
mod counted;
mod history;
mod index;
mod labels;
mod overflow;
mod restore;
mod totals;
mod traffic;
mod unattributed;

use self::account::Account;
use self::book::Book;
pub(crate) use self::history::HistorySteps;
use self::index::AccountIndex;
pub use self::labels::{LabelSet, NetworkLabels};
use self::overflow::Placement;
pub(crate) use self::overflow::{Overflow, RowKind, SeriesCost};
pub use self::restore::RestoredPairs;
use self::restore::Restoring;
pub(crate) use self::totals::TotalId;
pub(crate) use self::traffic::Flow;
pub use self::traffic::Traffic;
pub(crate) use self::unattributed::Unattributed;

/// The number of an account while it is open; closed accounts' numbers are reused.
pub(crate) type AccountId = u32;

/// The accounts of all pairs, and the totals of all workloads and networks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: Slab<Account>,
    at: AccountIndex,
    /// The accounts of pairs with only one end left. They stay open until that end is gone too, because it
    /// may deliver the last counters.
    lingering: BTreeSet<AccountId>,
    /// The accounts that are in transit, each with the end of its transit.
    in_transit: BTreeMap<AccountId, Duration>,
    book: Book,
    /// The traffic of pairs that died while they were held back.
    unattributed: Vec<Unattributed>,
    /// The length of `unattributed` after the last call of [`attribute_late`](Ledger::attribute_late).
    asked_late: usize,
    /// The pairs that have dropped packets in the last tick, in the order of their accounts.
    dropping: Vec<Dropping>,
    /// The changes of pairs that are shown, since they were last taken.
    changes: Vec<PairChange>,
    /// The pairs of an earlier run that have not been seen yet.
    restoring: Restoring,
    periods: Periods,
}

/// A change of a pair that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairChange {
    /// The ends of the pair; `None` if it was gone before its owner was known.
    pub ends: Option<[End; 2]>,
    pub labels: LabelSet,
    pub kind: PairChangeKind,
}

/// The kind of a change of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PairChangeKind {
    /// The pair is the first one with its labels.
    Appeared,
    /// The totals of its labels go on.
    Recreated,
    /// The pair had these labels before.
    Renamed(LabelSet),
    Gone {
        /// The time for which the pair was in its last namespaces.
        lived: Duration,
        /// The bytes of both directions that were counted while the exporter knew the pair.
        bytes: u64,
    },
}

/// A pair that has dropped packets in the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropping {
    pub account: AccountId,
    pub ends: [End; 2],
    /// The packets that the first side was to receive, and those that it has sent.
    pub packets: [u64; 2],
    pub rates: DropRates,
}

/// The limits on what is shown.
pub(crate) struct SeriesLimits<'a> {
    /// The limits on series and interfaces; the overflow's own series come on top.
    pub output: OutputLimits,
    /// Returns false for a label set that the user's filter hides.
    pub shows: &'a dyn Fn(&LabelSet) -> bool,
}

/// The properties by which the owner of an interface without one may be recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerHint {
    pub address: Option<Mac>,
    /// The host's bridge that the interface's port is enslaved to.
    pub bridge: Option<Name>,
    /// The id of the container to which the first process in the interface's namespace belonged.
    pub container: Option<String>,
    /// A process that was in its namespace and is no container's: the owner if no runtime names one.
    pub process: Option<Box<Workload>>,
}

/// The decision where a pair's traffic is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    /// The owner is not known yet. The ledger keeps the traffic and books it when the owner is known, or to
    /// these labels if the pair dies before.
    Held {
        /// The labels of each side; a side without labels is a port.
        labels: [Option<LabelSet>; 2],
        /// The properties that may identify the owner later, if the labels name none.
        hint: Option<OwnerHint>,
    },
    /// The owner is known: the traffic is booked to the labels of each side (a side without labels is a
    /// port). The cost is that of showing the pair by itself.
    To([Option<LabelSet>; 2], SeriesCost),
}

impl Ledger {
    /// Books the counters of all links of the host as read now, in the order of the dump.
    pub(crate) fn sample_host(&mut self, links: &[(u32, Counters)]) {
        for (position, (ifindex, seen)) in links.iter().enumerate() {
            if let Some(place) = self.at.of_dumped(position, *ifindex) {
                self.change(place, |account, side| account.counted.sample(side, seen));
            }
        }
    }

    /// Books an end's counters from a link message, which may be older than the last sample. Returns the
    /// account and the side of the end.
    pub(crate) fn observe(&mut self, end: End, seen: &Counters) -> Option<(AccountId, usize)> {
        let place = self.place(end)?;
        self.change(place, |account, side| account.counted.observe_link(side, seen))
    }

    /// Books the counters of an end that has lost its peer: from then on each end shows only what it
    /// counted itself. Returns the account and the side of the end.
    pub(crate) fn observe_detached(&mut self, end: End, seen: &Counters) -> Option<(AccountId, usize)> {
        let place = self.place(end)?;
        self.change(place, |account, side| account.counted.observe_detached(side, seen))
    }

    fn change(
        &mut self,
        (id, side): (AccountId, usize),
        observe: impl FnOnce(&mut Account, usize),
    ) -> Option<(AccountId, usize)> {
        let account = self.accounts.get_mut(id)?;
        observe(account, side);
        account.book_traffic(&mut self.book);
        Some((id, side))
    }

    /// Marks the end and its pair as deleted: a later link with the same id is a different one.
    pub(crate) fn end(&mut self, end: End) {
        if let Some((id, _)) = self.at.remove(end)
            && let Some(account) = self.accounts.get_mut(id)
        {
            account.ended = true;
            // The next `reconcile` closes the account, or keeps it open until its other end is gone.
            self.lingering.insert(id);
        }
    }

    /// Returns true if counters that were read later than those shown are of another pair, neither end of
    /// which is on the host: an end's own transmit never falls while the end lives. The receive of a veth
    /// falls to 0 at every detach, that of an end which counts it itself never falls.
    pub(crate) fn is_another(&self, end: End, seen: &Counters) -> bool {
        let Some((id, side)) = self.place(end) else { return false };
        self.accounts.get(id).is_some_and(|account| {
            let shown = &account.counted.shown[side];
            let off_host = account.ends.iter().all(|end| end.netns != NetnsId::Host);
            let sent_less =
                seen.transmit_bytes < shown.transmit_bytes || seen.transmit_packets < shown.transmit_packets;
            let received_less =
                seen.receive_bytes < shown.receive_bytes || seen.receive_packets < shown.receive_packets;
            let falls = sent_less || account.counted.counts_receive && received_less;
            off_host && falls && !account.ended
        })
    }

    /// Returns true if the end is that of a pair of which the other end was deleted.
    pub(crate) fn has_ended(&self, end: End) -> bool {
        self.place(end).and_then(|(id, _)| self.accounts.get(id)).is_some_and(|account| account.ended)
    }

    /// Returns the account and the side of an end.
    pub(crate) fn place(&self, end: End) -> Option<(AccountId, usize)> {
        self.at.get(end)
    }

    /// Returns the counters of a pair's two ends as last read, and the rates of the pair in the last tick, as
    /// its first side sees them; `None` before the pair's first tick.
    pub(crate) fn latest(&self, id: AccountId) -> ([Counters; 2], Option<Rates>) {
        let latest = |account: &Account| (account.counted.shown, account.counted.rates);
        self.accounts.get(id).map(latest).unwrap_or_default()
    }

    /// Returns the total that each side of a pair is booked to, and true if other sides are booked to it as
    /// well; `None` for a port, and for a side that is booked to the interface `other`.
    pub(crate) fn totals(&self, id: AccountId) -> [Option<(TotalId, bool)>; 2] {
        let Some(account) = self.accounts.get(id) else { return [None, None] };
        account.totals.map(|id| {
            let total = self.book.workloads.get(id?)?;
            (total.labels.interface != OTHER).then_some((id?, total.is_shared()))
        })
    }

    /// Returns the labels that each side of a pair is booked to; for a pair that is held back, the labels
    /// to be used if it dies.
    pub(crate) fn labels(&self, id: AccountId) -> [Option<LabelSet>; 2] {
        let Some(account) = self.accounts.get(id) else { return [None, None] };
        match &account.held {
            Some(held) => held.labels.clone(),
            None => account.totals.map(|total| Some(LabelSet::clone(&*self.book.labels(total?)?))),
        }
    }

    /// Returns true if the pair is held back.
    pub(crate) fn is_held(&self, id: AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| account.held.is_some())
    }

    /// Returns the time at which the pair was first seen with its present ends.
    pub(crate) fn arrived(&self, id: AccountId) -> Option<Duration> {
        self.accounts.get(id).map(|account| account.arrived)
    }

    /// Returns true if the pair is shown by itself.
    pub(crate) fn is_listed(&self, id: AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| matches!(account.placement, Placement::Listed))
    }

    /// Opens, continues and closes accounts. `pairs` are the pairs that were paired anew or have changed,
    /// in order; `before` are the ends of the pairs that they replace. An account continues if either of
    /// its ends is in one of `pairs`, lingers if one of its ends is still `there`, and is closed otherwise.
    ///
    /// `born` returns true for a pair that was created while the exporter runs: if the pair had no account,
    /// all of its counters are new traffic. The counters of any other pair without an account are its
    /// baseline.
    pub(crate) fn reconcile(
        &mut self,
        before: &[[End; 2]],
        pairs: &[Pair],
        now: Duration,
        born: impl Fn(&Pair) -> bool,
        there: impl Fn(End) -> bool,
    ) {
        let mut loose: BTreeSet<AccountId> = std::mem::take(&mut self.lingering);
        let ends = before.iter().flatten().chain(pairs.iter().flat_map(|pair| {
            let [a, b] = &pair.sides;
            [&a.end, &b.end]
        }));
        loose.extend(ends.filter_map(|end| Some(self.place(*end)?.0)));
        for pair in pairs {
            self.open(pair, &mut loose, now, &born);
        }
        let (lingering, closed): (BTreeSet<_>, BTreeSet<_>) = loose.into_iter().partition(|id| {
            self.accounts.get(*id).is_some_and(|account| account.ends.into_iter().any(&there))
        });
        for id in closed {
            self.close(id, now);
        }
        for &id in &lingering {
            if let Some(account) = self.accounts.get_mut(id) {
                self.book.charge(account, None, 0);
            }
        }
        self.lingering = lingering;
    }

    /// Assigns an account to a pair: one of the `loose` ones that had either of its ends, or a new one.
    fn open(
        &mut self,
        pair: &Pair,
        loose: &mut BTreeSet<AccountId>,
        now: Duration,
        born: &impl Fn(&Pair) -> bool,
    ) {
        let ends = pair.sides.map(|side| side.end);
        let carried = (0..2).find_map(|side| {
            let (id, was) = self.place(ends[side]).filter(|(id, _)| loose.contains(id))?;
            let account = self.accounts.get(id)?;
            // An ifindex changes only when a link moves to another namespace. If the peer has another
            // ifindex in the same namespace, this end is a different link that reuses the id of a deleted
            // one.
            let (peer, peer_was) = (ends[1 - side], account.ends[1 - was]);
            let another = account.ended || (peer != peer_was && peer.netns == peer_was.netns);
            (!another).then_some((id, was != side))
        });
        // For a pair that continues with the same ends, `observe` has already booked the links' counters.
        let mut goes_on = false;
        let id = match carried {
            Some((id, turned)) => {
                loose.remove(&id);
                if let Some(account) = self.accounts.get_mut(id) {
                    for end in account.ends {
                        self.at.remove_from(end, id);
                    }
                    if turned {
                        account.swap_sides();
                    }
                    goes_on = account.ends == ends;
                    if !goes_on {
                        account.ends = ends;
                        account.arrived = now;
                    }
                }
                id
            }
            None => self.accounts.insert(Account::new(ends, now)),
        };
        self.at.insert(ends[0], (id, 0));
        self.at.insert(ends[1], (id, 1));
        let Some(account) = self.accounts.get_mut(id) else { return };
        let links = pair.sides.iter().filter_map(|side| side.link);
        account.counted.counts_receive = links.into_iter().any(|link| link.kind.counts_receive());
        if goes_on {
            return;
        }
        for (side, link) in pair.sides.iter().map(|side| side.link).enumerate() {
            if let Some(link) = link {
                account.counted.observe_link(side, &link.counters);
            }
        }
        if carried.is_none() && !born(pair) {
            account.begin_as(self.restoring.origin(pair), &mut self.book);
        }
    }

    /// Closes an account. If the pair was held back when it died, its traffic waits for
    /// [`attribute_late`](Ledger::attribute_late).
    fn close(&mut self, id: AccountId, now: Duration) {
        let Some(mut account) = self.accounts.remove(id) else { return };
        for end in account.ends {
            self.at.remove_from(end, id);
        }
        self.in_transit.remove(&id);
        if account.held.is_none() && matches!(account.placement, Placement::Listed) {
            let kind = PairChangeKind::Gone {
                lived: now.saturating_sub(account.arrived),
                bytes: account.counted.new_bytes(),
            };
            let totals = account.totals.into_iter().flatten();
            let shown = totals.filter_map(|total| self.book.shown_labels(total));
            let change = |labels| PairChange { ends: Some(account.ends), labels, kind: kind.clone() };
            self.changes.extend(shown.map(change));
        }
        self.book.charge(&mut account, None, 0);
        for total in account.totals.into_iter().flatten() {
            self.book.workloads.release(total, now);
        }
        if let Some(held) = account.held.take() {
            let traffic = [account.take_unbooked(0), account.take_unbooked(1)];
            self.unattributed.push(Unattributed::new(*held, now, account.arrived, traffic));
        }
    }

    /// Sets the labels that a pair's traffic is booked to from now on, within the limit on series, and
    /// books the traffic that was held back. Returns the labels that the pair did not have before.
    pub(crate) fn assign(
        &mut self,
        id: AccountId,
        booking: Booking,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) -> Vec<LabelSet> {
        let Some(account) = self.accounts.get_mut(id) else { return Vec::new() };
        let (labels, cost) = match booking {
            Booking::Held { labels, hint } => {
                account.hold_back(labels, hint, &mut self.book);
                return Vec::new();
            }
            Booking::To(labels, cost) => (labels, cost),
        };
        let named = self.book.new_labels(account, &labels);
        let ports = labels.iter().all(Option::is_none);
        let known = named.iter().map(|labels| self.book.workloads.find(labels).is_some());
        let known: Vec<bool> = known.collect();
        let totals = self.book.place(account, labels, &cost, now, limits);
        let before = std::mem::replace(&mut account.totals, totals);
        let changed = [0, 1].into_iter().filter(|&side| before[side] != totals[side]);
        changed.clone().filter_map(|side| totals[side]).for_each(|total| self.book.workloads.hold(total));
        changed.filter_map(|side| before[side]).for_each(|total| self.book.workloads.release(total, now));
        self.changes.extend(self.book.changes(account, before, &named, &known));
        let was_in_transit = account.in_transit;
        account.in_transit = ports && now.saturating_sub(account.arrived) < TRANSIT;
        match account.in_transit {
            true => _ = self.in_transit.insert(id, account.arrived + TRANSIT),
            false => _ = self.in_transit.remove(&id),
        }
        // The traffic that was held back or carried in transit spans more than one tick, so peaks leave it
        // out.
        let waited = account.held.take().is_some() || (was_in_transit && !account.in_transit);
        account.book_traffic(&mut self.book);
        for total in totals.into_iter().flatten().filter(|_| waited) {
            if let Some(total) = self.book.workloads.get_mut(total) {
                total.skip();
            }
        }
        named
    }

    /// Keeps the totals of the networks that runtimes report, and releases those of all others.
    pub(crate) fn know_networks(
        &mut self,
        known: BTreeSet<NetworkLabels>,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) {
        self.book.know_networks(known, now, limits);
    }

    /// Returns the end of a pair's transit; `None` if the pair is not in transit.
    pub(crate) fn in_transit_until(&self, id: AccountId) -> Option<Duration> {
        self.in_transit.get(&id).copied()
    }

    /// Forgets the totals that no pair has carried for longer than `retention`. Returns true if there were
    /// any.
    pub(crate) fn expire(&mut self, now: Duration, retention: Duration) -> bool {
        self.book.expire(now, retention)
    }

    /// Takes the calendar: when the periods of `now` have begun, all since 1970. Returns true if one of them
    /// is new.
    pub(crate) fn begin_periods(&mut self, starts: ByPeriod<Duration>, now: Duration) -> bool {
        let new = self.periods.begin(starts, now);
        let is_any_new = new.today || new.month;
        if is_any_new {
            self.book.begin_periods(new);
        }
        is_any_new
    }

    /// Returns the present periods; `None` before the first calendar.
    pub(crate) fn periods(&self) -> Option<ByPeriod<Period>> {
        self.periods.present()
    }

    /// Returns the time at which the next total expires.
    pub(crate) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        self.book.expires_at(retention)
    }

    /// Returns the number of totals shown, of workloads and of networks.
    pub(crate) fn shown_totals(&self) -> (usize, usize) {
        self.book.shown_totals()
    }

    /// Returns a number that changes whenever a total is added or forgotten, begins earlier, or becomes or
    /// ceases to be shared.
    pub(crate) fn version(&self) -> u64 {
        self.book.version()
    }

    /// Returns true once a workload has had more interfaces than are shown one by one.
    pub(crate) fn is_crowded(&self) -> bool {
        self.book.is_crowded()
    }

    /// Returns the number of series that count towards the limit.
    pub(crate) fn series(&self) -> usize {
        self.book.series()
    }

    /// Returns the number of further series that would be shown without a limit.
    pub(crate) fn refused(&self) -> usize {
        self.book.refused()
    }

    /// Returns true if series have become free since the last call.
    pub(crate) fn take_freed(&mut self) -> bool {
        self.book.take_freed()
    }

    /// Returns true if the limit keeps any series of this pair from being shown.
    pub(crate) fn is_refused(&self, id: AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| account.refused > 0)
    }

    /// Records the rates of the tick that ends now and took `length`, and drops those older than `window`.
    pub(crate) fn tick(&mut self, now: Duration, length: Duration, window: Duration) {
        self.dropping.clear();
        for (id, account) in self.accounts.iter_mut() {
            let port = account.port();
            let packets = account.counted.end_tick(&account.ends, port, length);
            if packets != [0, 0] {
                let [receive, transmit] = packets.map(|packets| per_second(packets, length));
                let rates = DropRates { receive, transmit };
                self.dropping.push(Dropping { account: id, ends: account.ends, packets, rates });
            }
            if account.held.is_none() {
                for total in account.totals.into_iter().flatten() {
                    if let Some(total) = self.book.workloads.get_mut(total) {
                        total.carried = true;
                    }
                }
            }
        }
        for total in self.book.workloads.values_mut() {
            let before = total.peaks.counted();
            if std::mem::take(&mut total.carried) {
                total.peaks.tick(&total.traffic, now, length);
            }
            if let Some(history) = &mut total.detail.history {
                let new = total.peaks.counted().since(before);
                history.tick([new.receive.bytes, new.transmit.bytes], length, now);
            }
            total.peaks.forget(now, window);
        }
    }

    /// Returns the changes of pairs that are shown since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<PairChange> {
        std::mem::take(&mut self.changes)
    }

    /// Returns the pairs that have dropped packets in the last tick, in the order of their accounts.
    pub(crate) fn dropping(&self) -> &[Dropping] {
        &self.dropping
    }

    /// Returns the ends of the pairs with traffic that bypasses the port: the end in a namespace has
    /// received more than its port on the host has sent, or has sent more than the port has received.
    pub(crate) fn bypassed(&self) -> impl Iterator<Item = [End; 2]> {
        let bypassed = self.accounts.iter().filter(|(_, account)| account.counted.bypassed);
        bypassed.map(|(_, account)| account.ends)
    }

    /// Returns the sums of the pairs in the overflow.
    pub(crate) fn overflow(&self) -> Overflow {
        self.book.overflow
    }

    /// Returns the totals of the workloads that the user's filter shows, sorted by labels.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = WorkloadTotal<'_>> {
        let shown = self.book.workloads.iter().filter(|(_, total)| !total.detail.hidden);
        shown.map(|(id, total)| WorkloadTotal {
            id,
            labels: &total.labels,
            begun: total.begun,
            bases: total.detail.bases,
        })
    }

    /// Returns the traffic of a workload's total and its highest rates of the window; `None` if no pair
    /// carried the total in it.
    pub(crate) fn traffic(&self, id: TotalId) -> (Traffic, Option<Rates>) {
        let total = self.book.workloads.get(id);
        total.map(|total| (total.traffic, total.peaks.peak())).unwrap_or_default()
    }

    /// Returns the labels of the workloads' totals that the user's filter shows, each with its rates in the
    /// last hour; without those that had no traffic in it.
    pub(crate) fn histories(&self) -> Vec<(Arc<LabelSet>, HistorySteps)> {
        let shown = self.book.workloads.iter().filter(|(_, total)| !total.detail.hidden);
        let histories = shown.filter_map(|(_, total)| {
            let steps = total.detail.history.as_ref()?.steps();
            (!steps.is_empty()).then(|| (Arc::clone(&total.labels), steps))
        });
        histories.collect()
    }

    /// Returns true if a network has a total of its own.
    pub(crate) fn has_network(&self, labels: &NetworkLabels) -> bool {
        self.book.networks.find(labels).is_some()
    }

    /// Returns the networks with totals, sorted by labels, each with the number of namespaces that have an
    /// interface on it now.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&NetworkLabels, u64)> {
        let living = self
            .accounts
            .iter()
            .filter(|(id, account)| account.held.is_none() && !account.ended && !self.lingering.contains(id));
        let mut on_networks: Vec<(TotalId, NetnsId)> = living
            .flat_map(|(_, account)| {
                let sides = account.totals.into_iter().zip(account.ends);
                sides.filter_map(|(total, end)| Some((self.book.network_of(total?)?, end.netns)))
            })
            .collect();
        on_networks.sort_unstable();
        on_networks.dedup();
        self.book.networks.iter().map(move |(id, total)| {
            let begin = on_networks.partition_point(|(network, _)| *network < id);
            let end = on_networks.partition_point(|(network, _)| *network <= id);
            (&*total.labels, (end - begin) as u64)
        })
    }

    /// Returns the totals of networks, sorted by labels, each with the time at which it began.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (&Arc<NetworkLabels>, &Traffic, Duration)> {
        self.book.networks.iter().map(|(_, total)| (&total.labels, &total.traffic, total.begun))
    }
}

/// A workload's total as shown.
pub(crate) struct WorkloadTotal<'a> {
    /// The number of the total, as in [`Ledger::totals`].
    pub id: TotalId,
    pub labels: &'a Arc<LabelSet>,
    /// The time from which the total counts.
    pub begun: Duration,
    /// The bytes that the total had when the present periods began.
    pub bases: PeriodBases,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;
