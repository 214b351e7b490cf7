//! The state of all reading: open requests, readings of everything, refused namespaces, rotation.

use super::open_requests::OpenRequests;
use super::rotation::ReadRotation;
use super::unconfirmed::UnconfirmedChanges;
use crate::model::link::{Counters, Name, NetnsId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The state of all reading.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub open_requests: OpenRequests,
    /// The number of readings of everything that are complete.
    pub rounds: u64,
    /// When the first one was.
    pub started: Duration,
    /// When the last one began.
    pub resynced: Duration,
    /// The nsids that had no namespace, or one that could not be read, when they were asked about: they are
    /// not asked about again before the next round, or before such an id is given again.
    pub refused: BTreeSet<u32>,
    /// Namespaces whose links could not be read, and why.
    pub unreadable: BTreeMap<NetnsId, String>,
    /// Everything must be read again, and why: at the next tick, if nothing hinders it.
    pub resync_owed: Option<&'static str>,
    pub unconfirmed: UnconfirmedChanges,
    pub rotation: ReadRotation,
    /// The namespaces that are being read for a scrape, because of links that are no veths.
    pub others_awaited: BTreeSet<u32>,
    /// What the host's links counted when a namespace last ended.
    pub table_at_death: HashMap<Name, Counters>,
}
