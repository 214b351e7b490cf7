//! Rules about a link itself: its flags, its carrier, its MTU.

use super::{found, reason};
use crate::model::explain::facts::Carrier;
use crate::model::explain::way::{Hop, Meeting, Way, WaySide, lower, masters};
use crate::model::explain::{Finding, Grade};
use crate::model::link::LinkKind;
use crate::model::link_faults::{
    LinkFault, UnequalMtus, fault, set_mtu, switch_on, unequal_mtus, unequal_text,
};

/// Finds links that are switched off.
pub(super) fn down(way: &Way<'_>) -> Vec<Finding> {
    let off = way.hops().filter(|hop| fault_of(hop) == Some(LinkFault::Off));
    off.map(|hop| {
        let device = hop.word();
        reason("link_down", &hop, LinkFault::Off.text(&hop.describe()))
            .seen_by(&hop, &format!("ip link show dev {device}"))
            .mended_by(&hop, &switch_on(&device))
    })
    .collect()
}

/// Finds links that have no carrier for another reason than the link that they have it from: the other end of
/// a pair, or the link that a macvlan is on (`netif_stacked_transfer_operstate` in net/core/dev.c).
pub(super) fn no_carrier(way: &Way<'_>) -> Vec<Finding> {
    let is_explained = |hop: &Hop<'_>| {
        let below = lower(way.facts, *hop).map(|(netns, link)| Hop { netns, link, ..*hop });
        below.and_then(|below| fault_of(&below)).is_some_and(|fault| {
            // Two ends that wait for each other explain nothing.
            fault == LinkFault::Off || !hop.link.link.kind.is_pair_end()
        })
    };
    let finding = |hop: Hop<'_>| {
        let device = hop.word();
        let fault = fault_of(&hop)?;
        let text = match fault {
            LinkFault::Off => return None,
            LinkFault::ProtoDown => fault.text(&hop.describe()),
            LinkFault::NoCarrier if is_explained(&hop) => return None,
            LinkFault::NoCarrier if hop.link.link.kind.is_pair_end() => fault.text(&hop.describe()),
            // The carrier of a link that is no end of a pair is another thing's.
            LinkFault::NoCarrier => format!("{} has no carrier", hop.describe()),
        };
        let found = reason("no_carrier", &hop, text).seen_by(&hop, &format!("ip -d link show dev {device}"));
        Some(match fault {
            LinkFault::ProtoDown => found.mended_by(&hop, &format!("ip link set dev {device} protodown off")),
            LinkFault::Off | LinkFault::NoCarrier => found,
        })
    };
    way.hops().filter_map(finding).collect()
}

/// Returns why a link passes nothing. A loopback always has its carrier.
fn fault_of(hop: &Hop<'_>) -> Option<LinkFault> {
    let link = &hop.link.link;
    fault(link.kind, link.enabled, if hop.link.loopback { Carrier::Present } else { hop.link.carrier })
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

/// Finds XDP programs, which may drop any packet. A program is attached to the driver or to the stack; the
/// command for the mode without a program changes nothing (`dev_xdp_attach` in net/core/dev.c).
pub(super) fn xdp(way: &Way<'_>) -> Vec<Finding> {
    let with = way.hops().filter(|hop| hop.link.xdp);
    with.map(|hop| {
        let device = hop.word();
        let text = format!("{} drops it if its XDP program says so", hop.describe());
        found("xdp", Grade::Possibility, &hop, text)
            .seen_by(&hop, &format!("ip -d link show dev {device}"))
            .mended_by(&hop, &format!("ip link set dev {device} xdp off"))
            .mended_by(&hop, &format!("ip link set dev {device} xdpgeneric off"))
    })
    .collect()
}

/// Finds unequal MTUs on one segment.
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
        let values: Vec<u32> = mtus.iter().map(|hop| hop.link.link.mtu).collect();
        let Some(UnequalMtus { lowest, highest }) = unequal_mtus(&values) else { continue };
        let (first, highest_mtu) = (mtus[lowest], values[highest]);
        let described = [lowest, highest].map(|at| (mtus[at].describe(), values[at]));
        let text = unequal_text(described.each_ref().map(|(name, mtu)| (name.as_str(), *mtu)));
        let mut finding =
            reason("mtu_mismatch", first, text).seen_by(first, &format!("ip link show dev {}", first.word()));
        for hop in mtus.iter().filter(|hop| hop.link.link.mtu != highest_mtu) {
            finding = finding.mended_by(hop, &set_mtu(&hop.word(), highest_mtu));
        }
        found.push(Finding { in_part: true, ..finding });
    }
    found
}
