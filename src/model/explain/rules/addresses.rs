//! Addresses of ends: none, or none of the other's family.

use super::reason;
use crate::model::explain::Finding;
use crate::model::explain::way::{Way, WaySide};
use crate::model::link::IpAddress;
use crate::model::subnets::is_in;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Finds ends without an address, and two ends without an address of one family. An end that is switched off
/// loses its IPv6 addresses.
pub(super) fn missing(way: &Way<'_>) -> Vec<Finding> {
    let others = [way.to.as_ref(), Some(&way.from)];
    let sides = [Some(&way.from), way.to.as_ref()];
    let mut findings = Vec::new();
    for (side, other) in sides.into_iter().zip(others) {
        let Some(side) = side else { continue };
        let wanted = other.and_then(|other| other.address).or(way.to_address.map(alone));
        let family =
            |own: &&IpAddress| wanted.is_none_or(|wanted| wanted.address.is_ipv4() == own.address.is_ipv4());
        let end = &side.end;
        let index = end.link.link.ifindex;
        if side.address.is_some() && end.netns.addresses_of(index).any(|own| family(&own)) {
            continue;
        }
        // An address of another link of the namespace was asked for.
        if side.address.is_some_and(|own| own.ifindex != index)
            && wanted.is_none_or(|wanted| fits(side, wanted))
        {
            continue;
        }
        let device = end.word();
        let which =
            match wanted {
                Some(wanted) if end.netns.addresses_of(index).next().is_some() => {
                    if wanted.address.is_ipv4() { "no IPv4 address" } else { "no IPv6 address" }
                }
                _ => "no IP address",
            };
        let text = format!("{} has {which}", end.describe());
        let mut finding = reason("no_address", end, text).seen_by(end, &format!("ip addr show dev {device}"));
        let is_off = end.link.ipv6.is_some_and(|ipv6| ipv6.disabled != 0);
        if is_off && wanted.is_some_and(|wanted| wanted.address.is_ipv6()) {
            let setting = super::setting(end, "disable_ipv6").replace("ipv4", "ipv6");
            finding.text = format!("{}: disable_ipv6 is 1", finding.text);
            finding = finding
                .seen_by(end, &format!("sysctl {setting}"))
                .mended_by(end, &format!("sysctl -w {setting}=0"));
        }
        let example = other.and_then(|other| other.address).and_then(|own| Some((own, free(way, own)?)));
        if let Some((own, free)) = example {
            finding = finding.mended_by(end, &format!("ip addr add {free}/{} dev {device}", own.prefix));
        }
        findings.push(finding);
    }
    findings
}

fn fits(side: &WaySide<'_>, wanted: IpAddress) -> bool {
    side.address.is_some_and(|own| own.address.is_ipv4() == wanted.address.is_ipv4())
}

fn alone(address: IpAddr) -> IpAddress {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    IpAddress { ifindex: 0, address, prefix }
}

/// Returns an address of the same subnet that no namespace that was read has, and that no neighbour was seen
/// with; `None` if there is none near.
pub(super) fn free(way: &Way<'_>, own: IpAddress) -> Option<IpAddr> {
    let namespaces = &way.facts.namespaces;
    let used = |address: IpAddr| {
        namespaces.iter().any(|netns| {
            netns.addresses.iter().any(|known| known.address == address)
                || netns.neighbours.iter().flatten().any(|known| known.address == address)
        })
    };
    let (base, bits) = match own.address {
        IpAddr::V4(base) => (u128::from(base.to_bits()), u32::BITS),
        IpAddr::V6(base) => (base.to_bits(), u128::BITS),
    };
    // The first address of a subnet is its own, the last of IPv4 is for all.
    let host_bits = match bits.saturating_sub(u32::from(own.prefix)) {
        u128::BITS => u128::MAX,
        length => (1_u128 << length) - 1,
    };
    let last = |address: u128| address & host_bits == host_bits || address & host_bits == 0;
    let above = (1..=1024).map(|step| base.wrapping_add(step));
    let below = (1..=1024).map(|step| base.wrapping_sub(step));
    let candidates = above.chain(below).filter(|bits| !last(*bits));
    let address = |bits: u128| match own.address {
        IpAddr::V4(_) => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(_) => Some(IpAddr::from(Ipv6Addr::from_bits(bits))),
    };
    let mut candidates = candidates.filter_map(address);
    candidates.find(|address| is_in(*address, own.address, own.prefix) && !used(*address))
}
