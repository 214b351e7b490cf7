//! containerd stops and starts again under its pods, which live on.

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
