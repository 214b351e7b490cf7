//! Links -> pairs and roles: the peer of each end, and the side of a pair that is the port.

use super::link::{End, Link, NetnsId, PeerNetns};
use std::collections::{BTreeMap, BTreeSet};

/// The links of a namespace, or the reason why they are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// All links of the namespace, by ifindex. They are boxed because most namespaces have two links, and a
    /// node of the map has room for eleven.
    Seen(BTreeMap<u32, Box<Link>>),
    /// The kernel does not let the exporter read the namespace (CAP_NET_ADMIN is missing).
    Denied,
}

/// Every namespace that the exporter has asked about, by id.
pub(crate) type Namespaces = BTreeMap<NetnsId, Inside>;

/// The state of an end of a pair. All states but the first two are reasons why an end has no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndState {
    /// Both ends were seen, and each names the other as its peer.
    Paired,
    /// The peer is in a namespace that the exporter may not read. The end itself and the peer's namespace
    /// and ifindex are known.
    PeerHidden,
    /// The link has no IFLA_LINK: it was just created and has no peer yet, or it is detached from a deleted
    /// peer.
    Unlinked,
    /// The peer's namespace is known, but the peer is not in it: the peer is moving or dying.
    PeerMissing,
    /// The kernel has no id for the peer's namespace.
    PeerNetnsUnknown,
    /// The link that the end names as its peer names another peer.
    Contradicted,
}

impl EndState {
    /// All states, as the label values of `veth_exporter_ends`.
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
    /// The link of the end; `None` if the exporter may not read its namespace.
    pub link: Option<Link>,
}

/// Two ends that are each other's peers; the lesser end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The two sides. At least one has a link.
    pub sides: [Side; 2],
}

impl Pair {
    /// Returns `Paired`, or `PeerHidden` if the link of one side is not known.
    pub(crate) fn state(&self) -> EndState {
        let seen = self.sides.iter().all(|side| side.link.is_some());
        if seen { EndState::Paired } else { EndState::PeerHidden }
    }
}

/// The links from which pairs are determined.
pub(crate) trait LinkLookup {
    /// Returns the link of this end if it is of a kind that has a peer.
    fn pair_end(&self, end: End) -> Option<&Link>;

    /// Returns the namespace with this nsid, if the exporter has asked about it.
    fn netns_of(&self, nsid: u32) -> Option<NetnsId>;

    /// Returns true if the kernel does not let the exporter read this namespace.
    fn is_denied(&self, netns: NetnsId) -> bool;
}

/// Returns the end that a link names as its peer, or the reason why the link names none in a known
/// namespace.
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

/// Returns the peer of a link, or the reason why the link has none.
fn find_peer(end: End, link: &Link, links: &impl LinkLookup) -> Result<End, EndState> {
    let peer = named_peer(end, link, links)?;
    if links.is_denied(peer.netns) {
        return Ok(peer);
    }
    let other = links.pair_end(peer).ok_or(EndState::PeerMissing)?;
    // When a pair is created, the kernel announces the first end before it has a peer, and not again until
    // the end is set up.
    let not_yet = other.iflink.is_none();
    let names_us = other.iflink == Some(end.ifindex)
        && match other.peer_netns {
            PeerNetns::Same => peer.netns == end.netns,
            PeerNetns::Host => end.netns == NetnsId::Host,
            PeerNetns::Nsid(nsid) => links.netns_of(nsid) == Some(end.netns),
            PeerNetns::Unassigned | PeerNetns::Elsewhere => peer.netns != end.netns,
        };
    if names_us || not_yet { Ok(peer) } else { Err(EndState::Contradicted) }
}

/// The peer of each paired end, and the state of every end without a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairing {
    /// The peer of each paired end; each pair is in the map in both directions.
    peers: BTreeMap<End, End>,
    /// The state of each other end; never `Paired` or `PeerHidden`.
    single: BTreeMap<End, EndState>,
}

impl Pairing {
    /// Determines the pairs of these ends anew. `ends` must contain every end that any of them names,
    /// directly or not; `links` has their present state. Returns the former pairs and the present ones, the
    /// lesser end first.
    pub(crate) fn pair_ends(&mut self, ends: &BTreeSet<End>, links: &impl LinkLookup) -> [Vec<[End; 2]>; 2] {
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
            let Some(link) = links.pair_end(end) else { continue };
            if self.peers.contains_key(&end) {
                continue;
            }
            match find_peer(end, link, links) {
                Ok(peer) if !self.peers.contains_key(&peer) => {
                    self.peers.extend([(end, peer), (peer, end)]);
                    // The peer may have been recorded as single: its own link may not say where its peer
                    // is.
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

    /// Returns the peer of an end; `None` if the end has none.
    pub(crate) fn peer(&self, end: End) -> Option<End> {
        self.peers.get(&end).copied()
    }

    /// Returns all pairs, in the order of their first ends.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = [End; 2]> {
        self.peers.iter().filter(|(end, peer)| end < peer).map(|(&end, &peer)| [end, peer])
    }

    /// Returns the pairs with a first end at or after this one, in order.
    pub(crate) fn pairs_from(&self, end: End) -> impl Iterator<Item = [End; 2]> {
        self.peers.range(end..).filter(|(end, peer)| end < peer).map(|(&end, &peer)| [end, peer])
    }

    /// Returns the paired ends in a namespace, in order.
    pub(crate) fn paired_in(&self, netns: NetnsId) -> impl Iterator<Item = End> {
        let [first, last] = [0, u32::MAX].map(|ifindex| End { netns, ifindex });
        self.peers.range(first..=last).map(|(&end, _)| end)
    }

    /// Returns every end without a pair, in order, with its state.
    pub(crate) fn single(&self) -> &BTreeMap<End, EndState> {
        &self.single
    }
}

/// The role of an end: one of the two of DESIGN chapter 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The outer end, a `device` in the metrics, as seen by the host or a bridge.
    Port,
    /// The inner end: a workload's own interface.
    Interface,
}

/// The kind of owner that a namespace has. The end in the namespace with the lesser kind is the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnerKind {
    /// The exporter's own namespace.
    Host,
    Unclaimed,
    /// A workload owns the namespace.
    Workload,
}

/// Decides the roles of a pair's two sides. `owner_kinds` are those of the two namespaces. `outer`
/// is the side with the workload that contains the other side's (a container that runs containers).
/// `switched` is true for an end that is enslaved to a bridge or Open vSwitch.
pub(crate) fn roles(
    pair: &Pair,
    owner_kinds: [OwnerKind; 2],
    outer: Option<usize>,
    switched: [bool; 2],
) -> [Role; 2] {
    use Role::{Interface, Port};
    let [a, b] = pair.sides;
    if a.end.netns == b.end.netns {
        return [Port, Port];
    }
    match owner_kinds[0].cmp(&owner_kinds[1]) {
        std::cmp::Ordering::Less => [Port, Interface],
        std::cmp::Ordering::Greater => [Interface, Port],
        std::cmp::Ordering::Equal if owner_kinds[0] != OwnerKind::Workload => [Port, Port],
        std::cmp::Ordering::Equal => match (outer, switched) {
            (Some(0), _) | (None, [true, false]) => [Port, Interface],
            (Some(_), _) | (None, [false, true]) => [Interface, Port],
            (None, _) => [Interface, Interface],
        },
    }
}

#[cfg(test)]
mod tests;
