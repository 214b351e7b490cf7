//! Pods in cAdvisor's words, with the labels that kubelet gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Containerd, Exporter, Pod, Traffic, needs_engine, ping, promtool_check, unique_name, wait_for};

const PATH: &str = "/metrics/cadvisor";

/// Waits until the page says what the pod's own /proc/net/dev says; the labels that it has there.
fn wait_until_equal(exporter: &Exporter, pod: &Pod<'_>, name: &str) -> BTreeMap<String, String> {
    let interface = pod.interface();
    wait_for(Duration::from_secs(20), "the page says what the pod counts", || {
        let own = interface.own();
        let metrics = exporter.exposition(PATH);
        let value = |what: &str| {
            let family = format!("container_network_{what}_total");
            metrics.value(&family, &[("pod", name), ("interface", "eth0")]).map(|value| value as u64)
        };
        let read = || {
            Some(Traffic {
                receive_bytes: value("receive_bytes")?,
                receive_packets: value("receive_packets")?,
                transmit_bytes: value("transmit_bytes")?,
                transmit_packets: value("transmit_packets")?,
            })
        };
        let found = metrics.with_label("pod", name);
        if read() == Some(own) && interface.own() == own {
            Ok(found[0].labels.clone())
        } else {
            Err(format!("itself: {own:?}\n{}", metrics.text))
        }
    })
}

#[test]
fn a_pod_has_kubelets_labels_and_its_own_counts_once_for_all_its_containers() {
    needs_engine!();
    let engine = Containerd::get();
    let exporter = engine.exporter(&["--container.labels", "app"]);
    let name = unique_name("web");
    let pod = engine.run("shop", &name, &["nginx", "log"]);
    ping(&pod.interface().netns_path(), "10.87.0.1".parse().unwrap(), 20, 1_000);
    let labels = wait_until_equal(&exporter, &pod, &name);
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", pod.pid())).unwrap();
    let id = &labels["id"];
    assert!(cgroup.lines().any(|line| line.ends_with(&format!(":{id}"))), "{id} in\n{cgroup}");
    let expected = [
        ("container", ""),
        ("id", id.as_str()),
        ("image", "localhost/pause:1"),
        ("interface", "eth0"),
        ("name", pod.id()),
        ("namespace", "shop"),
        ("pod", name.as_str()),
    ];
    assert_eq!(labels, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let metrics = exporter.exposition(PATH);
    assert_eq!(metrics.with_label("pod", &name).len(), 8, "{}", metrics.text);
    promtool_check(&metrics.text).unwrap();
    // The pod's label, and of its containers those that kubelet gives them: none here.
    let info = [("pod", name.as_str()), ("container", ""), ("label_app", name.as_str())];
    assert_eq!(exporter.metrics().value("veth_container_info", &info), Some(1.0));
}

#[test]
fn a_pod_is_filtered_by_its_namespace_and_its_name() {
    needs_engine!();
    let engine = Containerd::get();
    let (name, other) = (unique_name("web"), unique_name("db"));
    let shown = engine.run("shop", &name, &["main"]);
    let _hidden = engine.run("test", &other, &["main"]);
    let pattern = format!("shop/{name}");
    let exporter = engine.exporter(&["--container.include", &pattern]);
    wait_until_equal(&exporter, &shown, &name);
    for path in ["/metrics", PATH] {
        let metrics = exporter.exposition(path);
        assert!(!metrics.with_label("pod", &name).is_empty(), "{}", metrics.text);
        assert!(metrics.with_label("pod", &other).is_empty(), "{}", metrics.text);
    }
}
