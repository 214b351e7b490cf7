//! `veth-exporter list`: prints all pairs, once.

use super::oneshot::{OneShot, print};
use crate::cli::ListFormat;
use crate::exposition::json;
use crate::exposition::json::row::{EndRow, PairRow};
use crate::model::text::printable;
use crate::settings::ListSettings;

/// Prints every pair, and every end without a pair.
///
/// # Errors
/// Fails if the host's links cannot be read.
pub(super) fn run(settings: &ListSettings) -> anyhow::Result<()> {
    let look = OneShot::read_host(&settings.host)?;
    match settings.format {
        ListFormat::Json => print(&(json::to_pretty_json(&look.view)? + "\n")),
        ListFormat::Table => print(&table(&json::rows_read_once(&look.view))),
    }
}

const HEADINGS: [&str; 9] =
    ["DEVICE", "NETNS", "BRIDGE", "PEER", "WORKLOAD", "NETWORK", "RECEIVED", "SENT", "STATE"];

/// Returns one line for each pair: the port (or the first end) and the workload behind it, with bytes as the
/// workload sees them.
fn table(rows: &[PairRow<'_, Vec<EndRow<'_>>>]) -> String {
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

fn line(row: &PairRow<'_, Vec<EndRow<'_>>>) -> [String; 9] {
    let port = &row.ends[0];
    let peer = row.ends.get(1).map(|peer| &peer.place);
    let text = |value: Option<&str>| value.map_or_else(|| "-".to_owned(), printable);
    let given = |text: &&str| !text.is_empty();
    let workload = peer.and_then(|peer| peer.workload.as_ref()).or(port.place.workload.as_ref());
    let counters = port.counters.as_ref();
    let bytes = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    [
        format!("{}:{}", port.place.ifindex, text(port.place.name.as_deref())),
        text(Some(&*port.place.netns).filter(given)),
        text(port.place.bridge.as_deref()),
        peer.map_or_else(
            || "-".to_owned(),
            |peer| format!("{}:{}", peer.ifindex, text(peer.name.as_deref())),
        ),
        text(workload.map(|workload| workload.title()).as_deref()),
        text(peer.map(|peer| &*peer.network).filter(given)),
        bytes(counters.map(|counters| counters.transmit_bytes)),
        bytes(counters.map(|counters| counters.receive_bytes)),
        row.state.clone().into_owned(),
    ]
}
