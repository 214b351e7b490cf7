//! All containers and networks of an engine, running or not: one bad entry loses itself alone.

use super::containers::{own_name, workload};
use super::transport::Transport;
use crate::model::inventory::{EngineInventory, InventoryContainer, InventoryNetwork};
use crate::model::link::Mac;
use crate::model::workload::Runtime;
use bollard::errors::Error;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

const CONTAINERS: &str = "/containers/json?all=true";
const NETWORKS: &str = "/networks";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerEntry {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<HashMap<String, String>>,
    network_settings: Option<SettingsEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct SettingsEntry {
    networks: Option<HashMap<String, Option<AttachmentEntry>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct AttachmentEntry {
    #[serde(rename = "IPAddress")]
    ipv4: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: Option<String>,
    mac_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkEntry {
    name: String,
    id: String,
    driver: Option<String>,
}

/// Requests all containers and all networks. An engine that refuses the networks has none here.
pub(super) async fn inventory(transport: &Transport, runtime: Runtime) -> Result<EngineInventory, Error> {
    let (containers, networks) =
        tokio::join!(transport.get::<Vec<Value>>(CONTAINERS), transport.get::<Vec<Value>>(NETWORKS));
    if let Err(error) = &networks {
        tracing::debug!(%error, "the networks of an engine are not known");
    }
    Ok(read(runtime, containers?, networks.unwrap_or_default()))
}

fn read(runtime: Runtime, containers: Vec<Value>, networks: Vec<Value>) -> EngineInventory {
    let containers = containers.into_iter().filter_map(|entry| serde_json::from_value(entry).ok());
    let networks = networks.into_iter().filter_map(|entry| serde_json::from_value(entry).ok());
    EngineInventory {
        containers: containers.filter_map(|entry: ContainerEntry| entry.read(runtime)).collect(),
        networks: networks.map(NetworkEntry::read).collect(),
    }
}

impl ContainerEntry {
    /// Converts an entry of the list; `None` without an id.
    fn read(self, runtime: Runtime) -> Option<InventoryContainer> {
        let labels = self.labels.unwrap_or_default();
        let id = Some(self.id).filter(|id| !id.is_empty())?;
        let own_name = own_name(&self.names.unwrap_or_default());
        let name = own_name.clone().unwrap_or_else(|| id.chars().take(12).collect());
        let workload = workload(runtime, id, name, self.image.unwrap_or_default(), &labels);
        let networks = self.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let attached = networks.iter().filter_map(|(network, entry)| Some((network, entry.as_ref()?)));
        let addresses = attached.clone().flat_map(|(network, entry)| {
            let given = [&entry.ipv4, &entry.ipv6].into_iter().flatten();
            given.filter_map(|address| Some((network.clone(), address.parse().ok()?)))
        });
        let macs = attached.clone().filter_map(|(_, entry)| Mac::parse(entry.mac_address.as_deref()?));
        Some(InventoryContainer {
            names: own_name.into_iter().collect(),
            images: self.image_id.into_iter().collect(),
            addresses: addresses.collect(),
            macs: macs.collect(),
            ..InventoryContainer::new(workload)
        })
    }
}

impl NetworkEntry {
    fn read(self) -> InventoryNetwork {
        InventoryNetwork { name: self.name, id: self.id, driver: self.driver.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_damaged_entry_loses_itself_and_no_other() {
        let whole = json!({
            "Id": "4a35", "Names": ["/web-1", "/db/alias"], "Image": "nginx:1", "ImageID": "sha256:12",
            "State": "a state of the future", "Labels": {"com.docker.compose.service": "web"},
            "NetworkSettings": {"Networks": {
                "n": {"IPAddress": "10.5.0.2", "GlobalIPv6Address": "", "MacAddress": "02:42:ac:12:00:02"},
                "m": null,
            }},
        });
        let damaged = [
            json!(null),
            json!({"Id": ""}),
            json!({"Names": ["/no-id"]}),
            json!({"Id": 5}),
            json!({"Id": "1", "Names": "/text"}),
            json!({"Id": "2", "Labels": []}),
            json!("text"),
        ];
        for at in 0..=damaged.len() {
            let mut list = damaged.to_vec();
            list.insert(at, whole.clone());
            let read = read(Runtime::Docker, list, vec![json!({"Name": "n", "Id": "99"}), json!(7)]);
            let [container] = read.containers.as_slice() else { panic!("{:#?}", read.containers) };
            assert_eq!((container.workload.name.as_str(), container.workload.id.as_str()), ("web-1", "4a35"));
            assert_eq!(container.workload.compose_service, "web");
            assert_eq!(container.images, ["sha256:12"]);
            assert_eq!(container.addresses, [("n".to_owned(), "10.5.0.2".parse().unwrap())]);
            assert_eq!(container.macs.len(), 1);
            assert_eq!(read.networks.len(), 1);
        }
    }
}
