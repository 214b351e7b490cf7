//! The facts by which it is judged whether two ends can talk, each as the kernel reports it. Nothing here is
//! read by entering a namespace, so of another namespace than the host's some facts are never known: the
//! values of `net.ipv4.conf.all`, policy rules, packet filters.

use super::links::NetnsLinks;
use super::policy::PolicyRule;
use crate::model::link::{IpAddress, Link, Mac, Name};
use crate::model::workload::Runtime;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// All facts that are read for one explanation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFacts {
    /// The namespaces that have been read; the host's is the first.
    pub namespaces: Vec<Arc<NetnsFacts>>,
    /// The packet filters of the host; `None` if they cannot be read.
    pub filter: Option<HostFilter>,
    /// The host's own choice of a route for each destination in question: policy rules and all tables
    /// included.
    pub lookups: Vec<Lookup>,
    /// The policy rules of the host, in the order of the kernel.
    pub policy: Vec<PolicyRule>,
    /// The networks that engines report and that have a bridge.
    pub networks: Vec<EngineNetwork>,
    /// HostFacts that can be read on most hosts, and could not be read on this one.
    pub unread: Vec<Unread>,
}

/// A network of an engine with a bridge of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineNetwork {
    pub runtime: Runtime,
    pub name: String,
    /// The bridge on the host.
    pub bridge: Name,
    /// True if the engine connects the network to no other one.
    pub internal: bool,
}

/// A fact that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The kind of the fact.
    pub kind: FactKind,
    /// The fact, as a noun: `the routes of docker/web`.
    pub what: String,
    /// The reason, as the kernel or the exporter says it.
    pub reason: String,
}

/// The kind of a fact that is read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    /// The links of a namespace.
    Links,
    /// The IP addresses of a namespace.
    Addresses,
    /// The values of `net.ipv4.conf.all`.
    SettingsOfAll,
    /// Everything below /proc/PID/net of a namespace.
    Files,
    /// The routes of a namespace, from /proc/PID/net/route and ipv6_route.
    Routes,
    /// The neighbours of a namespace, from /proc/PID/net/arp.
    Neighbours,
    /// The counters of the IP stack of a namespace.
    Stack,
    /// The listening sockets of a namespace.
    Listening,
    /// The packet filters of the host.
    Filter,
    /// The host's own choice of a route.
    Lookup,
}

/// The facts of one network namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetnsFacts {
    /// The nsid; `None` for the host.
    pub nsid: Option<u32>,
    /// The name in messages: `docker/web`, `named/blue`; empty for the host.
    pub label: String,
    /// The words before a command that is to run in the namespace, with a space at the end:
    /// `ip netns exec blue `; empty for the host, and for a namespace that nothing leads into.
    pub enter: String,
    /// The links, in ascending order of their ifindex.
    pub links: NetnsLinks,
    /// The IP addresses, in the order of the kernel.
    pub addresses: Vec<IpAddress>,
    /// The routes by which a packet can leave the namespace, of both families, from /proc/PID/net/route and
    /// ipv6_route: those of IPv4 are of the table `main`, those of IPv6 of all tables but `local`. `None` if
    /// they cannot be read.
    pub routes: Option<Vec<IpRoute>>,
    /// The neighbours of IPv4, from /proc/PID/net/arp; `None` if they cannot be read.
    pub neighbours: Option<Vec<Neighbour>>,
    /// Counters and switches of the IP stack, from /proc/PID/net/snmp and netstat; `None` if they cannot be
    /// read.
    pub stack: Option<StackFacts>,
    /// The counters of an earlier reading of the same namespace, if there was one.
    pub earlier: Option<StackFacts>,
    /// The values of `net.ipv4.conf.all`; known of the host alone.
    pub all: Option<Ipv4Settings>,
    /// `net.ipv6.conf.all.forwarding`; known of the host alone, and absent without IPv6.
    pub forwards_ipv6: Option<bool>,
    /// The addresses and ports on which TCP sockets listen, from /proc/PID/net/tcp and tcp6; `None` if they
    /// were not read.
    pub listening: Option<Vec<SocketAddr>>,
}

/// The facts of a link besides those that are known of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkFacts {
    /// The attributes that every reading of a link has; the counters are 0. The other link of a VXLAN is the
    /// one that it is on (IFLA_VXLAN_LINK).
    pub link: Link,
    /// The carrier, from the flag IFF_LOWER_UP and IFLA_PROTO_DOWN.
    pub carrier: Carrier,
    /// True for the loopback (IFF_LOOPBACK).
    pub loopback: bool,
    /// True if the flag IFF_NOARP is set.
    pub no_arp: bool,
    /// True if an XDP program is attached (IFLA_XDP_ATTACHED is not 0).
    pub xdp: bool,
    /// The state as a port of a bridge, from IFLA_INFO_SLAVE_DATA; `None` if it is no such port.
    pub port: Option<BridgePort>,
    /// The settings as a bridge, from IFLA_INFO_DATA; `None` if it is no bridge.
    pub bridge: Option<BridgeSettings>,
    /// The VLANs of untagged frames at a bridge that filters by VLAN, or at a port of it; `None` if they were
    /// not read, as those of a bridge in another namespace.
    pub vlans: Option<UntaggedVlans>,
    /// The state as a bond or the port of one.
    pub bond: BondFacts,
    /// The mode as a macvlan, from IFLA_MACVLAN_MODE; `None` if it is none.
    pub macvlan: Option<MacvlanMode>,
    /// `net.ipv4.conf.DEVICE`, from IFLA_INET_CONF in IFLA_AF_SPEC.
    pub ipv4: Ipv4Settings,
    /// `net.ipv6.conf.DEVICE`, from IFLA_INET6_CONF in IFLA_AF_SPEC; `None` without IPv6.
    pub ipv6: Option<Ipv6Settings>,
}

/// The carrier of a link. Without one the kernel drops what is sent by the link within a second, as its queue
/// is replaced by one that drops (`dev_deactivate` in net/sched/sch_generic.c, called by linkwatch); what
/// comes in by a tunnel or a macvlan is still received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// IFF_LOWER_UP is set: the link sends and receives.
    Present,
    /// IFF_LOWER_UP is not set.
    #[default]
    Absent,
    /// IFF_LOWER_UP is not set as a program has switched IFLA_PROTO_DOWN on (`dev_change_proto_down` in
    /// net/core/dev.c). Only a macvlan, a VXLAN and a few cards have that switch.
    ProtoDown,
}

/// A link as the port of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// IFLA_BRPORT_STATE: whether the port forwards.
    pub state: PortState,
    /// IFLA_BRPORT_ISOLATED: the port exchanges no frames with other isolated ports.
    pub isolated: bool,
    /// IFLA_BRPORT_LEARNING: the bridge notes at which port a MAC address was seen.
    pub learning: bool,
    /// IFLA_BRPORT_UNICAST_FLOOD: the port sends frames for MAC addresses that the bridge does not know.
    pub floods: bool,
}

/// The state of a bridge's port, BR_STATE_* of linux/if_bridge.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortState {
    /// BR_STATE_DISABLED: the port or the bridge is down.
    Disabled,
    /// BR_STATE_LISTENING: STP waits for messages of other bridges.
    Listening,
    /// BR_STATE_LEARNING: STP waits, and the bridge learns MAC addresses.
    Learning,
    /// BR_STATE_FORWARDING: the port passes frames in both directions.
    #[default]
    Forwarding,
    /// BR_STATE_BLOCKING: STP has closed the port.
    Blocking,
}

/// A link as a bond, or as the port of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondFacts {
    /// True for a port that is not in use (IFLA_BOND_SLAVE_STATE is BOND_STATE_BACKUP).
    pub backup: bool,
    /// IFLA_BOND_MODE, as a number of linux/if_bonding.h; `None` if the link is no bond.
    pub mode: Option<u8>,
}

/// The VLANs of untagged frames at a port of a bridge, from IFLA_BRIDGE_VLAN_INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UntaggedVlans {
    /// The VLAN that an untagged frame comes into (BRIDGE_VLAN_INFO_PVID); `None` if it is dropped.
    pub pvid: Option<u16>,
    /// The VLANs of frames that leave without a tag (BRIDGE_VLAN_INFO_UNTAGGED), in ascending order.
    pub leaving: Vec<u16>,
}

/// The mode of a macvlan, MACVLAN_MODE_* of linux/if_link.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// MACVLAN_MODE_PRIVATE: no frame passes to another macvlan of the link.
    Private,
    /// MACVLAN_MODE_VEPA: every frame leaves by the link.
    Vepa,
    /// MACVLAN_MODE_BRIDGE: frames pass between the macvlans of the link that have this mode.
    Bridge,
    /// MACVLAN_MODE_PASSTHRU or MACVLAN_MODE_SOURCE: the link passes all frames to one macvlan, or some by
    /// their source.
    Further,
}

/// The settings of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeSettings {
    /// IFLA_BR_VLAN_FILTERING: a frame passes only between ports of its VLAN.
    pub vlan_filtering: bool,
    /// IFLA_BR_STP_STATE is not 0.
    pub stp: bool,
    /// IFLA_BR_NF_CALL_IPTABLES: this bridge passes frames to iptables, whatever the host's setting.
    pub nf_call_iptables: bool,
}

/// Values of `net.ipv4.conf`, for one device or for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv4Settings {
    /// IPV4_DEVCONF_FORWARDING: 1 if packets that come in by the device are forwarded.
    pub forwarding: i32,
    /// IPV4_DEVCONF_RP_FILTER: 0 off, 1 strict, 2 loose.
    pub rp_filter: i32,
    /// IPV4_DEVCONF_ACCEPT_LOCAL: 1 if packets from addresses of the namespace itself are accepted.
    pub accept_local: i32,
    /// IPV4_DEVCONF_ARP_IGNORE: which ARP requests are answered, 0 for all.
    pub arp_ignore: i32,
    /// IPV4_DEVCONF_ARP_FILTER: 1 if only the device of the way back answers ARP requests.
    pub arp_filter: i32,
    /// IPV4_DEVCONF_PROXY_ARP: 1 if ARP requests for addresses behind other devices are answered.
    pub proxy_arp: i32,
}

/// The settings of IPv6 of one device, `net.ipv6.conf.DEVICE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// DEVCONF_FORWARDING: 1 if the namespace forwards packets, as this device has it.
    pub forwarding: i32,
    /// DEVCONF_DISABLE_IPV6: 1 if the device has no IPv6.
    pub disabled: i32,
    /// DEVCONF_FORCE_FORWARDING: 1 if packets that come in by the device are forwarded although
    /// `net.ipv6.conf.all.forwarding` is 0; since Linux 6.17.
    pub force_forwarding: i32,
}

/// A route by which a packet leaves a namespace, or is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRoute {
    /// The destination without its prefix's length.
    pub destination: IpAddr,
    /// The length of the prefix, bits.
    pub prefix: u8,
    /// The next hop; `None` for a destination on the link itself, `::` for the next hop of a route of IPv4
    /// that has an address of IPv6.
    pub gateway: Option<IpAddr>,
    /// The name of the outgoing device, readable; empty for a route that refuses.
    pub device: String,
    /// The metric; the lowest counts.
    pub metric: u32,
    /// True for a route that refuses: unreachable, prohibit, blackhole or throw.
    pub refuses: bool,
}

/// An entry of the table of neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The IP address that the MAC address was asked for.
    pub address: IpAddr,
    /// The MAC address that has answered; `None` without an answer.
    pub mac: Option<Mac>,
    /// The name of the device, readable.
    pub device: String,
}

/// Counters and switches of the IP stack of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackFacts {
    /// `Ip: Forwarding` in snmp is 1, which is `net.ipv4.ip_forward`.
    pub forwards_ipv4: bool,
    /// `TcpExt: IPReversePathFilter` in netstat: packets that rp_filter has dropped.
    pub reverse_path_drops: u64,
    /// `TcpExt: ListenOverflows` in netstat: connections that no accept queue had room for.
    pub listen_overflows: u64,
}

/// The packet filters of the host, as far as they can be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Base chains at the hook `forward` with the policy to drop.
    pub forward_drops: Vec<FilterPlace>,
    /// Rules that end in drop or reject, in chains that a forwarded packet can reach.
    pub drop_rules: Vec<FilterPlace>,
    /// `net.bridge.bridge-nf-call-iptables`: frames between ports of a bridge pass through the chains at
    /// the hook `forward`. False without br_netfilter.
    pub bridge_nf_call_iptables: bool,
}

/// A chain or a rule of a packet filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPlace {
    /// The family, the table and the chain: `ip filter FORWARD`.
    pub chain: String,
    /// The packets so far, where they are counted.
    pub packets: Option<u64>,
    /// True for a rule that rejects and so answers; false for one that drops.
    pub rejects: bool,
    /// True for the policy of a chain without a rule: every packet of the chain's family is dropped.
    pub drops_all: bool,
}

/// A packet that the host chooses a route for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuestion {
    /// The address that the packet is sent to.
    pub destination: IpAddr,
    /// The address that the packet is sent from; `None` if any.
    pub source: Option<IpAddr>,
    /// The ifindex of the link by which the packet comes in; `None` for a packet of the host itself.
    pub ingress: Option<u32>,
    /// The ifindex of the VRF that the packet is in; `None` outside of all.
    pub vrf: Option<u32>,
    /// The ifindex of the link that leads to the destination, if it is known.
    pub egress: Option<u32>,
}

/// The host's own choice of a route (RTM_GETROUTE for one packet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The address that the host was asked for.
    pub destination: IpAddr,
    /// The ifindex of the VRF that the packet is in; `None` outside of all.
    pub vrf: Option<u32>,
    /// True if the choice is another than the link that leads there, and again another for the
    /// destination alone: a policy rule asks for the source or for the way in.
    pub by_rule: bool,
    /// True if the kernel's answer for the packet with its source was EINVAL, and that for the destination
    /// alone another: a blackhole, or the source is one that the kernel does not take.
    pub doubtful: bool,
    /// The way, or the reason why there is none.
    pub answer: Result<HostRoute, LookupFailure>,
}

/// The route that the host has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// The ifindex of the outgoing device (RTA_OIF).
    pub ifindex: u32,
    /// The next hop (RTA_GATEWAY); `None` for a destination on the link itself.
    pub gateway: Option<IpAddr>,
    /// True if the destination is an address of the host itself (RTN_LOCAL).
    pub local: bool,
}

/// The reason why the host has no route for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFailure {
    /// ENETUNREACH: no table has a route for the destination.
    None,
    /// EHOSTUNREACH: a route of the type `unreachable`.
    Unreachable,
    /// EINVAL: a route of the type `blackhole`.
    Blackhole,
    /// EACCES: a route of the type `prohibit`.
    Prohibited,
}
