//! `veth-exporter list`: all pairs, once.

use crate::cli::{Format, List};
use crate::collector;
use crate::model::host::Config;
use crate::model::link::Counters;
use crate::model::pairing::{EndState, Role};
use crate::model::view::{ShownSide, Tenant, View};
use crate::{collector::Snapshot, sandbox};
use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// Prints every pair, and every end that has none.
///
/// # Errors
/// If the host's links cannot be read.
pub fn run(flags: &List) -> anyhow::Result<()> {
    super::start_log(&flags.sources)?;
    let sources = super::open_kernel(&flags.sources)?;
    let docker = super::open_docker(&flags.sources)?;
    let tier = sandbox::drop_privileges().map_err(|error| anyhow!(error))?;
    if let Some(lack) = tier.lacks() {
        tracing::warn!("{lack}");
    }
    let config = Config { retention: Duration::ZERO, hold_back: Duration::ZERO };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Snapshot { view, status } = runtime.block_on(collector::look_once(config, sources, docker));
    let mut failures =
        status.sources.iter().filter_map(|(source, asked)| Some((source, asked.result.as_ref().err()?)));
    let Some(view) = view else {
        let reasons: Vec<&str> = failures.map(|(_, reason)| reason.as_str()).collect();
        bail!("cannot read the host's links: {}", reasons.join("; "));
    };
    if let Some((source, reason)) = failures.next() {
        tracing::warn!(collector = source.as_str(), %reason, "failed");
    }
    let rows = rows(&view);
    let mut out = std::io::stdout().lock();
    let written = match flags.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &rows).map_err(Into::into).and_then(|()| writeln!(out))
        }
        Format::Table => out.write_all(table(&rows).as_bytes()),
    };
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot print"),
    }
}

/// A pair, or an end that has none.
#[derive(Debug, Serialize)]
struct Row {
    state: &'static str,
    ends: Vec<EndRow>,
}

#[derive(Debug, Serialize)]
struct EndRow {
    role: &'static str,
    /// Empty for the host.
    netns: String,
    nsid: Option<u32>,
    ifindex: u32,
    /// The rest is absent where we may not look.
    device: Option<String>,
    address: Option<String>,
    mtu: Option<u32>,
    up: Option<bool>,
    bridge: Option<String>,
    runtime: Option<&'static str>,
    container: Option<String>,
    container_id: Option<String>,
    image: Option<String>,
    members: Vec<String>,
    network: Option<String>,
    counters: Option<CounterRow>,
}

/// The end's own view, named as in /proc/net/dev.
#[derive(Debug, Serialize)]
struct CounterRow {
    rx_bytes: u64,
    rx_packets: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_dropped: u64,
}

fn rows(view: &View) -> Vec<Row> {
    let pairs = view.scene.pairs.iter().zip(&view.samples).map(|(pair, samples)| {
        let mut ends: Vec<EndRow> =
            pair.sides.iter().zip(samples).map(|(side, counters)| end(side, counters)).collect();
        // The port first.
        ends.sort_by_key(|end| end.role != role(Role::Port));
        Row { state: pair.state.as_str(), ends }
    });
    let single = view.scene.single.iter().map(|(side, why): &(ShownSide, EndState)| Row {
        state: why.as_str(),
        ends: vec![EndRow { counters: None, ..end(side, &Counters::default()) }],
    });
    pairs.chain(single).collect()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Port => "port",
        Role::Interface => "interface",
    }
}

fn end(side: &ShownSide, counters: &Counters) -> EndRow {
    let owner = side.tenant.as_deref().map(|Tenant { owner, .. }| owner);
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    EndRow {
        role: role(side.role),
        netns: side.netns.to_string(),
        nsid: side.end.netns.nsid(),
        ifindex: side.end.ifindex,
        device: side.link.map(|link| link.name.to_string()),
        address: side.link.and_then(|link| link.address).map(|address| address.to_string()),
        mtu: side.link.map(|link| link.mtu),
        up: side.link.map(|link| link.up),
        bridge: side.bridge.map(|bridge| bridge.to_string()),
        runtime: owner.map(|owner| owner.runtime.as_str()),
        container: owner.map(|owner| owner.name.clone()),
        container_id: owner.and_then(|owner| given(&owner.id)),
        image: owner.and_then(|owner| given(&owner.image)),
        members: side
            .tenant
            .iter()
            .flat_map(|tenant| &tenant.members)
            .map(|member| member.name.clone())
            .collect(),
        network: side.labels.as_ref().and_then(|labels| given(&labels.network)),
        counters: side.link.map(|_| CounterRow {
            rx_bytes: counters.receive_bytes,
            rx_packets: counters.receive_packets,
            rx_dropped: counters.receive_dropped,
            tx_bytes: counters.transmit_bytes,
            tx_packets: counters.transmit_packets,
            tx_dropped: counters.transmit_dropped,
        }),
    }
}

const HEADINGS: [&str; 9] =
    ["DEVICE", "NETNS", "BRIDGE", "PEER", "WORKLOAD", "NETWORK", "RECEIVED", "SENT", "STATE"];

/// One line a pair: the port (or the first end) and the workload behind it, with bytes as the workload sees them.
fn table(rows: &[Row]) -> String {
    let mut lines: Vec<[String; 9]> = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(line));
    let widths: [usize; 9] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    let mut out = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{:pad$}", "", pad = width - cell.chars().count()));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn line(row: &Row) -> [String; 9] {
    let port = &row.ends[0];
    let peer = row.ends.get(1);
    let text = |value: Option<&String>| value.map_or_else(|| "-".to_owned(), |text| printable(text));
    let owner = |end: &EndRow| {
        let (runtime, container) = (end.runtime?, end.container.as_deref()?);
        Some(format!("{runtime}/{container}"))
    };
    let workload = peer.and_then(owner).or_else(|| owner(port));
    let counters = port.counters.as_ref();
    let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    [
        format!("{}:{}", port.ifindex, text(port.device.as_ref())),
        text(Some(&port.netns).filter(|netns| !netns.is_empty())),
        text(port.bridge.as_ref()),
        peer.map_or_else(
            || "-".to_owned(),
            |peer| format!("{}:{}", peer.ifindex, text(peer.device.as_ref())),
        ),
        text(workload.as_ref()),
        text(peer.and_then(|peer| peer.network.as_ref())),
        bytes(counters.map(|counters| counters.tx_bytes)),
        bytes(counters.map(|counters| counters.rx_bytes)),
        row.state.to_owned(),
    ]
}

/// Names may hold anything; a terminal must not obey them.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
