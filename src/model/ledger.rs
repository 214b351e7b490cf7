//! Counters over time -> totals that never fall and outlive their veths.
//!
//! An account belongs to a pair, not to its ends' ids: those are reused, and ends move. What goes through a
//! pair is booked, by differences, to the label sets that the pair carries at that moment, so a total is the
//! sum over every pair that ever carried its labels.

use super::label;
use super::link::{Counters, End, Mac, Name, NetnsId};
use super::pairing::Pair;
use super::peak::{Peaks, Rates};
use super::series;
use super::workload::{Runtime, Workload};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::AddAssign;
use std::time::Duration;

mod limits;
mod rest;

pub use self::limits::{Limits, Showing};
use self::rest::Listing;
pub use self::rest::{Rest, Row};

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
    /// `container`; empty for a pod, and if nobody claims the traffic.
    pub container: String,
    /// `namespace`, Kubernetes'; empty for what is no pod.
    pub namespace: String,
    /// `pod`; empty for what is none.
    pub pod: String,
    /// `interface`; empty if it could not be seen.
    pub interface: String,
    /// `network`; empty if there is none.
    pub network: String,
}

impl LabelSet {
    /// Those of an owner's interface on a network.
    pub fn of(owner: &Workload, interface: String, mut network: String) -> LabelSet {
        label::bound(&mut network);
        LabelSet {
            runtime: owner.runtime,
            container: owner.name.clone(),
            namespace: owner.namespace.clone(),
            pod: owner.pod.clone(),
            interface,
            network,
        }
    }

    /// Which workload it is of: what its label sets have in common.
    pub fn workload(&self) -> (Runtime, [&str; 3]) {
        (self.runtime, [&self.container, &self.namespace, &self.pod])
    }

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

impl NetworkLabels {
    /// What networks of this runtime are summed under that there is no room for.
    fn rest(&self) -> NetworkLabels {
        NetworkLabels { runtime: self.runtime, network: series::OTHER.to_owned() }
    }
}

/// What one pair's counters showed, and how much of it is already booked.
#[derive(Clone, Debug)]
struct Account {
    ends: [End; 2],
    /// The highest value ever seen of each counter of each end: receive falls to 0 when a pair is detached.
    highest: [Counters; 2],
    /// What each end showed once it had no peer any more: only what it kept itself.
    detached: Option<Box<[Option<Counters>; 2]>>,
    booked: [Traffic; 2],
    /// For whom each side's traffic is booked, and where that is in `totals`.
    labels: [Option<LabelSet>; 2],
    booked_to: [Option<usize>; 2],
    /// While it is not yet known for whom to book, nothing is; should the pair die, then to these labels.
    held: Option<[Option<LabelSet>; 2]>,
    /// While it is held, what may tell whose it was should it die.
    clue: Option<Clue>,
    /// When the pair was first seen where it is now.
    arrived: Duration,
    /// Two ports, and young: one of them may yet move into a container, and what it has carried moves with it.
    in_transit: bool,
    /// An end was deleted: whatever has its id from now on is another.
    ended: bool,
    /// The bytes that each end had received when the last tick ended.
    received: [u64; 2],
    /// The end inside receives what its port never sent: packets are redirected past the port (bpf_redirect_peer).
    bypassed: bool,
    /// It counts from 0: it came since we look.
    born: bool,
    listing: Listing,
}

impl Account {
    fn new(ends: [End; 2], arrived: Duration) -> Account {
        Account {
            ends,
            highest: Default::default(),
            detached: None,
            booked: Default::default(),
            labels: [None, None],
            booked_to: [None, None],
            held: Some([None, None]),
            clue: None,
            arrived,
            in_transit: false,
            ended: false,
            received: [0, 0],
            bypassed: false,
            born: true,
            listing: Listing::Undecided,
        }
    }

    /// True if this side's traffic is booked to these labels.
    fn is_booked_to(&self, side: usize, labels: &LabelSet) -> bool {
        self.booked_to[side].is_some() && self.labels[side].as_ref() == Some(labels)
    }

    /// Ends a tick, for which the host's ends were read: what one of them had sent by then is at least what its peer had
    /// received a tick ago, unless something goes past it.
    fn end_tick(&mut self) {
        for side in 0..2 {
            let port = self.ends[1 - side].netns == NetnsId::Host && self.ends[side].netns != NetnsId::Host;
            self.bypassed |= port && self.highest[1 - side].transmit_bytes < self.received[side];
        }
        self.received = self.highest.each_ref().map(|counters| counters.receive_bytes);
    }

    fn observe(&mut self, side: usize, seen: &Counters) {
        self.highest[side] = highest(&self.highest[side], seen);
    }

    /// Notes the counters of an end that has lost its peer.
    fn observe_detached(&mut self, side: usize, seen: &Counters) {
        // Its own transmit goes on counting; a receive that is still its peer's transmit is in neither.
        self.detached.get_or_insert_default()[side] = Some(*seen);
        self.observe(side, seen);
    }

    /// All that the workload at `side` ever received and sent over this pair.
    fn traffic(&self, side: usize) -> Traffic {
        let (receive_bytes, receive_packets) = self.carried_to(side);
        let (transmit_bytes, transmit_packets) = self.carried_to(1 - side);
        let other = &self.highest[1 - side];
        Traffic {
            receive: Flow { bytes: receive_bytes, packets: receive_packets, dropped: other.transmit_dropped },
            transmit: Flow {
                bytes: transmit_bytes,
                packets: transmit_packets,
                dropped: other.receive_dropped,
            },
        }
    }

    /// Bytes and packets that reached `side`. A veth normally counts what it transmits, and shows its peer's transmit as
    /// its receive; with NAPI (GRO, XDP) or a redirect to the peer the receiver counts. Whichever saw more is right,
    /// and once they are parted the sum of what each has kept.
    fn carried_to(&self, side: usize) -> (u64, u64) {
        let (own, other) = (&self.highest[side], &self.highest[1 - side]);
        let detached = self.detached.as_ref().and_then(|detached| detached[side]);
        let (parted, kept) = (detached.is_some(), detached.unwrap_or_default());
        let sum = |sent: u64, kept: u64| if parted { sent + kept } else { 0 };
        (
            other.transmit_bytes.max(own.receive_bytes).max(sum(other.transmit_bytes, kept.receive_bytes)),
            other
                .transmit_packets
                .max(own.receive_packets)
                .max(sum(other.transmit_packets, kept.receive_packets)),
        )
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
        self.received.swap(0, 1);
        self.detached.iter_mut().for_each(|detached| detached.swap(0, 1));
        self.booked.swap(0, 1);
        self.labels.swap(0, 1);
        self.booked_to.swap(0, 1);
        if let Listing::Rest(share) = &mut self.listing {
            share.turn();
        }
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
    /// Since when it is counted.
    begun: Duration,
    peaks: Peaks,
    /// When a pair last carried it (a network: when it was last known).
    alive: Duration,
    /// A pair carries it at the tick that is being noted.
    carried: bool,
}

impl<L> Total<L> {
    /// What was just booked is of an unknown time, and in no peak.
    fn skip(&mut self) {
        self.peaks.skip_to(&self.traffic);
    }
}

/// A pair that a runtime has made on the host is moved into its container within this: 1.6 s were measured with 16 starts
/// in parallel on two cores.
const TRANSIT: Duration = Duration::from_secs(10);

/// The book of all pairs, workloads and networks.
#[derive(Debug, Default)]
pub struct Ledger {
    /// One for each pair of the last [`reconcile`](Ledger::reconcile), in its order; behind them those of pairs of
    /// which only one end is left, until that is gone too: it may bring the last numbers.
    accounts: Vec<Account>,
    /// How many of them are of pairs.
    living: usize,
    /// Each end's account and side.
    at: HashMap<End, (usize, usize)>,
    /// Where the end is looked for first that is observed next: a dump comes in the order of the accounts.
    next: usize,
    /// Sorted by labels.
    totals: Vec<Total<LabelSet>>,
    /// Sorted by labels.
    networks: Vec<Total<NetworkLabels>>,
    /// For each of `totals` its place in `networks`.
    network_of: Vec<Option<usize>>,
    /// What was held for pairs that died, until somebody tells whose they were.
    estates: Vec<Estate>,
    /// Of these it is decided, and since when they are counted: they are booked by the next [`assign`](Ledger::assign).
    orphaned: Vec<(LabelSet, Traffic, Duration)>,
    rest: Rest,
    /// There may be so many networks, and one more for the others.
    most_networks: Option<usize>,
}

/// What a pair had carried that died while it was held.
#[derive(Clone, Debug)]
pub struct Estate {
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
pub struct Clue {
    /// Its MAC address.
    pub address: Option<Mac>,
    /// The host's bridge that its port is enslaved to.
    pub bridge: Option<Name>,
    /// The id of the container whose first process was in its namespace.
    pub container: Option<String>,
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
    pub fn observe(&mut self, end: End, seen: &Counters) -> Option<(usize, usize)> {
        let living = &self.accounts[..self.living];
        let (index, side) = match living.get(self.next) {
            Some(account) if account.ends[0] == end => (self.next, 0),
            _ => self.place(end)?,
        };
        self.next = index + 1;
        self.accounts[index].observe(side, seen);
        Some((index, side))
    }

    /// Notes the counters of an end that has no peer any more: then each end keeps only what it counted itself.
    pub fn observe_detached(&mut self, end: End, seen: &Counters) -> Option<(usize, usize)> {
        let (index, side) = self.place(end)?;
        self.accounts[index].observe_detached(side, seen);
        Some((index, side))
    }

    /// The end was deleted, and with it its pair: whatever comes under its id is another.
    pub fn end(&mut self, end: End) {
        if let Some((index, _)) = self.place(end) {
            self.accounts[index].ended = true;
            self.at.remove(&end);
        }
    }

    /// The pair and the side of it that an end is, as of the last [`reconcile`](Ledger::reconcile).
    pub fn place(&self, end: End) -> Option<(usize, usize)> {
        self.at.get(&end).copied()
    }

    /// For whom each side of a pair is booked, or would be if it were not held.
    pub fn labels(&self, pair: usize) -> [Option<&LabelSet>; 2] {
        let labels = self.accounts.get(pair).map(|account| account.held.as_ref().unwrap_or(&account.labels));
        [0, 1].map(|side| labels.and_then(|labels| labels[side].as_ref()))
    }

    /// Those of these labels that nothing has been booked to for this pair.
    pub fn not_yet_booked_to<'a>(
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
    pub fn arrived(&self, pair: usize) -> Option<Duration> {
        self.accounts.get(pair).map(|account| account.arrived)
    }

    /// Books what was noted since the last time.
    pub fn settle(&mut self) {
        for account in &mut self.accounts {
            account.give(&mut self.rest);
            settle(account, &mut self.totals, &self.network_of, &mut self.networks);
        }
    }

    /// Takes the new list of pairs: an account goes on if either of its ends does, lingers if one of them is still
    /// `there`, and is closed if neither is. Returns for each pair where it was before.
    ///
    /// `born` says of a pair that was not there before whether it is truly new, and so counts from 0; any
    /// other was only found, and what it counted before is its baseline.
    pub fn reconcile(
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

    /// Asks of each dead pair's traffic to whom it goes; it waits while the answer is `None`.
    pub fn inherit(&mut self, heir: impl Fn(&Estate) -> Option<[Option<LabelSet>; 2]>) {
        let orphaned = &mut self.orphaned;
        self.estates.retain(|estate| {
            let Some(labels) = heir(estate) else { return true };
            let of_each = labels.into_iter().zip(estate.traffic);
            orphaned.extend(of_each.filter_map(|(labels, traffic)| Some((labels?, traffic, estate.arrived))));
            false
        });
    }

    /// Since when the first of the dead pairs waits for an heir.
    pub fn waits_since(&self) -> Option<Duration> {
        self.estates.iter().map(|estate| estate.since).min()
    }

    /// Says for whom each pair's traffic is booked from now on, [as far as there is room](Ledger::limit), and which networks are
    /// known; forgets the totals that nobody has carried for `retention`. Then books what was waiting.
    pub fn assign(
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
    pub fn in_transit(&self) -> bool {
        self.accounts.iter().any(|account| account.in_transit)
    }

    /// When the next total is to be forgotten that nobody carries at this time, at which all were assigned.
    pub fn forgets_at(&self, now: Duration, retention: Duration) -> Option<Duration> {
        let idle = self.totals.iter().map(|total| total.alive).filter(|&alive| alive < now);
        // `renew` forgets what is older, not what is as old.
        idle.min().map(|alive| alive + retention + Duration::from_nanos(1))
    }

    /// Notes the rates of the tick that ends now and took `length`, and forgets those older than `window`.
    pub fn tick(&mut self, now: Duration, length: Duration, window: Duration) {
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
    pub fn bypassed(&self) -> impl Iterator<Item = usize> {
        self.accounts.iter().enumerate().filter(|(_, account)| account.bypassed).map(|(pair, _)| pair)
    }

    /// For each of [`workloads`](Ledger::workloads) its highest rates; `None` where no pair has carried it in the
    /// window.
    pub fn peaks(&self) -> impl ExactSizeIterator<Item = Option<Rates>> {
        self.totals.iter().map(|total| total.peaks.peak())
    }

    /// For each of [`workloads`](Ledger::workloads) its rates of the last tick; `None` where no pair carried it then.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = Option<Rates>> {
        self.totals.iter().map(|total| total.peaks.last())
    }

    /// For each of [`workloads`](Ledger::workloads) when its total began.
    pub fn workloads_begun(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.totals.iter().map(|total| total.begun)
    }

    /// For each of [`networks`](Ledger::networks) when its total began.
    pub fn networks_begun(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.networks.iter().map(|total| total.begun)
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

/// How many there may be, and what those are summed under that are more.
type Most<L> = (usize, fn(&L) -> L);

/// Adds the labels that are wanted, each with the time since when it is counted; drops those that were last wanted longer than `retention` ago. In place: most are
/// the same each time, and there are thousands. Of more than `most` the new ones get the labels of their rest.
fn renew<'a, L: Ord + Clone + 'a>(
    totals: &mut Vec<Total<L>>,
    wanted: impl Iterator<Item = (Cow<'a, L>, Duration)>,
    now: Duration,
    retention: Duration,
    most: Option<Most<L>>,
) {
    let mut new = Vec::new();
    for (labels, begun) in wanted {
        match find(totals, &labels) {
            Some(index) => totals[index].alive = now,
            None => new.push((labels.into_owned(), begun)),
        }
    }
    totals.retain(|total| now.saturating_sub(total.alive) <= retention);
    if new.is_empty() {
        return;
    }
    // Of the same labels the earliest time.
    new.sort();
    new.dedup_by(|later, earlier| later.0 == earlier.0);
    if let Some((most, rest)) = most {
        let room = most.saturating_sub(totals.len()).min(new.len());
        let mut others: Vec<_> = new.drain(room..).map(|(labels, begun)| (rest(&labels), begun)).collect();
        others.sort();
        others.dedup_by(|later, earlier| later.0 == earlier.0);
        for (labels, begun) in others {
            match find(totals, &labels) {
                Some(index) => totals[index].alive = now,
                None if new.iter().any(|(new, _)| *new == labels) => {}
                None => new.push((labels, begun)),
            }
        }
    }
    totals.reserve_exact(new.len());
    totals.extend(new.into_iter().map(|(labels, begun)| Total {
        labels,
        traffic: Traffic::default(),
        begun,
        peaks: Peaks::default(),
        alive: now,
        carried: false,
    }));
    totals.sort_by(|a, b| a.labels.cmp(&b.labels));
}

fn find<L: Ord>(totals: &[Total<L>], labels: &L) -> Option<usize> {
    totals.binary_search_by(|total| total.labels.cmp(labels)).ok()
}

#[cfg(test)]
mod tests;
