//! The policy rules of a namespace. Pure.

use super::{ip, number, split};
use crate::model::explain::policy::{PolicyRule, RuleRefusal};
use crate::model::text::Readable;
use netlink_packet_core::NlasIterator;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use libc::{RTM_GETRULE, RTM_NEWRULE};

/// The length in bytes of `struct fib_rule_hdr`, from linux/fib_rules.h.
pub(crate) const HEADER: usize = 12;

/// FIB_RULE_INVERT of linux/fib_rules.h: the rule is for the packets that its selectors do not fit.
const INVERT: u32 = 2;

/// Attributes of linux/fib_rules.h.
mod fra {
    pub(super) const DST: u16 = 1;
    pub(super) const SRC: u16 = 2;
    pub(super) const IIFNAME: u16 = 3;
    pub(super) const PRIORITY: u16 = 6;
    pub(super) const FWMARK: u16 = 10;
    pub(super) const TUN_ID: u16 = 12;
    pub(super) const FWMASK: u16 = 16;
    pub(super) const OIFNAME: u16 = 17;
    pub(super) const L3MDEV: u16 = 19;
    pub(super) const UID_RANGE: u16 = 20;
    pub(super) const IP_PROTO: u16 = 22;
    pub(super) const DPORT_RANGE: u16 = 24;
}

/// Reads the payload of RTM_NEWRULE; `Some(None)` for a rule of another family than IPv4 and IPv6, `None` if
/// it violates the protocol.
pub(crate) fn policy_rule(payload: &[u8]) -> Option<Option<PolicyRule>> {
    let (header, attributes) = payload.split_at_checked(HEADER)?;
    let &[family, to, from, tos, _, _, _, action, ..] = header else { return None };
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        _ => return Some(None),
    };
    let mut rule = PolicyRule {
        is_ipv4: any.is_ipv4(),
        priority: 0,
        source: (any, from),
        destination: (any, to),
        ingress: None,
        mark: None,
        // A TOS, and FIB_RULE_INVERT.
        further: tos != 0 || number(&header[8..12])? & INVERT != 0,
        refusal: refusal(action),
    };
    let (mut mark, mut mask) = (0, None);
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            fra::DST => rule.destination.0 = ip(value)?,
            fra::SRC => rule.source.0 = ip(value)?,
            fra::IIFNAME => {
                let name = value.strip_suffix(b"\0").unwrap_or(value);
                rule.ingress = Some(Readable(name).to_string());
            }
            fra::PRIORITY => rule.priority = number(value)?,
            fra::FWMARK => mark = number(value)?,
            fra::FWMASK => mask = Some(number(value)?),
            fra::OIFNAME | fra::TUN_ID => rule.further = true,
            fra::L3MDEV => rule.further |= value.first() != Some(&0),
            fra::UID_RANGE | fra::IP_PROTO..=fra::DPORT_RANGE => rule.further = true,
            _ => {}
        }
    }
    rule.mark = mask.map(|mask| (mark, mask)).filter(|(_, mask)| *mask != 0);
    Some(Some(rule))
}

/// Returns how a rule with this action refuses (FR_ACT_* of linux/fib_rules.h); `None` if it asks a table or
/// goes on to another rule.
fn refusal(action: u8) -> Option<RuleRefusal> {
    match action {
        6 => Some(RuleRefusal::Blackhole),
        7 => Some(RuleRefusal::Unreachable),
        8 => Some(RuleRefusal::Prohibit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::wire::tests::attribute;
    use proptest::prelude::*;

    fn message(header: [u8; 8], flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        [header.as_slice(), &flags.to_ne_bytes(), &attributes.concat()].concat()
    }

    #[test]
    fn a_rule_is_read_with_its_selectors_and_its_action() {
        // As `ip rule add from 10.1.0.0/24 to 10.2.0.2 iif p1 fwmark 7/0xff blackhole`.
        let attributes = [
            attribute(6, &100u32.to_ne_bytes()),
            attribute(2, &[10, 1, 0, 0]),
            attribute(1, &[10, 2, 0, 2]),
            attribute(3, b"p1\0"),
            attribute(10, &7u32.to_ne_bytes()),
            attribute(16, &0xffu32.to_ne_bytes()),
        ];
        let bytes = message([2, 32, 24, 0, 0, 0, 0, 6], 0, &attributes);
        let wanted = PolicyRule {
            is_ipv4: true,
            priority: 100,
            source: ("10.1.0.0".parse().unwrap(), 24),
            destination: ("10.2.0.2".parse().unwrap(), 32),
            ingress: Some("p1".to_owned()),
            mark: Some((7, 0xff)),
            further: false,
            refusal: Some(RuleRefusal::Blackhole),
        };
        assert_eq!(policy_rule(&bytes), Some(Some(wanted)));
    }

    #[test]
    fn what_a_rule_asks_for_besides_is_marked_as_further() {
        let further = |flags, header: [u8; 8], attributes: &[Vec<u8>]| {
            policy_rule(&message(header, flags, attributes)).unwrap().unwrap().further
        };
        let table = [10, 0, 0, 0, 254, 0, 0, 1];
        assert!(!further(0, table, &[attribute(16, &[0; 4]), attribute(19, &[0])]));
        assert!(further(2, table, &[]));
        assert!(further(0, [10, 0, 0, 4, 254, 0, 0, 1], &[]));
        for kind in [12, 17, 20, 22, 23, 24] {
            assert!(further(0, table, &[attribute(kind, &[0; 8])]), "{kind}");
        }
        assert!(further(0, table, &[attribute(19, &[1])]));
        // Rules of multicast routing have a family of their own.
        assert_eq!(policy_rule(&message([128, 0, 0, 0, 253, 0, 0, 1], 0, &[])), Some(None));
        assert_eq!(policy_rule(&[2; 11]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            policy_rule(&bytes);
        }
    }
}
