//! Totals, sorted by their labels.

use super::Traffic;
use crate::model::peak::Peaks;
use std::borrow::Cow;
use std::time::Duration;

/// A total, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Total<L> {
    pub(super) labels: L,
    pub(super) traffic: Traffic,
    /// Since when it is counted.
    pub(super) begun: Duration,
    pub(super) peaks: Peaks,
    /// When a pair last carried it (a network: when it was last known).
    pub(super) alive: Duration,
    /// A pair carries it at the tick that is being noted.
    pub(super) carried: bool,
}

impl<L> Total<L> {
    /// What was just booked is of an unknown time, and in no peak.
    pub(super) fn skip(&mut self) {
        self.peaks.skip_to(&self.traffic);
    }
}

/// How many there may be, and what those are summed under that are more.
pub(super) type Most<L> = (usize, fn(&L) -> L);

/// Adds the labels that are wanted, each with the time since when it is counted; drops those that were last
/// wanted longer than `retention` ago. In place: most are the same each time, and there are thousands. Of
/// more than `most` the new ones get the labels of their rest.
pub(super) fn renew<'a, L: Ord + Clone + 'a>(
    totals: &mut Vec<Total<L>>,
    wanted: impl Iterator<Item = (Cow<'a, L>, Duration)>,
    now: Duration,
    retention: Duration,
    most: Option<Most<L>>,
) {
    let mut new = Vec::new();
    for (labels, begun) in wanted {
        match find(totals, &labels) {
            Some(index) => totals[index].alive = now,
            None => new.push((labels.into_owned(), begun)),
        }
    }
    totals.retain(|total| now.saturating_sub(total.alive) <= retention);
    if new.is_empty() {
        return;
    }
    // Of the same labels the earliest time.
    new.sort();
    new.dedup_by(|later, earlier| later.0 == earlier.0);
    if let Some((most, rest)) = most {
        let room = most.saturating_sub(totals.len()).min(new.len());
        let mut others: Vec<_> = new.drain(room..).map(|(labels, begun)| (rest(&labels), begun)).collect();
        others.sort();
        others.dedup_by(|later, earlier| later.0 == earlier.0);
        for (labels, begun) in others {
            match find(totals, &labels) {
                Some(index) => totals[index].alive = now,
                None if new.iter().any(|(new, _)| *new == labels) => {}
                None => new.push((labels, begun)),
            }
        }
    }
    totals.reserve_exact(new.len());
    totals.extend(new.into_iter().map(|(labels, begun)| Total {
        labels,
        traffic: Traffic::default(),
        begun,
        peaks: Peaks::default(),
        alive: now,
        carried: false,
    }));
    totals.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Where these labels are among totals that are sorted by them.
pub(super) fn find<L: Ord>(totals: &[Total<L>], labels: &L) -> Option<usize> {
    totals.binary_search_by(|total| total.labels.cmp(labels)).ok()
}
