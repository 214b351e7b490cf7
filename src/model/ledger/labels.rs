//! What totals are kept by.

use crate::model::label;
use crate::model::series::{self, Trust};
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

    /// Returns the same as [`workload`](LabelSet::workload), to keep.
    pub(super) fn workload_key(&self) -> (Runtime, [String; 3]) {
        let (runtime, names) = self.workload();
        (runtime, names.map(str::to_owned))
    }

    pub(super) fn network(&self) -> Option<NetworkLabels> {
        (!self.network.is_empty())
            .then(|| NetworkLabels { runtime: self.runtime, network: self.network.clone() })
    }

    /// Returns what it is summed under if there is no room for it: the runtime and the network stay, so that
    /// the network's totals are whole. What is hidden is summed apart.
    pub(super) fn overflow(&self, hidden: bool) -> LabelSet {
        LabelSet {
            runtime: self.runtime,
            container: if hidden { String::new() } else { series::OTHER.to_owned() },
            namespace: String::new(),
            pod: String::new(),
            interface: series::OTHER.to_owned(),
            network: self.network.clone(),
        }
    }

    /// Returns true if what is summed here is what there is no room for.
    pub fn is_overflow(&self) -> bool {
        self.container == series::OTHER && self.is_nameless_overflow() || self.is_hidden_overflow()
    }

    /// Returns true if it is that of what the user does not want to see.
    pub fn is_hidden_overflow(&self) -> bool {
        // What has no owner is one workload, which has an overflow of its own.
        self.container.is_empty() && self.is_nameless_overflow() && self.runtime != Runtime::Unknown
    }

    fn is_nameless_overflow(&self) -> bool {
        self.pod.is_empty() && self.namespace.is_empty() && self.interface == series::OTHER
    }

    /// Returns whether something vouches for its names. Traffic without an owner is one workload, so there
    /// are few of its sets.
    pub(super) fn trust(&self) -> Trust {
        match self.runtime {
            Runtime::Docker | Runtime::Podman | Runtime::Cri | Runtime::Named | Runtime::Unknown => {
                Trust::Vouched
            }
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process => Trust::Discovered,
        }
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
    /// Returns what networks of this runtime are summed under that there is no room for.
    pub(super) fn overflow(&self) -> NetworkLabels {
        NetworkLabels { runtime: self.runtime, network: series::OTHER.to_owned() }
    }
}
