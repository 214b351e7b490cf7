//! The pairs that there is no room to show one by one: what their ends count is shown as one sum.
//!
//! A pair that is in the rest stays there as long as it lives. A device's counters are the kernel's own,
//! since the device was made: shown later, they would be counted twice.

use super::{Account, highest};
use crate::model::link::Counters;

/// What an end's counters are a row of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Port,
    /// Of the interfaces of containers and pods, as these see them.
    Container,
    /// Of nothing that is shown.
    Nothing,
}

/// How a pair is shown.
#[derive(Clone, Debug, Default)]
pub(super) enum Listing {
    /// It is not decided yet.
    #[default]
    Undecided,
    Listed,
    Rest(Box<Share>),
}

/// What a pair has given to the rest.
#[derive(Clone, Debug)]
pub(super) struct Share {
    rows: [Row; 2],
    counted: [Counters; 2],
}

/// What the pairs counted that are shown as one, since each came to the rest; `None` before the first has.
/// It never falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    pub ports: Option<Counters>,
    /// At the interfaces of containers and pods, as these see it.
    pub containers: Option<Counters>,
}

impl Account {
    fn seen(&self, side: usize, row: Row) -> Counters {
        match row {
            Row::Port => self.highest[side],
            Row::Container => self.own_counters(side),
            Row::Nothing => Counters::default(),
        }
    }

    /// What the end at `side` itself counts.
    fn own_counters(&self, side: usize) -> Counters {
        let traffic = self.traffic(side);
        Counters {
            receive_bytes: traffic.receive.bytes,
            receive_packets: traffic.receive.packets,
            receive_dropped: traffic.receive.dropped,
            transmit_bytes: traffic.transmit.bytes,
            transmit_packets: traffic.transmit.packets,
            transmit_dropped: traffic.transmit.dropped,
        }
    }

    /// Puts it into the rest: what was born since we look counts from its birth, anything else from now.
    pub(super) fn join(&mut self, rest: &mut Rest, rows: [Row; 2]) {
        let counted = match self.born {
            true => Default::default(),
            false => [0, 1].map(|side| self.seen(side, rows[side])),
        };
        self.listing = Listing::Rest(Box::new(Share { rows, counted }));
        for row in rows {
            match row {
                Row::Port => _ = rest.ports.get_or_insert_default(),
                Row::Container => _ = rest.containers.get_or_insert_default(),
                Row::Nothing => {}
            }
        }
        self.give(rest);
    }

    /// Its ends are rows of these from now on.
    pub(super) fn set_rows(&mut self, rest: &mut Rest, rows: [Row; 2]) {
        self.give(rest);
        let Listing::Rest(mut share) = std::mem::take(&mut self.listing) else { return };
        for side in (0..2).filter(|&side| share.rows[side] != rows[side]) {
            share.counted[side] = self.seen(side, rows[side]);
        }
        share.rows = rows;
        self.listing = Listing::Rest(share);
    }

    /// Gives what is new to the rest, if it belongs there.
    pub(super) fn give(&mut self, rest: &mut Rest) {
        let Listing::Rest(share) = &self.listing else { return };
        let seen = [0, 1].map(|side| self.seen(side, share.rows[side]));
        let Listing::Rest(share) = &mut self.listing else { return };
        for (side, seen) in seen.iter().enumerate() {
            let sum = match share.rows[side] {
                Row::Port => rest.ports.get_or_insert_default(),
                Row::Container => rest.containers.get_or_insert_default(),
                Row::Nothing => continue,
            };
            add(sum, seen, &share.counted[side]);
            share.counted[side] = highest(&share.counted[side], seen);
        }
    }
}

impl Share {
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
