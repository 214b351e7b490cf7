//! The root queue disciplines of ports: what `tc -s -j qdisc` says of them is what the exporter shows.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value;

use lab::{Exporter, Exposition, Netns, NetnsFolder, succeed, wait_for};

const SOON: Duration = Duration::from_secs(10);
const FAMILIES: [&str; 4] = ["drops_total", "overlimits_total", "backlog_bytes", "backlog_packets"];

/// A host and the container `web` with addresses 10.98.0.1 and 10.98.0.2, joined by veth-web and eth0; the host has other links.
struct Scene {
    host: Netns,
    web: Netns,
    folder: NetnsFolder,
}

impl Scene {
    fn new() -> Scene {
        let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
        folder.name("web", &web);
        host.veth("veth-web", &web, "eth0");
        host.address("veth-web", "10.98.0.1", &web, "eth0", "10.98.0.2");
        // One link in eight may have a queue discipline before all are read by a dump.
        let spare: String = (0..14).map(|number| format!("link add spare{number} type bridge\n")).collect();
        host.ip_batch(&spare);
        Scene { host, web, folder }
    }

    fn exporter(&self) -> Exporter {
        let arguments = [self.folder.arguments().to_vec(), vec!["--collector.interval", "100ms"]].concat();
        let exporter = Exporter::start(&self.host, &arguments);
        exporter.wait_for(SOON, "the pair is named", |metrics| {
            metrics.value("veth_device_up", &[("device", "veth-web"), ("container", "web")])
        });
        exporter
    }

    /// `tc WORDS`, which must succeed.
    fn tc(&self, words: &str) {
        succeed(self.host.command("tc").args(words.split(' ')));
    }

    /// Sends so many datagrams of 1,042 bytes to `web`, at once.
    fn send(&self, count: u32) {
        let socket = self.host.within(|| UdpSocket::bind("10.98.0.1:0").unwrap());
        for _ in 0..count {
            // A packet that the queue drops is not an error in each kernel.
            let _ = socket.send_to(&[0; 1_000], "10.98.0.2:9");
        }
    }
}

/// The root queue discipline of a device, as tc prints it.
fn root(host: &Netns, device: &str) -> Value {
    let text = succeed(host.command("tc").args(["-s", "-j", "qdisc", "show", "dev", device]));
    let all: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    all.as_array().unwrap().iter().find(|qdisc| qdisc["root"] == true).unwrap_or(&Value::Null).clone()
}

/// The kind of a root and the numbers that correspond to [`FAMILIES`].
fn by_tc(host: &Netns, device: &str) -> (String, [f64; 4]) {
    let root = root(host, device);
    let numbers = ["drops", "overlimits", "backlog", "qlen"].map(|key| root[key].as_f64().unwrap());
    (root["kind"].as_str().unwrap().to_owned(), numbers)
}

/// The same as the exporter shows it; `None` where the device has no such series.
fn shown(metrics: &Exposition, device: &str) -> Option<(String, [f64; 4])> {
    let series = metrics.all("veth_device_qdisc_drops_total");
    let of_device: Vec<_> = series.iter().filter(|(labels, _)| labels["device"] == device).collect();
    assert!(of_device.len() < 2, "two queue disciplines at once: {of_device:?}");
    let labels = &of_device.first()?.0;
    let labels: Vec<(&str, &str)> =
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let number = |family: &str| metrics.value(&format!("veth_device_qdisc_{family}"), &labels).unwrap();
    let kind = labels.iter().find(|(name, _)| *name == "kind").unwrap().1;
    Some((kind.to_owned(), FAMILIES.map(number)))
}

/// Waits until a scrape shows what tc printed before it and after it.
fn at_rest(scene: &Scene, exporter: &Exporter, device: &str) -> (String, [f64; 4]) {
    wait_for(SOON, "a scrape shows what tc prints", || {
        let before = by_tc(&scene.host, device);
        let metrics = exporter.metrics();
        let after = by_tc(&scene.host, device);
        match shown(&metrics, device) {
            Some(shown) if shown == before && before == after => Ok(shown),
            other => Err(format!("{other:?}, tc: {before:?}, then {after:?}\n{}", metrics.text)),
        }
    })
}

/// No resync since the start, and none has found anything that no event had reported.
fn assert_no_resync(exporter: &Exporter) {
    let metrics = exporter.metrics();
    let resyncs: Vec<_> = metrics.all("veth_exporter_resyncs_total");
    assert!(
        resyncs.iter().all(|(labels, value)| labels["reason"] == "start" || *value == 0.0),
        "{resyncs:?}"
    );
    assert_eq!(metrics.value("veth_exporter_resync_corrections_total", &[]), Some(0.0));
    assert_eq!(metrics.collector_success("counters"), Some(true));
    assert_eq!(exporter.remarks(), [""; 0]);
}

#[test]
fn what_tbf_drops_of_a_burst_is_shown_to_the_packet_under_the_labels_of_the_port() {
    let scene = Scene::new();
    let exporter = scene.exporter();
    assert_eq!(shown(&exporter.metrics(), "veth-web"), None);
    scene.tc("qdisc add dev veth-web root tbf rate 4mbit burst 10kb limit 30kb");
    wait_for(SOON, "tbf is shown", || {
        let metrics = exporter.metrics();
        shown(&metrics, "veth-web").ok_or(metrics.text)
    });
    scene.send(453);
    wait_for(SOON, "the queue is empty", || {
        let tbf = root(&scene.host, "veth-web");
        if tbf["qlen"] == 0 { Ok(()) } else { Err(tbf.to_string()) }
    });
    let (kind, [drops, overlimits, backlog, waiting]) = at_rest(&scene, &exporter, "veth-web");
    let tbf = root(&scene.host, "veth-web");
    assert_eq!(kind, "tbf");
    assert!(drops > 0.0 && overlimits > 0.0, "{tbf}");
    assert_eq!((backlog, waiting), (0.0, 0.0));
    assert_eq!(tbf["packets"].as_f64().unwrap() + drops, 453.0, "{tbf}");
    let metrics = exporter.fresh_metrics();
    let labels = [("device", "veth-web"), ("kind", "tbf"), ("container", "web"), ("interface", "eth0")];
    assert_eq!(metrics.value("veth_device_qdisc_drops_total", &labels), Some(drops));
    // No other family counts them.
    let sent = metrics.value("veth_device_transmit_packets_total", &[("device", "veth-web")]);
    assert_eq!(sent, Some(453.0 - drops));
    let dropped = metrics.value("veth_device_transmit_packets_dropped_total", &[("device", "veth-web")]);
    assert_eq!(dropped, Some(0.0));
    // The kernel sends the answers to all listeners: the exporter's own are no events.
    let events = || exporter.metrics().value("veth_exporter_netlink_events_total", &[]);
    let before = events();
    (0..20).for_each(|_| _ = exporter.metrics());
    assert_eq!(events(), before);
    assert_no_resync(&exporter);
}

#[test]
fn what_waits_in_htb_is_the_backlog_of_the_root_and_its_leaf_has_no_series() {
    let scene = Scene::new();
    scene.tc("qdisc add dev veth-web root handle 1: htb default 1");
    scene.tc(
        "class add dev veth-web parent 1: classid 1:1 htb rate 800bit ceil 800bit burst 1600 cburst 1600",
    );
    scene.tc("qdisc add dev veth-web parent 1:1 handle 2: pfifo limit 5");
    // It has one already when the exporter starts: no event reports it.
    let exporter = scene.exporter();
    scene.send(30);
    let (kind, [drops, _, backlog, waiting]) = at_rest(&scene, &exporter, "veth-web");
    assert_eq!(kind, "htb");
    assert!(drops > 0.0, "{}", root(&scene.host, "veth-web"));
    assert_eq!((backlog, waiting), (5.0 * 1_042.0, 5.0));
    assert_no_resync(&exporter);
}

#[test]
fn each_change_of_a_running_exporter_is_shown_without_a_resync_and_nothing_stays_behind() {
    let scene = Scene::new();
    let exporter = scene.exporter();
    let none = || {
        wait_for(SOON, "no queue discipline is shown", || {
            let metrics = exporter.metrics();
            shown(&metrics, "veth-web").map_or(Ok(()), |_| Err(metrics.text))
        });
    };
    let tbf = "qdisc replace dev veth-web root handle 5: tbf rate 8kbit burst 2000 limit 5000";
    scene.tc(tbf);
    scene.send(40);
    let (_, [drops, ..]) = at_rest(&scene, &exporter, "veth-web");
    assert!(drops > 0.0);
    // Another tbf: the kernel begins at 0.
    scene.tc("qdisc replace dev veth-web root handle 6: tbf rate 8kbit burst 2000 limit 5000");
    assert_eq!(at_rest(&scene, &exporter, "veth-web"), ("tbf".to_owned(), [0.0; 4]));
    scene.tc("qdisc replace dev veth-web root pfifo limit 7");
    assert_eq!(at_rest(&scene, &exporter, "veth-web"), ("pfifo".to_owned(), [0.0; 4]));
    scene.tc("qdisc change dev veth-web root pfifo limit 8");
    assert_eq!(at_rest(&scene, &exporter, "veth-web").0, "pfifo");
    // clsact is no root, and does not take the place of one.
    scene.tc("qdisc add dev veth-web clsact");
    assert_eq!(at_rest(&scene, &exporter, "veth-web").0, "pfifo");
    scene.tc("qdisc del dev veth-web root");
    none();
    scene.tc("qdisc add dev veth-web root bfifo");
    assert_eq!(at_rest(&scene, &exporter, "veth-web").0, "bfifo");
    scene.tc("qdisc replace dev veth-web root noqueue");
    none();
    // A port that is down keeps it, and one that is up again has it.
    scene.tc(tbf);
    scene.host.ip(["link", "set", "veth-web", "down"]);
    assert_eq!(at_rest(&scene, &exporter, "veth-web").0, "tbf");
    scene.tc("qdisc del dev veth-web root");
    none();
    scene.host.ip(["link", "set", "veth-web", "up"]);
    scene.tc(tbf);
    assert_eq!(at_rest(&scene, &exporter, "veth-web").0, "tbf");
    // The device goes with it.
    scene.host.ip(["link", "del", "veth-web"]);
    none();
    assert_no_resync(&exporter);
}

#[test]
fn where_many_ports_have_one_they_are_read_by_one_dump_with_the_same_numbers() {
    let scene = Scene::new();
    let inside = Netns::quiet("many");
    let names: Vec<String> = (0..12).map(|number| format!("port{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        scene.host.veth(name, &inside, &format!("eth{number}"));
        scene.tc(&format!("qdisc add dev {name} root handle 1: htb default 1"));
        scene.tc(&format!("class add dev {name} parent 1: classid 1:1 htb rate 1mbit"));
        scene.tc(&format!("qdisc add dev {name} parent 1:1 pfifo limit {}", number + 1));
    }
    scene.tc("qdisc add dev veth-web root tbf rate 8kbit burst 2000 limit 5000");
    let exporter = scene.exporter();
    scene.send(40);
    let (kind, [drops, ..]) = at_rest(&scene, &exporter, "veth-web");
    assert!(kind == "tbf" && drops > 0.0);
    for name in &names {
        assert_eq!(at_rest(&scene, &exporter, name).0, "htb");
    }
    assert_no_resync(&exporter);
}

#[test]
fn they_are_read_without_a_capability_and_in_the_whole_sandbox() {
    let scene = Scene::new();
    let own = [scene.folder.arguments().to_vec(), vec!["--collector.interval", "100ms"]].concat();
    let through = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    let exporter = Exporter::start_through(&scene.host, &through, &own);
    let metrics = exporter.metrics();
    let sandbox = metrics.all("veth_exporter_sandbox_info");
    assert_eq!((sandbox[0].0["seccomp"].as_str(), sandbox[0].0["capabilities"].as_str()), ("full", "none"));
    scene.tc("qdisc add dev veth-web root tbf rate 8kbit burst 2000 limit 5000");
    scene.send(40);
    let (kind, [drops, ..]) = at_rest(&scene, &exporter, "veth-web");
    assert!(kind == "tbf" && drops > 0.0);
    assert_eq!(exporter.metrics().collector_success("counters"), Some(true));
}

#[test]
fn a_hidden_device_and_one_in_a_container_have_no_series() {
    let scene = Scene::new();
    scene.tc("qdisc add dev veth-web root pfifo limit 5");
    succeed(scene.web.command("tc").args(["qdisc", "add", "dev", "eth0", "root", "pfifo"]));
    let exporter = scene.exporter();
    at_rest(&scene, &exporter, "veth-web");
    assert_eq!(exporter.metrics().all("veth_device_qdisc_drops_total").len(), 1, "of the port alone");
    let hidden = [scene.folder.arguments().to_vec(), vec!["--device.exclude", "veth-web"]].concat();
    let exporter = Exporter::start(&scene.host, &hidden);
    exporter.wait_for(SOON, "the workload is there", |metrics| {
        metrics.value("veth_container_receive_bytes_total", &[("container", "web")])
    });
    assert_eq!(exporter.metrics().all("veth_device_qdisc_drops_total"), []);
}
