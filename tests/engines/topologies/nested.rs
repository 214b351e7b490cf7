//! A container that runs containers: the outer end is the port, the inner one's workload has a parent, and the outer one's own
//! totals are what passed its own eth0.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use lab::scene::{LIMIT, Labels, OFTEN, labels, series};
use lab::{
    Container, DockerEngine, Exporter, Exposition, Netns, NetnsFolder, needs_engine, ping, succeed, wait_for,
};

/// What a container needs to make namespaces inside.
const MAY_NEST: [&str; 6] =
    ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined"];

/// A container with one inside, which only sleeps, joined by the pair `inner0` - eth0.
struct Nested {
    outer: Container,
    /// As the host sees them.
    outer_pid: u32,
    inner_pid: u32,
}

impl Nested {
    fn new(engine: &DockerEngine, prefix: &str, more: &[&str]) -> Nested {
        let outer = engine.run_idle(prefix, &[&MAY_NEST, more].concat());
        let outer_pid = outer.pid();
        engine.docker(&["exec", "-d", outer.name(), "unshare", "-n", "sleep", "77777"]);
        let inner_pid = wait_for(LIMIT, "the inner process has its namespace", || {
            let top = engine.docker(&["top", outer.name(), "-eo", "pid,args"]);
            let line = top.lines().find(|line| line.trim_end().ends_with(" sleep 77777"));
            let pid = line.and_then(|line| line.split_whitespace().next()).and_then(|pid| pid.parse().ok());
            pid.filter(|pid| netns(*pid) != netns(outer_pid)).ok_or(top)
        });
        let nested = Nested { outer, outer_pid, inner_pid };
        let peer = nested.inner_pid.to_string();
        nested.outside(&["link", "add", "inner0", "type", "veth", "peer", "name", "eth0", "netns", &peer]);
        nested.outside(&["link", "set", "inner0", "up"]);
        nested.inside(&["link", "set", "eth0", "up"]);
        nested.inside(&["address", "add", "10.98.0.2/24", "dev", "eth0"]);
        nested
    }

    /// `ip -j` in the outer container's namespace.
    fn outside(&self, arguments: &[&str]) -> Value {
        ip(self.outer_pid, arguments)
    }

    /// `ip -j` in the inner one's.
    fn inside(&self, arguments: &[&str]) -> Value {
        ip(self.inner_pid, arguments)
    }

    /// Pings the inner one from the outer, and waits until the exporter has all of it at the port.
    fn traffic(&self, exporter: &Exporter) -> Exposition {
        ping(&self.outer.netns_path(), "10.98.0.2".parse().unwrap(), 20, 1_000);
        let device = self.device();
        let device: Vec<(&str, &str)> =
            device.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        exporter.wait_for(LIMIT, "the port shows what ip shows", |metrics| {
            let seen = &self.outside(&["-s", "link", "show", "inner0"])[0]["stats64"];
            let shown = ["transmit", "receive"].map(|way| {
                metrics.value(&format!("veth_device_{way}_bytes_total"), &device).map(|bytes| bytes as u64)
            });
            let whole = [seen["tx"]["bytes"].as_u64(), seen["rx"]["bytes"].as_u64()];
            (shown == whole && whole[0] >= Some(20 * 1_042)).then(|| metrics.clone())
        })
    }

    /// The labels of the port.
    fn device(&self) -> Labels {
        let place = format!("docker/{}", self.outer.name());
        labels([
            ("device", "inner0"),
            ("netns", place.as_str()),
            ("runtime", "process"),
            ("container", "sleep"),
            ("interface", "eth0"),
        ])
    }

    /// What the outer one has sent and received over its own eth0, and over all that is booked to it.
    fn assert_nothing_counted_twice(&self, metrics: &Exposition) {
        for (way, own) in [("receive", "rx"), ("transmit", "tx")] {
            let family = format!("veth_container_{way}_bytes_total");
            let of_outer: Vec<(Labels, f64)> = metrics
                .all(&family)
                .into_iter()
                .filter(|(labels, _)| labels.get("container").is_some_and(|name| name == self.outer.name()))
                .collect();
            assert_eq!(of_outer.len(), 1, "only its own eth0: {of_outer:?}");
            assert_eq!(of_outer[0].0["interface"], "eth0");
            let seen = &self.outside(&["-s", "link", "show", "eth0"])[0]["stats64"][own]["bytes"];
            assert!(of_outer[0].1 <= seen.as_f64().unwrap(), "{of_outer:?}, its eth0 {seen}");
            assert!(of_outer[0].1 < 20_000.0, "the inner one's bytes: {of_outer:?}");
        }
    }
}

fn netns(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

fn ip(pid: u32, arguments: &[&str]) -> Value {
    let said =
        succeed(Command::new("nsenter").args(["-n", "-t", &pid.to_string(), "ip", "-j"]).args(arguments));
    serde_json::from_str(&said).unwrap_or_default()
}

/// The port in its namespace, the inner workload's parent: what both kinds of nesting have in common.
fn wait_until_nested(nested: &Nested, exporter: &Exporter) -> Exposition {
    let parent = [("runtime", "process"), ("container", "sleep"), ("parent", nested.outer.name())];
    exporter.wait_for(LIMIT, "the inner one has its parent, and its port is in the outer one", |metrics| {
        metrics.value("veth_container_info", &parent)?;
        series(metrics, "veth_device_up").contains(&nested.device()).then(|| metrics.clone())
    })
}

#[test]
fn a_routed_container_in_a_container_has_its_port_and_its_parent_there() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("nest");
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let nested = Nested::new(engine, "kind", &["--network", network.name()]);
    nested.outside(&["address", "add", "10.98.0.1/24", "dev", "inner0"]);
    let metrics = wait_until_nested(&nested, &exporter);
    let info = metrics.all("veth_device_info").into_iter().find(|(labels, _)| {
        labels["device"] == "inner0" && labels["netns"] == format!("docker/{}", nested.outer.name())
    });
    let info = info.unwrap().0;
    let (own, other) =
        (nested.outside(&["link", "show", "inner0"]), nested.inside(&["link", "show", "eth0"]));
    let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
    assert_eq!(info["ifindex"], text(&own[0]["ifindex"]));
    assert_eq!(info["peer_ifindex"], text(&own[0]["link_index"]));
    assert_eq!(info["peer_ifindex"], text(&other[0]["ifindex"]));
    assert_eq!(
        [&info["address"], &info["peer_address"]],
        [&text(&own[0]["address"]), &text(&other[0]["address"])]
    );
    assert!(!info.contains_key("bridge"), "{info:?}");
    let metrics = nested.traffic(&exporter);
    nested.assert_nothing_counted_twice(&metrics);
}

#[test]
fn a_bridged_container_in_a_container_is_not_on_the_network_of_a_bridge_that_the_host_has_too() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("nest");
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let nested = Nested::new(engine, "dind", &["--network", network.name()]);
    // As a Docker engine inside would call it, and as the host's network is carried by one.
    nested.outside(&["link", "add", "docker0", "type", "bridge"]);
    nested.outside(&["link", "set", "docker0", "up"]);
    nested.outside(&["address", "add", "10.98.0.1/24", "dev", "docker0"]);
    nested.outside(&["link", "set", "inner0", "master", "docker0"]);
    let metrics = exporter.wait_for(LIMIT, "the bridge is shown", |metrics| {
        let place = format!("docker/{}", nested.outer.name());
        let port = [("device", "inner0"), ("netns", place.as_str()), ("bridge", "docker0")];
        metrics.value("veth_device_info", &port).map(|_| metrics.clone())
    });
    let on_network = series(&metrics, "veth_device_up");
    let on_network = on_network
        .iter()
        .find(|labels| labels["device"] == "inner0" && labels["netns"].ends_with(nested.outer.name()));
    assert_eq!(on_network, Some(&nested.device()), "no network");
    wait_until_nested(&nested, &exporter);
    let metrics = nested.traffic(&exporter);
    nested.assert_nothing_counted_twice(&metrics);
}

#[test]
fn a_namespace_without_a_process_in_the_containers_cgroup_has_no_parent() {
    needs_engine!();
    // A neighbour: a plain process of the host in a namespace of its own, joined to a container's.
    let engine = DockerEngine::get();
    let folder = NetnsFolder::new();
    let own = [folder.arguments(), OFTEN, ["--docker.host", engine.host()]].concat();
    let exporter = Exporter::start(engine.netns(), &own);
    let container = engine.run_idle("next", &["--network", "none"]);
    let neighbour = Netns::quiet("n");
    folder.name("neighbour", &neighbour);
    let pid = container.pid().to_string();
    neighbour.ip(["link", "add", "to-container", "type", "veth", "peer", "name", "aside", "netns", &pid]);
    let wanted = labels([("runtime", "named"), ("container", "neighbour"), ("interface", "to-container")]);
    exporter.wait_for(LIMIT, "both are there, side by side", |metrics| {
        let totals = series(metrics, "veth_container_receive_bytes_total");
        let other =
            totals.iter().find(|labels| labels.get("container").is_some_and(|n| n == container.name()));
        (totals.contains(&wanted) && other?["interface"] == "aside").then_some(())
    });
    let infos = series(&exporter.metrics(), "veth_container_info");
    let own =
        infos.iter().filter(|labels| ["neighbour", container.name()].contains(&labels["container"].as_str()));
    assert_eq!(own.filter(|labels| !labels.contains_key("parent")).count(), 2, "{infos:?}");
}
