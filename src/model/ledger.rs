//! Counters over time -> totals that never fall and outlive their veths.
//!
//! An account belongs to a pair, not to its ends' ids: those are reused, and ends move. What goes through a
//! pair is booked, by differences, to the label sets that the pair carries at that moment, so a total is the
//! sum over every pair that ever carried its labels.

use super::link::{Counters, End, Mac, Name, NetnsId};
use super::pairing::Pair;
use super::peak::Rates;
use super::slab::Slab;
use super::workload::Workload;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

mod account;
mod book;
mod counted;
mod labels;
mod overflow;
mod totals;
mod traffic;
mod unattributed;

use self::account::Account;
use self::book::Book;
pub use self::labels::{LabelSet, NetworkLabels};
use self::overflow::Placement;
pub(crate) use self::overflow::{Overflow, Row, SeriesCost};
pub(crate) use self::traffic::Flow;
pub use self::traffic::Traffic;
pub(crate) use self::unattributed::Unattributed;

/// A pair that a runtime has made on the host is moved into its container within this: 1.6 s were measured
/// with 16 starts in parallel on two cores.
const TRANSIT: Duration = Duration::from_secs(10);

/// The number of an account, as long as it is open.
pub(crate) type AccountId = u32;

/// The book of all pairs, workloads and networks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: Slab<Account>,
    /// Each end's account and side.
    at: HashMap<End, (AccountId, usize)>,
    /// The accounts of pairs of which only one end is left, until that is gone too: it may bring the last
    /// numbers.
    lingering: BTreeSet<AccountId>,
    /// The accounts that are in transit, with the time until which they may be.
    in_transit: BTreeMap<AccountId, Duration>,
    book: Book,
    /// What pairs had carried that died while they were held back.
    unattributed: Vec<Unattributed>,
    /// Of how many of them it was asked where they are booked.
    asked_late: usize,
}

/// How much is shown.
pub(crate) struct Limits<'a> {
    /// So many series, and those of the overflow besides.
    pub series: usize,
    /// False for a label set that the user does not want to see.
    pub shows: &'a dyn Fn(&LabelSet) -> bool,
}

/// What may name the owner of an interface that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerHint {
    pub address: Option<Mac>,
    /// The host's bridge that its port is enslaved to.
    pub bridge: Option<Name>,
    /// The id of the container whose first process was in its namespace.
    pub container: Option<String>,
    /// A process that was in its namespace and is no container's: the owner if no runtime names one.
    pub process: Option<Box<Workload>>,
}

/// Where a pair's traffic is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    /// The owner is not known yet: the traffic is kept and booked when it is, or to these labels if the pair
    /// dies before.
    Held {
        /// These labels; a side without any is a port.
        labels: [Option<LabelSet>; 2],
        /// What may name the owner later, if the labels have none.
        hint: Option<OwnerHint>,
    },
    /// To these labels; a side without any is a port. The cost is that of showing the pair.
    To([Option<LabelSet>; 2], SeriesCost),
}

impl Ledger {
    /// Takes the counters of an end as it shows them now. Returns the account and side of it that the end
    /// has.
    pub(crate) fn sample(&mut self, end: End, seen: &Counters) -> Option<(AccountId, usize)> {
        self.change(end, |account, side| {
            account.counted.observe(side, seen);
            account.counted.shown[side] = *seen;
        })
    }

    /// Takes the counters of an end as a message told them, which may be older than what it shows now.
    pub(crate) fn observe(&mut self, end: End, seen: &Counters) -> Option<(AccountId, usize)> {
        self.change(end, |account, side| account.counted.observe_link(side, seen))
    }

    /// Takes the counters of an end that has no peer any more: then each end keeps only what it counted
    /// itself.
    pub(crate) fn observe_detached(&mut self, end: End, seen: &Counters) -> Option<(AccountId, usize)> {
        self.change(end, |account, side| account.counted.observe_detached(side, seen))
    }

    fn change(&mut self, end: End, observe: impl FnOnce(&mut Account, usize)) -> Option<(AccountId, usize)> {
        let (id, side) = self.place(end)?;
        let account = self.accounts.get_mut(id)?;
        observe(account, side);
        account.settle(&mut self.book);
        Some((id, side))
    }

    /// Marks the end as deleted, and with it its pair: whatever comes under its id is another.
    pub(crate) fn end(&mut self, end: End) {
        if let Some((id, _)) = self.at.remove(&end)
            && let Some(account) = self.accounts.get_mut(id)
        {
            account.ended = true;
            // It is closed, or waits for its other end, when links are joined the next time.
            self.lingering.insert(id);
        }
    }

    /// Returns true if counters that were read later than those shown are of another pair, neither end of
    /// which is on the host: an end's own transmit never falls while the end lives, its receive falls to 0
    /// at every detach.
    pub(crate) fn is_another(&self, end: End, seen: &Counters) -> bool {
        let Some((id, side)) = self.place(end) else { return false };
        self.accounts.get(id).is_some_and(|account| {
            let shown = &account.counted.shown[side];
            let off_host = account.ends.iter().all(|end| end.netns != NetnsId::Host);
            let falls =
                seen.transmit_bytes < shown.transmit_bytes || seen.transmit_packets < shown.transmit_packets;
            off_host && falls && !account.ended
        })
    }

    /// Returns true if the end is that of a pair of which the other end was deleted.
    pub(crate) fn has_ended(&self, end: End) -> bool {
        self.place(end).and_then(|(id, _)| self.accounts.get(id)).is_some_and(|account| account.ended)
    }

    /// Returns the account and the side of it that an end has.
    pub(crate) fn place(&self, end: End) -> Option<(AccountId, usize)> {
        self.at.get(&end).copied()
    }

    /// Returns the counters of a pair's two ends as last read.
    pub(crate) fn shown(&self, id: AccountId) -> [Counters; 2] {
        self.accounts.get(id).map(|account| account.counted.shown).unwrap_or_default()
    }

    /// Returns the labels that each side of a pair is booked to, or would be if it were not held back.
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

    /// Returns since when the pair is where it is.
    pub(crate) fn arrived(&self, id: AccountId) -> Option<Duration> {
        self.accounts.get(id).map(|account| account.arrived)
    }

    /// Returns true if the pair is shown by itself.
    pub(crate) fn is_listed(&self, id: AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| matches!(account.placement, Placement::Listed))
    }

    /// Takes the pairs that were joined anew or have changed, in order, and the ends of those that were in
    /// their place `before`: an account goes on if either of its ends does, lingers if one of them is still
    /// `there`, and is closed if neither is.
    ///
    /// `born` says of a pair that had no account whether it is truly new, and so counts from 0; any other
    /// was only found, and what it counted before is its baseline.
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

    /// Gives a pair its account: one of the `loose` ones that was that of either of its ends, or a new one.
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
            // An ifindex changes only by a move to another namespace: with another peer in the same one,
            // this end only has the id of one that is gone.
            let (peer, peer_was) = (ends[1 - side], account.ends[1 - was]);
            let another = account.ended || (peer != peer_was && peer.netns == peer_was.netns);
            (!another).then_some((id, was != side))
        });
        // What is told of the links of a pair that goes on has been taken already.
        let mut goes_on = false;
        let id = match carried {
            Some((id, turned)) => {
                loose.remove(&id);
                if let Some(account) = self.accounts.get_mut(id) {
                    for end in account.ends {
                        if self.at.get(&end).is_some_and(|(at, _)| *at == id) {
                            self.at.remove(&end);
                        }
                    }
                    if turned {
                        account.turn();
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
        self.at.extend([(ends[0], (id, 0)), (ends[1], (id, 1))]);
        let Some(account) = self.accounts.get_mut(id) else { return };
        if goes_on {
            return;
        }
        for (side, link) in pair.sides.iter().map(|side| side.link).enumerate() {
            if let Some(link) = link {
                account.counted.observe_link(side, &link.counters);
            }
        }
        if carried.is_none() && !born(pair) {
            account.begin_here();
        }
    }

    /// Closes the account: what a pair that died while it was held back had carried waits for
    /// [`attribute_late`](Ledger::attribute_late).
    fn close(&mut self, id: AccountId, now: Duration) {
        let Some(mut account) = self.accounts.remove(id) else { return };
        for end in account.ends {
            if self.at.get(&end).is_some_and(|(at, _)| *at == id) {
                self.at.remove(&end);
            }
        }
        self.in_transit.remove(&id);
        self.book.charge(&mut account, None, 0);
        for total in account.totals.into_iter().flatten() {
            self.book.workloads.release(total, now);
        }
        if let Some(held) = account.held.take() {
            let traffic = [account.take(0), account.take(1)];
            self.unattributed.push(Unattributed::new(*held, now, account.arrived, traffic));
        }
    }

    /// Says where a pair's traffic is booked from now on, as far as there is room for its series; what was
    /// waiting is booked. Returns the labels that the pair did not have before.
    pub(crate) fn assign(
        &mut self,
        id: AccountId,
        booking: Booking,
        now: Duration,
        limits: &Limits<'_>,
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
        let totals = self.book.place(account, labels, &cost, now, limits);
        totals.into_iter().flatten().for_each(|total| self.book.workloads.hold(total));
        for total in std::mem::replace(&mut account.totals, totals).into_iter().flatten() {
            self.book.workloads.release(total, now);
        }
        let was_in_transit = account.in_transit;
        account.in_transit = ports && now.saturating_sub(account.arrived) < TRANSIT;
        match account.in_transit {
            true => _ = self.in_transit.insert(id, account.arrived + TRANSIT),
            false => _ = self.in_transit.remove(&id),
        }
        // What it carried while it was held, or on its way, is of more than one tick.
        let waited = account.held.take().is_some() || (was_in_transit && !account.in_transit);
        account.settle(&mut self.book);
        for total in totals.into_iter().flatten().filter(|_| waited) {
            if let Some(total) = self.book.workloads.get_mut(total) {
                total.skip();
            }
        }
        named
    }

    /// Keeps the totals of the networks that runtimes know.
    pub(crate) fn know_networks(
        &mut self,
        known: BTreeSet<NetworkLabels>,
        now: Duration,
        limits: &Limits<'_>,
    ) {
        self.book.know_networks(known, now, limits);
    }

    /// Returns until when a pair is in transit, if it is.
    pub(crate) fn in_transit_until(&self, id: AccountId) -> Option<Duration> {
        self.in_transit.get(&id).copied()
    }

    /// Forgets the totals that no pair has carried for longer than `retention`; true if there were any.
    pub(crate) fn expire(&mut self, now: Duration, retention: Duration) -> bool {
        self.book.expire(now, retention)
    }

    /// Returns when the next total is to be forgotten.
    pub(crate) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        self.book.expires_at(retention)
    }

    /// Returns how many totals are shown of workloads and of networks.
    pub(crate) fn shown_totals(&self) -> (usize, usize) {
        self.book.shown_totals()
    }

    /// Returns how often a total was added or forgotten.
    pub(crate) fn version(&self) -> u64 {
        self.book.version()
    }

    /// Returns how many series more there would be without a limit.
    pub(crate) fn refused(&self) -> usize {
        self.book.refused()
    }

    /// Returns true if series have become free since the last call.
    pub(crate) fn take_freed(&mut self) -> bool {
        self.book.take_freed()
    }

    /// Returns true if there is no room for something of this pair.
    pub(crate) fn is_refused(&self, id: AccountId) -> bool {
        self.accounts.get(id).is_some_and(|account| account.refused > 0)
    }

    /// Notes the rates of the tick that ends now and took `length`, and forgets those older than `window`.
    pub(crate) fn tick(&mut self, now: Duration, length: Duration, window: Duration) {
        for account in self.accounts.values_mut() {
            account.counted.end_tick(&account.ends);
            if account.held.is_none() {
                for total in account.totals.into_iter().flatten() {
                    if let Some(total) = self.book.workloads.get_mut(total) {
                        total.carried = true;
                    }
                }
            }
        }
        for total in self.book.workloads.values_mut() {
            if std::mem::take(&mut total.carried) {
                total.peaks.tick(&total.traffic, now, length);
            } else {
                total.peaks.pause();
            }
            total.peaks.forget(now, window);
        }
    }

    /// Returns the ends of the pairs whose end inside of a namespace knows more than its port.
    pub(crate) fn bypassed(&self) -> impl Iterator<Item = [End; 2]> {
        let bypassed = self.accounts.iter().filter(|(_, account)| account.counted.bypassed);
        bypassed.map(|(_, account)| account.ends)
    }

    /// Returns what those pairs counted that are in the overflow.
    pub(crate) fn overflow(&self) -> Overflow {
        self.book.overflow
    }

    /// Returns the totals of workloads that the user wants to see, sorted by labels.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = WorkloadTotal<'_>> {
        let shown = self.book.workloads.iter().filter(|total| !total.detail.hidden);
        shown.map(|total| WorkloadTotal {
            labels: &total.labels,
            traffic: &total.traffic,
            begun: total.begun,
            peak: total.peaks.peak(),
            rates: total.peaks.last(),
        })
    }

    /// Returns the totals of networks, sorted by labels, each with the time when it began.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (&Arc<NetworkLabels>, &Traffic, Duration)> {
        self.book.networks.iter().map(|total| (&total.labels, &total.traffic, total.begun))
    }
}

/// A workload's total as it is shown.
pub(crate) struct WorkloadTotal<'a> {
    pub labels: &'a Arc<LabelSet>,
    pub traffic: &'a Traffic,
    /// The time from which the total counts.
    pub begun: Duration,
    /// Its highest rates; `None` where no pair has carried it in the window.
    pub peak: Option<Rates>,
    /// Its rates of the last tick; `None` where no pair carried it then.
    pub rates: Option<Rates>,
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;
