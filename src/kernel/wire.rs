//! Conversion of rtnetlink bytes into the model's types. Pure.
//!
//! This module walks the attributes itself. The decoder of netlink-packet-route demands that a name is
//! UTF-8 and fails the whole message if it is not: any container may name its own end `v\xff\xfe`.

use super::answer::HEADER;
use crate::model::event::Event;
use crate::model::link::{Counters, DescribedLink, Errors, IpAddress, Link, LinkKind, Mac, Name, PeerNetns};
use crate::model::queues::{QueueCounters, QueueReading};
use crate::model::text::Readable;
use netlink_packet_core::{DecodeError, NLA_HEADER_SIZE, NetlinkBuffer, NlaBuffer, NlasIterator};
use std::net::IpAddr;

pub(crate) mod facts;
pub(crate) mod filter;
pub(crate) mod policy;

pub(crate) use libc::{RTM_DELLINK, RTM_DELNSID, RTM_DELQDISC};
pub use libc::{RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNSID, RTM_NEWQDISC};

/// The message type of a link's counters, from linux/rtnetlink.h: libc defines it for glibc alone.
pub const RTM_NEWSTATS: u16 = 92;

/// Attributes of a link message, from linux/if_link.h.
mod ifla {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const IFNAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const LINK: u16 = 5;
    pub(super) const QDISC: u16 = 6;
    pub(super) const MASTER: u16 = 10;
    pub(super) const OPERSTATE: u16 = 16;
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const IFALIAS: u16 = 20;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const NETKIT_PAIRING: u16 = 10;
    pub(super) const STATS64: u16 = 23;
    pub(super) const CARRIER_CHANGES: u16 = 35;
    pub(super) const LINK_NETNSID: u16 = 37;
    pub(super) const NEW_NETNSID: u16 = 45;
    pub(super) const TARGET_NETNSID: u16 = 46;
    pub(super) const PROP_LIST: u16 = 52;
    pub(super) const ALT_IFNAME: u16 = 53;
    pub(super) const STATS_LINK_64: u16 = 1;
}

/// Attributes of an address message, from linux/if_addr.h.
mod ifa {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const LOCAL: u16 = 2;
    pub(super) const TARGET_NETNSID: u16 = 10;
}

/// Attributes of a message about a queue discipline, from linux/rtnetlink.h and linux/gen_stats.h.
mod tca {
    pub(super) const KIND: u16 = 1;
    pub(super) const STATS2: u16 = 7;
    pub(super) const STATS_QUEUE: u16 = 3;
}

/// AF_UNSPEC in the width of its field in `struct ifinfomsg`.
const AF_UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// NETNSA_NSID, from linux/net_namespace.h.
const NETNSA_NSID: u16 = 1;

/// The value of IFLA_NETKIT_PAIRING for a device without a peer, from linux/if_link.h.
const NETKIT_DEVICE_SINGLE: u32 = 1;

/// IFF_UP in the width of `ifi_flags`.
const IFF_UP: u32 = libc::IFF_UP as u32;

/// IF_OPER_UP in the width of IFLA_OPERSTATE.
const IF_OPER_UP: u8 = libc::IF_OPER_UP as u8;

/// Lengths in bytes of `struct ifinfomsg`, `struct ifaddrmsg`, `struct if_stats_msg` and `struct rtgenmsg`,
/// the last one padded.
const IFINFOMSG: usize = size_of::<libc::ifinfomsg>();
const IFADDRMSG: usize = size_of::<libc::ifaddrmsg>();
const IF_STATS_MSG: usize = 12;
const RTGENMSG: usize = 4;

/// The length in bytes of `struct tcmsg`, from linux/rtnetlink.h.
const TCMSG: usize = 20;

/// The value of `tcm_parent` for the root of a link's queue disciplines, from linux/pkt_sched.h. The queues
/// of received packets (ingress, clsact) have another.
pub(super) const TC_H_ROOT: u32 = u32::MAX;

/// A link message and the namespace that it is about.
#[derive(Debug, PartialEq)]
pub struct LinkMessage {
    /// The link. Its peer's namespace is the nsid in the message.
    pub link: Link,
    /// Error counters, from IFLA_STATS64.
    pub errors: Errors,
    /// IFLA_TARGET_NETNSID; absent for the socket's own namespace.
    pub target: Option<u32>,
    /// True for a message about the link itself (AF_UNSPEC). A bridge sends such messages about its ports
    /// (AF_BRIDGE); a bridge's RTM_DELLINK means that the link has left the bridge.
    pub about_link: bool,
    /// True for a link that has moved to another namespace (IFLA_NEW_NETNSID).
    pub moved: bool,
}

/// Reads the payload of RTM_NEWLINK; `None` if it violates the protocol.
pub fn link(payload: &[u8]) -> Option<LinkMessage> {
    let (header, attributes) = payload.split_at_checked(IFINFOMSG)?;
    let flags: u32 = number(&header[8..12])?;
    let enabled = flags & IFF_UP != 0;
    let mut link = Link { ifindex: number(&header[4..8])?, enabled, ..Link::default() };
    let (mut target, mut moved, mut errors) = (None, false, Errors::default());
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            ifla::IFNAME => link.name = Name::from_bytes(value)?,
            ifla::ADDRESS => link.address = Mac::from_bytes(value),
            ifla::MTU => link.mtu = number(value)?,
            ifla::QDISC => link.qdisc = Name::from_bytes(value).unwrap_or_default(),
            ifla::LINK => link.iflink = Some(number(value)?).filter(|&index| index != 0),
            ifla::MASTER => link.master = Some(number(value)?).filter(|&index| index != 0),
            ifla::OPERSTATE => link.up = *value.first()? == IF_OPER_UP,
            ifla::LINKINFO => link.kind = driver(value)?,
            ifla::STATS64 => {
                link.counters = counters(value)?;
                errors = self::errors(value)?;
            }
            ifla::CARRIER_CHANGES => link.carrier_changes = number(value)?,
            ifla::LINK_NETNSID => {
                link.peer_netns =
                    u32::try_from(signed(value)?).map_or(PeerNetns::Unassigned, PeerNetns::Nsid);
            }
            ifla::TARGET_NETNSID => target = u32::try_from(signed(value)?).ok(),
            ifla::NEW_NETNSID => moved = true,
            _ => {}
        }
    }
    let about_link = header[0] == AF_UNSPEC;
    (link.ifindex != 0 && !link.name.as_bytes().is_empty()).then_some(LinkMessage {
        link,
        errors,
        target,
        about_link,
        moved,
    })
}

/// Reads all names of a link and its driver from the payload of RTM_NEWLINK, and IFLA_TARGET_NETNSID; `None`
/// if it violates the protocol.
pub(crate) fn described(payload: &[u8]) -> Option<(DescribedLink, Option<u32>)> {
    let (header, attributes) = payload.split_at_checked(IFINFOMSG)?;
    let kind = u16::from_ne_bytes(header[2..4].try_into().ok()?);
    let ifindex = number(&header[4..8])?;
    let mut link =
        DescribedLink { ifindex, loopback: kind == libc::ARPHRD_LOOPBACK, ..DescribedLink::default() };
    let mut target = None;
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            ifla::IFNAME => link.name = Name::from_bytes(value)?,
            ifla::ADDRESS => link.address = Mac::from_bytes(value),
            ifla::LINK => link.iflink = Some(number(value)?).filter(|&index| index != 0),
            ifla::IFALIAS => link.alias = text(value),
            ifla::LINKINFO => {
                link.driver = text(info_kind(value)?.unwrap_or_default());
                link.single = is_single(value)?;
            }
            ifla::TARGET_NETNSID => target = u32::try_from(signed(value)?).ok(),
            ifla::PROP_LIST => {
                for property in NlasIterator::new(value) {
                    let (kind, value) = split(property)?;
                    link.alternatives.extend(Some(text(value)).filter(|_| kind == ifla::ALT_IFNAME));
                }
            }
            _ => {}
        }
    }
    Some((link, target))
}

/// Replaces the host's own nsid as the peer's namespace by [`PeerNetns::Host`].
pub(crate) fn name_the_host(link: &mut Link, own: u32) {
    if link.peer_netns == PeerNetns::Nsid(own) {
        link.peer_netns = PeerNetns::Host;
    }
}

/// Reads the namespace that an event comes from out of a control message of this level and type. Returns
/// `None` for the host, and for any other control message.
pub fn source(level: i32, kind: i32, data: &[u8]) -> Option<u32> {
    let ours = level == libc::SOL_NETLINK && kind == libc::NETLINK_LISTEN_ALL_NSID;
    let id = data.first_chunk().filter(|_| ours)?;
    u32::try_from(i32::from_ne_bytes(*id)).ok()
}

/// Returns true for the notification that the socket with this netlink port has read a queue discipline.
pub(crate) fn is_reading_by(datagram: &[u8], port: u32) -> bool {
    NetlinkBuffer::new_checked(datagram)
        .is_ok_and(|message| message.message_type() == RTM_NEWQDISC && message.port_number() == port)
}

/// Reads the messages of one datagram of events, each by `event`. An unreadable message is [`Event::Bad`]
/// and is skipped by the length in its header.
pub fn datagram(mut rest: &[u8], source: Option<u32>, own: Option<u32>, events: &mut Vec<Event>) {
    while !rest.is_empty() {
        let Ok(message) = NetlinkBuffer::new_checked(rest) else {
            return events.push(Event::Bad);
        };
        let whole = message.length() as usize;
        match event(message.message_type(), message.payload(), source, own) {
            Some(Some(event)) => events.push(event),
            Some(None) => {}
            None => events.push(Event::Bad),
        }
        rest = rest.get(whole.next_multiple_of(4).max(HEADER)..).unwrap_or_default();
    }
}

/// Reads an event from the namespace `source` (`None` for the host). `own` is the host's nsid for itself.
/// Returns `Some(None)` for an event that reports nothing that the model knows, and `None` if the message
/// violates the protocol.
pub(crate) fn event(
    kind: u16,
    payload: &[u8],
    source: Option<u32>,
    own: Option<u32>,
) -> Option<Option<Event>> {
    Some(match kind {
        RTM_NEWLINK | RTM_DELLINK => {
            let LinkMessage { mut link, about_link, moved, .. } = self::link(payload)?;
            match (source, link.peer_netns) {
                (None, _) => own.into_iter().for_each(|own| name_the_host(&mut link, own)),
                // This nsid is valid only in the namespace `source`.
                (Some(_), PeerNetns::Nsid(_)) => link.peer_netns = PeerNetns::Elsewhere,
                _ => {}
            }
            match kind {
                _ if !about_link => None,
                RTM_NEWLINK => Some(Event::Link { source, link }),
                _ => Some(Event::Unlink { source, link, moved }),
            }
        }
        RTM_NEWQDISC | RTM_DELQDISC if source.is_none() => self::qdisc(payload)?
            .map(|read| (read.ifindex, Some(read.kind).filter(|_| kind == RTM_NEWQDISC)))
            .map(|(ifindex, kind)| Event::Qdisc { ifindex, kind }),
        RTM_NEWNSID if source.is_none() => nsid(payload)?.map(Event::NewNsid),
        RTM_DELNSID if source.is_none() => nsid(payload)?.map(Event::DeletedNsid),
        _ => None,
    })
}

/// An address message and the namespace that it is about.
#[derive(Debug, PartialEq)]
pub struct AddressMessage {
    /// The address and the interface that has it.
    pub address: IpAddress,
    /// IFA_TARGET_NETNSID; absent for the socket's own namespace.
    pub target: Option<u32>,
}

/// Reads the payload of RTM_NEWADDR; `None` if it violates the protocol or has another family than IP.
pub fn address(payload: &[u8]) -> Option<AddressMessage> {
    let (header, attributes) = payload.split_at_checked(IFADDRMSG)?;
    let (mut local, mut address, mut target) = (None, None, None);
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            // On a point-to-point link IFA_ADDRESS is the address of the other side.
            ifa::LOCAL => local = Some(ip(value)?),
            ifa::ADDRESS => address = Some(ip(value)?),
            ifa::TARGET_NETNSID => target = u32::try_from(signed(value)?).ok(),
            _ => {}
        }
    }
    let address =
        IpAddress { ifindex: number(&header[4..8])?, address: local.or(address)?, prefix: header[1] };
    Some(AddressMessage { address, target })
}

/// Reads the payload of RTM_NEWSTATS: ifindex and IFLA_STATS_LINK_64.
pub fn stats(payload: &[u8]) -> Option<(u32, Counters)> {
    let (header, attributes) = payload.split_at_checked(IF_STATS_MSG)?;
    let ifindex = number(&header[4..8])?;
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        if kind == ifla::STATS_LINK_64 {
            return Some((ifindex, counters(value)?));
        }
    }
    None
}

/// Reads the payload of RTM_NEWQDISC or RTM_DELQDISC: `Some(None)` if the message is about another queue
/// discipline than the root of a link, `None` if it violates the protocol. Numbers that are missing are 0.
pub fn qdisc(payload: &[u8]) -> Option<Option<QueueReading>> {
    let (header, attributes) = payload.split_at_checked(TCMSG)?;
    let (ifindex, parent) = (number(&header[4..8])?, number(&header[12..16])?);
    if parent != TC_H_ROOT {
        return Some(None);
    }
    let (mut kind, mut counters) = (None, QueueCounters::default());
    for attribute in NlasIterator::new(attributes) {
        let (attribute, value) = split(attribute)?;
        match attribute {
            tca::KIND => kind = Some(Name::from_bytes(value)?),
            tca::STATS2 => {
                if let Some(queue) = nested(value, tca::STATS_QUEUE)? {
                    counters = queue_counters(queue)?;
                }
            }
            _ => {}
        }
    }
    let kind = kind.filter(|kind| ifindex != 0 && !kind.as_bytes().is_empty())?;
    Some(Some(QueueReading { ifindex, kind, counters }))
}

/// Reads `struct gnet_stats_queue`, which may grow.
fn queue_counters(value: &[u8]) -> Option<QueueCounters> {
    let field = |index: usize| number(value.get(index * 4..)?.get(..4)?);
    Some(QueueCounters {
        backlog_packets: field(0)?,
        backlog_bytes: field(1)?,
        drops: field(2)?,
        overlimits: field(4)?,
    })
}

/// Reads the payload of RTM_NEWNSID: the nsid, or `Some(None)` for a namespace that has none.
pub fn nsid(payload: &[u8]) -> Option<Option<u32>> {
    let (_, attributes) = payload.split_at_checked(RTGENMSG)?;
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        if kind == NETNSA_NSID {
            return Some(u32::try_from(signed(value)?).ok());
        }
    }
    None
}

fn driver(linkinfo: &[u8]) -> Option<LinkKind> {
    Some(match LinkKind::of_driver(info_kind(linkinfo)?.unwrap_or_default()) {
        LinkKind::Netkit if is_single(linkinfo)? => LinkKind::Other,
        kind => kind,
    })
}

/// Reads IFLA_INFO_KIND without its NUL; `Some(None)` if it is missing.
fn info_kind(linkinfo: &[u8]) -> Option<Option<&[u8]>> {
    let kind = nested(linkinfo, ifla::INFO_KIND)?;
    Some(kind.map(|value| value.strip_suffix(b"\0").unwrap_or(value)))
}

/// Returns true for a netkit that was made without a peer (Linux 7.0 and newer).
fn is_single(linkinfo: &[u8]) -> Option<bool> {
    if info_kind(linkinfo)? != Some(LinkKind::Netkit.driver().as_bytes()) {
        return Some(false);
    }
    let Some(data) = nested(linkinfo, ifla::INFO_DATA)? else { return Some(false) };
    let Some(pairing) = nested(data, ifla::NETKIT_PAIRING)? else { return Some(false) };
    Some(number(pairing)? == NETKIT_DEVICE_SINGLE)
}

/// Returns the value of the first attribute of this kind; `Some(None)` if there is none.
fn nested(attributes: &[u8], wanted: u16) -> Option<Option<&[u8]>> {
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        if kind == wanted {
            return Some(Some(value));
        }
    }
    Some(None)
}

/// Reads a text that ends with a NUL, readable.
fn text(value: &[u8]) -> String {
    Readable(value.split(|&byte| byte == 0).next().unwrap_or_default()).to_string()
}

/// Reads `struct rtnl_link_stats64`, which has grown over the years (184, 192, 200 bytes) and may grow
/// again.
fn counters(value: &[u8]) -> Option<Counters> {
    let field = |index| stats_field(value, index);
    Some(Counters {
        receive_packets: field(0)?,
        transmit_packets: field(1)?,
        receive_bytes: field(2)?,
        transmit_bytes: field(3)?,
        receive_dropped: field(6)?,
        transmit_dropped: field(7)?,
    })
}

fn errors(value: &[u8]) -> Option<Errors> {
    Some(Errors { receive: stats_field(value, 4)?, transmit: stats_field(value, 5)? })
}

fn stats_field(value: &[u8], index: usize) -> Option<u64> {
    let bytes = value.get(index * 8..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}

/// Splits an attribute into its kind, without flags, and its value.
fn split(attribute: Result<NlaBuffer<&[u8]>, DecodeError>) -> Option<(u16, &[u8])> {
    let attribute = attribute.ok()?;
    let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
    Some((kind, attribute.into_inner().get(NLA_HEADER_SIZE..length)?))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    v4().or_else(|| Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn signed(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests;
