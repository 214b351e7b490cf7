//! The text format 0.0.4, and OpenMetrics 1.0. Pure.
//!
//! A scene's label blocks are formatted once and kept as long as the scene is the same. A scrape then only
//! copies the blocks and writes numbers, into memory that is used again.

use super::families::{FAMILIES, Family, Series, Type};
use super::format::Format;
use super::pieces::Pieces;
use crate::model::filter::cleaned;
use crate::model::ledger::{LabelSet, NetworkLabels};
use crate::model::link::Name;
use crate::model::series::OTHER;
use crate::model::view::{Ownership, Scene, ShownSide, View};
use crate::model::workload::Workload;
use prometheus::proto::{MetricFamily, MetricType};
use std::fmt::{self, Display, Write};
use std::sync::Arc;
use std::time::Duration;

/// The inputs of one exposition.
pub struct EncodeRequest<'a> {
    /// The exposition format to write.
    pub format: Format,
    /// The pairs to write; without a view the exposition has only the telemetry.
    pub view: Option<&'a View>,
    /// The exporter's own metrics.
    pub telemetry: &'a [MetricFamily],
    /// The start of the view's clock, since 1970 began.
    pub epoch: Duration,
}

/// A writer of views as expositions, with the label blocks of the last scene.
#[derive(Default)]
pub struct Encoder {
    blocks: Blocks,
    /// The scene that the blocks belong to.
    scene: Option<Arc<Scene>>,
}

impl Encoder {
    /// Writes the whole exposition.
    pub fn encode(&mut self, order: &EncodeRequest<'_>, out: &mut Pieces) {
        if let Some(view) = order.view {
            if !self.scene.as_ref().is_some_and(|scene| Arc::ptr_eq(scene, &view.scene)) {
                // The old blocks are dropped first: both in memory at a time would double it.
                self.blocks = Blocks::default();
                self.blocks = Blocks::of(&view.scene);
                self.scene = Some(Arc::clone(&view.scene));
            }
            for family in FAMILIES {
                self.blocks.write(out, family, view, order);
            }
        }
        let mut own = String::new();
        for family in order.telemetry {
            write_own(&mut own, order.format, family);
        }
        out.push(&own);
        out.push(order.format.end());
    }
}

/// The label blocks of a scene, each table in the order in which its rows are written.
#[derive(Default)]
struct Blocks {
    devices: Rows<Port>,
    device_infos: Rows<()>,
    workloads: Rows<usize>,
    workload_infos: Rows<()>,
    networks: Rows<usize>,
}

/// The location of a port's counters in a view.
#[derive(Clone, Copy)]
enum Port {
    /// The index of a pair, and of a side of it.
    Of(usize, usize),
    /// The sum of all ports beyond the limit of series.
    Overflow,
}

/// Label blocks in one text, in the order of their rows; each with the key of its values.
pub(super) struct Rows<K> {
    text: String,
    /// The end of each block; a block begins at the end of the previous one.
    rows: Vec<(usize, K)>,
}

impl<K> Default for Rows<K> {
    fn default() -> Rows<K> {
        Rows { text: String::new(), rows: Vec::new() }
    }
}

impl<K: Copy> Rows<K> {
    /// Adds a row with the labels that `write` writes.
    pub(super) fn add(&mut self, key: K, write: impl FnOnce(&mut LabelBlock<'_>)) {
        let mut block = LabelBlock { text: &mut self.text, empty: true };
        write(&mut block);
        if !block.empty {
            self.text.push('}');
        }
        self.text.push(' ');
        self.rows.push((self.text.len(), key));
    }

    fn blocks(&self) -> impl Iterator<Item = (&str, K)> {
        let begins = [0].into_iter().chain(self.rows.iter().map(|row| row.0));
        begins.zip(&self.rows).map(|(begin, &(end, key))| (&self.text[begin..end], key))
    }

    /// Returns the same rows sorted, in as little memory as possible: a scrape reads that memory from begin
    /// to end.
    pub(super) fn sorted(&self) -> Rows<K> {
        let mut blocks: Vec<(&str, K)> = self.blocks().collect();
        blocks.sort_by_key(|&(block, _)| block);
        // Two processes of one name are one line of information.
        blocks.dedup_by_key(|&mut (block, _)| block);
        let length = blocks.iter().map(|(block, _)| block.len()).sum();
        let mut sorted = Rows { text: String::with_capacity(length), rows: Vec::with_capacity(blocks.len()) };
        for (block, key) in blocks {
            sorted.text.push_str(block);
            sorted.rows.push((sorted.text.len(), key));
        }
        sorted
    }

    pub(super) fn write(&self, out: &mut Pieces, format: Format, head: Head, value: impl Fn(K) -> u64) {
        self.write_some(out, format, head, |key| Some(value(key)));
    }

    /// Writes the rows that have a value; if no row has one, the head is left out too.
    fn write_some(
        &self,
        out: &mut Pieces,
        format: Format,
        (name, help, kind): Head,
        value: impl Fn(K) -> Option<u64>,
    ) {
        let mut digits = itoa::Buffer::new();
        let mut begun = false;
        for (block, key) in self.blocks() {
            let Some(value) = value(key) else { continue };
            if !std::mem::replace(&mut begun, true) {
                write_head(|part| out.push(part), format, name, help, kind);
            }
            let digits = digits.format(value);
            out.push_row([name.as_bytes(), block.as_bytes(), digits.as_bytes(), b"\n"]);
        }
    }

    /// Writes totals; in OpenMetrics each has its start time, since 1970 began.
    fn write_totals(
        &self,
        out: &mut Pieces,
        format: Format,
        head: Head,
        total: impl Fn(K) -> (u64, Duration),
    ) {
        let Format::OpenMetrics = format else { return self.write(out, format, head, |key| total(key).0) };
        let (name, help, kind) = head;
        if self.rows.is_empty() {
            return;
        }
        write_head(|part| out.push(part), format, name, help, kind);
        let created = format!("{}_created", format.family(name, kind));
        let (mut digits, mut time) = (itoa::Buffer::new(), String::new());
        for (block, key) in self.blocks() {
            let (total, begun) = total(key);
            let total = digits.format(total);
            out.push_row([name.as_bytes(), block.as_bytes(), total.as_bytes(), b"\n"]);
            time.clear();
            // Writing to a string cannot fail.
            let _ = write!(time, "{}.{:03}", begun.as_secs(), begun.subsec_millis());
            out.push_row([created.as_bytes(), block.as_bytes(), time.as_bytes(), b"\n"]);
        }
    }
}

/// A family's name, help and type.
pub(super) type Head = (&'static str, &'static str, Type);

impl Blocks {
    fn of(scene: &Scene) -> Blocks {
        let names = Names { pods: scene.pods };
        let each =
            |block: &mut LabelBlock<'_>, port: &ShownSide, peer: &ShownSide| device(block, names, port, peer);
        let info = |block: &mut LabelBlock<'_>, port: &ShownSide, peer: &ShownSide| {
            device_info(block, names, port, peer)
        };
        Blocks {
            devices: with_overflow(ports(scene, Port::Of, each), scene.overflow.0, names).sorted(),
            device_infos: ports(scene, |_, _| (), info).sorted(),
            workloads: workloads(&scene.workloads, names),
            workload_infos: workload_infos(&scene.ownerships, names),
            networks: networks(&scene.networks),
        }
    }

    fn write(&self, out: &mut Pieces, family: &Family, view: &View, order: &EncodeRequest<'_>) {
        let (format, head) = (order.format, (family.name, family.help, family.kind));
        match family.series {
            Series::DeviceCounter(value) => {
                self.devices.write(out, format, head, |port| match port {
                    Port::Of(pair, side) => value(&view.samples[pair][side]),
                    Port::Overflow => value(&view.overflow.ports.unwrap_or_default()),
                });
            }
            // A sum of these values would have no meaning.
            Series::DeviceState(value) => self.devices.write_some(out, format, head, |port| match port {
                Port::Of(pair, side) => view.scene.pairs[pair].sides[side].link.as_ref().map(value),
                Port::Overflow => None,
            }),
            Series::DeviceInfo => self.device_infos.write(out, format, head, |()| 1),
            Series::Workload(value) => self.workloads.write_totals(out, format, head, |row| {
                (value(&view.workloads[row]), order.epoch + view.scene.workloads_begun[row])
            }),
            Series::Peak(value) => {
                self.workloads.write_some(out, format, head, |row| view.peaks[row].as_ref().map(value));
            }
            Series::WorkloadInfo => self.workload_infos.write(out, format, head, |()| 1),
            Series::Network(value) => self.networks.write_totals(out, format, head, |row| {
                (value(&view.networks[row]), order.epoch + view.scene.networks_begun[row])
            }),
        }
    }
}

/// The labels that identify a container or pod.
#[derive(Clone, Copy)]
pub(super) struct Names {
    /// True if the labels of pods are written even if empty: see [`Scene::pods`].
    pub pods: bool,
}

impl Names {
    pub(super) fn write(self, block: &mut LabelBlock<'_>, container: &str, namespace: &str, pod: &str) {
        for (name, value) in [("container", container), ("namespace", namespace), ("pod", pod)] {
            if self.pods { block.label_even_if_empty(name, value) } else { block.label(name, value) }
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

fn networks(networks: &[Arc<NetworkLabels>]) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, labels) in networks.iter().enumerate() {
        rows.add(index, |block| {
            block.label("runtime", labels.runtime.as_str());
            block.label("network", &labels.network);
        });
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
    block.label("bridge", Maybe(port.bridge));
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

/// Returns a label's name as Prometheus accepts it, behind a prefix.
pub(super) fn label_of(prefix: &str, name: &str) -> String {
    prefix.chars().chain(name.chars().map(cleaned)).collect()
}

fn name(side: &ShownSide) -> Name {
    side.link.map(|link| link.name).unwrap_or_default()
}

/// A value that displays as nothing if it is absent.
struct Maybe<T>(Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A label block `{name="value",...`, to which the caller adds the end.
pub(super) struct LabelBlock<'a> {
    text: &'a mut String,
    empty: bool,
}

impl LabelBlock<'_> {
    /// Adds a label; an empty value is left out.
    pub(super) fn label(&mut self, name: &str, value: impl Display) {
        self.add(name, value, false);
    }

    fn label_even_if_empty(&mut self, name: &str, value: impl Display) {
        self.add(name, value, true);
    }

    fn add(&mut self, name: &str, value: impl Display, even_if_empty: bool) {
        let start = self.text.len();
        self.text.push(if self.empty { '{' } else { ',' });
        self.text.push_str(name);
        self.text.push_str("=\"");
        let before = self.text.len();
        // Writing to a string cannot fail; a Display that fails leaves a shorter value.
        let _ = write!(Escaped(self.text), "{value}");
        if self.text.len() == before && !even_if_empty {
            self.text.truncate(start);
        } else {
            self.text.push('"');
            self.empty = false;
        }
    }
}

/// A text that escapes what a label's value must escape: `\\`, `\"` and `\n`.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(['\\', '"', '\n']) {
            let plain = part.trim_end_matches(['\\', '"', '\n']);
            self.0.push_str(plain);
            match part.as_bytes().get(plain.len()) {
                Some(b'\n') => self.0.push_str("\\n"),
                Some(&special) => self.0.extend(['\\', char::from(special)]),
                None => {}
            }
        }
        Ok(())
    }
}

fn write_head(mut push: impl FnMut(&str), format: Format, name: &str, help: &str, kind: Type) {
    let family = format.family(name, kind);
    ["# HELP ", family, " ", help, "\n# TYPE ", family, " ", format.type_name(kind), "\n"]
        .into_iter()
        .for_each(&mut push);
    if let Some(unit) = format.unit(family, kind) {
        ["# UNIT ", family, " ", unit, "\n"].into_iter().for_each(push);
    }
}

/// Writes one of the exporter's own families: counters, gauges and one of information are all that it has.
fn write_own(out: &mut String, format: Format, family: &MetricFamily) {
    let (kind, value): (_, fn(&prometheus::proto::Metric) -> f64) = match family.get_field_type() {
        MetricType::COUNTER => (Type::Counter, |metric| metric.get_counter().get_value()),
        MetricType::GAUGE if family.name().ends_with("_info") => (Type::Info, |_| 1.0),
        MetricType::GAUGE => (Type::Gauge, |metric| metric.get_gauge().get_value()),
        _ => return,
    };
    write_head(|part| out.push_str(part), format, family.name(), family.help(), kind);
    for metric in family.get_metric() {
        out.push_str(family.name());
        let mut block = LabelBlock { text: out, empty: true };
        for label in metric.get_label() {
            block.label(label.name(), label.value());
        }
        if !block.empty {
            out.push('}');
        }
        let _ = writeln!(out, " {}", value(metric));
    }
}

#[cfg(test)]
mod tests;
