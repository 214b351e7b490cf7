//! The text format 0.0.4. Pure.
//!
//! A scene's label blocks are formatted once and kept as long as the scene is the same; a scrape then only
//! copies them and writes numbers, into a buffer that is used again.

use super::families::{FAMILIES, Family, Series, Type};
use crate::model::link::Name;
use crate::model::view::{Scene, ShownSide, View};
use crate::model::workload::Workload;
use prometheus::proto::{MetricFamily, MetricType};
use std::fmt::{self, Display, Write};
use std::ops::Range;
use std::sync::Arc;

/// The media type of what [`Encoder`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes views.
#[derive(Default)]
pub struct Encoder {
    blocks: Blocks,
    /// Of the scene that the blocks belong to.
    scene: Option<Arc<Scene>>,
    /// The length of the last text, to allocate the next one at once.
    length: usize,
}

impl Encoder {
    /// Writes the whole exposition. Without a view there is only the telemetry.
    pub fn encode(&mut self, view: Option<&View>, telemetry: &[MetricFamily]) -> String {
        let mut out = String::with_capacity(self.length + self.length / 8);
        if let Some(view) = view {
            if !self.scene.as_ref().is_some_and(|scene| Arc::ptr_eq(scene, &view.scene)) {
                self.blocks.format(&view.scene);
                self.scene = Some(Arc::clone(&view.scene));
            }
            for family in FAMILIES {
                self.blocks.write(&mut out, family, view);
            }
        }
        for family in telemetry {
            write_own(&mut out, family);
        }
        self.length = out.len();
        out
    }
}

/// The label blocks of a scene, each table in the order in which its rows are written.
#[derive(Default)]
struct Blocks {
    /// Keys: (pair, side).
    devices: Rows<(usize, usize)>,
    device_infos: Rows<()>,
    workloads: Rows<usize>,
    workload_infos: Rows<()>,
    networks: Rows<usize>,
}

/// Label blocks in one text, sorted; each with the key of what it belongs to.
struct Rows<K> {
    text: String,
    rows: Vec<(Range<usize>, K)>,
}

impl<K> Default for Rows<K> {
    fn default() -> Rows<K> {
        Rows { text: String::new(), rows: Vec::new() }
    }
}

impl<K> Rows<K> {
    fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
    }

    /// Adds a row with the labels that `write` writes.
    fn add(&mut self, key: K, write: impl FnOnce(&mut LabelBlock<'_>)) {
        let start = self.text.len();
        let mut block = LabelBlock { text: &mut self.text, empty: true };
        write(&mut block);
        if !block.empty {
            self.text.push('}');
        }
        self.text.push(' ');
        self.rows.push((start..self.text.len(), key));
    }

    fn sort(&mut self) {
        let text = &self.text;
        self.rows.sort_by(|(a, _), (b, _)| text[a.clone()].cmp(&text[b.clone()]));
        // Two processes of one name are one line of information.
        self.rows.dedup_by(|(a, _), (b, _)| text[a.clone()] == text[b.clone()]);
    }

    fn write(&self, out: &mut String, family: &Family, value: impl Fn(&K) -> u64) {
        self.write_some(out, family, |key| Some(value(key)));
    }

    /// Writes the rows that have a value; without any there is no head either.
    fn write_some(&self, out: &mut String, family: &Family, value: impl Fn(&K) -> Option<u64>) {
        let mut digits = itoa::Buffer::new();
        let mut begun = false;
        for (block, key) in &self.rows {
            let Some(value) = value(key) else { continue };
            if !std::mem::replace(&mut begun, true) {
                write_head(out, family.name, family.help, family.kind.as_str());
            }
            out.push_str(family.name);
            out.push_str(&self.text[block.clone()]);
            out.push_str(digits.format(value));
            out.push('\n');
        }
    }
}

impl Blocks {
    fn format(&mut self, scene: &Scene) {
        self.devices.clear();
        self.device_infos.clear();
        self.workloads.clear();
        self.workload_infos.clear();
        self.networks.clear();
        let names = Names { pods: scene.pods };
        for (index, pair) in scene.pairs.iter().enumerate() {
            for (side, port, peer) in pair.ports().filter(|(_, port, _)| port.link.is_some()) {
                self.devices.add((index, side), |block| device(block, names, port, peer));
                self.device_infos.add((), |block| device_info(block, names, port, peer));
            }
        }
        for (index, labels) in scene.workloads.iter().enumerate() {
            self.workloads.add(index, |block| {
                block.label("runtime", labels.runtime.as_str());
                names.write(block, &labels.container, &labels.namespace, &labels.pod);
                block.label("interface", &labels.interface);
                block.label("network", &labels.network);
            });
        }
        for tenant in &scene.tenants {
            let mut info = |workload: &Workload, network_owner: &str| {
                self.workload_infos
                    .add((), |block| workload_info(block, names, workload, network_owner, &tenant.parent));
            };
            info(&tenant.owner, "");
            let owner = tenant.owner.title();
            for member in &tenant.members {
                info(member, &owner);
            }
        }
        for (index, labels) in scene.networks.iter().enumerate() {
            self.networks.add(index, |block| {
                block.label("runtime", labels.runtime.as_str());
                block.label("network", &labels.network);
            });
        }
        self.devices.sort();
        self.device_infos.sort();
        self.workloads.sort();
        self.workload_infos.sort();
        self.networks.sort();
    }

    fn write(&self, out: &mut String, family: &Family, view: &View) {
        match family.series {
            Series::DeviceCounter(value) => {
                self.devices.write(out, family, |&(pair, side)| value(&view.samples[pair][side]));
            }
            Series::DeviceState(value) => self.devices.write(out, family, |&(pair, side)| {
                view.scene.pairs[pair].sides[side].link.as_ref().map_or(0, value)
            }),
            Series::DeviceInfo => self.device_infos.write(out, family, |()| 1),
            Series::Workload(value) => self.workloads.write(out, family, |&row| value(&view.workloads[row])),
            Series::Peak(value) => {
                self.workloads.write_some(out, family, |&row| view.peaks[row].as_ref().map(value));
            }
            Series::WorkloadInfo => self.workload_infos.write(out, family, |()| 1),
            Series::Network(value) => self.networks.write(out, family, |&row| value(&view.networks[row])),
        }
    }
}

/// How the labels are written that say which container or pod it is.
#[derive(Clone, Copy)]
struct Names {
    /// Also where they are empty: see [`Scene::pods`].
    pods: bool,
}

impl Names {
    fn write(self, block: &mut LabelBlock<'_>, container: &str, namespace: &str, pod: &str) {
        for (name, value) in [("container", container), ("namespace", namespace), ("pod", pod)] {
            if self.pods { block.label_even_if_empty(name, value) } else { block.label(name, value) }
        }
    }
}

fn device(block: &mut LabelBlock<'_>, names: Names, port: &ShownSide, peer: &ShownSide) {
    block.label("device", name(port));
    block.label("netns", &port.netns);
    match &peer.labels {
        Some(labels) => {
            block.label("runtime", labels.runtime.as_str());
            names.write(block, &labels.container, &labels.namespace, &labels.pod);
            block.label("interface", &labels.interface);
            block.label("network", &labels.network);
        }
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
    if let (Some(_), Some(tenant)) = (&peer.labels, &peer.tenant) {
        block.label("container_id", &tenant.owner.id);
        block.label("image", &tenant.owner.image);
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
    block.label("image", &workload.image);
    block.label("network_owner", network_owner);
    block.label("parent", parent);
    block.label("compose_project", &workload.compose_project);
    block.label("compose_service", &workload.compose_service);
}

fn name(side: &ShownSide) -> Name {
    side.link.map(|link| link.name).unwrap_or_default()
}

/// What is there, or nothing.
struct Maybe<T>(Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// `{name="value",...`, to which the caller adds the end.
struct LabelBlock<'a> {
    text: &'a mut String,
    empty: bool,
}

impl LabelBlock<'_> {
    /// Adds a label; an empty value is left out.
    fn label(&mut self, name: &str, value: impl Display) {
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

/// Escapes as a label's value demands it: `\\`, `\"` and `\n`.
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

fn write_head(out: &mut String, name: &str, help: &str, kind: &str) {
    for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
        out.push_str(part);
    }
}

/// Writes a family of the exporter's own: counters and gauges, which is all that it has.
fn write_own(out: &mut String, family: &MetricFamily) {
    let (kind, value): (_, fn(&prometheus::proto::Metric) -> f64) = match family.get_field_type() {
        MetricType::COUNTER => (Type::Counter, |metric| metric.get_counter().get_value()),
        MetricType::GAUGE => (Type::Gauge, |metric| metric.get_gauge().get_value()),
        _ => return,
    };
    write_head(out, family.name(), family.help(), kind.as_str());
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
