//! The way of a packet: the links from one end to the other, and the namespaces that route it.

use super::facts::{HostFacts, IpRoute, LinkFacts, NetnsFacts, RouteQuestion};
use super::policy::PolicyRule;
use super::{ExplainQuestion, LinkIndex};
use crate::model::link::{IpAddress, LinkKind, PeerNetns};
use crate::model::subnets::is_in;
use crate::model::text::quoted;
use std::net::IpAddr;

/// The most masters above one link that are followed: a port of a bond that is a port of a bridge.
const MASTERS: usize = 4;

/// A link on the way, and its namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop<'a> {
    pub netns: &'a NetnsFacts,
    pub link: &'a LinkFacts,
    /// The position on the way.
    pub position: usize,
}

/// The way on one side: from an end to where both sides meet.
#[derive(Clone, Debug)]
pub(super) struct WaySide<'a> {
    pub end: Hop<'a>,
    /// The link that the end is a macvlan on.
    pub parent: Option<Hop<'a>>,
    /// The link at the other end of its pair.
    pub port: Option<Hop<'a>>,
    /// The bridge that the port, or else the end itself, is a port of.
    pub bridge: Option<Hop<'a>>,
    /// The links from the bridge to another one that pairs join it with and that has the addresses of the
    /// segment, that bridge last; none if the bridge itself has them.
    pub onward: Vec<Hop<'a>>,
    /// The address that this side sends from, with its prefix; `None` if no address fits.
    pub address: Option<IpAddress>,
}

/// The place where the two sides of a way meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// Both ends are in one namespace, and the packet is to leave by one and come back by the other.
    OneNamespace,
    /// Both ends are on one link: a pair, a bridge, or the host's end of a pair.
    OneSegment,
    /// A namespace routes from one segment to the other.
    Routed,
    /// The destination is no end that is known.
    Beyond,
    /// Nothing that was read joins the ends.
    Unknown,
}

/// The way of a packet and of its answer.
#[derive(Clone, Debug)]
pub(super) struct Way<'a> {
    pub facts: &'a HostFacts,
    pub from: WaySide<'a>,
    /// The other side; `None` if the destination is no end that is known.
    pub to: Option<WaySide<'a>>,
    /// The address that is sent to.
    pub to_address: Option<IpAddr>,
    pub meeting: Meeting,
    /// The namespace that the packet of the first side reaches: see [`Way::router`].
    router: Option<&'a NetnsFacts>,
    pub port: Option<u16>,
}

impl NetnsFacts {
    /// Returns the link with this ifindex.
    pub(super) fn link(&self, ifindex: u32) -> Option<&LinkFacts> {
        self.links.find(ifindex)
    }

    /// Returns the link with this name.
    pub(super) fn device(&self, name: &str) -> Option<&LinkFacts> {
        self.links.iter().find(|link| link.link.name.to_string() == name)
    }

    /// Returns the name in messages.
    pub(super) fn name(&self) -> &str {
        if self.label.is_empty() { "the host" } else { &self.label }
    }

    /// Returns the addresses of a link that packets to others are sent from.
    pub(super) fn addresses_of(&self, ifindex: u32) -> impl Iterator<Item = &IpAddress> {
        self.addresses.iter().filter(move |address| address.ifindex == ifindex)
    }

    /// Returns the route of the table `main` for a destination: the longest prefix, then the lowest metric.
    /// `None` if there is none; the caller checks that routes were read.
    pub(super) fn route(&self, destination: IpAddr) -> Option<&IpRoute> {
        let routes = self.routes.iter().flatten();
        let fitting = routes.filter(|route| is_in(destination, route.destination, route.prefix));
        fitting.min_by_key(|route| (u8::MAX - route.prefix, route.metric))
    }

    /// Returns every next hop of the route for a destination. Of a route of IPv4 with several next hops
    /// /proc/PID/net/route has the first alone; of IPv6 each has a line.
    pub(super) fn next_hops(&self, destination: IpAddr) -> impl Iterator<Item = &IpRoute> {
        let best = self.route(destination);
        let is_equal = move |route: &&IpRoute| {
            let of = |route: &IpRoute| (route.destination, route.prefix, route.metric, route.refuses);
            best.is_some_and(|best| of(best) == of(route))
        };
        self.routes.iter().flatten().filter(is_equal)
    }

    /// Returns a command line that is to run in this namespace; `None` if nothing leads into it. The line
    /// alone would run on the host.
    pub(super) fn command(&self, line: &str) -> Option<String> {
        (self.nsid.is_none() || !self.enter.is_empty()).then(|| format!("{}{line}", self.enter))
    }
}

impl<'a> Hop<'a> {
    /// Returns the link with its namespace: `eth0 of docker/web`.
    pub(super) fn describe(&self) -> String {
        let name = &self.link.link.name;
        match self.netns.label.as_str() {
            "" => format!("{name} of the host"),
            label => format!("{name} of {label}"),
        }
    }

    /// Returns the name of the link.
    pub(super) fn name(&self) -> String {
        self.link.link.name.to_string()
    }

    /// Returns the name of the link as a word for a shell.
    pub(super) fn word(&self) -> String {
        quoted(self.link.link.name.as_bytes())
    }

    /// Returns true for the same link.
    pub(super) fn is(&self, other: &Hop<'_>) -> bool {
        std::ptr::eq(self.link, other.link)
    }
}

impl<'a> WaySide<'a> {
    fn new(facts: &'a HostFacts, place: LinkIndex) -> Option<WaySide<'a>> {
        let netns: &NetnsFacts = facts.namespaces.get(place.netns)?;
        let hop = |netns, link| Hop { netns, link, position: 0 };
        let end = hop(netns, netns.link(place.ifindex)?);
        let parent = end.link.macvlan.and_then(|_| lower(facts, end)).map(|(netns, link)| hop(netns, link));
        let port = peer(facts, end).map(|(netns, link)| hop(netns, link));
        let below = if end.link.link.kind == LinkKind::Bridge { None } else { port };
        let bridge = master(end).or_else(|| below.and_then(master));
        let onward = bridge.map(|bridge| onward(facts, bridge)).unwrap_or_default();
        Some(WaySide { end, parent, port, bridge, onward, address: None })
    }

    /// Returns the VRF that the host has packets of this side in: that of the end if the end is the host's,
    /// else of the link by which they come in.
    pub(super) fn vrf(&self) -> Option<Hop<'a>> {
        let here = Some(self.end).filter(|end| end.netns.nsid.is_none());
        vrf(here.or_else(|| self.ingress())?)
    }

    /// Returns the link of the router's namespace by which packets of this side come in, and the namespace:
    /// the bridge, else the port.
    pub(super) fn ingress(&self) -> Option<Hop<'a>> {
        self.segment().or(self.port)
    }

    /// Returns the bridge that stands for the segment: the last one that pairs join with that of the port.
    pub(super) fn segment(&self) -> Option<Hop<'a>> {
        self.onward.last().copied().or(self.bridge)
    }

    /// Returns the links of this side, from the end on.
    pub(super) fn hops(&self) -> impl Iterator<Item = Hop<'a>> {
        let near = [Some(self.end), self.parent, self.port, self.bridge].into_iter().flatten();
        near.chain(self.onward.iter().copied())
    }
}

impl<'a> Way<'a> {
    pub(super) fn new(facts: &'a HostFacts, question: &ExplainQuestion) -> Option<Way<'a>> {
        let from = WaySide::new(facts, question.from)?;
        let to = question.to.and_then(|place| WaySide::new(facts, place));
        let (meeting, router) = meet(&from, to.as_ref());
        let mut way =
            Way { facts, from, to, to_address: question.to_address, meeting, router, port: question.port };
        way.choose_addresses(question);
        way.number();
        Some(way)
    }

    /// Chooses the addresses of both sides: those in question, else the first two of one family, those in
    /// one subnet first.
    fn choose_addresses(&mut self, question: &ExplainQuestion) {
        let own = usable(&self.from, question.from_address);
        let Some(to) = &mut self.to else {
            let family =
                |own: &IpAddress| question.to_address.is_none_or(|to| to.is_ipv4() == own.address.is_ipv4());
            self.from.address = own.into_iter().find(family);
            return;
        };
        let others = usable(to, question.to_address);
        let both = own.iter().flat_map(|own| others.iter().map(move |other| (*own, *other)));
        let both = both.filter(|(own, other)| own.address.is_ipv4() == other.address.is_ipv4());
        let best = both.min_by_key(|(own, other)| {
            (!is_in(other.address, own.address, own.prefix), !own.address.is_ipv4())
        });
        if let Some((own, other)) = best {
            (self.from.address, to.address) = (Some(own), Some(other));
        } else {
            (self.from.address, to.address) = (own.first().copied(), others.first().copied());
        }
        self.to_address = self.to_address.or(to.address.map(|address| address.address));
    }

    /// Numbers the hops in the order of the way.
    fn number(&mut self) {
        let mut position = 0;
        let mut next = |hop: &mut Hop<'a>| {
            hop.position = position;
            position += 1;
        };
        let from = &mut self.from;
        next(&mut from.end);
        from.parent.iter_mut().for_each(&mut next);
        from.port.iter_mut().for_each(&mut next);
        from.bridge.iter_mut().for_each(&mut next);
        from.onward.iter_mut().for_each(&mut next);
        if let Some(to) = &mut self.to {
            to.onward.iter_mut().rev().for_each(&mut next);
            to.bridge.iter_mut().for_each(&mut next);
            to.port.iter_mut().for_each(&mut next);
            to.parent.iter_mut().for_each(&mut next);
            next(&mut to.end);
        }
    }

    /// Returns the links on the way, each once.
    pub(super) fn hops(&self) -> impl Iterator<Item = Hop<'a>> {
        let mut hops: Vec<Hop<'a>> = Vec::new();
        let pass = self.meeting != Meeting::Unknown;
        let there = self.from.hops().filter(|hop| pass || hop.is(&self.from.end));
        let mut back: Vec<Hop<'a>> = self.to.iter().flat_map(WaySide::hops).collect();
        back.reverse();
        for hop in there.chain(back) {
            if !hops.iter().any(|known| known.is(&hop)) {
                hops.push(hop);
            }
        }
        // Ends of one pair are each other's port, and the way ends at the other end.
        if self.meeting == Meeting::OneSegment
            && let Some(to) = &self.to
            && let Some(at) = hops.iter().position(|hop| hop.is(&to.end))
        {
            let is_direct = self.from.port.is_some_and(|port| port.is(&to.end));
            if is_direct {
                hops.truncate(at + 1);
            }
            if to.end.link.link.kind == LinkKind::Bridge {
                hops.retain(|hop| hop.position <= self.from.segment().map_or(usize::MAX, |hop| hop.position));
            }
        }
        hops.into_iter()
    }

    /// Returns the addresses of both sides.
    pub(super) fn addresses(&self) -> Option<[IpAddr; 2]> {
        Some([self.from.address?.address, self.to_address?])
    }

    /// Returns both directions: the side that sends, the one that receives if it is known, and the address
    /// that is sent to.
    pub(super) fn directions(&self) -> Vec<(&WaySide<'a>, Option<&WaySide<'a>>, IpAddr)> {
        let there = self.to_address.map(|to| (&self.from, self.to.as_ref(), to));
        let back = self.to.as_ref().and_then(|to| Some((to, Some(&self.from), self.from.address?.address)));
        there.into_iter().chain(back).collect()
    }

    /// Returns true if the host chooses the route of a packet of this side: the host sends it, or forwards
    /// it.
    pub(super) fn is_routed_by_host(&self, sender: &WaySide<'_>) -> bool {
        let routers = [Some(sender.end.netns), self.router()].into_iter().flatten();
        routers.into_iter().any(|netns| netns.nsid.is_none())
    }

    /// Returns the packet of this side that the host chooses a route for. Of a packet in a VRF the kernel is
    /// asked for the destination alone, and so is it where the host would not forward it.
    pub(super) fn route_question(
        &self,
        sender: &WaySide<'a>,
        receiver: Option<&WaySide<'a>>,
        destination: IpAddr,
    ) -> RouteQuestion {
        let vrf = sender.vrf().map(|vrf| vrf.link.link.ifindex);
        let egress = receiver.and_then(WaySide::ingress).filter(|hop| hop.netns.nsid.is_none());
        let egress = egress.map(|hop| hop.link.link.ifindex);
        let alone = RouteQuestion { destination, source: None, ingress: None, vrf, egress };
        let source = sender.address.map(|own| own.address);
        if vrf.is_some() || source.is_none_or(|source| source.is_ipv4() != destination.is_ipv4()) {
            return alone;
        }
        if sender.end.netns.nsid.is_none() {
            return RouteQuestion { source, ..alone };
        }
        let ingress = sender.ingress().filter(|hop| hop.netns.nsid.is_none() && hop.link.link.enabled);
        let forwards = |hop: &Hop<'_>| !destination.is_ipv4() || hop.link.ipv4.forwarding != 0;
        match ingress.filter(forwards) {
            Some(hop) => RouteQuestion { source, ingress: Some(hop.link.link.ifindex), ..alone },
            None => alone,
        }
    }

    /// Returns the namespace that routes between the segments. To a destination that is no end here it does
    /// so if it has the next hop, or answers for it (`proxy_arp`): else the next hop is another machine on
    /// the segment.
    pub(super) fn router(&self) -> Option<&'a NetnsFacts> {
        let router = self.router?;
        if self.meeting != Meeting::Beyond || std::ptr::eq(router, self.from.end.netns) {
            return Some(router);
        }
        let gateway = self.from.end.netns.route(self.to_address?)?.gateway;
        let has = gateway.is_some_and(|gateway| router.addresses.iter().any(|own| own.address == gateway));
        let answers = self.from.ingress().is_some_and(|hop| hop.link.ipv4.proxy_arp != 0);
        (has || gateway.is_some() && answers).then_some(router)
    }

    /// Returns true if the host may give packets of this side another source address on the way: an engine
    /// masquerades what leaves its networks.
    pub(super) fn is_masqueraded(&self, sender: &WaySide<'_>) -> bool {
        let bridge = sender.bridge.filter(|_| self.meeting == Meeting::Routed);
        let of = |bridge: Hop<'_>| self.facts.networks.iter().any(|of| of.bridge == bridge.link.link.name);
        bridge.is_some_and(of)
    }

    /// Returns the facts of the namespaces on the way that nothing outside of them can read.
    pub(super) fn not_checked(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        let mut add = |text: String| {
            if !texts.contains(&text) {
                texts.push(text);
            }
        };
        let sides = [Some(&self.from), self.to.as_ref()].into_iter().flatten();
        for netns in sides.map(|side| side.end.netns).chain(self.router()) {
            if netns.nsid.is_none() {
                continue;
            }
            let name = netns.name();
            add(format!("net.ipv4.conf.all, policy rules and packet filters of {name}"));
            if netns.routes.is_none() {
                add(format!("routes, neighbours and counters of {name}: no process of it is known"));
            }
        }
        let asks_for_mark = |rule: &PolicyRule| rule.refusal.is_none() && rule.needed_mark().is_some();
        if self.facts.policy.iter().any(asks_for_mark) {
            add("routes of the host for packets with a mark: a policy rule asks for one".to_owned());
        }
        if self.meeting == Meeting::Unknown {
            add("how the two ends are joined: no link that was read leads from one to the other".to_owned());
        }
        if self.meeting == Meeting::Beyond {
            add("what happens beyond this host".to_owned());
        }
        texts
    }
}

/// Returns the link at the other end of a pair.
pub(super) fn peer<'a>(facts: &'a HostFacts, end: Hop<'a>) -> Option<(&'a NetnsFacts, &'a LinkFacts)> {
    if end.link.link.kind.is_pair_end() { lower(facts, end) } else { None }
}

/// Returns the link that IFLA_LINK names: the other end of a pair, or the link that a macvlan is on.
pub(super) fn lower<'a>(facts: &'a HostFacts, end: Hop<'a>) -> Option<(&'a NetnsFacts, &'a LinkFacts)> {
    let link = &end.link.link;
    let index = link.iflink?;
    let netns = match link.peer_netns {
        PeerNetns::Same => end.netns,
        PeerNetns::Host => facts.namespaces.iter().find(|netns| netns.nsid.is_none())?,
        PeerNetns::Nsid(nsid) => facts.namespaces.iter().find(|netns| netns.nsid == Some(nsid))?,
        PeerNetns::Unassigned | PeerNetns::Elsewhere => return None,
    };
    Some((netns, netns.link(index)?))
}

/// Returns the masters of a link, from the next one up.
pub(super) fn masters(hop: Hop<'_>) -> impl Iterator<Item = Hop<'_>> {
    let mut link = hop.link;
    std::iter::from_fn(move || {
        link = hop.netns.link(link.link.master?)?;
        Some(Hop { link, ..hop })
    })
    .take(MASTERS)
}

/// Returns the topmost master of a link that frames pass through. A VRF is none: it chooses the table of
/// routes.
fn master(hop: Hop<'_>) -> Option<Hop<'_>> {
    masters(hop).take_while(|master| master.link.link.kind != LinkKind::Vrf).last()
}

/// Returns the links from a bridge to the one that stands for its segment. Pairs in one namespace join
/// bridges to one segment (the firewall of Proxmox does so): the one with addresses stands for it, else the
/// one with the lowest ifindex.
fn onward<'a>(facts: &'a HostFacts, bridge: Hop<'a>) -> Vec<Hop<'a>> {
    let has_addresses =
        |bridge: &Hop<'_>| bridge.netns.addresses_of(bridge.link.link.ifindex).next().is_some();
    let mut ways: Vec<Vec<Hop<'a>>> = vec![vec![bridge]];
    let mut next = 0;
    while let Some(way) = ways.get(next).cloned() {
        next += 1;
        let Some(last) = way.last().filter(|last| !has_addresses(last)) else { break };
        for port in last.netns.links.ports_of(last.link.link.ifindex) {
            let port = Hop { link: port, ..*last };
            let other = peer(facts, port).filter(|(netns, _)| std::ptr::eq(*netns, last.netns));
            let other = other.map(|(_, link)| Hop { link, ..*last });
            let Some((other, joined)) = other.and_then(|other| Some((other, master(other)?))) else {
                continue;
            };
            let is_known = ways.iter().any(|way| way.last().is_some_and(|known| known.is(&joined)));
            if joined.link.link.kind == LinkKind::Bridge && !is_known {
                ways.push(way.iter().copied().chain([port, other, joined]).collect());
            }
        }
    }
    let index = |way: &Vec<Hop<'a>>| way.last().map(|last| (!has_addresses(last), last.link.link.ifindex));
    let best = ways.into_iter().min_by_key(index).unwrap_or_default();
    best.into_iter().skip(1).collect()
}

/// Returns the VRF of a link.
pub(super) fn vrf(hop: Hop<'_>) -> Option<Hop<'_>> {
    masters(hop).find(|master| master.link.link.kind == LinkKind::Vrf)
}

/// Returns where two sides meet, and the namespace that routes between them.
fn meet<'a>(from: &WaySide<'a>, to: Option<&WaySide<'a>>) -> (Meeting, Option<&'a NetnsFacts>) {
    let ingress = from.ingress();
    let Some(to) = to else {
        let router = ingress.map(|hop| hop.netns).or(Some(from.end.netns));
        return (Meeting::Beyond, router);
    };
    if std::ptr::eq(from.end.netns, to.end.netns) {
        return (Meeting::OneNamespace, None);
    }
    let joins = |one: Option<Hop<'a>>, other: Option<Hop<'a>>| matches!((one, other), (Some(one), Some(other)) if one.is(&other));
    let is_segment = |one: &WaySide<'a>, other: &WaySide<'a>| {
        joins(one.port, Some(other.end)) || joins(one.segment(), Some(other.end))
    };
    // Two macvlans on one link, or a macvlan and the link that it is on.
    let is_on = |one: &WaySide<'a>, other: &WaySide<'a>| joins(one.parent, Some(other.end));
    if is_on(from, to) || is_on(to, from) || joins(from.parent, to.parent) {
        return (Meeting::OneSegment, None);
    }
    if is_segment(from, to) || is_segment(to, from) || joins(from.segment(), to.segment()) {
        return (Meeting::OneSegment, None);
    }
    let egress = to.ingress();
    let routers = [ingress.map(|hop| hop.netns), egress.map(|hop| hop.netns)];
    match routers {
        // The destination is another address of the namespace that the packet reaches.
        [Some(here), _] if std::ptr::eq(here, to.end.netns) => (Meeting::Routed, None),
        [_, Some(there)] if std::ptr::eq(there, from.end.netns) => (Meeting::Routed, None),
        [Some(here), Some(there)] if std::ptr::eq(here, there) => (Meeting::Routed, Some(here)),
        _ => (Meeting::Unknown, None),
    }
}

/// Returns the addresses of an end that packets can be sent from: the one in question, else all that are not
/// of the link alone; those if there are no others.
fn usable(side: &WaySide<'_>, wanted: Option<IpAddr>) -> Vec<IpAddress> {
    let netns = side.end.netns;
    if let Some(wanted) = wanted {
        return netns.addresses.iter().filter(|own| own.address == wanted).copied().collect();
    }
    let own = || netns.addresses_of(side.end.link.link.ifindex).copied();
    let wide: Vec<IpAddress> = own().filter(|own| !is_of_link(own.address)).collect();
    if wide.is_empty() { own().collect() } else { wide }
}

/// Returns true for an address that is valid on one link alone (fe80::/10): it needs no route.
pub(super) fn is_of_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
