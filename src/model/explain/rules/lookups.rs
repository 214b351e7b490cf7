//! The host's own choice of a route: policy rules and all tables included.

use super::reason;
use crate::model::explain::Finding;
use crate::model::explain::facts::{HostRoute, LinkFacts, Lookup, LookupFailure, NetnsFacts, RouteQuestion};
use crate::model::explain::way::{Hop, Meeting, Way, WaySide};
use crate::model::link::PeerNetns;
use crate::model::text::quoted;
use std::net::IpAddr;

/// A route that the host has chosen for one direction.
struct ChosenRoute<'a> {
    host: &'a NetnsFacts,
    /// The link of the finding.
    hop: Hop<'a>,
    packet: RouteQuestion,
    lookup: &'a Lookup,
    /// The link of the host that leads to the receiver.
    egress: Option<Hop<'a>>,
}

/// Finds what the host's own choice of a route says.
pub(super) fn chosen(way: &Way<'_>) -> Vec<Finding> {
    let directions = way.directions().into_iter();
    let found = directions.filter_map(|(sender, receiver, to)| {
        let chosen = ChosenRoute::new(way, sender, receiver, to)?;
        match &chosen.lookup.answer {
            Err(failure) => Some(chosen.refused(*failure)),
            Ok(route) if way.meeting != Meeting::OneNamespace => chosen.elsewhere(*route),
            Ok(_) => None,
        }
    });
    found.collect()
}

impl<'a> ChosenRoute<'a> {
    fn new(
        way: &Way<'a>,
        sender: &WaySide<'a>,
        receiver: Option<&WaySide<'a>>,
        to: IpAddr,
    ) -> Option<ChosenRoute<'a>> {
        let routers = [Some(sender.end.netns), way.router()].into_iter().flatten();
        let host = routers.into_iter().find(|netns| netns.nsid.is_none())?;
        let packet = way.route_question(sender, receiver, to);
        let mut lookups = way.facts.lookups.iter();
        let lookup = lookups.find(|lookup| lookup.destination == to && lookup.vrf == packet.vrf)?;
        let is_across = receiver.is_some_and(|receiver| super::vrf::is_across(way, sender, receiver));
        // The route that is missing belongs to a device that is switched off.
        let is_off = receiver.is_some_and(|of| of.hops().any(|hop| !hop.link.link.enabled));
        if is_off || is_across && lookup.answer.is_err() {
            return None;
        }
        let ingress = receiver.and_then(WaySide::ingress);
        let hop = Hop { netns: host, ..ingress.unwrap_or(sender.end) };
        let egress = ingress.filter(|hop| hop.netns.nsid.is_none());
        Some(ChosenRoute { host, hop, packet, lookup, egress })
    }

    /// Returns the source that a policy rule asks for; `None` if the destination alone decides.
    fn source(&self) -> Option<IpAddr> {
        self.packet.source.filter(|_| self.lookup.by_rule)
    }

    fn refused(&self, failure: LookupFailure) -> Finding {
        let to = self.packet.destination;
        let why = match failure {
            LookupFailure::None => "has no route to",
            LookupFailure::Unreachable | LookupFailure::Blackhole | LookupFailure::Prohibited => {
                "refuses packets for"
            }
        };
        let text = match self.source() {
            Some(source) => format!("the host {why} {to} from {source}: a policy rule decides"),
            None => format!("the host {why} {to}"),
        };
        self.finding("no_route", text)
    }

    fn elsewhere(&self, route: HostRoute) -> Option<Finding> {
        let egress =
            self.egress.filter(|egress| egress.link.link.ifindex != route.ifindex && !route.local)?;
        let to = self.packet.destination;
        let other = self.host.link(route.ifindex);
        // A macvlan sends by the link that it is on.
        let is_on_egress = |link: &LinkFacts| {
            let below = (link.link.iflink, link.link.peer_netns);
            link.macvlan.is_some() && below == (Some(egress.link.link.ifindex), PeerNetns::Same)
        };
        if other.is_some_and(is_on_egress) {
            return None;
        }
        let other = other.map_or_else(String::new, |link| link.link.name.to_string());
        let by_rule = self.source().map_or_else(String::new, |source| format!(" from {source}"));
        let text =
            format!("the host sends packets for {to}{by_rule} by {other}, and not by {}", egress.name());
        Some(self.finding("other_device", text))
    }

    /// Returns a finding with its commands. Against a policy rule helps one that comes before all others, and
    /// asks the table that has the route.
    fn finding(&self, rule: &'static str, text: String) -> Finding {
        let finding = reason(rule, &self.hop, text).seen_by(&self.hop, &self.route_get());
        let to = self.packet.destination;
        let family = if to.is_ipv4() { "" } else { "-6 " };
        let Some(egress) = self.egress else { return finding };
        let line = match self.source() {
            Some(source) => format!("ip {family}rule add from {source} to {to} lookup main"),
            None => format!("ip {family}route replace {to} dev {}", egress.word()),
        };
        finding.mended_by(&self.hop, &line)
    }

    /// Returns the command that shows the host's choice.
    fn route_get(&self) -> String {
        let RouteQuestion { destination, source, ingress, vrf, .. } = self.packet;
        let name = |index: u32| self.host.link(index).map(|link| quoted(link.link.name.as_bytes()));
        let family = if destination.is_ipv4() { "" } else { "-6 " };
        let mut line = format!("ip {family}route get {destination}");
        let words = [
            source.map(|source| format!(" from {source}")),
            ingress.and_then(name).map(|name| format!(" iif {name}")),
            vrf.and_then(name).map(|name| format!(" vrf {name}")),
        ];
        line.extend(words.into_iter().flatten());
        line
    }
}
