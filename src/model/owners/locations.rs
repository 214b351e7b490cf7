//! The location of each claim, and the processes with an end that is to be reported.

use super::locating::Locating;
use crate::model::counts::Counts;
use crate::model::host::{Located, Location};
use crate::model::workload::Locator;
use std::collections::{BTreeMap, BTreeSet};

/// The location of each claim.
#[derive(Debug, Default)]
pub(super) struct Locations {
    pub(super) located: BTreeMap<Locator, Location>,
    /// The locators of each nsid.
    pub(super) at: BTreeMap<u32, Vec<Locator>>,
    pub(super) wanted: Counts<Locator>,
    /// The claimed locators without a location. `without_id` has those in a namespace without an id.
    pub(super) missing: BTreeSet<Locator>,
    pub(super) without_id: BTreeSet<Locator>,
    pub(super) locating: Locating,
    /// The processes to request the end of; `watched` has those already requested.
    pub(super) to_watch: BTreeSet<u32>,
    pub(super) watched: BTreeSet<u32>,
    /// The nsids with changed locators.
    pub(super) changed: BTreeSet<u32>,
    /// True if a process has another location than before.
    pub(super) moved: bool,
}

impl Locations {
    pub(super) fn want(&mut self, locator: &Locator) {
        if self.wanted.get(locator) == 0 && !self.located.contains_key(locator) {
            self.missing.insert(locator.clone());
        }
        self.wanted.add(locator.clone());
        self.touch(locator);
    }

    pub(super) fn unwant(&mut self, locator: &Locator) {
        self.touch(locator);
        self.wanted.remove(locator);
        if self.wanted.get(locator) == 0 {
            self.remove(locator);
            self.missing.remove(locator);
            self.locating.forget(locator);
        }
    }

    /// Marks the namespace of this locator, as a claim by the locator has changed.
    pub(super) fn touch(&mut self, locator: &Locator) {
        self.changed.extend(self.nsid(locator));
    }

    pub(super) fn nsid(&self, locator: &Locator) -> Option<u32> {
        match self.located.get(locator)?.netns {
            Located::Nsid(nsid) => Some(nsid),
            Located::Host | Located::WithoutId => None,
        }
    }

    /// Requests the report of a process's end, unless it is requested already.
    pub(super) fn watch(&mut self, pid: u32) {
        if !self.watched.contains(&pid) {
            self.to_watch.insert(pid);
        }
    }

    /// Forgets that the end of a process was asked for, unless a claim is located by the process.
    pub(super) fn unwatch(&mut self, pid: u32) {
        if !self.located.contains_key(&Locator::Pid(pid)) {
            self.to_watch.remove(&pid);
            self.watched.remove(&pid);
        }
    }

    /// Stores a location. Returns true if it differs from the previous one.
    pub(super) fn insert(&mut self, locator: Locator, location: Location) -> bool {
        if self.located.get(&locator) == Some(&location) {
            return false;
        }
        self.remove(&locator);
        self.moved |= matches!(locator, Locator::Pid(_));
        match location.netns {
            Located::Nsid(nsid) => {
                let at = self.at.entry(nsid).or_insert_with(one);
                at.push(locator.clone());
                self.changed.insert(nsid);
                if let Locator::Pid(pid) = locator {
                    self.watch(pid);
                }
            }
            Located::WithoutId => _ = self.without_id.insert(locator.clone()),
            Located::Host => {}
        }
        self.missing.remove(&locator);
        self.located.insert(locator, location);
        true
    }

    /// Forgets a location. Returns it, if there was one.
    pub(super) fn remove(&mut self, locator: &Locator) -> Option<Location> {
        let location = self.located.remove(locator)?;
        self.moved |= matches!(locator, Locator::Pid(_));
        if let Located::Nsid(nsid) = location.netns {
            if let Some(at) = self.at.get_mut(&nsid) {
                at.retain(|other| other != locator);
                if at.is_empty() {
                    self.at.remove(&nsid);
                }
            }
            self.changed.insert(nsid);
            // A pid that locates no claim any more may belong to another process later.
            if let Locator::Pid(pid) = locator {
                self.to_watch.remove(pid);
                self.watched.remove(pid);
            }
        }
        self.without_id.remove(locator);
        if self.wanted.get(locator) > 0 {
            self.missing.insert(locator.clone());
        }
        Some(location)
    }
}

/// Returns a list with capacity for one element: few locators have more than one claim, and few nsids more
/// than one locator.
pub(super) fn one<T>() -> Vec<T> {
    Vec::with_capacity(1)
}
