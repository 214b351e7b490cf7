//! `veth-exporter list [QUERY]`: prints all pairs once, or those that fit the query.

use super::oneshot::{OneShot, print, warn_of};
use crate::cli::ListFormat;
use crate::exposition::json;
use crate::list::{ListRow, TableStyle, table, tsv};
use crate::model::host::LookFailure;
use crate::model::link::IpAddress;
use crate::model::problems::Problem;
use crate::model::view::View;
use crate::settings::ListSettings;
use anyhow::bail;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

/// Prints every pair, and every end without a pair, that fits the query.
///
/// # Errors
/// Fails if the host's links cannot be read, or if nothing fits.
pub(super) fn run(settings: &ListSettings) -> anyhow::Result<()> {
    let mut look = OneShot::read_host(&settings.host)?;
    warn_of(&look.lacks);
    let all = json::rows_read_once(&look.view);
    let count = all.len();
    let mut namespaces: BTreeMap<Option<u32>, Vec<IpAddress>> = BTreeMap::new();
    let places = all.iter().flat_map(|row| row.ends.iter().map(|end| end.place.nsid));
    for nsid in places {
        namespaces.entry(nsid).or_insert_with(|| match look.sources.resolver.addresses(nsid) {
            Ok(addresses) => addresses,
            Err(LookFailure::Denied | LookFailure::Gone) => Vec::new(),
            Err(LookFailure::Failed(reason)) => {
                tracing::warn!(reason, "the IP addresses of a namespace cannot be read");
                Vec::new()
            }
        });
    }
    let addresses = |nsid: Option<u32>| namespaces.get(&nsid).map_or(&[][..], Vec::as_slice);
    let rows = all.into_iter().enumerate().map(|(index, row)| ListRow::new(index, row, addresses));
    let mut rows: Vec<ListRow<'_>> = rows.filter(|row| settings.terms.fit(row)).collect();
    if rows.is_empty() && !settings.terms.is_empty() {
        bail!("{}", nothing_fits(count));
    }
    match settings.sort {
        Some(sort) => sort.apply(&mut rows),
        None => rows.sort_by_key(|row| trouble_rank(&look.view, row.index)),
    }
    let style =
        TableStyle { bytes: settings.bytes, no_header: settings.no_header, columns: terminal_columns() };
    match settings.format {
        ListFormat::Json => {
            let indices: Vec<usize> = rows.iter().map(|row| row.index).collect();
            print(&(json::to_pretty_json(&look.view, &indices)? + "\n"))
        }
        ListFormat::Tsv => print(&tsv(&rows, settings.no_header)),
        ListFormat::Table => print(&table(&rows, style)),
    }
}

/// Returns the place of a row's most severe problem in the list of problems; rows without one come last.
fn trouble_rank(view: &View, row: usize) -> usize {
    let ends = view.scene.pairs.get(row).map(|pair| pair.sides.each_ref().map(|side| side.end));
    let of_row = |problem: &Problem| ends.is_some() && problem.subject.pair == ends;
    view.condition.problems.iter().position(of_row).unwrap_or(usize::MAX)
}

fn nothing_fits(count: usize) -> String {
    let of = match count {
        0 => return "there is no veth pair here, and so none that fits".to_owned(),
        1 => "the one pair here does not have".to_owned(),
        count => format!("none of the {count} pairs here has"),
    };
    format!("{of} all words of the query; `veth-exporter find` also knows what has no veth, and says why")
}

/// Returns the width of the terminal that standard output is, if it is one.
fn terminal_columns() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    // Serial lines say 0.
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
