//! The pairs that there is no room to show one by one: what their ends count is shown as one sum.
//!
//! A pair in the overflow stays there as long as it lives. A device's counters are the kernel's own, since
//! the device was made: shown later, they would be counted twice.

use super::account::Account;
use super::counted::highest;
use crate::model::link::Counters;
use crate::model::series::Trust;

/// What an end's counters are a row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Port,
    /// Of the interfaces of containers and pods, as these see them.
    Container,
    /// Of nothing that is shown.
    Nothing,
}

/// What it takes to show a pair by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesCost {
    /// What its sides are rows of.
    pub rows: [Row; 2],
    /// The series of these rows and of the information on their owners.
    pub series: usize,
    /// Whether something vouches for the pair.
    pub trust: Trust,
    /// The sides that the user does not want to see.
    pub hidden: [bool; 2],
}

/// How a pair is shown.
#[derive(Clone, Debug, Default)]
pub(super) enum Placement {
    /// It is not decided yet.
    #[default]
    Undecided,
    Listed,
    Overflow(Box<Share>),
}

/// What a pair has given to the overflow.
#[derive(Clone, Debug)]
pub(super) struct Share {
    rows: [Row; 2],
    counted: [Counters; 2],
}

/// What the pairs counted that are shown as one, since each came to the overflow; `None` before the first
/// has. It never falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    /// The sum over ports.
    pub ports: Option<Counters>,
    /// The sum over interfaces of containers and pods, as these see it.
    pub containers: Option<Counters>,
}

impl Account {
    fn seen(&self, side: usize, row: Row) -> Counters {
        match row {
            Row::Port => self.counted.highest[side],
            Row::Container => self.own_counters(side),
            Row::Nothing => Counters::default(),
        }
    }

    /// Returns what the end at `side` itself counts.
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

    /// Puts it into the overflow: a pair that was born since the exporter looks counts from its birth, any
    /// other from now.
    pub(super) fn move_to_overflow(&mut self, overflow: &mut Overflow, rows: [Row; 2]) {
        let counted = match self.born {
            true => Default::default(),
            false => [0, 1].map(|side| self.seen(side, rows[side])),
        };
        self.placement = Placement::Overflow(Box::new(Share { rows, counted }));
        for row in rows {
            match row {
                Row::Port => _ = overflow.ports.get_or_insert_default(),
                Row::Container => _ = overflow.containers.get_or_insert_default(),
                Row::Nothing => {}
            }
        }
        self.add_to_overflow(overflow);
    }

    /// Makes its ends rows of these from now on.
    pub(super) fn set_rows(&mut self, overflow: &mut Overflow, rows: [Row; 2]) {
        self.add_to_overflow(overflow);
        let Placement::Overflow(mut share) = std::mem::take(&mut self.placement) else { return };
        for side in (0..2).filter(|&side| share.rows[side] != rows[side]) {
            share.counted[side] = self.seen(side, rows[side]);
        }
        share.rows = rows;
        self.placement = Placement::Overflow(share);
    }

    /// Adds what is new to the overflow, if the pair is shown there.
    pub(super) fn add_to_overflow(&mut self, overflow: &mut Overflow) {
        let Placement::Overflow(share) = &self.placement else { return };
        let seen = [0, 1].map(|side| self.seen(side, share.rows[side]));
        let Placement::Overflow(share) = &mut self.placement else { return };
        for (side, seen) in seen.iter().enumerate() {
            let sum = match share.rows[side] {
                Row::Port => overflow.ports.get_or_insert_default(),
                Row::Container => overflow.containers.get_or_insert_default(),
                Row::Nothing => continue,
            };
            add(sum, seen, &share.counted[side]);
            share.counted[side] = highest(&share.counted[side], seen);
        }
    }
}

impl Share {
    /// Exchanges the two sides of the pair.
    pub(super) fn turn(&mut self) {
        self.rows.swap(0, 1);
        self.counted.swap(0, 1);
    }
}

/// Adds what was seen beyond what is counted already.
fn add(sum: &mut Counters, seen: &Counters, counted: &Counters) {
    sum.receive_bytes += seen.receive_bytes.saturating_sub(counted.receive_bytes);
    sum.receive_packets += seen.receive_packets.saturating_sub(counted.receive_packets);
    sum.receive_dropped += seen.receive_dropped.saturating_sub(counted.receive_dropped);
    sum.transmit_bytes += seen.transmit_bytes.saturating_sub(counted.transmit_bytes);
    sum.transmit_packets += seen.transmit_packets.saturating_sub(counted.transmit_packets);
    sum.transmit_dropped += seen.transmit_dropped.saturating_sub(counted.transmit_dropped);
}
