//! Rules about one segment: the ports of a bridge, MAC addresses, ARP.

use super::{found, reason, setting};
use crate::model::explain::facts::{Carrier, Ipv4Settings, NetnsFacts, PortState};
use crate::model::explain::way::{Hop, Meeting, Way, WaySide};
use crate::model::explain::{Finding, Grade};
use crate::model::link::{LinkKind, Mac};
use crate::model::link_faults::same_mac_text;
use crate::model::subnets::is_in;
use std::net::IpAddr;

/// The ports of bridges on the way, each with its bridge.
pub(super) fn ports<'a>(way: &Way<'a>) -> Vec<(Hop<'a>, Hop<'a>)> {
    let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
    let with_bridge = sides.filter_map(|side| {
        let port = [side.port, Some(side.end)].into_iter().flatten().find(|hop| hop.link.port.is_some());
        Some((port?, side.bridge?))
    });
    with_bridge.collect()
}

/// Finds ports that STP does not let forward. A port is also disabled while its link or its bridge is down.
pub(super) fn closed_port(way: &Way<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (port, bridge) in ports(way) {
        let is_on =
            port.link.link.enabled && port.link.carrier == Carrier::Present && bridge.link.link.enabled;
        let state = port.link.port.map_or(PortState::Forwarding, |port| port.state);
        let word = match state {
            PortState::Forwarding => continue,
            PortState::Disabled => "disabled",
            PortState::Listening => "listening",
            PortState::Learning => "learning",
            PortState::Blocking => "blocking",
        };
        if !is_on {
            continue;
        }
        let (device, name) = (port.word(), bridge.word());
        let text =
            format!("the port {} of {} is {word} and forwards nothing", port.name(), bridge.describe());
        let mut finding = reason("port_not_forwarding", &port, text)
            .seen_by(&port, &format!("bridge -d link show dev {device}"));
        if bridge.link.bridge.is_some_and(|bridge| bridge.stp) {
            finding = finding.mended_by(&port, &format!("ip link set dev {name} type bridge stp_state 0"));
        }
        // STP waits twice for `forward_delay`, 15 s.
        let for_now = matches!(state, PortState::Listening | PortState::Learning);
        let finding = finding.mended_by(&port, &format!("bridge link set dev {device} state 3"));
        findings.push(Finding { for_now, ..finding });
    }
    findings
}

/// Finds two isolated ports of one bridge (`br_skb_isolated` in net/bridge/br_private.h).
pub(super) fn isolated(way: &Way<'_>) -> Vec<Finding> {
    let ports = ports(way);
    let [(one, bridge), (other, its_bridge)] = ports.as_slice() else { return Vec::new() };
    let both = [one, other].iter().all(|hop| hop.link.port.is_some_and(|port| port.isolated));
    if way.meeting != Meeting::OneSegment || !both || !bridge.is(its_bridge) {
        return Vec::new();
    }
    let text = format!(
        "the ports {} and {} of {} are both isolated: no frame passes between them",
        one.name(),
        other.name(),
        bridge.describe()
    );
    let finding = reason("port_isolated", one, text)
        .seen_by(one, &format!("bridge -d link show dev {}", one.word()))
        .mended_by(other, &format!("bridge link set dev {} isolated off", other.word()));
    vec![finding]
}

/// Returns every link on the segment of a side: the interfaces behind the ports of its bridge, and the two
/// ends of a pair.
fn neighbours_of<'a>(way: &Way<'a>, side: &WaySide<'a>) -> Vec<Hop<'a>> {
    let Some(bridge) = side.bridge else {
        return [Some(side.end), side.port].into_iter().flatten().collect();
    };
    let mut found = vec![bridge];
    for port in bridge.netns.links.ports_of(bridge.link.link.ifindex) {
        let hop = Hop { link: port, ..bridge };
        let interface = crate::model::explain::way::peer(way.facts, hop);
        found.extend(interface.map(|(netns, link)| Hop { netns, link, position: side.end.position }));
    }
    found
}

/// Finds links on the way's segments with the MAC address of an end: a bridge learns it at the port that
/// sent last.
pub(super) fn same_mac(way: &Way<'_>) -> Vec<Finding> {
    let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
    let mut findings: Vec<Finding> = Vec::new();
    for side in sides.filter(|side| side.end.link.link.kind.is_pair_end()) {
        let Some(mac) = side.end.link.link.address else { continue };
        let others = neighbours_of(way, side)
            .into_iter()
            .filter(|hop| hop.link.link.address == Some(mac) && !std::ptr::eq(hop.link, side.end.link));
        // The MAC address of a bridge is that of one of its ports.
        let Some(other) = others.into_iter().find(|hop| hop.link.link.kind != LinkKind::Bridge) else {
            continue;
        };
        if findings.iter().any(|finding| finding.text.contains(&mac.to_string())) {
            continue;
        }
        let text = same_mac_text(&side.end.describe(), &other.describe(), mac, "one segment");
        let device = other.word();
        findings.push(
            reason("duplicate_address", &side.end, text)
                .seen_by(&other, &format!("ip link show dev {device}"))
                .mended_by(&other, &format!("ip link set dev {device} address {}", another(way, mac))),
        );
    }
    findings
}

/// Returns a MAC address that no link that was read has.
fn another(way: &Way<'_>, Mac(mut bytes): Mac) -> Mac {
    let links = way.facts.namespaces.iter().flat_map(|netns| netns.links.iter());
    let used: Vec<Mac> = links.filter_map(|link| link.link.address).collect();
    bytes[0] = (bytes[0] | 2) & !1;
    for _ in 0..=u8::MAX {
        bytes[5] = bytes[5].wrapping_add(1);
        if !used.contains(&Mac(bytes)) {
            break;
        }
    }
    Mac(bytes)
}

/// Finds an address of the way that another link on the segment has too.
pub(super) fn same_address(way: &Way<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
    for side in sides {
        let Some(own) = side.address else { continue };
        let mut others = neighbours_of(way, side).into_iter().filter(|hop| {
            !std::ptr::eq(hop.link, side.end.link) && has(hop.netns, hop.link.link.ifindex, own.address)
        });
        let Some(other) = others.next() else { continue };
        let text =
            format!("{} and {} have the same address {}", side.end.describe(), other.describe(), own.address);
        let device = other.word();
        let mut finding = reason("same_address", &side.end, text)
            .seen_by(&other, &format!("ip addr show dev {device}"))
            .mended_by(&other, &format!("ip addr del {}/{} dev {device}", own.address, own.prefix));
        if let Some(free) = super::addresses::free(way, own) {
            finding = finding.mended_by(&other, &format!("ip addr add {free}/{} dev {device}", own.prefix));
        }
        // A neighbour keeps the MAC address that answered first.
        for asker in [Some(&way.from), way.to.as_ref()].into_iter().flatten() {
            if !std::ptr::eq(asker.end.link, side.end.link) {
                finding = finding.mended_by(&asker.end, &format!("ip neigh flush dev {}", asker.end.word()));
            }
        }
        findings.push(finding);
        break;
    }
    findings
}

fn has(netns: &NetnsFacts, ifindex: u32, address: IpAddr) -> bool {
    netns.addresses_of(ifindex).any(|own| own.address == address)
}

/// Finds neighbours that did not answer, and those that another MAC address has answered for.
pub(super) fn neighbours(way: &Way<'_>) -> Vec<Finding> {
    if way.meeting != Meeting::OneSegment {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (sender, receiver, to) in way.directions() {
        let Some(receiver) = receiver else { continue };
        let device = sender.end.word();
        let mut known = sender.end.netns.neighbours.iter().flatten();
        let Some(known) = known.find(|known| known.address == to && known.device == sender.end.name()) else {
            continue;
        };
        // A packet that leaves by another device asks for no address at this one.
        if sender.end.netns.route(to).is_some_and(|route| route.device != sender.end.name()) {
            continue;
        }
        let wanted = receiver.end.link.link.address;
        let finding = match known.mac {
            Some(mac) if super::macvlan::is_beside(&receiver.end, mac) => continue,
            None => {
                let text = format!("{to} did not answer the ARP requests of {}", sender.end.describe());
                found("neighbour_failed", Grade::Symptom, &sender.end, text)
            }
            Some(mac) if Some(mac) == wanted || is_shared(way, receiver, to) => continue,
            Some(mac) => {
                let wanted = wanted.map_or_else(String::new, |wanted| format!(" ({wanted})"));
                let text = format!(
                    "{} sends packets for {to} to {mac}, which is not {}{wanted}",
                    sender.end.describe(),
                    receiver.end.describe()
                );
                reason("neighbour_other", &sender.end, text)
                    .mended_by(&sender.end, &format!("ip neigh flush to {to} dev {device}"))
            }
        };
        findings.push(finding.seen_by(&sender.end, &format!("ip neigh show to {to} dev {device}")));
    }
    findings
}

/// Returns true if another link on the segment has the address: [`same_address`] finds that.
fn is_shared(way: &Way<'_>, side: &WaySide<'_>, address: IpAddr) -> bool {
    let others = neighbours_of(way, side);
    others
        .iter()
        .any(|hop| !std::ptr::eq(hop.link, side.end.link) && has(hop.netns, hop.link.link.ifindex, address))
}

/// Finds receivers that do not answer ARP requests for their address (`arp_ignore` in net/ipv4/arp.c). The
/// larger value of the device and of `all` counts.
pub(super) fn arp_ignore(way: &Way<'_>) -> Vec<Finding> {
    if way.meeting != Meeting::OneSegment {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (sender, receiver, to) in way.directions() {
        let Some(receiver) = receiver.filter(|_| to.is_ipv4()) else { continue };
        let end = &receiver.end;
        let value = end.link.ipv4.arp_ignore.max(end.netns.all.map_or(0, |all| all.arp_ignore));
        let is_on_link = has(end.netns, end.link.link.ifindex, to);
        let asks = sender.address.map(|own| own.address);
        let own = end.netns.addresses_of(end.link.link.ifindex).find(|own| own.address == to);
        let is_near = matches!((asks, own), (Some(asks), Some(own)) if is_in(asks, own.address, own.prefix));
        let refuses = match value {
            1 => !is_on_link,
            2 => !is_on_link || !is_near,
            8 => true,
            _ => false,
        };
        if !refuses {
            continue;
        }
        let text = format!("{} answers no ARP request for {to}: arp_ignore is {value}", end.describe());
        let mut finding = reason("arp_ignore", end, text)
            .seen_by(end, &format!("sysctl {}", setting(end, "arp_ignore")))
            .mended_by(end, &format!("sysctl -w {}=0", setting(end, "arp_ignore")));
        if end.netns.all.is_some_and(|all: Ipv4Settings| all.arp_ignore > 0) {
            finding = finding.mended_by(end, "sysctl -w net.ipv4.conf.all.arp_ignore=0");
        }
        findings.push(finding);
    }
    findings
}
