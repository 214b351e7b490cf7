//! The label blocks and values of the families of veths, and the exporter's own families. Pure.

use super::drops::DropTables;
use super::families::{FAMILIES, Series, Type};
use super::format::Format;
use super::labels::{LabelBlock, Maybe, Names, label_of};
use super::lives::LifeTables;
use super::network_labels;
use super::tables::{LabelTable, Rows, Values};
use super::text::{Head, Layout};
use crate::model::ledger::LabelSet;
use crate::model::link::{LinkKind, Name};
use crate::model::queues;
use crate::model::series::OTHER;
use crate::model::tcp::TcpWorkload;
use crate::model::view::{Ownership, Scene, ShownSide, View};
use crate::model::workload::Workload;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The label blocks of a scene's families.
pub(crate) struct VethTables {
    devices: Rows<Port>,
    /// False if the counters of ports are left out: `--device.metrics=state`.
    has_device_counters: bool,
    none: LabelTable,
    /// The states of devices: a value for each row of `devices`, by the index of the family; empty for a
    /// family of other values; [`UNREAD`] for a peer that cannot be read.
    states: Vec<Vec<u64>>,
    device_infos: Rows<()>,
    /// The queue disciplines of ports: the ifindex and the kind of each.
    queues: Rows<(u32, Name)>,
    workloads: Rows<usize>,
    workload_infos: Rows<()>,
    lives: LifeTables,
    networks: Rows<usize>,
    tcp: Rows<usize>,
    drops: DropTables,
    network_infos: Rows<()>,
    pools: Rows<usize>,
}

/// The state of a peer that cannot be read.
const UNREAD: u64 = u64::MAX;

/// The location of a port's counters in a view.
#[derive(Clone, Copy)]
enum Port {
    /// The index of a pair, and of a side of it.
    Of(u32, u8),
    /// The sum of all ports beyond the limit of series.
    Overflow,
}

impl VethTables {
    /// Formats the label blocks of a scene.
    pub(crate) fn of(scene: &Scene) -> VethTables {
        let names = Names { pods: scene.pods };
        let each =
            |block: &mut LabelBlock<'_>, port: &ShownSide, peer: &ShownSide| device(block, names, port, peer);
        let info = |block: &mut LabelBlock<'_>, port: &ShownSide, peer: &ShownSide| {
            device_info(block, names, port, peer)
        };
        let port = |pair: usize, side: usize| Port::Of(pair as u32, side as u8);
        let devices = with_overflow(ports(scene, port, each), scene.overflow.ports, names).sorted();
        VethTables {
            states: FAMILIES.iter().map(|family| states(&family.series, &devices.keys, scene)).collect(),
            devices,
            has_device_counters: true,
            none: LabelTable::default(),
            device_infos: ports(scene, |_, _| (), info).sorted(),
            queues: queues(scene, names),
            workloads: workloads(&scene.workloads, names),
            workload_infos: workload_infos(&scene.ownerships, names),
            lives: LifeTables::of(scene, names),
            tcp: tcp(&scene.beside.tcp, names),
            drops: DropTables::of(&scene.beside.drops, names),
            networks: network_labels::totals(&scene.networks.labels),
            network_infos: network_labels::infos(&scene.networks.reported),
            pools: network_labels::pools(&scene.networks.reported),
        }
    }

    /// Leaves the counters of ports out, or does not.
    pub(crate) fn with_device_counters(self, has_device_counters: bool) -> VethTables {
        VethTables { has_device_counters, ..self }
    }
}

impl Layout for VethTables {
    fn heads(&self) -> usize {
        FAMILIES.len()
    }

    fn head(&self, family: usize) -> Head {
        let family = &FAMILIES[family];
        Head { name: family.name, help: family.help, kind: family.kind }
    }

    fn table(&self, family: usize) -> &LabelTable {
        match FAMILIES[family].series {
            Series::DeviceCounter(_) if !self.has_device_counters => &self.none,
            Series::DeviceCounter(_) | Series::DeviceState(_) | Series::PeerState(_) => &self.devices.table,
            Series::DeviceInfo => &self.device_infos.table,
            Series::DeviceQueue(_) => &self.queues.table,
            Series::Workload(_) | Series::Peak(_) => &self.workloads.table,
            Series::WorkloadInfo => &self.workload_infos.table,
            Series::Starts => &self.lives.starts.table,
            Series::StartTime => &self.lives.start_times.table,
            Series::StaleMember => &self.lives.members.table,
            Series::Tcp(_) => &self.tcp.table,
            Series::StackDrops(owner) => &self.drops.of_owner(owner).table,
            Series::Network(_) | Series::NetworkMembers => &self.networks.table,
            Series::NetworkInfo => &self.network_infos.table,
            Series::AddressesUsed | Series::AddressesSize => &self.pools.table,
        }
    }

    fn values(&self, family: usize, rows: Range<usize>, view: &View, values: &mut Values) {
        let infos = rows.len();
        match FAMILIES[family].series {
            Series::DeviceCounter(value) => {
                let overflow = view.overflow.ports.unwrap_or_default();
                values.fill(self.devices.keys[rows].iter().map(|port| match *port {
                    Port::Of(pair, side) => value(&view.samples[pair as usize][usize::from(side)]),
                    Port::Overflow => value(&overflow),
                }));
            }
            // A sum of these values would have no meaning.
            Series::DeviceState(_) | Series::PeerState(_) => {
                let states = self.states[family][rows.clone()].iter();
                values.fill_some(states.zip(&self.devices.keys[rows]).map(|(state, port)| match port {
                    Port::Of(..) => Some(*state).filter(|state| *state != UNREAD),
                    Port::Overflow => None,
                }));
            }
            Series::DeviceQueue(value) => {
                let last =
                    |&(ifindex, kind): &(u32, Name)| queues::find(&view.for_scrapes.queues, ifindex, kind);
                let last = self.queues.keys[rows].iter().map(last);
                values.fill_some(last.map(|counters| counters.map(|counters| u64::from(value(counters)))));
            }
            Series::Starts => {
                let starts = &view.condition.starts;
                values.fill(self.lives.starts.keys[rows].iter().map(|&row| starts[row]));
            }
            Series::StartTime => values.fill(self.lives.start_times.keys[rows].iter().copied()),
            Series::StaleMember => values.fill(self.lives.members.keys[rows].iter().copied()),
            Series::Workload(value) => {
                values.fill(self.workloads.keys[rows].iter().map(|&row| value(&view.workloads[row])));
            }
            Series::Peak(value) => {
                let peaks = self.workloads.keys[rows].iter().map(|&row| view.peaks[row].as_ref());
                values.fill_some(peaks.map(|peak| peak.map(value)));
            }
            Series::Network(value) => {
                values.fill(self.networks.keys[rows].iter().map(|&row| value(&view.networks.traffic[row])));
            }
            Series::NetworkMembers => {
                values.fill(self.networks.keys[rows].iter().map(|&row| view.networks.members[row]));
            }
            Series::AddressesUsed => {
                values.fill_some(self.pools.keys[rows].iter().map(|&row| view.networks.used[row]));
            }
            Series::AddressesSize => {
                let pools = &view.scene.networks.reported.pools;
                values.fill(self.pools.keys[rows].iter().map(|&row| pools[row].size));
            }
            Series::DeviceInfo | Series::WorkloadInfo | Series::NetworkInfo => {
                values.fill(std::iter::repeat_n(1, infos))
            }
            Series::Tcp(value) => {
                let figures = self.tcp.keys[rows].iter().map(|&row| view.condition.tcp.get(row));
                values.fill_some(figures.map(|figures| figures.and_then(value)));
            }
            Series::StackDrops(owner) => {
                let packets = view.condition.drops.as_ref().map_or(&[][..], |drops| &drops.packets);
                let keys = self.drops.of_owner(owner).keys[rows].iter();
                values.fill_some(keys.map(|&row| packets.get(row).copied()));
            }
        }
    }

    fn begun(&self, family: usize, row: usize, scene: &Scene) -> Option<Duration> {
        match FAMILIES[family].series {
            Series::Workload(_) => Some(scene.begun.workloads[self.workloads.keys[row]]),
            Series::Network(_) => Some(scene.networks.begun[self.networks.keys[row]]),
            Series::Starts => Some(scene.begun.starts[self.lives.starts.keys[row]]),
            Series::Tcp(_) => Some(scene.beside.tcp[self.tcp.keys[row]].begun),
            Series::StackDrops(owner) => Some(scene.beside.drops[self.drops.of_owner(owner).keys[row]].begun),
            _ => None,
        }
    }
}

/// Returns one row for each port with a visible name.
fn ports<K: Copy>(
    scene: &Scene,
    key: impl Fn(usize, usize) -> K,
    labels: impl Fn(&mut LabelBlock<'_>, &ShownSide, &ShownSide),
) -> Rows<K> {
    let mut rows = Rows::default();
    for (index, pair) in scene.pairs.iter().enumerate() {
        for (side, port, peer) in pair.ports().filter(|(_, port, _)| port.link.is_some() && !port.hidden) {
            rows.add(key(index, side), |block| labels(block, port, peer));
        }
    }
    rows
}

/// Returns one row for each visible port on the host with a queue discipline.
fn queues(scene: &Scene, names: Names) -> Rows<(u32, Name)> {
    let mut rows = Rows::default();
    for (_, port, peer) in scene.pairs.iter().flat_map(|pair| pair.ports()) {
        let Some((ifindex, kind)) = port.queue() else { continue };
        rows.add((ifindex, kind), |block| {
            device(block, names, port, peer);
            block.label("kind", kind);
        });
    }
    rows.sorted()
}

/// Returns the value of each row of a family of states.
fn states(series: &Series, rows: &[Port], scene: &Scene) -> Vec<u64> {
    let (value, peer) = match series {
        Series::DeviceState(value) => (value, 0),
        Series::PeerState(value) => (value, 1),
        _ => return Vec::new(),
    };
    let state = |port: &Port| match *port {
        Port::Of(pair, side) => {
            scene.pairs[pair as usize].sides[usize::from(side) ^ peer].link.as_ref().map(value)
        }
        Port::Overflow => None,
    };
    rows.iter().map(|port| state(port).unwrap_or(UNREAD)).collect()
}

/// Adds a row for the ports beyond the limit. No port has the same labels: an interface's label is never
/// without a runtime's.
fn with_overflow(mut ports: Rows<Port>, rest: bool, names: Names) -> Rows<Port> {
    if rest {
        ports.add(Port::Overflow, |block| {
            block.label("device", OTHER);
            names.write(block, OTHER, "", "");
            block.label("interface", OTHER);
        });
    }
    ports
}

fn workloads(sets: &[Arc<LabelSet>], names: Names) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, labels) in sets.iter().enumerate() {
        rows.add(index, |block| label_set(block, names, labels));
    }
    rows.sorted()
}

fn workload_infos(ownerships: &[Arc<Ownership>], names: Names) -> Rows<()> {
    let mut rows = Rows::default();
    for ownership in ownerships {
        rows.add((), |block| workload_info(block, names, &ownership.owner, "", &ownership.parent));
        let owner = ownership.owner.title();
        for member in &ownership.members {
            rows.add((), |block| workload_info(block, names, member, &owner, &ownership.parent));
        }
    }
    rows.sorted()
}

fn tcp(workloads: &[TcpWorkload], names: Names) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, TcpWorkload { labels, .. }) in workloads.iter().enumerate() {
        rows.add(index, |block| names.write_workload(block, labels));
    }
    rows.sorted()
}

fn label_set(block: &mut LabelBlock<'_>, names: Names, labels: &LabelSet) {
    block.label("runtime", labels.runtime.as_str());
    names.write(block, &labels.container, &labels.namespace, &labels.pod);
    block.label("interface", &labels.interface);
    block.label("network", &labels.network);
}

fn device(block: &mut LabelBlock<'_>, names: Names, port: &ShownSide, peer: &ShownSide) {
    block.label("device", name(port));
    block.label("netns", &port.netns);
    match &peer.labels {
        Some(labels) => label_set(block, names, labels),
        None => names.write(block, "", "", ""),
    }
}

fn device_info(block: &mut LabelBlock<'_>, names: Names, port: &ShownSide, peer: &ShownSide) {
    device(block, names, port, peer);
    block.label("ifindex", port.end.ifindex);
    block.label("peer_ifindex", peer.end.ifindex);
    block.label("peer_netns", &peer.netns);
    block.label("bridge", Maybe(port.bridge()));
    let kind = port.link.map(|link| link.kind.driver()).filter(|driver| *driver != LinkKind::Veth.driver());
    block.label("kind", kind.unwrap_or_default());
    block.label("master", Maybe(port.master.map(|master| master.name)));
    block.label("master_kind", port.master.map_or("", |master| master.kind.driver()));
    block.label("address", Maybe(port.link.and_then(|link| link.address)));
    block.label("peer_address", Maybe(peer.link.and_then(|link| link.address)));
    if let (Some(_), Some(ownership)) = (&peer.labels, &peer.ownership) {
        block.label("container_id", &ownership.owner.id);
        block.label("image", ownership.owner.own_image());
    }
}

fn workload_info(
    block: &mut LabelBlock<'_>,
    names: Names,
    workload: &Workload,
    network_owner: &str,
    parent: &str,
) {
    block.label("runtime", workload.runtime.as_str());
    names.write(block, &workload.name, &workload.namespace, &workload.pod);
    block.label("container_id", &workload.id);
    block.label("image", workload.own_image());
    block.label("network_owner", network_owner);
    block.label("parent", parent);
    block.label("compose_project", &workload.compose_project);
    block.label("compose_service", &workload.compose_service);
    for (name, value) in &workload.labels {
        block.label(&label_of("label_", name), value);
    }
}

fn name(side: &ShownSide) -> Name {
    side.link.map(|link| link.name).unwrap_or_default()
}

/// Returns the end of an exposition: the exporter's own families, which are counters, gauges or of
/// information, and the format's end.
pub(crate) fn own_text(families: &[MetricFamily], format: Format) -> String {
    let mut text = String::new();
    families.iter().for_each(|family| write_own(&mut text, format, family));
    text.push_str(format.end());
    text
}

fn write_own(out: &mut String, format: Format, family: &MetricFamily) {
    let (kind, value): (_, fn(&Metric) -> f64) = match family.get_field_type() {
        MetricType::COUNTER => (Type::Counter, |metric| metric.get_counter().get_value()),
        MetricType::GAUGE if family.name().ends_with("_info") => (Type::Info, |_| 1.0),
        MetricType::GAUGE => (Type::Gauge, |metric| metric.get_gauge().get_value()),
        _ => return,
    };
    out.push_str(&format.head(family.name(), family.help(), kind));
    for metric in family.get_metric() {
        out.push_str(family.name());
        let mut block = LabelBlock::begin(out);
        for label in metric.get_label() {
            match label.name() {
                // They are there only where they are to be written.
                "container" | "namespace" | "pod" => block.label_even_if_empty(label.name(), label.value()),
                name => block.label(name, label.value()),
            }
        }
        block.finish();
        // Writing to a string cannot fail.
        let _ = writeln!(out, " {}", value(metric));
    }
}

#[cfg(test)]
mod tests;
