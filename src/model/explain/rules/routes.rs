//! Routes of the two ends.

use super::{found, reason};
use crate::model::explain::facts::IpRoute;
use crate::model::explain::way::{Hop, Meeting, Way, WaySide, is_of_link, vrf};
use crate::model::explain::{Finding, Grade};
use crate::model::subnets::{is_in, network};
use std::net::IpAddr;

/// Finds routes that are missing, that refuse, and that lead another way than to the other end. A device
/// that is switched off takes its routes with it.
pub(super) fn missing(way: &Way<'_>) -> Vec<Finding> {
    if way.meeting == Meeting::OneNamespace || way.meeting == Meeting::Unknown {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (sender, receiver, to) in way.directions() {
        let end = &sender.end;
        if !end.link.link.enabled || end.netns.routes.is_none() || sender.address.is_none() {
            continue;
        }
        // The routes of a VRF are in a table that is not read.
        if vrf(sender.end).is_some() {
            continue;
        }
        // Both have the same address: the packet does not leave the namespace.
        if is_of_link(to) || sender.address.is_some_and(|own| own.address == to) {
            continue;
        }
        if receiver.is_some_and(|of| of.address.is_some_and(|of| of.address.is_ipv4() != to.is_ipv4())) {
            continue;
        }
        match end.netns.route(to) {
            None if end.netns.nsid.is_some() => {
                let finding = none(way, sender, receiver, to);
                let translated = receiver.is_some_and(|receiver| way.is_masqueraded(receiver));
                findings.push(match translated {
                    true => Finding {
                        grade: Grade::Possibility,
                        text: format!(
                            "{}: packets are lost unless the host translates their source",
                            finding.text
                        ),
                        ..finding
                    },
                    false => finding,
                });
            }
            None => {}
            Some(route) if route.refuses => findings.push(refused(end, route, to)),
            Some(_) => {
                let hops = end.netns.next_hops(to);
                let of_hop = |route| by_another_device(way, sender, receiver, to, route);
                let judged: Vec<Option<Finding>> = hops.map(of_hop).collect();
                // With several next hops the kernel chooses one for each flow.
                let in_part = judged.iter().any(Option::is_none);
                let first = judged.into_iter().flatten().next();
                findings.extend(first.map(|finding| Finding { in_part, ..finding }));
            }
        }
    }
    findings
}

/// Returns the finding that a namespace has no route.
fn none(way: &Way<'_>, sender: &WaySide<'_>, receiver: Option<&WaySide<'_>>, to: IpAddr) -> Finding {
    let end = &sender.end;
    let device = end.word();
    let family = if to.is_ipv4() { "" } else { "-6 " };
    let is_back = way.from.address.is_some_and(|own| own.address == to);
    let text = match (way.meeting, sender.address) {
        (Meeting::OneSegment, Some(own)) if !is_in(to, own.address, own.prefix) => format!(
            "{} has {}/{}, which {to} is not in, and no route leads to {to}",
            end.describe(),
            own.address,
            own.prefix
        ),
        _ if is_back => format!("{} has no route back to {to}", end.netns.name()),
        _ => format!("{} has no route to {to}", end.netns.name()),
    };
    let rule = match way.meeting {
        Meeting::OneSegment => "wrong_subnet",
        _ if is_back => "no_route_back",
        _ => "no_route",
    };
    let finding = reason(rule, end, text).seen_by(end, &format!("ip {family}route get {to}"));
    let line = match (way.meeting, next_hop(sender, to)) {
        (Meeting::OneSegment, _) => format!("ip {family}route add {to} dev {device}"),
        (_, Some(gateway)) => {
            let subnet = receiver.and_then(|receiver| receiver.address);
            let subnet = subnet.filter(|subnet| subnet.address == to);
            let of = subnet.map_or_else(
                || to.to_string(),
                |subnet| format!("{}/{}", network(to, subnet.prefix), subnet.prefix),
            );
            format!("ip {family}route add {of} via {gateway} dev {device}")
        }
        (_, None) => return finding,
    };
    finding.mended_by(end, &line)
}

/// Returns the router's address on the segment of a side: that of the bridge, else of the port.
fn next_hop(side: &WaySide<'_>, to: IpAddr) -> Option<IpAddr> {
    let own = side.address?;
    let router = side.ingress()?;
    let of = router.netns.addresses_of(router.link.link.ifindex);
    let mut near = of.filter(|of| of.address.is_ipv4() == to.is_ipv4());
    Some(near.find(|of| is_in(of.address, own.address, own.prefix))?.address)
}

fn refused(end: &Hop<'_>, route: &IpRoute, to: IpAddr) -> Finding {
    let family = if to.is_ipv4() { "" } else { "-6 " };
    let of = format!("{}/{}", route.destination, route.prefix);
    let text = format!(
        "{} refuses packets for {to}: its route for {of} is unreachable, prohibit or blackhole",
        end.netns.name()
    );
    reason("route_refuses", end, text)
        .seen_by(end, &format!("ip {family}route show {of}"))
        .mended_by(end, &format!("ip {family}route del {of}"))
}

/// Finds a route by another device that does not lead to the other end. One that does is a second way.
fn by_another_device(
    way: &Way<'_>,
    sender: &WaySide<'_>,
    receiver: Option<&WaySide<'_>>,
    to: IpAddr,
    route: &IpRoute,
) -> Option<Finding> {
    let end = &sender.end;
    let device = end.word();
    if route.device == end.name() {
        return gateway_on_link(way, sender, to, route);
    }
    let other = end.netns.device(&route.device)?;
    // The host reaches its containers by a bridge or a port; that is where this side ends.
    let is_own_way = sender.hops().any(|hop| std::ptr::eq(hop.link, other));
    let hop = Hop { link: other, ..*end };
    let side_of_other = crate::model::explain::way::peer(way.facts, hop);
    let leads_on = match (side_of_other, receiver) {
        _ if is_own_way => true,
        (Some((netns, link)), receiver) => {
            let meets = |of: &WaySide<'_>| {
                of.hops().any(|hop| {
                    std::ptr::eq(hop.link, link) || link.link.master == Some(hop.link.link.ifindex)
                })
            };
            let by_router =
                route.gateway.is_some_and(|gateway| netns.addresses.iter().any(|own| own.address == gateway));
            receiver.is_some_and(meets) || by_router
        }
        // A card, a tunnel: what is behind it is not known.
        (None, _) => true,
    };
    if leads_on {
        return None;
    }
    let family = if to.is_ipv4() { "" } else { "-6 " };
    let text =
        format!("{} sends packets for {to} by {}, and not by {}", end.netns.name(), route.device, end.name());
    let line = match (way.meeting, next_hop(sender, to)) {
        (Meeting::OneSegment, _) | (_, None) => format!("ip {family}route replace {to} dev {device}"),
        (_, Some(gateway)) => format!("ip {family}route replace {to} via {gateway} dev {device}"),
    };
    Some(
        reason("other_device", end, text)
            .seen_by(end, &format!("ip {family}route get {to}"))
            .mended_by(end, &line),
    )
}

/// Finds gateways by a pair that the namespace at its other end does not have (`arp_process` in
/// net/ipv4/arp.c answers for every address of the namespace, and for others with `proxy_arp`). Until an ARP
/// request was without an answer it is a possibility: a program at the pair may answer. The destination may
/// be the gateway itself.
pub(super) fn gateways(way: &Way<'_>) -> Vec<Finding> {
    if !matches!(way.meeting, Meeting::Routed | Meeting::Beyond) {
        return Vec::new();
    }
    let directions = way.directions().into_iter();
    directions.filter_map(|(sender, _, to)| gateway_of_pair(sender, to)).collect()
}

fn gateway_of_pair(sender: &WaySide<'_>, to: IpAddr) -> Option<Finding> {
    let end = &sender.end;
    let port = sender.port.filter(|port| sender.bridge.is_none() && port.link.ipv4.proxy_arp == 0)?;
    let own = |route: &&IpRoute| !route.refuses && route.device == end.name();
    let to_gateway = || end.netns.routes.iter().flatten().find(|route| route.gateway == Some(to));
    let by_gateway = end.netns.route(to).filter(|route| route.gateway.is_some());
    let route = by_gateway.or_else(to_gateway).filter(own)?;
    let gateway = route.gateway.filter(IpAddr::is_ipv4)?;
    let mut known = end.netns.neighbours.iter().flatten();
    let known = known.find(|known| known.address == gateway && known.device == end.name());
    let has_gateway = port.netns.addresses.iter().any(|of| of.address == gateway);
    let answers_for_all = port.netns.all.is_some_and(|all| all.proxy_arp != 0);
    if has_gateway || answers_for_all || known.is_some_and(|known| known.mac.is_some()) {
        return None;
    }
    let grade = if known.is_some() { Grade::Reason } else { Grade::Possibility };
    let device = end.word();
    let of = format!("{}/{}", route.destination, route.prefix);
    let text = format!(
        "{} sends packets for {of} to the gateway {gateway}, which {} does not have",
        end.describe(),
        port.netns.name()
    );
    let finding = found("wrong_gateway", grade, end, text);
    let finding = finding.seen_by(end, &format!("ip route show {of}"));
    Some(match next_hop(sender, to) {
        Some(right) => finding.mended_by(end, &format!("ip route replace {of} via {right} dev {device}")),
        None => finding,
    })
}

/// Finds a gateway for a destination on the same segment that no link there has.
fn gateway_on_link(way: &Way<'_>, sender: &WaySide<'_>, to: IpAddr, route: &IpRoute) -> Option<Finding> {
    let gateway = route.gateway?;
    let has_gateway =
        way.facts.namespaces.iter().any(|netns| netns.addresses.iter().any(|own| own.address == gateway));
    let is_seen = sender.end.netns.neighbours.iter().flatten();
    let mut is_seen = is_seen.filter(|known| known.address == gateway && known.mac.is_some());
    if way.meeting != Meeting::OneSegment || has_gateway || is_seen.next().is_some() {
        return None;
    }
    let device = sender.end.word();
    let text = format!(
        "{} sends packets for {to} to the gateway {gateway}, which no link here has, though {to} is on the same segment",
        sender.end.describe()
    );
    Some(
        reason("wrong_gateway", &sender.end, text)
            .seen_by(&sender.end, &format!("ip route get {to}"))
            .mended_by(&sender.end, &format!("ip route replace {to} dev {device}")),
    )
}
