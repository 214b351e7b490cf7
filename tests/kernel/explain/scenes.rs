//! Scenes of rules that only show that packets are lost, that depend on what cannot be read, or that no command mends.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};

use super::*;

/// A program that drops every frame.
const DROP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/explain/drop.o");

impl Ground {
    /// Checks a scene in which the probe fails, and that no printed command mends: `mend` does.
    fn check_by_hand(
        &self,
        rule: &str,
        grade: &str,
        words: &[&str],
        probe: impl Fn() -> bool,
        mend: impl Fn(&Ground),
    ) {
        assert!(!probe(), "{rule}: nothing is wrong in this scene");
        let before = self.explain(words);
        let findings = before.findings();
        assert_eq!(
            (before.first().as_str(), findings[0]["grade"].as_str()),
            (rule, Some(grade)),
            "{before:#?}"
        );
        assert_eq!(before.code, i32::from(grade != "possibility"), "{before:#?}");
        assert_eq!(findings[0]["remedy"], serde_json::json!([]), "{before:#?}");
        let by_hand = findings[0]["by_hand"].as_str().unwrap();
        assert_ne!(self.host.exec(["sh", "-c", by_hand]).status.code(), Some(127), "{before:#?}");
        mend(self);
        wait_for(SOON, "it is mended", || if probe() { Ok(()) } else { Err(format!("{rule}: {before:#?}")) });
        self.content(words);
    }
}

#[test]
fn a_link_without_a_carrier_for_another_reason_than_its_other_end_is_named() {
    let ground = Ground::new(0);
    let host = &ground.host;
    // The carrier of a tap is the process that has it open, a virtual machine: here there is none.
    host.ip(["tuntap", "add", "dev", "tap0", "mode", "tap"]);
    host.ip(["addr", "add", "10.5.0.1/24", "dev", "tap0"]);
    host.ip(["link", "set", "tap0", "up"]);
    assert!(!pings(host, "10.5.0.2"));
    let explained = ground.explain(&["tap0", "10.5.0.2"]);
    let first = &explained.findings()[0];
    assert_eq!((explained.code, first["rule"].as_str()), (1, Some("no_carrier")), "{explained:#?}");
    assert_eq!(first["text"], "tap0 of the host has no carrier");
    let shown = host.exec(["sh", "-c", first["by_hand"].as_str().unwrap()]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("NO-CARRIER"), "{}", describe(&shown));
}

#[test]
fn an_xdp_program_that_may_drop_is_a_possibility_and_its_remedy_removes_it() {
    for mode in ["xdpdrv", "xdpgeneric"] {
        let ground = Ground::bridged(2);
        let [a, b] = names(&ground);
        assert!(pings(ground.a(), "10.9.0.3"));
        ground.b().ip(["link", "set", "dev", "eth0", mode, "obj", DROP, "sec", "xdp"]);
        assert!(!pings(ground.a(), "10.9.0.3"));
        let explained = ground.explain(&[&a, &b]);
        assert_eq!(explained.first(), "xdp", "{explained:#?}");
        assert_eq!((explained.code, explained.findings().len()), (0, 1), "{explained:#?}");
        for line in explained.findings()[0]["remedy"].as_array().unwrap() {
            ground.run(line.as_str().unwrap());
        }
        assert!(pings(ground.a(), "10.9.0.3"), "{mode}");
        let explained = ground.explain(&[&a, &b]);
        assert_eq!(explained.findings(), [Value::Null; 0], "{mode}");
    }
}

#[test]
fn a_gateway_that_nothing_has_is_named() {
    check_bridged("wrong_gateway", |ground| {
        ground.a().ip(["route", "add", "10.9.0.3/32", "via", "10.9.0.77"]);
    });
    check_routed("wrong_gateway", |ground| {
        ground.a().ip(["route", "replace", "default", "via", "10.1.0.99"]);
        assert!(!pings(ground.a(), "10.2.0.2"));
    });
    // By itself an end is explained on the way to its gateway.
    let ground = Ground::routed(2);
    ground.a().ip(["route", "replace", "default", "via", "10.1.0.99"]);
    let [a, _] = names(&ground);
    let explained = ground.explain(&[&a]);
    assert_eq!((explained.code, explained.first().as_str()), (0, "wrong_gateway"), "{explained:#?}");
    assert!(!pings(ground.a(), "10.2.0.2"));
    ground.check("wrong_gateway", &[&a], || pings(ground.a(), "10.2.0.2"));
}

#[test]
fn a_queue_of_connections_that_is_full_is_a_possibility_with_its_counter() {
    const PORT: u16 = 5432;
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    let words = [a.as_str(), &format!("{b}:{PORT}")];
    let listener = ground.b().within(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address = SocketAddr::new("10.9.0.3".parse().unwrap(), PORT);
    let connect =
        || ground.a().within(|| TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok());
    ground.content(&words);
    let waiting: Vec<TcpStream> = std::iter::from_fn(&connect).take(10).collect();
    assert_eq!(waiting.len(), 2, "a backlog of 1 has room for 2");
    ground.check_by_hand(
        "listen_overflow",
        "possibility",
        &words,
        || connect().is_some(),
        |_| {
            for _ in &waiting {
                listener.accept().unwrap();
            }
        },
    );
    let text = ground.explain(&words).findings()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("named/{b} drops a connection if the queue")), "{text}");
}

#[test]
fn an_arp_request_without_an_answer_is_a_symptom_where_the_reason_cannot_be_read() {
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    // Of another namespace the values of `all` are not known.
    sysctl(ground.b(), "net.ipv4.conf.all.arp_ignore=8");
    let probe = || pings(ground.a(), "10.9.0.3");
    ground.check_by_hand("neighbour_failed", "symptom", &[&a, &b], probe, |ground| {
        sysctl(ground.b(), "net.ipv4.conf.all.arp_ignore=0");
    });
}

#[test]
fn a_policy_rule_that_asks_for_the_source_or_the_way_in_is_named_and_outranked() {
    let refuse = |ground: &Ground, rule: [&str; 2]| {
        ground.host.ip(["route", "add", "unreachable", "10.2.0.0/24", "table", "77"]);
        ground.host.ip(["rule", "add", rule[0], rule[1], "lookup", "77"]);
    };
    check_routed("no_route", |ground| refuse(ground, ["from", "10.1.0.2"]));
    check_routed("no_route", |ground| refuse(ground, ["iif", "p1"]));
    check_routed("other_device", |ground| {
        let aside = &ground.spaces[1];
        ground.host.veth("q", aside, "eth9");
        ground.host.ip(["route", "add", "10.2.0.0/24", "dev", "q", "table", "77"]);
        ground.host.ip(["rule", "add", "from", "10.1.0.2", "lookup", "77"]);
        sysctl(aside, "net.ipv4.conf.eth9.arp_ignore=8");
    });
    // A rule for other packets is none of this way.
    let ground = Ground::routed(2);
    refuse(&ground, ["from", "10.1.0.9"]);
    let [a, b] = names(&ground);
    assert!(pings(ground.a(), "10.2.0.2"));
    ground.content(&[&a, &b]);
}

impl Ground {
    /// Gives each namespace a subnet of IPv6 alone, fd00:1::/64 and so on, that the host routes to.
    fn routed_ipv6() -> Ground {
        let ground = Ground::new(2);
        sysctl(&ground.host, "net.ipv6.conf.all.forwarding=1");
        for (number, space) in (1..).zip(&ground.spaces) {
            let port = format!("p{number}");
            ground.host.veth(&port, space, "eth0");
            ground.host.ip(["addr", "add", &format!("fd00:{number}::1/64"), "dev", &port, "nodad"]);
            space.ip(["addr", "add", &format!("fd00:{number}::2/64"), "dev", "eth0", "nodad"]);
            space.ip(["-6", "route", "add", "default", "via", &format!("fd00:{number}::1")]);
        }
        let ping = || if pings(ground.a(), "fd00:2::2") { Ok(()) } else { Err("no answer") };
        wait_for(SOON, "the ends talk", ping);
        let [a, b] = names(&ground);
        ground.content(&[&a, &b]);
        ground
    }
}

#[test]
fn switches_of_ipv6_that_count_for_all_devices_are_named() {
    let ground = Ground::routed_ipv6();
    let [a, b] = names(&ground);
    let probe = || pings(ground.a(), "fd00:2::2");
    sysctl(&ground.host, "net.ipv6.conf.all.forwarding=0");
    // The value of a device is not asked.
    sysctl(&ground.host, "net.ipv6.conf.p1.forwarding=1");
    ground.check("forwarding_off", &[&a, &b], probe);
    for port in ["p1", "p2"] {
        sysctl(&ground.host, &format!("net.ipv6.conf.{port}.forwarding=0"));
    }
    assert!(probe());
    ground.content(&[&a, &b]);
    // Without IPv6 a device loses its addresses; the address of the remedy is an example.
    let ground = Ground::bridged(2);
    for (number, space) in (2..).zip(&ground.spaces) {
        space.ip(["-4", "addr", "flush", "dev", "eth0"]);
        space.ip(["addr", "add", &format!("fd00:9::{number}/64"), "dev", "eth0", "nodad"]);
    }
    sysctl(ground.b(), "net.ipv6.conf.all.disable_ipv6=1");
    let [a, b] = names(&ground);
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (1, "no_address"), "{explained:#?}");
    let remedy = explained.findings()[0]["remedy"].as_array().unwrap().clone();
    let lines = remedy.iter().map(|line| line.as_str().unwrap());
    lines.clone().for_each(|line| ground.run(line));
    let words = lines.flat_map(|line| line.split(' '));
    let address = words.filter_map(|word| word.strip_suffix("/64")).next().unwrap();
    let ping = || if pings(ground.a(), address) { Ok(()) } else { Err(format!("{explained:#?}")) };
    wait_for(SOON, "the remedy helps", ping);
    ground.content(&[&a, &b]);
}

#[test]
fn one_of_several_next_hops_that_leads_nowhere_is_named() {
    let ground = Ground::routed_ipv6();
    let [a, b] = names(&ground);
    let aside = Netns::new("aside");
    aside.veth("far", ground.a(), "eth1");
    ground.a().ip(["addr", "add", "fd00:3::2/64", "dev", "eth1", "nodad"]);
    // The kernel chooses the next hop by the label of the flow, which stays taken for some seconds.
    let labels = std::cell::Cell::new(0);
    let probe = || {
        let ping = |_| {
            labels.set(labels.get() + 1);
            let label = labels.get().to_string();
            let words = ["ping", "-F", &label, "-I", "fd00:1::2", "-qc1", "-W1", "fd00:2::2"];
            ground.a().exec(words).status.success()
        };
        (1..=12).all(ping)
    };
    assert!(probe());
    ground
        .a()
        .ip("-6 route add fd00:2::/64 nexthop via fd00:1::1 dev eth0 nexthop via fd00:3::9 dev eth1"
            .split(' '));
    ground.check("other_device", &[&a, &b], probe);
}

#[test]
fn several_next_hops_that_lead_there_have_no_finding() {
    let ground = Ground::routed(2);
    let [a, b] = names(&ground);
    ground.host.veth("q", ground.a(), "eth1");
    ground.host.ip(["addr", "add", "10.3.0.1/24", "dev", "q"]);
    ground.a().ip(["addr", "add", "10.3.0.2/24", "dev", "eth1"]);
    ground.a().ip("route add 10.2.0.0/24 nexthop via 10.1.0.1 nexthop via 10.3.0.1".split(' '));
    assert!(pings(ground.a(), "10.2.0.2"));
    ground.content(&[&a, &b]);
}
