//! The lines of the table in their order: rows, the headers of their groups, and the workloads without a
//! veth.

use super::report::{HostReport, vethless_matches};
use super::table::{Column, RowKey, TableRow, plus};
use super::text::width;
use super::trouble::RowTrouble;
use std::collections::{BTreeSet, HashMap};

/// The property that rows are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    #[default]
    Nothing,
    Project,
    Network,
    Workload,
}

impl GroupBy {
    /// Returns the grouping that the key `o` leads to.
    pub fn next(self) -> GroupBy {
        match self {
            GroupBy::Nothing => GroupBy::Project,
            GroupBy::Project => GroupBy::Network,
            GroupBy::Network => GroupBy::Workload,
            GroupBy::Workload => GroupBy::Nothing,
        }
    }

    /// Returns the property's name.
    pub fn name(self) -> &'static str {
        match self {
            GroupBy::Nothing => "nothing",
            GroupBy::Project => "Compose project",
            GroupBy::Network => "network",
            GroupBy::Workload => "workload",
        }
    }

    /// Returns the heading of the rows without the property.
    pub fn without(self) -> &'static str {
        match self {
            GroupBy::Nothing => "",
            GroupBy::Project => "without a Compose project",
            GroupBy::Network => "without a network",
            GroupBy::Workload => "without a workload",
        }
    }

    /// Returns the row's group; empty for a row without the property.
    fn group_of(self, row: &TableRow) -> &str {
        let workload = row.end().place.workload.as_ref();
        match self {
            GroupBy::Nothing => "",
            GroupBy::Project => workload.map_or("", |workload| &workload.compose_project),
            GroupBy::Network if row.network == "-" => {
                row.pair.ends.iter().find_map(|end| end.place.bridge.as_deref()).unwrap_or_default()
            }
            GroupBy::Network => &row.network,
            GroupBy::Workload => workload.map_or("", |_| &row.workload),
        }
    }
}

/// A line of the table. The indices are those of the report and of the arrangement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListLine {
    Row(usize),
    /// The header of a group.
    Group(usize),
    /// The header of the workloads without a veth.
    Vethless,
    Workload(usize),
}

/// The identity of a line from one answer to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineKey {
    Row(RowKey),
    Group(String),
    Vethless,
    Workload(String),
}

/// A group of rows.
#[derive(Clone, Debug, Default)]
pub struct RowGroup {
    /// The name, empty for the rows without one. It is as the exporter sent it.
    pub name: String,
    /// The rows, in order.
    pub rows: Vec<usize>,
    pub folded: bool,
    /// The problems of the group's worst row.
    pub trouble: RowTrouble,
    /// Sums of receive, transmit, drops and packets per second; `None` if no row's number is known.
    pub sums: [Option<u64>; 4],
}

/// The columns that the texts of the shown rows need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextNeeds {
    pub name: usize,
    pub with_members: usize,
    pub network: usize,
    pub device: usize,
}

/// The wishes of the user about the order of lines.
#[derive(Clone, Debug)]
pub struct ListWishes {
    /// The words that a row must contain, in lower case.
    pub words: Vec<String>,
    /// The sort column, and true if the highest values are first.
    pub sort: (Column, bool),
    pub group: GroupBy,
    /// The names of groups without their rows.
    pub folded: BTreeSet<String>,
    /// True if the workloads without a veth are listed.
    pub vethless: bool,
}

/// The lines of the table.
#[derive(Clone, Debug, Default)]
pub struct Arrangement {
    pub lines: Vec<ListLine>,
    pub groups: Vec<RowGroup>,
    /// The number of rows that match the filter.
    pub fitting: usize,
    /// The number of workloads without a veth that match the filter.
    pub fitting_workloads: usize,
    pub needs: TextNeeds,
    /// The runtime that is left out of the names, as all have it.
    pub runtime: Option<String>,
}

impl Arrangement {
    /// Filters, sorts and groups the lines of a report.
    pub fn new(report: &HostReport, wishes: &ListWishes) -> Arrangement {
        let rows = &report.rows;
        let fits = |&row: &usize| rows[row].matches(&wishes.words);
        let mut order: Vec<usize> = (0..rows.len()).filter(fits).collect();
        let (column, falling) = wishes.sort;
        order.sort_by(|&a, &b| rows[a].compare_trouble_first(&rows[b], column, falling));
        let runtime = report.only_runtime().map(str::to_owned);
        let mut needs = needs(order.iter().map(|&row| &rows[row]), runtime.is_some());
        if let Some(runtime) = &runtime {
            // The heading names the runtime: `WORKLOAD↓ (docker)`.
            needs.with_members = needs.with_members.max("WORKLOAD↓ ()".chars().count() + width(runtime));
        }
        let fitting = order.len();
        let groups = groups(rows, &order, wishes);
        let mut lines = Vec::with_capacity(fitting);
        match wishes.group {
            GroupBy::Nothing => lines.extend(order.into_iter().map(ListLine::Row)),
            _ => {
                for (index, group) in groups.iter().enumerate() {
                    lines.push(ListLine::Group(index));
                    if !group.folded {
                        lines.extend(group.rows.iter().map(|&row| ListLine::Row(row)));
                    }
                }
            }
        }
        let workloads: Vec<usize> = (0..report.workloads.len())
            .filter(|&index| vethless_matches(&report.workloads[index].0, &wishes.words))
            .collect();
        let fitting_workloads = workloads.len();
        if fitting_workloads > 0 {
            lines.push(ListLine::Vethless);
            if wishes.vethless {
                lines.extend(workloads.into_iter().map(ListLine::Workload));
            }
        }
        Arrangement { lines, groups, fitting, fitting_workloads, needs, runtime }
    }

    /// Returns the identity of a line.
    pub fn key(&self, report: &HostReport, line: ListLine) -> LineKey {
        match line {
            ListLine::Row(row) => LineKey::Row(report.rows[row].key.clone()),
            ListLine::Group(group) => LineKey::Group(self.groups[group].name.clone()),
            ListLine::Vethless => LineKey::Vethless,
            ListLine::Workload(index) => {
                let workload = &report.workloads[index].0.workload;
                LineKey::Workload(format!("{} {}", workload.id, workload.title()))
            }
        }
    }

    /// Returns the place of the line with this identity.
    pub fn place_of(&self, report: &HostReport, key: &LineKey) -> Option<usize> {
        self.lines.iter().position(|&line| match (line, key) {
            (ListLine::Row(row), LineKey::Row(key)) => report.rows[row].key == *key,
            (ListLine::Group(group), LineKey::Group(name)) => self.groups[group].name == *name,
            (ListLine::Vethless, LineKey::Vethless) => true,
            (ListLine::Workload(_), LineKey::Workload(_)) => self.key(report, line) == *key,
            _ => false,
        })
    }
}

fn needs<'a>(rows: impl Iterator<Item = &'a TableRow>, without_runtime: bool) -> TextNeeds {
    rows.fold(TextNeeds::default(), |needs, row| {
        let name = width(row.name(without_runtime));
        TextNeeds {
            name: needs.name.max(name),
            with_members: needs.with_members.max(name + width(&row.members)),
            network: needs.network.max(width(&row.network)),
            device: needs.device.max(width(&row.device)),
        }
    })
}

/// Returns the groups of sorted rows: those with a problem first, then by the sums of the sort column, and
/// the rows without a group last.
fn groups(rows: &[TableRow], order: &[usize], wishes: &ListWishes) -> Vec<RowGroup> {
    if wishes.group == GroupBy::Nothing {
        return Vec::new();
    }
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<RowGroup> = Vec::new();
    for &index in order {
        let row = &rows[index];
        let name = wishes.group.group_of(row);
        let place = *places.entry(name).or_insert_with(|| {
            let folded = wishes.folded.contains(name);
            let trouble = row.trouble.clone();
            groups.push(RowGroup { name: name.to_owned(), folded, trouble, ..RowGroup::default() });
            groups.len() - 1
        });
        let numbers = [
            row.number(Column::Receive),
            row.number(Column::Transmit),
            row.number(Column::Drops),
            row.packets(),
        ];
        let group = &mut groups[place];
        group.rows.push(index);
        for (sum, number) in group.sums.iter_mut().zip(numbers) {
            *sum = plus(*sum, number);
        }
    }
    let (column, falling) = wishes.sort;
    let value = |group: &RowGroup| match column {
        Column::Receive => group.sums[0],
        Column::Transmit => group.sums[1],
        Column::Busy => plus(group.sums[0], group.sums[1]),
        Column::Drops => group.sums[2],
        _ => None,
    };
    // The sort is stable: otherwise groups are in the order of their first rows.
    groups.sort_by(|a, b| {
        let (one, other) = (value(a), value(b));
        let by = if falling { other.cmp(&one) } else { one.cmp(&other) };
        a.trouble.compare(&b.trouble).then(a.name.is_empty().cmp(&b.name.is_empty())).then(by)
    });
    groups
}

#[cfg(test)]
mod tests;
