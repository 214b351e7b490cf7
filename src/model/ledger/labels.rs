//! What totals are kept by.

use crate::model::label;
use crate::model::series;
use crate::model::workload::{Runtime, Workload};

/// The labels of a workload's totals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet {
    /// The value of the label `runtime`.
    pub runtime: Runtime,
    /// `container`; empty for a pod, and if nobody claims the traffic.
    pub container: String,
    /// `namespace`, Kubernetes'; empty for what is no pod.
    pub namespace: String,
    /// `pod`; empty for what is none.
    pub pod: String,
    /// `interface`; empty if it could not be seen.
    pub interface: String,
    /// `network`; empty if there is none.
    pub network: String,
}

impl LabelSet {
    /// Those of an owner's interface on a network.
    pub fn of(owner: &Workload, interface: String, mut network: String) -> LabelSet {
        label::bound(&mut network);
        LabelSet {
            runtime: owner.runtime,
            container: owner.name.clone(),
            namespace: owner.namespace.clone(),
            pod: owner.pod.clone(),
            interface,
            network,
        }
    }

    /// Which workload it is of: what its label sets have in common.
    pub fn workload(&self) -> (Runtime, [&str; 3]) {
        (self.runtime, [&self.container, &self.namespace, &self.pod])
    }

    pub(super) fn network(&self) -> Option<NetworkLabels> {
        (!self.network.is_empty())
            .then(|| NetworkLabels { runtime: self.runtime, network: self.network.clone() })
    }
}

/// The labels of a network's totals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkLabels {
    /// The value of the label `runtime`.
    pub runtime: Runtime,
    /// The value of the label `network`.
    pub network: String,
}

impl NetworkLabels {
    /// What networks of this runtime are summed under that there is no room for.
    pub(super) fn rest(&self) -> NetworkLabels {
        NetworkLabels { runtime: self.runtime, network: series::OTHER.to_owned() }
    }
}
