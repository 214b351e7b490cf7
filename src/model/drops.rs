//! Packets that the kernel dropped, by workload and reason: totals that never fall.
//!
//! A program in the kernel counts drops by network namespace, device and reason. Each reading has all of its
//! counts; the differences are booked to the workload that owns the namespace at that moment, or, for a
//! device of the host that is a port, to the workload behind it. What belongs to no workload is booked to the
//! host or to none. The kernel's own name of a namespace is its cookie, which is never used again. The list
//! of the ids in the exporter's namespace has the cookie of each, and is requested when an id has come.

use super::link::NetnsId;
use super::policy::{DROPS_AT_LEAST, DROPS_KEPT, DROPS_UNKNOWN};
use super::workload::WorkloadName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod reasons;
mod totals;

pub use self::reasons::DropReasons;
use self::totals::DropTotals;
pub use self::totals::{DropOwner, DropSeries};

/// The kernel's name of one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropKey {
    /// The cookie of the network namespace; 0 if the packet led to none.
    pub cookie: u64,
    /// The device by which the packet came, else the one on which it was; 0 for none.
    pub ifindex: u32,
    /// The number of the reason.
    pub reason: u32,
}

/// A network namespace and its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetnsCookie {
    /// The id of the namespace; `None` for the exporter's own.
    pub nsid: Option<u32>,
    /// The number that the kernel gives the namespace, and no other one until it is booted anew.
    pub cookie: u64,
}

/// A request for the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropsRequest {
    /// True to list the namespaces too.
    pub with_namespaces: bool,
    /// The counts to remove from the kernel's map if they are still these.
    pub forget: Vec<(DropKey, u64)>,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropReading {
    /// All counts: packets since the program was loaded.
    pub counts: Vec<(DropKey, u64)>,
    /// The namespaces, if they were to be listed.
    pub namespaces: Option<Vec<NetnsCookie>>,
    /// The counts that were removed before the others were read.
    pub forgotten: Vec<DropKey>,
    /// The packets that the kernel's map had no room for.
    pub lost: u64,
}

/// The owner of what was dropped at one place, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DropBooking {
    /// The owner is known; of a port, the workload behind it.
    To(DropOwner),
    /// A better name may come: the packets wait.
    Held,
}

/// The facts that decide about a booking.
pub(crate) struct DropFacts<'a> {
    /// Returns the namespace that has an id now.
    pub netns: &'a dyn Fn(Option<u32>) -> NetnsId,
    /// Returns the owner of a packet on a device in a namespace.
    pub owner: &'a dyn Fn(NetnsId, u32) -> DropBooking,
    /// The number of series that all totals may have.
    pub room: usize,
}

/// A namespace of which the kernel has counts, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CookieNetns {
    There(NetnsId),
    /// The namespace ended at this time; its owner then.
    Gone(DropOwner, Duration),
}

/// The counts as last read, the namespaces, and the totals.
#[derive(Debug, Default)]
pub(crate) struct DropState {
    /// The kernel's reasons; `None` if its counts are not read.
    reasons: Option<DropReasons>,
    booked: BTreeMap<DropKey, BookedCount>,
    namespaces: BTreeMap<u64, CookieNetns>,
    cookies: BTreeMap<NetnsId, u64>,
    /// The ids that have come or gone since the last list of namespaces was requested.
    touched: BTreeSet<u32>,
    /// True if the next request is to list the namespaces.
    wants_namespaces: bool,
    /// The time since which each cookie of no known namespace has been there.
    unknown: BTreeMap<u64, Duration>,
    totals: DropTotals,
    /// The time of the last request; `None` before the first.
    asked: Option<Duration>,
    is_open: bool,
    lost: u64,
}

/// A count as it was booked.
#[derive(Clone, Copy, Debug)]
struct BookedCount {
    packets: u64,
    /// The time since which it has been the same.
    since: Duration,
}

impl DropState {
    /// Begins to ask for counts with these reasons of the kernel.
    pub(crate) fn begin(&mut self, reasons: DropReasons) {
        self.reasons = Some(reasons);
    }

    /// Returns true if the counts are read.
    pub(crate) fn is_read(&self) -> bool {
        self.reasons.is_some()
    }

    /// Takes the news that an id of a namespace has come or gone.
    pub(crate) fn touch(&mut self, nsid: u32) {
        // The first request lists all namespaces.
        if self.is_read() {
            self.touched.insert(nsid);
            self.wants_namespaces = true;
        }
    }

    /// Takes the news that a namespace is gone; its owner was this.
    pub(crate) fn end(&mut self, netns: NetnsId, owner: DropBooking, now: Duration) {
        let Some(cookie) = self.cookies.remove(&netns) else { return };
        let owner = match owner {
            DropBooking::To(owner) => owner,
            DropBooking::Held => DropOwner::NoWorkload,
        };
        self.namespaces.insert(cookie, CookieNetns::Gone(owner, now));
        self.totals.release(cookie, now);
    }

    /// Returns the next request, unless one is open or the last was just now.
    pub(crate) fn question(&mut self, now: Duration) -> Option<DropsRequest> {
        let is_early = self.asked.is_some_and(|asked| now.saturating_sub(asked) < DROPS_AT_LEAST);
        if self.is_open || is_early || !self.is_read() {
            return None;
        }
        let is_first = self.asked.replace(now).is_none();
        self.is_open = true;
        self.touched.clear();
        let with_namespaces = std::mem::take(&mut self.wants_namespaces) || is_first;
        Some(DropsRequest { with_namespaces, forget: self.forgettable(now) })
    }

    /// Returns the counts that will not change any more, or have not for long and are of no known namespace.
    fn forgettable(&self, now: Duration) -> Vec<(DropKey, u64)> {
        let is_over = |key: &DropKey, booked: &BookedCount| match self.namespaces.get(&key.cookie) {
            Some(CookieNetns::Gone(..)) => true,
            Some(CookieNetns::There(_)) => false,
            None => now.saturating_sub(booked.since) >= DROPS_KEPT,
        };
        let over = self.booked.iter().filter(|(key, booked)| is_over(key, booked));
        over.map(|(key, booked)| (*key, booked.packets)).collect()
    }

    /// Books the answer to a request.
    pub(crate) fn answer(&mut self, reading: DropReading, facts: &DropFacts<'_>, now: Duration) {
        self.is_open = false;
        self.lost = self.lost.max(reading.lost);
        let namespaces = reading.namespaces.unwrap_or_default();
        // A namespace may have an id in itself.
        let own = namespaces.iter().find(|netns| netns.nsid.is_none()).map(|netns| netns.cookie);
        for netns in &namespaces {
            if netns.nsid.is_none() || Some(netns.cookie) != own {
                self.identify(netns, facts);
            }
        }
        for key in &reading.forgotten {
            self.booked.remove(key);
        }
        let mut unknown = BTreeMap::new();
        for (key, packets) in reading.counts {
            let owner = match self.namespaces.get(&key.cookie) {
                Some(CookieNetns::There(netns)) => (facts.owner)(*netns, key.ifindex),
                Some(CookieNetns::Gone(owner, _)) => DropBooking::To(owner.clone()),
                None => {
                    let since = self.unknown.get(&key.cookie).copied().unwrap_or(now);
                    unknown.insert(key.cookie, since);
                    match now.saturating_sub(since) < DROPS_UNKNOWN && key.cookie != 0 {
                        true => DropBooking::Held,
                        false => DropBooking::To(DropOwner::NoWorkload),
                    }
                }
            };
            self.book(key, packets, owner, facts, now);
        }
        // A list that is young enough to have the namespaces of these has been asked for, or will be.
        self.wants_namespaces |=
            unknown.iter().any(|(cookie, since)| *cookie != 0 && now.saturating_sub(*since) < DROPS_UNKNOWN);
        self.unknown = unknown;
        let of_counts: BTreeSet<u64> = self.booked.keys().map(|key| key.cookie).collect();
        self.namespaces.retain(|cookie, netns| match netns {
            CookieNetns::There(_) => true,
            CookieNetns::Gone(_, since) => {
                of_counts.contains(cookie) || now.saturating_sub(*since) < DROPS_KEPT
            }
        });
    }

    /// Takes which namespace has a cookie. An id that has come or gone meanwhile may have been another's.
    fn identify(&mut self, netns: &NetnsCookie, facts: &DropFacts<'_>) {
        if netns.nsid.is_some_and(|nsid| self.touched.contains(&nsid)) {
            return;
        }
        let id = (facts.netns)(netns.nsid);
        let is_gone = matches!(self.namespaces.get(&netns.cookie), Some(CookieNetns::Gone(..)));
        if netns.cookie != 0 && !is_gone {
            self.cookies.insert(id, netns.cookie);
            self.namespaces.insert(netns.cookie, CookieNetns::There(id));
        }
    }

    /// Books what was dropped since a count was booked last.
    fn book(&mut self, key: DropKey, packets: u64, owner: DropBooking, facts: &DropFacts<'_>, now: Duration) {
        let before = self.booked.get(&key).copied();
        let DropBooking::To(owner) = owner else { return };
        let new = packets.saturating_sub(before.map_or(0, |before| before.packets));
        if new > 0 {
            let Some(name) = self.reasons.as_ref().map(|reasons| reasons.name(key.reason)) else { return };
            let carrier = matches!(self.namespaces.get(&key.cookie), Some(CookieNetns::There(_)));
            self.totals.add(owner, name, new, carrier.then_some(key.cookie), facts.room, now);
        }
        if new > 0 || before.is_none() {
            self.booked.insert(key, BookedCount { packets, since: now });
        }
    }

    /// Takes the news that a request failed.
    pub(crate) fn fail(&mut self) {
        self.is_open = false;
    }

    /// Forgets the totals that no namespace has carried for longer than `retention`.
    pub(crate) fn expire(&mut self, now: Duration, retention: Duration) {
        self.totals.expire(now, retention);
    }

    /// Returns the packets that the kernel's map had no room for.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns a number that changes whenever a series is added or removed.
    pub(crate) fn version(&self) -> u64 {
        self.totals.version()
    }

    /// Returns the packets of a series.
    pub(crate) fn value(&self, series: &DropSeries) -> u64 {
        self.totals.value(series)
    }

    /// Returns all series with their values, sorted.
    pub(crate) fn series(&self) -> impl Iterator<Item = (DropSeries, u64)> {
        self.totals.iter()
    }

    /// Returns the number of series, and of those that there was no room for.
    pub(crate) fn counted(&self) -> (usize, usize) {
        self.totals.counted()
    }
}

/// Returns the owner of a namespace's drops that has these labels.
pub(crate) fn of_workload(name: WorkloadName) -> DropBooking {
    DropBooking::To(DropOwner::Workload(Arc::new(name)))
}

#[cfg(test)]
mod tests;
