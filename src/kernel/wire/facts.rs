//! The facts of a link and of a route beside those that the model always reads. Pure.

use super::{IFINFOMSG, LinkMessage, ip, nested, number, split};
use crate::model::explain::facts::{
    BridgePort, BridgeSettings, Carrier, HostRoute, Ipv4Settings, Ipv6Settings, LinkFacts, MacvlanMode,
    PortState, UntaggedVlans,
};
use crate::model::link::LinkKind;
use netlink_packet_core::NlasIterator;
use std::net::IpAddr;

pub use libc::RTM_NEWROUTE;

/// Attributes of a link message, from linux/if_link.h.
mod ifla {
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const INFO_SLAVE_KIND: u16 = 4;
    pub(super) const INFO_SLAVE_DATA: u16 = 5;
    pub(super) const AF_SPEC: u16 = 26;
    pub(super) const INET_CONF: u16 = 1;
    pub(super) const INET6_CONF: u16 = 2;
    pub(super) const PROTO_DOWN: u16 = 39;
    pub(super) const XDP: u16 = 43;
    pub(super) const XDP_ATTACHED: u16 = 2;
    pub(super) const VXLAN_LINK: u16 = 3;
    pub(super) const BR_STP_STATE: u16 = 5;
    pub(super) const BR_VLAN_FILTERING: u16 = 7;
    pub(super) const BR_NF_CALL_IPTABLES: u16 = 36;
    pub(super) const BRPORT_STATE: u16 = 1;
    pub(super) const BRPORT_LEARNING: u16 = 8;
    pub(super) const BRPORT_UNICAST_FLOOD: u16 = 9;
    pub(super) const BRPORT_ISOLATED: u16 = 33;
    pub(super) const BOND_MODE: u16 = 1;
    pub(super) const BOND_SLAVE_STATE: u16 = 1;
    pub(super) const MACVLAN_MODE: u16 = 1;
    pub(super) const BRIDGE_VLAN_INFO: u16 = 2;
}

/// IPV4_DEVCONF_* of linux/ip.h. The value of number n is the (n - 1)th of IFLA_INET_CONF.
mod ipv4 {
    pub(super) const FORWARDING: usize = 1;
    pub(super) const PROXY_ARP: usize = 3;
    pub(super) const RP_FILTER: usize = 8;
    pub(super) const ARP_FILTER: usize = 13;
    pub(super) const ARP_IGNORE: usize = 19;
    pub(super) const ACCEPT_LOCAL: usize = 23;
}

/// DEVCONF_* of linux/ipv6.h. The value of number n is the nth of IFLA_INET6_CONF.
mod ipv6 {
    pub(super) const FORWARDING: usize = 0;
    pub(super) const DISABLE_IPV6: usize = 26;
    pub(super) const FORCE_FORWARDING: usize = 57;
}

/// Attributes of a route message, from linux/rtnetlink.h.
mod rta {
    pub(super) const OIF: u16 = 4;
    pub(super) const GATEWAY: u16 = 5;
    pub(super) const VIA: u16 = 18;
}

/// Families of addresses in the width of the attributes in IFLA_AF_SPEC.
const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

/// The length in bytes of `struct rtmsg`, from linux/rtnetlink.h.
const RTMSG: usize = 12;

/// The flags of a link, in the width of `ifi_flags`.
const IFF_LOOPBACK: u32 = libc::IFF_LOOPBACK as u32;
const IFF_NOARP: u32 = libc::IFF_NOARP as u32;
const IFF_LOWER_UP: u32 = libc::IFF_LOWER_UP as u32;

/// Reads the facts of a link from the payload of RTM_NEWLINK, and IFLA_TARGET_NETNSID; `None` if it violates
/// the protocol. The peer's namespace is the nsid in the message.
pub fn link_facts(payload: &[u8]) -> Option<(LinkFacts, Option<u32>)> {
    let LinkMessage { link, target, .. } = super::link(payload)?;
    let (header, attributes) = payload.split_at_checked(IFINFOMSG)?;
    let flags: u32 = number(&header[8..12])?;
    let mut facts = LinkFacts {
        link,
        loopback: flags & IFF_LOOPBACK != 0,
        no_arp: flags & IFF_NOARP != 0,
        ..LinkFacts::default()
    };
    let mut proto_down = false;
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            ifla::PROTO_DOWN => proto_down = *value.first()? != 0,
            ifla::XDP => facts.xdp = is_set(value, ifla::XDP_ATTACHED)?.unwrap_or_default(),
            ifla::LINKINFO => {
                facts.port = bridge_port(value)?;
                facts.bond.backup = is_bond_backup(value)?;
                if let Some(data) = nested(value, ifla::INFO_DATA)? {
                    match link.kind {
                        LinkKind::Bridge => facts.bridge = Some(bridge(data)?),
                        LinkKind::Vxlan => facts.link.iflink = below_vxlan(data)?.or(link.iflink),
                        LinkKind::Bond => facts.bond.mode = first_byte(data, ifla::BOND_MODE)?,
                        _ => facts.macvlan = macvlan(value, data)?,
                    }
                }
            }
            ifla::AF_SPEC => {
                if let Some(family) = nested(value, AF_INET)? {
                    let values = nested(family, ifla::INET_CONF)?.unwrap_or_default();
                    facts.ipv4 = ipv4_settings(values)?;
                }
                if let Some(family) = nested(value, AF_INET6)? {
                    facts.ipv6 = match nested(family, ifla::INET6_CONF)? {
                        Some(values) => Some(ipv6_settings(values)?),
                        None => None,
                    };
                }
            }
            _ => {}
        }
    }
    facts.carrier = match (flags & IFF_LOWER_UP != 0, proto_down) {
        (true, _) => Carrier::Present,
        (false, true) => Carrier::ProtoDown,
        (false, false) => Carrier::Absent,
    };
    Some((facts, target))
}

/// Returns the ifindex of the link that a VXLAN is on; `Some(None)` if it is on none.
fn below_vxlan(data: &[u8]) -> Option<Option<u32>> {
    let index = nested(data, ifla::VXLAN_LINK)?.map_or(Some(0), number)?;
    Some(Some(index).filter(|index| *index != 0))
}

/// Reads IFLA_LINKINFO of a port; `Some(None)` if the link is no port of a bridge.
fn bridge_port(linkinfo: &[u8]) -> Option<Option<BridgePort>> {
    if !is_named(linkinfo, ifla::INFO_SLAVE_KIND, LinkKind::Bridge.driver())? {
        return Some(None);
    }
    let data = nested(linkinfo, ifla::INFO_SLAVE_DATA)?.unwrap_or_default();
    let state = match nested(data, ifla::BRPORT_STATE)? {
        Some(value) => port_state(*value.first()?)?,
        None => PortState::default(),
    };
    Some(Some(BridgePort {
        state,
        isolated: is_set(data, ifla::BRPORT_ISOLATED)?.unwrap_or_default(),
        learning: is_set(data, ifla::BRPORT_LEARNING)?.unwrap_or(true),
        floods: is_set(data, ifla::BRPORT_UNICAST_FLOOD)?.unwrap_or(true),
    }))
}

/// Reads IFLA_LINKINFO of a link; true for the port of a bond that is not in use.
fn is_bond_backup(linkinfo: &[u8]) -> Option<bool> {
    if !is_named(linkinfo, ifla::INFO_SLAVE_KIND, LinkKind::Bond.driver())? {
        return Some(false);
    }
    let data = nested(linkinfo, ifla::INFO_SLAVE_DATA)?.unwrap_or_default();
    Some(is_set(data, ifla::BOND_SLAVE_STATE)?.unwrap_or_default())
}

/// Reads IFLA_LINKINFO and the IFLA_INFO_DATA in it; `Some(None)` if the link is no macvlan.
fn macvlan(linkinfo: &[u8], data: &[u8]) -> Option<Option<MacvlanMode>> {
    if !is_named(linkinfo, ifla::INFO_KIND, "macvlan")? {
        return Some(None);
    }
    let Some(mode) = nested(data, ifla::MACVLAN_MODE)? else { return Some(None) };
    Some(Some(match number(mode)? {
        1 => MacvlanMode::Private,
        2 => MacvlanMode::Vepa,
        4 => MacvlanMode::Bridge,
        _ => MacvlanMode::Further,
    }))
}

/// Returns true if the attribute of this kind is the name of this driver.
fn is_named(attributes: &[u8], wanted: u16, driver: &str) -> Option<bool> {
    let name = nested(attributes, wanted)?.unwrap_or_default();
    Some(name.strip_suffix(b"\0").unwrap_or(name) == driver.as_bytes())
}

/// Returns the first byte of the attribute of this kind; `Some(None)` if there is none.
fn first_byte(attributes: &[u8], wanted: u16) -> Option<Option<u8>> {
    nested(attributes, wanted)?.map_or(Some(None), |value| Some(Some(*value.first()?)))
}

/// Reads the payload of an RTM_NEWLINK of the family AF_BRIDGE that answers a request with
/// RTEXT_FILTER_BRVLAN: the ifindex of a bridge or of a port, and its VLANs of untagged frames. `None` if it
/// violates the protocol.
pub(crate) fn vlans(payload: &[u8]) -> Option<(u32, UntaggedVlans)> {
    /// BRIDGE_VLAN_INFO_* of linux/if_bridge.h.
    const PVID: u16 = 1 << 1;
    const UNTAGGED: u16 = 1 << 2;
    let (header, attributes) = payload.split_at_checked(IFINFOMSG)?;
    let mut found = UntaggedVlans::default();
    for entry in NlasIterator::new(nested(attributes, ifla::AF_SPEC)?.unwrap_or_default()) {
        let (ifla::BRIDGE_VLAN_INFO, value) = split(entry)? else { continue };
        let (flags, vid) = value.split_at_checked(size_of::<u16>())?;
        let flags = u16::from_ne_bytes(flags.try_into().ok()?);
        let vid = u16::from_ne_bytes(vid.try_into().ok()?);
        if flags & PVID != 0 {
            found.pvid = Some(vid);
        }
        if flags & UNTAGGED != 0 {
            found.leaving.push(vid);
        }
    }
    Some((number(&header[4..8])?, found))
}

fn port_state(number: u8) -> Option<PortState> {
    Some(match number {
        0 => PortState::Disabled,
        1 => PortState::Listening,
        2 => PortState::Learning,
        3 => PortState::Forwarding,
        4 => PortState::Blocking,
        _ => return None,
    })
}

/// Reads IFLA_INFO_DATA of a bridge.
fn bridge(data: &[u8]) -> Option<BridgeSettings> {
    Some(BridgeSettings {
        vlan_filtering: is_set(data, ifla::BR_VLAN_FILTERING)?.unwrap_or_default(),
        stp: is_set(data, ifla::BR_STP_STATE)?.unwrap_or_default(),
        nf_call_iptables: is_set(data, ifla::BR_NF_CALL_IPTABLES)?.unwrap_or_default(),
    })
}

/// Returns true if the attribute of this kind, of any width, is not 0; `Some(None)` if there is none.
fn is_set(attributes: &[u8], wanted: u16) -> Option<Option<bool>> {
    let value = nested(attributes, wanted)?;
    Some(value.map(|value| value.iter().any(|byte| *byte != 0)))
}

/// Reads an array of settings. A setting that the kernel does not have is 0.
fn ipv4_settings(values: &[u8]) -> Option<Ipv4Settings> {
    let value = |number: usize| setting(values, number - 1);
    Some(Ipv4Settings {
        forwarding: value(ipv4::FORWARDING)?,
        rp_filter: value(ipv4::RP_FILTER)?,
        accept_local: value(ipv4::ACCEPT_LOCAL)?,
        arp_ignore: value(ipv4::ARP_IGNORE)?,
        arp_filter: value(ipv4::ARP_FILTER)?,
        proxy_arp: value(ipv4::PROXY_ARP)?,
    })
}

fn ipv6_settings(values: &[u8]) -> Option<Ipv6Settings> {
    Some(Ipv6Settings {
        forwarding: setting(values, ipv6::FORWARDING)?,
        disabled: setting(values, ipv6::DISABLE_IPV6)?,
        force_forwarding: setting(values, ipv6::FORCE_FORWARDING)?,
    })
}

/// Returns the value at an index, 0 behind the end; `None` if the array ends within it.
fn setting(values: &[u8], index: usize) -> Option<i32> {
    let rest = values.get(index * 4..).unwrap_or_default();
    if rest.is_empty() { Some(0) } else { Some(i32::from_ne_bytes(*rest.first_chunk()?)) }
}

/// Reads the payload of RTM_NEWROUTE that answers RTM_GETROUTE for one destination; `None` if it violates the
/// protocol or names no device.
pub fn route(payload: &[u8]) -> Option<HostRoute> {
    let (header, attributes) = payload.split_at_checked(RTMSG)?;
    let (mut ifindex, mut gateway) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            rta::OIF => ifindex = Some(number(value)?),
            rta::GATEWAY => gateway = Some(ip(value)?),
            rta::VIA => gateway = via(value)?,
            _ => {}
        }
    }
    Some(HostRoute { ifindex: ifindex?, gateway, local: header[7] == libc::RTN_LOCAL })
}

/// Reads `struct rtvia`, a next hop of another family; `Some(None)` for one that is no IP address.
fn via(value: &[u8]) -> Option<Option<IpAddr>> {
    let (_, address) = value.split_at_checked(size_of::<u16>())?;
    Some(ip(address))
}

#[cfg(test)]
mod tests;
