//! The host's own choice of a route: policy rules and all tables included.

use super::{found, reason};
use crate::model::explain::facts::{HostRoute, LinkFacts, Lookup, LookupFailure, NetnsFacts, RouteQuestion};
use crate::model::explain::policy::{PolicyRule, RuleRefusal};
use crate::model::explain::way::{Hop, Meeting, Way, WaySide};
use crate::model::explain::{Finding, Grade};
use crate::model::link::PeerNetns;
use crate::model::text::quoted;
use std::net::IpAddr;

/// A route that the host has chosen for one direction.
struct ChosenRoute<'a> {
    host: &'a NetnsFacts,
    policy: &'a [PolicyRule],
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
    let found = directions.flat_map(|(sender, receiver, to)| {
        let Some(chosen) = ChosenRoute::new(way, sender, receiver, to) else { return Vec::new() };
        let by_mark = chosen.refused_by_mark();
        let found = match (&chosen.lookup.answer, chosen.refusing_rule()) {
            (_, Some((rule, refusal))) => Some(chosen.refused_by(rule, refusal)),
            (Err(failure), None) => Some(chosen.refused(*failure)),
            (Ok(route), None) if way.meeting != Meeting::OneNamespace => chosen.elsewhere(*route),
            (Ok(_), None) => None,
        };
        found.into_iter().chain(by_mark).collect()
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
        Some(ChosenRoute { host, policy: &way.facts.policy, hop, packet, lookup, egress })
    }

    /// Returns the source that a policy rule asks for; `None` if the destination alone decides.
    fn source(&self) -> Option<IpAddr> {
        self.packet.source.filter(|_| self.lookup.by_rule)
    }

    /// Returns the policy rules that refuse and that fit the packet, which may need a mark.
    fn refusing_rules(&self) -> impl Iterator<Item = (&'a PolicyRule, RuleRefusal)> {
        let ingress = self.packet.ingress.and_then(|index| self.host.link(index));
        let ingress = ingress.map(|link| link.link.name.to_string());
        let fits = move |rule: &&PolicyRule| rule.fits(&self.packet, ingress.as_deref());
        let refusing = self.policy.iter().filter(fits);
        refusing.filter_map(|rule| Some((rule, rule.refusal?)))
    }

    /// Returns the policy rule that the kernel's answer is from.
    fn refusing_rule(&self) -> Option<(&'a PolicyRule, RuleRefusal)> {
        let is_answer = |refusal: RuleRefusal| match self.lookup.answer {
            Err(failure) => failure == refusal.failure(),
            Ok(_) => self.lookup.doubtful && refusal == RuleRefusal::Blackhole,
        };
        let mut rules = self.refusing_rules();
        rules.find(|(rule, refusal)| rule.needed_mark().is_none() && is_answer(*refusal))
    }

    /// Returns the finding that a policy rule refuses the packet. One that comes before it asks the table
    /// that has the route.
    fn refused_by(&self, rule: &PolicyRule, refusal: RuleRefusal) -> Finding {
        let PolicyRule { priority, .. } = rule;
        let text =
            format!("the host refuses {}: its policy rule {priority} is {}", self.packets(), refusal.word());
        self.of_rule(rule, reason("no_route", &self.hop, text))
    }

    /// Returns the possibility that a policy rule refuses packets with a mark, which a packet filter or a
    /// program gives them.
    fn refused_by_mark(&self) -> Option<Finding> {
        let mut rules = self.refusing_rules();
        let (rule, refusal, (mark, mask)) =
            rules.find_map(|(rule, refusal)| Some((rule, refusal, rule.needed_mark()?)))?;
        let text = format!(
            "the host refuses {} if they have the mark {mark:#x}/{mask:#x}: its policy rule {} is {}",
            self.packets(),
            rule.priority,
            refusal.word()
        );
        Some(self.of_rule(rule, found("no_route", Grade::Possibility, &self.hop, text)))
    }

    /// Returns the packets in question: `packets for 10.2.0.2 from 10.1.0.2`.
    fn packets(&self) -> String {
        let from = self.packet.source.map_or_else(String::new, |source| format!(" from {source}"));
        format!("packets for {}{from}", self.packet.destination)
    }

    /// Adds to a finding about a policy rule its commands.
    fn of_rule(&self, rule: &PolicyRule, finding: Finding) -> Finding {
        let family = if rule.is_ipv4 { "" } else { "-6 " };
        let from = self.packet.source.map_or_else(String::new, |source| format!(" from {source}"));
        let mark = rule
            .needed_mark()
            .map_or_else(String::new, |(mark, mask)| format!(" fwmark {mark:#x}/{mask:#x}"));
        let line = format!("ip {family}rule add{from} to {}{mark} lookup main", self.packet.destination);
        finding.seen_by(&self.hop, &format!("ip {family}rule show")).mended_by(&self.hop, &line)
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
