//! The networks of a view.

use crate::model::ledger::{NetworkLabels, Traffic};
use crate::model::pools::Subnet;
use crate::model::workload::{Network, Runtime};
use std::sync::Arc;
use std::time::Duration;

/// The networks of a scene, without changing numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneNetworks {
    /// Labels of the networks' totals, sorted.
    pub labels: Vec<Arc<NetworkLabels>>,
    /// The time at which the total of each of `labels` began, as the state machine's time.
    pub begun: Vec<Duration>,
    /// The networks that engines report. The allocation stays the same as long as no network changes.
    pub reported: Arc<ReportedNetworks>,
}

/// The networks that engines report and that have a total of their own; of several with one name, that with
/// the lowest id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportedNetworks {
    /// The networks, each with its engine; sorted by engine and name.
    pub networks: Vec<(Runtime, Network)>,
    /// The IPv4 subnets of `networks`, each once.
    pub pools: Vec<PoolLabels>,
}

/// An IPv4 subnet of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLabels {
    /// The index of the network in [`ReportedNetworks::networks`].
    pub network: usize,
    /// The index of the pool in [`Network::pools`].
    pub pool: usize,
    /// The value of the label `subnet`.
    pub subnet: Subnet,
    /// The number of addresses that can be given out, that of the gateway included.
    pub size: u64,
}

/// The numbers of the networks of a scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkNumbers {
    /// The total of each of [`SceneNetworks::labels`].
    pub traffic: Vec<Traffic>,
    /// The number of workloads with an interface on each of [`SceneNetworks::labels`].
    pub members: Arc<Vec<u64>>,
    /// The number of used addresses of each of `ReportedNetworks::pools`; `None` if the engine does not
    /// report all of them.
    pub used: Arc<Vec<Option<u64>>>,
}
