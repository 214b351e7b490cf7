use super::*;
use proptest::prelude::*;

/// A message as the kernel sent it; the file says when.
pub(super) fn captured(hex: &str) -> Vec<u8> {
    let digits = hex.lines().filter(|line| !line.starts_with('#')).collect::<String>();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn veth() -> Vec<u8> {
    captured(include_str!("fixtures/veth.hex"))
}

/// `struct nlattr`: length, kind, value, padding.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An RTM_NEWLINK of ifindex 5 with these attributes.
fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; IFINFOMSG];
    bytes[4..8].copy_from_slice(&5u32.to_ne_bytes());
    bytes.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
    bytes
}

/// The same, named `v`.
fn named(attributes: &[(u16, &[u8])]) -> Option<Link> {
    let all = [&[(ifla::IFNAME, b"v\0".as_slice())], attributes].concat();
    link(&message(&all)).map(|message| message.link)
}

const FIVE_EACH_WAY: Counters = Counters {
    receive_bytes: 426,
    receive_packets: 5,
    receive_dropped: 0,
    transmit_bytes: 426,
    transmit_packets: 5,
    transmit_dropped: 0,
};

#[test]
fn a_hosts_end_is_read_as_the_kernel_sends_it() {
    let expected = Link {
        ifindex: 11,
        name: Name::from_bytes(b"veth0").unwrap(),
        kind: LinkKind::Veth,
        iflink: Some(2),
        peer_netns: PeerNetns::Nsid(7),
        master: Some(9),
        address: Mac::parse("02:00:00:00:00:11"),
        mtu: 1_400,
        up: true,
        enabled: true,
        qdisc: Name::from_bytes(b"noqueue").unwrap(),
        carrier_changes: 2,
        counters: FIVE_EACH_WAY,
    };
    assert_eq!(
        link(&veth()),
        Some(LinkMessage {
            link: expected,
            errors: Errors::default(),
            target: None,
            about_link: true,
            moved: false
        })
    );
}

#[test]
fn an_end_of_a_netkit_is_read_as_the_kernel_sends_it() {
    let counters = Counters {
        receive_bytes: 104_200,
        receive_packets: 100,
        transmit_bytes: 10_840,
        transmit_packets: 20,
        ..Counters::default()
    };
    let l2 = Link {
        ifindex: 5,
        name: Name::from_bytes(b"nkl2").unwrap(),
        kind: LinkKind::Netkit,
        iflink: Some(4),
        peer_netns: PeerNetns::Nsid(0),
        master: None,
        address: Mac::parse("02:00:00:00:00:01"),
        mtu: 1_500,
        up: true,
        enabled: true,
        qdisc: Name::from_bytes(b"noqueue").unwrap(),
        carrier_changes: 2,
        counters,
    };
    let l3 = Link {
        ifindex: 7,
        name: Name::from_bytes(b"nkl3").unwrap(),
        iflink: Some(6),
        peer_netns: PeerNetns::Nsid(1),
        address: None,
        ..l2
    };
    let read = |hex| link(&captured(hex)).map(|message| message.link);
    assert_eq!(read(include_str!("fixtures/netkit_l2.hex")), Some(l2));
    assert_eq!(read(include_str!("fixtures/netkit_l3.hex")), Some(l3));
}

#[test]
fn a_netkit_without_a_peer_is_another_link() {
    let single = captured(include_str!("fixtures/netkit_single.hex"));
    let read = link(&single).unwrap().link;
    assert_eq!((read.kind, read.iflink, read.ifindex), (LinkKind::Other, None, 10));
    let (alone, _) = described(&single).unwrap();
    assert_eq!((alone.driver.as_str(), alone.single), ("netkit", true));
    let (pair, _) = described(&captured(include_str!("fixtures/netkit_l2.hex"))).unwrap();
    assert_eq!((pair.driver.as_str(), pair.single), ("netkit", false));
}

#[test]
fn an_end_in_another_namespace_says_which_one_it_is_in() {
    let read = link(&captured(include_str!("fixtures/eth0.hex"))).unwrap();
    assert_eq!(read.target, Some(7));
    let Link { ifindex, iflink, peer_netns, master, address, mtu, .. } = read.link;
    assert_eq!((ifindex, iflink, peer_netns, master, mtu), (2, Some(11), PeerNetns::Nsid(0), None, 1_500));
    assert_eq!((read.link.name.to_string().as_str(), address), ("eth0", Mac::parse("02:00:00:00:00:02")));
}

#[test]
fn counters_and_ids_are_read_as_the_kernel_sends_them() {
    assert_eq!(stats(&captured(include_str!("fixtures/stats.hex"))), Some((11, FIVE_EACH_WAY)));
    assert_eq!(nsid(&captured(include_str!("fixtures/nsid.hex"))), Some(Some(7)));
}

#[test]
fn a_namespace_without_an_id_is_an_answer_and_one_without_the_attribute_is_not() {
    let answer = |attributes: &[u8]| nsid(&[[0; RTGENMSG].as_slice(), attributes].concat());
    assert_eq!(answer(&attribute(NETNSA_NSID, &(-1i32).to_ne_bytes())), Some(None));
    assert_eq!(answer(&attribute(99, &[0; 4])), None);
    assert_eq!(answer(&[]), None);
}

#[test]
fn a_message_cut_anywhere_is_refused_or_lacks_what_was_cut() {
    let whole = veth();
    let full = link(&whole).unwrap().link;
    for length in 0..whole.len() {
        // A cut between two attributes cannot be told from a message that has no more of them.
        if let Some(cut) = link(&whole[..length]) {
            assert_eq!((cut.link.ifindex, cut.link.name), (full.ifindex, full.name), "cut at {length}");
        }
    }
    let ends = |bytes: &[u8]| (0..bytes.len()).filter(|&length| link(&bytes[..length]).is_some()).count();
    // 80 attributes or so, and not 1,800 bytes: a cut within one is noticed.
    assert!(ends(&whole) < 200, "{} of {} cuts were taken for whole", ends(&whole), whole.len());
    let whole = captured(include_str!("fixtures/stats.hex"));
    for length in 0..whole.len() {
        assert_eq!(stats(&whole[..length]), None, "cut at {length}");
    }
    let whole = captured(include_str!("fixtures/nsid.hex"));
    for length in 0..whole.len() {
        assert_eq!(nsid(&whole[..length]), None, "cut at {length}");
    }
}

#[test]
fn an_attribute_with_an_impossible_length_makes_the_message_unreadable() {
    for length in [0u16, 1, 3, 9, u16::MAX] {
        let mut bytes = message(&[(ifla::IFNAME, b"v\0"), (ifla::MTU, &[0; 4])]);
        // The second attribute begins behind the header and 8 bytes of the first.
        bytes[IFINFOMSG + 8..IFINFOMSG + 10].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(link(&bytes), None, "length {length}");
    }
}

#[test]
fn a_value_of_another_size_than_its_type_makes_the_message_unreadable() {
    for kind in
        [ifla::MTU, ifla::LINK, ifla::MASTER, ifla::CARRIER_CHANGES, ifla::LINK_NETNSID, ifla::TARGET_NETNSID]
    {
        for size in [0, 1, 2, 3, 5, 8] {
            assert_eq!(named(&[(kind, &vec![0; size])]), None, "{size} bytes of attribute {kind}");
        }
    }
    assert_eq!(named(&[(ifla::OPERSTATE, &[])]), None);
}

#[test]
fn the_counters_may_have_any_length_that_holds_the_known_ones() {
    // `struct rtnl_link_stats64` had 23 fields, then rx_nohandler, then rx_otherhost_dropped.
    for length in [64, 184, 192, 200, 208, 4_096] {
        let value: Vec<u8> = (0..length / 8).flat_map(|field: u64| (field + 1).to_ne_bytes()).collect();
        let expected = Counters {
            receive_packets: 1,
            transmit_packets: 2,
            receive_bytes: 3,
            transmit_bytes: 4,
            receive_dropped: 7,
            transmit_dropped: 8,
        };
        let read = named(&[(ifla::STATS64, &value)]).unwrap();
        assert_eq!(read.counters, expected, "{length} bytes in a link message");
        assert_eq!(errors(&value), Some(Errors { receive: 5, transmit: 6 }));
        let mut bytes = vec![0; IF_STATS_MSG];
        bytes[4..8].copy_from_slice(&5u32.to_ne_bytes());
        bytes.extend(attribute(ifla::STATS_LINK_64, &value));
        assert_eq!(stats(&bytes), Some((5, expected)), "{length} bytes in a statistics message");
    }
    for length in [0, 1, 8, 63] {
        assert_eq!(named(&[(ifla::STATS64, &vec![0; length])]), None, "{length} bytes");
    }
}

#[test]
fn a_name_is_bytes_and_there_must_be_one() {
    let name = |raw: &[u8]| link(&message(&[(ifla::IFNAME, raw)])).map(|read| read.link.name.to_string());
    assert_eq!(name(b"v\xff\xfe\0").as_deref(), Some(r"v\xff\xfe"));
    assert_eq!(name(b"a\"b\\\0").as_deref(), Some(r#"a"b\\"#));
    assert_eq!(name(b"no-nul").as_deref(), Some("no-nul"));
    assert_eq!(name(b""), None);
    assert_eq!(name(b"\0"), None);
    assert_eq!(name(b"sixteen bytes!!!\0"), None);
    assert_eq!(link(&message(&[])), None);
    let mut without_index = message(&[(ifla::IFNAME, b"v\0")]);
    without_index[4..8].fill(0);
    assert_eq!(link(&without_index), None);
}

#[test]
fn what_the_peer_is_and_where_has_its_special_values() {
    let ids = |value: i32| named(&[(ifla::LINK_NETNSID, &value.to_ne_bytes())]).unwrap().peer_netns;
    assert_eq!([ids(0), ids(7), ids(-1)], [PeerNetns::Nsid(0), PeerNetns::Nsid(7), PeerNetns::Unassigned]);
    let plain = named(&[]).unwrap();
    assert_eq!((plain.peer_netns, plain.iflink, plain.master), (PeerNetns::Same, None, None));
    let zero = named(&[(ifla::LINK, &[0; 4]), (ifla::MASTER, &[0; 4])]).unwrap();
    assert_eq!((zero.iflink, zero.master), (None, None));
}

#[test]
fn an_address_that_is_not_of_ethernet_is_left_out() {
    // InfiniBand's has 20 bytes, a tunnel's 4 or 16.
    for length in [0, 4, 5, 7, 16, 20] {
        assert_eq!(named(&[(ifla::ADDRESS, &vec![1; length])]).unwrap().address, None, "{length} bytes");
    }
}

#[test]
fn the_driver_is_read_from_the_nested_attribute_with_or_without_its_flag_and_nul() {
    /// NLA_F_NESTED, from linux/netlink.h.
    const NESTED: u16 = 1 << 15;
    let kind = |flag, name: &[u8]| {
        let nested = attribute(ifla::INFO_KIND, name);
        named(&[(ifla::LINKINFO | flag, &nested)]).unwrap().kind
    };
    for flag in [0, NESTED] {
        assert_eq!(kind(flag, b"veth\0"), LinkKind::Veth);
        assert_eq!(kind(flag, b"veth"), LinkKind::Veth);
        assert_eq!(kind(flag, b"bridge\0"), LinkKind::Bridge);
        assert_eq!(kind(flag, b"openvswitch\0"), LinkKind::OpenVswitch);
        assert_eq!(kind(flag, b"netkit\0"), LinkKind::Netkit);
        assert_eq!(kind(flag, b"vrf\0"), LinkKind::Vrf);
        assert_eq!(kind(flag, b"veth2\0"), LinkKind::Other);
        assert_eq!(kind(flag, b""), LinkKind::Other);
    }
    let netkit = |pairing: u32| {
        let data = attribute(ifla::NETKIT_PAIRING, &pairing.to_ne_bytes());
        let parts = [attribute(ifla::INFO_KIND, b"netkit\0"), attribute(ifla::INFO_DATA, &data)];
        named(&[(ifla::LINKINFO, &parts.concat())]).unwrap().kind
    };
    assert_eq!([netkit(0), netkit(1)], [LinkKind::Netkit, LinkKind::Other]);
    // IFLA_INFO_SLAVE_KIND alone: what its master is.
    assert_eq!(named(&[(ifla::LINKINFO, &attribute(4, b"veth\0"))]).unwrap().kind, LinkKind::Other);
    assert_eq!(named(&[(ifla::LINKINFO, &[9, 0])]), None, "nested bytes that are no attribute");
}

/// A message of ifindex 5 about the queue discipline with this parent and these attributes.
fn of_qdisc(parent: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; TCMSG];
    bytes[4..8].copy_from_slice(&5u32.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes.extend(attributes.iter().flat_map(|(kind, value)| attribute(*kind, value)));
    bytes
}

#[test]
fn a_queue_discipline_is_read_as_the_kernel_sends_it() {
    let counters = QueueCounters { drops: 25, overlimits: 30, backlog_bytes: 5_000, backlog_packets: 5 };
    let reading = QueueReading { ifindex: 3, kind: Name::from_bytes(b"tbf").unwrap(), counters };
    let whole = captured(include_str!("fixtures/qdisc.hex"));
    assert_eq!(qdisc(&whole), Some(Some(reading)));
    for (kind, expected) in [(RTM_NEWQDISC, Some(reading.kind)), (RTM_DELQDISC, None)] {
        let told = event(kind, &whole, None, Some(0));
        assert_eq!(told, Some(Some(Event::Qdisc { ifindex: 3, kind: expected })));
        assert_eq!(event(kind, &whole, Some(4), Some(0)), Some(None), "of another namespace");
    }
    for length in 0..whole.len() {
        // A cut between two attributes cannot be told from a message that has no more of them.
        if let Some(cut) = qdisc(&whole[..length]) {
            let cut = cut.unwrap();
            assert_eq!((cut.ifindex, cut.kind), (3, reading.kind), "cut at {length}");
        }
    }
}

#[test]
fn a_notification_of_the_samplers_own_reading_is_told_from_a_change_by_its_port() {
    let message = |kind: u16, port: u32| {
        let mut bytes = 16u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(port.to_ne_bytes());
        bytes
    };
    assert!(is_reading_by(&message(RTM_NEWQDISC, 7), 7));
    for other in [message(RTM_NEWQDISC, 8), message(RTM_DELQDISC, 7), message(RTM_NEWLINK, 7)] {
        assert!(!is_reading_by(&other, 7));
    }
    assert!((0..16).all(|length| !is_reading_by(&message(RTM_NEWQDISC, 7)[..length], 7)));
}

#[test]
fn only_the_root_is_read_and_odd_attributes_make_a_root_unreadable() {
    let tbf = (tca::KIND, b"tbf\0".as_slice());
    for parent in [0, 1, 0x1_0001, 0xffff_fff1, u32::MAX - 1] {
        assert_eq!(qdisc(&of_qdisc(parent, &[tbf])), Some(None), "{parent:x}");
    }
    let root = |attributes: &[(u16, &[u8])]| qdisc(&of_qdisc(TC_H_ROOT, attributes)).flatten();
    assert_eq!(root(&[tbf]).unwrap().counters, QueueCounters::default());
    let kind = |raw: &[u8]| root(&[(tca::KIND, raw)]).map(|read| read.kind.to_string());
    assert_eq!(kind(b"q\xff\"\0").as_deref(), Some(r#"q\xff""#));
    for odd in [b"".as_slice(), b"\0", b"sixteen bytes!!!\0"] {
        assert_eq!(kind(odd), None, "{odd:?}");
    }
    assert_eq!(root(&[]), None);
    let numbers = |length: usize| {
        let value: Vec<u8> = (1u32..).flat_map(u32::to_ne_bytes).take(length).collect();
        let nested = attribute(tca::STATS_QUEUE, &value);
        root(&[tbf, (tca::STATS2, &nested)]).map(|read| read.counters)
    };
    let expected = QueueCounters { backlog_packets: 1, backlog_bytes: 2, drops: 3, overlimits: 5 };
    assert_eq!([numbers(20), numbers(24)], [Some(expected); 2]);
    assert_eq!([0, 1, 16, 19].map(numbers), [None; 4]);
    assert_eq!(root(&[tbf, (tca::STATS2, &[9, 0])]), None, "nested bytes that are no attribute");
    let mut without_index = of_qdisc(TC_H_ROOT, &[tbf]);
    without_index[4..8].fill(0);
    assert_eq!(qdisc(&without_index), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = (link(&bytes), stats(&bytes), nsid(&bytes), qdisc(&bytes));
    }

    #[test]
    fn no_damage_to_a_real_message_panics(
        damage in prop::collection::vec((0..1_844usize, any::<u8>()), 1..8),
        length in 0..1_845usize,
    ) {
        let mut bytes = veth();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        let _ = (link(&bytes[..length]), stats(&bytes[..length]), nsid(&bytes[..length]));
    }
}

#[test]
fn a_link_is_described_with_all_its_names_and_its_driver() {
    let properties = [
        attribute(ifla::ALT_IFNAME, b"uplink\0"),
        attribute(ifla::ALT_IFNAME, b"v\xff\0"),
        attribute(99, b"x"),
    ]
    .concat();
    let info = attribute(ifla::INFO_KIND, b"bond");
    let mut payload = message(&[
        (ifla::IFNAME, b"bond0\0"),
        (ifla::IFALIAS, b"to the core\0"),
        (ifla::PROP_LIST, &properties),
        (ifla::LINKINFO, &info),
        (ifla::LINK, &7u32.to_ne_bytes()),
        (ifla::TARGET_NETNSID, &4u32.to_ne_bytes()),
    ]);
    let wanted = DescribedLink {
        ifindex: 5,
        name: Name::from_bytes(b"bond0").unwrap(),
        alternatives: vec!["uplink".into(), r"v\xff".into()],
        alias: "to the core".into(),
        driver: "bond".into(),
        loopback: false,
        single: false,
        iflink: Some(7),
        address: None,
    };
    assert_eq!(described(&payload), Some((wanted.clone(), Some(4))));
    payload[2..4].copy_from_slice(&libc::ARPHRD_LOOPBACK.to_ne_bytes());
    assert_eq!(described(&payload), Some((DescribedLink { loopback: true, ..wanted }, Some(4))));
    // As the kernel sends it.
    let (link, target) = described(&veth()).unwrap();
    assert_eq!((link.name.to_string().as_str(), link.driver.as_str(), target), ("veth0", "veth", None));
    for length in 0..payload.len() {
        // Nothing but a whole attribute is read.
        let _ = described(&payload[..length]);
    }
}
