//! A ledger that takes all pairs at once, for tests.

use super::*;
use crate::model::series::OutputLimits;
use crate::model::series::Trust;
use std::ops::{Deref, DerefMut};

/// The cost of a pair that takes no series.
pub(super) const NO_COST: SeriesCost =
    SeriesCost { rows: [RowKind::Nothing; 2], series: 0, trust: Trust::Vouched, hidden: [false; 2] };

/// A ledger, and the pairs of the last call.
#[derive(Default)]
pub(super) struct Whole {
    ledger: Ledger,
    pairs: Vec<Pair>,
}

impl Deref for Whole {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

impl DerefMut for Whole {
    fn deref_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }
}

impl Whole {
    /// Reconciles the ledger with `pairs` as the complete list of pairs.
    pub(super) fn reconcile(
        &mut self,
        pairs: &[Pair],
        now: Duration,
        born: impl Fn(&Pair) -> bool,
        there: impl Fn(End) -> bool,
    ) {
        let before: Vec<[End; 2]> = self.pairs.iter().map(|pair| pair.sides.map(|side| side.end)).collect();
        self.ledger.reconcile(&before, pairs, now, born, there);
        for pair in pairs.iter().filter(|pair| before.contains(&pair.sides.map(|side| side.end))) {
            for side in pair.sides {
                side.link.map(|link| self.ledger.observe(side.end, &link.counters));
            }
        }
        self.pairs = pairs.to_vec();
    }

    /// Assigns one booking to each pair, in the order of the pairs.
    pub(super) fn book(&mut self, bookings: Vec<Booking>, now: Duration, limits: &SeriesLimits<'_>) {
        let ends: Vec<End> = self.pairs.iter().map(|pair| pair.sides[0].end).collect();
        for (end, booking) in ends.into_iter().zip(bookings) {
            let (id, _) = self.ledger.place(end).expect("an account");
            self.ledger.assign(id, booking, now, limits);
        }
    }

    /// Returns the totals of workloads, including hidden ones.
    pub(super) fn book_of_all(&self) -> impl Iterator<Item = (&LabelSet, &Traffic)> {
        self.ledger.book.workloads.iter().map(|(_, total)| (&*total.labels, &total.traffic))
    }

    /// Assigns one booking to each pair, in the order of the pairs and without a limit, and books the
    /// traffic of dead pairs as `owner` says.
    pub(super) fn assign(
        &mut self,
        bookings: Vec<Booking>,
        owner: impl Fn(&Unattributed) -> Option<[Option<LabelSet>; 2]>,
        now: Duration,
        retention: Duration,
    ) {
        let limits = SeriesLimits {
            output: OutputLimits { series: 1_000_000, ..OutputLimits::default() },
            shows: &|_| true,
        };
        self.ledger.attribute_late(owner, true, now, &limits);
        self.book(bookings, now, &limits);
        self.ledger.expire(now, retention);
    }
}
