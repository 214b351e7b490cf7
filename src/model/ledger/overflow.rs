//! The overflow: the pairs beyond the limit on series, shown as one sum.
//!
//! A pair in the overflow stays there until it dies. The kernel counts a device's counters from the
//! creation of the device: shown by itself later, the pair would be counted twice.

use super::account::Account;
use super::counted::highest;
use crate::model::link::Counters;
use crate::model::series::Trust;

/// The kind of row that shows an end's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    Port,
    /// A row of an interface of a container or pod, with the counters as seen by the interface.
    Container,
    /// No row: the end's counters are not shown.
    Nothing,
}

/// The cost of showing a pair by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesCost {
    /// The kind of row of each side.
    pub rows: [RowKind; 2],
    /// The number of series of these rows and of the information on their owners.
    pub series: usize,
    /// The trust in the pair.
    pub trust: Trust,
    /// True for each side that the user's filter hides.
    pub hidden: [bool; 2],
}

/// The place of a pair: listed by itself or in the overflow.
#[derive(Clone, Debug, Default)]
pub(super) enum Placement {
    /// The pair has not been booked yet.
    #[default]
    Undecided,
    Listed,
    Overflow(Box<Share>),
}

/// A pair's contribution to the overflow.
#[derive(Clone, Debug)]
pub(super) struct Share {
    rows: [RowKind; 2],
    counted: [Counters; 2],
}

/// The sums over the pairs in the overflow, each from the time at which it was moved there; `None` before
/// the first pair. The sums never fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    /// The sum over ports.
    pub ports: Option<Counters>,
    /// The sum over interfaces of containers and pods, with the counters as seen by the interface.
    pub containers: Option<Counters>,
}

impl Account {
    fn seen(&self, side: usize, row: RowKind) -> Counters {
        match row {
            RowKind::Port => self.counted.highest[side],
            RowKind::Container => self.own_counters(side),
            RowKind::Nothing => Counters::default(),
        }
    }

    /// Returns the counters of the end at `side` as seen by that end.
    fn own_counters(&self, side: usize) -> Counters {
        let traffic = self.counted.traffic(side);
        Counters {
            receive_bytes: traffic.receive.bytes,
            receive_packets: traffic.receive.packets,
            receive_dropped: traffic.receive.dropped,
            transmit_bytes: traffic.transmit.bytes,
            transmit_packets: traffic.transmit.packets,
            transmit_dropped: traffic.transmit.dropped,
        }
    }

    /// Moves the pair to the overflow. A pair that was created while the exporter runs contributes all of
    /// its counters, any other pair only what it counts from now on.
    pub(super) fn move_to_overflow(&mut self, overflow: &mut Overflow, rows: [RowKind; 2]) {
        let counted = match self.born {
            true => Default::default(),
            false => [0, 1].map(|side| self.seen(side, rows[side])),
        };
        self.placement = Placement::Overflow(Box::new(Share { rows, counted }));
        for row in rows {
            match row {
                RowKind::Port => _ = overflow.ports.get_or_insert_default(),
                RowKind::Container => _ = overflow.containers.get_or_insert_default(),
                RowKind::Nothing => {}
            }
        }
        self.add_to_overflow(overflow);
    }

    /// Changes the kind of row that each end contributes to, from now on.
    pub(super) fn set_rows(&mut self, overflow: &mut Overflow, rows: [RowKind; 2]) {
        self.add_to_overflow(overflow);
        let Placement::Overflow(mut share) = std::mem::take(&mut self.placement) else { return };
        for side in (0..2).filter(|&side| share.rows[side] != rows[side]) {
            share.counted[side] = self.seen(side, rows[side]);
        }
        share.rows = rows;
        self.placement = Placement::Overflow(share);
    }

    /// Adds the traffic since the last call to the overflow, if the pair is in it.
    pub(super) fn add_to_overflow(&mut self, overflow: &mut Overflow) {
        let Placement::Overflow(share) = &self.placement else { return };
        let seen = [0, 1].map(|side| self.seen(side, share.rows[side]));
        let Placement::Overflow(share) = &mut self.placement else { return };
        for (side, seen) in seen.iter().enumerate() {
            let sum = match share.rows[side] {
                RowKind::Port => overflow.ports.get_or_insert_default(),
                RowKind::Container => overflow.containers.get_or_insert_default(),
                RowKind::Nothing => continue,
            };
            add(sum, seen, &share.counted[side]);
            share.counted[side] = highest(&share.counted[side], seen);
        }
    }
}

impl Share {
    /// Swaps the two sides of the pair.
    pub(super) fn swap_sides(&mut self) {
        self.rows.swap(0, 1);
        self.counted.swap(0, 1);
    }
}

/// Adds to `sum` the part of `seen` that is above `counted`.
fn add(sum: &mut Counters, seen: &Counters, counted: &Counters) {
    sum.receive_bytes += seen.receive_bytes.saturating_sub(counted.receive_bytes);
    sum.receive_packets += seen.receive_packets.saturating_sub(counted.receive_packets);
    sum.receive_dropped += seen.receive_dropped.saturating_sub(counted.receive_dropped);
    sum.transmit_bytes += seen.transmit_bytes.saturating_sub(counted.transmit_bytes);
    sum.transmit_packets += seen.transmit_packets.saturating_sub(counted.transmit_packets);
    sum.transmit_dropped += seen.transmit_dropped.saturating_sub(counted.transmit_dropped);
}
