//! A server with a stream of events (containerd 1.7 and newer) is not asked for its list again and again; one without is.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::pods::labels;
use lab::{Containerd, Exposition, needs_engine, ping, succeed, unique_name};

/// Sooner than the list of a server at rest, which is asked for each minute.
const BY_EVENT: Duration = Duration::from_secs(5);

/// The requests to the server for its lists.
fn lists(metrics: &Exposition) -> f64 {
    let of_cri = |(labels, value): (BTreeMap<String, String>, f64)| {
        (labels["engine"] == "cri" && labels["call"] != "events").then_some(value)
    };
    metrics.all("veth_exporter_engine_requests_total").into_iter().filter_map(of_cri).sum()
}

/// `containerd github.com/containerd/containerd/v2 2.1.9~ds1 ...`: 1.6 and older have no stream.
fn has_events() -> bool {
    let said = succeed(Command::new("containerd").arg("--version"));
    let version = said.split_whitespace().nth(2).unwrap().trim_start_matches('v');
    let mut numbers = version.split(['.', '~', '+', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next(), numbers.next()) >= (Some(1), Some(7))
}

#[test]
fn pods_are_named_by_events_where_the_server_has_them_and_its_list_is_left_alone() {
    needs_engine!();
    let engine = Containerd::start();
    let exporter = engine.exporter(&[]);
    let first = engine.run("shop", &unique_name("first"), &[]);
    std::thread::sleep(Duration::from_secs(3));
    let before = lists(&exporter.metrics());
    std::thread::sleep(Duration::from_secs(6));
    let at_rest = lists(&exporter.metrics()) - before;
    if has_events() {
        assert!(at_rest <= 2.0, "{at_rest} lists in 6 s at rest");
    } else {
        assert!(at_rest > 0.0, "no event tells of a pod, and no list is asked for");
    }
    for _ in 0..3 {
        let name = unique_name("next");
        let pod = engine.run("shop", &name, &[]);
        let labels = labels("shop", &name);
        exporter.wait_for(BY_EVENT, "the pod has its name", |metrics| {
            metrics.value("veth_container_transmit_bytes_total", &labels)
        });
        ping(&pod.interface().netns_path(), first.address(), 10, 500);
        let (booked, own) = pod.interface().at_rest(&exporter);
        assert_eq!(booked, own, "{name}");
    }
}
