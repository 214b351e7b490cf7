//! The search for a process in namespaces that no runtime claims.

use super::{NetnsId, Request, SECOND};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After each search that found nobody the next one waits twice as long, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// By namespace, how it was searched.
#[derive(Debug, Default)]
pub(super) struct Searches {
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

impl Searches {
    /// Asks who lives in these namespaces, as far as it is time to ask; forgets all others.
    pub(super) fn question(&mut self, unclaimed: BTreeSet<NetnsId>, now: Duration) -> Option<Request> {
        self.by_netns.retain(|netns, _| unclaimed.contains(netns));
        let mut nsids = BTreeSet::new();
        for netns in unclaimed {
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
    pub(super) fn answered(
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
    pub(super) fn take_back(&mut self, nsid: u32) {
        if self.by_netns.values().any(|search| search.open) {
            self.taken_back.insert(nsid);
        }
    }

    /// True if the namespace was searched at least once.
    pub(super) fn has_searched(&self, netns: NetnsId) -> bool {
        self.by_netns.get(&netns).is_some_and(|search| search.tries > 0)
    }

    /// When it is time for the next question.
    pub(super) fn due(&self) -> Option<Duration> {
        self.by_netns.values().filter(|search| !search.open).map(|search| search.next).min()
    }
}
