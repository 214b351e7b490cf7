use super::*;
use crate::kernel::wire::tests::{attribute, captured};
use crate::model::link::{Link, Name};
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// An RTM_NEWLINK of ifindex 5 named `v` with these flags and attributes.
fn message(flags: i32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; IFINFOMSG];
    bytes[4..8].copy_from_slice(&5u32.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes.extend(attribute(3, b"v\0"));
    bytes.extend(attributes.concat());
    bytes
}

fn read(flags: i32, attributes: &[Vec<u8>]) -> Option<LinkFacts> {
    link_facts(&message(flags, attributes)).map(|(facts, _)| facts)
}

fn nest(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 1 << 15, &attributes.concat())
}

fn numbers(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

#[test]
fn a_port_of_a_bridge_is_read_as_the_kernel_sends_it() {
    let payload = captured(include_str!("../fixtures/veth.hex"));
    let (facts, target) = link_facts(&payload).unwrap();
    let whole = super::super::link(&payload).unwrap();
    assert_eq!((facts.link, target), (whole.link, whole.target));
    assert!(facts.carrier == Carrier::Present && !facts.loopback && !facts.no_arp && !facts.xdp);
    // The bridge is down.
    let port = BridgePort { state: PortState::Disabled, isolated: false, learning: true, floods: true };
    assert_eq!((facts.port, facts.bridge), (Some(port), None));
}

#[test]
fn flags_say_what_a_link_is() {
    let link = Link { ifindex: 5, name: Name::from_bytes(b"v").unwrap(), ..Link::default() };
    let none = LinkFacts { link, ..LinkFacts::default() };
    assert_eq!(read(0, &[]), Some(none.clone()));
    assert_eq!(read(libc::IFF_LOWER_UP, &[]), Some(LinkFacts { carrier: Carrier::Present, ..none.clone() }));
    let proto_down = |flags, value: &[u8]| read(flags, &[attribute(39, value)]).map(|facts| facts.carrier);
    assert_eq!(proto_down(0, &[1]), Some(Carrier::ProtoDown));
    assert_eq!(proto_down(0, &[0]), Some(Carrier::Absent));
    assert_eq!(proto_down(libc::IFF_LOWER_UP, &[1]), Some(Carrier::Present));
    assert_eq!(proto_down(0, &[]), None);
    assert_eq!(read(libc::IFF_LOOPBACK, &[]), Some(LinkFacts { loopback: true, ..none.clone() }));
    assert_eq!(read(libc::IFF_NOARP, &[]), Some(LinkFacts { no_arp: true, ..none }));
}

#[test]
fn an_xdp_program_is_there_if_its_kind_is_not_none() {
    let xdp = |attached: &[u8]| read(0, &[nest(43, &[attribute(2, attached)])]).unwrap().xdp;
    assert!(xdp(&[1]) && xdp(&[2]) && !xdp(&[0]));
    assert!(!read(0, &[nest(43, &[])]).unwrap().xdp);
}

#[test]
fn only_a_bridge_has_ports_of_a_bridge() {
    let port = |master: &[u8], data: &[Vec<u8>]| {
        let info = [attribute(1, b"veth\0"), attribute(4, master), nest(5, data)];
        read(0, &[nest(18, &info)]).map(|facts| facts.port)
    };
    let data =
        |state: u8| vec![attribute(1, &[state]), attribute(8, &[0]), attribute(9, &[0]), attribute(33, &[1])];
    for (number, state) in (0..).zip([
        PortState::Disabled,
        PortState::Listening,
        PortState::Learning,
        PortState::Forwarding,
        PortState::Blocking,
    ]) {
        let expected = BridgePort { state, isolated: true, learning: false, floods: false };
        assert_eq!(port(b"bridge\0", &data(number)), Some(Some(expected)));
    }
    assert_eq!(port(b"bridge\0", &data(5)), None, "no such state");
    assert_eq!(port(b"bond\0", &data(3)), Some(None));
    // An older kernel knows neither isolated ports nor those that do not learn.
    let old = BridgePort { state: PortState::Blocking, isolated: false, learning: true, floods: true };
    assert_eq!(port(b"bridge\0", &[attribute(1, &[4])]), Some(Some(old)));
}

#[test]
fn settings_of_a_bridge_are_read_of_a_bridge_alone() {
    let bridge = |kind: &[u8]| {
        let data = [attribute(5, &1u32.to_ne_bytes()), attribute(7, &[1]), attribute(36, &[1])];
        read(0, &[nest(18, &[attribute(1, kind), nest(2, &data)])]).unwrap().bridge
    };
    let expected = BridgeSettings { vlan_filtering: true, stp: true, nf_call_iptables: true };
    assert_eq!((bridge(b"bridge\0"), bridge(b"bond\0")), (Some(expected), None));
}

#[test]
fn the_link_below_a_vxlan_is_read() {
    let below = |data: &[Vec<u8>]| {
        read(0, &[nest(18, &[attribute(1, b"vxlan\0"), nest(2, data)])]).map(|facts| facts.link.iflink)
    };
    assert_eq!(below(&[attribute(3, &7u32.to_ne_bytes())]), Some(Some(7)));
    assert_eq!(below(&[attribute(3, &0u32.to_ne_bytes())]), Some(None));
    assert_eq!(below(&[]), Some(None));
    assert_eq!(below(&[attribute(3, &[7])]), None);
}

#[test]
fn settings_are_found_by_their_numbers_and_are_zero_where_a_kernel_has_none() {
    let (v4, v6): (Vec<i32>, Vec<i32>) = ((1..=33).collect(), (0..=60).collect());
    let family = |number, kind, values: &[i32]| nest(number, &[attribute(kind, &numbers(values))]);
    let facts = read(0, &[nest(26, &[family(2, 1, &v4), family(10, 2, &v6)])]).unwrap();
    let ipv4 = Ipv4Settings {
        forwarding: 1,
        rp_filter: 8,
        accept_local: 23,
        arp_ignore: 19,
        arp_filter: 13,
        proxy_arp: 3,
    };
    assert_eq!(
        (facts.ipv4, facts.ipv6),
        (ipv4, Some(Ipv6Settings { forwarding: 0, disabled: 26, force_forwarding: 57 }))
    );
    let facts = read(0, &[nest(26, &[family(2, 1, &v4[..9])])]).unwrap();
    let short = Ipv4Settings { forwarding: 1, rp_filter: 8, proxy_arp: 3, ..Ipv4Settings::default() };
    assert_eq!((facts.ipv4, facts.ipv6), (short, None));
}

/// An RTM_NEWROUTE of this type.
fn newroute(kind: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; RTMSG];
    bytes[7] = kind;
    bytes.extend(attributes.concat());
    bytes
}

#[test]
fn a_route_names_its_device_and_its_next_hop() {
    let device = attribute(4, &7u32.to_ne_bytes());
    let hop = Ipv4Addr::new(10, 0, 0, 1);
    let direct = HostRoute { ifindex: 7, gateway: None, local: false };
    assert_eq!(route(&newroute(1, std::slice::from_ref(&device))), Some(direct));
    let local = HostRoute { local: true, ..direct };
    assert_eq!(route(&newroute(2, std::slice::from_ref(&device))), Some(local));
    let gateway = attribute(5, &hop.octets());
    assert_eq!(
        route(&newroute(1, &[gateway, device.clone()])),
        Some(HostRoute { gateway: Some(hop.into()), ..direct })
    );
    let other: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
    let via = attribute(18, &[10u16.to_ne_bytes().as_slice(), &other.octets()].concat());
    assert_eq!(
        route(&newroute(1, &[device, via])),
        Some(HostRoute { gateway: Some(other.into()), ..direct })
    );
    assert_eq!(route(&newroute(1, &[])), None);
    assert_eq!(route(&[0; RTMSG - 1]), None);
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..20)) {
        let mut payload = captured(include_str!("../fixtures/veth.hex"));
        for (at, byte) in flips {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some((facts, target)) = link_facts(&payload) {
            let whole = super::super::link(&payload).unwrap();
            prop_assert_eq!((facts.link, target), (whole.link, whole.target));
        }
        route(&payload);
    }
}

#[test]
fn a_port_of_a_bond_a_bond_and_a_macvlan_are_read() {
    let info = |info: &[Vec<u8>]| read(0, &[nest(18, info)]).unwrap();
    let port =
        |state: u8| [attribute(1, b"veth\0"), attribute(4, b"bond\0"), nest(5, &[attribute(1, &[state])])];
    assert!(info(&port(1)).bond.backup && !info(&port(0)).bond.backup);
    let bond = info(&[attribute(1, b"bond\0"), nest(2, &[attribute(1, &[4])])]);
    assert_eq!((bond.bond.mode, bond.macvlan), (Some(4), None));
    let macvlan = |driver: &[u8], mode: u32| {
        info(&[attribute(1, driver), nest(2, &[attribute(1, &mode.to_ne_bytes())])]).macvlan
    };
    for (number, mode) in [
        (1, MacvlanMode::Private),
        (2, MacvlanMode::Vepa),
        (4, MacvlanMode::Bridge),
        (8, MacvlanMode::Further),
        (16, MacvlanMode::Further),
    ] {
        assert_eq!(macvlan(b"macvlan\0", number), Some(mode));
    }
    assert_eq!(macvlan(b"ipvlan\0", 1), None);
}

#[test]
fn vlans_of_untagged_frames_are_read_by_their_flags() {
    let entry = |flags: u16, vid: u16| attribute(2, &[flags.to_ne_bytes(), vid.to_ne_bytes()].concat());
    let of = |entries: &[Vec<u8>]| vlans(&message(0, &[nest(26, entries)]));
    let found = of(&[entry(6, 1), entry(0, 5), entry(4, 7), attribute(9, &[1])]);
    assert_eq!(found, Some((5, UntaggedVlans { pvid: Some(1), leaving: vec![1, 7] })));
    assert_eq!(of(&[]), Some((5, UntaggedVlans::default())));
    assert_eq!(of(&[attribute(2, &[0])]), None, "too short");
}
