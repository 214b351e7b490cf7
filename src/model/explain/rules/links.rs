//! Rules about a link itself: its flags, its carrier, its MTU.

use super::{found, reason};
use crate::model::explain::way::{Hop, Meeting, Way, WaySide, masters};
use crate::model::explain::{Finding, Grade};
use crate::model::link::LinkKind;

/// Finds links that are switched off: `dev_queue_xmit` and `netif_receive_skb` pass no packet by them.
pub(super) fn down(way: &Way<'_>) -> Vec<Finding> {
    let off = way.hops().filter(|hop| !hop.link.link.enabled);
    off.map(|hop| {
        let device = hop.word();
        let text = format!("{} is switched off", hop.describe());
        reason("link_down", &hop, text)
            .seen_by(&hop, &format!("ip link show dev {device}"))
            .mended_by(&hop, &format!("ip link set dev {device} up"))
    })
    .collect()
}

/// Finds links that are switched on and have no carrier, for another reason than that the other end of the
/// pair is switched off (`veth_open` in drivers/net/veth.c). A bridge has the carrier of its ports.
pub(super) fn no_carrier(way: &Way<'_>) -> Vec<Finding> {
    let hops: Vec<Hop<'_>> = way.hops().collect();
    let without = hops.iter().filter(|hop| {
        let link = &hop.link.link;
        link.enabled && !hop.link.carrier && !hop.link.loopback && link.kind != LinkKind::Bridge
    });
    let is_explained = |hop: &Hop<'_>| {
        let index = hop.link.link.iflink.filter(|_| hop.link.link.kind.is_pair_end());
        let mut others = hops.iter().filter(|other| Some(other.link.link.ifindex) == index);
        others.any(|other| !other.link.link.enabled)
    };
    without
        .filter(|hop| !is_explained(hop))
        .map(|hop| {
            let text = format!("{} has no carrier: its other end is switched off, or gone", hop.describe());
            reason("no_carrier", hop, text).seen_by(hop, &format!("ip -d link show dev {}", hop.word()))
        })
        .collect()
}

/// Finds ports of bonds that are not in use: the bond drops what comes in by them
/// (`bond_should_deliver_exact_match` in drivers/net/bonding/bond_main.c), and sends by another port. An end
/// that is a port of a bond itself has further ways.
pub(super) fn backup(way: &Way<'_>) -> Vec<Finding> {
    let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
    sides.filter_map(backup_port).collect()
}

fn backup_port(side: &WaySide<'_>) -> Option<Finding> {
    /// BOND_MODE_ACTIVEBACKUP of linux/if_bonding.h.
    const ACTIVE_BACKUP: u8 = 1;
    let port = side.port.filter(|port| port.link.bond.backup && port.link.link.enabled)?;
    if masters(side.end).any(|above| above.link.link.kind == LinkKind::Bond) {
        return None;
    }
    let bond = masters(port).next()?;
    let text = format!(
        "{} is a port of the bond {} that is not in use: the bond drops what comes in by it, and sends by another port",
        port.describe(),
        bond.name()
    );
    let finding =
        reason("bond_backup", &port, text).seen_by(&port, &format!("ip -d link show dev {}", port.word()));
    if bond.link.bond.mode != Some(ACTIVE_BACKUP) {
        return Some(finding);
    }
    let line = format!("ip link set dev {} type bond active_slave {}", bond.word(), port.word());
    Some(finding.mended_by(&bond, &line))
}

/// Finds ends that neither ask for MAC addresses nor answer (IFF_NOARP): `arp_constructor` in
/// net/ipv4/arp.c takes the end's own address for every destination.
pub(super) fn arp_is_off(way: &Way<'_>) -> Vec<Finding> {
    let ends = [Some(way.from.end), way.to.as_ref().map(|to| to.end)].into_iter().flatten();
    let off = ends.filter(|end| end.link.no_arp && end.link.link.kind == LinkKind::Veth);
    off.map(|end| {
        let device = end.word();
        let text = format!("{} neither asks for MAC addresses nor answers: ARP is off", end.describe());
        reason("arp_off", &end, text)
            .seen_by(&end, &format!("ip link show dev {device}"))
            .mended_by(&end, &format!("ip link set dev {device} arp on"))
    })
    .collect()
}

/// Finds XDP programs, which may drop any packet.
pub(super) fn xdp(way: &Way<'_>) -> Vec<Finding> {
    let with = way.hops().filter(|hop| hop.link.xdp);
    with.map(|hop| {
        let text = format!("{} drops it if its XDP program says so", hop.describe());
        found("xdp", Grade::Possibility, &hop, text)
            .seen_by(&hop, &format!("ip -d link show dev {}", hop.word()))
    })
    .collect()
}

/// Finds unequal MTUs on one segment, where no router answers that a packet is too long: the receiving side
/// of a veth and the port of a bridge drop it (`is_skb_forwardable` in net/core/dev.c).
pub(super) fn mtu(way: &Way<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let hops: Vec<Hop<'_>> = way.hops().collect();
    let segments: Vec<Vec<Hop<'_>>> = match way.meeting {
        Meeting::OneSegment | Meeting::OneNamespace => vec![hops],
        _ => {
            let sides = [Some(&way.from), way.to.as_ref()].into_iter().flatten();
            sides.map(|side| side.hops().collect()).collect()
        }
    };
    for segment in segments {
        // The MTU of a bridge is about packets of its own namespace: its ports pass frames by their own.
        let ends_here = |hop: &Hop<'_>| way.to.as_ref().is_some_and(|to| std::ptr::eq(to.end.link, hop.link));
        let mtus = segment.iter().filter(|hop| hop.link.link.kind != LinkKind::Bridge || ends_here(hop));
        let mtus: Vec<&Hop<'_>> = mtus.collect();
        let lowest = mtus.iter().map(|hop| hop.link.link.mtu).min().unwrap_or_default();
        let highest = mtus.iter().map(|hop| hop.link.link.mtu).max().unwrap_or_default();
        let Some(first) = mtus.iter().find(|hop| hop.link.link.mtu == lowest) else { continue };
        if lowest == highest {
            continue;
        }
        let higher = mtus.iter().find(|hop| hop.link.link.mtu == highest);
        let other = higher.map_or_else(String::new, |hop| hop.describe());
        let text = format!(
            "{} has an MTU of {lowest} bytes and {other} one of {highest}: longer packets than {lowest} bytes are dropped",
            first.describe()
        );
        let mut finding =
            reason("mtu_mismatch", first, text).seen_by(first, &format!("ip link show dev {}", first.word()));
        for hop in mtus.iter().filter(|hop| hop.link.link.mtu != highest) {
            finding = finding.mended_by(hop, &format!("ip link set dev {} mtu {highest}", hop.word()));
        }
        found.push(Finding { in_part: true, ..finding });
    }
    found
}
