//! Links -> pairs and roles: which ends are joined, and which side of a pair is the port.

use super::link::{End, Link, NetnsId, PeerNetns};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the inside of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// All its links, by ifindex; boxed because most namespaces have two, and a map has room for eleven.
    Seen(BTreeMap<u32, Box<Link>>),
    /// The kernel does not let us look (CAP_NET_ADMIN).
    Denied,
}

/// Every namespace that was asked about, by id.
pub(crate) type Namespaces = BTreeMap<NetnsId, Inside>;

/// What a veth end turned out to be. Everything but the first two says why it has no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndState {
    /// Both ends were seen, and each names the other.
    Paired,
    /// The peer is in a namespace that we may not look into: one end of the pair is known, and where the
    /// other is.
    PeerHidden,
    /// No IFLA_LINK: just created and not yet paired, or detached from a peer that is gone.
    Unlinked,
    /// The peer's namespace is known and the peer is not in it: it is moving or dying.
    PeerMissing,
    /// The kernel has no id for the peer's namespace.
    PeerNetnsUnknown,
    /// The peer that it names, names another.
    Contradicted,
}

impl EndState {
    /// All of them: the label's values of `veth_exporter_ends`.
    pub const ALL: [EndState; 6] = [
        EndState::Paired,
        EndState::PeerHidden,
        EndState::Unlinked,
        EndState::PeerMissing,
        EndState::PeerNetnsUnknown,
        EndState::Contradicted,
    ];

    /// Returns the value of the label `state`.
    pub fn as_str(self) -> &'static str {
        match self {
            EndState::Paired => "paired",
            EndState::PeerHidden => "peer_hidden",
            EndState::Unlinked => "unlinked",
            EndState::PeerMissing => "peer_missing",
            EndState::PeerNetnsUnknown => "peer_netns_unknown",
            EndState::Contradicted => "contradicted",
        }
    }
}

/// One side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub end: End,
    /// What the kernel says of it; `None` if its namespace may not be looked into.
    pub link: Option<Link>,
}

/// Two ends that are joined; the lesser end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The two sides. At least one has a link.
    pub sides: [Side; 2],
}

impl Pair {
    /// `Paired`, or `PeerHidden` if one side could not be seen.
    pub(crate) fn state(&self) -> EndState {
        let seen = self.sides.iter().all(|side| side.link.is_some());
        if seen { EndState::Paired } else { EndState::PeerHidden }
    }
}

/// What is known of links, as far as it decides which ends are joined.
pub(crate) trait LinkLookup {
    /// Returns the veth that is this end.
    fn veth(&self, end: End) -> Option<&Link>;

    /// Returns the namespace with this id, if it was asked about.
    fn netns_of(&self, nsid: u32) -> Option<NetnsId>;

    /// Returns true if the kernel does not let us look into a namespace.
    fn is_denied(&self, netns: NetnsId) -> bool;
}

/// Returns the end that a link names as its peer, if it says in which namespace that is.
pub(crate) fn named_peer(end: End, link: &Link, links: &impl LinkLookup) -> Result<End, EndState> {
    let ifindex = link.iflink.ok_or(EndState::Unlinked)?;
    let netns = match link.peer_netns {
        PeerNetns::Same => end.netns,
        PeerNetns::Host => NetnsId::Host,
        PeerNetns::Nsid(nsid) => links.netns_of(nsid).ok_or(EndState::PeerMissing)?,
        PeerNetns::Unassigned | PeerNetns::Elsewhere => return Err(EndState::PeerNetnsUnknown),
    };
    let peer = End { netns, ifindex };
    if peer == end { Err(EndState::Unlinked) } else { Ok(peer) }
}

/// Finds the end that a link is joined to, or says why there is none.
fn find_peer(end: End, link: &Link, links: &impl LinkLookup) -> Result<End, EndState> {
    let peer = named_peer(end, link, links)?;
    if links.is_denied(peer.netns) {
        return Ok(peer);
    }
    let other = links.veth(peer).ok_or(EndState::PeerMissing)?;
    // Of two ends that are made the first is announced before it has a peer, and not again until it is
    // taken up.
    let not_yet = other.iflink.is_none();
    let names_us = other.iflink == Some(end.ifindex)
        && match other.peer_netns {
            PeerNetns::Same => peer.netns == end.netns,
            PeerNetns::Host => end.netns == NetnsId::Host,
            PeerNetns::Nsid(nsid) => links.netns_of(nsid) == Some(end.netns),
            PeerNetns::Unassigned => false,
            PeerNetns::Elsewhere => peer.netns != end.netns,
        };
    if names_us || not_yet { Ok(peer) } else { Err(EndState::Contradicted) }
}

/// Which ends are joined, and every veth end that is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairing {
    /// Each end of a pair with the other one.
    peers: BTreeMap<End, End>,
    /// With the reason; never `Paired` or `PeerHidden`.
    single: BTreeMap<End, EndState>,
}

impl Pairing {
    /// Joins these ends anew, which must be all that name one another directly or not; `links` has them as
    /// they are now. Returns the pairs that there were and those that there are, the lesser end first.
    pub(crate) fn join(&mut self, ends: &BTreeSet<End>, links: &impl LinkLookup) -> [Vec<[End; 2]>; 2] {
        let mut before = Vec::new();
        for &end in ends {
            self.single.remove(&end);
            if let Some(peer) = self.peers.remove(&end) {
                self.peers.remove(&peer);
                before.push([end.min(peer), end.max(peer)]);
            }
        }
        let mut pairs = Vec::new();
        for &end in ends {
            let Some(link) = links.veth(end) else { continue };
            if self.peers.contains_key(&end) {
                continue;
            }
            match find_peer(end, link, links) {
                Ok(peer) if !self.peers.contains_key(&peer) => {
                    self.peers.extend([(end, peer), (peer, end)]);
                    // An end that cannot say where its peer is may be found by that.
                    self.single.remove(&peer);
                    pairs.push([end.min(peer), end.max(peer)]);
                }
                Ok(_) => _ = self.single.insert(end, EndState::Contradicted),
                Err(why) => _ = self.single.insert(end, why),
            }
        }
        before.sort_unstable();
        pairs.sort_unstable();
        [before, pairs]
    }

    /// Returns the end that this one is joined to.
    pub(crate) fn peer(&self, end: End) -> Option<End> {
        self.peers.get(&end).copied()
    }

    /// Returns all pairs in the order of their first ends.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = [End; 2]> {
        self.peers.iter().filter(|(end, peer)| end < peer).map(|(&end, &peer)| [end, peer])
    }

    /// Returns the pairs that follow the one of this first end, in order.
    pub(crate) fn pairs_from(&self, end: End) -> impl Iterator<Item = [End; 2]> {
        self.peers.range(end..).filter(|(end, peer)| end < peer).map(|(&end, &peer)| [end, peer])
    }

    /// Returns the ends of pairs that are in a namespace, in order.
    pub(crate) fn paired_in(&self, netns: NetnsId) -> impl Iterator<Item = End> {
        let [first, last] = [0, u32::MAX].map(|ifindex| End { netns, ifindex });
        self.peers.range(first..=last).map(|(&end, _)| end)
    }

    /// Returns every end without a pair, in order, with the reason.
    pub(crate) fn single(&self) -> &BTreeMap<End, EndState> {
        &self.single
    }
}

/// What an end is for: the two roles of DESIGN chapter 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The outer end, a `device` in the metrics: what the host or a bridge sees.
    Port,
    /// The inner end: a workload's own interface.
    Interface,
}

/// Whose place a namespace is, in the order in which it makes an end the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The exporter's own namespace.
    Host,
    Unclaimed,
    /// A workload lives there.
    Workload,
}

/// Decides the roles of a pair's two sides. `places` says whose place each is, `outer` which side's
/// workload holds the other's (a container that runs containers), `switched` whether each end is enslaved
/// to a bridge or Open vSwitch.
pub(crate) fn roles(pair: &Pair, places: [Place; 2], outer: Option<usize>, switched: [bool; 2]) -> [Role; 2] {
    use Role::{Interface, Port};
    let [a, b] = pair.sides;
    if a.end.netns == b.end.netns {
        return [Port, Port];
    }
    match places[0].cmp(&places[1]) {
        std::cmp::Ordering::Less => [Port, Interface],
        std::cmp::Ordering::Greater => [Interface, Port],
        std::cmp::Ordering::Equal if places[0] != Place::Workload => [Port, Port],
        std::cmp::Ordering::Equal => match (outer, switched) {
            (Some(0), _) | (None, [true, false]) => [Port, Interface],
            (Some(_), _) | (None, [false, true]) => [Interface, Port],
            (None, _) => [Interface, Interface],
        },
    }
}

#[cfg(test)]
mod tests;
