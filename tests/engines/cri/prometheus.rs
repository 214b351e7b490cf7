//! A real Prometheus as a PodMonitor configures it: every target has the labels of the exporter's own pod.

use std::time::Duration;

use lab::{Containerd, Prometheus, needs_engine, unique_name, wait_for};

#[test]
fn a_device_of_nobody_does_not_get_the_exporters_own_pod_and_a_pod_keeps_its_own() {
    needs_engine!();
    let engine = Containerd::get();
    let exporter = engine.exporter(&[]);
    let name = unique_name("web");
    let _pod = engine.run("shop", &name, &["main"]);
    let port = "nobodys";
    engine.netns().veth(port, engine.netns(), "others");
    let job = format!(
        "honor_labels: true, static_configs: [{{targets: ['{}'], labels: \
         {{namespace: monitoring, pod: veth-exporter-x7, container: veth-exporter}}}}]",
        exporter.address()
    );
    let prometheus = Prometheus::start_with(engine.netns(), 1, &job);
    let labels_of = |query: &str| {
        wait_for(Duration::from_secs(30), query, || {
            let answer = prometheus.query(query);
            let first = answer[0]["metric"].clone();
            if first.is_object() { Ok(first) } else { Err(format!("{answer:#}")) }
        })
    };
    let nobody = labels_of(&format!("veth_device_receive_bytes_total{{device=\"{port}\"}}"));
    for label in ["namespace", "pod", "container"] {
        assert!(nobody[label].is_null(), "{nobody:#}");
    }
    let own = labels_of(&format!("veth_container_receive_bytes_total{{pod=\"{name}\"}}"));
    assert_eq!((&own["namespace"], &own["container"].is_null()), (&"shop".into(), &true), "{own:#}");
    // What the exporter says of itself is of its pod.
    let itself = labels_of("veth_exporter_build_info");
    assert_eq!(itself["pod"], "veth-exporter-x7", "{itself:#}");
    let none = prometheus.query("{__name__=~\"veth_(device|container)_.*\",pod=\"veth-exporter-x7\"}");
    assert_eq!(none, serde_json::json!([]), "{none:#}");
}
