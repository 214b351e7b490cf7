//! Packets that are dropped for known reasons, beside the reasons and counts that `--bpf.drops` shows.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::scene::{OFTEN, Scene};
use lab::{Exporter, Exposition, Netns, checkout, succeed, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

const OF_WORKLOADS: &str = "veth_container_stack_drops_total";
const OF_THE_HOST: &str = "veth_host_stack_drops_total";
const OF_NONE: &str = "veth_unattributed_stack_drops_total";
const LOST: &str = "veth_exporter_stack_drops_lost_total";

const A: &str = "10.9.0.2";
const B: &str = "10.9.0.3";

/// Two workloads behind a bridge of the host.
struct Bridged {
    scene: Scene,
    a: Netns,
    b: Netns,
}

impl Bridged {
    fn new() -> Bridged {
        let scene = Scene::new();
        let [a, b] = ["a", "b"].map(|name| scene.named(name));
        scene.host.ip(["link", "add", "br0", "type", "bridge"]);
        scene.host.ip(["address", "add", "10.9.0.1/24", "dev", "br0"]);
        scene.host.ip(["link", "set", "br0", "up"]);
        let bridged = Bridged { scene, a, b };
        bridged.connect(&bridged.a, "pa", A);
        bridged.connect(&bridged.b, "pb", B);
        bridged
    }

    /// Makes a pair, the port of which is on the bridge.
    fn connect(&self, netns: &Netns, port: &str, address: &str) {
        self.scene.host.veth(port, netns, "eth0");
        self.scene.host.ip(["link", "set", port, "master", "br0", "up"]);
        netns.ip(["link", "set", "lo", "up"]);
        netns.ip(["link", "set", "eth0", "up"]);
        netns.ip(["address", "add", &format!("{address}/24"), "dev", "eth0"]);
    }

    fn exporter(&self) -> Exporter {
        let exporter = self.scene.exporter(&["--bpf.drops"]);
        exporter.wait_for(LIMIT, "the counts are read", |metrics| {
            (metrics.collector_success("drops") == Some(true)).then_some(())
        });
        exporter
    }

    /// Lets both know each other, so that no packet waits for a neighbour.
    fn acquaint(&self) {
        succeed(self.a.command("ping").args(["-qc1", "-W2", B]));
    }

    /// Returns the words for a raw frame from a to b with this source.
    fn raw<'a>(&self, kind: &'a str, port: &'a str, count: &'a str, source: &'a str) -> Vec<String> {
        let mac = mac(&self.b);
        [kind, B, port, count, "eth0", &mac, source].map(str::to_owned).into()
    }
}

fn mac(netns: &Netns) -> String {
    netns.ip_json(["link", "show", "eth0"])[0]["address"].as_str().unwrap().to_owned()
}

fn sender(netns: &Netns, words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = netns.command("python3");
    command.arg("-B").arg(checkout().join("tests/kernel/drops/send.py")).args(words);
    command
}

fn send(netns: &Netns, words: &[impl AsRef<std::ffi::OsStr>]) {
    succeed(&mut sender(netns, words));
}

/// A socket of a workload that nothing reads.
struct Unread(Child);

impl Unread {
    fn bind(netns: &Netns, address: &str, port: &str) -> Unread {
        let mut command = sender(netns, &["hold", address, port, "0"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "bound\n");
        Unread(child)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Returns the packets of a workload, or of the host, for a reason.
fn dropped(metrics: &Exposition, owner: &str, reason: &str) -> f64 {
    let value = match owner {
        "host" => metrics.value(OF_THE_HOST, &[("reason", reason)]),
        "none" => metrics.value(OF_NONE, &[("reason", reason)]),
        name => {
            let labels = [("runtime", "named"), ("container", name), ("reason", reason)];
            metrics.value(OF_WORKLOADS, &labels)
        }
    };
    value.unwrap_or(0.0)
}

/// Returns all that is shown of drops, for a message.
fn all(metrics: &Exposition) -> String {
    let of = |family| metrics.all(family).into_iter().map(move |row| format!("{family} {row:?}\n"));
    [OF_WORKLOADS, OF_THE_HOST, OF_NONE].into_iter().flat_map(of).collect()
}

/// Performs an action, and waits until the drops of a workload for a reason have risen by what it returns; that they
/// do not rise further is held too.
fn holds(exporter: &Exporter, owner: &str, reason: &str, act: impl FnOnce() -> u64) {
    let before = dropped(&exporter.fresh_metrics(), owner, reason);
    let wanted = act() as f64;
    assert!(wanted > 0.0, "{owner} {reason}: nothing was dropped");
    let rise = |metrics: &Exposition| dropped(metrics, owner, reason) - before;
    wait_for(LIMIT, &format!("{owner} has {wanted} more of {reason}"), || {
        let metrics = exporter.fresh_metrics();
        if rise(&metrics) == wanted { Ok(()) } else { Err(format!("{}\n{}", rise(&metrics), all(&metrics))) }
    });
    std::thread::sleep(Duration::from_millis(1_200));
    let metrics = exporter.fresh_metrics();
    assert_eq!(rise(&metrics), wanted, "{owner} {reason} later: {}", all(&metrics));
}

/// A number of a protocol inside a namespace, as /proc/net/snmp has it.
fn nstat(netns: &Netns, name: &str) -> u64 {
    let text = succeed(netns.command("nstat").args(["--json", "--zeros", "--reset", "--noupdate"]));
    let all: Value = serde_json::from_str(&text).unwrap();
    all["kernel"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {text}"))
}

fn sysctl(netns: &Netns, settings: &[&str]) {
    succeed(netns.command("sysctl").arg("-qw").args(settings));
}

fn nft(netns: &Netns, ruleset: &str) {
    succeed(netns.command("nft").arg(ruleset));
}

#[test]
fn what_a_workload_does_not_accept_is_counted_at_it_by_reason() {
    let bridged = Bridged::new();
    let exporter = bridged.exporter();
    let Bridged { a, b, .. } = &bridged;
    bridged.acquaint();
    let unread = Unread::bind(b, B, "7");
    holds(&exporter, "b", "no_socket", || {
        send(a, &["udp", B, "9999", "11"]);
        11
    });
    holds(&exporter, "b", "no_socket", || {
        send(a, &["tcp", B, "81", "5"]);
        5
    });
    holds(&exporter, "b", "udp_csum", || {
        send(a, &bridged.raw("udp-checksum", "7", "13", A));
        13
    });
    holds(&exporter, "b", "ip_noproto", || {
        send(a, &bridged.raw("protocol", "7", "17", A));
        17
    });
    sysctl(b, &["net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1"]);
    holds(&exporter, "b", "ip_rpfilter", || {
        send(a, &bridged.raw("forged", "7", "14", "172.31.0.9"));
        14
    });
    holds(&exporter, "b", "netfilter_drop", || {
        nft(b, "table ip t { chain c { type filter hook input priority 0; udp dport 4444 drop; }; };");
        send(a, &["udp", B, "4444", "15"]);
        15
    });
    holds(&exporter, "b", "socket_rcvbuff", || {
        let before = nstat(b, "UdpRcvbufErrors");
        send(a, &["udp", B, "7", "40", "1000"]);
        nstat(b, "UdpRcvbufErrors") - before
    });
    sysctl(b, &["net.ipv4.ip_forward=1"]);
    a.ip(["route", "add", "198.51.100.0/24", "via", B]);
    holds(&exporter, "b", "ip_innoroutes", || {
        send(a, &["udp", "198.51.100.9", "9", "10"]);
        10
    });
    b.ip(["route", "add", "198.51.100.0/24", "via", "10.9.0.1"]);
    holds(&exporter, "b", "ip_inhdr", || {
        send(a, &["ttl", "198.51.100.9", "9", "6"]);
        6
    });
    drop(unread);
    assert_eq!(exporter.metrics().value(LOST, &[]), Some(0.0));
}

#[test]
fn what_is_dropped_on_the_way_is_counted_at_the_workload_from_which_it_came() {
    let bridged = Bridged::new();
    let exporter = bridged.exporter();
    let Bridged { scene, a, b } = &bridged;
    bridged.acquaint();
    holds(&exporter, "a", "neigh_failed", || {
        send(a, &["udp", "10.9.0.77", "9", "9"]);
        9
    });
    holds(&exporter, "a", "netfilter_drop", || {
        nft(
            &scene.host,
            "table bridge t { chain c { type filter hook forward priority 0; udp dport 5555 drop; }; };",
        );
        send(a, &["udp", B, "5555", "8"]);
        8
    });
    holds(&exporter, "a", "not_specified", || {
        scene.host.ip(["link", "set", "pa", "mtu", "3000"]);
        a.ip(["link", "set", "eth0", "mtu", "3000"]);
        send(a, &["udp", B, "9", "4", "2000"]);
        4
    });
    scene.host.ip(["link", "set", "pa", "mtu", "1500"]);
    a.ip(["link", "set", "eth0", "mtu", "1500"]);
    holds(&exporter, "a", "qdisc_drop", || {
        let queue = ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit"];
        succeed(a.command("tc").args(queue).arg("3000"));
        send(a, &["udp", B, "9", "20", "1000"]);
        let text = succeed(a.command("tc").args(["-s", "-j", "qdisc", "show", "dev", "eth0"]));
        let queues: Value = serde_json::from_str(&text).unwrap();
        queues[0]["drops"].as_u64().unwrap()
    });
    succeed(a.command("tc").args(["qdisc", "del", "dev", "eth0", "root"]));
    // The port of a peer that is down is none of the bridge's: no other one is there.
    b.ip(["link", "set", "eth0", "down"]);
    let mac = "02:00:00:00:00:09";
    a.ip(["neigh", "replace", B, "lladdr", mac, "dev", "eth0"]);
    holds(&exporter, "a", "no_tx_target", || {
        send(a, &["udp", B, "9", "7"]);
        7
    });
}

#[test]
fn totals_outlive_their_namespace_and_go_on_with_the_next_of_the_same_name() {
    let bridged = Bridged::new();
    let exporter = bridged.exporter();
    let Bridged { scene, a, b } = bridged;
    let no_route = |netns: &Netns| send(netns, &["udp", "127.0.0.1", "9999", "3"]);
    holds(&exporter, "b", "no_socket", || {
        no_route(&b);
        3
    });
    // What is dropped after the last reading is there too.
    no_route(&b);
    drop(b);
    exporter.wait_for(LIMIT, "the last packets of b are counted", |metrics| {
        (dropped(metrics, "b", "no_socket") == 6.0).then_some(())
    });
    let next = scene.named("b");
    let bridged = Bridged { scene, a, b: next };
    bridged.connect(&bridged.b, "pc", B);
    holds(&exporter, "b", "no_socket", || {
        no_route(&bridged.b);
        3
    });
    let metrics = exporter.metrics();
    assert_eq!(dropped(&metrics, "b", "no_socket"), 9.0, "{}", all(&metrics));
}

#[test]
fn what_belongs_to_no_workload_is_the_hosts_or_nones() {
    let bridged = Bridged::new();
    let exporter = bridged.exporter();
    let Bridged { scene, a, .. } = &bridged;
    succeed(scene.host.command("ip").args(["link", "set", "lo", "up"]));
    holds(&exporter, "host", "no_socket", || {
        send(&scene.host, &["udp", "127.0.0.1", "9999", "4"]);
        4
    });
    // From the bridge's own device nothing says by which port a packet came.
    holds(&exporter, "host", "no_socket", || {
        send(a, &["udp", "10.9.0.1", "9999", "5"]);
        5
    });
    let other = Netns::quiet("other");
    other.ip(["link", "set", "lo", "up"]);
    // Other tests drop packets in namespaces of their own: at least these.
    let before = dropped(&exporter.fresh_metrics(), "none", "no_socket");
    send(&other, &["udp", "127.0.0.1", "9999", "6"]);
    exporter.wait_for(LIMIT, "the packets of a namespace without an id", |metrics| {
        (dropped(metrics, "none", "no_socket") >= before + 6.0).then_some(())
    });
}

/// Returns the ids of all programs in the kernel that have this name.
fn programs(name: &str) -> BTreeSet<u32> {
    let all = aya::programs::loaded_programs().map(Result::unwrap);
    all.filter(|program| program.name_as_str() == Some(name)).map(|program| program.id()).collect()
}

/// Returns the programs that a process holds by their ids, as /proc/PID/fdinfo has them.
fn held(pid: u32) -> BTreeSet<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = files.filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
    let ids = texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()));
    ids.collect()
}

#[test]
fn nothing_of_the_programs_stays_behind_and_without_the_flag_there_are_none() {
    let bridged = Bridged::new();
    let exporter = bridged.exporter();
    let own = held(exporter.pid());
    assert_eq!(own.len(), 2, "one program counts, one lists namespaces");
    let loaded: BTreeSet<u32> = ["kfree_skb", "namespaces"].into_iter().flat_map(programs).collect();
    assert!(own.is_subset(&loaded), "{own:?} of {loaded:?}");
    drop(exporter);
    wait_for(LIMIT, "the programs are gone", || {
        let loaded: BTreeSet<u32> = ["kfree_skb", "namespaces"].into_iter().flat_map(programs).collect();
        if loaded.is_disjoint(&own) { Ok(()) } else { Err(format!("{own:?} of {loaded:?}")) }
    });
    let plain = bridged.scene.exporter(&[]);
    assert_eq!(held(plain.pid()), BTreeSet::new());
    let metrics = plain.metrics();
    for family in [OF_WORKLOADS, OF_THE_HOST, OF_NONE, LOST] {
        assert_eq!(metrics.all(family), [], "{family}");
    }
    assert_eq!(metrics.collector_success("drops"), None);
}

#[test]
fn without_the_capabilities_one_line_says_so_and_everything_else_goes_on() {
    let bridged = Bridged::new();
    let keep = ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"];
    let arguments = [&bridged.scene.folder.arguments()[..], &OFTEN, &["--bpf.drops"]].concat();
    let exporter = Exporter::start_through(&bridged.scene.host, &keep, &arguments);
    exporter.wait_ready();
    let metrics = exporter.wait_for(LIMIT, "both workloads", |metrics| {
        let there = ["a", "b"].map(|name| metrics.value("veth_container_info", &[("container", name)]));
        (there == [Some(1.0); 2]).then(|| metrics.clone())
    });
    assert_eq!(metrics.collector_success("drops"), Some(false));
    let state = [("source", "drops"), ("state", "failed"), ("reason", "capability")];
    assert_eq!(metrics.value("veth_exporter_source_info", &state), Some(1.0));
    let lines: Vec<String> = exporter.log().into_iter().filter(|line| line.contains("drops")).collect();
    let said = lines.iter().filter(|line| line.contains("level=warn")).count();
    assert_eq!(said, 1, "{lines:#?}");
    assert!(lines[0].contains("AmbientCapabilities"), "{lines:#?}");
}
