//! The network metrics of containers under cAdvisor's names and labels. Pure.
//!
//! Families, help, labels and directions are those of cAdvisor 0.49 (metrics/prometheus.go) and, for pods, of
//! kubelet 1.30 (pkg/kubelet/server/server.go), the sandboxes of which cAdvisor's containerd handler
//! describes. docs/cadvisor.md lists the deliberate differences.
//!
//! Links of containers that are no veths (macvlan, say) come from the same dumps. What they count is read
//! only for this exposition, for up to 50 ms.

use super::families::Type;
use super::labels::{LabelBlock, Names, label_of};
use super::tables::{LabelTable, Rows, Values};
use super::text::{Head, Layout};
use crate::model::cgroup;
use crate::model::label::bounded;
use crate::model::link::{Counters, Errors, Name};
use crate::model::pairing::Role;
use crate::model::series::OTHER;
use crate::model::view::{Ownership, Scene, View};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// One of cAdvisor's families; all of them are counters.
struct CadvisorFamily {
    name: &'static str,
    help: &'static str,
    value: fn(&Counters, &Errors) -> u64,
}

/// The families in the order in which they are written: by name.
const FAMILIES: &[CadvisorFamily] = &[
    CadvisorFamily {
        name: "container_network_receive_bytes_total",
        help: "Cumulative count of bytes received",
        value: |counters, _| counters.receive_bytes,
    },
    CadvisorFamily {
        name: "container_network_receive_errors_total",
        help: "Cumulative count of errors encountered while receiving",
        value: |_, errors| errors.receive,
    },
    CadvisorFamily {
        name: "container_network_receive_packets_dropped_total",
        help: "Cumulative count of packets dropped while receiving",
        value: |counters, _| counters.receive_dropped,
    },
    CadvisorFamily {
        name: "container_network_receive_packets_total",
        help: "Cumulative count of packets received",
        value: |counters, _| counters.receive_packets,
    },
    CadvisorFamily {
        name: "container_network_transmit_bytes_total",
        help: "Cumulative count of bytes transmitted",
        value: |counters, _| counters.transmit_bytes,
    },
    CadvisorFamily {
        name: "container_network_transmit_errors_total",
        help: "Cumulative count of errors encountered while transmitting",
        value: |_, errors| errors.transmit,
    },
    CadvisorFamily {
        name: "container_network_transmit_packets_dropped_total",
        help: "Cumulative count of packets dropped while transmitting",
        value: |counters, _| counters.transmit_dropped,
    },
    CadvisorFamily {
        name: "container_network_transmit_packets_total",
        help: "Cumulative count of packets transmitted",
        value: |counters, _| counters.transmit_packets,
    },
];

/// Prefixes of interface names that cAdvisor leaves out, in upper and lower case: mostly those that a
/// container creates for containers of its own.
const IGNORED: [&str; 4] = ["lo", "veth", "docker", "nerdctl"];

/// The label blocks of the containers' interfaces.
pub(crate) struct CadvisorTables(Rows<Interface>);

/// The location of an interface's counters in a view.
#[derive(Clone, Copy)]
enum Interface {
    /// The index of a pair, and of a side of it.
    Veth(usize, usize),
    /// The index of one of the other links.
    Other(usize),
    /// The sum of all containers beyond the limit of series.
    Overflow,
}

impl CadvisorTables {
    /// Formats the label blocks of a scene.
    pub(crate) fn of(scene: &Scene) -> CadvisorTables {
        CadvisorTables(rows(scene))
    }
}

impl Layout for CadvisorTables {
    fn heads(&self) -> usize {
        FAMILIES.len()
    }

    fn head(&self, family: usize) -> Head {
        let CadvisorFamily { name, help, .. } = FAMILIES[family];
        Head { name, help, kind: Type::Counter }
    }

    fn table(&self, _family: usize) -> &LabelTable {
        &self.0.table
    }

    fn values(&self, family: usize, rows: Range<usize>, view: &View, values: &mut Values) {
        let value = FAMILIES[family].value;
        values.fill(self.0.keys[rows].iter().map(|interface| match *interface {
            Interface::Veth(pair, side) => value(&view.own_counters(pair, side), &Errors::default()),
            Interface::Other(index) => {
                let (counters, errors) = &view.for_scrapes.others[index];
                value(counters, errors)
            }
            Interface::Overflow => value(&view.overflow.containers.unwrap_or_default(), &Errors::default()),
        }));
    }

    fn begun(&self, _family: usize, _row: usize, _scene: &Scene) -> Option<Duration> {
        None
    }
}

/// Returns one row for each interface of a container or pod, if the interface has a visible name.
fn rows(scene: &Scene) -> Rows<Interface> {
    let names = Names { pods: scene.pods };
    let mut rows = Rows::default();
    for (pair, shown) in scene.pairs.iter().enumerate() {
        for (index, side) in shown.sides.iter().enumerate() {
            let Some(ownership) = side.ownership.as_deref().filter(|ownership| ownership.is_container())
            else {
                continue;
            };
            let Some(link) = side.link.filter(|_| side.role == Role::Interface && !side.hidden) else {
                continue;
            };
            rows.add(Interface::Veth(pair, index), |block| interface(block, names, ownership, link.name));
        }
    }
    for (index, other) in scene.others.iter().enumerate().filter(|(_, other)| !is_ignored(other.name)) {
        rows.add(Interface::Other(index), |block| interface(block, names, &other.ownership, other.name));
    }
    if scene.overflow.containers {
        rows.add(Interface::Overflow, |block| {
            names.write(block, "", "", "");
            for name in ["id", "interface", "name"] {
                block.label(name, OTHER);
            }
        });
    }
    rows.sorted()
}

fn is_ignored(name: Name) -> bool {
    let name = name.as_bytes();
    IGNORED.iter().any(|prefix| {
        name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()))
    })
}

fn interface(block: &mut LabelBlock<'_>, names: Names, ownership: &Ownership, name: Name) {
    let owner = &ownership.owner;
    let is_pod = !owner.pod.is_empty();
    // A pod's traffic belongs to its sandbox, which Kubernetes does not treat as a container.
    names.write(block, "", &owner.namespace, &owner.pod);
    if !is_pod {
        let compose = [
            ("com.docker.compose.project", &owner.compose_project),
            ("com.docker.compose.service", &owner.compose_service),
        ];
        let labels = owner.labels.iter().chain(&owner.swarm).map(|(name, value)| (name.as_str(), value));
        let labels: BTreeMap<&str, &String> = labels.chain(compose).collect();
        for (name, value) in labels {
            block.label(&label_of("container_label_", name), value);
        }
    }
    // An unknown cgroup must still be unique for each container.
    match ownership.cgroup.as_str() {
        "" => block.label("id", format_args!("/{}", owner.id)),
        cgroup => block.label("id", bounded(&cgroup::from_root(cgroup, owner))),
    }
    block.label("image", &owner.image);
    block.label("interface", name);
    block.label("name", if is_pod { &owner.id } else { &owner.name });
}

#[cfg(test)]
mod tests;
