//! The state that outlives the exporter: totals, and the counters of each living pair at the same moment.
//!
//! A file has a first line with the version, and then batches of lines. Each line is one record with its
//! checksum, and the last line of a batch is its commit. The first batch has all records; a later one has
//! those that have changed since. Totals and counters are of one moment, so a batch is taken whole or not
//! at all: otherwise traffic would be booked twice, or never.

mod failure;
pub(crate) mod journal;
mod line;
pub(crate) mod recover;

use super::ledger::{LabelSet, NetworkLabels, RestoredPairs, Traffic};
use super::link::{Counters, End, Mac};
use super::pairing::Pair;
use super::periods::{ByPeriod, Period, PeriodBases};
use super::workload::WorkloadName;
pub(crate) use failure::{StateFailure, StateFault};
use std::time::Duration;

/// The saved state. All of its times are since the beginning of 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedState {
    pub(crate) moment: Moment,
    /// The periods of the moment; `None` in a file of version 1.
    pub(crate) periods: Option<ByPeriod<Period>>,
    pub(crate) workloads: Vec<SavedTotal<LabelSet>>,
    pub(crate) networks: Vec<SavedTotal<NetworkLabels>>,
    pub(crate) starts: Vec<SavedStarts>,
    pub(crate) pairs: Vec<SavedPair>,
}

/// The surroundings in which a state is valid, and the time at which it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The id of the boot, from /proc/sys/kernel/random/boot_id.
    pub boot: String,
    /// The inode of the exporter's own network namespace.
    pub netns: u64,
    /// The highest ifindex of a link of the host until then. Within a boot, a namespace gives an ifindex
    /// again only after 2^31 links (`dev_index_reserve` in net/core/dev.c), unless a user asks for one.
    pub highest: u32,
    pub taken: Duration,
}

/// A total of a workload or of a network, with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedTotal<L> {
    pub labels: L,
    pub traffic: Traffic,
    pub begun: Duration,
    /// The time since which no pair carries the total; `None` while one does.
    pub idle: Option<Duration>,
    /// The bytes at the beginning of each period; 0 of a network.
    pub bases: PeriodBases,
}

/// The starts under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedStarts {
    pub name: WorkloadName,
    pub count: u64,
    pub begun: Duration,
    pub is_shown: bool,
}

/// The identity of one end of a pair within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedEnd {
    /// The id of the namespace, which stays as long as the namespace; `None` for the host's.
    pub nsid: Option<u32>,
    pub ifindex: u32,
    pub address: Option<Mac>,
}

/// A pair with both ends, and what was counted and booked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedPair {
    pub ends: [SavedEnd; 2],
    /// The highest value of each counter of each end.
    pub highest: [Counters; 2],
    /// The traffic of each side that no total contains yet.
    pub unbooked: [Traffic; 2],
    /// The total that the traffic of each side is booked to, by its index in [`SavedState::workloads`].
    pub totals: [Option<usize>; 2],
}

/// The report on the saved state for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateStatus {
    /// The time since 1970 when the file was last up to date; `None` if it has not been in this run.
    pub written: Option<Duration>,
    /// The number of writes that failed.
    pub errors: u64,
    /// The number of files that were of no use and were renamed.
    pub discarded: u64,
    /// The pairs that were there before the exporter.
    pub pairs: RestoredPairs,
}

impl SavedState {
    /// Returns the earliest time in it.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let workloads = self.workloads.iter().map(|total| total.idle.unwrap_or(total.begun).min(total.begun));
        let networks = self.networks.iter().map(|total| total.idle.unwrap_or(total.begun).min(total.begun));
        workloads.chain(networks).chain(self.starts.iter().map(|starts| starts.begun)).min()
    }
}

impl SavedEnd {
    /// Returns the identity of an end with this MAC address.
    pub(crate) fn of(end: End, address: Option<Mac>) -> SavedEnd {
        SavedEnd { nsid: end.netns.nsid(), ifindex: end.ifindex, address }
    }
}

impl SavedPair {
    /// Returns the identities of a pair's ends.
    pub(crate) fn ends_of(pair: &Pair) -> [SavedEnd; 2] {
        pair.sides.map(|side| SavedEnd::of(side.end, side.link.and_then(|link| link.address)))
    }
}
