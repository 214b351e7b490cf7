//! The rules by facts that are made by hand; tests/kernel/explain.rs has the scenes in real namespaces.

use super::facts::{
    BridgePort, BridgeSettings, Carrier, HostRoute, IpRoute, Ipv4Settings, LinkFacts, Lookup, LookupFailure,
    MacvlanMode, NetnsFacts, PortState, StackFacts, UntaggedVlans,
};
use super::*;
use crate::model::link::{IpAddress, Link, LinkKind, Mac, Name, PeerNetns};
use std::sync::Arc;

/// A link that is switched on and has a carrier.
fn link(ifindex: u32, name: &str) -> LinkFacts {
    let link = Link {
        ifindex,
        name: Name::from_bytes(name.as_bytes()).unwrap(),
        mtu: 1500,
        enabled: true,
        up: true,
        address: Some(Mac([2, 0, 0, 0, 0, ifindex as u8])),
        ..Link::default()
    };
    LinkFacts { link, carrier: Carrier::Present, ..LinkFacts::default() }
}

fn veth(ifindex: u32, name: &str, peer: u32, peer_netns: PeerNetns) -> LinkFacts {
    let mut end = link(ifindex, name);
    (end.link.kind, end.link.iflink, end.link.peer_netns) = (LinkKind::Veth, Some(peer), peer_netns);
    end
}

fn address(ifindex: u32, text: &str) -> IpAddress {
    let (address, prefix) = text.split_once('/').unwrap();
    IpAddress { ifindex, address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
}

fn route(destination: &str, device: &str) -> IpRoute {
    let (address, prefix) = destination.split_once('/').unwrap();
    IpRoute {
        destination: address.parse().unwrap(),
        prefix: prefix.parse().unwrap(),
        gateway: None,
        device: device.to_owned(),
        metric: 0,
        refuses: false,
    }
}

/// A namespace with `eth0`, ifindex 2, whose port is the host's link with the index of `port`.
fn container(nsid: u32, port: u32, own: &str) -> NetnsFacts {
    let mut end = veth(2, "eth0", port, PeerNetns::Host);
    end.link.address = Some(Mac([2, 0, 0, 0, 1, nsid as u8]));
    NetnsFacts {
        nsid: Some(nsid),
        label: format!("docker/c{nsid}"),
        enter: format!("nsenter -n -t {} ", 1000 + nsid),
        links: vec![end].into(),
        addresses: vec![address(2, own)],
        routes: Some(vec![route("10.9.0.0/24", "eth0")]),
        neighbours: Some(Vec::new()),
        stack: Some(StackFacts::default()),
        ..NetnsFacts::default()
    }
}

/// Two containers on br0.
fn bridged() -> HostFacts {
    let mut bridge = link(10, "br0");
    bridge.link.kind = LinkKind::Bridge;
    let port = |ifindex: u32, nsid: u32| {
        let mut port = veth(ifindex, &format!("p{nsid}"), 2, PeerNetns::Nsid(nsid));
        port.link.master = Some(10);
        port.port = Some(BridgePort::default());
        port
    };
    let host = NetnsFacts {
        links: vec![bridge, port(11, 1), port(12, 2)].into(),
        routes: Some(Vec::new()),
        all: Some(Ipv4Settings::default()),
        ..NetnsFacts::default()
    };
    let namespaces = [host, container(1, 11, "10.9.0.2/24"), container(2, 12, "10.9.0.3/24")];
    HostFacts { namespaces: namespaces.map(Arc::new).into(), ..HostFacts::default() }
}

const BETWEEN: ExplainQuestion = ExplainQuestion {
    from: LinkIndex { netns: 1, ifindex: 2 },
    from_address: None,
    to: Some(LinkIndex { netns: 2, ifindex: 2 }),
    to_address: None,
    port: None,
};

fn change(facts: &mut HostFacts, netns: usize, change: impl FnOnce(&mut NetnsFacts)) {
    change(Arc::get_mut(&mut facts.namespaces[netns]).unwrap());
}

fn rules(facts: &HostFacts, question: &ExplainQuestion) -> Vec<&'static str> {
    explain(facts, question).findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn two_ends_on_one_bridge_have_nothing_wrong_and_a_way_of_five_links() {
    let facts = bridged();
    let explanation = explain(&facts, &BETWEEN);
    assert_eq!(explanation.findings, []);
    let way =
        ["eth0 of docker/c1", "p1 of the host", "br0 of the host", "p2 of the host", "eth0 of docker/c2"];
    assert_eq!(explanation.way, way);
    assert_eq!(explanation.addresses, Some(["10.9.0.2".parse().unwrap(), "10.9.0.3".parse().unwrap()]));
    let unknown = |nsid| format!("net.ipv4.conf.all, policy rules and packet filters of docker/c{nsid}");
    assert_eq!(explanation.not_checked, [unknown(1), unknown(2)]);
}

#[test]
fn a_link_that_is_off_is_the_one_reason_and_what_follows_from_it_is_none() {
    let mut facts = bridged();
    // The kernel takes the carrier of the peer and disables the port.
    change(&mut facts, 2, |netns| {
        netns.links[0].link.enabled = false;
        netns.links[0].carrier = Carrier::Absent;
        netns.routes = Some(Vec::new());
    });
    change(&mut facts, 0, |netns| {
        netns.links[2].carrier = Carrier::Absent;
        netns.links[2].port = Some(BridgePort { state: PortState::Disabled, ..BridgePort::default() });
    });
    let explanation = explain(&facts, &BETWEEN);
    let [finding] = explanation.findings.as_slice() else { panic!("{explanation:#?}") };
    assert_eq!((finding.rule, finding.grade), ("link_down", Grade::Reason));
    assert_eq!(finding.text, "eth0 of docker/c2 is switched off");
    assert_eq!(finding.by_hand, "nsenter -n -t 1002 ip link show dev eth0");
    assert_eq!(finding.remedy, ["nsenter -n -t 1002 ip link set dev eth0 up"]);
}

#[test]
fn causes_come_in_the_order_of_the_way_and_what_stops_only_long_packets_after_them() {
    let mut facts = bridged();
    change(&mut facts, 0, |netns| {
        netns.links[1].link.mtu = 1400;
        netns.links[2].link.enabled = false;
    });
    change(&mut facts, 1, |netns| netns.links[0].no_arp = true);
    assert_eq!(rules(&facts, &BETWEEN), ["arp_off", "link_down", "mtu_mismatch"]);
}

#[test]
fn what_depends_on_a_setting_of_all_in_another_namespace_is_a_possibility() {
    let mut facts = bridged();
    change(&mut facts, 1, |netns| {
        let mut other = veth(3, "eth1", 2, PeerNetns::Same);
        other.link.address = None;
        netns.links[0] = veth(2, "eth0", 3, PeerNetns::Same);
        netns.links.push(other);
        netns.addresses.push(address(3, "10.9.0.7/24"));
    });
    let question = ExplainQuestion { to: Some(LinkIndex { netns: 1, ifindex: 3 }), ..BETWEEN };
    let explanation = explain(&facts, &question);
    let [finding] = explanation.findings.as_slice() else { panic!("{explanation:#?}") };
    assert_eq!((finding.rule, finding.grade), ("accept_local", Grade::Possibility));
    assert!(finding.text.contains("unless net.ipv4.conf.all.accept_local is 1"), "{finding:?}");
    assert!(!explanation.has_finding());
    // A strict value of the device counts whatever the one of all is.
    change(&mut facts, 1, |netns| netns.links[1].ipv4.rp_filter = 1);
    assert!(explain(&facts, &question).has_finding());
}

#[test]
fn names_that_a_shell_would_obey_are_quoted_in_commands() {
    let mut facts = bridged();
    change(&mut facts, 2, |netns| {
        netns.links[0].link.name = Name::from_bytes(b"$(reboot);").unwrap();
        netns.links[0].link.enabled = false;
    });
    let explanation = explain(&facts, &BETWEEN);
    assert_eq!(explanation.findings[0].remedy, ["nsenter -n -t 1002 ip link set dev $'$(reboot);' up"]);
}

#[test]
fn a_namespace_that_nothing_leads_into_has_no_command_that_would_run_on_the_host() {
    let mut facts = bridged();
    change(&mut facts, 2, |netns| {
        netns.enter = String::new();
        netns.links[0].link.enabled = false;
    });
    let explanation = explain(&facts, &BETWEEN);
    let [finding] = explanation.findings.as_slice() else { panic!("{explanation:#?}") };
    assert_eq!((finding.rule, finding.by_hand.as_str()), ("link_down", ""));
    assert_eq!(finding.remedy, [""; 0]);
}

#[test]
fn ends_that_nothing_joins_have_a_way_that_is_not_checked() {
    let mut facts = bridged();
    change(&mut facts, 2, |netns| netns.links[0].link.peer_netns = PeerNetns::Elsewhere);
    let explanation = explain(&facts, &BETWEEN);
    assert!(explanation.not_checked.iter().any(|fact| fact.starts_with("how the two ends are joined")));
}

#[test]
fn connections_that_were_dropped_since_the_earlier_reading_are_a_symptom() {
    let dropped = |earlier: Option<u64>, now: u64| {
        let mut facts = bridged();
        change(&mut facts, 1, |netns| {
            let stack = |listen_overflows| StackFacts { listen_overflows, ..StackFacts::default() };
            (netns.earlier, netns.stack) = (earlier.map(stack), Some(stack(now)));
        });
        let findings = explain(&facts, &BETWEEN).findings;
        findings.iter().map(|finding| (finding.grade, finding.text.clone())).collect::<Vec<_>>()
    };
    let text = "docker/c1 has dropped 3 connections, as the queue of their socket was full";
    assert_eq!(dropped(Some(4), 7), [(Grade::Symptom, text.to_owned())]);
    for (earlier, now) in [(None, 7), (Some(7), 7), (Some(9), 2)] {
        assert_eq!(dropped(earlier, now), [], "{earlier:?} {now}");
    }
}

#[test]
fn findings_that_need_no_second_end_are_problems_of_the_host() {
    let finding = |rule, grade| Finding {
        rule,
        grade,
        text: "a sentence".to_owned(),
        by_hand: "ip link".to_owned(),
        remedy: Vec::new(),
        hop: 0,
        in_part: false,
        for_now: false,
    };
    let found = |finding: Finding| {
        let of = finding.as_checked()?;
        Some((of.kind, of.severity, of.remedy))
    };
    let see = "see: ip link".to_owned();
    let wanted = (ProblemKind::NoRoute, Severity::Critical, see.clone());
    assert_eq!(found(finding("no_route", Grade::Reason)), Some(wanted));
    let wanted = (ProblemKind::NeighbourFailed, Severity::Warning, see);
    assert_eq!(found(finding("neighbour_failed", Grade::Symptom)), Some(wanted));
    let remedy = vec!["one".to_owned(), "two".to_owned()];
    let wanted = (ProblemKind::ArpOff, Severity::Warning, "one; two".to_owned());
    assert_eq!(found(Finding { remedy, in_part: true, ..finding("arp_off", Grade::Reason) }), Some(wanted));
    assert_eq!(found(finding("rp_filter", Grade::Possibility)), None);
    assert_eq!(found(Finding { for_now: true, ..finding("port_not_forwarding", Grade::Reason) }), None);
    // What a tick finds is a problem already, a port is in a question alone, an address may be wanted absent.
    for rule in ["link_down", "mtu_mismatch", "duplicate_address", "not_listening", "no_address"] {
        assert_eq!(found(finding(rule, Grade::Reason)), None, "{rule}");
    }
}

#[test]
fn an_end_that_is_gone_has_an_empty_explanation() {
    let facts = bridged();
    let gone = ExplainQuestion { from: LinkIndex { netns: 1, ifindex: 99 }, ..BETWEEN };
    assert_eq!(explain(&facts, &gone), Explanation::default());
    let gone = ExplainQuestion { to: Some(LinkIndex { netns: 7, ifindex: 2 }), ..BETWEEN };
    assert_eq!(rules(&facts, &gone), Vec::<&str>::new());
}

#[test]
fn a_gateway_is_the_next_hop_of_the_widest_route_by_the_same_device() {
    let mut facts = bridged();
    let place = LinkIndex { netns: 1, ifindex: 2 };
    assert_eq!(gateway(&facts, place), None);
    change(&mut facts, 1, |netns| {
        let via = |destination, gateway: &str, device| IpRoute {
            gateway: Some(gateway.parse().unwrap()),
            ..route(destination, device)
        };
        let routes = netns.routes.as_mut().unwrap();
        routes.push(via("10.1.0.0/16", "10.9.0.7", "eth0"));
        routes.push(via("0.0.0.0/0", "10.8.0.1", "eth1"));
        routes.push(via("0.0.0.0/0", "10.9.0.1", "eth0"));
    });
    assert_eq!(gateway(&facts, place), Some("10.9.0.1".parse().unwrap()));
}

fn untagged(pvid: u16, leaving: &[u16]) -> Option<UntaggedVlans> {
    Some(UntaggedVlans { pvid: Some(pvid).filter(|pvid| *pvid != 0), leaving: leaving.to_vec() })
}

#[test]
fn ports_without_a_vlan_in_common_for_frames_without_a_tag_are_a_reason() {
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        host.links[0].bridge = Some(BridgeSettings { vlan_filtering: true, ..BridgeSettings::default() });
    });
    let found = explain(&facts, &BETWEEN);
    let [finding] = found.findings.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.rule, finding.grade), ("port_vlan", Grade::Possibility), "what was not read");
    for (one, other, remedy) in [
        (untagged(1, &[1]), untagged(1, &[1]), &[][..]),
        (untagged(10, &[10]), untagged(1, &[1]), &["bridge vlan add dev p2 vid 10 pvid untagged"][..]),
        (untagged(10, &[10]), untagged(1, &[1, 10]), &["bridge vlan add dev p2 vid 10 pvid untagged"]),
        (untagged(0, &[]), untagged(7, &[7]), &["bridge vlan add dev p1 vid 7 pvid untagged"]),
        (untagged(7, &[]), untagged(7, &[7]), &["bridge vlan add dev p1 vid 7 pvid untagged"]),
        // Each leaves by the other's VLAN: two VLANs, one for each direction.
        (untagged(10, &[20]), untagged(20, &[10]), &[]),
    ] {
        change(&mut facts, 0, |host| {
            (host.links[1].vlans, host.links[2].vlans) = (one.clone(), other.clone());
        });
        let found = explain(&facts, &BETWEEN).findings;
        let remedies: Vec<&str> = found.iter().flat_map(|found| &found.remedy).map(String::as_str).collect();
        assert_eq!(remedies, remedy, "{one:?} {other:?}");
        assert!(found.iter().all(|found| found.grade == Grade::Reason), "{found:?}");
    }
    // The bridge itself is a port, too.
    change(&mut facts, 0, |host| {
        host.links[0].vlans = untagged(1, &[1]);
        host.links[1].vlans = untagged(10, &[10]);
        host.addresses = vec![address(10, "10.9.0.1/24")];
    });
    let question = ExplainQuestion { to: Some(LinkIndex { netns: 0, ifindex: 10 }), ..BETWEEN };
    let found = explain(&facts, &question).findings;
    assert_eq!(found[0].remedy, ["bridge vlan add dev br0 vid 10 pvid untagged self"]);
}

#[test]
fn a_port_of_a_bond_that_is_not_in_use_is_a_reason_unless_the_end_has_another_way() {
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        (host.links[0].link.kind, host.links[0].bond.mode) = (LinkKind::Bond, Some(1));
        host.links[1].port = None;
        host.links[1].bond.backup = true;
        host.addresses = vec![address(10, "10.9.0.1/24")];
    });
    let question = ExplainQuestion { to: Some(LinkIndex { netns: 0, ifindex: 10 }), ..BETWEEN };
    let found = explain(&facts, &question).findings;
    assert_eq!(found[0].rule, "bond_backup");
    assert_eq!(found[0].remedy, ["ip link set dev br0 type bond active_slave p1"]);
    change(&mut facts, 0, |host| host.links[0].bond.mode = Some(4));
    assert_eq!(explain(&facts, &question).findings[0].remedy, [""; 0], "LACP chooses the ports");
    change(&mut facts, 1, |netns| {
        let mut bond = link(3, "bond0");
        bond.link.kind = LinkKind::Bond;
        netns.links[0].link.master = Some(3);
        netns.links.push(bond);
    });
    assert!(!rules(&facts, &question).contains(&"bond_backup"));
}

/// Two namespaces with a macvlan each on the host's `up0`.
fn on_one_link(modes: [MacvlanMode; 2]) -> HostFacts {
    let host = NetnsFacts {
        links: vec![link(10, "up0")].into(),
        addresses: vec![address(10, "10.9.0.1/24")],
        routes: Some(vec![route("10.9.0.0/24", "up0")]),
        all: Some(Ipv4Settings::default()),
        ..NetnsFacts::default()
    };
    let child = |nsid: u32, own: &str, mode| {
        let mut netns = container(nsid, 10, own);
        netns.links[0].link.kind = LinkKind::Other;
        netns.links[0].macvlan = Some(mode);
        netns
    };
    let [one, other] = modes;
    let namespaces = [host, child(1, "10.9.0.2/24", one), child(2, "10.9.0.3/24", other)];
    HostFacts { namespaces: namespaces.map(Arc::new).into(), ..HostFacts::default() }
}

#[test]
fn a_macvlan_speaks_with_the_link_that_it_is_on_only_by_another_macvlan_of_that_link() {
    let mut facts = on_one_link([MacvlanMode::Bridge, MacvlanMode::Bridge]);
    let question = ExplainQuestion { to: Some(LinkIndex { netns: 0, ifindex: 10 }), ..BETWEEN };
    let found = explain(&facts, &question).findings;
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.rule, finding.grade), ("macvlan_parent", Grade::Reason));
    let remedy = [
        "ip link add link up0 name macvlan0 type macvlan mode bridge",
        "ip link set dev macvlan0 up",
        "ip route replace 10.9.0.2 dev macvlan0",
        "nsenter -n -t 1001 ip neigh flush dev eth0",
    ];
    assert_eq!(finding.remedy, remedy);
    change(&mut facts, 0, |host| {
        let mut beside = link(11, "macvlan0");
        (beside.macvlan, beside.link.iflink) = (Some(MacvlanMode::Bridge), Some(10));
        host.links.push(beside);
    });
    assert_eq!(rules(&facts, &question), ["macvlan_parent"], "no route leads by it");
    change(&mut facts, 0, |host| host.routes.as_mut().unwrap().push(route("10.9.0.2/32", "macvlan0")));
    assert_eq!(rules(&facts, &question), [""; 0]);
}

#[test]
fn macvlans_of_one_link_speak_with_each_other_in_the_mode_bridge() {
    use MacvlanMode::{Bridge, Further, Private, Vepa};
    for (modes, found) in [
        ([Bridge, Bridge], None),
        ([Bridge, Private], Some((Grade::Reason, 1))),
        ([Private, Vepa], Some((Grade::Reason, 2))),
        ([Vepa, Bridge], Some((Grade::Possibility, 1))),
        ([Further, Bridge], Some((Grade::Possibility, 0))),
    ] {
        let explained = explain(&on_one_link(modes), &BETWEEN);
        let mut findings = explained.findings.iter();
        let finding = findings.next().map(|finding| (finding.grade, finding.remedy.len()));
        assert_eq!(finding, found, "{modes:?} {explained:?}");
    }
}

#[test]
fn two_vrfs_are_apart_unless_a_route_leads_from_one_to_the_other() {
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        host.links[0].link.kind = LinkKind::Vrf;
        host.links[0].link.mtu = 65575;
        host.links[2].link.master = None;
        for link in &mut *host.links {
            (link.port, link.ipv4.forwarding) = (None, 1);
        }
        host.addresses = vec![address(11, "10.9.0.1/24"), address(12, "10.8.0.1/24")];
    });
    change(&mut facts, 1, |netns| netns.routes.as_mut().unwrap().push(route("0.0.0.0/0", "eth0")));
    change(&mut facts, 2, |netns| {
        netns.addresses = vec![address(2, "10.8.0.2/24")];
        netns.routes.as_mut().unwrap().push(route("0.0.0.0/0", "eth0"));
    });
    let (one, other) = ("10.9.0.2".parse().unwrap(), "10.8.0.2".parse().unwrap());
    let asked = route_questions(&facts, &BETWEEN);
    let asked: Vec<_> = asked.iter().map(|of| (of.destination, of.vrf, of.source, of.ingress)).collect();
    assert_eq!(asked, [(other, Some(10), None, None), (one, None, Some(other), Some(12))]);
    let by = |ifindex| Ok(HostRoute { ifindex, gateway: None, local: false });
    let lookups = |there, back| {
        let there =
            Lookup { destination: other, vrf: Some(10), by_rule: false, doubtful: false, answer: there };
        vec![there, Lookup { destination: one, vrf: None, by_rule: false, doubtful: false, answer: back }]
    };
    facts.lookups = lookups(by(12), Err(LookupFailure::None));
    let found = explain(&facts, &BETWEEN).findings;
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.rule, finding.grade), ("vrf", Grade::Reason));
    assert_eq!(finding.text, "the host has no route to 10.9.0.2: p1 is in the VRF br0, and p2 is not");
    assert_eq!(finding.remedy, ["ip link set dev p2 master br0"]);
    facts.lookups = lookups(Err(LookupFailure::Unreachable), by(11));
    assert_eq!(rules(&facts, &BETWEEN), ["vrf"]);
    facts.lookups = lookups(by(12), by(11));
    assert_eq!(rules(&facts, &BETWEEN), [""; 0]);
}

#[test]
fn bridges_that_a_pair_joins_are_one_segment() {
    // As the firewall of Proxmox: br0 - p10 = p20 - br1, and the address of the host is at br0.
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        let port = |end: LinkFacts, master| {
            let mut end = LinkFacts { port: Some(BridgePort::default()), ..end };
            end.link.master = Some(master);
            end
        };
        let mut inner = link(13, "br1");
        inner.link.kind = LinkKind::Bridge;
        host.links.push(inner);
        host.links[1].link.master = Some(13);
        host.links.push(port(veth(20, "q0", 21, PeerNetns::Same), 10));
        host.links.push(port(veth(21, "q1", 20, PeerNetns::Same), 13));
    });
    let explanation = explain(&facts, &BETWEEN);
    assert_eq!(explanation.findings, []);
    let way = ["eth0 of docker/c1", "p1 of the host", "br1 of the host", "q1 of the host", "q0 of the host"];
    assert_eq!(explanation.way[..5], way);
    assert_eq!(explanation.way[5..], ["br0 of the host", "p2 of the host", "eth0 of docker/c2"]);
    // A pair between the bridges is on the way.
    change(&mut facts, 0, |host| {
        host.links.iter_mut().filter(|link| link.link.ifindex == 20).for_each(|link| link.link.mtu = 1400);
        host.links
            .iter_mut()
            .filter(|link| link.link.ifindex == 21)
            .for_each(|link| link.link.enabled = false);
    });
    let rules: Vec<&str> = explain(&facts, &BETWEEN).findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, ["link_down", "mtu_mismatch"]);
}

mod policy;
mod tunnels;
