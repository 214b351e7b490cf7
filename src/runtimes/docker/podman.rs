//! What Podman tells only in an API of its own (libpod): the process and the pod of each container in one
//! answer, and the bridge of each network. Its answers in Docker's API have no mark of a restart and call
//! the default network `bridge`.

use super::containers::{Attachments, Listed, workload};
use super::transport::Transport;
use crate::model::link::Name;
use crate::model::workload::{Network, Runtime};
use bollard::BollardRequest;
use bollard::errors::Error;
use http_body_util::{BodyExt, Either, Full};
use hyper::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// Every container that has a process. The API's versions are Podman's; 4 and later answer to this one.
const CONTAINERS: &str = "/v4.0.0/libpod/containers/json?filters=\
    %7B%22status%22%3A%5B%22initialized%22%2C%22running%22%2C%22paused%22%5D%7D";

const NETWORKS: &str = "/v4.0.0/libpod/networks/json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
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

/// The containers that have a process.
pub(super) async fn containers(transport: &Transport) -> Result<Vec<Listed>, Error> {
    let containers: Vec<Container> = get(transport, CONTAINERS).await?;
    Ok(containers.into_iter().filter_map(Container::listed).collect())
}

/// The networks that can have a veth, sorted.
pub(super) async fn networks(transport: &Transport) -> Result<Vec<Network>, Error> {
    let networks: Vec<PodmanNetwork> = get(transport, NETWORKS).await?;
    let mut networks: Vec<Network> = networks.into_iter().map(PodmanNetwork::read).collect();
    networks.sort();
    Ok(networks)
}

impl Container {
    /// `None` for an entry without an id, which nothing can be asked about.
    fn listed(self) -> Option<Listed> {
        if self.id.is_empty() {
            return None;
        }
        let name = self.names.unwrap_or_default().into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| self.id.chars().take(12).collect());
        let labels = self.labels.unwrap_or_default();
        // A process lives from one start to the next, and so does its inspection.
        let process = format!("{}@{}", self.pid.unwrap_or_default(), self.started_at.unwrap_or_default());
        let networks = self.networks.unwrap_or_default().into_iter();
        let mut attachments: Attachments = networks.map(|network| (network, Default::default())).collect();
        attachments.insert(String::new(), [String::new(), process, String::new()]);
        let workload = workload(Runtime::Podman, self.id, name, self.image.unwrap_or_default(), &labels);
        Some(Listed { workload, attachments })
    }
}

impl PodmanNetwork {
    fn read(self) -> Network {
        // A macvlan's interface is its parent.
        let bridge = self.network_interface.filter(|_| self.driver.as_deref() == Some("bridge"));
        Network { name: self.name, bridge: bridge.and_then(|bridge| Name::from_bytes(bridge.as_bytes())) }
    }
}

async fn get<T: DeserializeOwned>(transport: &Transport, path: &'static str) -> Result<T, Error> {
    let mut request = BollardRequest::new(Either::Left(Full::default()));
    *request.uri_mut() = Uri::from_static(path);
    let answer = Transport { prefix: String::new(), ..transport.clone() }.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    let message = String::from_utf8_lossy(&body).into_owned();
    Err(Error::DockerResponseServerError { status_code: status.as_u16(), message })
}
