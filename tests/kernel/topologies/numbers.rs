//! Many pairs in one namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use lab::scene::{LIMIT, Scene, ip_batch, series};
use lab::{Exporter, Netns, describe};

/// So many pairs from the host to a namespace that the folder calls `name`.
fn crowd(scene: &Scene, name: &str, pairs: usize) -> Netns {
    let inside = scene.named(name);
    let mut lines = String::new();
    for number in 0..pairs {
        writeln!(lines, "link add v{number} up type veth peer name e{number} netns {}", inside.name())
            .unwrap();
    }
    ip_batch(&scene.host, &lines);
    inside
}

/// Name and peer's ifindex of each veth, by its ifindex, as `ip` sees them.
fn veths(links: &Value) -> BTreeMap<u64, (String, u64)> {
    let links = links.as_array().unwrap().iter().filter(|link| link["link_index"].is_u64());
    let veth = |link: &Value| {
        let name = link["ifname"].as_str().unwrap().to_owned();
        (link["ifindex"].as_u64().unwrap(), (name, link["link_index"].as_u64().unwrap()))
    };
    links.map(veth).collect()
}

#[test]
fn a_firewall_with_200_veths_has_64_label_sets_and_their_sum_is_all_there_was() {
    let scene = Scene::new();
    let firewall = crowd(&scene, "firewall", 200);
    let exporter = scene.exporter(&[]);
    exporter.wait_for(LIMIT, "all devices are there", |metrics| {
        (metrics.all("veth_device_up").len() == 200).then_some(())
    });
    // Only here are the interfaces up, and every one says something: IPv6 is off, so it is told to.
    let mut lines = String::new();
    for number in 0..200 {
        writeln!(lines, "link set e{number} up\naddress add 10.{number}.0.2/24 dev e{number}").unwrap();
        writeln!(lines, "neigh add 10.{number}.0.1 lladdr 02:00:00:00:00:01 dev e{number} nud permanent")
            .unwrap();
    }
    ip_batch(&firewall, &lines);
    firewall.within(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        for number in 0..200 {
            for _ in 0..=number % 3 {
                socket.send_to(&[0; 1_000], format!("10.{number}.0.1:9")).unwrap();
            }
        }
    });
    let all: u64 = (0..200).map(|number| number % 3 + 1).sum();
    let metrics = exporter.wait_for(LIMIT, "all that was sent is counted", |metrics| {
        let totals = metrics.all("veth_container_transmit_packets_total");
        (totals.iter().map(|(_, value)| *value as u64).sum::<u64>() == all).then(|| metrics.clone())
    });
    let bytes = metrics.all("veth_container_transmit_bytes_total");
    assert_eq!(bytes.iter().map(|(_, value)| *value as u64).sum::<u64>(), all * 1_042, "{}", metrics.text);
    assert_eq!(bytes.len(), 64, "{}", metrics.text);
    let other = metrics.value("veth_container_transmit_packets_total", &[("interface", "other")]).unwrap();
    let named =
        |labels: &BTreeMap<String, String>| labels["interface"].trim_start_matches('e').parse::<u64>();
    let shown: u64 =
        bytes.iter().filter_map(|(labels, _)| named(labels).ok()).map(|number| number % 3 + 1).sum();
    assert_eq!(other as u64, all - shown, "{}", metrics.text);
    // The same by the devices, which are all there. Nothing is summed away from them.
    let devices = metrics.all("veth_device_receive_packets_total");
    assert_eq!((devices.len(), devices.iter().map(|(_, value)| *value as u64).sum::<u64>()), (200, all));
}

#[test]
fn of_4096_veths_in_one_namespace_each_is_found_with_its_peer() {
    const PAIRS: usize = 4_096;
    let scene = Scene::new();
    let inside = crowd(&scene, "crowd", PAIRS);
    let [flag, path] = scene.folder.arguments();
    let begin = Instant::now();
    let output = Exporter::command(&scene.host, &["list", "--format", "json", flag, path]).output().unwrap();
    let took = begin.elapsed();
    assert!(output.status.success(), "{}", describe(&output));
    assert!(took < Duration::from_secs(10), "`list` took {took:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ports = veths(&scene.host.ip_json(["link", "show", "type", "veth"]));
    let interfaces = veths(&inside.ip_json(["link", "show", "type", "veth"]));
    assert_eq!((ports.len(), interfaces.len()), (PAIRS, PAIRS));
    let wanted: BTreeSet<(u64, String, u64, String)> = ports
        .iter()
        .map(|(&ifindex, (name, peer))| {
            let (peer_name, back) = &interfaces[peer];
            assert_eq!(*back, ifindex);
            (ifindex, name.clone(), *peer, peer_name.clone())
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found: BTreeSet<(u64, String, u64, String)> = document["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let ends = &row["ends"];
            assert_eq!(
                (&ends[0]["netns"], &ends[1]["workload"]["container"]),
                (&"".into(), &"crowd".into()),
                "{row:#}"
            );
            let index = |end: usize| ends[end]["ifindex"].as_u64().unwrap();
            (index(0), text(&ends[0]["name"]), index(1), text(&ends[1]["name"]))
        })
        .collect();
    assert!(found == wanted, "{} pairs of `list` are not those {} of `ip`", found.len(), wanted.len());

    // A round with so many takes its time; a scrape takes what there is.
    let exporter = Exporter::start(&scene.host, &[flag, path]);
    exporter.wait_ready();
    let begin = Instant::now();
    let metrics = exporter.metrics();
    let took = begin.elapsed();
    assert_eq!(series(&metrics, "veth_device_up").len(), PAIRS);
    assert_eq!(metrics.all("veth_container_receive_bytes_total").len(), 64);
    assert!(took < Duration::from_secs(5), "a scrape took {took:?}");
}
