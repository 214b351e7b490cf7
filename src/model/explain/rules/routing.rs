//! Rules about a namespace that routes between two segments, and about the sources that an end accepts.

use super::{found, reason, setting};
use crate::model::explain::facts::{EngineNetwork, FilterPlace, NetnsFacts};
use crate::model::explain::way::{Hop, Meeting, Way, WaySide, vrf};
use crate::model::explain::{Finding, Grade};
use crate::model::text::quoted;
use crate::model::workload::Runtime;
use std::net::IpAddr;

/// Finds a router that does not forward: `ip_route_input_slow` in net/ipv4/route.c asks the device by which
/// the packet came in.
pub(super) fn forwarding(way: &Way<'_>) -> Vec<Finding> {
    let Some(router) = way.router() else { return Vec::new() };
    if way.meeting == Meeting::Beyond && is_for_router(way) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (sender, _, to) in way.directions() {
        let Some(ingress) = sender.ingress().filter(|hop| std::ptr::eq(hop.netns, router)) else { continue };
        if to.is_ipv6() {
            let known = findings.iter().any(|finding| finding.rule == "forwarding_off");
            findings.extend(ipv6_forwarding(router, &ingress).filter(|_| !known));
            continue;
        }
        let setting = setting(&ingress, "forwarding");
        let is_on = ingress.link.ipv4.forwarding != 0;
        let none = router.stack.is_some_and(|stack| !stack.forwards_ipv4);
        if is_on || none && findings.iter().any(|finding| finding.rule == "forwarding_off") {
            continue;
        }
        let (text, see) = if none {
            (format!("{} forwards no packets", router.name()), "net.ipv4.ip_forward".to_owned())
        } else {
            let text = format!("{} forwards no packets that come in by {}", router.name(), ingress.name());
            (text, setting)
        };
        let finding = reason("forwarding_off", &ingress, text)
            .seen_by(&ingress, &format!("sysctl {see}"))
            .mended_by(&ingress, &format!("sysctl -w {see}=1"));
        findings.push(finding);
    }
    findings
}

/// Finds a router that does not forward IPv6: the value of `all` counts, and that of the device does not
/// (`ip6_forward` in net/ipv6/ip6_output.c). Of another namespace the value of `all` is not known.
fn ipv6_forwarding(router: &NetnsFacts, ingress: &Hop<'_>) -> Option<Finding> {
    const ALL: &str = "net.ipv6.conf.all.forwarding";
    let of_device = ingress.link.ipv6.filter(|of_device| of_device.force_forwarding == 0)?;
    let (grade, text) = match router.forwards_ipv6 {
        Some(true) => return None,
        Some(false) => (Grade::Reason, format!("{} forwards no packets of IPv6", router.name())),
        None if of_device.forwarding != 0 => return None,
        None => {
            let text = format!("{} forwards no packets of IPv6 unless {ALL} is 1", router.name());
            (Grade::Possibility, text)
        }
    };
    let finding = found("forwarding_off", grade, ingress, text);
    Some(finding.seen_by(ingress, &format!("sysctl {ALL}")).mended_by(ingress, &format!("sysctl -w {ALL}=1")))
}

/// Returns true if the destination is an address of the namespace that the packet reaches.
fn is_for_router(way: &Way<'_>) -> bool {
    let has =
        |to: IpAddr| way.router().is_some_and(|router| router.addresses.iter().any(|own| own.address == to));
    way.to_address.is_none_or(has)
}

/// Finds receivers with an rp_filter that drops a packet, as the way back to its source is another device
/// (`__fib_validate_source` in net/ipv4/fib_frontend.c).
pub(super) fn reverse_path(way: &Way<'_>) -> Vec<Finding> {
    if !matches!(way.meeting, Meeting::OneSegment | Meeting::Routed) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (sender, receiver, _) in way.directions() {
        let (Some(from), Some(receiver)) = (sender.address, receiver) else { continue };
        let translated = way.is_masqueraded(sender);
        let routers = [way.router().and_then(|_| sender.ingress()), Some(receiver.end)].into_iter().flatten();
        for hop in routers {
            let is_behind = translated && std::ptr::eq(hop.netns, receiver.end.netns);
            findings.extend(refuses_source(&hop, from.address).filter(|_| !is_behind));
        }
    }
    findings
}

fn refuses_source(hop: &Hop<'_>, from: IpAddr) -> Option<Finding> {
    // The routes of a VRF are in a table that is not read.
    if !from.is_ipv4() || !hop.link.link.enabled || vrf(*hop).is_some() {
        return None;
    }
    let back = hop.netns.route(from).filter(|route| !route.refuses)?;
    if back.device == hop.name() {
        return None;
    }
    let value = hop.link.ipv4.rp_filter.max(hop.netns.all.map_or(0, |all| all.rp_filter));
    let dropped = hop.netns.stack.map_or(0, |stack| stack.reverse_path_drops);
    let see = format!("sysctl net.ipv4.conf.all.rp_filter {}", setting(hop, "rp_filter"));
    let (grade, condition) = match (value, hop.netns.all) {
        (1, _) => (Grade::Reason, "rp_filter is strict"),
        (0, None) if dropped > 0 => (Grade::Possibility, "net.ipv4.conf.all.rp_filter may be strict"),
        _ => return None,
    };
    let text = format!(
        "{} drops what comes from {from}: {condition}, and the way back to {from} is {} ({dropped} packets were dropped so far)",
        hop.describe(),
        back.device
    );
    let finding = found("rp_filter", grade, hop, text);
    Some(finding.seen_by(hop, &see).mended_by(hop, &format!("sysctl -w {}=2", setting(hop, "rp_filter"))))
}

/// Returns the link of the host where a packet comes to the filters at the hook `forward`: it is routed
/// there, or passes between ports of a bridge that hands it to them.
pub(in crate::model::explain) fn filtered_at<'a>(way: &Way<'a>) -> Option<Hop<'a>> {
    let at = match way.meeting {
        Meeting::Routed if way.router().is_some() => way.from.ingress(),
        Meeting::Beyond if way.router().is_some() && !is_for_router(way) => way.from.ingress(),
        Meeting::OneSegment => {
            way.from.bridge.filter(|_| way.to.as_ref().is_some_and(|to| to.bridge.is_some()))
        }
        _ => None,
    };
    at.filter(|hop| hop.netns.nsid.is_none())
}

/// Finds packet filters of the host on the way: rules are not evaluated, so each is a possibility. A chain
/// without a rule that drops by policy (`nft_do_chain` in net/netfilter/nf_tables_core.c) is a reason.
pub(super) fn filters(way: &Way<'_>) -> Vec<Finding> {
    let (Some(filter), Some(hop)) = (&way.facts.filter, filtered_at(way)) else { return Vec::new() };
    let calls = hop.link.bridge.is_some_and(|bridge| bridge.nf_call_iptables);
    if way.meeting == Meeting::OneSegment && !filter.bridge_nf_call_iptables && !calls {
        return Vec::new();
    }
    let counted = |place: &FilterPlace| match place.packets {
        Some(packets) => format!(" ({packets} packets so far)"),
        None => String::new(),
    };
    let policies = filter.forward_drops.iter().map(|place| {
        if let Some(finding) = drops_all(way, &hop, place) {
            return finding;
        }
        let text = format!("the chain {} drops it unless a rule accepts it{}", place.chain, counted(place));
        found("filter_policy", Grade::Possibility, &hop, text).seen_by(&hop, &listing(place))
    });
    let rules = filter.drop_rules.iter().map(|place| {
        let verb = if place.rejects { "rejects" } else { "drops" };
        let text = format!("a rule in the chain {} {verb} it if it fits{}", place.chain, counted(place));
        found("filter_rule", Grade::Possibility, &hop, text).seen_by(&hop, &listing(place))
    });
    policies.chain(rules).collect()
}

/// Returns the command that lists a chain.
fn listing(place: &FilterPlace) -> String {
    match place.chain.split(' ').collect::<Vec<_>>().as_slice() {
        ["ip", "filter", chain] => format!("iptables -nvL {}", quoted(chain.as_bytes())),
        ["ip6", "filter", chain] => format!("ip6tables -nvL {}", quoted(chain.as_bytes())),
        _ => "nft list ruleset".to_owned(),
    }
}

/// Returns the finding that a chain without a rule drops every packet of the way's family.
fn drops_all(way: &Way<'_>, hop: &Hop<'_>, place: &FilterPlace) -> Option<Finding> {
    let [from, to] = way.addresses()?;
    let mut words = place.chain.split(' ');
    let (family, table, chain) = (words.next()?, words.next()?, words.next()?);
    let fits = match family {
        "ip" => to.is_ipv4(),
        "ip6" => to.is_ipv6(),
        _ => true,
    };
    if !fits || !place.drops_all {
        return None;
    }
    let text =
        format!("the chain {} drops every packet: its policy is drop, and it has no rule", place.chain);
    let finding = reason("filter_policy", hop, text).seen_by(hop, &listing(place));
    let (program, word) = if to.is_ipv4() { ("iptables", "ip") } else { ("ip6tables", "ip6") };
    Some([[from, to], [to, from]].into_iter().fold(finding, |finding, [from, to]| {
        let line = match (family, table, chain) {
            ("ip" | "ip6", "filter", "FORWARD") => {
                format!("{program} -A FORWARD -s {from} -d {to} -j ACCEPT")
            }
            _ => {
                format!("nft add rule {family} {table} {chain} {word} saddr {from} {word} daddr {to} accept")
            }
        };
        finding.mended_by(hop, &line)
    }))
}

/// Finds networks that an engine keeps apart: internal ones, and with Docker any two. Docker does so by its
/// rules in the host's packet filter: without them it is a possibility.
pub(super) fn networks(way: &Way<'_>) -> Vec<Finding> {
    let network = |side: &WaySide<'_>| -> Option<&EngineNetwork> {
        let bridge = side.bridge?.link.link.name;
        way.facts.networks.iter().find(|network| network.bridge == bridge)
    };
    let Some(one) = network(&way.from) else { return Vec::new() };
    let rules = way.facts.filter.iter().flat_map(|filter| &filter.drop_rules);
    let has_rules = rules.into_iter().any(|place| place.chain.contains("DOCKER"));
    let grade = match one.runtime == Runtime::Docker && has_rules {
        true => Grade::Reason,
        false => Grade::Possibility,
    };
    let title = |network: &EngineNetwork| format!("{}/{}", network.runtime.as_str(), network.name);
    let engine = one.runtime.as_str();
    let (text, by_hand, remedy) = match (way.meeting, way.to.as_ref()) {
        (Meeting::Routed, Some(to)) => {
            let Some(other) = network(to).filter(|other| other.bridge != one.bridge) else {
                return Vec::new();
            };
            let are_dockers = one.runtime == Runtime::Docker && other.runtime == Runtime::Docker;
            if !are_dockers && !one.internal && !other.internal {
                return Vec::new();
            }
            let (from, to) = (way.from.end.netns.name(), to.end.netns.name());
            let name = quoted(from.rsplit('/').next().unwrap_or_default().as_bytes());
            (
                format!(
                    "{from} and {to} have no network in common: {} and {} are kept apart",
                    title(one),
                    title(other)
                ),
                format!("{engine} inspect -f '{{{{json .NetworkSettings.Networks}}}}' {name}"),
                vec![format!("{engine} network connect {} {name}", quoted(other.name.as_bytes()))],
            )
        }
        (Meeting::Beyond, _) if one.internal && !is_for_router(way) => (
            format!("{} is internal: nothing leaves it", title(one)),
            format!("{engine} network inspect {}", quoted(one.name.as_bytes())),
            Vec::new(),
        ),
        _ => return Vec::new(),
    };
    let rule = if remedy.is_empty() { "internal_network" } else { "no_common_network" };
    vec![Finding { by_hand, remedy, ..found(rule, grade, &way.from.end, text) }]
}
