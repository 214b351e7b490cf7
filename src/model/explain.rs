//! The explanation why two ends cannot talk: what was found, in the order of the packet's way.
//!
//! The rules are pure: [`explain`] judges facts that were read before. A rule finds a reason only where the
//! facts prove that a packet is lost. What may lose it under a condition that cannot be read is a
//! possibility, and what only shows that packets were lost is a symptom.

pub(crate) mod ends;
pub(crate) mod facts;
mod links;
pub(crate) mod policy;
pub(crate) mod rules;
mod way;

use super::problems::checked::CheckedFinding;
use super::problems::{Problem, ProblemKind, Severity};
use super::view::Stranded;
use facts::{HostFacts, RouteQuestion, Unread};
use std::net::IpAddr;
use way::{Hop, Meeting, Way};

/// The place of a link: its namespace and its ifindex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkIndex {
    /// The index of the namespace in [`HostFacts::namespaces`].
    pub netns: usize,
    pub ifindex: u32,
}

/// The question whether a packet gets from one end to another, and the answer back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExplainQuestion {
    /// The end that sends first.
    pub from: LinkIndex,
    /// The address that the end sends from; `None` for its first that fits.
    pub from_address: Option<IpAddr>,
    /// The end that answers; `None` for an address that no namespace that was read has.
    pub to: Option<LinkIndex>,
    /// The address that is sent to; `None` for the first that fits.
    pub to_address: Option<IpAddr>,
    /// The TCP port that is sent to; `None` if only the way is in question.
    pub port: Option<u16>,
}

/// The strength of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// The facts prove that packets are lost here.
    Reason,
    /// Packets were lost, and this shows it.
    Symptom,
    /// Packets are lost here under a condition that cannot be read.
    Possibility,
}

impl Grade {
    /// Returns the grade in one word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Grade::Reason => "reason",
            Grade::Symptom => "symptom",
            Grade::Possibility => "possibility",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The rule, in words joined by `_`: the identity of a finding for programs.
    pub rule: &'static str,
    pub grade: Grade,
    /// The description, in one sentence.
    pub text: String,
    /// The command that shows the same.
    pub by_hand: String,
    /// The commands that mend it, to be run in this order; empty if none is known.
    pub remedy: Vec<String>,
    /// The position on the packet's way: the index of a hop.
    hop: usize,
    /// True if small packets get through.
    in_part: bool,
    /// True if it ends by itself within a minute.
    for_now: bool,
}

impl Finding {
    /// Returns a problem of the host as a finding.
    pub(crate) fn of_problem(problem: &Problem) -> Finding {
        Finding {
            rule: problem.kind.as_str(),
            grade: match problem.severity {
                Severity::Critical | Severity::Warning => Grade::Reason,
                Severity::Notice => Grade::Possibility,
            },
            text: problem.text.clone(),
            by_hand: String::new(),
            remedy: Some(problem.remedy.clone()).filter(|remedy| !remedy.is_empty()).into_iter().collect(),
            hop: 0,
            in_part: false,
            for_now: false,
        }
    }

    /// Returns a member that is not in the namespace that it was to share as a finding.
    pub(crate) fn of_stranded(stranded: &Stranded) -> Finding {
        let (text, remedy) = stranded.parts();
        Finding {
            rule: ProblemKind::StaleMember.as_str(),
            grade: Grade::Reason,
            text,
            by_hand: String::new(),
            remedy: vec![remedy],
            hop: 0,
            in_part: false,
            for_now: false,
        }
    }

    /// Returns true for a reason or symptom that is one without a question, and that no tick of the exporter
    /// finds. An interface may be without an address by design. For `tunnel_mtu` all ports of a bridge are
    /// read, which the checks of single namespaces do not: it is no kind of a problem.
    pub(crate) fn needs_no_end(&self) -> bool {
        let is_kind = || ProblemKind::of_rule(self.rule).is_some() || self.rule == "tunnel_mtu";
        self.grade != Grade::Possibility && is_kind()
    }

    /// Returns the finding as a problem of the host; `None` if it is none, or ends by itself.
    pub(crate) fn as_checked(&self) -> Option<CheckedFinding> {
        let kind = ProblemKind::of_rule(self.rule).filter(|_| self.needs_no_end() && !self.for_now)?;
        let remedy = match self.remedy.as_slice() {
            [] if self.by_hand.is_empty() => String::new(),
            [] => format!("see: {}", self.by_hand),
            lines => lines.join("; "),
        };
        let severity = match self.grade {
            Grade::Reason if !self.in_part => Severity::Critical,
            _ => Severity::Warning,
        };
        Some(CheckedFinding { kind, severity, text: self.text.clone(), remedy })
    }
}

/// Everything that is known of the way between two ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The links that a packet passes, from the first end to the other, as far as they are known.
    pub way: Vec<String>,
    /// The address that is sent from, and the one that is sent to.
    pub addresses: Option<[IpAddr; 2]>,
    /// Reasons first, then symptoms, then possibilities; each in the order of the packet's way.
    pub findings: Vec<Finding>,
    /// The facts that can be read on most hosts, and could not be read on this one.
    pub unread: Vec<Unread>,
    /// The facts that cannot be read of another namespace, as nouns.
    pub not_checked: Vec<String>,
}

/// An explanation, and the ends that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    /// The first end; empty for the problems of the host.
    pub from: String,
    /// The other end; empty without one.
    pub to: String,
    pub explanation: Explanation,
}

impl Explanation {
    /// Returns true if there is a reason or a symptom.
    pub(crate) fn has_finding(&self) -> bool {
        self.findings.iter().any(|finding| finding.grade != Grade::Possibility)
    }
}

/// Explains what stops a packet on its way, and the answer on its way back.
pub(crate) fn explain(facts: &HostFacts, question: &ExplainQuestion) -> Explanation {
    let Some(way) = Way::new(facts, question) else {
        return Explanation { unread: facts.unread.clone(), ..Explanation::default() };
    };
    let mut findings = rules::all(&way);
    findings.sort_by_key(|finding| (finding.grade, finding.in_part, finding.hop));
    Explanation {
        way: way.hops().map(|hop| hop.describe()).collect(),
        addresses: way.addresses(),
        findings,
        unread: facts.unread.clone(),
        not_checked: way.not_checked(),
    }
}

/// Returns how unlikely a question is meant, of several that a text means; the least is meant: ends without
/// addresses of one family come last, then ends that the packet does not leave by, then those that are
/// farther from each other.
pub(crate) fn distance(facts: &HostFacts, question: &ExplainQuestion) -> (bool, bool, usize) {
    let Some(way) = Way::new(facts, question) else { return (true, true, usize::MAX) };
    let lacks_address = way.addresses().is_none_or(|[from, to]| {
        from.is_ipv4() != to.is_ipv4() || [from, to].into_iter().any(way::is_of_link)
    });
    let route = way.to_address.and_then(|to| way.from.end.netns.route(to));
    let leaves_by_other = route.is_some_and(|route| !route.refuses && route.device != way.from.end.name());
    let meeting = match way.meeting {
        Meeting::OneSegment => 0,
        Meeting::OneNamespace => 1,
        Meeting::Routed => 2,
        Meeting::Beyond => 3,
        Meeting::Unknown => 4,
    };
    (lacks_address, leaves_by_other, meeting)
}

/// Returns the packets of a question that the host chooses a route for.
pub(crate) fn route_questions(facts: &HostFacts, question: &ExplainQuestion) -> Vec<RouteQuestion> {
    let Some(way) = Way::new(facts, question) else { return Vec::new() };
    let directions = way.directions().into_iter();
    let by_host = directions.filter(|(sender, ..)| way.is_routed_by_host(sender));
    by_host.map(|(sender, receiver, to)| way.route_question(sender, receiver, to)).collect()
}

/// Returns the interface behind the port of a bridge that has no address of its own: a port sends nothing by
/// itself.
pub(crate) fn interface_behind(facts: &HostFacts, place: LinkIndex) -> Option<LinkIndex> {
    let netns = facts.namespaces.get(place.netns)?;
    let link = netns.link(place.ifindex).filter(|link| link.port.is_some())?;
    if netns.addresses_of(place.ifindex).any(|own| !way::is_of_link(own.address)) {
        return None;
    }
    let (peer, link) = way::peer(facts, Hop { netns, link, position: 0 })?;
    let netns = facts.namespaces.iter().position(|netns| std::ptr::eq(&**netns, peer))?;
    Some(LinkIndex { netns, ifindex: link.link.ifindex })
}

/// Returns true if a packet of the question may come to the host's packet filters.
pub(crate) fn is_filtered(facts: &HostFacts, question: &ExplainQuestion) -> bool {
    Way::new(facts, question).is_some_and(|way| rules::routing::filtered_at(&way).is_some())
}

/// Returns a link with its namespace: `eth0 of docker/web`.
pub(crate) fn describe(facts: &HostFacts, place: LinkIndex) -> String {
    let netns = facts.namespaces.get(place.netns);
    let hop = netns.and_then(|netns| Some(Hop { netns, link: netns.link(place.ifindex)?, position: 0 }));
    hop.map(|hop| hop.describe()).unwrap_or_default()
}

/// Returns the gateway of an end: the next hop of its default route by its own link, or else the first
/// next hop by that link. `None` if there is no such route, or the routes were not read.
pub(crate) fn gateway(facts: &HostFacts, place: LinkIndex) -> Option<IpAddr> {
    let netns = facts.namespaces.get(place.netns)?;
    let device = netns.link(place.ifindex)?.link.name.to_string();
    let routes = netns.routes.iter().flatten().filter(|route| route.device == device);
    let with_gateway = routes.filter(|route| route.gateway.is_some());
    with_gateway.min_by_key(|route| (route.prefix, route.metric))?.gateway
}

/// Returns the place that has an address: in the first namespace that has it.
pub(crate) fn place_of(facts: &HostFacts, address: IpAddr) -> Option<LinkIndex> {
    let places = facts.namespaces.iter().enumerate().flat_map(|(netns, of)| {
        let own = of.addresses.iter().filter(move |own| own.address == address);
        own.map(move |own| LinkIndex { netns, ifindex: own.ifindex })
    });
    places.into_iter().find(|place| {
        let link = facts.namespaces.get(place.netns).and_then(|of| of.link(place.ifindex));
        link.is_some_and(|link| !link.loopback)
    })
}

#[cfg(test)]
mod tests;
