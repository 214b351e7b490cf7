//! Interfaces as the kernel describes them: who they are, where they are, what they counted.

use super::text::Readable;
use std::fmt;
use std::net::IpAddr;

/// A network namespace, in the one coordinate system of the exporter's own namespace.
///
/// An nsid is reused as soon as its namespace is gone, so it is known by (nsid, generation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetnsId {
    /// The exporter's own network namespace.
    Host,
    /// Any other, by the id that the host's namespace has for it.
    Other {
        /// The id, as RTM_GETNSID gives it.
        nsid: u32,
        /// How many namespaces had this id before.
        generation: u32,
    },
}

impl NetnsId {
    /// The nsid, if this is not the host.
    pub fn nsid(self) -> Option<u32> {
        match self {
            NetnsId::Host => None,
            NetnsId::Other { nsid, .. } => Some(nsid),
        }
    }
}

/// One side of a veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// The namespace the interface is in now.
    pub netns: NetnsId,
    /// Its ifindex, unique within that namespace only.
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
    /// IFNAMSIZ without the terminating NUL.
    pub const MAX: usize = 15;

    /// Takes a name as the kernel sent it, with or without the NUL at its end; `None` if it is too long.
    pub fn from_bytes(raw: &[u8]) -> Option<Name> {
        let raw = raw.split(|&b| b == 0).next().unwrap_or_default();
        let mut name = Name::default();
        name.bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        name.len = raw.len() as u8;
        Some(name)
    }

    /// The bytes without a NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Readable and unambiguous: see [`Readable`].
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Readable(self.as_bytes()).fmt(f)
    }
}

/// A hardware address of Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Parses `02:42:ac:12:00:02`; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|p| p.len() == 2)?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Mac(mac))
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
pub struct Address {
    /// The ifindex of the interface.
    pub ifindex: u32,
    /// The address without its prefix.
    pub address: IpAddr,
    /// The length of the network's prefix, bits.
    pub prefix: u8,
}

/// What a driver calls itself in IFLA_INFO_KIND, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// The driver `veth`: one end of a pair.
    Veth,
    /// The driver `bridge` of the kernel.
    Bridge,
    /// The driver `openvswitch`, a datapath's own interface.
    OpenVswitch,
    /// Any other, and none.
    #[default]
    Other,
}

/// Where IFLA_LINK_NETNSID says that the other end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PeerNetns {
    /// No attribute: in the namespace of the link itself.
    #[default]
    Same,
    /// In the exporter's own namespace.
    Host,
    /// In the namespace that has this id.
    Nsid(u32),
    /// The kernel had no id to give (a negative one): its namespace is dying.
    Unassigned,
    /// In another namespace, but told in an id that means nothing to the host: only the peer's own word, or
    /// a dump, says which.
    Elsewhere,
}

/// A running count of what one end sent and received, as `struct rtnl_link_stats64` has it.
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

/// One interface, from one RTM_NEWLINK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Link {
    /// The field `ifi_index` of struct ifinfomsg.
    pub ifindex: u32,
    /// The attribute IFLA_IFNAME, in bytes.
    pub name: Name,
    /// The attribute IFLA_INFO_KIND, as far as it is known.
    pub kind: Kind,
    /// IFLA_LINK, the peer's ifindex; `None` if it is absent or 0 (not yet paired, or detached).
    pub iflink: Option<u32>,
    /// The attribute IFLA_LINK_NETNSID, in the host's ids.
    pub peer_netns: PeerNetns,
    /// The attribute IFLA_MASTER, an ifindex.
    pub master: Option<u32>,
    /// IFLA_ADDRESS, if it is six bytes.
    pub address: Option<Mac>,
    /// The attribute IFLA_MTU, in bytes.
    pub mtu: u32,
    /// True if the attribute IFLA_OPERSTATE is IF_OPER_UP.
    pub up: bool,
    /// The attribute IFLA_CARRIER_CHANGES: ups and downs together.
    pub carrier_changes: u32,
    /// The attribute IFLA_STATS64 of the message.
    pub counters: Counters,
}

/// Packets that a link could not receive or send because something was wrong with them or with it; a veth
/// has none.
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

    proptest! {
        #[test]
        fn two_names_never_look_the_same(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, Readable(&a).to_string() == Readable(&b).to_string());
        }
    }
}
