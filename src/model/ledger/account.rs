//! One pair's account: the counters of its ends, and the totals that its traffic is booked to.

use super::book::Book;
use super::counted::Counted;
use super::overflow::{Placement, SeriesCost};
use super::totals::TotalId;
use super::{LabelSet, OwnerHint, Traffic};
use crate::model::link::{End, NetnsId};
use std::time::Duration;

/// The counters of one pair, and the part of its traffic that is already booked.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) ends: [End; 2],
    pub(super) counted: Counted,
    pub(super) booked: [Traffic; 2],
    /// The totals that each side's traffic is booked to; for a pair that is held back, those from before.
    pub(super) totals: [Option<TotalId>; 2],
    /// The labels and the hint of a pair that is held back; nothing is booked meanwhile.
    pub(super) held: Option<Box<HeldBack>>,
    /// The time at which the pair was first seen with its present ends.
    pub(super) arrived: Duration,
    /// True for a young pair of two ports: one of its ends may still move into a container, and the traffic
    /// so far is then the container's.
    pub(super) in_transit: bool,
    /// True if an end was deleted: a later link with the same id is a different one.
    pub(super) ended: bool,
    /// True if the pair was created while the exporter runs: its counters began at 0.
    pub(super) born: bool,
    pub(super) placement: Placement,
    /// The series that the pair takes; `None` if it is not shown by itself.
    pub(super) cost: Option<SeriesCost>,
    /// The number of the pair's series that the limit keeps from being shown.
    pub(super) refused: usize,
}

/// The destination of a held-back pair's traffic if the pair dies.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldBack {
    /// The labels that the traffic is booked to; a side without labels is a port.
    pub(super) labels: [Option<LabelSet>; 2],
    /// The properties by which a runtime may identify the owner: that owner then takes precedence over
    /// `labels`.
    pub(super) hint: Option<OwnerHint>,
    /// True for a pair of an earlier run that nothing has named in this one.
    pub(super) is_resumed: bool,
}

impl Account {
    pub(super) fn new(ends: [End; 2], arrived: Duration) -> Account {
        Account {
            ends,
            counted: Counted::default(),
            booked: Default::default(),
            totals: [None, None],
            held: Some(Box::default()),
            arrived,
            in_transit: false,
            ended: false,
            born: true,
            placement: Placement::Undecided,
            cost: None,
            refused: 0,
        }
    }

    /// Takes the present counters as the baseline: only later traffic is booked.
    pub(super) fn begin_here(&mut self) {
        self.booked = [self.counted.traffic(0), self.counted.traffic(1)];
        self.counted.begin_here(self.port());
        self.born = false;
    }

    /// Returns the side that counts dropped packets: the one on the host, else one without labels, else the
    /// second.
    pub(super) fn port(&self) -> usize {
        let on_host = self.ends.iter().position(|end| end.netns == NetnsId::Host);
        on_host.or_else(|| self.totals.iter().position(Option::is_none)).unwrap_or(1)
    }

    /// Marks all traffic of a side as booked. Returns the part that was not booked before.
    pub(super) fn take_unbooked(&mut self, side: usize) -> Traffic {
        let all = self.counted.traffic(side);
        let new = all.since(self.booked[side]);
        self.booked[side] = all;
        new
    }

    /// Books the traffic that is not booked yet, unless the pair is held back or in transit.
    pub(super) fn book_traffic(&mut self, book: &mut Book) {
        self.add_to_overflow(&mut book.overflow);
        if self.held.is_some() || self.in_transit {
            return;
        }
        for side in 0..2 {
            let traffic = self.take_unbooked(side);
            if let Some(total) = self.totals[side] {
                book.book(total, traffic);
            }
        }
    }

    /// Holds the pair back; if it dies, its traffic is booked to `labels`. An owner that was already known
    /// is kept, because Docker moves an eth0 back to the host for a moment before it deletes the link.
    pub(super) fn hold_back(
        &mut self,
        labels: [Option<LabelSet>; 2],
        hint: Option<OwnerHint>,
        book: &mut Book,
    ) {
        let carried = self.totals.map(|total| Some(LabelSet::clone(&*book.labels(total?)?)));
        let known = carried.iter().any(Option::is_some);
        let (before, is_resumed) =
            self.held.take().map_or((carried, false), |held| (held.labels, held.is_resumed));
        let stays = known || labels.iter().all(Option::is_none);
        let labels = if stays { before } else { labels };
        self.held = Some(Box::new(HeldBack { labels, hint, is_resumed }));
        book.charge(self, None, 0);
    }

    /// Swaps the two sides of the pair.
    pub(super) fn swap_sides(&mut self) {
        self.ends.swap(0, 1);
        self.counted.swap_sides();
        self.booked.swap(0, 1);
        self.totals.swap(0, 1);
        if let Placement::Overflow(share) = &mut self.placement {
            share.swap_sides();
        }
    }
}
