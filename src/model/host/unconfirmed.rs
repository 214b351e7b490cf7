//! What a round found to be otherwise than events had told: they may be on their way, or they have missed it.

use super::{End, NetnsId};
use crate::model::policy::EVENT_ON_ITS_WAY;
use std::collections::BTreeMap;
use std::time::Duration;

/// The ends of which no event has told what was found, and when that was.
#[derive(Debug, Default)]
pub(super) struct UnconfirmedChanges {
    found: BTreeMap<End, Duration>,
    /// When an echo was asked for that has not come back.
    barrier_asked: Option<Duration>,
}

impl UnconfirmedChanges {
    /// A round has found these to be otherwise.
    pub(super) fn raise(&mut self, ends: impl IntoIterator<Item = End>, now: Duration) {
        self.found.extend(ends.into_iter().map(|end| (end, now)));
    }

    /// An event has told of it.
    pub(super) fn clear(&mut self, end: End) {
        self.found.remove(&end);
    }

    /// An event has told of the end of the namespace.
    pub(super) fn clear_all_of(&mut self, netns: NetnsId) {
        self.found.retain(|end, _| end.netns != netns);
    }

    /// True if it is time for an echo: events have had the time to tell what the last round found.
    pub(super) fn ask_barrier(&mut self, now: Duration) -> bool {
        let due = |found: &Duration| now.saturating_sub(*found) >= EVENT_ON_ITS_WAY;
        let ask = self.barrier_asked.is_none() && self.found.values().any(due);
        if ask {
            self.barrier_asked = Some(now);
        }
        ask
    }

    /// The echo has come back. What events that were there before it was asked for have not told, they have
    /// missed: so much.
    pub(super) fn take_barrier(&mut self) -> usize {
        let Some(asked) = self.barrier_asked.take() else { return 0 };
        let before = self.found.len();
        self.found.retain(|_, found| asked.saturating_sub(*found) < EVENT_ON_ITS_WAY);
        before - self.found.len()
    }
}
