//! The search for a process in namespaces that no runtime claims.

use crate::model::host::Request;
use crate::model::link::NetnsId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// After each search that found nobody the next one waits twice as long, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// By namespace, how it was searched.
#[derive(Debug, Default)]
pub(crate) struct ProcessSearch {
    by_netns: BTreeMap<NetnsId, Search>,
    /// The nsids that were taken back while processes were searched for: the answer may be about the
    /// namespaces that had them before.
    taken_back: BTreeSet<u32>,
}

/// How often processes were looked for in a namespace, and when to do it again.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    tries: u32,
    next: Duration,
    /// The question is open.
    open: bool,
}

impl ProcessSearch {
    /// Asks who lives in these namespaces, as far as it is time to ask; forgets all others.
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

    /// These were searched, by the nsids that they have now. Returns the nsids of which the answer tells
    /// nothing.
    pub(crate) fn answered(
        &mut self,
        searched: impl Iterator<Item = NetnsId>,
        now: Duration,
    ) -> BTreeSet<u32> {
        for netns in searched {
            let search = self.by_netns.entry(netns).or_default();
            search.open = false;
            search.next = now + SECOND.saturating_mul(1 << search.tries.min(6)).min(LONGEST_PAUSE);
            search.tries += 1;
        }
        match self.by_netns.values().any(|search| search.open) {
            true => self.taken_back.clone(),
            false => std::mem::take(&mut self.taken_back),
        }
    }

    /// The id was taken back.
    pub(crate) fn take_back(&mut self, nsid: u32) {
        if self.by_netns.values().any(|search| search.open) {
            self.taken_back.insert(nsid);
        }
    }

    /// True if the namespace was searched at least once.
    pub(crate) fn has_searched(&self, netns: NetnsId) -> bool {
        self.by_netns.get(&netns).is_some_and(|search| search.tries > 0)
    }

    /// When it is time for the next question.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.by_netns.values().filter(|search| !search.open).map(|search| search.next).min()
    }
}
