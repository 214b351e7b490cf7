//! Bytes and packets, in one direction and in both.

use std::ops::AddAssign;

/// The traffic in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes, link layer header included.
    pub bytes: u64,
    /// Packets; with GSO one of them can be 64 KB.
    pub packets: u64,
    /// Packets that could not be delivered, as counted by the other end.
    pub dropped: u64,
}

impl Flow {
    fn since(self, earlier: Flow) -> Flow {
        Flow {
            bytes: self.bytes.saturating_sub(earlier.bytes),
            packets: self.packets.saturating_sub(earlier.packets),
            dropped: self.dropped.saturating_sub(earlier.dropped),
        }
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, more: Flow) {
        self.bytes += more.bytes;
        self.packets += more.packets;
        self.dropped += more.dropped;
    }
}

/// The traffic that a workload received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The traffic into the workload.
    pub receive: Flow,
    /// The traffic out of the workload.
    pub transmit: Flow,
}

impl Traffic {
    /// Returns the traffic since an earlier total.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            receive: self.receive.since(earlier.receive),
            transmit: self.transmit.since(earlier.transmit),
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.receive += more.receive;
        self.transmit += more.transmit;
    }
}
