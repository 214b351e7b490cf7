//! One pair's account: what its ends counted, and to which totals that is booked.

use super::book::Book;
use super::counted::Counted;
use super::overflow::{Placement, SeriesCost};
use super::totals::TotalId;
use super::{LabelSet, OwnerHint, Traffic};
use crate::model::link::End;
use std::time::Duration;

/// What one pair's counters showed, and how much of it is already booked.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) ends: [End; 2],
    pub(super) counted: Counted,
    pub(super) booked: [Traffic; 2],
    /// The totals that each side's traffic is booked to, or was before the account was held back.
    pub(super) totals: [Option<TotalId>; 2],
    /// While it is held back, nothing is booked.
    pub(super) held: Option<Box<HeldBack>>,
    /// When the pair was first seen where it is now.
    pub(super) arrived: Duration,
    /// Two ports, and young: one of them may yet move into a container, and what it has carried moves with
    /// it.
    pub(super) in_transit: bool,
    /// An end was deleted: whatever has its id from now on is another.
    pub(super) ended: bool,
    /// The pair was made since the exporter looks: it counts from 0.
    pub(super) born: bool,
    pub(super) placement: Placement,
    /// The series that it takes, where it is shown by itself.
    pub(super) cost: Option<SeriesCost>,
    /// How many series of it there is no room for.
    pub(super) refused: usize,
}

/// What becomes of the traffic of a pair that is held back, should it die.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldBack {
    /// It is booked to these labels; a side without any is a port.
    pub(super) labels: [Option<LabelSet>; 2],
    /// Unless a runtime names its owner by this.
    pub(super) hint: Option<OwnerHint>,
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

    /// Takes what it has counted so far as known, and books only what comes.
    pub(super) fn begin_here(&mut self) {
        self.booked = [self.counted.traffic(0), self.counted.traffic(1)];
        self.born = false;
    }

    /// Returns what is not booked yet of a side, which is booked by that.
    pub(super) fn take(&mut self, side: usize) -> Traffic {
        let all = self.counted.traffic(side);
        let new = all.since(self.booked[side]);
        self.booked[side] = all;
        new
    }

    /// Books what is not booked yet, unless it is held back.
    pub(super) fn settle(&mut self, book: &mut Book) {
        self.add_to_overflow(&mut book.overflow);
        if self.held.is_some() || self.in_transit {
            return;
        }
        for side in 0..2 {
            let traffic = self.take(side);
            if let Some(total) = self.totals[side] {
                book.book(total, traffic);
            }
        }
    }

    /// Holds it back; should it die, its traffic goes to `labels`. An owner that was known stays: Docker
    /// moves an eth0 back to the host for a moment before it deletes it.
    pub(super) fn hold_back(
        &mut self,
        labels: [Option<LabelSet>; 2],
        hint: Option<OwnerHint>,
        book: &mut Book,
    ) {
        let carried = self.totals.map(|total| Some(LabelSet::clone(&*book.labels(total?)?)));
        let known = carried.iter().any(Option::is_some);
        let before = self.held.take().map_or(carried, |held| held.labels);
        let stays = known || labels.iter().all(Option::is_none);
        self.held = Some(Box::new(HeldBack { labels: if stays { before } else { labels }, hint }));
        book.charge(self, None, 0);
    }

    /// Exchanges the two sides of the pair.
    pub(super) fn turn(&mut self) {
        self.ends.swap(0, 1);
        self.counted.turn();
        self.booked.swap(0, 1);
        self.totals.swap(0, 1);
        if let Placement::Overflow(share) = &mut self.placement {
            share.turn();
        }
    }
}
