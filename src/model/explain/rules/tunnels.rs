//! Tunnels, which need room in the packets of the links that they are on.

use super::{found, reason};
use crate::model::explain::facts::LinkFacts;
use crate::model::explain::way::{Hop, Meeting, Way, WaySide};
use crate::model::explain::{Finding, Grade};
use crate::model::link::{LinkKind, PeerNetns};
use crate::model::link_faults::{set_mtu, unequal_text};

/// The bytes of a VXLAN around a packet: Ethernet, VXLAN and UDP (`VXLAN_HEADROOM` of net/vxlan.h), and the
/// outer header of IPv4 or of IPv6.
const HEADROOM: u32 = 14 + 8 + 8;
const IPV4: u32 = 20;
const IPV6: u32 = 40;

/// Finds VXLANs on an end of which the longest packets do not fit into the segment. Whether they are lost
/// depends on the packet: one that may be fragmented is.
pub(super) fn on_segment(way: &Way<'_>) -> Vec<Finding> {
    if way.meeting != Meeting::OneSegment {
        return Vec::new();
    }
    let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
    sides.flat_map(|side| tunnels(side).filter_map(|tunnel| too_long(way, side, &tunnel))).collect()
}

/// Returns the VXLANs that are on the end of a side.
fn tunnels<'a>(side: &WaySide<'a>) -> impl Iterator<Item = Hop<'a>> + use<'a> {
    let end = side.end;
    let is_on = move |link: &&LinkFacts| {
        let below = (link.link.iflink, link.link.peer_netns);
        let is_here = below == (Some(end.link.link.ifindex), PeerNetns::Same);
        link.link.enabled && is_here
    };
    end.netns.links.vxlans().filter(is_on).map(move |link| Hop { link, ..end })
}

fn too_long(way: &Way<'_>, side: &WaySide<'_>, tunnel: &Hop<'_>) -> Option<Finding> {
    let is_ipv4 = side.address.is_none_or(|own| own.address.is_ipv4());
    let overhead = HEADROOM + if is_ipv4 { IPV4 } else { IPV6 };
    let needed = tunnel.link.link.mtu.checked_add(overhead)?;
    let narrow = |hop: &Hop<'_>| hop.link.link.kind != LinkKind::Bridge && hop.link.link.mtu < needed;
    let narrow: Vec<Hop<'_>> = way.hops().filter(narrow).collect();
    let first = narrow.iter().min_by_key(|hop| hop.link.link.mtu)?;
    let text = format!(
        "{} has an MTU of {} bytes and {} one of {}, and the tunnel adds {overhead}: longer packets than {} are fragmented, or lost if they must not be",
        tunnel.describe(),
        tunnel.link.link.mtu,
        first.describe(),
        first.link.link.mtu,
        first.link.link.mtu.saturating_sub(overhead)
    );
    let finding = found("tunnel_mtu", Grade::Possibility, first, text)
        .seen_by(tunnel, &format!("ip -d link show dev {}", tunnel.word()));
    let finding = Finding { in_part: true, ..finding };
    Some(narrow.iter().fold(finding, |finding, hop| finding.mended_by(hop, &set_mtu(&hop.word(), needed))))
}

/// Finds that a frame leaves the bridge by the one port that is no end of a pair, and that this port, of a
/// tunnel say, has a lower MTU than the end: the bridge drops longer frames (`br_dev_queue_push_xmit` in
/// net/bridge/br_forward.c) and answers none.
pub(super) fn behind_bridge(way: &Way<'_>) -> Vec<Finding> {
    let (Meeting::Beyond | Meeting::Unknown, Some(bridge)) = (way.meeting, way.from.bridge) else {
        return Vec::new();
    };
    let end = &way.from.end;
    let route = way.to_address.and_then(|to| end.netns.route(to));
    let is_near =
        route.is_some_and(|route| !route.refuses && route.gateway.is_none() && route.device == end.name());
    let ports = bridge.netns.links.ports_of(bridge.link.link.ifindex);
    let mut others = ports.filter(|link| !link.link.kind.is_pair_end());
    let (Some(other), None, true) = (others.next(), others.next(), is_near) else { return Vec::new() };
    let port = Hop { link: other, ..bridge };
    let (own, lowest) = (end.link.link.mtu, other.link.mtu);
    if bridge.link.link.kind != LinkKind::Bridge || own <= lowest {
        return Vec::new();
    }
    let text = unequal_text([(&end.describe(), own), (&port.describe(), lowest)]);
    let mut finding =
        reason("tunnel_mtu", &port, text).seen_by(&port, &format!("ip -d link show dev {}", port.word()));
    for hop in [Some(way.from.end), way.from.port].into_iter().flatten() {
        finding = finding.mended_by(&hop, &set_mtu(&hop.word(), lowest));
    }
    vec![Finding { in_part: true, ..finding }]
}
