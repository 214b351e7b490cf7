//! Podman's own API (libpod): the process and the pod of each container in one answer, and the bridge of
//! each network. Podman's answers in Docker's API have no mark of a restart and call the default network
//! `bridge`.

use super::answers::Object;
use super::containers::{Attachments, ListedContainer, NetnsOrigin, short, workload};
use super::networks::{is_ipv6, pool_of_podman};
use crate::model::link::Name;
use crate::model::workload::{Network, Runtime};

/// The path that lists every container with a process.
pub(super) const CONTAINERS: &str = "/libpod/containers/json?filters=\
    %7B%22status%22%3A%5B%22initialized%22%2C%22running%22%2C%22paused%22%5D%7D";

pub(super) const NETWORKS: &str = "/libpod/networks/json";

/// Returns the prefix of paths of Podman's own API for an engine that takes no older version than this
/// (`4.0.0`): 4.0.0, which Podman 4 and 5 serve, else that.
pub(super) fn prefix(oldest: &str) -> String {
    let mut numbers = oldest.split('.').map(|number| number.parse::<u32>().ok());
    let oldest = [0; 3].map(|_: u32| numbers.next().flatten().unwrap_or_default());
    let [major, minor, patch] = oldest.max([4, 0, 0]);
    format!("/v{major}.{minor}.{patch}")
}

/// Converts an entry of the list. Returns `None` for an entry without an id: it cannot be inspected.
pub(super) fn container(entry: Object<'_>) -> Option<ListedContainer> {
    let id = Some(entry.text("Id")).filter(|id| !id.is_empty())?;
    let name = entry.texts("Names").into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| short(&id));
    // A process lasts from one start to the next, and its inspection is valid for the same time.
    let [pid, started] = ["Pid", "StartedAt"].map(|name| entry.number(name).unwrap_or_default());
    let networks = entry.texts("Networks").into_iter();
    let mut attachments: Attachments = networks.map(|network| (network, Default::default())).collect();
    attachments.insert(String::new(), [String::new(), format!("{pid}@{started}"), String::new()]);
    let labels = entry.text_map("Labels");
    let mut workload = workload(Runtime::Podman, id, name, entry.text("Image"), &labels);
    let pod = entry.text("PodName");
    if workload.pod.is_empty() && !pod.is_empty() {
        workload.pod = pod;
        // The name of the container that holds a pod's namespaces has the pod's id in it.
        if entry.flag("IsInfra") {
            workload.name.clear();
        }
    }
    // The list has no network mode. A container of a pod is in the namespace of the pod's own.
    let netns = Some(NetnsOrigin::Own).filter(|_| workload.pod.is_empty() || workload.name.is_empty());
    // The list has no addresses, and the inspection has them.
    Some(ListedContainer { workload, attachments, given: Vec::new(), netns, restarting: false })
}

/// Returns true for the name that Podman generates for the container that holds a pod's namespaces.
pub(super) fn is_infra(name: &str) -> bool {
    let id = name.strip_suffix("-infra").unwrap_or_default();
    id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads an entry of the list of networks. Returns `None` for one without a name.
pub(super) fn network(entry: Object<'_>) -> Option<Network> {
    let name = Some(entry.text("name")).filter(|name| !name.is_empty())?;
    // The interface of a macvlan network is its parent, which is no bridge.
    let driver = entry.text("driver");
    let bridge = Some(entry.text("network_interface")).filter(|_| driver == "bridge");
    let bridge = bridge.and_then(|bridge| Name::from_bytes(bridge.as_bytes()));
    let has_pools = matches!(entry.object("ipam_options").text("driver").as_str(), "" | "host-local");
    let subnets = entry.list("subnets");
    let pools = subnets.iter().filter(|_| has_pools).filter_map(|subnet| pool_of_podman(*subnet));
    let ipv6_subnets = subnets.iter().map(|subnet| subnet.text("subnet"));
    Some(Network {
        id: entry.text("id"),
        bridge,
        internal: entry.flag("internal"),
        ipv6: entry.flag("ipv6_enabled"),
        pools: pools.collect(),
        ipv6_subnets: ipv6_subnets.filter(|subnet| is_ipv6(subnet)).collect(),
        is_counted: true,
        name,
        driver,
    })
}
