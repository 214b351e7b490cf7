//! The totals and pairs of an earlier run of the exporter.
//!
//! A pair that was saved in this boot is recognized by what another pair cannot have: the ids of its
//! namespaces, both ifindexes and both MAC addresses, with counters that have not fallen. The kernel keeps
//! the id of a namespace for as long as the namespace lives, and gives an ifindex of the host again only
//! after 2^31 links. The difference of the counters is booked at once, to the totals that the pair had: a
//! scrape before a runtime has named it shows no less than the run before. As it is never more than the pair
//! itself has counted, even a mistake books no byte twice.

use super::account::{Account, HeldBack};
use super::book::Book;
use super::counted::Counted;
use super::totals::TotalId;
use super::{AccountId, LabelSet, Ledger, SeriesLimits};
use crate::model::link::{Counters, End, Link, Mac, NetnsId};
use crate::model::pairing::Pair;
use crate::model::state::journal::Journal;
use crate::model::state::{Moment, SavedEnd, SavedPair, SavedState, SavedTotal};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The namespaces and ifindexes of a pair's ends.
type PairPosition = [(Option<u32>, u32); 2];

/// The number of pairs by what was known of them when the exporter first saw them after its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredPairs {
    /// The pair was saved: the difference of its counters is booked.
    pub resumed: u64,
    /// The pair was made after the state was saved: all that it has counted is booked.
    pub made_meanwhile: u64,
    /// The pair is not surely either: only what it counts from now on is booked.
    pub unknown: u64,
    /// The pair was saved and is not there any more.
    pub gone: u64,
}

/// A saved pair that has not been seen yet, and the totals that its sides were booked to. It holds these.
#[derive(Debug)]
pub(super) struct UnseenPair {
    pair: SavedPair,
    totals: [Option<TotalId>; 2],
}

/// The saved pairs that have not been seen yet.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    saved: BTreeMap<PairPosition, UnseenPair>,
    /// The counters of all ends that were saved, by their MAC addresses: the lowest, where several have one.
    by_address: BTreeMap<Mac, Counters>,
    /// The moment of the saved state; `None` if there is none, or once its pairs are no longer waited for.
    moment: Option<Moment>,
    is_this_boot: bool,
    is_this_netns: bool,
    /// The highest ifindex of a link of the host in this boot.
    highest: u32,
    /// The time at which the state was taken over.
    begun: Duration,
    outcomes: RestoredPairs,
}

/// The origin of a pair that was there before the exporter.
pub(super) enum Origin {
    Resumed(Box<UnseenPair>),
    MadeMeanwhile,
    /// The pair has the ids of a saved one, and is another.
    Another(Box<UnseenPair>),
    Unknown,
}

impl Restoring {
    fn new(moment: Moment, here: &Moment, pairs: Vec<UnseenPair>, begun: Duration) -> Restoring {
        let is_this_boot = moment.boot == here.boot && !here.boot.is_empty();
        let is_this_netns = moment.netns == here.netns;
        let is_valid = is_this_boot && is_this_netns;
        let pairs: Vec<UnseenPair> = if is_valid { pairs } else { Vec::new() };
        Restoring {
            by_address: by_address(&pairs),
            saved: pairs.into_iter().map(|saved| (position(&saved.pair.ends), saved)).collect(),
            begun,
            highest: if is_valid { moment.highest } else { 0 },
            moment: Some(moment),
            is_this_boot,
            is_this_netns,
            outcomes: RestoredPairs::default(),
        }
    }

    /// Returns the origin of a pair that was there before the exporter. A saved pair is returned once.
    pub(super) fn origin(&mut self, pair: &Pair) -> Origin {
        if self.moment.is_none() {
            return Origin::Unknown;
        }
        let ends = SavedPair::ends_of(pair);
        let origin = match self.saved.remove(&position(&ends)) {
            Some(saved) if saved.pair.ends == ends && !has_fallen(pair, &saved.pair) => {
                Origin::Resumed(Box::new(saved))
            }
            Some(saved) => Origin::Another(Box::new(saved)),
            None if self.is_new(pair) => Origin::MadeMeanwhile,
            None => Origin::Unknown,
        };
        let count = match origin {
            Origin::Resumed(_) => &mut self.outcomes.resumed,
            Origin::MadeMeanwhile => &mut self.outcomes.made_meanwhile,
            Origin::Another(_) | Origin::Unknown => &mut self.outcomes.unknown,
        };
        *count += 1;
        origin
    }

    /// Returns true for a pair that was made after the state was saved: in another boot, or with an ifindex
    /// on the host that no link had by then. A link that has moved to the host keeps the MAC address that it
    /// had elsewhere; if that was changed, its peer's is known.
    fn is_new(&self, pair: &Pair) -> bool {
        if !self.is_this_boot {
            return true;
        }
        let saved = |link: &Link| link.address.and_then(|address| self.by_address.get(&address));
        let mut on_host = pair.sides.iter().filter(|side| side.end.netns == NetnsId::Host).peekable();
        self.is_this_netns
            && on_host.peek().is_some()
            && on_host.all(|side| {
                side.end.ifindex > self.highest_saved()
                    && side.link.as_ref().is_some_and(|link| saved(link).is_none())
            })
            // A runtime may give a new container the address of the one before.
            && pair.sides.iter().filter_map(|side| side.link.as_ref()).all(|link| {
                saved(link).is_none_or(|before| has_end_fallen(link, before))
            })
    }

    fn highest_saved(&self) -> u32 {
        self.moment.as_ref().map_or(u32::MAX, |moment| moment.highest)
    }
}

fn position(ends: &[SavedEnd; 2]) -> PairPosition {
    ends.map(|end| (end.nsid, end.ifindex))
}

/// Returns true if the counters of a pair are lower than the saved ones: it is another pair. The receive
/// counter of a veth shows its peer's transmit while it has a peer, so only that of a netkit counts.
fn has_fallen(pair: &Pair, saved: &SavedPair) -> bool {
    let links = pair.sides.iter().map(|side| side.link.as_ref());
    links.zip(&saved.highest).any(|(link, before)| link.is_some_and(|link| has_end_fallen(link, before)))
}

fn has_end_fallen(link: &Link, before: &Counters) -> bool {
    let now = &link.counters;
    let sent_less = now.transmit_bytes < before.transmit_bytes
        || now.transmit_packets < before.transmit_packets
        || now.transmit_dropped < before.transmit_dropped;
    let received_less =
        now.receive_bytes < before.receive_bytes || now.receive_packets < before.receive_packets;
    sent_less || link.kind.counts_receive() && received_less
}

/// Returns the counters of all ends by their MAC addresses; of several ends with one, those of the lowest
/// transmit.
fn by_address(pairs: &[UnseenPair]) -> BTreeMap<Mac, Counters> {
    let mut found: BTreeMap<Mac, Counters> = BTreeMap::new();
    for UnseenPair { pair, .. } in pairs {
        for (end, counters) in pair.ends.iter().zip(&pair.highest) {
            let Some(address) = end.address else { continue };
            let lowest = found.entry(address).or_insert(*counters);
            if counters.transmit_bytes < lowest.transmit_bytes {
                *lowest = *counters;
            }
        }
    }
    found
}

impl Account {
    /// Takes the counters of a pair that was there before the exporter: the part that is new traffic follows
    /// from the pair's origin.
    pub(super) fn begin_as(&mut self, origin: Origin, book: &mut Book) {
        match origin {
            Origin::Unknown => self.begin_here(),
            Origin::Another(saved) => {
                saved.release(book, self.arrived);
                self.begin_here();
            }
            Origin::MadeMeanwhile => {
                self.counted.begin_here(self.port());
                self.born = false;
            }
            Origin::Resumed(saved) => {
                let UnseenPair { pair, totals } = *saved;
                let mut before = Counted::default();
                before.highest = pair.highest;
                self.booked = [0, 1].map(|side| before.traffic(side).since(pair.unbooked[side]));
                for (side, counters) in pair.highest.iter().enumerate() {
                    self.counted.observe(side, counters);
                }
                self.totals = totals;
                let labels = totals.map(|total| Some(LabelSet::clone(&*book.labels(total?)?)));
                let is_resumed = labels.iter().any(Option::is_some);
                self.held = Some(Box::new(HeldBack { labels, hint: None, is_resumed }));
                self.counted.begin_here(self.port());
                self.born = false;
                self.book_absence(book);
            }
        }
    }

    /// Books what a pair has carried since the state was saved to the totals that it had then, if it had any.
    /// Peaks leave it out, as the time in which it was carried is not known.
    fn book_absence(&mut self, book: &mut Book) {
        for (side, total) in self.totals.into_iter().enumerate() {
            let Some(id) = total else { continue };
            let traffic = self.take_unbooked(side);
            book.book(id, traffic);
            if let Some(total) = book.workloads.get_mut(id) {
                total.skip();
            }
        }
    }
}

impl UnseenPair {
    /// Lets go of the totals, which have had no carrier since `idle` unless another pair has them.
    fn release(&self, book: &mut Book, idle: Duration) {
        for total in self.totals.into_iter().flatten() {
            book.workloads.release(total, idle);
        }
    }
}

impl Ledger {
    /// Takes the totals and pairs of an earlier run, before the first pair is seen. `model_time` turns a time
    /// since 1970 into one of this run.
    pub(crate) fn restore(
        &mut self,
        saved: SavedState,
        here: &Moment,
        model_time: impl Fn(Duration) -> Duration,
        now: Duration,
        limits: &SeriesLimits<'_>,
    ) {
        for mut total in saved.networks {
            (total.begun, total.idle) = (model_time(total.begun), total.idle.map(&model_time));
            self.book.restore_network(total, now, limits);
        }
        let new = self.periods.restore(saved.periods, saved.moment.taken);
        let restore = |mut total: SavedTotal<LabelSet>| {
            total.bases.begin(&total.traffic, new);
            (total.begun, total.idle) = (model_time(total.begun), total.idle.map(&model_time));
            self.book.restore_workload(total, now, limits)
        };
        let totals: Vec<TotalId> = saved.workloads.into_iter().map(restore).collect();
        let pairs = saved.pairs.into_iter().map(|pair| {
            let totals = pair.totals.map(|total| totals.get(total?).copied());
            UnseenPair { pair, totals }
        });
        self.restoring = Restoring::new(saved.moment, here, pairs.collect(), now);
        // A total must not be forgotten before its pair could be seen.
        for total in self.restoring.saved.values().flat_map(|saved| saved.totals).flatten() {
            self.book.workloads.hold(total);
        }
    }

    /// Forgets the saved pairs that were not seen.
    pub(crate) fn end_restoring(&mut self) {
        let Restoring { saved, moment, outcomes, by_address, begun, .. } = &mut self.restoring;
        if moment.take().is_some() {
            outcomes.gone += saved.len() as u64;
            for saved in std::mem::take(saved).into_values() {
                saved.release(&mut self.book, *begun);
            }
            by_address.clear();
        }
    }

    /// Returns true for a pair of an earlier run with the totals that it had, which nothing has named in this
    /// run.
    pub(crate) fn is_resumed(&self, id: AccountId) -> bool {
        self.accounts.get(id).and_then(|account| account.held.as_ref()).is_some_and(|held| held.is_resumed)
    }

    /// Returns the numbers of pairs that were there before the exporter.
    pub(crate) fn restored_pairs(&self) -> RestoredPairs {
        self.restoring.outcomes
    }

    /// Returns the highest ifindex of a link of the host in this boot, of which this is the present one.
    pub(crate) fn raise_highest(&mut self, present: u32) -> u32 {
        self.restoring.highest = self.restoring.highest.max(present);
        self.restoring.highest
    }

    /// Writes all totals and living pairs; `epoch` is the zero of this run's times.
    pub(crate) fn save(&self, journal: &mut Journal, epoch: Duration, address: impl Fn(End) -> Option<Mac>) {
        journal.periods(self.periods.present());
        let mut records: HashMap<TotalId, u64> = HashMap::with_capacity(self.book.workloads.len());
        for (id, total) in self.book.workloads.iter() {
            let idle = total.idle_since().map(|idle| epoch + idle);
            let bases = &total.detail.bases;
            let record = journal.workload(&total.labels, &total.traffic, epoch + total.begun, idle, bases);
            records.insert(id, record);
        }
        let records = |totals: [Option<TotalId>; 2]| totals.map(|total| records.get(&total?).copied());
        for (_, total) in self.book.networks.iter() {
            let idle = total.idle_since().map(|idle| epoch + idle);
            journal.network(&total.labels, &total.traffic, epoch + total.begun, idle);
        }
        for UnseenPair { pair, totals } in self.restoring.saved.values() {
            journal.pair(&pair.ends, &pair.highest, &pair.unbooked, records(*totals));
        }
        let living =
            self.accounts.iter().filter(|(id, account)| !account.ended && !self.lingering.contains(id));
        for (_, account) in living {
            let ends = account.ends.map(|end| SavedEnd::of(end, address(end)));
            let unbooked = [0, 1].map(|side| account.counted.traffic(side).since(account.booked[side]));
            journal.pair(&ends, &account.counted.highest, &unbooked, records(account.totals));
        }
    }
}

#[cfg(test)]
mod tests;
