//! Network interfaces as the kernel describes them: identity, namespace and counters.

use super::text::Readable;
use std::fmt;
use std::net::IpAddr;

/// A network namespace, numbered as in the exporter's own namespace.
///
/// The kernel reuses an nsid as soon as its namespace is gone, so the id consists of the nsid and a
/// generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetnsId {
    /// The exporter's own network namespace.
    Host,
    /// Another namespace, by the id that the host's namespace has assigned.
    Other {
        /// The id, as RTM_GETNSID returns it.
        nsid: u32,
        /// The number of earlier namespaces that had this nsid.
        generation: u32,
    },
}

impl NetnsId {
    /// Returns the nsid; `None` for the host.
    pub fn nsid(self) -> Option<u32> {
        match self {
            NetnsId::Host => None,
            NetnsId::Other { nsid, .. } => Some(nsid),
        }
    }
}

/// One side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// The namespace that the interface is in now.
    pub netns: NetnsId,
    /// The ifindex of the interface, unique only within that namespace.
    pub ifindex: u32,
}

/// An interface's name: up to 15 bytes, any but NUL, `/` and white space (`dev_valid_name` in
/// net/core/dev.c).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Name {
    bytes: [u8; Name::MAX],
    len: u8,
}

impl Name {
    /// The longest name, bytes: IFNAMSIZ without the terminating NUL.
    pub const MAX: usize = 15;

    /// Parses a name as the kernel sends it, with or without the NUL at its end; `None` if the name is too
    /// long.
    pub fn from_bytes(raw: &[u8]) -> Option<Name> {
        let raw = raw.split(|&b| b == 0).next().unwrap_or_default();
        let mut name = Name::default();
        name.bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        name.len = raw.len() as u8;
        Some(name)
    }

    /// Returns the bytes of the name without a NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Displays the name readably and unambiguously: see [`Readable`].
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Readable(self.as_bytes()).fmt(f)
    }
}

/// A hardware address of Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Returns the address in IFLA_ADDRESS; `None` if the value is not six bytes long or all zeros. The
    /// loopback and a netkit of mode l3 have six zero bytes and no address.
    pub fn from_bytes(raw: &[u8]) -> Option<Mac> {
        let bytes: [u8; 6] = raw.try_into().ok()?;
        (bytes != [0; 6]).then_some(Mac(bytes))
    }

    /// Parses a text such as `02:42:ac:12:00:02`; `None` if the text is not a MAC address, or is all zeros.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|p| p.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then(|| Mac::from_bytes(&mac))?
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An IP address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpAddress {
    /// The ifindex of the interface.
    pub ifindex: u32,
    /// The address without its prefix.
    pub address: IpAddr,
    /// The length of the address's prefix, bits.
    pub prefix: u8,
}

/// The driver of a link, from IFLA_INFO_KIND.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LinkKind {
    /// The driver `veth`: one end of a pair.
    Veth,
    /// The driver `netkit`, unless the device was made without a peer: one end of a pair.
    Netkit,
    /// The driver `bridge` of the kernel.
    Bridge,
    /// The driver `openvswitch`: a datapath's own interface.
    OpenVswitch,
    /// The driver `bond`: several links as one.
    Bond,
    /// The driver `team`: several links as one, ruled by a daemon.
    Team,
    /// The driver `vrf`: a routing table of its own.
    Vrf,
    /// The driver `batadv`: a mesh.
    Batadv,
    /// The driver `vxlan`: a tunnel.
    Vxlan,
    /// Any other driver, or none.
    #[default]
    Other,
}

impl LinkKind {
    /// Every kind with a driver that has a name here.
    const NAMED: [LinkKind; 9] = [
        LinkKind::Veth,
        LinkKind::Netkit,
        LinkKind::Bridge,
        LinkKind::OpenVswitch,
        LinkKind::Bond,
        LinkKind::Team,
        LinkKind::Vrf,
        LinkKind::Batadv,
        LinkKind::Vxlan,
    ];

    /// Returns the kind of the driver with this name.
    pub fn of_driver(name: &[u8]) -> LinkKind {
        let named = LinkKind::NAMED.into_iter().find(|kind| kind.driver().as_bytes() == name);
        named.unwrap_or_default()
    }

    /// Returns the name of the driver; empty for another driver than those named here.
    pub fn driver(self) -> &'static str {
        match self {
            LinkKind::Veth => "veth",
            LinkKind::Netkit => "netkit",
            LinkKind::Bridge => "bridge",
            LinkKind::OpenVswitch => "openvswitch",
            LinkKind::Bond => "bond",
            LinkKind::Team => "team",
            LinkKind::Vrf => "vrf",
            LinkKind::Batadv => "batadv",
            LinkKind::Vxlan => "vxlan",
            LinkKind::Other => "",
        }
    }

    /// Returns true for a link that has a link at its other end.
    pub fn is_pair_end(self) -> bool {
        matches!(self, LinkKind::Veth | LinkKind::Netkit)
    }

    /// Returns true if the driver counts each frame twice, as transmitted at the sending end and as received
    /// at the other (`netkit_xmit` in drivers/net/netkit.c). The driver of a veth counts it once.
    pub fn counts_receive(self) -> bool {
        self == LinkKind::Netkit
    }

    /// Returns true for a master that passes frames between the links that are enslaved to it.
    pub fn is_switch(self) -> bool {
        matches!(self, LinkKind::Bridge | LinkKind::OpenVswitch)
    }
}

/// The peer's namespace, from IFLA_LINK_NETNSID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PeerNetns {
    /// The attribute is missing: the peer is in the link's own namespace.
    #[default]
    Same,
    /// The exporter's own namespace.
    Host,
    /// The namespace with this id.
    Nsid(u32),
    /// The kernel sent a negative id: the peer is in another namespace, and that one or the link's own is
    /// dying.
    Unassigned,
    /// Another namespace, but with an id of a numbering that is not the host's. Only an event from the peer
    /// or a dump says which namespace it is.
    Elsewhere,
}

/// The counters of one link, from `struct rtnl_link_stats64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// The field `rx_bytes` of struct rtnl_link_stats64.
    pub receive_bytes: u64,
    /// The field `rx_packets` of struct rtnl_link_stats64.
    pub receive_packets: u64,
    /// The field `rx_dropped` of struct rtnl_link_stats64.
    pub receive_dropped: u64,
    /// The field `tx_bytes` of struct rtnl_link_stats64.
    pub transmit_bytes: u64,
    /// The field `tx_packets` of struct rtnl_link_stats64.
    pub transmit_packets: u64,
    /// The field `tx_dropped` of struct rtnl_link_stats64.
    pub transmit_dropped: u64,
}

/// One link, from one RTM_NEWLINK message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Link {
    /// The field `ifi_index` of struct ifinfomsg.
    pub ifindex: u32,
    /// The attribute IFLA_IFNAME, in bytes.
    pub name: Name,
    /// The driver, from the attribute IFLA_INFO_KIND.
    pub kind: LinkKind,
    /// The attribute IFLA_LINK, the peer's ifindex; `None` if it is missing or 0 (not yet paired, or
    /// detached).
    pub iflink: Option<u32>,
    /// The attribute IFLA_LINK_NETNSID, translated to the host's ids.
    pub peer_netns: PeerNetns,
    /// The attribute IFLA_MASTER, an ifindex.
    pub master: Option<u32>,
    /// The attribute IFLA_ADDRESS: see [`Mac::from_bytes`].
    pub address: Option<Mac>,
    /// The attribute IFLA_MTU, in bytes.
    pub mtu: u32,
    /// True if the attribute IFLA_OPERSTATE is IF_OPER_UP.
    pub up: bool,
    /// True if the flag IFF_UP is set: the administrative state is up.
    pub enabled: bool,
    /// The attribute IFLA_QDISC: the kind of the root queue discipline, in bytes.
    pub qdisc: Name,
    /// The attribute IFLA_CARRIER_CHANGES: ups and downs together.
    pub carrier_changes: u32,
    /// The attribute IFLA_STATS64 of the message.
    pub counters: Counters,
}

impl Link {
    /// Returns true if a veth has its carrier, which IFLA_OPERSTATE says a moment later
    /// (`linkwatch_do_dev`): a veth is made without one, which is the first change.
    pub(super) fn has_carrier(&self) -> bool {
        self.up || self.carrier_changes > 0 && self.carrier_changes.is_multiple_of(2)
    }

    /// Returns true if the end of a pair had its carrier before or has it now: a link is made without one,
    /// which is the first change.
    pub(crate) fn was_up(&self) -> bool {
        self.up || self.carrier_changes >= 2
    }
}

/// The link that an end is enslaved to: a bridge, a bond, a VRF ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    /// The attribute IFLA_IFNAME of the master, in bytes.
    pub name: Name,
    /// The driver of the master.
    pub kind: LinkKind,
}

impl Master {
    /// Returns a link as the master of others.
    pub(crate) fn of(link: &Link) -> Master {
        Master { name: link.name, kind: link.kind }
    }
}

/// A link of any driver, with all its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescribedLink {
    /// The field `ifi_index` of struct ifinfomsg.
    pub ifindex: u32,
    /// The attribute IFLA_IFNAME, in bytes.
    pub name: Name,
    /// The attributes IFLA_ALT_IFNAME, readable.
    pub alternatives: Vec<String>,
    /// The attribute IFLA_IFALIAS, readable; a text that the user has given to the link.
    pub alias: String,
    /// The driver from IFLA_INFO_KIND; empty for a card and for the loopback.
    pub driver: String,
    /// True for the loopback (ARPHRD_LOOPBACK).
    pub loopback: bool,
    /// True for a netkit that was made without a peer (IFLA_NETKIT_PAIRING).
    pub single: bool,
    /// The attribute IFLA_LINK: the link that this one is made on, or the other end of a pair.
    pub iflink: Option<u32>,
    /// The attribute IFLA_ADDRESS: see [`Mac::from_bytes`].
    pub address: Option<Mac>,
}

/// The numbers of packets that a link could not receive or send because of errors; always 0 for an end of a
/// pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Errors {
    /// The field `rx_errors` of struct rtnl_link_stats64.
    pub receive: u64,
    /// The field `tx_errors` of struct rtnl_link_stats64.
    pub transmit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_keeps_its_bytes_and_loses_its_nul() {
        assert_eq!(Name::from_bytes(b"eth0\0").unwrap().as_bytes(), b"eth0");
        assert_eq!(Name::from_bytes(b"v\xff\xfe\0").unwrap().as_bytes(), b"v\xff\xfe");
        assert_eq!(Name::from_bytes(b"exactly15bytes!").unwrap().as_bytes(), b"exactly15bytes!");
        assert_eq!(Name::from_bytes(b"sixteen bytes!!!"), None);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_in_hex_and_backslashes_are_doubled() {
        let shown = |raw: &[u8]| Readable(raw).to_string();
        assert_eq!(shown(b"veth0"), "veth0");
        assert_eq!(shown(b"v\xff\xfe"), r"v\xff\xfe");
        assert_eq!(shown(br"v\xff"), r"v\\xff");
        assert_eq!(shown("é🦀".as_bytes()), "é🦀");
        assert_eq!(shown("a\n\x1b[31m\u{85}".as_bytes()), r"a\x0a\x1b[31m\xc2\x85");
    }

    #[test]
    fn a_mac_is_six_pairs_of_hex_and_nothing_else() {
        assert_eq!(Mac::parse("02:42:ac:12:00:02").unwrap().to_string(), "02:42:ac:12:00:02");
        for bad in ["", "02:42:ac:12:00", "02:42:ac:12:00:02:03", "2:42:ac:12:00:02", "zz:42:ac:12:00:02"] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_of_zeros_is_none() {
        assert_eq!(Mac::from_bytes(&[2, 0, 0, 0, 0, 1]), Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!(Mac::from_bytes(&[0; 6]), None);
        assert_eq!(Mac::from_bytes(&[2, 0, 0, 0, 0]), None);
        assert_eq!(Mac::parse("00:00:00:00:00:00"), None);
    }

    #[test]
    fn the_name_of_a_driver_leads_to_its_kind() {
        for kind in LinkKind::NAMED {
            assert_eq!(LinkKind::of_driver(kind.driver().as_bytes()), kind);
        }
        for other in ["", "veth2", "macvlan", "netkit2"] {
            assert_eq!(LinkKind::of_driver(other.as_bytes()), LinkKind::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn two_names_never_look_the_same(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, Readable(&a).to_string() == Readable(&b).to_string());
        }
    }
}
