//! The host's own choice of a route, and its policy rules.

use super::{FactsReader, unreadable_message};
use crate::kernel::links::look_failure;
use crate::kernel::socket::RawRequest;
use crate::kernel::wire;
use crate::kernel::wire::policy::{HEADER, RTM_GETRULE, RTM_NEWRULE, policy_rule};
use crate::model::explain::facts::{HostRoute, Lookup, LookupFailure, RouteQuestion};
use crate::model::explain::policy::PolicyRule;
use crate::model::host::LookFailure;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::IpAddr;

impl FactsReader {
    /// Returns the host's choice of a route for this packet (RTM_GETROUTE), which all policy rules and tables
    /// take part in. In a VRF, by its ifindex, its table comes first (RTA_OIF, `l3mdev_update_flow` in
    /// net/l3mdev/l3mdev.c).
    ///
    /// With a source the kernel also checks whether it would take the packet (`inet_rtm_getroute` in
    /// net/ipv4/route.c): EINVAL and EXDEV may then be about the source, and the destination alone counts.
    ///
    /// # Errors
    /// If the kernel's answer is neither a route nor a reason why there is none.
    pub fn lookup(&mut self, question: RouteQuestion) -> Result<Lookup, LookFailure> {
        let RouteQuestion { destination, source, vrf, egress, .. } = question;
        let whole = source.and_then(|_| self.route(question).ok());
        if let Some(Ok(route)) = whole
            && (route.local || egress.is_none_or(|egress| egress == route.ifindex))
        {
            return Ok(Lookup { destination, vrf, by_rule: false, doubtful: false, answer: Ok(route) });
        }
        let plain = self.route(RouteQuestion { source: None, ingress: None, ..question })?;
        let doubtful = whole == Some(Err(LookupFailure::Blackhole)) && plain != Err(LookupFailure::Blackhole);
        let answer = whole.filter(|answer| *answer != Err(LookupFailure::Blackhole)).unwrap_or(plain);
        Ok(Lookup { destination, vrf, by_rule: answer != plain, doubtful, answer })
    }

    fn route(&mut self, question: RouteQuestion) -> Result<Result<HostRoute, LookupFailure>, LookFailure> {
        let (family, length) = match question.destination {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        request.header.destination_prefix_length = length;
        request.attributes.push(RouteAttribute::Destination(RouteAddress::from(question.destination)));
        if let Some(source) = question.source {
            request.header.source_prefix_length = length;
            request.attributes.push(RouteAttribute::Source(RouteAddress::from(source)));
        }
        request.attributes.extend(question.ingress.map(RouteAttribute::Iif));
        request.attributes.extend(question.vrf.map(RouteAttribute::Oif));
        let request = RouteNetlinkMessage::GetRoute(request);
        let answer = self.resolver.socket.ask("RTM_GETROUTE", request, |message| {
            (message.kind == wire::facts::RTM_NEWROUTE).then(|| wire::facts::route(message.payload)).flatten()
        });
        Ok(match answer {
            Ok(route) => Ok(route),
            Err(error) => Err(match error.errno() {
                Some(Errno::ENETUNREACH) => LookupFailure::None,
                Some(Errno::EHOSTUNREACH) => LookupFailure::Unreachable,
                Some(Errno::EINVAL) => LookupFailure::Blackhole,
                Some(Errno::EACCES) => LookupFailure::Prohibited,
                _ => return Err(look_failure(error)),
            }),
        })
    }

    /// Reads the policy rules of the host for IPv4 and IPv6 in the order of the kernel (RTM_GETRULE). A
    /// kernel without policy routing has none.
    ///
    /// # Errors
    /// If the kernel refuses, or an answer cannot be read.
    pub fn policy_rules(&mut self) -> Result<Vec<PolicyRule>, LookFailure> {
        let request = RawRequest { kind: RTM_GETRULE, payload: vec![0; HEADER] };
        let mut found: Option<Vec<PolicyRule>> = None;
        let begin = |found: &mut Option<Vec<PolicyRule>>| *found = Some(Vec::new());
        let dumped =
            self.resolver.socket.dump("RTM_GETRULE", request, &mut found, begin, |found, message| {
                let rule = policy_rule(message.payload).filter(|_| message.kind == RTM_NEWRULE);
                match (rule, found.as_mut()) {
                    (Some(rule), Some(all)) => all.extend(rule),
                    _ => *found = None,
                }
            });
        match dumped {
            Ok(()) => found.ok_or_else(|| look_failure(unreadable_message("RTM_GETRULE"))),
            Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Ok(Vec::new()),
            Err(error) => Err(look_failure(error)),
        }
    }
}
