//! Counters over time -> totals that never fall and outlive their veths.
//!
//! An account belongs to a pair, not to its ends' ids: those are reused, and ends move. What goes through a
//! pair is booked, by differences, to the label sets that the pair carries at that moment, so a total is the
//! sum over every pair that ever carried its labels.

use super::link::{Counters, End, Mac, Name};
use super::pairing::Pair;
use super::peak::Rates;
use super::series;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

mod account;
mod labels;
mod limits;
mod rest;
mod totals;
mod traffic;

use self::account::Account;
pub(crate) use self::account::highest;
pub use self::labels::{LabelSet, NetworkLabels};
pub(crate) use self::limits::{Limits, Showing};
pub(crate) use self::rest::{Rest, Row};
use self::totals::{Total, find, renew};
pub(crate) use self::traffic::Flow;
pub use self::traffic::Traffic;

/// A pair that a runtime has made on the host is moved into its container within this: 1.6 s were measured
/// with 16 starts in parallel on two cores.
const TRANSIT: Duration = Duration::from_secs(10);

/// So many dead pairs wait for an heir.
const ESTATES: usize = 4096;

/// The book of all pairs, workloads and networks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// One for each pair of the last [`reconcile`](Ledger::reconcile), in its order; behind them those of
    /// pairs of which only one end is left, until that is gone too: it may bring the last numbers.
    accounts: Vec<Account>,
    /// How many of them are of pairs.
    living: usize,
    /// Each end's account and side.
    at: HashMap<End, (usize, usize)>,
    /// Where the end is looked for first that is observed next: a dump comes in the order of the accounts.
    next: usize,
    totals: Vec<Total<LabelSet>>,
    networks: Vec<Total<NetworkLabels>>,
    /// For each of `totals` its place in `networks`.
    network_of: Vec<Option<usize>>,
    /// What was held for pairs that died, until somebody tells whose they were.
    estates: Vec<Estate>,
    /// Of these it is decided, and since when they are counted: they are booked by the next
    /// [`assign`](Ledger::assign).
    orphaned: Vec<(LabelSet, Traffic, Duration)>,
    rest: Rest,
    /// There may be so many networks, and one more for the others.
    most_networks: Option<usize>,
}

/// What a pair had carried that died while it was held.
#[derive(Clone, Debug)]
pub(crate) struct Estate {
    /// For whom it was held.
    pub labels: [Option<LabelSet>; 2],
    /// What may tell for whom else.
    pub clue: Option<Clue>,
    /// Since when it is dead.
    pub since: Duration,
    /// Since when it was counted.
    arrived: Duration,
    traffic: [Traffic; 2],
}

/// What a runtime may know an interface by that nobody has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clue {
    pub address: Option<Mac>,
    /// The host's bridge that its port is enslaved to.
    pub bridge: Option<Name>,
    /// The id of the container whose first process was in its namespace.
    pub container: Option<String>,
}

/// How a pair is carried over from the last reconciliation, if it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    pub index: usize,
    /// True if its sides are the other way round now: an end moved to another namespace.
    pub turned: bool,
}

/// For whom a pair's traffic is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    /// It is not known yet: it is kept, and booked when it is, or to these labels if the pair dies before.
    Held {
        /// These labels; a side without any is a port.
        labels: [Option<LabelSet>; 2],
        /// What may tell later whose it was, if they are nobody's.
        clue: Option<Clue>,
    },
    /// To these labels; a side without any is a port.
    To([Option<LabelSet>; 2]),
}

impl Ledger {
    /// Notes the counters of an end; says which pair and which side of it that is.
    pub(crate) fn observe(&mut self, end: End, seen: &Counters) -> Option<(usize, usize)> {
        let living = &self.accounts[..self.living];
        let (index, side) = match living.get(self.next) {
            Some(account) if account.ends[0] == end => (self.next, 0),
            _ => self.place(end)?,
        };
        self.next = index + 1;
        self.accounts[index].observe(side, seen);
        Some((index, side))
    }

    /// Notes the counters of an end that has no peer any more: then each end keeps only what it counted
    /// itself.
    pub(crate) fn observe_detached(&mut self, end: End, seen: &Counters) -> Option<(usize, usize)> {
        let (index, side) = self.place(end)?;
        self.accounts[index].observe_detached(side, seen);
        Some((index, side))
    }

    /// The end was deleted, and with it its pair: whatever comes under its id is another.
    pub(crate) fn end(&mut self, end: End) {
        if let Some((index, _)) = self.place(end) {
            self.accounts[index].ended = true;
            self.at.remove(&end);
        }
    }

    /// The pair and the side of it that an end is, as of the last [`reconcile`](Ledger::reconcile).
    pub(crate) fn place(&self, end: End) -> Option<(usize, usize)> {
        self.at.get(&end).copied()
    }

    /// For whom each side of a pair is booked, or would be if it were not held.
    pub(crate) fn labels(&self, pair: usize) -> [Option<&LabelSet>; 2] {
        let labels = self.accounts.get(pair).map(|account| account.held.as_ref().unwrap_or(&account.labels));
        [0, 1].map(|side| labels.and_then(|labels| labels[side].as_ref()))
    }

    /// Those of these labels that nothing has been booked to for this pair.
    pub(crate) fn not_yet_booked_to<'a>(
        &self,
        pair: usize,
        labels: &'a [Option<LabelSet>; 2],
    ) -> impl Iterator<Item = &'a LabelSet> {
        let before = self.accounts.get(pair).map(|account| &account.labels);
        let new = labels
            .iter()
            .enumerate()
            .filter(move |(side, labels)| before.is_none_or(|before| before[*side] != **labels));
        // Who is in the rest is not new each time.
        let in_rest = move |side: usize| {
            before
                .and_then(|before| before[side].as_ref())
                .is_some_and(|labels| labels.interface == series::OTHER)
        };
        new.filter(move |(side, _)| !in_rest(*side)).filter_map(|(_, labels)| labels.as_ref())
    }

    /// Since when the pair is where it is.
    pub(crate) fn arrived(&self, pair: usize) -> Option<Duration> {
        self.accounts.get(pair).map(|account| account.arrived)
    }

    /// Books what was noted since the last time.
    pub(crate) fn settle(&mut self) {
        for account in &mut self.accounts {
            account.give(&mut self.rest);
            settle(account, &mut self.totals, &self.network_of, &mut self.networks);
        }
    }

    /// Takes the new list of pairs: an account goes on if either of its ends does, lingers if one of them
    /// is still `there`, and is closed if neither is. Returns for each pair where it was before.
    ///
    /// `born` says of a pair that was not there before whether it is truly new, and so counts from 0; any
    /// other was only found, and what it counted before is its baseline.
    pub(crate) fn reconcile(
        &mut self,
        pairs: &[Pair],
        now: Duration,
        born: impl Fn(&Pair) -> bool,
        there: impl Fn(End) -> bool,
    ) -> Vec<Option<Carried>> {
        self.settle();
        let before = std::mem::take(&mut self.accounts);
        let at = std::mem::take(&mut self.at);
        let mut before: Vec<Option<Account>> = before.into_iter().map(Some).collect();
        let mut carried = Vec::with_capacity(pairs.len());
        self.accounts = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let ends = pair.sides.map(|side| side.end);
            let found = (0..2).find_map(|side| {
                let &(index, was) = at.get(&ends[side])?;
                // An ifindex changes only by a move to another namespace: with another peer in the same one,
                // this end only has the id of one that is gone.
                let earlier = before[index].as_ref()?;
                let (peer, peer_was) = (ends[1 - side], earlier.ends[1 - was]);
                if earlier.ended || (peer != peer_was && peer.netns == peer_was.netns) {
                    return None;
                }
                before[index].take().map(|account| (account, Carried { index, turned: was != side }))
            });
            carried.push(found.as_ref().map(|(_, carried)| *carried));
            let mut account = match found {
                Some((mut account, Carried { turned, .. })) => {
                    if turned {
                        account.turn();
                    }
                    if account.ends != ends {
                        account.ends = ends;
                        account.arrived = now;
                    }
                    account
                }
                None => Account::new(ends, now),
            };
            for (side, link) in pair.sides.iter().map(|side| side.link).enumerate() {
                if let Some(link) = link {
                    account.observe(side, &link.counters);
                }
            }
            if carried.last() == Some(&None) && !born(pair) {
                account.booked = [account.traffic(0), account.traffic(1)];
                account.born = false;
            }
            self.accounts.push(account);
        }
        let (lingering, closed) =
            before.into_iter().flatten().partition(|account| account.ends.into_iter().any(&there));
        self.close(closed, now);
        self.living = self.accounts.len();
        self.accounts.extend::<Vec<Account>>(lingering);
        // Those of living pairs come last: an end that somebody else has now is theirs.
        for (index, account) in self.accounts.iter().enumerate().rev() {
            self.at.extend([(account.ends[0], (index, 0)), (account.ends[1], (index, 1))]);
        }
        carried
    }

    /// What a pair that died unnamed had carried waits for [`inherit`](Ledger::inherit).
    fn close(&mut self, accounts: Vec<Account>, now: Duration) {
        for mut account in accounts {
            let Some(labels) = account.held.take() else { continue };
            let traffic = [account.take(0), account.take(1)];
            let (clue, arrived) = (account.clue.take(), account.arrived);
            self.estates.push(Estate { labels, clue, since: now, arrived, traffic });
        }
    }

    /// Asks of each dead pair's traffic to whom it goes; it waits while the answer is `None`. Where very
    /// many wait, the oldest go to whom they would go without an answer.
    pub(crate) fn inherit(&mut self, heir: impl Fn(&Estate) -> Option<[Option<LabelSet>; 2]>) {
        let orphaned = &mut self.orphaned;
        let mut excess = self.estates.len().saturating_sub(ESTATES);
        self.estates.retain(|estate| {
            let labels = heir(estate).or_else(|| (excess > 0).then(|| estate.labels.clone()));
            let Some(labels) = labels else { return true };
            excess = excess.saturating_sub(1);
            let of_each = labels.into_iter().zip(estate.traffic);
            orphaned.extend(of_each.filter_map(|(labels, traffic)| Some((labels?, traffic, estate.arrived))));
            false
        });
    }

    /// Since when the first of the dead pairs waits for an heir.
    pub(crate) fn waits_since(&self) -> Option<Duration> {
        self.estates.iter().map(|estate| estate.since).min()
    }

    /// Says for whom each pair's traffic is booked from now on, [as far as there is room](Ledger::limit),
    /// and which networks are known; forgets the totals that nobody has carried for `retention`. Then books
    /// what was waiting.
    pub(crate) fn assign(
        &mut self,
        bookings: Vec<Booking>,
        known: impl Iterator<Item = NetworkLabels>,
        now: Duration,
        retention: Duration,
    ) {
        let orphaned = std::mem::take(&mut self.orphaned);
        let wanted = bookings.iter().zip(&self.accounts).flat_map(|(booking, account)| {
            let labels = match booking {
                Booking::Held { .. } => &[None, None],
                Booking::To(labels) => labels,
            };
            // What it has carried before anybody was known to whom it belongs is booked with the rest.
            let waited = account.held.is_some() || account.in_transit;
            let since = if waited { account.arrived } else { now };
            labels.iter().flatten().map(move |labels| (Cow::Borrowed(labels), since))
        });
        // Who is held for a while keeps what it was booked to.
        let held = |index: usize| !matches!(bookings.get(index), Some(Booking::To(_)));
        let lingering = self.accounts.iter().enumerate().filter(|(index, _)| held(*index));
        let lingering = lingering.flat_map(|(_, account)| &account.labels);
        let lingering = lingering.flatten().map(|labels| (Cow::Borrowed(labels), now));
        let inherited = orphaned.iter().map(|(labels, _, since)| (Cow::Borrowed(labels), *since));
        renew(&mut self.totals, wanted.chain(lingering).chain(inherited), now, retention, None);
        let carried =
            self.totals.iter().filter_map(|total| Some((Cow::Owned(total.labels.network()?), total.begun)));
        let known = known.map(|labels| (Cow::Owned(labels), now));
        let most = self.most_networks.map(|most| (most, NetworkLabels::rest as fn(&NetworkLabels) -> _));
        renew(&mut self.networks, known.chain(carried), now, retention, most);
        let network_of = |total: &Total<LabelSet>| {
            let network = total.labels.network()?;
            find(&self.networks, &network).or_else(|| find(&self.networks, &network.rest()))
        };
        self.network_of = self.totals.iter().map(network_of).collect();
        for (labels, traffic, _) in orphaned {
            if let Some(index) = find(&self.totals, &labels) {
                book(index, traffic, &mut self.totals, &self.network_of, &mut self.networks);
                self.totals[index].skip();
            }
        }
        for account in self.accounts.iter_mut().skip(bookings.len()).filter(|account| account.held.is_none())
        {
            account.booked_to = account.labels.each_ref().map(|labels| find(&self.totals, labels.as_ref()?));
        }
        for (account, booking) in self.accounts.iter_mut().zip(bookings) {
            match booking {
                // The owner sticks: Docker moves an eth0 back to the host for a moment before it deletes it.
                Booking::Held { labels, clue } => {
                    account.clue = clue;
                    let before = account.held.take().unwrap_or_else(|| account.labels.clone());
                    let known = account.labels.iter().any(Option::is_some);
                    let kept = known || labels.iter().all(Option::is_none);
                    account.held = Some(if kept { before } else { labels });
                    account.booked_to = [None, None];
                }
                Booking::To(labels) => {
                    let nobodys = labels.iter().all(Option::is_none);
                    let was_in_transit = account.in_transit;
                    account.in_transit = nobodys && now.saturating_sub(account.arrived) < TRANSIT;
                    account.booked_to = labels.each_ref().map(|labels| find(&self.totals, labels.as_ref()?));
                    account.labels = labels;
                    // What it carried while it was held, or on its way, is of more than one tick.
                    if account.held.take().is_some() || (was_in_transit && !account.in_transit) {
                        settle(account, &mut self.totals, &self.network_of, &mut self.networks);
                        for index in account.booked_to.into_iter().flatten() {
                            self.totals[index].skip();
                        }
                    }
                }
            }
        }
        self.settle();
    }

    /// True if a pair may yet move into its container, or turn out to stay where it is.
    pub(crate) fn in_transit(&self) -> bool {
        self.accounts.iter().any(|account| account.in_transit)
    }

    /// When the next total is to be forgotten that nobody carries at this time, at which all were assigned.
    pub(crate) fn forgets_at(&self, now: Duration, retention: Duration) -> Option<Duration> {
        let idle = self.totals.iter().map(|total| total.alive).filter(|&alive| alive < now);
        // `renew` forgets what is older, not what is as old.
        idle.min().map(|alive| alive + retention + Duration::from_nanos(1))
    }

    /// Notes the rates of the tick that ends now and took `length`, and forgets those older than `window`.
    pub(crate) fn tick(&mut self, now: Duration, length: Duration, window: Duration) {
        self.accounts.iter_mut().for_each(Account::end_tick);
        for index in self.accounts.iter().flat_map(|account| account.booked_to).flatten() {
            self.totals[index].carried = true;
        }
        for total in &mut self.totals {
            if std::mem::take(&mut total.carried) {
                total.alive = now;
                total.peaks.tick(&total.traffic, now, length);
            } else {
                total.peaks.pause();
            }
            total.peaks.forget(now, window);
        }
    }

    /// The pairs, by their place, whose end inside of a namespace knows more than its port.
    pub(crate) fn bypassed(&self) -> impl Iterator<Item = usize> {
        self.accounts.iter().enumerate().filter(|(_, account)| account.bypassed).map(|(pair, _)| pair)
    }

    /// For each of [`workloads`](Ledger::workloads) its highest rates; `None` where no pair has carried it
    /// in the window.
    pub(crate) fn peaks(&self) -> impl ExactSizeIterator<Item = Option<Rates>> {
        self.totals.iter().map(|total| total.peaks.peak())
    }

    /// For each of [`workloads`](Ledger::workloads) its rates of the last tick; `None` where no pair
    /// carried it then.
    pub(crate) fn rates(&self) -> impl ExactSizeIterator<Item = Option<Rates>> {
        self.totals.iter().map(|total| total.peaks.last())
    }

    /// For each of [`workloads`](Ledger::workloads) when its total began.
    pub(crate) fn workloads_begun(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.totals.iter().map(|total| total.begun)
    }

    /// For each of [`networks`](Ledger::networks) when its total began.
    pub(crate) fn networks_begun(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.networks.iter().map(|total| total.begun)
    }

    /// The totals of workloads, sorted by labels.
    pub(crate) fn workloads(&self) -> impl ExactSizeIterator<Item = (&LabelSet, &Traffic)> {
        self.totals.iter().map(|total| (&total.labels, &total.traffic))
    }

    /// The totals of networks, sorted by labels.
    pub(crate) fn networks(&self) -> impl ExactSizeIterator<Item = (&NetworkLabels, &Traffic)> {
        self.networks.iter().map(|total| (&total.labels, &total.traffic))
    }
}

fn settle(
    account: &mut Account,
    totals: &mut [Total<LabelSet>],
    network_of: &[Option<usize>],
    networks: &mut [Total<NetworkLabels>],
) {
    if account.held.is_some() || account.in_transit {
        return;
    }
    for side in 0..2 {
        let traffic = account.take(side);
        if let Some(index) = account.booked_to[side] {
            book(index, traffic, totals, network_of, networks);
        }
    }
}

fn book(
    index: usize,
    traffic: Traffic,
    totals: &mut [Total<LabelSet>],
    network_of: &[Option<usize>],
    networks: &mut [Total<NetworkLabels>],
) {
    totals[index].traffic += traffic;
    if let Some(network) = network_of[index] {
        networks[network].traffic += traffic;
    }
}

#[cfg(test)]
mod tests;
