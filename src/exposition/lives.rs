//! The label blocks of the families about the lives of workloads: starts, the time of the last one, and
//! stranded members. Pure.

use super::labels::{LabelBlock, Names};
use super::tables::Rows;
use crate::model::problems::{Problem, ProblemKind};
use crate::model::view::{Ownership, Scene};
use crate::model::workload::{Runtime, Workload, WorkloadName};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label blocks of a scene's families about lives.
pub(super) struct LifeTables {
    /// Each with its index in the scene.
    pub starts: Rows<usize>,
    /// Each with the time, in seconds since 1970.
    pub start_times: Rows<u64>,
    /// Each with 1 if the member is stranded, else 0.
    pub members: Rows<u64>,
}

impl LifeTables {
    pub(super) fn of(scene: &Scene, names: Names) -> LifeTables {
        LifeTables {
            starts: starts(&scene.beside.starts, names),
            start_times: start_times(&scene.ownerships, names),
            members: members(scene, names),
        }
    }
}

fn starts(all: &[Arc<WorkloadName>], names: Names) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, name) in all.iter().enumerate() {
        rows.add(index, |block| names.write_workload(block, name));
    }
    rows.sorted()
}

fn start_times(ownerships: &[Arc<Ownership>], names: Names) -> Rows<u64> {
    // Of two containers with one name the last one is the present one: of equal rows the first one stays.
    let mut latest: Vec<&Arc<Ownership>> = ownerships.iter().collect();
    latest.sort_by_key(|ownership| Reverse(ownership.started));
    let mut rows = Rows::default();
    for ownership in latest {
        if let Some(started) = ownership.started.since_1970() {
            rows.add(started.as_secs(), |block| workload(block, names, &ownership.owner));
        }
    }
    rows.sorted()
}

fn members(scene: &Scene, names: Names) -> Rows<u64> {
    let mut rows = Rows::default();
    for member in &scene.beside.stranded {
        rows.add(1, |block| workload(block, names, member));
    }
    for member in scene.ownerships.iter().flat_map(|ownership| &ownership.members) {
        rows.add(0, |block| workload(block, names, member));
    }
    rows.sorted()
}

fn workload(block: &mut LabelBlock<'_>, names: Names, workload: &Workload) {
    block.label("runtime", workload.runtime.as_str());
    names.write(block, &workload.name, &workload.namespace, &workload.pod);
}

/// Returns the family with the number of listed problems of each workload by kind; `None` without any. `pods`
/// is [`Scene::pods`].
pub(super) fn container_problems(problems: &[Problem], pods: bool) -> Option<MetricFamily> {
    let mut counts: BTreeMap<(&str, &[String; 3], &str), usize> = BTreeMap::new();
    for problem in problems {
        let known = problem.subject.runtime.filter(|runtime| *runtime != Runtime::Unknown);
        if let Some(runtime) = known {
            *counts.entry((runtime.as_str(), &problem.subject.names, problem.kind.as_str())).or_default() +=
                1;
        }
    }
    let metrics: Vec<Metric> = counts
        .into_iter()
        .map(|((runtime, [container, namespace, pod], kind), count)| {
            let labels = [
                ("runtime", runtime),
                ("container", container),
                ("namespace", namespace),
                ("pod", pod),
                ("kind", kind),
            ];
            problems_metric(labels.into_iter().filter(|(_, value)| pods || !value.is_empty()), count)
        })
        .collect();
    let help =
        "Problems of the workload now, by kind, of the 500 that are listed: see the page or /api/v1/pairs.";
    (!metrics.is_empty()).then(|| gauges("veth_container_problems", help, metrics))
}

/// Returns the family with the number of all problems by kind.
pub(super) fn problems(counts: &[usize]) -> MetricFamily {
    let kinds = ProblemKind::ALL.iter().zip(counts);
    let mut metrics: Vec<(&str, usize)> = kinds.map(|(kind, &count)| (kind.as_str(), count)).collect();
    metrics.sort_unstable();
    let metrics =
        metrics.into_iter().map(|(kind, count)| problems_metric([("kind", kind)].into_iter(), count));
    gauges("veth_exporter_problems", "Problems of the host now, by kind.", metrics.collect())
}

fn problems_metric<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, count: usize) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(count as f64);
    let mut metric = Metric::from_gauge(gauge);
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    metric.set_label(labels.map(pair).collect());
    metric
}

fn gauges(name: &str, help: &str, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests;
