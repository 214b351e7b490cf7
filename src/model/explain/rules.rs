//! The rules: each finds one thing that stops a packet, or may.

mod addresses;
mod links;
mod lookups;
mod macvlan;
mod one_namespace;
mod routes;
pub(super) mod routing;
mod segment;
mod sockets;
mod tunnels;
mod vlans;
mod vrf;

use super::way::{Hop, Way};
use super::{Finding, Grade};

/// Every rule. A rule leaves out what follows from something that another one finds: the port of a bridge
/// that is disabled because its link is down, a route that is missing because its device is down.
const RULES: [fn(&Way<'_>) -> Vec<Finding>; 23] = [
    links::down,
    links::no_carrier,
    links::backup,
    links::arp_is_off,
    links::xdp,
    segment::closed_port,
    segment::isolated,
    vlans::untagged,
    macvlan::apart,
    segment::same_mac,
    segment::same_address,
    segment::neighbours,
    addresses::missing,
    vrf::apart,
    routes::missing,
    lookups::chosen,
    routes::gateways,
    one_namespace::refusals,
    routing::forwarding,
    routing::reverse_path,
    routing::filters,
    sockets::listening,
    sockets::overflows,
];

/// Rules that find what stops only a part of the packets, or what an engine has decided.
const FURTHER: [fn(&Way<'_>) -> Vec<Finding>; 5] =
    [links::mtu, tunnels::on_segment, tunnels::behind_bridge, routing::networks, segment::arp_ignore];

/// The words of all rules, by which programs know a finding, and `stale_member`, which needs no way.
pub const RULE_WORDS: [&str; 35] = [
    "link_down",
    "no_carrier",
    "arp_off",
    "port_not_forwarding",
    "port_isolated",
    "port_vlan",
    "bond_backup",
    "macvlan_parent",
    "macvlan_mode",
    "vrf",
    "duplicate_address",
    "same_address",
    "neighbour_other",
    "neighbour_failed",
    "arp_ignore",
    "no_address",
    "wrong_subnet",
    "no_route",
    "no_route_back",
    "route_refuses",
    "other_device",
    "wrong_gateway",
    "accept_local",
    "rp_filter",
    "forwarding_off",
    "no_common_network",
    "internal_network",
    "stale_member",
    "not_listening",
    "listen_overflow",
    "filter_policy",
    "filter_rule",
    "xdp",
    "mtu_mismatch",
    "tunnel_mtu",
];

/// Returns everything that the rules find.
pub(super) fn all(way: &Way<'_>) -> Vec<Finding> {
    let found: Vec<Finding> = RULES.iter().chain(&FURTHER).flat_map(|rule| rule(way)).collect();
    debug_assert!(found.iter().all(|finding| RULE_WORDS.contains(&finding.rule)), "{found:?}");
    found
}

/// Returns a finding about a hop.
fn found(rule: &'static str, grade: Grade, hop: &Hop<'_>, text: String) -> Finding {
    Finding {
        rule,
        grade,
        text,
        by_hand: String::new(),
        remedy: Vec::new(),
        hop: hop.position,
        in_part: false,
        for_now: false,
    }
}

/// Returns a finding that is a reason.
fn reason(rule: &'static str, hop: &Hop<'_>, text: String) -> Finding {
    found(rule, Grade::Reason, hop, text)
}

impl Finding {
    fn seen_by(self, hop: &Hop<'_>, line: &str) -> Finding {
        Finding { by_hand: hop.netns.command(line).unwrap_or_default(), ..self }
    }

    fn mended_by(mut self, hop: &Hop<'_>, line: &str) -> Finding {
        self.remedy.extend(hop.netns.command(line));
        self
    }
}

/// Returns the name of a setting of a device as sysctl takes it: with slashes, as a device's name may have
/// dots.
fn setting(hop: &Hop<'_>, name: &str) -> String {
    let device = hop.word();
    match device.contains('.') {
        true => format!("net/ipv4/conf/{device}/{name}"),
        false => format!("net.ipv4.conf.{device}.{name}"),
    }
}
