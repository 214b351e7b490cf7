//! Podman's own API (libpod): the process and the pod of each container in one answer, and the bridge of
//! each network. Podman's answers in Docker's API have no mark of a restart and call the default network
//! `bridge`.

use super::containers::{Attachments, ListedContainer, workload};
use super::transport::Transport;
use crate::model::link::Name;
use crate::model::workload::{Network, Runtime};
use bollard::errors::Error;
use serde::Deserialize;
use std::collections::HashMap;

/// The path that lists every container with a process. The version is one of Podman's API; Podman 4 and
/// later serve it.
const CONTAINERS: &str = "/v4.0.0/libpod/containers/json?filters=\
    %7B%22status%22%3A%5B%22initialized%22%2C%22running%22%2C%22paused%22%5D%7D";

const NETWORKS: &str = "/v4.0.0/libpod/networks/json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PodmanContainer {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    labels: Option<HashMap<String, String>>,
    networks: Option<Vec<String>>,
    pid: Option<i64>,
    started_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct PodmanNetwork {
    name: String,
    driver: Option<String>,
    network_interface: Option<String>,
}

/// Returns the containers that have a process.
pub(super) async fn containers(transport: &Transport) -> Result<Vec<ListedContainer>, Error> {
    let containers: Vec<PodmanContainer> = transport.get(CONTAINERS).await?;
    Ok(containers.into_iter().filter_map(PodmanContainer::listed).collect())
}

/// Returns the networks that can have a veth, sorted.
pub(super) async fn networks(transport: &Transport) -> Result<Vec<Network>, Error> {
    let networks: Vec<PodmanNetwork> = transport.get(NETWORKS).await?;
    let mut networks: Vec<Network> = networks.into_iter().map(PodmanNetwork::read).collect();
    networks.sort();
    Ok(networks)
}

impl PodmanContainer {
    /// Converts an entry of the list. Returns `None` for an entry without an id: it cannot be inspected.
    fn listed(self) -> Option<ListedContainer> {
        if self.id.is_empty() {
            return None;
        }
        let name = self.names.unwrap_or_default().into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| self.id.chars().take(12).collect());
        let labels = self.labels.unwrap_or_default();
        // A process lasts from one start to the next, and its inspection is valid for the same time.
        let process = format!("{}@{}", self.pid.unwrap_or_default(), self.started_at.unwrap_or_default());
        let networks = self.networks.unwrap_or_default().into_iter();
        let mut attachments: Attachments = networks.map(|network| (network, Default::default())).collect();
        attachments.insert(String::new(), [String::new(), process, String::new()]);
        let workload = workload(Runtime::Podman, self.id, name, self.image.unwrap_or_default(), &labels);
        Some(ListedContainer { workload, attachments })
    }
}

impl PodmanNetwork {
    fn read(self) -> Network {
        // The interface of a macvlan network is its parent, which is no bridge.
        let bridge = self.network_interface.filter(|_| self.driver.as_deref() == Some("bridge"));
        Network { name: self.name, bridge: bridge.and_then(|bridge| Name::from_bytes(bridge.as_bytes())) }
    }
}
