//! The search for a process in namespaces that no runtime claims.

use crate::model::host::Request;
use crate::model::link::NetnsId;
use crate::model::policy::SEARCH_PAUSE;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The state of the search in each namespace.
#[derive(Debug, Default)]
pub(crate) struct ProcessSearch {
    by_netns: BTreeMap<NetnsId, Search>,
    /// The namespaces with an open request, by nsid, in the order of the requests: the kernel may give the
    /// nsid to another namespace before the answer comes.
    open: BTreeMap<u32, VecDeque<NetnsId>>,
}

/// The number of searches in a namespace, and the time of the next one.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    tries: u32,
    next: Duration,
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
            let search = *self.by_netns.entry(netns).or_default();
            let Some(nsid) = netns.nsid() else { continue };
            if now >= search.next && !self.is_open(netns) {
                self.open.entry(nsid).or_default().push_back(netns);
                nsids.insert(nsid);
            }
        }
        (!nsids.is_empty()).then_some(Request::Search(nsids))
    }

    /// Books the answer for these nsids; `present` returns the namespace that has an nsid now. Returns the
    /// namespaces that were searched: those that had their nsid already at the request.
    pub(crate) fn answered(
        &mut self,
        nsids: &BTreeSet<u32>,
        present: impl Fn(u32) -> NetnsId,
        now: Duration,
    ) -> BTreeSet<NetnsId> {
        let mut searched = BTreeSet::new();
        for nsid in nsids {
            let Entry::Occupied(mut open) = self.open.entry(*nsid) else { continue };
            let netns = open.get_mut().pop_front();
            if open.get().is_empty() {
                open.remove();
            }
            searched.extend(netns.filter(|netns| *netns == present(*nsid)));
        }
        for netns in &searched {
            let search = self.by_netns.entry(*netns).or_default();
            search.next = now + SECOND.saturating_mul(1 << search.tries.min(6)).min(SEARCH_PAUSE);
            search.tries += 1;
        }
        searched
    }

    fn is_open(&self, netns: NetnsId) -> bool {
        let open = netns.nsid().and_then(|nsid| self.open.get(&nsid));
        open.is_some_and(|open| open.contains(&netns))
    }

    /// Returns true if the namespace was searched at least once.
    pub(crate) fn has_searched(&self, netns: NetnsId) -> bool {
        self.by_netns.get(&netns).is_some_and(|search| search.tries > 0)
    }

    /// Returns the time of the next request.
    pub(crate) fn due(&self) -> Option<Duration> {
        let searches = self.by_netns.iter().filter(|(netns, _)| !self.is_open(**netns));
        searches.map(|(_, search)| search.next).min()
    }
}
