//! /metrics/cadvisor: real containers, and whether a dashboard for cAdvisor would find there what the containers count themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{
    Container, Counters, DockerEngine, DockerNetwork, Exporter, Exposition, Netns, Prometheus, needs_engine,
    promtool_check, silent_on, succeed, two_silent, unique_device, unique_name, wait_for,
};

const PATH: &str = "/metrics/cadvisor";
const SOON: Duration = Duration::from_secs(20);

/// What it says of an interface, in the order of /proc/net/dev; `None` if it is not there.
fn shown(metrics: &Exposition, container: &Container, interface: &str) -> Option<Counters> {
    let labels = [("name", container.name()), ("interface", interface)];
    let value = |what: &str| Some(metrics.value(&format!("container_network_{what}_total"), &labels)? as u64);
    Some(Counters {
        rx_bytes: value("receive_bytes")?,
        rx_packets: value("receive_packets")?,
        rx_errors: value("receive_errors")?,
        rx_dropped: value("receive_packets_dropped")?,
        tx_bytes: value("transmit_bytes")?,
        tx_packets: value("transmit_packets")?,
        tx_errors: value("transmit_errors")?,
        tx_dropped: value("transmit_packets_dropped")?,
    })
}

/// Waits until it says what the container's own /proc/net/dev says, before and after the scrape. What a container's stack has
/// dropped itself is no drop of a port.
fn wait_until_equal(exporter: &Exporter, container: &Container, interface: &str) -> Counters {
    wait_for(SOON, "the page says what the container counts", || {
        let own = container.counters(interface);
        let metrics = exporter.exposition(PATH);
        let shown = shown(&metrics, container, interface);
        let equal = shown.map(|shown| Counters { rx_dropped: own.rx_dropped, ..shown }) == Some(own);
        if equal && container.counters(interface) == own {
            Ok(own)
        } else {
            Err(format!("itself: {own:?}\nshown: {shown:?}\n{}", metrics.text))
        }
    })
}

/// Where its first process is, in the deepest of the hierarchies.
fn cgroup(container: &Container) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.max_by_key(|path| path.matches('/').count()).unwrap().to_owned()
}

#[test]
fn a_container_has_cadvisors_labels_and_its_own_counts() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("cadvisor");
    let exporter = Exporter::for_engine(engine, &[]);
    let [one, two] = two_silent(engine, &network);
    one.ping(two.address(network.name()), 20, 1_000);
    one.send(&two, network.name(), 2_000_000);
    for container in [&one, &two] {
        let own = wait_until_equal(&exporter, container, "eth0");
        assert!(own.rx_packets > 20 && own.rx_bytes > 20_000, "{own:?}");
    }
    let metrics = exporter.exposition(PATH);
    promtool_check(&metrics.text).unwrap();
    let id = cgroup(&one);
    assert!(id.contains(one.id()), "{id}");
    let expected: BTreeMap<String, String> =
        [("id", id.as_str()), ("image", "lab/busybox:1"), ("interface", "eth0"), ("name", one.name())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let found = metrics.with_label("name", one.name());
    assert_eq!(found.len(), 8, "{}", metrics.text);
    assert!(found.iter().all(|sample| sample.labels == expected), "{found:#?}");
    assert!(metrics.families.iter().all(|family| family.name.starts_with("container_network_")));
}

#[test]
fn what_a_port_drops_is_dropped_for_its_container() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("drops");
    let exporter = Exporter::for_engine(engine, &[]);
    let [one, two] = two_silent(engine, &network);
    let device = two.host_device(engine.netns(), "eth0");
    // The port cannot hand over larger packets.
    let pid = two.pid().to_string();
    let shrink = ["-n", "-t", &pid, "ip", "link", "set", "eth0", "mtu", "1000"];
    succeed(std::process::Command::new("nsenter").args(shrink));
    let before = wait_until_equal(&exporter, &two, "eth0");
    let links = || engine.netns().ip_json(["-s", "link", "show", &device]);
    let ping = format!("ping -c 3 -W 1 -s 1400 {} || true", two.address(network.name()));
    let sent = one.exec(&["sh", "-c", &ping]);
    let dropped = links()[0]["stats64"]["tx"]["dropped"].as_u64().unwrap();
    assert!(dropped > 0, "{sent}");
    let metrics = exporter.exposition(PATH);
    let after = shown(&metrics, &two, "eth0").unwrap();
    assert_eq!((after.rx_dropped, after.rx_bytes), (dropped, before.rx_bytes), "{sent}\n{}", links());
}

/// A macvlan network of Docker's on a veth of the engine's host.
struct Macvlan {
    network: DockerNetwork,
}

impl Macvlan {
    fn new(engine: &DockerEngine) -> Macvlan {
        let parent = unique_device("mv");
        let netns: &Netns = engine.netns();
        netns.veth(&parent, netns, &format!("{parent}p"));
        let option = format!("parent={parent}");
        let network = engine
            .network_with("macvlan", &["--driver", "macvlan", "--subnet", "10.99.0.0/24", "--opt", &option]);
        Macvlan { network }
    }
}

#[test]
fn a_macvlan_interface_is_read_in_its_container_and_has_no_veth() {
    needs_engine!();
    let engine = DockerEngine::get();
    let macvlan = Macvlan::new(engine);
    let exporter = Exporter::for_engine(engine, &[]);
    let [one, two] = ["one", "two"].map(|name| engine.run_idle(name, &silent_on(&macvlan.network)));
    let before = wait_until_equal(&exporter, &one, "eth0");
    one.ping(two.address(macvlan.network.name()), 20, 1_000);
    let after = wait_until_equal(&exporter, &one, "eth0");
    assert!(after.rx_bytes > before.rx_bytes + 20_000 && after.tx_bytes > before.tx_bytes + 20_000);
    wait_until_equal(&exporter, &two, "eth0");
    let metrics = exporter.metrics();
    let found: Vec<&str> =
        metrics.with_label("container", one.name()).iter().map(|sample| sample.name.as_str()).collect();
    assert_eq!(found, ["veth_container_starts_total"], "{}", metrics.text);
    // A member of another's namespace has no traffic of its own, and a second network is a second interface.
    let network = engine.network("second");
    engine.docker(&["network", "connect", network.name(), one.name()]);
    let member = engine.run_idle("member", &["--network", &format!("container:{}", one.name())]);
    for interface in ["eth0", "eth1"] {
        wait_until_equal(&exporter, &one, interface);
    }
    let metrics = exporter.exposition(PATH);
    assert_eq!(metrics.with_label("name", member.name()).len(), 0, "{}", metrics.text);
    assert_eq!(metrics.with_label("name", one.name()).len(), 16, "{}", metrics.text);
    promtool_check(&metrics.text).unwrap();
}

#[test]
fn filters_and_labels_hold_here_too() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("filtered");
    let label = ["--network", network.name(), "--label", "lab.test/app=a \"quoted\"\nshop"];
    let shown = engine.run_idle("shown", &label);
    let hidden = engine.run_idle("hidden", &label);
    let flags =
        ["--container.exclude", "hidden-.*", "--container.labels", "lab.test/app", "--device.metrics=false"];
    let exporter = Exporter::for_engine(engine, &flags);
    wait_until_equal(&exporter, &shown, "eth0");
    let metrics = exporter.exposition(PATH);
    let found = metrics.with_label("name", shown.name());
    assert_eq!(found[0].labels["container_label_lab_test_app"], "a \"quoted\"\nshop");
    assert!(!metrics.text.contains(hidden.name()), "{}", metrics.text);
    promtool_check(&metrics.text).unwrap();
}

#[test]
fn a_dashboard_for_cadvisor_finds_its_containers_in_a_real_prometheus() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("board");
    let exporter = Exporter::for_engine(engine, &[]);
    let [one, two] = two_silent(engine, &network);
    let job = format!("metrics_path: {PATH}, static_configs: [{{targets: ['{}']}}]", exporter.address());
    let prometheus = Prometheus::start_with(engine.netns(), 1, &job);
    let query = "sum by (name) (rate(container_network_receive_bytes_total{image!=\"\"}[30s]))";
    let rate = wait_for(Duration::from_secs(30), query, || {
        one.ping(two.address(network.name()), 20, 1_000);
        let answer = prometheus.query(query);
        let list = answer.as_array().unwrap();
        let own = list.iter().find(|series| series["metric"]["name"] == two.name());
        let rate = own.and_then(|series| series["value"][1].as_str()?.parse::<f64>().ok());
        rate.filter(|rate| *rate > 0.0).ok_or(format!("{answer:#}"))
    });
    assert!(rate.is_finite());
    let dropped = prometheus.query(&format!(
        "sum by (name) (container_network_transmit_packets_dropped_total{{id=~\"/.+\",name=\"{}\"}})",
        two.name()
    ));
    assert_eq!(dropped[0]["value"][1], "0", "{dropped:#}");
}

#[test]
fn the_page_has_the_limits_of_the_other_and_is_there_before_anything_is() {
    let host = Netns::quiet("host");
    let folder = lab::NetnsFolder::new();
    let inside = Netns::quiet("inside");
    host.veth("veth0", &inside, "eth0");
    folder.name(unique_name("named"), &inside);
    let exporter = Exporter::start(&host, &folder.arguments());
    exporter.wait_ready();
    // A named namespace is no container of cAdvisor's.
    assert_eq!(exporter.get(PATH).text(), "");
    let zipped = exporter.request("GET", PATH, &[("Accept-Encoding", "gzip")]);
    assert_eq!((zipped.status, zipped.header("content-encoding")), (200, Some("gzip")));
    let plain = exporter.get(PATH);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(exporter.request("POST", PATH, &[]).status, 405);
    assert_eq!(exporter.request("HEAD", PATH, &[]).status, 200);
    assert_eq!(exporter.get("/metrics/cadvisor/").status, 404);
}
