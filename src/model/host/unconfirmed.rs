//! The links with a state at a resync that differed from what events had reported: an event may be on its
//! way, or was missed.

use super::{End, NetnsId};
use crate::model::policy::EVENT_ON_ITS_WAY;
use std::collections::BTreeMap;
use std::time::Duration;

/// The ends with a difference that no event has confirmed, each with the time at which it was found.
#[derive(Debug, Default)]
pub(super) struct UnconfirmedChanges {
    found: BTreeMap<End, Duration>,
    /// The time at which the open barrier was sent.
    barrier_asked: Option<Duration>,
}

impl UnconfirmedChanges {
    /// Notes that a resync has found these ends to differ.
    pub(super) fn raise(&mut self, ends: impl IntoIterator<Item = End>, now: Duration) {
        self.found.extend(ends.into_iter().map(|end| (end, now)));
    }

    /// Notes that an event has confirmed an end.
    pub(super) fn clear(&mut self, end: End) {
        self.found.remove(&end);
    }

    /// Notes that an event has reported the end of a namespace.
    pub(super) fn clear_all_of(&mut self, netns: NetnsId) {
        self.found.retain(|end, _| end.netns != netns);
    }

    /// Returns true if it is time for a barrier: events have had the time to confirm what the last resync
    /// found.
    pub(super) fn ask_barrier(&mut self, now: Duration) -> bool {
        let due = |found: &Duration| now.saturating_sub(*found) >= EVENT_ON_ITS_WAY;
        let ask = self.barrier_asked.is_none() && self.found.values().any(due);
        if ask {
            self.barrier_asked = Some(now);
        }
        ask
    }

    /// Handles the barrier's reply. Returns how many links changed without an event: every difference found
    /// at least 1 s before the barrier was sent that no event has confirmed.
    pub(super) fn take_barrier(&mut self) -> usize {
        let Some(asked) = self.barrier_asked.take() else { return 0 };
        let before = self.found.len();
        self.found.retain(|_, found| asked.saturating_sub(*found) < EVENT_ON_ITS_WAY);
        before - self.found.len()
    }
}
