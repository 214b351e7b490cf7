//! The MTU of tunnels.

use super::*;

/// A VXLAN `vx0` with this ifindex and MTU.
fn vxlan(ifindex: u32, mtu: u32) -> LinkFacts {
    let mut tunnel = link(ifindex, "vx0");
    (tunnel.link.kind, tunnel.link.mtu) = (LinkKind::Vxlan, mtu);
    tunnel
}

/// A tunnel as a port of br0, and the question from a container to an address behind it.
fn behind_bridge(mtu: u32) -> (HostFacts, ExplainQuestion) {
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        let mut port = vxlan(20, mtu);
        port.link.master = Some(10);
        host.links.push(port);
    });
    let to_address = Some("10.9.0.9".parse().unwrap());
    (facts, ExplainQuestion { to: None, to_address, ..BETWEEN })
}

#[test]
fn the_one_way_out_of_a_bridge_is_compared_with_the_end() {
    let (facts, question) = behind_bridge(1450);
    let explanation = explain(&facts, &question);
    let [finding] = explanation.findings.as_slice() else { panic!("{explanation:#?}") };
    assert_eq!((finding.rule, finding.grade, finding.in_part), ("tunnel_mtu", Grade::Reason, true));
    assert_eq!(
        finding.text,
        "eth0 of docker/c1 has an MTU of 1500 bytes and vx0 of the host one of 1450: longer frames than 1450 bytes are dropped"
    );
    assert_eq!(finding.by_hand, "ip -d link show dev vx0");
    assert_eq!(
        finding.remedy,
        ["nsenter -n -t 1001 ip link set dev eth0 mtu 1450", "ip link set dev p1 mtu 1450"]
    );
}

#[test]
fn a_tunnel_that_is_wide_enough_or_not_the_way_has_no_finding() {
    let (facts, question) = behind_bridge(1500);
    assert_eq!(rules(&facts, &question), [""; 0]);
    // Between two ends of the bridge no frame takes the tunnel.
    let (mut facts, question) = behind_bridge(1450);
    assert_eq!(rules(&facts, &BETWEEN), [""; 0]);
    // With two ways out it is not known which one a frame takes.
    change(&mut facts, 0, |host| {
        let mut card = link(21, "up0");
        card.link.master = Some(10);
        host.links.push(card);
    });
    assert_eq!(rules(&facts, &question), [""; 0]);
    // By a gateway the destination is another one.
    let (mut facts, question) = behind_bridge(1450);
    change(&mut facts, 1, |netns| {
        netns.routes = Some(vec![IpRoute {
            gateway: Some("10.9.0.1".parse().unwrap()),
            ..route("10.9.0.9/32", "eth0")
        }]);
    });
    assert!(!rules(&facts, &question).contains(&"tunnel_mtu"));
}

#[test]
fn a_tunnel_on_an_end_needs_room_for_its_headers() {
    for (own, mtu, room) in [
        ("10.9.0.2/24", 1450, None),
        ("10.9.0.2/24", 1451, Some("1501")),
        ("fd00:9::2/64", 1430, None),
        ("fd00:9::2/64", 1431, Some("1501")),
    ] {
        let mut facts = bridged();
        change(&mut facts, 1, |netns| {
            netns.addresses = vec![address(2, own)];
            netns.routes = Some(vec![route("10.9.0.0/24", "eth0"), route("fd00:9::/64", "eth0")]);
            let mut tunnel = vxlan(3, mtu);
            (tunnel.link.iflink, tunnel.link.peer_netns) = (Some(2), PeerNetns::Same);
            netns.links.push(tunnel);
        });
        change(&mut facts, 2, |netns| {
            netns.addresses = vec![address(2, "10.9.0.3/24"), address(2, "fd00:9::3/64")];
            netns.routes = Some(vec![route("10.9.0.0/24", "eth0"), route("fd00:9::/64", "eth0")]);
        });
        let findings = explain(&facts, &BETWEEN).findings;
        let grades: Vec<_> = findings.iter().map(|finding| (finding.rule, finding.grade)).collect();
        let Some(room) = room else {
            assert_eq!(grades, [], "{own} {mtu}");
            continue;
        };
        assert_eq!(grades, [("tunnel_mtu", Grade::Possibility)], "{own} {mtu}");
        let last = format!("ip link set dev p1 mtu {room}");
        assert!(findings[0].remedy.contains(&last), "{:?}", findings[0].remedy);
        // A tunnel that is off, or on another link, sends nothing here.
        for (enabled, iflink) in [(false, 2), (true, 9)] {
            change(&mut facts, 1, |netns| {
                (netns.links[1].link.enabled, netns.links[1].link.iflink) = (enabled, Some(iflink));
            });
            assert_eq!(rules(&facts, &BETWEEN), [""; 0], "{own} {enabled} {iflink}");
        }
    }
}
