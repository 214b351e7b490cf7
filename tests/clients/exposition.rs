//! The whole exposition of a fixed scene, as a file that a person has read: tests/clients/golden/scene.prom. `UPDATE_GOLDEN=1` writes it
//! anew; the difference then is to be read like any other.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, checkout, promtool_check, send_datagrams, succeed, wait_for};

/// A host with fixed indexes, addresses and nsids, and its containers.
struct Scene {
    host: Netns,
    folder: NetnsFolder,
    _others: [Netns; 3],
}

/// One end: its namespace, name, ifindex and the last byte of its address.
type End<'a> = (&'a Netns, &'a [u8], &'a str, u8);

fn join((netns, name, index, address): End<'_>, (peer_netns, peer, peer_index, peer_address): End<'_>) {
    let mac = |last: u8| format!("02:00:00:00:00:{last:02x}");
    let (address, peer_address, path) = (mac(address), mac(peer_address), peer_netns.path());
    let text = OsStr::new;
    netns.ip([
        text("link"),
        text("add"),
        text("name"),
        OsStr::from_bytes(name),
        text("index"),
        text(index),
        text("address"),
        text(&address),
        text("type"),
        text("veth"),
        text("peer"),
        text("name"),
        OsStr::from_bytes(peer),
        text("index"),
        text(peer_index),
        text("address"),
        text(&peer_address),
        text("netns"),
        path.as_os_str(),
    ]);
}

fn up(netns: &Netns, name: &[u8]) {
    netns.ip([OsStr::new("link"), OsStr::new("set"), OsStr::from_bytes(name), OsStr::new("up")]);
}

impl Scene {
    fn new() -> Scene {
        let (host, web, db, nobody) =
            (Netns::quiet("host"), Netns::quiet("web"), Netns::quiet("db"), Netns::quiet("nobody"));
        let folder = NetnsFolder::new();
        folder.name("web", &web);
        folder.name("d\"b\\", &db);
        for (netns, nsid) in [(&web, "101"), (&db, "102"), (&nobody, "103")] {
            host.ip(["netns", "set", netns.name(), nsid]);
        }
        // To containers, whose eth0 have one ifindex; one pair is up.
        join((&host, b"veth-web", "11", 0x11), (&web, b"eth0", "2", 0x21));
        join((&host, b"veth-db", "12", 0x12), (&db, b"eth0", "2", 0x22));
        join((&host, b"veth-nobody", "13", 0x13), (&nobody, b"eth0", "2", 0x23));
        // On the host, with names that need care.
        join((&host, b"a\"b", "14", 0x14), (&host, b"v\xff\xfe", "15", 0x15));
        // Between containers, and in one of them.
        join((&web, b"to-db", "3", 0x31), (&db, b"to-web", "3", 0x32));
        join((&web, b"inner", "4", 0x41), (&web, b"outer", "5", 0x42));
        host.ip(["link", "add", "name", "br0", "index", "20", "type", "bridge"]);
        host.ip(["link", "set", "veth-web", "master", "br0", "mtu", "1400"]);
        web.ip(["link", "add", "name", "br1", "index", "6", "type", "bridge"]);
        web.ip(["link", "set", "to-db", "master", "br1"]);
        up(&host, b"veth-db");
        up(&db, b"eth0");
        host.address("veth-db", "10.99.0.1", &db, "eth0", "10.99.0.2");
        db.address("eth0", "10.99.0.2", &host, "veth-db", "10.99.0.1");
        wait_for(Duration::from_secs(5), "veth-db is up", || {
            let link = host.ip_json(["link", "show", "veth-db"]);
            if link[0]["operstate"] == "UP" { Ok(()) } else { Err(link) }
        });
        succeed(host.command("tc").args(["qdisc", "add", "dev", "veth-db", "root", "pfifo", "limit", "9"]));
        // Before the exporter starts: in the devices' counters and not in the totals.
        send_datagrams(&db.path(), &host.path(), "10.99.0.1".parse().unwrap(), 3, 1_000);
        send_datagrams(&host.path(), &db.path(), "10.99.0.2".parse().unwrap(), 2, 100);
        Scene { host, folder, _others: [web, db, nobody] }
    }
}

/// What differs from run to run, without its value: how the process does (`process_*`), how long things took, how often a busy
/// machine kept a scrape from its counters or was late with a tick, and the version. Everything else is to be the same to the byte.
fn normalised(text: &str) -> String {
    let varying = [
        "process_",
        "veth_exporter_collector_duration_seconds",
        "veth_exporter_engine_requests_total",
        "veth_exporter_late_ticks_total",
        "veth_exporter_stale_scrapes_total",
    ];
    let line = |line: &str| {
        if varying.iter().any(|name| line.starts_with(name)) {
            let (series, _) = line.rsplit_once(' ').unwrap();
            return format!("{series} VARIES\n");
        }
        let line = line.replace(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), "version=\"VARIES\"");
        // As much as the kernel has.
        let landlock = ["full", "partial", "unavailable"].map(|state| format!("landlock=\"{state}\""));
        let line = landlock.iter().fold(line, |line, state| line.replace(state, "landlock=\"VARIES\""));
        line + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn the_exposition_of_a_fixed_scene_is_the_golden_file() {
    let scene = Scene::new();
    let [flag, path] = scene.folder.arguments();
    let exporter = Exporter::start(
        &scene.host,
        &[flag, path, "--collector.interval", "100ms", "--docker.host", "unix:///nonexistent"],
    );
    // Complete once a pair is shown that nobody claims, and that Docker could not name.
    let metrics = exporter.wait_for(Duration::from_secs(10), "the scene is complete", |metrics| {
        let unknown = metrics.value("veth_device_up", &[("device", "veth-nobody"), ("runtime", "unknown")]);
        let docker = metrics.value("veth_exporter_collector_success", &[("collector", "docker")]);
        let counters = metrics.value("veth_exporter_collector_success", &[("collector", "counters")]);
        // A peak is there a tick after its total.
        let [totals, peaks] = ["bytes_total", "peak_bytes_per_second"]
            .map(|what| metrics.all(&format!("veth_container_receive_{what}")).len());
        // The unequal MTUs of veth-web are a problem after three seconds.
        let mtus = metrics.value("veth_exporter_problems", &[("kind", "mtu_mismatch")]) == Some(1.0);
        (unknown.is_some() && docker.is_some() && counters.is_some() && totals == peaks && mtus)
            .then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
    let seen = normalised(&metrics.text);
    let golden = checkout().join("tests/clients/golden/scene.prom");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    let first = seen.lines().zip(wanted.lines()).find(|(seen, wanted)| seen != wanted);
    assert!(
        seen == wanted,
        "not as {}; the first line that differs: {first:#?}\n---- is:\n{seen}\n---- should be:\n{wanted}",
        golden.display()
    );
}
