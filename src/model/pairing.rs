//! Links -> pairs and roles: who is joined to whom, and which side of it is the port.

use super::link::{End, Kind, Link, NetnsId, PeerNetns};
use std::collections::{BTreeMap, HashMap, HashSet};

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

/// All pairs, and every veth end that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairing {
    /// In the order of their first ends.
    pub pairs: Vec<Pair>,
    /// In order, with the reason; never `Paired` or `PeerHidden`.
    pub single: Vec<(Side, EndState)>,
}

/// Joins the veth ends of all namespaces: linear in the number of links.
pub(crate) fn pair(namespaces: &Namespaces) -> Pairing {
    let netns_of: HashMap<u32, NetnsId> =
        namespaces.keys().filter_map(|&netns| Some((netns.nsid()?, netns))).collect();
    let ends: BTreeMap<End, &Link> = namespaces.iter().flat_map(veths).collect();
    let mut pairing = Pairing { pairs: Vec::with_capacity(ends.len().div_ceil(2)), single: Vec::new() };
    let mut paired = HashSet::with_capacity(ends.len());
    for (&end, &link) in &ends {
        if paired.contains(&end) {
            continue;
        }
        let side = Side { end, link: Some(*link) };
        match find_peer(end, link, namespaces, &netns_of, &ends) {
            Ok(peer) => {
                paired.extend([end, peer.end]);
                let mut sides = [side, peer];
                sides.sort_by_key(|side| side.end);
                pairing.pairs.push(Pair { sides });
            }
            Err(why) => pairing.single.push((side, why)),
        }
    }
    // An end that cannot say where its peer is may have been found by that.
    pairing.single.retain(|(side, _)| !paired.contains(&side.end));
    pairing.pairs.sort_by_key(|pair| pair.sides[0].end);
    pairing
}

fn veths<'a>((&netns, inside): (&NetnsId, &'a Inside)) -> Vec<(End, &'a Link)> {
    let Inside::Seen(links) = inside else { return Vec::new() };
    let veths = links.values().filter(|link| link.kind == Kind::Veth);
    veths.map(|link| (End { netns, ifindex: link.ifindex }, &**link)).collect()
}

fn find_peer(
    end: End,
    link: &Link,
    namespaces: &Namespaces,
    netns_of: &HashMap<u32, NetnsId>,
    ends: &BTreeMap<End, &Link>,
) -> Result<Side, EndState> {
    let ifindex = link.iflink.ok_or(EndState::Unlinked)?;
    let netns = match link.peer_netns {
        PeerNetns::Same => end.netns,
        PeerNetns::Host => NetnsId::Host,
        PeerNetns::Nsid(nsid) => *netns_of.get(&nsid).ok_or(EndState::PeerMissing)?,
        PeerNetns::Unassigned | PeerNetns::Elsewhere => return Err(EndState::PeerNetnsUnknown),
    };
    let peer = End { netns, ifindex };
    if peer == end {
        return Err(EndState::Unlinked);
    }
    if namespaces.get(&netns) == Some(&Inside::Denied) {
        return Ok(Side { end: peer, link: None });
    }
    let other = *ends.get(&peer).ok_or(EndState::PeerMissing)?;
    // Of two ends that are made the first is announced before it has a peer, and not again until it is
    // taken up.
    let not_yet = other.iflink.is_none();
    let names_us = other.iflink == Some(end.ifindex)
        && match other.peer_netns {
            PeerNetns::Same => netns == end.netns,
            PeerNetns::Host => end.netns == NetnsId::Host,
            PeerNetns::Nsid(nsid) => netns_of.get(&nsid) == Some(&end.netns),
            PeerNetns::Unassigned => false,
            PeerNetns::Elsewhere => netns != end.netns,
        };
    if names_us || not_yet { Ok(Side { end: peer, link: Some(*other) }) } else { Err(EndState::Contradicted) }
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
