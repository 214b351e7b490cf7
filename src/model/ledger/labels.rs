//! The label sets by which totals are kept.

use crate::model::cgroup;
use crate::model::label;
use crate::model::series::{self, Trust};
use crate::model::workload::{Runtime, Workload, WorkloadName};

/// The labels of a workload's totals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet {
    /// The value of the label `runtime`.
    pub runtime: Runtime,
    /// The value of the label `container`; empty for a pod as a whole and for traffic without an owner.
    pub container: String,
    /// The value of the label `namespace`, that of Kubernetes; empty outside of pods.
    pub namespace: String,
    /// The value of the label `pod`; empty outside of pods.
    pub pod: String,
    /// The value of the label `interface`; empty if the link could not be read.
    pub interface: String,
    /// The value of the label `network`; empty if there is none.
    pub network: String,
}

impl LabelSet {
    /// Returns the labels of an owner's interface on a network.
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

    /// Returns the labels of a workload without an interface.
    pub(crate) fn of_name(name: &WorkloadName) -> LabelSet {
        let WorkloadName { runtime, container, namespace, pod } = name.clone();
        let (interface, network) = (String::new(), String::new());
        LabelSet { runtime, container, namespace, pod, interface, network }
    }

    /// Returns the labels that all label sets of one workload have in common.
    pub fn workload(&self) -> (Runtime, [&str; 3]) {
        (self.runtime, [&self.container, &self.namespace, &self.pod])
    }

    /// Returns [`workload`](LabelSet::workload) as a name of its own.
    pub fn workload_name(&self) -> WorkloadName {
        let (runtime, names) = self.workload();
        let [container, namespace, pod] = names.map(str::to_owned);
        WorkloadName { runtime, container, namespace, pod }
    }

    pub(super) fn network(&self) -> Option<NetworkLabels> {
        (!self.network.is_empty())
            .then(|| NetworkLabels { runtime: self.runtime, network: self.network.clone() })
    }

    /// Returns the label set of the overflow in which this one is summed beyond the limit. The runtime and
    /// the network stay, so that the network's total is complete. Hidden totals are summed apart.
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

    /// Returns true for a label set of the overflow.
    pub fn is_overflow(&self) -> bool {
        self.container == series::OTHER && self.is_nameless_overflow() || self.is_hidden_overflow()
    }

    /// Returns true for the label set of the overflow of hidden totals.
    pub fn is_hidden_overflow(&self) -> bool {
        // Traffic without an owner counts as one workload, which has an overflow of its own.
        self.container.is_empty() && self.is_nameless_overflow() && self.runtime != Runtime::Unknown
    }

    fn is_nameless_overflow(&self) -> bool {
        self.pod.is_empty() && self.namespace.is_empty() && self.interface == series::OTHER
    }

    /// Returns the trust in the names of this label set. Traffic without an owner counts as one workload,
    /// so it has few label sets.
    pub(super) fn trust(&self) -> Trust {
        match self.runtime {
            // A container can make any number of cgroups with ids, which name it where no engine does.
            Runtime::Docker | Runtime::Podman | Runtime::Cri if cgroup::is_short_id(&self.container) => {
                Trust::Discovered
            }
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
    /// Returns the labels under which this runtime's networks beyond the limit are summed.
    pub(super) fn overflow(&self) -> NetworkLabels {
        NetworkLabels { runtime: self.runtime, network: series::OTHER.to_owned() }
    }
}
