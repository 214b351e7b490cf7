//! What is wrong with pairs, brought about in real namespaces, is among the problems of the API, and goes when it is mended.

use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, Process, send_datagrams, succeed, wait_for};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);

/// A host with `web` and `db` in namespaces of their own, on the bridge br0, and an exporter with ten ticks a second.
struct Scene {
    host: Netns,
    web: Netns,
    db: Netns,
    exporter: Exporter,
    folder: NetnsFolder,
}

fn scene() -> Scene {
    let (host, web, db, folder) =
        (Netns::quiet("host"), Netns::quiet("web"), Netns::quiet("db"), NetnsFolder::new());
    host.ip(["link", "add", "br0", "type", "bridge"]);
    host.ip(["link", "set", "br0", "up"]);
    for (name, netns) in [("web", &web), ("db", &db)] {
        folder.name(name, netns);
        host.veth(&format!("veth-{name}"), netns, "eth0");
        host.ip(["link", "set", &format!("veth-{name}"), "master", "br0"]);
    }
    let arguments = [folder.arguments().to_vec(), vec!["--collector.interval", "100ms"]].concat();
    let exporter = Exporter::start(&host, &arguments);
    exporter.wait_ready();
    Scene { host, web, db, exporter, folder }
}

fn document(exporter: &Exporter) -> Value {
    serde_json::from_slice(&exporter.get("/api/v1/pairs").body).unwrap()
}

/// The problems of links: kind, workload, sentence and remedy of each.
fn told(exporter: &Exporter) -> Vec<String> {
    let document = document(exporter);
    let of_links = |problem: &&Value| problem["kind"] != "source";
    let line = |problem: &Value| {
        let text = |field: &str| problem[field].as_str().unwrap().to_owned();
        let workload = problem["subject"]["workload"].as_str().unwrap();
        format!("{} {workload}: {}: {}", text("kind"), text("text"), text("remedy"))
    };
    document["problems"].as_array().unwrap().iter().filter(of_links).map(line).collect()
}

fn wait_until_told(exporter: &Exporter, expected: &[&str]) {
    wait_until_told_within(SOON, exporter, expected);
}

fn wait_until_told_within(limit: Duration, exporter: &Exporter, expected: &[&str]) {
    wait_for(limit, "the problems are those that there are", || {
        let told = told(exporter);
        if told == expected { Ok(()) } else { Err(format!("{told:#?}, not {expected:#?}")) }
    });
}

/// The kinds of the last events, each with its text.
fn events(exporter: &Exporter) -> Vec<String> {
    let document: Value = serde_json::from_slice(&exporter.get("/api/v1/events").body).unwrap();
    let line =
        |event: &Value| format!("{}: {}", event["kind"].as_str().unwrap(), event["text"].as_str().unwrap());
    document["events"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_link_that_is_switched_off_on_either_side_is_told_with_its_remedy_until_it_is_up() {
    let scene = scene();
    let Scene { host, web, exporter, .. } = &scene;
    wait_until_told(exporter, &[]);
    web.ip(["link", "set", "eth0", "down"]);
    let inside =
        "link_down web: eth0 of named/web is switched off: ip link set dev eth0 up, inside named/web";
    wait_until_told(exporter, &[inside]);
    host.ip(["link", "set", "veth-db", "down"]);
    let outside = "link_down db: veth-db is switched off: ip link set dev veth-db up";
    wait_until_told(exporter, &[inside, outside]);
    // Each remedy as it is printed.
    web.ip(["link", "set", "dev", "eth0", "up"]);
    wait_until_told(exporter, &[outside]);
    host.ip(["link", "set", "dev", "veth-db", "up"]);
    wait_until_told(exporter, &[]);
    let off = |what: &str| format!("down: {what} is switched off");
    let up = || "up: up again".to_owned();
    assert_eq!(events(exporter), [off("eth0 of named/web"), off("veth-db"), up(), up()]);
}

#[test]
fn an_end_that_was_never_up_is_no_problem() {
    let scene = scene();
    let Scene { host, web, exporter, .. } = &scene;
    host.ip(["link", "add", "spare0", "type", "veth", "peer", "name", "spare1"]);
    wait_for(SOON, "the pair is there", || {
        let there = document(exporter)["matched"] == 3;
        if there { Ok(()) } else { Err("it is not") }
    });
    // What goes down later is told: by then the other one would be as well.
    web.ip(["link", "set", "eth0", "down"]);
    wait_until_told(
        exporter,
        &["link_down web: eth0 of named/web is switched off: ip link set dev eth0 up, inside named/web"],
    );
}

#[test]
fn unequal_mtus_are_told_and_what_is_lost_by_them_is_too() {
    let scene = scene();
    let Scene { host, web, exporter, .. } = &scene;
    host.ip(["address", "add", "10.97.0.1/24", "dev", "br0"]);
    web.ip(["address", "add", "10.97.0.2/24", "dev", "eth0"]);
    web.ip(["link", "set", "eth0", "mtu", "1000"]);
    let mtu = "mtu_mismatch web: veth-web has an MTU of 1500 bytes and eth0 of named/web one of 1000: longer frames than \
               1000 bytes are dropped: give both ends the same MTU: ip link set dev eth0 mtu 1500, inside named/web";
    wait_until_told(exporter, &[mtu]);
    // The neighbour is known after the first ones, which are short.
    send_datagrams(&host.path(), &web.path(), "10.97.0.2".parse().unwrap(), 5, 100);
    let socket = host.within(|| std::net::UdpSocket::bind("10.97.0.1:0").unwrap());
    let lost = wait_for(SOON, "drops are told", || {
        socket.send_to(&[0; 1_400], "10.97.0.2:9").unwrap();
        let told = told(exporter);
        let drops = told.iter().find(|problem| problem.starts_with("drops web: ")).cloned();
        drops.ok_or(format!("{told:#?}"))
    });
    assert!(lost.contains(" packets to named/web were dropped in the last "), "{lost}");
    // The port counts them: what web was to receive.
    wait_for(SOON, "the row has the rate of dropped packets", || {
        socket.send_to(&[0; 1_400], "10.97.0.2:9").unwrap();
        let rows = document(exporter)["pairs"].as_array().unwrap().clone();
        let web = rows.iter().find(|row| row["ends"][1]["workload"]["container"] == "web").unwrap();
        let rates = &web["ends"][1]["rates"];
        let rate = |direction: &str| rates[format!("{direction}_packets_dropped_per_second")].as_u64();
        let told = (rate("receive"), rate("transmit"));
        if told.0 > Some(0) && told.1 == Some(0) { Ok(()) } else { Err(format!("{told:?}")) }
    });
    web.ip(["link", "set", "dev", "eth0", "mtu", "1500"]);
    wait_for(Duration::from_secs(30), "nothing is wrong any more", || {
        let told = told(exporter);
        if told.is_empty() { Ok(()) } else { Err(format!("{told:#?}")) }
    });
}

#[test]
fn one_address_on_two_interfaces_of_a_bridge_is_told_of_both() {
    let scene = scene();
    let Scene { web, db, exporter, .. } = &scene;
    let address = "02:00:00:00:99:01";
    web.ip(["link", "set", "eth0", "address", address]);
    db.ip(["link", "set", "eth0", "address", address]);
    let line = |own: &str, other: &str| {
        format!(
            "duplicate_address {own}: eth0 of named/{own} and eth0 of named/{other} have the same MAC address {address} on \
             br0: give one of them another address, or remove mac_address from its configuration"
        )
    };
    wait_for(SOON, "both are told", || {
        let mut told = told(exporter);
        told.sort();
        let expected = [line("db", "web"), line("web", "db")];
        if told == expected { Ok(()) } else { Err(format!("{told:#?}, not {expected:#?}")) }
    });
    db.ip(["link", "set", "eth0", "address", "02:00:00:00:99:02"]);
    wait_until_told(exporter, &[]);
}

/// Makes a namespace with a process in it, under that name, behind the host's device of that name.
fn inhabited(scene: &Scene, name: &str) -> (Netns, Process) {
    let netns = Netns::quiet(name);
    scene.folder.name(name, &netns);
    scene.host.veth(&format!("veth-{name}"), &netns, "eth0");
    let process = Process::start("sleep", netns.command("sleep").arg("1000"));
    (netns, process)
}

#[test]
fn a_gateway_that_nothing_has_is_a_problem_and_bridges_that_a_pair_joins_are_none() {
    let scene = scene();
    let Scene { host, exporter, .. } = &scene;
    succeed(host.command("sysctl").args(["-qw", "net.ipv4.conf.all.rp_filter=1"]));
    host.ip(["address", "add", "10.97.0.1/24", "dev", "br0"]);
    // As the firewall of Proxmox: br0 - fwpr = fwln - fwbr - veth-vm = eth0.
    let (vm, _vm) = inhabited(&scene, "vm");
    host.ip(["link", "add", "fwbr", "up", "type", "bridge"]);
    host.veth("fwpr", host, "fwln");
    for (port, bridge) in [("fwpr", "br0"), ("fwln", "fwbr"), ("veth-vm", "fwbr")] {
        host.ip(["link", "set", port, "master", bridge]);
    }
    vm.ip(["address", "add", "10.97.0.5/24", "dev", "eth0"]);
    vm.ip(["route", "add", "default", "via", "10.97.0.1"]);
    let pings = |from: &Netns, to: &str| from.exec(["ping", "-qc1", "-W1", to]).status.success();
    assert!(pings(&vm, "10.97.0.1"));
    let (far, _far) = inhabited(&scene, "far");
    host.ip(["address", "add", "10.98.0.1/24", "dev", "veth-far"]);
    far.ip(["address", "add", "10.98.0.2/24", "dev", "eth0"]);
    far.ip(["route", "add", "default", "via", "10.98.0.99"]);
    let long = Duration::from_secs(60);
    wait_for(long, "the gateway is found, and nothing else", || {
        // The kernel forgets a neighbour that does not answer.
        assert!(!pings(&far, "10.97.0.1"));
        let told = told(exporter);
        let is_it = |problem: &String| problem.starts_with("wrong_gateway far: ");
        if told.len() == 1 && told.iter().all(is_it) { Ok(()) } else { Err(format!("{told:#?}")) }
    });
    far.ip(["route", "replace", "default", "via", "10.98.0.1"]);
    assert!(pings(&far, "10.97.0.1"));
    wait_until_told_within(long, exporter, &[]);
}

#[test]
fn what_no_event_reports_is_found_by_the_checks_and_goes_when_the_remedies_are_run() {
    let scene = scene();
    let Scene { host, web, db, exporter, .. } = &scene;
    host.ip(["address", "add", "10.97.0.1/24", "dev", "br0"]);
    web.ip(["address", "add", "10.97.0.2/24", "dev", "eth0"]);
    web.ip(["link", "set", "eth0", "arp", "off"]);
    db.ip(["address", "add", "10.97.0.1/24", "dev", "eth0"]);
    let wanted = [
        "arp_off web: eth0 of named/web neither ",
        "same_address db: eth0 of named/db and br0 of the host have ",
    ];
    // The first check comes after 10 s, the second one 10 s later.
    let long = Duration::from_secs(60);
    wait_for(long, "both are found", || {
        let told = told(exporter);
        let is_as_wanted = |(problem, wanted): (&String, &&str)| problem.starts_with(*wanted);
        let all = told.len() == wanted.len() && told.iter().zip(&wanted).all(is_as_wanted);
        if all { Ok(()) } else { Err(format!("{told:#?}")) }
    });
    let counted = String::from_utf8(exporter.get("/metrics").body).unwrap();
    for (kind, count) in [("arp_off", 1), ("same_address", 1), ("no_route", 0)] {
        let line = format!("veth_exporter_problems{{kind=\"{kind}\"}} {count}\n");
        assert!(counted.contains(&line), "no {line}");
    }
    web.ip(["link", "set", "eth0", "arp", "on"]);
    db.ip(["address", "del", "10.97.0.1/24", "dev", "eth0"]);
    wait_for(long, "nothing is wrong any more", || {
        let told = told(exporter);
        if told.is_empty() { Ok(()) } else { Err(format!("{told:#?}")) }
    });
}
