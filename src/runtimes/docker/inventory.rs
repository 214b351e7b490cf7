//! All containers and networks of an engine, running or not: one bad entry loses itself alone.

use super::answers::{self, Damage, Object};
use super::calls::{CONTAINERS, Caller, NETWORKS, Trouble};
use super::containers::{own_name, short, workload};
use crate::model::inventory::{EngineInventory, InventoryContainer, InventoryNetwork};
use crate::model::link::Mac;
use crate::model::workload::Runtime;

/// Requests all containers and all networks in a version of the API. An engine that refuses the networks has
/// none here.
pub(super) async fn inventory(caller: &Caller, version: &str) -> Result<EngineInventory, Trouble> {
    let paths = ["/containers/json?all=true", "/networks"].map(|path| format!("{version}{path}"));
    let (containers, networks) =
        tokio::join!(caller.get(CONTAINERS, &paths[0]), caller.get(NETWORKS, &paths[1]));
    if let Err(trouble) = &networks {
        tracing::debug!(?trouble, "the networks of an engine are not known");
    }
    read(caller.runtime, &containers?, &networks.unwrap_or_default())
}

fn read(runtime: Runtime, containers: &[u8], networks: &[u8]) -> Result<EngineInventory, Trouble> {
    // What is damaged is reported when the containers are listed for their claims.
    let damage = Damage::default();
    let containers = answers::list(containers, &damage, |entry| container(runtime, entry));
    let networks = answers::list(networks, &damage, network).map(|listed| listed.entries);
    Ok(EngineInventory {
        containers: containers.map_err(Trouble::Garbage)?.entries,
        networks: networks.unwrap_or_default(),
    })
}

/// Converts an entry of the list; `None` without an id.
fn container(runtime: Runtime, entry: Object<'_>) -> Option<InventoryContainer> {
    let id = Some(entry.text("Id")).filter(|id| !id.is_empty())?;
    let own_name = own_name(&entry.texts("Names"));
    let name = own_name.clone().unwrap_or_else(|| short(&id));
    let workload = workload(runtime, id, name, entry.text("Image"), &entry.text_map("Labels"));
    let networks = entry.object("NetworkSettings").objects("Networks");
    let addresses = networks.iter().flat_map(|(network, endpoint)| {
        let given = ["IPAddress", "GlobalIPv6Address"].map(|name| endpoint.text(name));
        given.into_iter().filter_map(|address| Some(((*network).to_owned(), address.parse().ok()?)))
    });
    let macs = networks.iter().filter_map(|(_, endpoint)| Mac::parse(&endpoint.text("MacAddress")));
    Some(InventoryContainer {
        names: own_name.into_iter().collect(),
        images: Some(entry.text("ImageID")).filter(|image| !image.is_empty()).into_iter().collect(),
        addresses: addresses.collect(),
        macs: macs.collect(),
        ..InventoryContainer::new(workload)
    })
}

fn network(entry: Object<'_>) -> Option<InventoryNetwork> {
    let [name, id, driver] = ["Name", "Id", "Driver"].map(|name| entry.text(name));
    (!name.is_empty()).then_some(InventoryNetwork { name, id, driver })
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
        let damaged =
            [json!(null), json!({"Id": ""}), json!({"Names": ["/no-id"]}), json!({"Id": 5}), json!("text")];
        for at in 0..=damaged.len() {
            let mut list = damaged.to_vec();
            list.insert(at, whole.clone());
            let networks = json!([{"Name": "n", "Id": "99"}, 7]).to_string();
            let list = serde_json::to_vec(&list).unwrap();
            let read = read(Runtime::Docker, &list, networks.as_bytes()).unwrap();
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
