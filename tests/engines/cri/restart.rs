//! containerd stops and starts again under its pods, which live on; and containers start again in a pod that lives on.

use std::time::Duration;

use super::pods::{labels, wait_for_device};
use lab::{Containerd, Traffic, needs_engine, ping, unique_name};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn pods_keep_their_names_and_totals_while_containerd_is_away() {
    needs_engine!();
    let engine = Containerd::start();
    let exporter = engine.exporter(&[]);
    let names = [unique_name("web"), unique_name("db")];
    let pods = names.each_ref().map(|name| engine.run("shop", name, &["main"]));
    let labels = names.each_ref().map(|name| labels("shop", name));
    for (pod, labels) in pods.iter().zip(&labels) {
        wait_for_device(&exporter, pod, labels);
    }
    let interfaces = pods.each_ref().map(|pod| pod.interface());
    let address = pods[1].address();
    ping(&interfaces[0].netns_path(), address, 10, 1_000);
    let before = interfaces.each_ref().map(|interface| interface.at_rest(&exporter).0);
    engine.stop();
    exporter.wait_for(LIMIT, "the source has failed", |metrics| {
        metrics.collector_success("cri").filter(|success| !success)
    });
    let interfaces_count = |what: &str| {
        for (interface, before) in interfaces.iter().zip(&before) {
            let (booked, own) = interface.at_rest(&exporter);
            assert_eq!(booked, own, "{what}");
            assert!(booked.receive_bytes >= before.receive_bytes, "{what}: {booked:?} after {before:?}");
        }
    };
    interfaces_count("containerd is away");
    ping(&interfaces[0].netns_path(), address, 10, 1_000);
    interfaces_count("containerd is away, and the pods speak");
    engine.restart();
    exporter.wait_for(LIMIT, "the source works again", |metrics| {
        metrics.collector_success("cri").filter(|success| *success)
    });
    ping(&interfaces[0].netns_path(), address, 10, 1_000);
    interfaces_count("containerd is back");
    let metrics = exporter.metrics();
    for labels in &labels {
        assert!(Traffic::booked(&metrics, labels).is_some(), "{}", metrics.text);
    }
    let said: Vec<String> =
        exporter.log().into_iter().filter(|line| line.contains("collector=cri")).collect();
    assert_eq!(said.len(), 2, "one line that it failed, one that it works again: {said:#?}");
}

/// kubelet starts a container that has ended again in the same pod, whose namespace and interfaces stay.
#[test]
fn a_container_that_starts_again_in_its_pod_is_counted_and_four_times_are_a_crash_loop() {
    needs_engine!();
    let engine = Containerd::start();
    let name = unique_name("web");
    let pod = engine.run("shop", &name, &["app", "log"]);
    let exporter = engine.exporter(&[]);
    wait_for_device(&exporter, &pod, &labels("shop", &name));
    let starts = |container: &str| {
        let labels = [("runtime", "cri"), ("container", container), ("namespace", "shop"), ("pod", &*name)];
        exporter.metrics().value("veth_container_starts_total", &labels)
    };
    lab::wait_for(LIMIT, "all three are known", || {
        let seen = ["", "app", "log"].map(starts);
        if seen == [Some(0.0); 3] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    for attempt in 1..=4 {
        pod.start_again("app", attempt);
    }
    lab::wait_for(LIMIT, "each start of the container is counted", || {
        let seen = ["", "app", "log"].map(starts);
        if seen == [Some(0.0), Some(4.0), Some(0.0)] { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    let document =
        || -> serde_json::Value { serde_json::from_slice(&exporter.get("/api/v1/pairs").body).unwrap() };
    let title = format!("shop/{name}/app");
    lab::wait_for(LIMIT, "a crash loop", || {
        let document = document();
        let of_app = |row: &&serde_json::Value| row["subject"]["workload"] == *title;
        match document["problems"].as_array().unwrap().iter().find(of_app) {
            Some(problem) => {
                assert_eq!(problem["kind"], "crash_loop");
                let remedy = format!("see why it ends: kubectl -n shop logs {name} -c app --previous");
                assert_eq!(problem["remedy"], *remedy);
                Ok(())
            }
            None => Err(document["problems"].to_string()),
        }
    });
    let document = document();
    let restarts: Vec<_> = document["restarts"].as_array().unwrap().iter().collect();
    assert_eq!(restarts.len(), 1, "{restarts:?}");
    assert_eq!(
        (&restarts[0]["workload"], restarts[0]["count"].as_u64()),
        (&serde_json::json!(title), Some(4))
    );
    assert_eq!(document["workloads"], serde_json::json!([]), "a container of a pod is no row of its own");
}
