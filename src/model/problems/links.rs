//! The problems that the links of pairs show: a link that is down, unequal MTUs, an address used twice.

use super::{Found, ProblemKey, ProblemKind, Severity, Subject, port_of};
use crate::model::explain::facts::Carrier;
use crate::model::link::{Link, LinkKind, Mac, Name, NetnsId};
use crate::model::link_faults::{self, LinkFault};
use crate::model::view::{ShownPair, ShownSide};

/// A MAC address on a bridge: the bridge by its namespace and its name.
pub(crate) type SegmentAddress = (NetnsId, Name, Mac);

/// Returns the problems of a pair that its own links show.
pub(crate) fn of_pair(pair: &ShownPair) -> Vec<Found> {
    let ends = pair.sides.each_ref().map(|side| side.end);
    let found = |kind, severity, (text, remedy)| Found {
        key: ProblemKey::Pair(kind, ends),
        severity,
        subject: Subject::pair(pair),
        text,
        remedy,
    };
    let down = down(pair).map(|side| found(ProblemKind::LinkDown, Severity::Critical, down_text(pair, side)));
    let mtus =
        mtus(pair).map(|mtus| found(ProblemKind::MtuMismatch, Severity::Warning, mtu_text(pair, mtus)));
    down.into_iter().chain(mtus).collect()
}

/// Returns the side that is down and was up before: the one that is switched off, else the port.
fn down(pair: &ShownPair) -> Option<usize> {
    let port = port_of(pair);
    let link = |side: usize| pair.sides[side].link.as_ref();
    let sides = [port, 1 - port];
    // IFLA_OPERSTATE says a moment later than the carrier is there that a link is up.
    let fault = |side: usize| link(side).and_then(fault_of);
    let was_up = sides.iter().filter_map(|&side| link(side)).any(Link::was_up);
    let off = sides.into_iter().find(|&side| fault(side) == Some(LinkFault::Off));
    let down = sides.into_iter().find(|&side| fault(side).is_some())?;
    was_up.then(|| off.unwrap_or(down))
}

/// Returns why an end passes nothing. IFLA_OPERSTATE says a moment later that the carrier is there.
fn fault_of(link: &Link) -> Option<LinkFault> {
    let carrier = if link.has_carrier() { Carrier::Present } else { Carrier::Absent };
    link_faults::fault(link.kind, link.enabled, carrier)
}

/// Returns the MTUs of both ends if they differ.
fn mtus(pair: &ShownPair) -> Option<[u32; 2]> {
    let [a, b] = pair.sides.each_ref().map(|side| side.link.as_ref());
    let mtus = [a?.mtu, b?.mtu];
    link_faults::unequal_mtus(&mtus).map(|_| mtus)
}

fn down_text(pair: &ShownPair, side: usize) -> (String, String) {
    let shown = &pair.sides[side];
    let name = describe(pair, side);
    if shown.link.as_ref().and_then(fault_of) == Some(LinkFault::Off) {
        let remedy = link_faults::switch_on(&super::name(shown));
        (LinkFault::Off.text(&name), format!("{remedy}{}", place(shown)))
    } else {
        let see = format!("ip -d link show dev {}{}", super::name(shown), place(shown));
        (
            format!("{name} is down and was up before: it has no carrier"),
            format!("see what is at its other end: {see}"),
        )
    }
}

fn mtu_text(pair: &ShownPair, mtus: [u32; 2]) -> (String, String) {
    let port = port_of(pair);
    let (here, there) = (describe(pair, port), describe(pair, 1 - port));
    let lower = if mtus[0] < mtus[1] { 0 } else { 1 };
    let remedy = link_faults::set_mtu(&super::name(&pair.sides[lower]), mtus[1 - lower]);
    let text = link_faults::unequal_text([(&here, mtus[port]), (&there, mtus[1 - port])]);
    (text, format!("give both ends the same MTU: {remedy}{}", place(&pair.sides[lower])))
}

/// Returns the problem that these pairs have an interface with one address on one bridge.
pub(crate) fn of_address(address: SegmentAddress, pairs: &[&ShownPair]) -> Vec<Found> {
    let (_, bridge, mac) = address;
    let found = pairs.iter().map(|&pair| {
        let others = pairs.iter().filter(|&&other| !std::ptr::eq(other, pair));
        let others: Vec<String> = others.map(|other| describe(other, 1 - port_of(other))).collect();
        let own = describe(pair, 1 - port_of(pair));
        Found {
            key: ProblemKey::Pair(ProblemKind::DuplicateAddress, pair.sides.each_ref().map(|side| side.end)),
            severity: Severity::Critical,
            subject: Subject::pair(pair),
            text: link_faults::same_mac_text(&own, &others.join(", "), mac, &bridge.to_string()),
            remedy: "give one of them another address, or remove mac_address from its configuration"
                .to_owned(),
        }
    });
    found.collect()
}

/// Returns the address of a pair's interface on the bridge that its port is enslaved to.
pub(crate) fn segment_address(pair: &ShownPair) -> Option<SegmentAddress> {
    let port = port_of(pair);
    let bridge = pair.sides[port].bridge()?;
    let interface = pair.sides[1 - port].link.filter(|link| link.kind == LinkKind::Veth)?;
    Some((pair.sides[port].end.netns, bridge, interface.address?))
}

/// Returns an end with its workload: `eth0 of docker/web`.
fn describe(pair: &ShownPair, side: usize) -> String {
    let shown = &pair.sides[side];
    let name = match super::name(shown) {
        name if name.is_empty() => format!("ifindex {}", shown.end.ifindex),
        name => name,
    };
    match &shown.ownership {
        Some(known) => format!("{name} of {}/{}", known.owner.runtime.as_str(), known.owner.title()),
        None if shown.netns.is_empty() => name,
        None => format!("{name} in {}", shown.netns),
    }
}

/// Returns where a command is to be run, if not on the host: `, inside docker/web`.
fn place(side: &ShownSide) -> String {
    match &side.ownership {
        Some(known) => format!(", inside {}/{}", known.owner.runtime.as_str(), known.owner.title()),
        None if side.netns.is_empty() => String::new(),
        None => format!(", inside {}", side.netns),
    }
}
