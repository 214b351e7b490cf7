//! What the kernel sends: single messages, events with their control message, and whole answers.

use netlink_packet_core::ParseableParametrized;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, BondPortState, BridgePortState, BridgeStpState, InfoBond,
    InfoBondPort, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoMacVlan, InfoPortData, InfoPortKind,
    LinkAttribute, LinkFlags, LinkInfo, LinkXdp, MacVlanMode, State, Stats64, XdpAttached,
};
use netlink_packet_route::nsid::NsidAttribute;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteType, RouteVia};
use netlink_packet_route::stats::StatsAttribute;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcStats2};
use veth_exporter::testing::kernel::answer::{NetlinkAnswer, Until};
use veth_exporter::testing::kernel::wire::{self, AddressMessage, LinkMessage};
use veth_exporter::testing::model::event::Event;
use veth_exporter::testing::model::explain::facts::{
    BridgePort, BridgeSettings, Carrier, HostRoute, Ipv4Settings, Ipv6Settings, LinkFacts, MacvlanMode,
    PortState,
};
use veth_exporter::testing::model::link::{
    Counters, Errors, IpAddress, Link, LinkKind, Mac, Name, PeerNetns,
};
use veth_exporter::testing::model::queues::{QueueCounters, QueueReading};

use super::{ALWAYS, in_memory_of, parts};

/// Reading takes no memory, but for the words of an error.
const READING: usize = 4 << 10;

/// The payload of one message; the first byte says of which type. What netlink-packet-route can read as well says the same there.
pub fn messages(input: &[u8]) {
    let Some((kind, payload)) = input.split_first() else { return };
    match kind % 8 {
        0 => {
            let Some(ours) = in_memory_of(READING, || wire::link(payload)) else { return };
            assert!(ours.link.ifindex != 0 && !ours.link.name.as_bytes().is_empty(), "{ours:?}");
            if let Some(theirs) = link_of_another_implementation(payload) {
                // The other implementation does not tell a netkit in single mode from a pair.
                let is_netkit = theirs.link.kind == LinkKind::Netkit && ours.link.kind == LinkKind::Other;
                let kind = if is_netkit { LinkKind::Other } else { theirs.link.kind };
                assert_eq!(ours, LinkMessage { link: Link { kind, ..theirs.link }, ..theirs });
            }
        }
        1 => {
            let Some(ours) = in_memory_of(READING, || wire::address(payload)) else { return };
            if let Some(theirs) = address_of_another_implementation(payload) {
                assert_eq!(ours, theirs);
            }
        }
        2 => {
            let Some(ours) = in_memory_of(READING, || wire::stats(payload)) else { return };
            if let Some(RouteNetlinkMessage::NewStats(theirs)) =
                another_implementation(wire::RTM_NEWSTATS, payload)
            {
                let of_link = |attribute: &StatsAttribute| match attribute {
                    StatsAttribute::Link64(stats) => Some(counters(stats)),
                    _ => None,
                };
                let theirs = (theirs.header.ifindex, theirs.attributes.iter().find_map(of_link));
                assert_eq!((ours.0, Some(ours.1)), theirs);
            }
        }
        4 => {
            let Some(ours) = in_memory_of(READING, || wire::qdisc(payload)) else { return };
            if let Some(read) = ours {
                assert!(read.ifindex != 0 && !read.kind.as_bytes().is_empty(), "{read:?}");
            }
            if let Some(theirs) = qdisc_of_another_implementation(payload) {
                assert_eq!(ours, theirs);
            }
        }
        5 => {
            let Some((mut ours, _)) = in_memory_of(READING, || wire::facts::link_facts(payload)) else {
                return;
            };
            // The other implementation does not have this setting.
            ours.ipv6.iter_mut().for_each(|ipv6| ipv6.force_forwarding = 0);
            if let Some(theirs) = facts_of_another_implementation(payload) {
                assert_eq!(LinkFacts { link: Link::default(), ..ours }, theirs);
            }
        }
        6 => {
            let Some(ours) = in_memory_of(READING, || wire::facts::route(payload)) else { return };
            if let Some(theirs) = route_of_another_implementation(payload) {
                assert_eq!(ours, theirs);
            }
        }
        7 => filter(payload),
        _ => {
            let Some(ours) = in_memory_of(READING, || wire::nsid(payload)) else { return };
            if let Some(RouteNetlinkMessage::NewNsId(theirs)) =
                another_implementation(wire::RTM_NEWNSID, payload)
            {
                let id = theirs.attributes.iter().find_map(|attribute| match attribute {
                    NsidAttribute::Id(id) => Some(u32::try_from(*id).ok()),
                    _ => None,
                });
                assert_eq!(Some(ours), id);
            }
        }
    }
}

fn another_implementation(kind: u16, payload: &[u8]) -> Option<RouteNetlinkMessage> {
    RouteNetlinkMessage::parse_with_param(payload, kind).ok()
}

fn link_of_another_implementation(payload: &[u8]) -> Option<LinkMessage> {
    let RouteNetlinkMessage::NewLink(theirs) = another_implementation(wire::RTM_NEWLINK, payload)? else {
        return None;
    };
    let about_link = u8::from(theirs.header.interface_family) == 0;
    let enabled = theirs.header.flags.contains(LinkFlags::Up);
    let mut link = Link { ifindex: theirs.header.index, enabled, ..Link::default() };
    let (mut errors, mut target, mut moved) = (Errors::default(), None, false);
    for attribute in theirs.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = Name::from_bytes(name.as_bytes())?,
            // All zeros are no address: lo has them, and a netkit of mode l3.
            LinkAttribute::Address(address) => {
                let address = <[u8; 6]>::try_from(address).ok();
                link.address = address.filter(|bytes| bytes.iter().any(|byte| *byte != 0)).map(Mac);
            }
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Qdisc(kind) => {
                link.qdisc = Name::from_bytes(kind.as_bytes()).unwrap_or_default();
            }
            LinkAttribute::Link(index) => link.iflink = Some(index).filter(|&index| index != 0),
            LinkAttribute::Controller(index) => link.master = Some(index).filter(|&index| index != 0),
            LinkAttribute::OperState(state) => link.up = state == State::Up,
            LinkAttribute::CarrierChanges(changes) => link.carrier_changes = changes,
            LinkAttribute::LinkInfo(info) => {
                link.kind = info.iter().find_map(driver).unwrap_or_default();
            }
            LinkAttribute::Stats64(stats) => {
                link.counters = counters(&stats);
                errors = Errors { receive: stats.rx_errors, transmit: stats.tx_errors };
            }
            LinkAttribute::LinkNetNsId(id) => {
                link.peer_netns = u32::try_from(id).map_or(PeerNetns::Unassigned, PeerNetns::Nsid);
            }
            LinkAttribute::IfNetnsId(id) => target = u32::try_from(id).ok(),
            LinkAttribute::NewNetnsId(_) => moved = true,
            _ => {}
        }
    }
    Some(LinkMessage { link, errors, target, about_link, moved })
}

fn driver(info: &LinkInfo) -> Option<LinkKind> {
    let LinkInfo::Kind(kind) = info else { return None };
    Some(match kind.to_string().as_str() {
        "veth" => LinkKind::Veth,
        "netkit" => LinkKind::Netkit,
        "bridge" => LinkKind::Bridge,
        "openvswitch" => LinkKind::OpenVswitch,
        "bond" => LinkKind::Bond,
        "team" => LinkKind::Team,
        "vrf" => LinkKind::Vrf,
        "batadv" => LinkKind::Batadv,
        "vxlan" => LinkKind::Vxlan,
        _ => LinkKind::Other,
    })
}

/// The facts beside the link itself. `None` where the other implementation does not read what it could.
fn facts_of_another_implementation(payload: &[u8]) -> Option<LinkFacts> {
    let RouteNetlinkMessage::NewLink(theirs) = another_implementation(wire::RTM_NEWLINK, payload)? else {
        return None;
    };
    let has = |flag| theirs.header.flags.contains(flag);
    let mut facts = LinkFacts {
        loopback: has(LinkFlags::Loopback),
        no_arp: has(LinkFlags::Noarp),
        ..LinkFacts::default()
    };
    let proto_down = theirs.attributes.iter().rev().find_map(|attribute| match attribute {
        LinkAttribute::ProtoDown(value) => Some(*value != 0),
        _ => None,
    });
    facts.carrier = match (has(LinkFlags::LowerUp), proto_down.unwrap_or_default()) {
        (true, _) => Carrier::Present,
        (false, true) => Carrier::ProtoDown,
        (false, false) => Carrier::Absent,
    };
    for attribute in &theirs.attributes {
        match attribute {
            LinkAttribute::Xdp(all) => {
                let attached = all.iter().find_map(|xdp| match xdp {
                    LinkXdp::Attached(attached) => Some(*attached != XdpAttached::None),
                    _ => None,
                });
                facts.xdp = attached.unwrap_or_default();
            }
            LinkAttribute::LinkInfo(info) => {
                facts.port = port(info)?;
                facts.bridge = bridge(info)?.or(facts.bridge);
                facts.bond.backup = is_bond_backup(info)?;
                (facts.bond.mode, facts.macvlan) = modes(info)?;
            }
            LinkAttribute::AfSpecUnspec(families) => {
                if let Some(family) = families.iter().find_map(|family| match family {
                    AfSpecUnspec::Inet(family) => Some(family),
                    _ => None,
                }) {
                    facts.ipv4 = family.iter().find_map(ipv4_settings).unwrap_or_default();
                }
                if let Some(family) = families.iter().find_map(|family| match family {
                    AfSpecUnspec::Inet6(family) => Some(family),
                    _ => None,
                }) {
                    facts.ipv6 = family.iter().find_map(ipv6_settings);
                }
            }
            _ => {}
        }
    }
    Some(facts)
}

fn port(info: &[LinkInfo]) -> Option<Option<BridgePort>> {
    let kind =
        info.iter().find_map(|info| if let LinkInfo::PortKind(kind) = info { Some(kind) } else { None });
    let data =
        info.iter().find_map(|info| if let LinkInfo::PortData(data) = info { Some(data) } else { None });
    if kind != Some(&InfoPortKind::Bridge) {
        return Some(None);
    }
    let data = match data {
        Some(InfoPortData::BridgePort(data)) => data.as_slice(),
        Some(_) => return None,
        None => &[],
    };
    let flag = |read: fn(&InfoBridgePort) -> Option<bool>| data.iter().find_map(read);
    let state = data.iter().find_map(|data| match data {
        InfoBridgePort::State(state) => Some(*state),
        _ => None,
    });
    Some(Some(BridgePort {
        state: match state.unwrap_or(BridgePortState::Forwarding) {
            BridgePortState::Disabled => PortState::Disabled,
            BridgePortState::Listening => PortState::Listening,
            BridgePortState::Learning => PortState::Learning,
            BridgePortState::Forwarding => PortState::Forwarding,
            BridgePortState::Blocking => PortState::Blocking,
            _ => return None,
        },
        isolated: flag(|data| if let InfoBridgePort::Isolated(is) = data { Some(*is) } else { None })
            .unwrap_or(false),
        learning: flag(|data| if let InfoBridgePort::Learning(is) = data { Some(*is) } else { None })
            .unwrap_or(true),
        floods: flag(|data| if let InfoBridgePort::UnicastFlood(is) = data { Some(*is) } else { None })
            .unwrap_or(true),
    }))
}

/// `None` where the other implementation does not read what it could.
fn is_bond_backup(info: &[LinkInfo]) -> Option<bool> {
    let is_port = info.iter().any(|info| matches!(info, LinkInfo::PortKind(InfoPortKind::Bond)));
    let data =
        info.iter().find_map(|info| if let LinkInfo::PortData(data) = info { Some(data) } else { None });
    match data.filter(|_| is_port) {
        Some(InfoPortData::BondPort(data)) => {
            let state = data.iter().find_map(|data| match data {
                InfoBondPort::BondPortState(state) => Some(*state),
                _ => None,
            });
            Some(state.is_some_and(|state| state != BondPortState::Active))
        }
        Some(_) => None,
        None => Some(false),
    }
}

/// The mode of a bond, and that of a macvlan. `None` where the other implementation does not read what it
/// could.
fn modes(info: &[LinkInfo]) -> Option<(Option<u8>, Option<MacvlanMode>)> {
    let kind = info.iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
    let data = info.iter().find_map(|info| if let LinkInfo::Data(data) = info { Some(data) } else { None });
    match (kind, data) {
        (Some(InfoKind::Bond), Some(InfoData::Bond(data))) => {
            let mode = data.iter().find_map(|data| match data {
                InfoBond::Mode(mode) => Some(u8::from(*mode)),
                _ => None,
            });
            Some((mode, None))
        }
        (Some(InfoKind::MacVlan), Some(InfoData::MacVlan(data))) => {
            let mode = data.iter().find_map(|data| match data {
                InfoMacVlan::Mode(mode) => Some(match mode {
                    MacVlanMode::Private => MacvlanMode::Private,
                    MacVlanMode::Vepa => MacvlanMode::Vepa,
                    MacVlanMode::Bridge => MacvlanMode::Bridge,
                    _ => MacvlanMode::Further,
                }),
                _ => None,
            });
            Some((None, mode))
        }
        (Some(InfoKind::Bond | InfoKind::MacVlan), Some(_)) => None,
        _ => Some((None, None)),
    }
}

fn bridge(info: &[LinkInfo]) -> Option<Option<BridgeSettings>> {
    let kind = info.iter().find_map(driver);
    let data = info.iter().find_map(|info| if let LinkInfo::Data(data) = info { Some(data) } else { None });
    let data = match (kind, data) {
        (Some(LinkKind::Bridge), Some(InfoData::Bridge(data))) => data,
        (Some(LinkKind::Bridge), Some(_)) => return None,
        _ => return Some(None),
    };
    let flag = |read: fn(&InfoBridge) -> Option<bool>| data.iter().find_map(read).unwrap_or_default();
    Some(Some(BridgeSettings {
        vlan_filtering: flag(|data| if let InfoBridge::VlanFiltering(is) = data { Some(*is) } else { None }),
        stp: flag(|data| match data {
            InfoBridge::StpState(state) => Some(*state != BridgeStpState::Disabled),
            _ => None,
        }),
        nf_call_iptables: flag(
            |data| if let InfoBridge::NfCallIpTables(is) = data { Some(*is) } else { None },
        ),
    }))
}

fn ipv4_settings(family: &AfSpecInet) -> Option<Ipv4Settings> {
    let AfSpecInet::DevConf(values) = family else { return None };
    Some(Ipv4Settings {
        forwarding: values.forwarding,
        rp_filter: values.rp_filter,
        accept_local: values.accept_local,
        arp_ignore: values.arp_ignore,
        arp_filter: values.arpfilter,
        proxy_arp: values.proxy_arp,
    })
}

fn ipv6_settings(family: &AfSpecInet6) -> Option<Ipv6Settings> {
    let AfSpecInet6::DevConf(values) = family else { return None };
    Some(Ipv6Settings {
        forwarding: values.forwarding,
        disabled: values.disable_ipv6,
        ..Ipv6Settings::default()
    })
}

/// `None` for a next hop that is no IP address.
fn route_of_another_implementation(payload: &[u8]) -> Option<HostRoute> {
    let RouteNetlinkMessage::NewRoute(theirs) = another_implementation(wire::facts::RTM_NEWROUTE, payload)?
    else {
        return None;
    };
    let local = theirs.header.kind == RouteType::Local;
    let (mut ifindex, mut gateway) = (None, None);
    for attribute in theirs.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(index),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(ip.into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some(ip.into()),
            RouteAttribute::Via(RouteVia::Inet(ip)) => gateway = Some(ip.into()),
            RouteAttribute::Via(RouteVia::Inet6(ip)) => gateway = Some(ip.into()),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    Some(HostRoute { ifindex: ifindex?, gateway, local })
}

/// A chain and a rule; the bytes are tried as both.
fn filter(payload: &[u8]) {
    let [chain, rule] = parts(payload);
    in_memory_of(ALWAYS + 16 * payload.len(), || {
        let chains: Vec<_> = [chain, rule].into_iter().filter_map(wire::filter::chain).collect();
        let rules: Vec<_> = [chain, rule].into_iter().filter_map(wire::filter::rule).collect();
        let (policies, places) = wire::filter::refusals(&chains, &rules);
        assert!(policies.len() <= chains.len() && places.len() <= rules.len());
        for place in policies.iter().chain(&places) {
            assert!(
                ["ip ", "ip6 ", "inet "].iter().any(|family| place.chain.starts_with(family)),
                "{place:?}"
            );
            assert!(!place.chain.contains(char::is_control), "{place:?}");
        }
        assert!(policies.iter().all(|place| !place.rejects));
    });
}

fn counters(stats: &Stats64) -> Counters {
    Counters {
        receive_bytes: stats.rx_bytes,
        receive_packets: stats.rx_packets,
        receive_dropped: stats.rx_dropped,
        transmit_bytes: stats.tx_bytes,
        transmit_packets: stats.tx_packets,
        transmit_dropped: stats.tx_dropped,
    }
}

fn address_of_another_implementation(payload: &[u8]) -> Option<AddressMessage> {
    let RouteNetlinkMessage::NewAddress(theirs) = another_implementation(wire::RTM_NEWADDR, payload)? else {
        return None;
    };
    let (mut local, mut address, mut target) = (None, None, None);
    for attribute in theirs.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(ip),
            AddressAttribute::Address(ip) => address = Some(ip),
            AddressAttribute::TargetNetNsId(id) => target = u32::try_from(id).ok(),
            _ => {}
        }
    }
    let address = IpAddress {
        ifindex: theirs.header.index,
        address: local.or(address)?,
        prefix: theirs.header.prefix_len,
    };
    Some(AddressMessage { address, target })
}

/// `Some(None)` for another queue discipline than a root.
fn qdisc_of_another_implementation(payload: &[u8]) -> Option<Option<QueueReading>> {
    let RouteNetlinkMessage::NewQueueDiscipline(theirs) =
        another_implementation(wire::RTM_NEWQDISC, payload)?
    else {
        return None;
    };
    if theirs.header.parent != TcHandle::ROOT {
        return Some(None);
    }
    let (mut kind, mut counters) = (Name::default(), QueueCounters::default());
    for attribute in theirs.attributes {
        match attribute {
            TcAttribute::Kind(name) => kind = Name::from_bytes(name.as_bytes())?,
            TcAttribute::Stats2(all) => {
                let queue = all.iter().find_map(|stats| match stats {
                    TcStats2::Queue(queue) => Some(queue),
                    _ => None,
                });
                counters = queue.map_or(counters, |queue| QueueCounters {
                    drops: queue.drops,
                    overlimits: queue.overlimits,
                    backlog_bytes: queue.backlog,
                    backlog_packets: queue.qlen,
                });
            }
            _ => {}
        }
    }
    Some(Some(QueueReading { ifindex: theirs.header.index.cast_unsigned(), kind, counters }))
}

/// The id that the host has for itself where it has one.
const OWN: u32 = 3;

/// A control message (its level, its type, its data), and the datagram that came with it.
pub fn events(input: &[u8]) {
    let [control, datagram] = parts(input);
    let source =
        match control.split_first_chunk::<4>().map(|(level, rest)| (level, rest.split_first_chunk::<4>())) {
            Some((level, Some((kind, data)))) => {
                wire::source(i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), data)
            }
            _ => None,
        };
    for own in [None, Some(OWN)] {
        let mut events = Vec::new();
        in_memory_of(ALWAYS + 64 * datagram.len(), || wire::datagram(datagram, source, own, &mut events));
        assert!(events.len() <= datagram.len() / 16 + 1, "{events:?}");
        events.iter().for_each(|event| is_of(event, source, own));
    }
}

fn is_of(event: &Event, of: Option<u32>, own: Option<u32>) {
    match event {
        Event::Link { source, link } | Event::Unlink { source, link, .. } => {
            assert_eq!(*source, of, "{event:?}");
            assert!(link.ifindex != 0 && !link.name.as_bytes().is_empty(), "{event:?}");
            // An id of another namespace means nothing here, and the host is called by one name.
            if let PeerNetns::Nsid(nsid) = link.peer_netns {
                assert!(of.is_none() && Some(nsid) != own, "{event:?}");
            }
        }
        Event::Qdisc { ifindex, kind } => {
            assert_eq!(of, None, "{event:?}");
            assert!(*ifindex != 0 && kind.is_none_or(|kind| !kind.as_bytes().is_empty()), "{event:?}");
        }
        Event::NewNsid(_) | Event::DeletedNsid(_) => assert_eq!(of, None, "{event:?}"),
        Event::Bad | Event::Lost => {}
    }
}

/// The datagrams of an answer to a socket at port 2 that asked with the sequence number 1; the first byte says how it should end.
pub fn answers(input: &[u8]) {
    let Some((until, datagrams)) = input.split_first() else { return };
    let until = [Until::Done, Until::First, Until::Ack][usize::from(until % 3)];
    let mut answer =
        NetlinkAnswer { request: "RTM_GETLINK", sequence: 1, port: 2, until, interrupted: false };
    let (mut messages, mut bytes) = (0, 0);
    for datagram in parts::<8>(datagrams) {
        let read = in_memory_of(ALWAYS, || {
            answer.read(datagram, &mut |message| {
                messages += 1;
                bytes += 16 + message.payload.len();
            })
        });
        match read {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("RTM_GETLINK") && !said.contains('\n'), "{said:?}");
                break;
            }
        }
    }
    assert!(bytes <= datagrams.len(), "{messages} messages of {bytes} bytes");
    assert!(until != Until::First || messages <= 1, "{messages} messages");
}
