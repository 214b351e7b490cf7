//! The lines of the rows: a table for a person, and fields between tabs for programs.

use super::layout::{GAP, fit, line, width};
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

/// A column of the table. `cell` returns `None` for a row without a value; its second argument is true for
/// exact numbers.
struct ListColumn {
    heading: &'static str,
    kind: CellKind,
    /// True for a column that is left out if no row has a value.
    optional: bool,
    cell: fn(&ListRow<'_>, bool) -> Option<String>,
}

/// The treatment of a column's cells where the terminal is narrow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CellKind {
    /// A name, which is cut first.
    Name,
    /// A text of which a part says little.
    Text,
    /// A number, which is never cut.
    Number,
}

use CellKind::{Name, Number, Text};

const COLUMNS: [ListColumn; 11] = [
    column("DEVICE", Text, false, |row, _| Some(device(row.port().ifindex, row.port().name.as_deref()))),
    column("NETNS", Name, true, |row, _| given(&row.port().netns)),
    column("BRIDGE", Name, true, |row, _| bridge(row)),
    column("PEER", Text, false, |row, _| row.peer().map(|peer| device(peer.ifindex, peer.name.as_deref()))),
    column("WORKLOAD", Name, false, |row, _| workload(row)),
    column("NETWORK", Name, true, |row, _| given(row.network())),
    column("IP", Text, true, |row, _| address(row)),
    column("RECEIVED", Number, false, |row, exact| Some(size(row.traffic()?[0], exact))),
    column("SENT", Number, false, |row, exact| Some(size(row.traffic()?[1], exact))),
    column("DROPPED", Number, true, |row, _| {
        Some(row.dropped()?.to_string()).filter(|dropped| dropped != "0")
    }),
    column("STATE", Text, false, |row, _| Some(state::text(&row.pair))),
];

/// The columns that a narrow terminal does without, the first of them first.
const DISPENSABLE: [&str; 4] = ["BRIDGE", "PEER", "NETNS", "IP"];

/// The columns that a name gets at least before another column is left out.
const ROOM: usize = 16;

const fn column(
    heading: &'static str,
    kind: CellKind,
    optional: bool,
    cell: fn(&ListRow<'_>, bool) -> Option<String>,
) -> ListColumn {
    ListColumn { heading, kind, optional, cell }
}

/// A column with its cells, as wide as the widest of them.
struct FilledColumn {
    column: &'static ListColumn,
    cells: Vec<String>,
    width: usize,
}

impl FilledColumn {
    /// Returns the column with a cell for each row; `None` if it is left out.
    fn new(column: &'static ListColumn, rows: &[ListRow<'_>], style: TableStyle) -> Option<FilledColumn> {
        let found: Vec<Option<String>> = rows.iter().map(|row| (column.cell)(row, style.bytes)).collect();
        if column.optional && found.iter().all(Option::is_none) {
            return None;
        }
        let cell = |cell: Option<String>| cell.map_or_else(|| "-".to_owned(), |cell| printable(&cell));
        let heading = (!style.no_header).then(|| column.heading.to_owned());
        let cells: Vec<String> = heading.into_iter().chain(found.into_iter().map(cell)).collect();
        let width = cells.iter().map(|cell| width(cell)).max().unwrap_or(0);
        Some(FilledColumn { column, cells, width })
    }

    /// Returns the columns of the terminal that the column wants at least.
    fn wanted(&self) -> usize {
        if self.column.kind == Name { self.width.min(ROOM) } else { self.width }
    }
}

/// Returns a line for each row: the port (or the first end), the other end and the workload behind it, with
/// bytes as the workload sees them. A name that a terminal would obey is written as text.
pub(crate) fn table(rows: &[ListRow<'_>], style: TableStyle) -> String {
    let mut columns: Vec<FilledColumn> =
        COLUMNS.iter().filter_map(|column| FilledColumn::new(column, rows, style)).collect();
    for heading in DISPENSABLE {
        let wanted: usize = columns.iter().map(|column| column.wanted() + GAP).sum();
        // There is no gap behind the last column.
        if style.columns.is_none_or(|terminal| wanted <= terminal + GAP) {
            break;
        }
        columns.retain(|filled| filled.column.heading != heading);
    }
    let is = |kinds: &[CellKind]| columns.iter().map(|filled| kinds.contains(&filled.column.kind)).collect();
    let (names, texts, numbers): (Vec<bool>, Vec<bool>, Vec<bool>) =
        (is(&[Name]), is(&[Name, Text]), is(&[Number]));
    let widths = fit(columns.iter().map(|filled| filled.width).collect(), &names, style.columns);
    let widths = fit(widths, &texts, style.columns);
    let count = columns.first().map_or(0, |filled| filled.cells.len());
    let cells = |at: usize| columns.iter().map(|filled| filled.cells[at].as_str()).collect::<Vec<_>>();
    (0..count).map(|at| line(&cells(at), &widths, &numbers)).collect()
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

/// Returns the bridge of the port, or another master of it.
fn bridge(row: &ListRow<'_>) -> Option<String> {
    let port = row.port();
    port.bridge.as_deref().or(port.master.as_deref()).and_then(given)
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
