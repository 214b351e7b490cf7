//! One pair's counters, and what they come to.

use super::rest::Listing;
use super::{Clue, Flow, LabelSet, Traffic};
use crate::model::link::{Counters, End, NetnsId};
use std::time::Duration;

/// What one pair's counters showed, and how much of it is already booked.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) ends: [End; 2],
    /// The highest value ever seen of each counter of each end: receive falls to 0 when a pair is detached.
    pub(super) highest: [Counters; 2],
    /// What each end showed once it had no peer any more: only what it kept itself.
    pub(super) detached: Option<Box<[Option<Counters>; 2]>>,
    pub(super) booked: [Traffic; 2],
    /// For whom each side's traffic is booked, and where that is in `totals`.
    pub(super) labels: [Option<LabelSet>; 2],
    pub(super) booked_to: [Option<usize>; 2],
    /// While it is not yet known for whom to book, nothing is; should the pair die, then to these labels.
    pub(super) held: Option<[Option<LabelSet>; 2]>,
    /// While it is held, what may tell whose it was should it die.
    pub(super) clue: Option<Clue>,
    /// When the pair was first seen where it is now.
    pub(super) arrived: Duration,
    /// Two ports, and young: one of them may yet move into a container, and what it has carried moves with
    /// it.
    pub(super) in_transit: bool,
    /// An end was deleted: whatever has its id from now on is another.
    pub(super) ended: bool,
    /// The bytes that each end had received when the last tick ended.
    pub(super) received: [u64; 2],
    /// The end inside receives what its port never sent: packets are redirected past the port
    /// (bpf_redirect_peer).
    pub(super) bypassed: bool,
    /// It counts from 0: it came since we look.
    pub(super) born: bool,
    pub(super) listing: Listing,
}

impl Account {
    pub(super) fn new(ends: [End; 2], arrived: Duration) -> Account {
        Account {
            ends,
            highest: Default::default(),
            detached: None,
            booked: Default::default(),
            labels: [None, None],
            booked_to: [None, None],
            held: Some([None, None]),
            clue: None,
            arrived,
            in_transit: false,
            ended: false,
            received: [0, 0],
            bypassed: false,
            born: true,
            listing: Listing::Undecided,
        }
    }

    /// True if this side's traffic is booked to these labels.
    pub(super) fn is_booked_to(&self, side: usize, labels: &LabelSet) -> bool {
        self.booked_to[side].is_some() && self.labels[side].as_ref() == Some(labels)
    }

    /// Ends a tick, for which the host's ends were read: what one of them had sent by then is at least what
    /// its peer had received a tick ago, unless something goes past it.
    pub(super) fn end_tick(&mut self) {
        for side in 0..2 {
            let port = self.ends[1 - side].netns == NetnsId::Host && self.ends[side].netns != NetnsId::Host;
            self.bypassed |= port && self.highest[1 - side].transmit_bytes < self.received[side];
        }
        self.received = self.highest.each_ref().map(|counters| counters.receive_bytes);
    }

    pub(super) fn observe(&mut self, side: usize, seen: &Counters) {
        self.highest[side] = highest(&self.highest[side], seen);
    }

    /// Notes the counters of an end that has lost its peer.
    pub(super) fn observe_detached(&mut self, side: usize, seen: &Counters) {
        // Its own transmit goes on counting; a receive that is still its peer's transmit is in neither.
        self.detached.get_or_insert_default()[side] = Some(*seen);
        self.observe(side, seen);
    }

    /// All that the workload at `side` ever received and sent over this pair.
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
    /// shows its peer's transmit as its receive; with NAPI (GRO, XDP) or a redirect to the peer the
    /// receiver counts. Whichever saw more is right, or the sum of what both ends show once they have no
    /// peer any more. Nothing else may be added: the transmit of an attached end already holds what its
    /// peer counted (`veth_get_stats64` in drivers/net/veth.c).
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

    /// What is not booked yet, which is booked by that.
    pub(super) fn take(&mut self, side: usize) -> Traffic {
        let all = self.traffic(side);
        let new = all.since(self.booked[side]);
        self.booked[side] = all;
        new
    }

    pub(super) fn turn(&mut self) {
        self.ends.swap(0, 1);
        self.highest.swap(0, 1);
        self.received.swap(0, 1);
        self.detached.iter_mut().for_each(|detached| detached.swap(0, 1));
        self.booked.swap(0, 1);
        self.labels.swap(0, 1);
        self.booked_to.swap(0, 1);
        if let Listing::Rest(share) = &mut self.listing {
            share.turn();
        }
    }
}

/// Of each counter the higher value.
pub(crate) fn highest(a: &Counters, b: &Counters) -> Counters {
    Counters {
        receive_bytes: a.receive_bytes.max(b.receive_bytes),
        receive_packets: a.receive_packets.max(b.receive_packets),
        receive_dropped: a.receive_dropped.max(b.receive_dropped),
        transmit_bytes: a.transmit_bytes.max(b.transmit_bytes),
        transmit_packets: a.transmit_packets.max(b.transmit_packets),
        transmit_dropped: a.transmit_dropped.max(b.transmit_dropped),
    }
}
