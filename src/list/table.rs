//! The lines of the rows: a table for a person, and fields between tabs for programs.

use super::layout::{fit, line, width};
use super::{ListRow, state};
use crate::model::text::printable;
use crate::model::units;

/// The members that a line names; it has the number of the others.
const NAMED: usize = 3;

/// The form of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TableStyle {
    /// True to print exact numbers of bytes.
    pub bytes: bool,
    /// True to print no line of headings.
    pub no_header: bool,
    /// The width of the terminal, columns; `None` for another output, which cuts nothing.
    pub columns: Option<usize>,
}

/// A column of the table. `cell` returns `None` for a row without a value.
struct ListColumn {
    heading: &'static str,
    is_number: bool,
    /// True for a column that is left out if no row has a value.
    optional: bool,
    cell: fn(&ListRow<'_>, bool) -> Option<String>,
}

const COLUMNS: [ListColumn; 11] = [
    text("DEVICE", false, |row, _| Some(device(row.port().ifindex, row.port().name.as_deref()))),
    text("NETNS", true, |row, _| given(&row.port().netns)),
    text("BRIDGE", true, |row, _| {
        row.port().bridge.as_deref().or(row.port().master.as_deref()).and_then(given)
    }),
    text("PEER", false, |row, _| row.peer().map(|peer| device(peer.ifindex, peer.name.as_deref()))),
    text("WORKLOAD", false, |row, _| workload(row)),
    text("NETWORK", true, |row, _| given(row.network())),
    text("IP", true, |row, _| address(row)),
    number("RECEIVED", false, |row, exact| Some(size(row.traffic()?[0], exact))),
    number("SENT", false, |row, exact| Some(size(row.traffic()?[1], exact))),
    number("DROPPED", true, |row, _| {
        row.dropped().filter(|dropped| *dropped > 0).map(|dropped| dropped.to_string())
    }),
    text("STATE", false, |row, _| Some(state::text(&row.pair))),
];

const fn text(
    heading: &'static str,
    optional: bool,
    cell: fn(&ListRow<'_>, bool) -> Option<String>,
) -> ListColumn {
    ListColumn { heading, is_number: false, optional, cell }
}

const fn number(
    heading: &'static str,
    optional: bool,
    cell: fn(&ListRow<'_>, bool) -> Option<String>,
) -> ListColumn {
    ListColumn { heading, is_number: true, optional, cell }
}

/// Returns a line for each row: the port (or the first end), the other end and the workload behind it, with
/// bytes as the workload sees them. A name that a terminal would obey is written as text.
pub(crate) fn table(rows: &[ListRow<'_>], style: TableStyle) -> String {
    let mut columns: Vec<(&ListColumn, Vec<Option<String>>)> = COLUMNS
        .iter()
        .map(|column| {
            let cell = |row| (column.cell)(row, style.bytes).map(|cell| printable(&cell));
            (column, rows.iter().map(cell).collect())
        })
        .collect();
    columns.retain(|(column, cells)| !column.optional || cells.iter().any(Option::is_some));
    let mut lines: Vec<Vec<String>> = Vec::new();
    if !style.no_header {
        lines.push(columns.iter().map(|(column, _)| column.heading.to_owned()).collect());
    }
    lines.extend((0..rows.len()).map(|row| {
        let cells = columns.iter().map(|(_, cells)| cells[row].clone().unwrap_or_else(|| "-".to_owned()));
        cells.collect()
    }));
    let widest = |at: usize| lines.iter().map(|line| width(&line[at])).max().unwrap_or(0);
    let is_number: Vec<bool> = columns.iter().map(|(column, _)| column.is_number).collect();
    let may_be_cut: Vec<bool> = is_number.iter().map(|is_number| !is_number).collect();
    let widths = fit((0..columns.len()).map(widest).collect(), &may_be_cut, style.columns);
    lines.iter().map(|cells| line(cells, &widths, &is_number)).collect()
}

/// A field of a line, and its name.
type Field = (&'static str, fn(&ListRow<'_>) -> Option<String>);

const FIELDS: [Field; 14] = [
    ("ifindex", |row| Some(row.port().ifindex.to_string())),
    ("device", |row| row.port().name.as_deref().map(str::to_owned)),
    ("netns", |row| given(&row.port().netns)),
    ("bridge", |row| row.port().bridge.as_deref().map(str::to_owned)),
    ("peer_ifindex", |row| Some(row.peer()?.ifindex.to_string())),
    ("peer", |row| row.peer()?.name.as_deref().map(str::to_owned)),
    ("workload", |row| Some(row.workload()?.title())),
    ("members", |row| given(&row.members().join(","))),
    ("network", |row| given(row.network())),
    ("ip", |row| given(&row.addresses.join(","))),
    ("receive_bytes", |row| Some(row.traffic()?[0].to_string())),
    ("transmit_bytes", |row| Some(row.traffic()?[1].to_string())),
    ("packets_dropped", |row| Some(row.dropped()?.to_string())),
    ("state", |row| Some(state::text(&row.pair))),
];

/// Returns a line for each row with all fields, exact and uncut, and a tab between each two; a field without
/// a value is empty. No name has a tab or a line end: both are written as text.
pub(crate) fn tsv(rows: &[ListRow<'_>], no_header: bool) -> String {
    let mut text = String::new();
    if !no_header {
        text.push_str(&FIELDS.map(|(name, _)| name).join("\t"));
        text.push('\n');
    }
    for row in rows {
        text.push_str(
            &FIELDS
                .map(|(_, field)| field(row).map_or_else(String::new, |field| printable(&field)))
                .join("\t"),
        );
        text.push('\n');
    }
    text
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn device(ifindex: u32, name: Option<&str>) -> String {
    format!("{ifindex}:{}", name.unwrap_or("-"))
}

fn size(bytes: u64, exact: bool) -> String {
    if exact { bytes.to_string() } else { units::bytes(bytes) }
}

/// Returns the workload's title, and the names of its members.
fn workload(row: &ListRow<'_>) -> Option<String> {
    let title = row.workload()?.title();
    let members = row.members();
    let named = members[..members.len().min(NAMED)].join(",");
    Some(match members.len() {
        0 => title,
        count if count > NAMED => format!("{title} + {named} and {} more", count - NAMED),
        _ => format!("{title} + {named}"),
    })
}

/// Returns the first address, and how many more there are. Addresses of the link alone are left out.
fn address(row: &ListRow<'_>) -> Option<String> {
    let shown: Vec<&str> =
        row.addresses.iter().map(String::as_str).filter(|ip| !ip.starts_with("fe80:")).collect();
    let first = shown.first()?;
    let first = first.split('/').next().unwrap_or(first);
    Some(match shown.len() {
        1 => first.to_owned(),
        count => format!("{first} +{}", count - 1),
    })
}
