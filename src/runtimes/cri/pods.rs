//! Conversion of a server's answers into claims, without I/O.

use super::messages::{
    CONTAINER_EXITED, CONTAINER_RUNNING, CriContainer, NAMESPACE_NODE, PodSandbox, PodSandboxStatusResponse,
};
use super::networks;
use crate::model::inventory::{EngineInventory, InventoryContainer};
use crate::model::workload::{
    Claim, ContainerNetwork, ContainerState, Locator, PodContainer, PodContainerList, Runtime, Started,
    VethlessContainer, Workload,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

/// The least number of characters that are accepted as the beginning of an id.
const SHORTEST_ID: usize = 4;

/// The network namespace of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodNetns {
    /// The pod has a namespace of its own.
    Own {
        locator: Locator,
        /// The image of the process that holds the namespace, or empty.
        image: String,
    },
    Host,
    /// The server gives no locator.
    Unknown,
}

/// Reads a pod's network namespace. The locator is the process that holds the namespace, else the file that
/// the namespace is mounted on. CRI-O has no such process for most pods (`drop_infra_ctr`).
pub(super) fn pod_netns(answer: &PodSandboxStatusResponse) -> PodNetns {
    let linux = answer.status.as_ref().and_then(|status| status.linux.as_ref());
    let options = linux.and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    if options.is_some_and(|options| options.network == NAMESPACE_NODE) {
        return PodNetns::Host;
    }
    // The content of `info` is up to the server; containerd and CRI-O write the same fields.
    let info = answer.info.get("info").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(info) = info else { return PodNetns::Unknown };
    let pid = info["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
    let by_pid = pid.map(Locator::Pid);
    let by_path = || {
        let namespaces = info.pointer("/runtimeSpec/linux/namespaces")?.as_array()?;
        let network = namespaces.iter().find(|namespace| namespace["type"] == "network")?;
        let path = network["path"].as_str().filter(|path| !path.is_empty())?;
        // The exporter's own container may have no link from /var/run to /run.
        let path = path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path);
        Some(Locator::Path(PathBuf::from(path).into()))
    };
    let image = info["image"].as_str().unwrap_or_default();
    match by_pid.or_else(by_path) {
        Some(locator) => PodNetns::Own { locator, image: image.to_owned() },
        None => PodNetns::Unknown,
    }
}

/// The addresses of pods, by the sandbox's id.
pub(super) type PodAddresses = HashMap<String, Vec<IpAddr>>;

/// Returns the addresses that the server has given to a pod. They may be on no interface.
pub(super) fn addresses(answer: &PodSandboxStatusResponse) -> Vec<IpAddr> {
    let network = answer.status.as_ref().and_then(|status| status.network.as_ref());
    let given = network.into_iter().flat_map(|network| {
        let further = network.additional_ips.iter().map(|further| &further.ip);
        [&network.ip].into_iter().chain(further)
    });
    given.filter_map(|address| address.parse().ok()).collect()
}

/// Returns a claim for every sandbox that has a namespace of its own, with its containers as members;
/// sorted.
pub(super) fn claims<'a>(
    sandboxes: impl Iterator<Item = &'a PodSandbox>,
    containers: &'a [CriContainer],
    known: &HashMap<String, PodNetns>,
) -> Vec<Claim> {
    let mut members: HashMap<&str, BTreeMap<&str, &CriContainer>> = HashMap::new();
    for container in containers.iter().filter(|container| container.state == CONTAINER_RUNNING) {
        members.entry(&container.pod_sandbox_id).or_default().insert(&container.id, container);
    }
    let mut claims: Vec<Claim> = sandboxes
        .filter_map(|sandbox| {
            let Some(PodNetns::Own { locator, image }) = known.get(&sandbox.id) else { return None };
            let containers = members.remove(sandbox.id.as_str()).unwrap_or_default();
            let endpoints = networks::endpoints(&sandbox.annotations);
            let owner = pod(sandbox.clone(), image.clone());
            let mut members: Vec<Workload> =
                containers.into_values().map(|container| member(container.clone(), &owner)).collect();
            members.sort();
            Some(Claim { owner, locator: locator.clone(), endpoints, members, started: Started::default() })
        })
        .collect();
    claims.sort();
    claims
}

/// Returns the pods of these sandboxes, and their containers that were started.
pub(super) fn started(
    sandboxes: &BTreeMap<String, PodSandbox>,
    containers: &[CriContainer],
) -> PodContainerList {
    // A sandbox that kubelet has not made belongs to no pod.
    let id_of = |sandbox: &PodSandbox| match &sandbox.metadata {
        Some(metadata) if !metadata.uid.is_empty() => metadata.uid.clone(),
        _ => sandbox.id.clone(),
    };
    let was_started =
        |container: &&CriContainer| matches!(container.state, CONTAINER_RUNNING | CONTAINER_EXITED);
    let containers = containers.iter().filter(was_started).filter_map(|container| {
        let sandbox = sandboxes.get(&container.pod_sandbox_id)?;
        let owner = pod(sandbox.clone(), String::new());
        Some(PodContainer {
            pod_id: id_of(sandbox),
            workload: member(container.clone(), &owner),
            attempt: container.metadata.as_ref().map_or(0, |metadata| metadata.attempt),
            created: container.created_at,
            is_running: container.state == CONTAINER_RUNNING,
        })
    });
    PodContainerList { pods: sandboxes.values().map(id_of).collect(), containers: containers.collect() }
}

/// Returns the pods that use the host's own interfaces.
pub(super) fn on_host<'a>(
    sandboxes: impl Iterator<Item = &'a PodSandbox>,
    known: &HashMap<String, PodNetns>,
) -> Vec<VethlessContainer> {
    let on_host = sandboxes.filter(|sandbox| known.get(&sandbox.id) == Some(&PodNetns::Host));
    let pods = on_host.map(|sandbox| VethlessContainer {
        workload: pod(sandbox.clone(), String::new()),
        state: ContainerState::Running,
        network: ContainerNetwork::Host,
    });
    pods.collect()
}

/// Returns all pods with the names, ids and images of their containers, and with these addresses. Of two
/// sandboxes of one pod the one that is ready comes first.
pub(super) fn inventory(
    mut sandboxes: Vec<PodSandbox>,
    containers: Vec<CriContainer>,
    addresses: &PodAddresses,
) -> EngineInventory {
    let mut members: HashMap<String, Vec<CriContainer>> = HashMap::new();
    for container in containers {
        members.entry(container.pod_sandbox_id.clone()).or_default().push(container);
    }
    sandboxes.sort_by_key(|sandbox| sandbox.state);
    let pods = sandboxes.into_iter().map(|sandbox| {
        let containers = members.remove(&sandbox.id).unwrap_or_default();
        let given = addresses.get(&sandbox.id).into_iter().flatten();
        // The server does not say which network an address is on.
        let given = given.map(|address| (String::new(), *address)).collect();
        let mut item = InventoryContainer::new(pod(sandbox, String::new()));
        item.addresses = given;
        for member in
            containers.into_iter().map(|container| member(container, &item.workload)).collect::<Vec<_>>()
        {
            item.names.push(member.name);
            item.ids.push(member.id);
            item.images.push(member.image);
        }
        item
    });
    EngineInventory { containers: pods.collect(), networks: Vec::new() }
}

/// Returns the pod as a workload: its traffic cannot be attributed to a single container.
fn pod(sandbox: PodSandbox, image: String) -> Workload {
    let metadata = sandbox.metadata.unwrap_or_default();
    Workload {
        namespace: metadata.namespace,
        pod: or_short_id(metadata.name, &sandbox.id),
        id: sandbox.id,
        image,
        labels: sandbox.labels.into_iter().collect(),
        ..Workload::named(Runtime::Cri, "")
    }
}

fn member(container: CriContainer, pod: &Workload) -> Workload {
    let image = container.image.unwrap_or_default();
    let name = container.metadata.unwrap_or_default().name;
    Workload {
        namespace: pod.namespace.clone(),
        pod: pod.pod.clone(),
        name: or_short_id(name, &container.id),
        id: container.id,
        image: if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image },
        labels: container.labels.into_iter().collect(),
        ..Workload::named(Runtime::Cri, "")
    }
}

/// Returns true if a user's query names the pod: by its name, with or without its namespace, or by its
/// sandbox's id or the beginning of that id.
pub(super) fn means(sandbox: &PodSandbox, query: &str) -> bool {
    let named = sandbox.metadata.as_ref().is_some_and(|metadata| match query.split_once('/') {
        Some((namespace, name)) => metadata.namespace == namespace && metadata.name == name,
        None => metadata.name == query,
    });
    named || (query.len() >= SHORTEST_ID && sandbox.id.starts_with(query))
}

fn or_short_id(name: String, id: &str) -> String {
    if name.is_empty() { id.chars().take(12).collect() } else { name }
}
