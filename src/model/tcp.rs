//! TCP figures of workloads: which namespace is read when, and totals that never fall.
//!
//! The figures of a namespace are in `/proc/PID/net` of any process in it. A namespace is read every 15 s,
//! and soon after it is known. The differences are booked to the workload that owns the namespace's pairs at
//! that moment, so that a total is the sum over all namespaces that had these labels. A namespace
//! that was there at the start counts from its first reading, one that was born later from 0.

use super::host::LookFailure;
use super::link::NetnsId;
use super::policy::{TCP_AT_A_TIME, TCP_EVERY, TCP_RETRY, TCP_SPREAD, TCP_YOUNG, TRANSIT};
use super::series::OF_TCP;
use super::workload::WorkloadName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

mod figures;
mod totals;

use self::figures::TCP_COUNTERS;
pub use self::figures::{TcpCounter, TcpFigures, TcpReading, TcpTarget};
pub(crate) use self::totals::TcpTotalId;
use self::totals::TcpTotals;
pub use self::totals::TcpWorkload;

/// The owner of a namespace's figures at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TcpOwner {
    /// The labels of the workload.
    Known(WorkloadName),
    /// The namespace's pairs are held back: a better name may come.
    Held,
    /// The namespace has no pair, no owner, or one that is not shown by itself.
    Absent,
}

/// The pairs of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TcpPairs {
    /// The namespace has no pair.
    Absent,
    /// All of them were found, not born.
    Found,
    /// One was created while the exporter runs.
    Born,
}

/// The facts that decide about a reading.
pub(crate) struct TcpFacts<'a> {
    /// Returns true for a namespace that is still there.
    pub is_there: &'a dyn Fn(NetnsId) -> bool,
    pub owner: &'a dyn Fn(NetnsId) -> TcpOwner,
    /// Returns a process in the namespace; another one than the given, if several are known.
    pub process: &'a dyn Fn(NetnsId, Option<u32>) -> Option<u32>,
    /// The number of series that all totals may have.
    pub room: usize,
}

/// A namespace that is read as soon as it has a workload and a process.
#[derive(Debug)]
struct WatchedNetns {
    /// The time at which the namespace was first known.
    since: Duration,
    /// True if the counters began at 0 while the exporter ran; `None` before the first pair.
    born: Option<bool>,
    /// The counters as last read; of a counter that was missing then, the value before.
    last: Option<[Option<u64>; TCP_COUNTERS]>,
    sockets: Option<u64>,
    total: Option<TcpTotalId>,
    /// The process that could not be read the last time.
    failed: Option<u32>,
    /// The time of the next reading; `None` while an answer is awaited.
    due: Option<Duration>,
    /// True if there is no room for the series of the workload.
    refused: bool,
}

/// The namespaces that are read, and the totals.
#[derive(Debug, Default)]
pub(crate) struct TcpState {
    watched: BTreeMap<NetnsId, WatchedNetns>,
    due: BTreeSet<(Duration, NetnsId)>,
    totals: TcpTotals,
    /// True while a request is open.
    is_open: bool,
    /// True once the namespaces that were there at the start are known.
    has_started: bool,
    /// The number of namespaces with a workload that there is no room for.
    refused: usize,
}

impl TcpState {
    /// Takes the namespaces that may have changed. `pairs` returns the pairs of each, and `None` for a
    /// namespace that is gone. The first call has all namespaces that were there at the start.
    pub(crate) fn update(
        &mut self,
        namespaces: impl IntoIterator<Item = NetnsId>,
        pairs: impl Fn(NetnsId) -> Option<TcpPairs>,
        now: Duration,
    ) {
        for netns in namespaces.into_iter().filter(|netns| *netns != NetnsId::Host) {
            let Some(pairs) = pairs(netns) else {
                self.end(netns, now);
                continue;
            };
            let is_new = !self.watched.contains_key(&netns);
            let watched = self.watched.entry(netns).or_insert_with(|| WatchedNetns::new(now));
            if !self.has_started {
                watched.born = Some(false);
            } else if watched.born.is_none() && pairs != TcpPairs::Absent {
                // An older namespace without a network may be connected to one at any time.
                let is_young = now.saturating_sub(watched.since) < TRANSIT;
                watched.born = Some(pairs == TcpPairs::Born && is_young);
                self.schedule(netns, now + TCP_YOUNG);
            }
            if is_new {
                self.schedule(netns, now + TCP_YOUNG);
            }
        }
        self.has_started = true;
    }

    /// Returns true once [`update`](TcpState::update) was called.
    pub(crate) fn has_started(&self) -> bool {
        self.has_started
    }

    /// Forgets a namespace that is gone.
    pub(crate) fn end(&mut self, netns: NetnsId, now: Duration) {
        let Some(mut watched) = self.watched.remove(&netns) else { return };
        self.refused -= usize::from(watched.refused);
        if let Some(due) = watched.due {
            self.due.remove(&(due, netns));
        }
        watched.leave(&mut self.totals, now);
    }

    /// Sets the time of a namespace's next reading.
    fn schedule(&mut self, netns: NetnsId, due: Duration) {
        let Some(watched) = self.watched.get_mut(&netns) else { return };
        if let Some(before) = watched.due.replace(due) {
            self.due.remove(&(before, netns));
        }
        self.due.insert((due, netns));
    }

    /// Returns the next namespaces to read, each by one process; `None` if none is due or a request is open.
    pub(crate) fn question(&mut self, facts: &TcpFacts<'_>, now: Duration) -> Option<Vec<TcpTarget>> {
        if self.is_open {
            return None;
        }
        let mut targets = Vec::new();
        while targets.len() < TCP_AT_A_TIME
            && let Some(&(due, netns)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            if !(facts.is_there)(netns) {
                self.end(netns, now);
                continue;
            }
            let Some(watched) = self.watched.get_mut(&netns) else { continue };
            let pid = match (facts.owner)(netns) {
                TcpOwner::Known(_) => (facts.process)(netns, watched.failed),
                TcpOwner::Held | TcpOwner::Absent => None,
            };
            match pid {
                Some(pid) => {
                    watched.due = None;
                    targets.push(TcpTarget { netns, pid });
                }
                None => {
                    let pause = watched.postpone(&mut self.totals, now);
                    self.schedule(netns, now + pause);
                }
            }
        }
        self.is_open = !targets.is_empty();
        self.is_open.then_some(targets)
    }

    /// Books the answer to a request. Returns the failure if no namespace could be read and one of them for
    /// another reason than that its process is gone.
    pub(crate) fn answer(
        &mut self,
        readings: Vec<TcpReading>,
        facts: &TcpFacts<'_>,
        now: Duration,
    ) -> Result<(), LookFailure> {
        self.is_open = false;
        let (mut failure, mut has_read) = (None, false);
        for TcpReading { target, answer } in readings {
            let TcpTarget { netns, pid } = target;
            let Some(watched) = self.watched.get_mut(&netns).filter(|_| (facts.is_there)(netns)) else {
                continue;
            };
            let first = watched.last.is_none();
            let pause = match answer {
                Ok(figures) => {
                    has_read = true;
                    watched.failed = None;
                    match (facts.owner)(netns) {
                        TcpOwner::Known(labels) => {
                            self.refused -= usize::from(watched.refused);
                            watched.book(&figures, labels, &mut self.totals, facts.room, now);
                            self.refused += usize::from(watched.refused);
                            if first { spread(netns) } else { TCP_EVERY }
                        }
                        TcpOwner::Held | TcpOwner::Absent => watched.postpone(&mut self.totals, now),
                    }
                }
                Err(error) => {
                    let another = watched.failed.is_none();
                    watched.failed = Some(pid);
                    let pause = watched.postpone(&mut self.totals, now);
                    if error != LookFailure::Gone {
                        failure = Some(error);
                    }
                    if another { TCP_RETRY } else { pause }
                }
            };
            self.schedule(netns, now + pause);
        }
        failure.filter(|_| !has_read).map_or(Ok(()), Err)
    }

    /// Forgets the totals that no namespace has carried for longer than `retention`.
    pub(crate) fn expire(&mut self, now: Duration, retention: Duration) {
        self.totals.expire(now, retention);
    }

    /// Returns the time at which the next total expires.
    pub(crate) fn expires_at(&self, retention: Duration) -> Option<Duration> {
        self.totals.expires_at(retention)
    }

    /// Returns a number that changes whenever a total is added or forgotten.
    pub(crate) fn version(&self) -> u64 {
        self.totals.version()
    }

    /// Returns a number that changes whenever the figures of a total do.
    pub(crate) fn changes(&self) -> u64 {
        self.totals.changes()
    }

    /// Returns the totals, sorted by labels.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (TcpTotalId, TcpWorkload)> {
        self.totals.iter()
    }

    /// Returns the figures of a total.
    pub(crate) fn figures(&self, id: TcpTotalId) -> TcpFigures {
        self.totals.figures(id)
    }

    /// Returns the number of series of all totals, and of those that there was no room for.
    pub(crate) fn series(&self) -> (usize, usize) {
        (self.totals.len() * OF_TCP, self.refused * OF_TCP)
    }
}

/// Returns the time from a namespace's first reading to its second: the namespaces that were there at the
/// start are read together once, and then at different seconds.
fn spread(netns: NetnsId) -> Duration {
    TCP_EVERY - TCP_SPREAD * (netns.nsid().unwrap_or(0) % (TCP_EVERY.as_secs() as u32))
}

impl WatchedNetns {
    fn new(since: Duration) -> WatchedNetns {
        WatchedNetns {
            since,
            born: None,
            last: None,
            sockets: None,
            total: None,
            failed: None,
            due: None,
            refused: false,
        }
    }

    /// Books figures to the workload with these labels.
    fn book(
        &mut self,
        figures: &TcpFigures,
        labels: WorkloadName,
        totals: &mut TcpTotals,
        room: usize,
        now: Duration,
    ) {
        let begun = if self.born == Some(true) && self.last.is_none() { self.since } else { now };
        let may_open = (totals.len() + 1) * OF_TCP <= room;
        let total = totals.find_or_open(labels, begun, now, may_open);
        self.refused = total.is_none();
        if self.total != total {
            self.leave(totals, now);
            total.inspect(|total| totals.hold(*total));
            self.total = total;
        }
        let last = self.last.unwrap_or_default();
        let new = figures.counters();
        let falls = last.iter().zip(new).any(|(last, new)| new < *last && new.is_some());
        let from_birth = self.born == Some(true) && self.last.is_none();
        let since = |at: usize| {
            let base = if from_birth { Some(0) } else { last[at].filter(|_| !falls) };
            new[at].map(|new| new - base.unwrap_or(new))
        };
        if let Some(total) = total {
            let counted: [Option<u64>; TCP_COUNTERS] = std::array::from_fn(since);
            totals.add(total, &counted, self.sockets, figures.sockets());
            self.sockets = figures.sockets();
        }
        // A namespace that there is no room for counts from its birth once there is.
        if total.is_some() || !from_birth {
            self.last = Some(std::array::from_fn(|at| new[at].or(last[at])));
        }
    }

    /// Handles that there is no reading now. Returns the pause until the next attempt.
    fn postpone(&mut self, totals: &mut TcpTotals, now: Duration) -> Duration {
        if let (Some(total), Some(_)) = (self.total, self.sockets) {
            totals.add(total, &[None; TCP_COUNTERS], self.sockets.take(), None);
        }
        let is_young = self.last.is_none() && now.saturating_sub(self.since) < TRANSIT;
        if is_young { TCP_RETRY } else { TCP_EVERY }
    }

    /// Ceases to carry a total.
    fn leave(&mut self, totals: &mut TcpTotals, now: Duration) {
        if let Some(total) = self.total.take() {
            totals.release(total, self.sockets.take(), now);
        }
    }
}

#[cfg(test)]
mod tests;
