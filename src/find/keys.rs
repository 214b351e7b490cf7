//! The keys of a thing: everything by which a text may mean it.

use super::catalog::{CatalogEntry, LinkKey};
use super::pasted::{self, DeviceText, PeerText};
use crate::model::subnets;
use crate::model::workload::Workload;

/// The shortest beginning of an id: a shorter number is more likely an ifindex.
const SHORTEST_ID: usize = 4;

/// Labels of Compose, Swarm and Kubernetes that name a container, besides those that a workload has as
/// fields.
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
const SWARM_STACK: &str = "com.docker.stack.namespace";
const SWARM_TASK_NAME: &str = "com.docker.swarm.task.name";
const SWARM_TASK_ID: &str = "com.docker.swarm.task.id";
const POD_UID: &str = "io.kubernetes.pod.uid";

impl CatalogEntry {
    /// Adds everything that a workload is called.
    pub(super) fn add_workload(&mut self, workload: &Workload) {
        let Workload { runtime, name, pod, id, labels, .. } = workload;
        let title = workload.title();
        let with_runtime = format!("{}/{title}", runtime.as_str());
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let names = [name.clone(), pod.clone(), title, with_runtime, label(SWARM_TASK_NAME)];
        self.names.extend(names.into_iter().filter(|name| !name.is_empty()));
        let ids = [id.clone(), label(SWARM_TASK_ID), label(POD_UID)];
        self.ids.extend(ids.into_iter().filter(|id| !id.is_empty()));
        let swarm = [label(SWARM_SERVICE), label(SWARM_STACK)];
        self.groups.extend(swarm.into_iter().filter(|group| !group.is_empty()));
        self.add_compose(workload);
        self.images.extend(Some(workload.own_image().to_owned()).filter(|image| !image.is_empty()));
    }

    /// Adds the service and the project, and the names that Compose makes of them: version 1 with `_`,
    /// version 2 with `-`, in its log without the project.
    fn add_compose(&mut self, workload: &Workload) {
        let Workload { compose_project: project, compose_service: service, labels, .. } = workload;
        let number = labels.get(COMPOSE_NUMBER);
        if !project.is_empty() {
            self.groups.push(project.clone());
        }
        if service.is_empty() {
            return;
        }
        self.groups.push(service.clone());
        for separator in ["/", "-", "_"] {
            if !project.is_empty() {
                self.groups.push([project, service].map(String::as_str).join(separator));
            }
            if let Some(number) = number.filter(|_| separator != "/") {
                self.groups.push([service, number].map(String::as_str).join(separator));
                self.groups.push([project, service, number].map(String::as_str).join(separator));
            }
        }
    }

    /// Returns true if the text is a name, an id or its beginning, an ifindex or an address of this alone.
    pub(super) fn is_identified_by(&self, text: &str, fold: bool) -> bool {
        let number: Option<u32> = text.parse().ok();
        let mac = pasted::mac(text);
        let address = pasted::address(text).map(|(address, _)| address);
        self.names.iter().any(|name| is_same(name, text, fold))
            || (text.len() >= SHORTEST_ID && self.ids.iter().any(|id| begins(id, text, fold)))
            || self.link.as_ref().is_some_and(|link| number == Some(link.ifindex))
            || mac.is_some_and(|mac| self.macs.contains(&mac))
            || address.is_some_and(|address| self.addresses.contains(&address))
    }

    /// Returns true if the text names something that this belongs to with others: a service, a project, an
    /// image, a subnet, a namespace, a cgroup.
    pub(super) fn is_in_group(&self, text: &str, fold: bool) -> bool {
        let subnet = pasted::subnet(text);
        let nsid = pasted::nsid(text);
        let folded = text.to_lowercase();
        let image = if fold { &folded } else { text };
        self.groups.iter().any(|group| is_same(group, text, fold))
            || self.images.iter().any(|of| pasted::is_image(of, image))
            || subnet
                .is_some_and(|subnet| self.addresses.iter().any(|&of| subnets::is_in(of, subnet.0, subnet.1)))
            || self.link.as_ref().is_some_and(|link| nsid.is_some() && link.nsid == nsid)
            || pasted::cgroup(text).is_some_and(|cgroup| is_same_tree(&self.cgroup, cgroup))
    }

    /// Returns true if the device's index, name and peer, as far as they are given, are those of this link.
    pub(super) fn is_device(&self, device: &DeviceText<'_>) -> bool {
        let Some(LinkKey { ifindex, iflink, devices, peer, .. }) = &self.link else { return false };
        let is_peer = |of: &PeerText<'_>| match *of {
            PeerText::Ifindex(index) => *iflink == Some(index),
            PeerText::Name(name) => peer.as_deref() == Some(name),
        };
        device.ifindex.is_none_or(|index| index == *ifindex)
            && device.name.is_none_or(|name| devices.iter().any(|of| of == name))
            && device.peer.as_ref().is_none_or(is_peer)
    }
}

impl<'a> DeviceText<'a> {
    /// Returns the device, and then with less and less of what may be out of date; the name always stays.
    pub(super) fn loosened(&self) -> Vec<DeviceText<'a>> {
        let DeviceText { ifindex, name, peer } = *self;
        let mut loosened = vec![DeviceText { ifindex, name, peer }];
        if name.is_some() {
            loosened.push(DeviceText { ifindex, name, peer: None });
            loosened.push(DeviceText { ifindex: None, name, peer });
            loosened.push(DeviceText { ifindex: None, name, peer: None });
        }
        loosened
    }
}

fn is_same(name: &str, text: &str, fold: bool) -> bool {
    name == text || (fold && name.to_lowercase() == text.to_lowercase())
}

fn begins(id: &str, text: &str, fold: bool) -> bool {
    id.starts_with(text) || (fold && id.to_lowercase().starts_with(&text.to_lowercase()))
}

/// Returns true if one path is the other's, or leads to it.
fn is_same_tree(one: &str, other: &str) -> bool {
    let below = |path: &str, above: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    one.len() > 1 && other.len() > 1 && (below(one, other) || below(other, one))
}
