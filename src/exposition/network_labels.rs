//! The label blocks of networks. Pure.

use super::labels::{LabelBlock, Maybe};
use super::tables::Rows;
use crate::model::ledger::NetworkLabels;
use crate::model::view::ReportedNetworks;
use crate::model::workload::{Network, Runtime};
use std::fmt::Display;
use std::sync::Arc;

/// Returns one row for each total.
pub(super) fn totals(networks: &[Arc<NetworkLabels>]) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, labels) in networks.iter().enumerate() {
        rows.add(index, |block| network(block, labels.runtime, &labels.network));
    }
    rows.sorted()
}

/// Returns one row for each network that an engine reports.
pub(super) fn infos(reported: &ReportedNetworks) -> Rows<()> {
    let mut rows = Rows::default();
    for (runtime, network) in &reported.networks {
        rows.add((), |block| info(block, *runtime, network));
    }
    rows.sorted()
}

/// Returns one row for each subnet.
pub(super) fn pools(reported: &ReportedNetworks) -> Rows<usize> {
    let mut rows = Rows::default();
    for (index, pool) in reported.pools.iter().enumerate() {
        let (runtime, of) = &reported.networks[pool.network];
        rows.add(index, |block| {
            network(block, *runtime, &of.name);
            block.label("subnet", pool.subnet);
        });
    }
    rows.sorted()
}

fn network(block: &mut LabelBlock<'_>, runtime: Runtime, name: &str) {
    block.label("runtime", runtime.as_str());
    block.label("network", name);
}

fn info(block: &mut LabelBlock<'_>, runtime: Runtime, of: &Network) {
    network(block, runtime, &of.name);
    block.label("network_id", &of.id);
    block.label("driver", &of.driver);
    block.label("bridge", Maybe(of.bridge));
    block.label("subnet", joined(of.pools.iter().map(|pool| pool.subnet)));
    block.label("gateway", joined(of.pools.iter().filter_map(|pool| pool.gateway())));
    block.label("subnet_ipv6", joined(&of.ipv6_subnets));
    block.label("internal", of.internal);
    block.label("ipv6", of.ipv6);
}

fn joined<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(",")
}
