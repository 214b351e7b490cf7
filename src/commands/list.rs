//! `veth-exporter list`: prints all pairs, once.

use super::oneshot::{OneShot, print, print_json};
use super::rows::{ListedEnd, ListedPair, rows};
use crate::cli::ListFormat;
use crate::model::text::printable;
use crate::settings::ListSettings;

/// Prints every pair, and every end without a pair.
///
/// # Errors
/// Fails if the host's links cannot be read.
pub(super) fn run(settings: &ListSettings) -> anyhow::Result<()> {
    let look = OneShot::read_host(&settings.host)?;
    let rows = rows(&look.view);
    match settings.format {
        ListFormat::Json => print_json(&rows),
        ListFormat::Table => print(&table(&rows)),
    }
}

const HEADINGS: [&str; 9] =
    ["DEVICE", "NETNS", "BRIDGE", "PEER", "WORKLOAD", "NETWORK", "RECEIVED", "SENT", "STATE"];

/// Returns one line for each pair: the port (or the first end) and the workload behind it, with bytes as the
/// workload sees them.
fn table(rows: &[ListedPair]) -> String {
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

fn line(row: &ListedPair) -> [String; 9] {
    let port = &row.ends[0];
    let peer = row.ends.get(1);
    let text = |value: Option<&String>| value.map_or_else(|| "-".to_owned(), |text| printable(text));
    let workload = peer.and_then(ListedEnd::owner).or_else(|| port.owner());
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
