//! The figures of TCP in one namespace, and the requests for them.

use crate::model::host::LookFailure;
use crate::model::link::NetnsId;

/// The number of counters.
pub(super) const TCP_COUNTERS: usize = 8;

/// A counter of TCP, with the kernel's name of it: of `Tcp` in /proc/PID/net/snmp (RFC 4022), or of
/// `TcpExt` in /proc/PID/net/netstat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpCounter {
    /// The segments sent, without those sent again: `OutSegs` of `Tcp`.
    SegmentsSent,
    /// The segments sent again: `RetransSegs` of `Tcp`.
    SegmentsRetransmitted,
    /// The retransmission timeouts: `TCPTimeouts` of `TcpExt`.
    Timeouts,
    /// The segments sent with RST: `OutRsts` of `Tcp`.
    ResetsSent,
    /// The connections that failed to open: `AttemptFails` of `Tcp`.
    AttemptsFailed,
    /// The open connections that were reset: `EstabResets` of `Tcp`.
    ConnectionsReset,
    /// The connections that a full queue dropped: `ListenOverflows` of `TcpExt`.
    ListenOverflows,
    /// The connections that a listening socket dropped: `ListenDrops` of `TcpExt`.
    ListenDrops,
}

/// The figures of TCP. A figure that the kernel does not report is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFigures {
    counters: [Option<u64>; TCP_COUNTERS],
    sockets: Option<u64>,
}

impl TcpFigures {
    pub(super) fn new(counters: [Option<u64>; TCP_COUNTERS], sockets: Option<u64>) -> TcpFigures {
        TcpFigures { counters, sockets }
    }

    /// Returns a counter; `None` if it is not known.
    pub fn counter(&self, counter: TcpCounter) -> Option<u64> {
        self.counters[counter as usize]
    }

    /// Sets a counter to the kernel's value.
    pub fn set_counter(&mut self, counter: TcpCounter, value: u64) {
        self.counters[counter as usize] = Some(value);
    }

    /// Returns the number of sockets in use; `None` if it is not known.
    pub fn sockets(&self) -> Option<u64> {
        self.sockets
    }

    /// Adds sockets in use.
    pub fn add_sockets(&mut self, sockets: u64) {
        self.sockets = Some(self.sockets.unwrap_or(0).saturating_add(sockets));
    }

    /// Returns true if no figure is known.
    pub fn is_empty(&self) -> bool {
        *self == TcpFigures::default()
    }

    pub(super) fn counters(&self) -> [Option<u64>; TCP_COUNTERS] {
        self.counters
    }
}

/// A namespace to read, and the process by which it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcpTarget {
    /// The namespace in which the process is known to be.
    pub netns: NetnsId,
    /// The pid, as in the exporter's pid namespace.
    pub pid: u32,
}

/// The answer about a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpReading {
    /// The namespace and the process that were read.
    pub target: TcpTarget,
    /// The figures; `LookFailure::Gone` if the process is not in the namespace any more.
    pub answer: Result<TcpFigures, LookFailure>,
}
