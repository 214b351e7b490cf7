//! The counters of a pair's two ends, and the traffic computed from them.

use super::{Flow, Traffic};
use crate::model::link::{Counters, End, NetnsId};
use crate::model::peak::{Rates, per_second};
use std::time::Duration;

/// The counters of a pair's two ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// The highest value ever seen of each counter of each end: receive falls to 0 when a pair is detached.
    pub(super) highest: [Counters; 2],
    /// The counters of each end as last read.
    pub(super) shown: [Counters; 2],
    /// The counters of each end after it lost its peer: they contain only what the end counted itself.
    detached: Option<Box<[Option<Counters>; 2]>>,
    /// The bytes that each end had received, and had sent, at the end of the last tick.
    received: [u64; 2],
    sent: [u64; 2],
    /// True if the pair's driver counts each frame at both ends: see
    /// [`counts_receive`](crate::model::link::LinkKind::counts_receive).
    pub(super) counts_receive: bool,
    /// True if bytes of the end in a namespace went past its port: the end has received bytes that the port
    /// never sent (bpf_redirect_peer), or has sent bytes that the port never received (NETKIT_REDIRECT).
    pub(super) bypassed: bool,
    /// The bytes of both directions that were counted before the exporter knew the pair.
    found: u64,
    /// The traffic of the first side at the end of the last tick.
    ticked: Traffic,
    /// The packets that were dropped by the end of the last tick, and the side that had counted them.
    dropped: Dropped,
    /// The rates of the first side in the last tick; `None` before the pair's first tick.
    pub(super) rates: Option<Rates>,
}

/// Packets that were dropped.
#[derive(Clone, Copy, Debug, Default)]
struct Dropped {
    /// The side that has counted them.
    side: usize,
    /// The packets that the first side was to receive, and the packets that it has sent.
    packets: [u64; 2],
}

impl Counted {
    /// Takes the present counters as those of the last tick: the time in which they grew is not known.
    pub(super) fn begin_here(&mut self, port: usize) {
        self.dropped = self.dropped_at(port);
        self.ticked = self.traffic(0);
        self.found = self.ticked.receive.bytes + self.ticked.transmit.bytes;
    }

    /// Returns the bytes of both directions that were counted while the exporter knew the pair.
    pub(super) fn new_bytes(&self) -> u64 {
        let Traffic { receive, transmit } = self.traffic(0);
        (receive.bytes + transmit.bytes).saturating_sub(self.found)
    }

    /// Ends a tick of this length, for which the host's ends were read. An end on the host has sent at least
    /// what its peer had received one tick earlier, unless packets bypass it. Where both ends count each
    /// frame, it has also received at least what its peer had sent. Returns the packets that were dropped in
    /// the tick: those that the first side was to receive, and those that it has sent. The port counts them:
    /// `port` is its side.
    pub(super) fn end_tick(&mut self, ends: &[End; 2], port: usize, length: Duration) -> [u64; 2] {
        for side in 0..2 {
            let port = ends[1 - side].netns == NetnsId::Host && ends[side].netns != NetnsId::Host;
            let of_port = &self.highest[1 - side];
            self.bypassed |= port && of_port.transmit_bytes < self.received[side];
            self.bypassed |= port && self.counts_receive && of_port.receive_bytes < self.sent[side];
        }
        self.received = self.highest.each_ref().map(|counters| counters.receive_bytes);
        self.sent = self.highest.each_ref().map(|counters| counters.transmit_bytes);
        let all = self.traffic(0);
        let Traffic { receive, transmit } = all.since(self.ticked);
        self.ticked = all;
        self.rates = Some(Rates {
            receive_bytes: per_second(receive.bytes, length),
            receive_packets: per_second(receive.packets, length),
            transmit_bytes: per_second(transmit.bytes, length),
            transmit_packets: per_second(transmit.packets, length),
        });
        let now = self.dropped_at(port);
        let before = std::mem::replace(&mut self.dropped, now);
        match before.side == port {
            true => [0, 1].map(|direction| now.packets[direction].saturating_sub(before.packets[direction])),
            false => [0, 0],
        }
    }

    /// Returns the packets that a side has counted as dropped.
    fn dropped_at(&self, side: usize) -> Dropped {
        let counters = &self.highest[side];
        let mut packets = [counters.receive_dropped, counters.transmit_dropped];
        if side == 1 {
            packets.swap(0, 1);
        }
        Dropped { side, packets }
    }

    /// Records the counters of an end as read now.
    pub(super) fn sample(&mut self, side: usize, seen: &Counters) {
        self.observe(side, seen);
        self.shown[side] = *seen;
    }

    pub(super) fn observe(&mut self, side: usize, seen: &Counters) {
        self.highest[side] = highest(&self.highest[side], seen);
    }

    /// Records the counters of an end from a link message, which may be older than those last read.
    pub(super) fn observe_link(&mut self, side: usize, seen: &Counters) {
        self.observe(side, seen);
        self.shown[side] = highest(&self.shown[side], seen);
    }

    /// Records the counters of an end that has lost its peer.
    pub(super) fn observe_detached(&mut self, side: usize, seen: &Counters) {
        // The end's own transmit continues to count. A receive counter that still shows the peer's transmit
        // is in neither sum.
        self.detached.get_or_insert_default()[side] = Some(*seen);
        self.observe(side, seen);
    }

    /// Returns all traffic that the workload at `side` ever received and sent over this pair.
    pub(super) fn traffic(&self, side: usize) -> Traffic {
        let (receive_bytes, receive_packets) = self.carried_to(side);
        let (transmit_bytes, transmit_packets) = self.carried_to(1 - side);
        let other = &self.highest[1 - side];
        Traffic {
            receive: Flow { bytes: receive_bytes, packets: receive_packets, dropped: other.transmit_dropped },
            transmit: Flow {
                bytes: transmit_bytes,
                packets: transmit_packets,
                dropped: other.receive_dropped,
            },
        }
    }

    /// Returns the bytes and packets that reached `side`. A veth normally counts what it transmits, and
    /// shows its peer's transmit as its receive; with NAPI (GRO, XDP) or a redirect to the peer, the
    /// receiver counts. Both ends of a netkit count. The right value is the highest of the sender's
    /// transmit, the receiver's receive, and, of a veth, the sum of what both ends show once they have no
    /// peer any more. No other counters may be added: the transmit of an attached end already contains what
    /// its peer counted (`veth_get_stats64` in drivers/net/veth.c).
    fn carried_to(&self, side: usize) -> (u64, u64) {
        let (own, other) = (&self.highest[side], &self.highest[1 - side]);
        let detached =
            self.detached.as_deref().and_then(|detached| Some((detached[1 - side]?, detached[side]?)));
        let (bytes, packets) = detached.map_or((0, 0), |(sent, kept)| {
            (sent.transmit_bytes + kept.receive_bytes, sent.transmit_packets + kept.receive_packets)
        });
        (
            other.transmit_bytes.max(own.receive_bytes).max(bytes),
            other.transmit_packets.max(own.receive_packets).max(packets),
        )
    }

    /// Swaps the two sides of the pair.
    pub(super) fn swap_sides(&mut self) {
        self.highest.swap(0, 1);
        self.shown.swap(0, 1);
        self.received.swap(0, 1);
        self.sent.swap(0, 1);
        let Traffic { receive, transmit } = self.ticked;
        self.ticked = Traffic { receive: transmit, transmit: receive };
        self.dropped.side = 1 - self.dropped.side;
        self.dropped.packets.swap(0, 1);
        self.rates = self.rates.map(Rates::of_peer);
        self.detached.iter_mut().for_each(|detached| detached.swap(0, 1));
    }
}

/// Returns the higher value of each counter.
pub(super) fn highest(a: &Counters, b: &Counters) -> Counters {
    Counters {
        receive_bytes: a.receive_bytes.max(b.receive_bytes),
        receive_packets: a.receive_packets.max(b.receive_packets),
        receive_dropped: a.receive_dropped.max(b.receive_dropped),
        transmit_bytes: a.transmit_bytes.max(b.transmit_bytes),
        transmit_packets: a.transmit_packets.max(b.transmit_packets),
        transmit_dropped: a.transmit_dropped.max(b.transmit_dropped),
    }
}
