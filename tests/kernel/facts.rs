//! The facts by which it is judged whether two ends can talk, beside what `ip`, `sysctl`, `ss` and `iptables` report inside the
//! namespace.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use lab::scene::Scene;
use lab::{Netns, Process, succeed, wait_for};
use veth_exporter::testing::kernel::facts::SYSCTL;
use veth_exporter::testing::kernel::{FactsReader, OwnNsid, Resolver, Wants};
use veth_exporter::testing::model::explain::facts::{
    Carrier, FactKind, FilterPlace, HostFilter, HostRoute, Ipv4Settings, LinkFacts, LookupFailure,
    NetnsFacts, PortState, RouteQuestion, Unread,
};
use veth_exporter::testing::model::host::Located;
use veth_exporter::testing::model::workload::Locator;

/// A host with a bridge and a namespace behind one of its ports.
struct Lab {
    scene: Scene,
    web: Netns,
    /// A process in the namespace.
    sleep: Process,
}

impl Lab {
    fn new() -> Lab {
        let scene = Scene::new();
        let web = Netns::new("web");
        succeed(scene.host.command("sysctl").args(["-qw", "net.ipv6.conf.all.disable_ipv6=0"]));
        succeed(scene.host.command("sysctl").args(["-qw", "net.ipv6.conf.default.disable_ipv6=0"]));
        scene.host.ip_batch("link add br0 up type bridge stp_state 0 nf_call_iptables 1\n");
        scene.host.veth("veth-web", &web, "eth0");
        let sleep = sleeper(&web);
        Lab { scene, web, sleep }
    }

    fn reader(&self) -> FactsReader {
        self.scene.host.within(|| {
            let resolver = Resolver::open(OwnNsid::default()).unwrap();
            FactsReader::new(resolver, Path::new("/proc"), Path::new(SYSCTL))
        })
    }

    /// The nsid of the process's namespace, as the host numbers it.
    fn nsid(&self) -> u32 {
        let mut resolver = self.scene.host.within(|| Resolver::open(OwnNsid::default()).unwrap());
        match resolver.locate(&Locator::Pid(self.sleep.pid())).unwrap() {
            Located::Nsid(nsid) => nsid,
            other => panic!("{other:?}"),
        }
    }

    fn host_facts(&self, reader: &mut FactsReader) -> NetnsFacts {
        let (facts, unread) =
            self.scene.host.within(move || reader.netns(None, None, Wants { listening: true }));
        assert_eq!(unread, []);
        facts
    }
}

/// Starts a process in a namespace, and waits until it is there.
fn sleeper(netns: &Netns) -> Process {
    let sleep = Process::start("sleep", netns.command("sleep").arg("1000"));
    wait_for(lab::scene::LIMIT, "the process sleeps", || {
        let comm = fs::read_to_string(format!("/proc/{}/comm", sleep.pid())).unwrap();
        if comm == "sleep\n" { Ok(()) } else { Err(comm) }
    });
    sleep
}

fn set(netns: &Netns, switches: &[&str]) {
    succeed(netns.command("sysctl").arg("-qw").args(switches));
}

fn get(netns: &Netns, switch: &str) -> i32 {
    succeed(netns.command("sysctl").args(["-n", switch])).trim().parse().unwrap()
}

fn device<'a>(facts: &'a NetnsFacts, name: &str) -> &'a LinkFacts {
    facts.links.iter().find(|link| link.link.name.to_string() == name).unwrap()
}

/// `net.ipv4.conf.DEVICE` by `sysctl`.
fn ipv4_by_sysctl(netns: &Netns, device: &str) -> Ipv4Settings {
    let value = |name: &str| get(netns, &format!("net.ipv4.conf.{device}.{name}"));
    Ipv4Settings {
        forwarding: value("forwarding"),
        rp_filter: value("rp_filter"),
        accept_local: value("accept_local"),
        arp_ignore: value("arp_ignore"),
        arp_filter: value("arp_filter"),
        proxy_arp: value("proxy_arp"),
    }
}

/// Compares every link with `ip -d link` and `sysctl`.
fn assert_links(netns: &Netns, facts: &NetnsFacts) {
    let by_ip = netns.ip_json(["-d", "link", "show"]);
    assert_eq!(facts.links.len(), by_ip.as_array().unwrap().len());
    for (seen, ip) in facts.links.iter().zip(by_ip.as_array().unwrap()) {
        let name = ip["ifname"].as_str().unwrap();
        let has = |flag: &str| ip["flags"].as_array().unwrap().iter().any(|found| found == flag);
        assert_eq!(
            (seen.link.name.to_string().as_str(), seen.link.mtu),
            (name, ip["mtu"].as_u64().unwrap() as u32)
        );
        let carrier = match (has("LOWER_UP"), ip["proto_down"] == true) {
            (true, _) => Carrier::Present,
            (false, true) => Carrier::ProtoDown,
            (false, false) => Carrier::Absent,
        };
        assert_eq!((seen.carrier, seen.loopback), (carrier, has("LOOPBACK")), "{name}");
        assert_eq!((seen.no_arp, seen.xdp), (has("NOARP"), ip["xdp"].is_object()), "{name}");
        assert_eq!(seen.ipv4, ipv4_by_sysctl(netns, name), "{name}");
        let ipv6 = seen.ipv6.unwrap();
        let by_sysctl = ["forwarding", "disable_ipv6"]
            .map(|switch| get(netns, &format!("net.ipv6.conf.{name}.{switch}")));
        assert_eq!([ipv6.forwarding, ipv6.disabled], by_sysctl, "{name}");
        if Path::new("/proc/sys/net/ipv6/conf/all/force_forwarding").exists() {
            let forced = get(netns, &format!("net.ipv6.conf.{name}.force_forwarding"));
            assert_eq!(ipv6.force_forwarding, forced, "{name}");
        }
        let info = &ip["linkinfo"];
        let (port, port_by_ip) = (seen.port, &info["info_slave_data"]);
        assert_eq!(port.is_some(), info["info_slave_kind"] == "bridge", "{name}");
        if let Some(port) = port {
            let state = format!("{:?}", port.state).to_lowercase();
            assert_eq!(port_by_ip["state"], state, "{name}");
            let of = |key: &str| port_by_ip[key].as_bool().unwrap();
            let expected = [of("isolated"), of("learning"), of("flood")];
            assert_eq!([port.isolated, port.learning, port.floods], expected, "{name}");
        }
        assert_eq!(seen.bridge.is_some(), info["info_kind"] == "bridge", "{name}");
        if let Some(bridge) = seen.bridge {
            let of = |key: &str| info["info_data"][key].as_u64().unwrap() != 0;
            let expected = [of("vlan_filtering"), of("stp_state"), of("nf_call_iptables")];
            assert_eq!([bridge.vlan_filtering, bridge.stp, bridge.nf_call_iptables], expected);
        }
    }
}

/// Compares the addresses with `ip address`.
fn assert_addresses(netns: &Netns, facts: &NetnsFacts) {
    let by_ip = netns.ip_json(["address", "show"]);
    let mut expected = BTreeSet::new();
    for link in by_ip.as_array().unwrap() {
        for address in link["addr_info"].as_array().unwrap() {
            let ip: IpAddr = address["local"].as_str().unwrap().parse().unwrap();
            let prefix = address["prefixlen"].as_u64().unwrap();
            expected.insert((link["ifindex"].as_u64().unwrap(), ip, prefix));
        }
    }
    let seen = facts.addresses.iter();
    let seen = seen.map(|found| (found.ifindex.into(), found.address, found.prefix.into())).collect();
    assert_eq!(expected, seen);
}

/// A route as `ip route` writes it: destination, prefix, next hop, device, metric, and whether it refuses.
type Written = (IpAddr, u8, Option<IpAddr>, String, u32, bool);

/// The routes of the table main by `ip`, those of the loopback and of multicast left out.
fn routes_by_ip(netns: &Netns) -> BTreeSet<Written> {
    let mut routes = BTreeSet::new();
    for (family, none) in [("-4", "0.0.0.0"), ("-6", "::")] {
        let by_ip = netns.ip_json([family, "-d", "route", "show", "table", "main"]);
        for route in by_ip.as_array().unwrap() {
            let destination = route["dst"].as_str().unwrap();
            let destination =
                if destination == "default" { format!("{none}/0") } else { destination.to_owned() };
            let longest = if family == "-4" { 32 } else { 128 };
            let (address, prefix) = match destination.split_once('/') {
                Some((address, prefix)) => (address, prefix.parse().unwrap()),
                None => (destination.as_str(), longest),
            };
            let refuses = route["type"] != "unicast";
            let device = route["dev"].as_str().filter(|_| !refuses).unwrap_or_default();
            // The file of IPv4 names no next hop of IPv6.
            let gateway = route["gateway"].as_str().or(route["via"]["host"].as_str().map(|_| "::"));
            let gateway = gateway.map(|gateway| gateway.parse().unwrap());
            let metric = route["metric"].as_u64().unwrap_or_default() as u32;
            routes.insert((address.parse().unwrap(), prefix, gateway, device.to_owned(), metric, refuses));
        }
    }
    routes
}

fn routes_of(facts: &NetnsFacts) -> BTreeSet<Written> {
    let routes = facts.routes.clone().unwrap();
    let written = routes.into_iter().map(|route| {
        (route.destination, route.prefix, route.gateway, route.device, route.metric, route.refuses)
    });
    written.collect()
}

/// Makes a namespace in which every fact differs from its default.
fn dress(lab: &Lab) {
    lab.scene.host.ip(["link", "set", "veth-web", "master", "br0"]);
    let port = ["link", "set", "veth-web", "type", "bridge_slave"];
    lab.scene.host.ip(port.into_iter().chain(["isolated", "on", "learning", "off", "flood", "off"]));
    set(
        &lab.web,
        &[
            "net.ipv4.conf.all.forwarding=1",
            "net.ipv4.conf.eth0.rp_filter=2",
            "net.ipv4.conf.eth0.accept_local=1",
            "net.ipv4.conf.eth0.arp_ignore=2",
            "net.ipv4.conf.eth0.arp_filter=1",
            "net.ipv4.conf.eth0.proxy_arp=1",
            "net.ipv6.conf.eth0.forwarding=1",
            "net.ipv6.conf.eth0.accept_dad=0",
        ],
    );
    lab.web.ip_batch(
        "address add 10.99.0.2/24 dev eth0\n\
         address add fd99::2/64 dev eth0 nodad\n\
         link add off type veth peer name noarp\n\
         link set noarp up\n\
         link set noarp arp off\n\
         route add default via 10.99.0.1 metric 50\n\
         route add 10.20.0.0/16 dev noarp\n\
         route add unreachable 10.30.0.0/16\n\
         route add prohibit 10.31.0.0/16 metric 9\n\
         route add blackhole 10.32.0.0/16\n\
         route add 10.40.0.1 via 10.99.0.9\n\
         route add 10.25.0.0/16 via inet6 fd99::9\n\
         route add default via fd99::1\n\
         route add unreachable fd30::/64\n\
         route add blackhole fd32::/64 metric 7\n\
         route add 10.50.0.0/16 dev eth0 table 7\n\
         route add fd50::/64 dev eth0 metric 3 table 7\n\
         neigh add 10.99.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n",
    );
}

#[test]
fn facts_of_a_namespace_are_those_that_tools_see_inside_it() {
    let lab = Lab::new();
    dress(&lab);
    let listeners = lab.web.within(|| {
        ["127.0.0.1:0", "10.99.0.2:0", "[::]:0", "[fd99::2]:0"]
            .map(|address| TcpListener::bind(address).unwrap())
    });
    let mut reader = lab.reader();
    let (nsid, pid) = (lab.nsid(), lab.sleep.pid());
    let (facts, unread) = reader.netns(Some(nsid), Some(pid), Wants { listening: true });
    assert_eq!(unread, []);
    assert_eq!((facts.nsid, facts.all), (Some(nsid), None));
    assert_links(&lab.web, &facts);
    let dressed = Ipv4Settings {
        forwarding: 1,
        rp_filter: 2,
        accept_local: 1,
        arp_ignore: 2,
        arp_filter: 1,
        proxy_arp: 1,
    };
    assert_eq!(device(&facts, "eth0").ipv4, dressed);
    assert_addresses(&lab.web, &facts);
    // The file of IPv6 has the routes of every table.
    let mut routes = routes_by_ip(&lab.web);
    routes.insert(("fd50::".parse().unwrap(), 64, None, "eth0".to_owned(), 3, false));
    assert_eq!(routes_of(&facts), routes);
    assert!(facts.stack.unwrap().forwards_ipv4);
    let own = listeners.map(|listener| listener.local_addr().unwrap());
    assert_eq!(BTreeSet::from_iter(facts.listening.unwrap()), BTreeSet::from(own));
    let neighbour =
        facts.neighbours.as_ref().unwrap().iter().find(|found| found.address.to_string() == "10.99.0.1");
    let neighbour = neighbour.unwrap();
    assert_eq!(
        (neighbour.mac.unwrap().to_string().as_str(), neighbour.device.as_str()),
        ("02:00:00:00:00:01", "eth0")
    );

    let (facts, unread) = reader.netns(Some(nsid), Some(pid), Wants::default());
    assert_eq!((facts.listening, unread), (None, vec![]));
    let (facts, unread) = reader.netns(Some(nsid), None, Wants { listening: true });
    assert_eq!((facts.routes, facts.neighbours, facts.stack, facts.listening), (None, None, None, None));
    assert_eq!((facts.links.len(), unread), (4, vec![]));
}

#[test]
fn facts_of_the_host_have_its_ports_and_its_switches_for_all() {
    let lab = Lab::new();
    dress(&lab);
    set(&lab.scene.host, &["net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.all.arp_ignore=1"]);
    let mut reader = lab.reader();
    let facts = lab.host_facts(&mut reader);
    assert_links(&lab.scene.host, &facts);
    assert_addresses(&lab.scene.host, &facts);
    assert_eq!(routes_of(&facts), routes_by_ip(&lab.scene.host));
    assert_eq!((facts.nsid, facts.all), (None, Some(ipv4_by_sysctl(&lab.scene.host, "all"))));
    assert_eq!(facts.all.unwrap().rp_filter, 1);
    assert!(!facts.stack.unwrap().forwards_ipv4);
    let port = device(&facts, "veth-web").port.unwrap();
    assert!(port.isolated && !port.learning && !port.floods);
    let bridge = device(&facts, "br0").bridge.unwrap();
    assert!(bridge.nf_call_iptables && !bridge.stp);
    lab.scene.host.ip(["link", "set", "br0", "type", "bridge", "stp_state", "1"]);
    lab.scene.host.ip(["link", "set", "br0", "down"]);
    let facts = lab.host_facts(&mut reader);
    assert_links(&lab.scene.host, &facts);
    assert_eq!(device(&facts, "veth-web").port.unwrap().state, PortState::Disabled);
}

#[test]
fn facts_of_a_process_that_is_elsewhere_are_unread() {
    let lab = Lab::new();
    let (mut reader, nsid) = (lab.reader(), lab.nsid());
    for pid in [std::process::id(), u32::MAX] {
        let (facts, unread) = reader.netns(Some(nsid), Some(pid), Wants { listening: true });
        assert_eq!((facts.routes, facts.neighbours, facts.stack, facts.listening), (None, None, None, None));
        assert_eq!(facts.links.len(), 2);
        let reason = format!("the process {pid} is not in the namespace any more");
        assert_eq!(
            unread,
            [Unread {
                kind: FactKind::Files,
                what: "the routes, neighbours and counters".to_owned(),
                reason
            }]
        );
    }
    let (facts, unread) = reader.netns(Some(9_999), None, Wants::default());
    assert_eq!((facts.links, facts.addresses), (vec![].into(), vec![]));
    let gone = |kind, what: &str| Unread {
        kind,
        what: what.to_owned(),
        reason: "the network namespace is gone".to_owned(),
    };
    assert_eq!(unread, [gone(FactKind::Links, "the links"), gone(FactKind::Addresses, "the IP addresses")]);
}

#[test]
fn facts_come_from_the_lowest_pid_in_each_namespace() {
    let lab = Lab::new();
    let (mut reader, nsid) = (lab.reader(), lab.nsid());
    let second = sleeper(&lab.web);
    let mut pids = vec![1, std::process::id(), lab.sleep.pid(), second.pid(), u32::MAX];
    pids.sort_unstable();
    let lowest = lab.sleep.pid().min(second.pid());
    let found = reader.pids_by_nsid(&pids, &[nsid, 9_999].into());
    assert_eq!(found, [(nsid, lowest)].into());
    assert_eq!(reader.pids_by_nsid(&pids, &[].into()), [].into());
}

/// The chains and rules of `iptables -nvxL` that drop or reject: `ip filter CHAIN` and packets. The policy of a chain other
/// than FORWARD does not count.
fn refusals_by_iptables(netns: &Netns, program: &str, family: &str, chains: &[&str]) -> Vec<FilterPlace> {
    let text = succeed(netns.command(program).args(["-w", "-n", "-v", "-x", "-L"]));
    let (mut found, mut chain) = (Vec::new(), "");
    for words in text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        match words.as_slice() {
            ["Chain", name, ..] => chain = name,
            [packets, _, verdict @ ("DROP" | "REJECT"), ..] if chains.contains(&chain) => {
                found.push(FilterPlace {
                    chain: format!("{family} filter {chain}"),
                    packets: Some(packets.parse().unwrap()),
                    rejects: *verdict == "REJECT",
                    drops_all: false,
                });
            }
            _ => {}
        }
    }
    found
}

fn filter(lab: &Lab, reader: &mut FactsReader) -> HostFilter {
    let (filter, unread) = lab.scene.host.within(move || reader.filter());
    assert_eq!(unread, []);
    filter.unwrap()
}

#[test]
fn facts_of_the_filter_are_what_iptables_prints_of_the_way_of_forwarded_packets() {
    let lab = Lab::new();
    let host = &lab.scene.host;
    let mut reader = lab.reader();
    assert_eq!(
        (filter(&lab, &mut reader).forward_drops, filter(&lab, &mut reader).drop_rules),
        (vec![], vec![])
    );
    let iptables = |words: &str| succeed(host.command("iptables").arg("-w").args(words.split(' ')));
    for words in [
        "-N USER",
        "-N DEEP",
        "-N ASIDE",
        "-A FORWARD -j USER",
        "-A FORWARD -d 10.1.0.0/16 -j ACCEPT",
        "-A USER -p tcp -g DEEP",
        "-A USER -d 10.99.1.2 -j DROP",
        "-A DEEP -d 10.99.0.2 -j REJECT",
        "-A INPUT -j ASIDE",
        "-A ASIDE -d 10.9.9.9 -j DROP",
        "-P FORWARD DROP",
    ] {
        iptables(words);
    }
    succeed(host.command("ip6tables").args(["-w", "-A", "FORWARD", "-d", "fd99::7", "-j", "REJECT"]));
    // A packet for another host crosses the chains: the host forwards what the namespace sends.
    host.ip(["address", "add", "10.99.0.1/24", "dev", "veth-web"]);
    host.ip(["link", "add", "away", "up", "type", "bridge"]);
    host.ip(["address", "add", "10.99.1.1/24", "dev", "away"]);
    set(host, &["net.ipv4.ip_forward=1"]);
    lab.web.ip(["address", "add", "10.99.0.2/24", "dev", "eth0"]);
    lab.web.ip(["route", "add", "default", "via", "10.99.0.1"]);
    lab.web.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for destination in ["10.99.1.2:9", "10.99.1.2:9", "10.99.1.3:9"] {
            socket.send_to(b"x", destination).unwrap();
        }
    });
    let sent = || match refusals_by_iptables(host, "iptables", "ip", &["USER"]).as_slice() {
        [FilterPlace { packets: Some(2), .. }] => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait_for(lab::scene::LIMIT, "the host has dropped the packets", sent);

    let found = filter(&lab, &mut reader);
    let mut expected = refusals_by_iptables(host, "iptables", "ip", &["FORWARD", "USER", "DEEP"]);
    expected.extend(refusals_by_iptables(host, "ip6tables", "ip6", &["FORWARD"]));
    let order = |place: &FilterPlace| (place.chain.clone(), place.packets, place.rejects);
    let mut seen = found.drop_rules.clone();
    seen.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!((&seen, seen.len()), (&expected, 3));
    let user = seen.iter().find(|place| place.chain == "ip filter USER").unwrap();
    assert_eq!((user.packets, user.rejects), (Some(2), false));
    let policy = FilterPlace {
        chain: "ip filter FORWARD".to_owned(),
        packets: Some(1),
        rejects: false,
        drops_all: false,
    };
    assert_eq!(found.forward_drops, [policy]);
    let switch = host.exec(["sysctl", "-n", "net.bridge.bridge-nf-call-iptables"]);
    assert_eq!(found.bridge_nf_call_iptables, switch.stdout == b"1\n");
}

#[test]
fn facts_of_the_way_to_a_destination_are_those_of_ip_route_get() {
    let lab = Lab::new();
    let host = &lab.scene.host;
    host.ip(["address", "add", "10.99.0.1/24", "dev", "veth-web"]);
    host.ip(["address", "add", "fd99::1/64", "dev", "veth-web", "nodad"]);
    host.ip_batch(
        "route add 10.20.0.0/16 via 10.99.0.9\n\
         route add 10.25.0.0/16 via inet6 fd99::9\n\
         route add unreachable 10.30.0.0/16\n\
         route add prohibit 10.31.0.0/16\n\
         route add blackhole 10.32.0.0/16\n\
         route add unreachable 10.40.0.0/16 table 7\n\
         route add 10.40.0.0/16 via 10.99.0.9\n\
         rule add to 10.40.0.0/16 table 7\n\
         route add fd20::/64 via fd99::9\n\
         route add unreachable fd30::/64\n\
         route add prohibit fd31::/64\n\
         route add blackhole fd32::/64\n",
    );
    let mut reader = lab.reader();
    let mut answer = |destination: &str| {
        let destination: IpAddr = destination.parse().unwrap();
        let question = RouteQuestion { destination, source: None, ingress: None, vrf: None, egress: None };
        let lookup = reader.lookup(question).unwrap();
        assert_eq!(lookup.destination, destination);
        lookup.answer
    };
    for destination in
        ["10.99.0.2", "10.99.0.1", "10.20.0.1", "10.25.0.1", "127.0.0.1", "fd99::2", "fd99::1", "fd20::1"]
    {
        let by_ip = &host.ip_json(["-d", "route", "get", destination])[0];
        let hop = by_ip["gateway"].as_str().or(by_ip["via"]["host"].as_str());
        let gateway = hop.map(|hop| hop.parse().unwrap());
        let device = by_ip["dev"].as_str().unwrap();
        let ifindex = host.ip_json(["link", "show", device])[0]["ifindex"].as_u64().unwrap() as u32;
        let local = by_ip["type"] == "local";
        assert_eq!(answer(destination), Ok(HostRoute { ifindex, gateway, local }), "{destination}");
    }
    for (destination, failure) in [
        ("10.30.0.1", LookupFailure::Unreachable),
        ("10.31.0.1", LookupFailure::Prohibited),
        ("10.32.0.1", LookupFailure::Blackhole),
        ("10.40.0.1", LookupFailure::Unreachable),
        ("192.0.2.1", LookupFailure::None),
        ("fd30::1", LookupFailure::Unreachable),
        ("fd31::1", LookupFailure::Prohibited),
        ("fd32::1", LookupFailure::Blackhole),
        ("2001:db8::1", LookupFailure::None),
    ] {
        assert_eq!(answer(destination), Err(failure), "{destination}");
        let refused =
            Command::new("ip").args(["-n", host.name(), "route", "get", destination]).output().unwrap();
        assert!(!refused.status.success(), "{destination}: {refused:?}");
    }
}
