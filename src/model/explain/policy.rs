//! Policy rules of the host that refuse packets.
//!
//! The kernel is asked for the route of a packet without a mark. It says that there is none, and not which
//! rule decides; and EINVAL, the answer of a blackhole, may be about the packet's source as well.

use super::facts::{LookupFailure, RouteQuestion};
use crate::model::subnets::is_in;
use std::net::IpAddr;

/// A policy rule (RTM_NEWRULE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// True for a rule for packets of IPv4, false for one of IPv6.
    pub is_ipv4: bool,
    /// FRA_PRIORITY: the rule with the lowest number comes first.
    pub priority: u32,
    /// FRA_SRC and its length in bits: the sources that the rule is for.
    pub source: (IpAddr, u8),
    /// FRA_DST and its length in bits: the destinations that the rule is for.
    pub destination: (IpAddr, u8),
    /// FRA_IIFNAME: the link by which packets come in, `lo` for packets of the host itself, readable; `None`
    /// for all.
    pub ingress: Option<String>,
    /// FRA_FWMARK and FRA_FWMASK: the mark of the packets; `None` for all.
    pub mark: Option<(u32, u32)>,
    /// True if the rule asks for more that is not evaluated: a protocol, a port, a user, a TOS, or that the
    /// others do not fit.
    pub further: bool,
    /// The way in which the rule refuses packets; `None` if it asks a table.
    pub refusal: Option<RuleRefusal>,
}

/// The action of a policy rule that refuses, FR_ACT_* of linux/fib_rules.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleRefusal {
    /// FR_ACT_BLACKHOLE: the kernel drops the packet and answers EINVAL to a program.
    Blackhole,
    /// FR_ACT_UNREACHABLE: the kernel answers that the network cannot be reached, ENETUNREACH.
    Unreachable,
    /// FR_ACT_PROHIBIT: the kernel answers that the packet is not permitted, EACCES.
    Prohibit,
}

impl RuleRefusal {
    /// Returns the action as `ip rule` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            RuleRefusal::Blackhole => "blackhole",
            RuleRefusal::Unreachable => "unreachable",
            RuleRefusal::Prohibit => "prohibit",
        }
    }

    /// Returns the kernel's answer (`fib4_rule_action` in net/ipv4/fib_rules.c).
    pub(super) fn failure(self) -> LookupFailure {
        match self {
            RuleRefusal::Blackhole => LookupFailure::Blackhole,
            RuleRefusal::Unreachable => LookupFailure::None,
            RuleRefusal::Prohibit => LookupFailure::Prohibited,
        }
    }
}

impl PolicyRule {
    /// Returns true if the rule is for each packet of this question with the right mark, and evaluated in
    /// whole (`fib_rule_match` in net/core/fib_rules.c). `ingress` is the name of the link by which the
    /// packet comes in.
    pub(super) fn fits(&self, packet: &RouteQuestion, ingress: Option<&str>) -> bool {
        let has = |(network, prefix): (IpAddr, u8), address: Option<IpAddr>| {
            prefix == 0 || address.is_some_and(|address| is_in(address, network, prefix))
        };
        let comes_in = ingress.unwrap_or("lo");
        !self.further
            && self.is_ipv4 == packet.destination.is_ipv4()
            && has(self.source, packet.source)
            && has(self.destination, Some(packet.destination))
            && self.ingress.as_deref().is_none_or(|wanted| wanted == comes_in)
    }

    /// Returns the mark and its mask that a packet must have; `None` if one without a mark fits.
    pub(super) fn needed_mark(&self) -> Option<(u32, u32)> {
        self.mark.filter(|(mark, mask)| mark & mask != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> PolicyRule {
        let any = ("0.0.0.0".parse().unwrap(), 0);
        PolicyRule {
            is_ipv4: true,
            priority: 100,
            source: any,
            destination: any,
            ingress: None,
            mark: None,
            further: false,
            refusal: Some(RuleRefusal::Blackhole),
        }
    }

    #[test]
    fn a_rule_fits_a_packet_that_all_of_its_selectors_fit() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let packet = RouteQuestion {
            destination: address("10.2.0.2"),
            source: Some(address("10.1.0.2")),
            ingress: Some(5),
            vrf: None,
            egress: None,
        };
        let (near, far) = ((address("10.1.0.0"), 24), (address("10.2.0.0"), 24));
        let iif = |name: &str| Some(name.to_owned());
        for (rule, wanted) in [
            (rule(), true),
            (PolicyRule { source: near, destination: far, ..rule() }, true),
            (PolicyRule { source: far, ..rule() }, false),
            (PolicyRule { destination: near, ..rule() }, false),
            (PolicyRule { ingress: iif("p1"), ..rule() }, true),
            (PolicyRule { ingress: iif("p2"), ..rule() }, false),
            (PolicyRule { ingress: iif("lo"), ..rule() }, false),
            (PolicyRule { is_ipv4: false, ..rule() }, false),
            (PolicyRule { further: true, ..rule() }, false),
        ] {
            assert_eq!(rule.fits(&packet, Some("p1")), wanted, "{rule:?}");
        }
        // A packet of the host itself comes in by lo; without a source no source fits.
        let own = RouteQuestion { source: None, ingress: None, ..packet };
        assert!(PolicyRule { ingress: iif("lo"), ..rule() }.fits(&own, None));
        assert!(!PolicyRule { source: near, ..rule() }.fits(&own, None));
    }

    #[test]
    fn a_mark_is_needed_if_its_mask_leaves_some_of_it() {
        let needed = |mark| PolicyRule { mark, ..rule() }.needed_mark();
        assert_eq!(needed(None), None);
        assert_eq!(needed(Some((7, 0xff))), Some((7, 0xff)));
        assert_eq!(needed(Some((0, 0xff))), None);
        assert_eq!(needed(Some((0x700, 0xff))), None);
    }
}
