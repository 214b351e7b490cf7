//! The search for a process in namespaces that no runtime claims.

use crate::model::host::Request;
use crate::model::link::NetnsId;
use crate::model::policy::SEARCH_PAUSE;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The state of the search in each namespace.
#[derive(Debug, Default)]
pub(crate) struct ProcessSearch {
    by_netns: BTreeMap<NetnsId, Search>,
    /// The nsids that the kernel took back during an open search: its answer may concern the namespaces that
    /// had these nsids before.
    taken_back: BTreeSet<u32>,
}

/// The number of searches in a namespace, and the time of the next one.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    tries: u32,
    next: Duration,
    /// True while a request is open.
    open: bool,
}

impl ProcessSearch {
    /// Returns a request for the processes in these namespaces, as far as each is due; forgets all other
    /// namespaces.
    pub(crate) fn question<'a>(
        &mut self,
        unclaimed: impl Iterator<Item = &'a NetnsId>,
        now: Duration,
    ) -> Option<Request> {
        let mut before = std::mem::take(&mut self.by_netns);
        let mut nsids = BTreeSet::new();
        for &netns in unclaimed {
            self.by_netns.extend(before.remove_entry(&netns));
            let search = self.by_netns.entry(netns).or_default();
            if !search.open && now >= search.next {
                search.open = true;
                nsids.extend(netns.nsid());
            }
        }
        (!nsids.is_empty()).then_some(Request::Search(nsids))
    }

    /// Books the answer for these namespaces, each known by its present nsid. Returns the nsids for which the
    /// answer is void.
    pub(crate) fn answered(
        &mut self,
        searched: impl Iterator<Item = NetnsId>,
        now: Duration,
    ) -> BTreeSet<u32> {
        for netns in searched {
            let search = self.by_netns.entry(netns).or_default();
            search.open = false;
            search.next = now + SECOND.saturating_mul(1 << search.tries.min(6)).min(SEARCH_PAUSE);
            search.tries += 1;
        }
        match self.by_netns.values().any(|search| search.open) {
            true => self.taken_back.clone(),
            false => std::mem::take(&mut self.taken_back),
        }
    }

    /// Notes that the kernel took back an nsid.
    pub(crate) fn take_back(&mut self, nsid: u32) {
        if self.by_netns.values().any(|search| search.open) {
            self.taken_back.insert(nsid);
        }
    }

    /// Returns true if the namespace was searched at least once.
    pub(crate) fn has_searched(&self, netns: NetnsId) -> bool {
        self.by_netns.get(&netns).is_some_and(|search| search.tries > 0)
    }

    /// Returns the time of the next request.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.by_netns.values().filter(|search| !search.open).map(|search| search.next).min()
    }
}
