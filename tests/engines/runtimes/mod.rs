//! Several runtimes on one host: Docker, Podman and LXC, all real, each with its own names; and which of them are asked.

mod podman;
mod sources;
mod together;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::Exposition;

const SOON: Duration = Duration::from_secs(20);

/// Between two ticks.
const OFTEN: [&str; 2] = ["--collector.interval", "100ms"];

/// The living workloads: `runtime/container`, with the container whose namespace a member shares.
fn workloads(metrics: &Exposition) -> Vec<(String, Option<String>)> {
    let infos = metrics.all("veth_container_info").into_iter();
    let mut workloads: Vec<(String, Option<String>)> = infos
        .map(|(labels, _)| {
            let label = |name: &str| labels.get(name).map_or("", String::as_str);
            // A pod as a whole is in no container.
            let name = if label("container").is_empty() { label("pod") } else { label("container") };
            (format!("{}/{name}", label("runtime")), labels.get("network_owner").cloned())
        })
        .collect();
    workloads.sort();
    workloads
}

/// The collectors that have a success, and which.
fn collectors(metrics: &Exposition) -> BTreeMap<String, bool> {
    let all = metrics.all("veth_exporter_collector_success").into_iter();
    all.map(|(labels, value)| (labels["collector"].clone(), value == 1.0)).collect()
}
