//! Everything that an engine has, running or not, with the names and addresses that it gives to it.

use super::link::Mac;
use super::workload::Workload;
use std::net::IpAddr;

/// The containers or pods of an engine, and its networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInventory {
    pub containers: Vec<InventoryContainer>,
    pub networks: Vec<InventoryNetwork>,
}

/// A container, or a pod as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryContainer {
    pub workload: Workload,
    /// Further names: the engine's own name of a Swarm task, the containers of a pod.
    pub names: Vec<String>,
    /// Further ids: those of a pod's containers.
    pub ids: Vec<String>,
    /// Further images: the id of the container's image, the images of a pod's containers.
    pub images: Vec<String>,
    /// The addresses that the engine has assigned, each with its network, which is empty if the engine does
    /// not name it. They may be on no interface.
    pub addresses: Vec<(String, IpAddr)>,
    pub macs: Vec<Mac>,
}

/// A network of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryNetwork {
    pub name: String,
    pub id: String,
    /// The engine's name of the driver: `bridge`, `macvlan` ...
    pub driver: String,
}

impl InventoryContainer {
    /// Returns a container without further names, ids, images and addresses.
    pub fn new(workload: Workload) -> InventoryContainer {
        InventoryContainer {
            workload,
            names: Vec::new(),
            ids: Vec::new(),
            images: Vec::new(),
            addresses: Vec::new(),
            macs: Vec::new(),
        }
    }
}
