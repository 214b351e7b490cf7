//! Counters over time -> totals that never fall and outlive their veths.
//!
//! An account belongs to a pair, not to its ends' ids: those are reused, and ends move. What goes through a
//! pair is booked, by differences, to the label sets that the pair carries at that moment, so a total is the
//! sum over every pair that ever carried its labels.

use super::link::{Counters, End};
use super::pairing::Pair;
use super::peak::{Peak, Peaks};
use super::workload::Runtime;
use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::time::Duration;

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes, link layer header included.
    pub bytes: u64,
    /// Packets; with GSO one of them can be 64 KB.
    pub packets: u64,
    /// Packets that could not be handed over, as the other end counted them.
    pub dropped: u64,
}

impl Flow {
    fn since(self, earlier: Flow) -> Flow {
        Flow {
            bytes: self.bytes.saturating_sub(earlier.bytes),
            packets: self.packets.saturating_sub(earlier.packets),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, more: Flow) {
        self.bytes += more.bytes;
        self.packets += more.packets;
        self.dropped += more.dropped;
    }
}

/// What a workload received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Into the workload.
    pub receive: Flow,
    /// Out of it.
    pub transmit: Flow,
}

impl Traffic {
    /// What came since an earlier total.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            receive: self.receive.since(earlier.receive),
            transmit: self.transmit.since(earlier.transmit),
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.receive += more.receive;
        self.transmit += more.transmit;
    }
}

/// The labels of a workload's totals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet {
    /// `runtime`.
    pub runtime: Runtime,
    /// `container`; empty if nobody claims the traffic.
    pub container: String,
    /// `interface`; empty if it could not be seen.
    pub interface: String,
    /// `network`; empty if there is none.
    pub network: String,
}

impl LabelSet {
    fn network(&self) -> Option<NetworkLabels> {
        (!self.network.is_empty())
            .then(|| NetworkLabels { runtime: self.runtime, network: self.network.clone() })
    }
}

/// The labels of a network's totals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkLabels {
    /// `runtime`.
    pub runtime: Runtime,
    /// `network`.
    pub network: String,
}

/// What one pair's counters showed, and how much of it is already booked.
#[derive(Clone, Debug)]
struct Account {
    ends: [End; 2],
    /// The highest value ever seen of each counter of each end: receive falls to 0 when a pair is detached.
    highest: [Counters; 2],
    booked: [Traffic; 2],
    /// For whom each side's traffic is booked, and where that is in `totals`.
    labels: [Option<LabelSet>; 2],
    booked_to: [Option<usize>; 2],
    /// While it is not yet known for whom to book, nothing is; should the pair die, then to these labels.
    held: Option<[Option<LabelSet>; 2]>,
    /// When the pair was first seen where it is now.
    arrived: Duration,
}

impl Account {
    fn new(ends: [End; 2], arrived: Duration) -> Account {
        Account {
            ends,
            highest: Default::default(),
            booked: Default::default(),
            labels: [None, None],
            booked_to: [None, None],
            held: Some([None, None]),
            arrived,
        }
    }

    fn observe(&mut self, side: usize, seen: &Counters) {
        self.highest[side] = highest(&self.highest[side], seen);
    }

    /// All that the workload at `side` ever received and sent over this pair. A veth normally counts what it
    /// transmits; with NAPI (GRO, XDP) or a redirect to the peer the receiver counts: whichever saw more is right.
    fn traffic(&self, side: usize) -> Traffic {
        let (own, other) = (&self.highest[side], &self.highest[1 - side]);
        Traffic {
            receive: Flow {
                bytes: other.transmit_bytes.max(own.receive_bytes),
                packets: other.transmit_packets.max(own.receive_packets),
                dropped: other.transmit_dropped,
            },
            transmit: Flow {
                bytes: own.transmit_bytes.max(other.receive_bytes),
                packets: own.transmit_packets.max(other.receive_packets),
                dropped: other.receive_dropped,
            },
        }
    }

    /// What is not booked yet, which is booked by that.
    fn take(&mut self, side: usize) -> Traffic {
        let all = self.traffic(side);
        let new = all.since(self.booked[side]);
        self.booked[side] = all;
        new
    }

    fn turn(&mut self) {
        self.ends.swap(0, 1);
        self.highest.swap(0, 1);
        self.booked.swap(0, 1);
        self.labels.swap(0, 1);
        self.booked_to.swap(0, 1);
    }
}

/// Of each counter the higher value.
pub fn highest(a: &Counters, b: &Counters) -> Counters {
    Counters {
        receive_bytes: a.receive_bytes.max(b.receive_bytes),
        receive_packets: a.receive_packets.max(b.receive_packets),
        receive_dropped: a.receive_dropped.max(b.receive_dropped),
        transmit_bytes: a.transmit_bytes.max(b.transmit_bytes),
        transmit_packets: a.transmit_packets.max(b.transmit_packets),
        transmit_dropped: a.transmit_dropped.max(b.transmit_dropped),
    }
}

#[derive(Clone, Debug)]
struct Total<L> {
    labels: L,
    traffic: Traffic,
    peaks: Peaks,
    /// When a pair last carried it (a network: when it was last known).
    alive: Duration,
}

/// The book of all pairs, workloads and networks.
#[derive(Debug, Default)]
pub struct Ledger {
    /// One for each pair of the last [`reconcile`](Ledger::reconcile), in its order.
    accounts: Vec<Account>,
    /// Sorted by labels.
    totals: Vec<Total<LabelSet>>,
    /// Sorted by labels.
    networks: Vec<Total<NetworkLabels>>,
    /// For each of `totals` its place in `networks`.
    network_of: Vec<Option<usize>>,
    /// What was held for pairs that died, until the next [`assign`](Ledger::assign).
    orphaned: Vec<(LabelSet, Traffic)>,
}

/// How a pair is carried over from the last reconciliation, if it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Its place then.
    pub index: usize,
    /// True if its sides are the other way round now: an end moved to another namespace.
    pub turned: bool,
}

/// For whom a pair's traffic is booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booking {
    /// It is not known yet: it is kept, and booked when it is, or to these labels if the pair dies before.
    Held([Option<LabelSet>; 2]),
    /// To these labels; a side without any is a port.
    To([Option<LabelSet>; 2]),
}

impl Ledger {
    /// Notes the counters of one end of a pair.
    pub fn observe(&mut self, pair: usize, side: usize, seen: &Counters) {
        if let Some(account) = self.accounts.get_mut(pair) {
            account.observe(side, seen);
        }
    }

    /// Since when the pair is where it is.
    pub fn arrived(&self, pair: usize) -> Option<Duration> {
        self.accounts.get(pair).map(|account| account.arrived)
    }

    /// Books what was noted since the last time.
    pub fn settle(&mut self) {
        for account in &mut self.accounts {
            settle(account, &mut self.totals, &self.network_of, &mut self.networks);
        }
    }

    /// Takes the new list of pairs: an account goes on if either of its ends does, and is closed if neither
    /// does. Returns for each pair where it was before.
    ///
    /// `born` says of a pair that was not there before whether it is truly new, and so counts from 0; any
    /// other was only found, and what it counted before is its baseline.
    pub fn reconcile(
        &mut self,
        pairs: &[Pair],
        now: Duration,
        born: impl Fn(&Pair) -> bool,
    ) -> Vec<Option<Carried>> {
        self.settle();
        let before = std::mem::take(&mut self.accounts);
        let at: HashMap<End, (usize, usize)> = before
            .iter()
            .enumerate()
            .flat_map(|(index, account)| [(account.ends[0], (index, 0)), (account.ends[1], (index, 1))])
            .collect();
        let mut before: Vec<Option<Account>> = before.into_iter().map(Some).collect();
        let mut carried = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let ends = pair.sides.map(|side| side.end);
            let found = (0..2).find_map(|side| {
                let &(index, was) = at.get(&ends[side])?;
                // An ifindex changes only by a move to another namespace: with another peer in the same one,
                // this end only has the id of one that is gone.
                let (peer, peer_was) = (ends[1 - side], before[index].as_ref()?.ends[1 - was]);
                if peer != peer_was && peer.netns == peer_was.netns {
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
            }
            self.accounts.push(account);
        }
        self.close(before.into_iter().flatten());
        carried
    }

    fn close(&mut self, accounts: impl Iterator<Item = Account>) {
        for mut account in accounts {
            let Some(labels) = account.held.take() else { continue };
            for (side, labels) in labels.into_iter().enumerate() {
                let Some(labels) = labels else { continue };
                self.orphaned.push((labels, account.take(side)));
            }
        }
    }

    /// Says for whom each pair's traffic is booked from now on, and which networks are known; forgets the
    /// totals that nobody has carried for `retention`. Then books what was waiting.
    pub fn assign(
        &mut self,
        bookings: Vec<Booking>,
        known: impl Iterator<Item = NetworkLabels>,
        now: Duration,
        retention: Duration,
    ) {
        let orphaned = std::mem::take(&mut self.orphaned);
        let wanted = bookings.iter().flat_map(|booking| match booking {
            Booking::Held(_) => [None, None],
            Booking::To(labels) => labels.clone(),
        });
        let wanted = wanted.flatten().chain(orphaned.iter().map(|(labels, _)| labels.clone()));
        let totals = renew(std::mem::take(&mut self.totals), wanted, now, retention);
        let carried = totals.iter().filter_map(|total| total.labels.network());
        let networks = known.chain(carried);
        self.networks = renew(std::mem::take(&mut self.networks), networks, now, retention);
        self.network_of = totals.iter().map(|total| find(&self.networks, &total.labels.network()?)).collect();
        self.totals = totals;
        for (labels, traffic) in orphaned {
            if let Some(index) = find(&self.totals, &labels) {
                book(index, traffic, &mut self.totals, &self.network_of, &mut self.networks);
            }
        }
        for (account, booking) in self.accounts.iter_mut().zip(bookings) {
            match booking {
                // The owner sticks: Docker moves an eth0 back to the host for a moment before it deletes it.
                Booking::Held(labels) => {
                    let known = account.labels.iter().any(Option::is_some);
                    account.held = Some(if known { account.labels.clone() } else { labels });
                    account.booked_to = [None, None];
                }
                Booking::To(labels) => {
                    account.held = None;
                    account.booked_to = labels.each_ref().map(|labels| find(&self.totals, labels.as_ref()?));
                    account.labels = labels;
                }
            }
        }
        self.settle();
    }

    /// Notes the rates of the tick that ends now and took `length`, and forgets those older than `window`.
    pub fn tick(&mut self, now: Duration, length: Duration, window: Duration) {
        let mut carried = vec![false; self.totals.len()];
        for index in self.accounts.iter().flat_map(|account| account.booked_to).flatten() {
            carried[index] = true;
        }
        for (total, carried) in self.totals.iter_mut().zip(carried) {
            if carried {
                total.peaks.tick(&total.traffic, now, length);
            }
            total.peaks.forget(now, window);
        }
    }

    /// For each of [`workloads`](Ledger::workloads) its highest rates; `None` where no pair has carried it in the
    /// window.
    pub fn peaks(&self) -> impl ExactSizeIterator<Item = Option<Peak>> {
        self.totals.iter().map(|total| total.peaks.peak())
    }

    /// The totals of workloads, sorted by labels.
    pub fn workloads(&self) -> impl ExactSizeIterator<Item = (&LabelSet, &Traffic)> {
        self.totals.iter().map(|total| (&total.labels, &total.traffic))
    }

    /// The totals of networks, sorted by labels.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = (&NetworkLabels, &Traffic)> {
        self.networks.iter().map(|total| (&total.labels, &total.traffic))
    }
}

fn settle(
    account: &mut Account,
    totals: &mut [Total<LabelSet>],
    network_of: &[Option<usize>],
    networks: &mut [Total<NetworkLabels>],
) {
    if account.held.is_some() {
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

/// Adds the labels that are wanted now, drops those that were last wanted longer than `retention` ago.
fn renew<L: Ord>(
    totals: Vec<Total<L>>,
    wanted: impl Iterator<Item = L>,
    now: Duration,
    retention: Duration,
) -> Vec<Total<L>> {
    let mut kept: BTreeMap<L, (Traffic, Peaks, Duration)> =
        totals.into_iter().map(|total| (total.labels, (total.traffic, total.peaks, total.alive))).collect();
    for labels in wanted {
        kept.entry(labels).or_default().2 = now;
    }
    let alive = |alive: Duration| now.saturating_sub(alive) <= retention;
    kept.into_iter()
        .filter(|(_, (_, _, last))| alive(*last))
        .map(|(labels, (traffic, peaks, alive))| Total { labels, traffic, peaks, alive })
        .collect()
}

fn find<L: Ord>(totals: &[Total<L>], labels: &L) -> Option<usize> {
    totals.binary_search_by(|total| total.labels.cmp(labels)).ok()
}

#[cfg(test)]
mod tests;
