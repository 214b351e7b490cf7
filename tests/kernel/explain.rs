//! Tests of `explain`: in each scene a ping or a connection fails, `explain` names the reason first, and after its remedy was run as it
//! is printed, the ping works and `explain` finds nothing.

mod policy;
mod rights;
mod scenes;
mod table;
mod tunnels;
mod walk;

use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Child, Output};
use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, describe, succeed, wait_for};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// A host, and namespaces with a process in each.
struct Ground {
    host: Netns,
    spaces: Vec<Netns>,
    folder: NetnsFolder,
    processes: Vec<Child>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended with its namespace.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Ground {
    fn new(count: usize) -> Ground {
        let mut ground = Ground {
            host: Netns::new("host"),
            spaces: Vec::new(),
            folder: NetnsFolder::new(),
            processes: Vec::new(),
        };
        sysctl(&ground.host, "net.ipv4.ip_forward=0");
        for _ in 0..count {
            ground.add_space();
        }
        ground
    }

    fn add_space(&mut self) -> &Netns {
        let space = Netns::new("x");
        // The name is the one of /run/netns: a remedy has it.
        self.folder.name(space.name(), &space);
        self.processes.push(space.command("sleep").arg("300").spawn().unwrap());
        self.spaces.push(space);
        self.spaces.last().unwrap()
    }

    fn a(&self) -> &Netns {
        &self.spaces[0]
    }

    fn b(&self) -> &Netns {
        &self.spaces[1]
    }

    /// Puts `eth0` of each namespace on br0, and gives them 10.9.0.2, 10.9.0.3 and so on.
    fn bridged(count: usize) -> Ground {
        let ground = Ground::new(count);
        ground.host.ip(["link", "add", "br0", "type", "bridge"]);
        ground.host.ip(["link", "set", "br0", "up"]);
        for (number, space) in (2..).zip(&ground.spaces) {
            let port = format!("p{number}");
            ground.host.veth(&port, space, "eth0");
            ground.host.ip(["link", "set", &port, "master", "br0"]);
            space.ip(["addr", "add", &format!("10.9.0.{number}/24"), "dev", "eth0"]);
        }
        ground
    }

    /// Gives each namespace a subnet of its own, 10.1.0.0/24 and so on, that the host routes to.
    fn routed(count: usize) -> Ground {
        let ground = Ground::new(count);
        sysctl(&ground.host, "net.ipv4.ip_forward=1");
        for (number, space) in (1..).zip(&ground.spaces) {
            let port = format!("p{number}");
            ground.host.veth(&port, space, "eth0");
            ground.host.ip(["addr", "add", &format!("10.{number}.0.1/24"), "dev", &port]);
            space.ip(["addr", "add", &format!("10.{number}.0.2/24"), "dev", "eth0"]);
            space.ip(["route", "add", "default", "via", &format!("10.{number}.0.1")]);
        }
        ground
    }

    fn explain(&self, words: &[&str]) -> Explained {
        let words = [&["explain"], words, &["--format", "json"], &self.folder.arguments()[..]].concat();
        let output = Exporter::command(&self.host, &words).output().unwrap();
        Explained::of(&output)
    }

    /// Runs a command as `explain` has printed it.
    fn run(&self, line: &str) {
        succeed(self.host.command("sh").args(["-c", line]));
    }

    /// Checks a scene in which the probe fails.
    fn check(&self, rule: &str, words: &[&str], probe: impl Fn() -> bool) {
        assert!(!probe(), "{rule}: nothing is wrong in this scene");
        let before = self.explain(words);
        assert_eq!(before.first(), rule, "{before:#?}");
        assert_eq!(before.code, 1, "{before:#?}");
        let first = &before.findings()[0];
        let by_hand = self.host.exec(["sh", "-c", first["by_hand"].as_str().unwrap()]);
        assert_ne!(by_hand.status.code(), Some(127), "{before:#?}");
        let remedy = first["remedy"].as_array().unwrap();
        assert!(!remedy.is_empty(), "{before:#?}");
        for line in remedy {
            self.run(line.as_str().unwrap());
        }
        wait_for(SOON, "the remedy helps", || {
            if probe() { Ok(()) } else { Err(format!("{rule}: {before:#?}")) }
        });
        self.content(words);
    }

    /// Checks that nothing is found.
    fn content(&self, words: &[&str]) {
        let explained = self.explain(words);
        assert_eq!(explained.code, 0, "{explained:#?}");
    }
}

/// The document of `explain`, and its exit code.
#[derive(Debug)]
struct Explained {
    code: i32,
    document: Value,
    said: String,
}

impl Explained {
    fn of(output: &Output) -> Explained {
        let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Explained {
            code: output.status.code().unwrap_or_else(|| panic!("{}", describe(output))),
            document,
            said,
        }
    }

    fn findings(&self) -> Vec<Value> {
        let all = self.document["explanations"].as_array().cloned().unwrap_or_default();
        all.iter().flat_map(|one| one["findings"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn first(&self) -> String {
        self.findings()
            .first()
            .map_or_else(String::new, |finding| finding["rule"].as_str().unwrap().to_owned())
    }
}

fn sysctl(netns: &Netns, setting: &str) {
    succeed(netns.command("sysctl").args(["-qw", setting]));
}

fn pings(from: &Netns, to: &str) -> bool {
    from.exec(["ping", "-qc1", "-W1", to]).status.success()
}

/// Returns the words for the two ends of a ground.
fn names(ground: &Ground) -> [String; 2] {
    [ground.a().name().to_owned(), ground.b().name().to_owned()]
}

fn check_bridged(rule: &str, break_it: impl Fn(&Ground)) {
    let ground = Ground::bridged(2);
    assert!(pings(ground.a(), "10.9.0.3"));
    break_it(&ground);
    let [a, b] = names(&ground);
    ground.check(rule, &[&a, &b], || pings(ground.a(), "10.9.0.3"));
}

fn check_routed(rule: &str, break_it: impl Fn(&Ground)) {
    let ground = Ground::routed(2);
    assert!(pings(ground.a(), "10.2.0.2"));
    break_it(&ground);
    let [a, b] = names(&ground);
    ground.check(rule, &[&a, &b], || pings(ground.a(), "10.2.0.2"));
}

#[test]
fn the_pair_in_one_namespace_talks_once_what_explain_says_is_set() {
    let ground = Ground::new(0);
    let host = &ground.host;
    host.ip(["link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]);
    for (device, address) in [("veth0", "192.168.100.10/24"), ("veth1", "192.168.100.11/24")] {
        host.ip(["addr", "add", address, "dev", device]);
        sysctl(host, &format!("net.ipv4.conf.{device}.rp_filter=1"));
    }
    sysctl(host, "net.ipv4.conf.all.rp_filter=1");
    for device in ["veth0", "veth1"] {
        host.ip(["link", "set", device, "up"]);
    }
    let ping = || host.exec(["ping", "-I", "veth0", "-qc1", "-W1", "192.168.100.11"]).status.success();
    assert!(!ping());
    let before = ground.explain(&["veth0", "veth1"]);
    let rules: Vec<String> =
        before.findings().iter().map(|f| f["rule"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        (before.code, rules),
        (1, vec!["accept_local".to_owned(), "rp_filter".to_owned()]),
        "{before:#?}"
    );
    for finding in before.findings() {
        for line in finding["remedy"].as_array().unwrap() {
            assert!(!ping(), "{line} is not needed: {before:#?}");
            ground.run(line.as_str().unwrap());
        }
    }
    wait_for(SOON, "the pair talks", || if ping() { Ok(()) } else { Err(format!("{before:#?}")) });
    ground.content(&["veth0", "veth1"]);
    // The other way is another end's business.
    assert_eq!(ground.explain(&["veth1", "veth0"]).code, 1);
    // The seed's five settings are enough for both ways.
    for setting in [
        "net.ipv4.conf.veth0.accept_local=1",
        "net.ipv4.conf.veth1.accept_local=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.veth0.rp_filter=0",
        "net.ipv4.conf.veth1.rp_filter=0",
    ] {
        sysctl(host, setting);
    }
    assert!(host.exec(["ping", "-I", "veth1", "-qc1", "-W1", "192.168.100.10"]).status.success());
    ground.content(&["veth1", "veth0"]);
    ground.content(&["veth0", "192.168.100.11"]);
}

#[test]
fn links_that_are_switched_off_are_named_wherever_they_are_on_the_way() {
    check_bridged("link_down", |ground| drop(ground.b().ip(["link", "set", "eth0", "down"])));
    check_bridged("link_down", |ground| drop(ground.host.ip(["link", "set", "p3", "down"])));
    check_bridged("link_down", |ground| drop(ground.host.ip(["link", "set", "br0", "down"])));
}

#[test]
fn ports_of_a_bridge_that_do_not_forward_or_are_isolated_are_named() {
    check_bridged("port_isolated", |ground| {
        for port in ["p2", "p3"] {
            succeed(ground.host.command("bridge").args(["link", "set", "dev", port, "isolated", "on"]));
        }
    });
    check_bridged("port_not_forwarding", |ground| {
        ground.host.ip(["link", "set", "br0", "type", "bridge", "stp_state", "1"]);
        for state in ["down", "up"] {
            ground.host.ip(["link", "set", "p3", state]);
        }
    });
}

#[test]
fn addresses_that_are_missing_wrong_or_used_twice_are_named() {
    let ground = Ground::bridged(2);
    ground.b().ip(["addr", "flush", "dev", "eth0"]);
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (1, "no_address"), "{explained:#?}");
    // The remedy is an example: an address of the subnet that nothing here has.
    let remedy = explained.findings()[0]["remedy"][0].as_str().unwrap().to_owned();
    ground.run(&remedy);
    let address = remedy.split(' ').find_map(|word| word.strip_suffix("/24")).unwrap();
    assert!(pings(ground.a(), address), "{remedy}");
    ground.content(&[&a, &b]);

    let ground = Ground::bridged(2);
    ground.b().ip(["addr", "flush", "dev", "eth0"]);
    ground.b().ip(["addr", "add", "10.8.0.3/24", "dev", "eth0"]);
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!(explained.first(), "wrong_subnet", "{explained:#?}");
    for finding in explained.findings() {
        ground.run(finding["remedy"][0].as_str().unwrap());
    }
    assert!(pings(ground.a(), "10.8.0.3"));
    ground.content(&[&a, &b]);

    let ground = Ground::bridged(3);
    let third = &ground.spaces[2];
    third.ip(["addr", "flush", "dev", "eth0"]);
    third.ip(["addr", "add", "10.9.0.3/24", "dev", "eth0"]);
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!(explained.first(), "same_address", "{explained:#?}");
    for line in explained.findings()[0]["remedy"].as_array().unwrap() {
        ground.run(line.as_str().unwrap());
    }
    assert!(pings(ground.a(), "10.9.0.3"));
    ground.content(&[&a, &b]);
}

#[test]
fn mac_addresses_and_arp_that_lead_nowhere_are_named() {
    check_bridged("duplicate_address", |ground| {
        let own = ground.a().ip_json(["link", "show", "eth0"])[0]["address"].as_str().unwrap().to_owned();
        ground.b().ip(["link", "set", "eth0", "address", &own]);
        ground.a().ip(["neigh", "flush", "dev", "eth0"]);
    });
    check_bridged("arp_off", |ground| {
        ground.b().ip(["link", "set", "eth0", "arp", "off"]);
        ground.a().ip(["neigh", "flush", "dev", "eth0"]);
    });
    check_bridged("arp_ignore", |ground| {
        sysctl(ground.b(), "net.ipv4.conf.eth0.arp_ignore=8");
        ground.a().ip(["neigh", "flush", "dev", "eth0"]);
    });
    check_bridged("neighbour_other", |ground| {
        let wrong =
            ["neigh", "replace", "10.9.0.3", "lladdr", "02:00:00:00:00:77", "dev", "eth0", "nud", "stale"];
        ground.a().ip(wrong);
    });
}

#[test]
fn an_mtu_that_is_lower_on_the_way_is_named() {
    let ground = Ground::bridged(2);
    ground.host.ip(["link", "set", "p3", "mtu", "1400"]);
    ground.b().ip(["link", "set", "eth0", "mtu", "1400"]);
    let [a, b] = names(&ground);
    let long =
        || ground.a().exec(["ping", "-M", "do", "-s", "1472", "-qc1", "-W1", "10.9.0.3"]).status.success();
    ground.check("mtu_mismatch", &[&a, &b], long);
}

#[test]
fn routes_that_are_missing_refuse_or_lead_elsewhere_are_named() {
    check_routed("no_route", |ground| drop(ground.a().ip(["route", "del", "default"])));
    check_routed("no_route_back", |ground| drop(ground.b().ip(["route", "del", "default"])));
    check_routed("route_refuses", |ground| {
        drop(ground.a().ip(["route", "add", "unreachable", "10.2.0.0/24"]))
    });
    check_routed("route_refuses", |ground| drop(ground.b().ip(["route", "add", "prohibit", "10.1.0.0/24"])));
    check_routed("other_device", |ground| {
        ground.b().veth("eth1", ground.a(), "eth1");
        ground.b().ip(["addr", "add", "10.3.0.2/24", "dev", "eth1"]);
        ground.b().ip(["route", "add", "10.1.0.2/32", "via", "10.3.0.9"]);
    });
}

#[test]
fn a_host_that_does_not_forward_is_named() {
    check_routed("forwarding_off", |ground| sysctl(&ground.host, "net.ipv4.ip_forward=0"));
    check_routed("forwarding_off", |ground| sysctl(&ground.host, "net.ipv4.conf.p1.forwarding=0"));
}

#[test]
fn a_strict_rp_filter_with_another_way_back_is_named() {
    check_routed("rp_filter", |ground| {
        let (host, b) = (&ground.host, ground.b());
        host.veth("q", b, "eth1");
        host.ip(["addr", "add", "10.3.0.1/24", "dev", "q"]);
        b.ip(["addr", "add", "10.3.0.2/24", "dev", "eth1"]);
        b.ip(["route", "add", "10.1.0.0/24", "via", "10.3.0.1"]);
        for device in ["all", "p1", "p2", "q"] {
            sysctl(host, &format!("net.ipv4.conf.{device}.rp_filter=0"));
        }
        sysctl(b, "net.ipv4.conf.all.rp_filter=0");
        sysctl(b, "net.ipv4.conf.eth0.rp_filter=1");
    });
}

#[test]
fn a_packet_filter_of_the_host_is_a_possibility_with_its_counter() {
    let ground = Ground::routed(2);
    succeed(ground.host.command("iptables").args(["-A", "FORWARD", "-s", "10.1.0.2", "-j", "DROP"]));
    assert!(!pings(ground.a(), "10.2.0.2"));
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (0, "filter_rule"), "{explained:#?}");
    let text = explained.findings()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("ip filter FORWARD") && text.contains("1 packets"), "{text}");
    // A chain without a rule drops all by its policy, which is then the reason.
    check_routed("filter_policy", |ground| {
        succeed(ground.host.command("iptables").args(["-P", "FORWARD", "DROP"]));
    });
    // Frames between ports of a bridge pass the chain if the host says so; without br_netfilter never.
    let ground = Ground::bridged(2);
    succeed(ground.host.command("iptables").args(["-P", "FORWARD", "DROP"]));
    let [a, b] = names(&ground);
    let has_netfilter = std::path::Path::new("/proc/sys/net/bridge").exists();
    for (value, passes) in [("1", true), ("0", false)] {
        if has_netfilter {
            sysctl(&ground.host, &format!("net.bridge.bridge-nf-call-iptables={value}"));
        }
        let passes = passes && has_netfilter;
        assert_eq!(pings(ground.a(), "10.9.0.3"), !passes);
        let rules = if passes { "filter_policy" } else { "" };
        assert_eq!(ground.explain(&[&a, &b]).first(), rules);
    }
}

#[test]
fn a_port_that_nothing_listens_on_is_named() {
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    let b = format!("{b}:5432");
    let address: IpAddr = "10.9.0.3".parse().unwrap();
    let connects = || ground.a().within(|| TcpStream::connect_timeout(&(address, 5432).into(), SOON).is_ok());
    assert!(!connects());
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (1, "not_listening"), "{explained:#?}");
    let near = ground.b().within(|| TcpListener::bind("127.0.0.1:5432").unwrap());
    let explained = ground.explain(&[&a, &b]);
    let text = explained.findings()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.ends_with("listens on 10.9.0.3:5432, only on 127.0.0.1:5432"), "{text}");
    drop(near);
    // A child that another test has just begun may have the socket open for a moment.
    let bind = || ground.b().within(|| TcpListener::bind("0.0.0.0:5432"));
    let _all = wait_for(SOON, "the port is free", bind);
    assert!(connects());
    ground.content(&[&a, &b]);
    ground.content(&[&a, "10.9.0.3:5432"]);
}

#[test]
fn what_works_has_no_finding() {
    let bridged = Ground::bridged(3);
    let [a, b] = names(&bridged);
    for words in [&[a.as_str(), b.as_str()][..], &[&b, &a], &[&a], &[], &["p2", &b], &[&a, "10.9.0.3"]] {
        bridged.content(words);
    }
    bridged.host.ip(["addr", "add", "10.9.0.1/24", "dev", "br0"]);
    bridged.a().ip(["route", "add", "default", "via", "10.9.0.1"]);
    for words in [&[a.as_str()][..], &[&a, "br0"], &[&a, "10.9.0.1"], &["br0", &b]] {
        bridged.content(words);
    }
    let routed = Ground::routed(2);
    let [a, b] = names(&routed);
    for words in
        [&[a.as_str(), b.as_str()][..], &[&a], &["p1", &a], &[&a, "10.2.0.2"], &[&a, "10.2.0.1"], &[]]
    {
        routed.content(words);
    }
}

#[test]
fn an_end_that_is_not_found_or_means_several_things_has_the_exit_code_3() {
    let ground = Ground::bridged(2);
    let [a, _] = names(&ground);
    let explained = ground.explain(&[&a, "no-such-thing-at-all"]);
    assert_eq!(explained.code, 3, "{explained:#?}");
    assert!(explained.said.contains("no-such-thing-at-all"), "{explained:#?}");
    let explained = ground.explain(&["eth0"]);
    assert_eq!(explained.code, 3, "{explained:#?}");
    assert!(explained.said.contains("means several things") && explained.said.contains(&a), "{explained:#?}");
    // An address that is not here, for which there is no route.
    let explained = ground.explain(&[&a, "203.0.113.9"]);
    assert_eq!((explained.code, explained.first().as_str()), (1, "no_route"), "{explained:#?}");
    assert_eq!(ground.explain(&[&a, "b", "c"]).code, 2);
}

#[test]
fn ten_thousand_routes_and_rules_of_every_kind_are_read() {
    let ground = Ground::bridged(2);
    let routes = (0..10_000).map(|n| format!("route add 11.{}.{}.0/24 via 10.9.0.1\n", n / 250, n % 250));
    ground.a().ip_batch(&routes.collect::<String>());
    let [a, b] = names(&ground);
    ground.content(&[&a, &b]);
    ground.a().ip(["route", "add", "blackhole", "10.9.0.3/32"]);
    ground.check("route_refuses", &[&a, &b], || pings(ground.a(), "10.9.0.3"));
}

#[test]
fn ends_of_ipv6_alone_have_the_same_findings() {
    let ground = Ground::bridged(2);
    for (number, space) in (2..).zip(&ground.spaces) {
        space.ip(["-4", "addr", "flush", "dev", "eth0"]);
        space.ip(["addr", "add", &format!("fd00:9::{number}/64"), "dev", "eth0", "nodad"]);
    }
    let [a, b] = names(&ground);
    wait_for(
        SOON,
        "the ends talk",
        || if pings(ground.a(), "fd00:9::3") { Ok(()) } else { Err("no answer") },
    );
    ground.content(&[&a, &b]);
    ground.content(&[&a, "fd00:9::3"]);
    ground.a().ip(["-6", "route", "add", "unreachable", "fd00:9::3/128"]);
    ground.check("route_refuses", &[&a, &b], || pings(ground.a(), "fd00:9::3"));
    ground.b().ip(["link", "set", "eth0", "down"]);
    assert_eq!(ground.explain(&[&a, &b]).first(), "link_down");
}

#[test]
fn a_namespace_without_a_process_has_what_is_not_checked_and_no_finding() {
    let mut ground = Ground::bridged(2);
    let mut process = ground.processes.remove(1);
    process.kill().unwrap();
    process.wait().unwrap();
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.findings()), (0, Vec::new()), "{explained:#?}");
    let unknown = explained.document["explanations"][0]["not_checked"].to_string();
    let text = format!("routes, neighbours and counters of named/{b}: no process of it is known");
    assert!(unknown.contains(&text), "{unknown}");
    // Its links and addresses are known all the same.
    ground.b().ip(["link", "set", "eth0", "down"]);
    assert_eq!(ground.explain(&[&a, &b]).first(), "link_down");
}

#[test]
fn without_cap_net_admin_it_says_what_could_not_be_read() {
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    let binary = Exporter::binary();
    let [flag, path] = ground.folder.arguments();
    let words = ["--bounding-set=-net_admin", "--inh-caps=-net_admin", binary, "explain", &a, &b, flag, path];
    let output = ground.host.command("setpriv").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{}", describe(&output));
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
}
