//! Bytes and packets, one way and both.

use std::ops::AddAssign;

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes, link layer header included.
    pub bytes: u64,
    /// Packets; with GSO one of them can be 64 KB.
    pub packets: u64,
    /// Packets that could not be handed over, as the other end counted them.
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

/// What a workload received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What went into the workload.
    pub receive: Flow,
    /// What went out of the workload.
    pub transmit: Flow,
}

impl Traffic {
    /// What came since an earlier total.
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
