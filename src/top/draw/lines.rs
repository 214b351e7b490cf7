//! The lines of the table: rows, headers of groups with their sums, and workloads without a veth.

use super::Theme;
use super::columns::{ColumnKind, TableColumn};
use crate::exposition::json::container::VethlessRow;
use crate::exposition::json::row::RateRow;
use crate::model::text::printable;
use crate::model::units::rate;
use crate::top::arrangement::{Arrangement, GroupBy, ListLine, RowGroup};
use crate::top::report::HostReport;
use crate::top::state::ViewState;
use crate::top::table::{Column, HISTORY, TableRow};
use crate::top::text::{fit, fit_right, number, per_second, sparkline, width};
use crate::top::trouble::{age, mark};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use std::time::Duration;

/// The painter of the table's lines.
pub(super) struct Painter<'a> {
    report: &'a HostReport,
    arranged: &'a Arrangement,
    places: &'a [TableColumn],
    /// True if the workloads without a veth are listed.
    unfolded: bool,
    group_by: GroupBy,
    /// The time since 1970 began; 0 if it is not known.
    clock: Duration,
    /// The width of the names of the workloads without a veth.
    vethless: usize,
    theme: Theme,
}

impl<'a> Painter<'a> {
    pub(super) fn new(
        state: &'a ViewState,
        places: &'a [TableColumn],
        now: Duration,
        theme: Theme,
    ) -> Painter<'a> {
        let (report, arranged) = (state.shown(), state.arranged());
        let clock = if state.epoch.is_zero() { Duration::ZERO } else { state.epoch + now };
        let shown = arranged.lines.iter().rev().map_while(|line| match line {
            ListLine::Workload(index) => Some(&report.workloads[*index].0),
            _ => None,
        });
        let widest = shown.map(|row| width(&title(row, arranged))).max().unwrap_or_default();
        let total: usize = places.iter().map(|place| place.columns + 1).sum();
        let vethless = widest.min(total / 2);
        Painter {
            report,
            arranged,
            places,
            unfolded: state.lists_vethless(),
            group_by: state.group,
            clock,
            vethless,
            theme,
        }
    }

    pub(super) fn line(&self, line: ListLine) -> Line<'static> {
        match line {
            ListLine::Row(row) => self.row(&self.report.rows[row]),
            ListLine::Group(group) => self.group(&self.arranged.groups[group]),
            ListLine::Vethless => {
                let count = self.arranged.fitting_workloads;
                let words = if count == 1 { "workload" } else { "workloads" };
                let text = format!("{} {count} {words} without a veth of their own", arrow(!self.unfolded));
                Line::styled(format!("{}{text}", self.margin()), self.theme.heading())
            }
            ListLine::Workload(index) => {
                let (row, severity) = &self.report.workloads[index];
                self.workload(row, *severity)
            }
        }
    }

    /// Returns the blanks in the place of a mark.
    fn margin(&self) -> &'static str {
        if self.places.iter().any(|place| place.kind == ColumnKind::Mark) { "  " } else { "" }
    }

    fn row(&self, row: &TableRow) -> Line<'static> {
        let mut spans = Vec::with_capacity(self.places.len() * 2);
        for place in self.places {
            if !spans.is_empty() {
                spans.push(Span::raw(" "));
            }
            match place.kind {
                ColumnKind::Name => spans.extend(self.name(row, place.columns)),
                kind => {
                    let (text, style) = self.cell(row, kind, place.columns);
                    spans.push(Span::styled(text, style));
                }
            }
        }
        Line::from(spans)
    }

    /// Returns the name, and its members in what is left.
    fn name(&self, row: &TableRow, columns: usize) -> [Span<'static>; 2] {
        let name = row.name(self.arranged.runtime.is_some());
        let style = self.theme.severity(row.trouble.severity());
        let taken = width(name).min(columns);
        // A member that is cut to a letter says nothing.
        let members = if columns - taken >= 5.min(width(&row.members)) { &*row.members } else { "" };
        [
            Span::styled(fit(name, taken), style),
            Span::styled(fit(members, columns - taken), self.theme.colored(Color::DarkGray)),
        ]
    }

    fn cell(&self, row: &TableRow, kind: ColumnKind, columns: usize) -> (String, Style) {
        let theme = self.theme;
        let number = |column: Column| match row.number(column) {
            Some(number) => (fit_right(&rate(number), columns), theme.load(number)),
            None => (fit_right("-", columns), Style::new()),
        };
        let severity = row.trouble.severity();
        match kind {
            ColumnKind::Mark => (mark(severity).to_owned(), theme.severity(severity)),
            ColumnKind::Name => (String::new(), Style::new()),
            ColumnKind::Network => (fit(&row.network, columns), Style::new()),
            ColumnKind::Device => (fit(&row.device, columns), Style::new()),
            ColumnKind::Receive => number(Column::Receive),
            ColumnKind::Transmit => number(Column::Transmit),
            ColumnKind::Peak => number(Column::Peak),
            ColumnKind::Drops => self.drops(row.number(Column::Drops), columns),
            ColumnKind::Packets => match row.packets() {
                Some(packets) => (fit_right(&per_second(packets), columns), Style::new()),
                None => (fit_right("-", columns), Style::new()),
            },
            ColumnKind::History => {
                let busy = row.number(Column::Busy).unwrap_or_default();
                (sparkline(row.history.iter().map(both), HISTORY, columns), theme.load(busy))
            }
        }
    }

    fn drops(&self, drops: Option<u64>, columns: usize) -> (String, Style) {
        let text = number(drops, per_second);
        let style = if drops.unwrap_or_default() > 0 { self.theme.warning() } else { Style::new() };
        (fit_right(&text, columns), style)
    }

    /// Returns a header: the name takes the columns of text, and the sums are in those of the numbers.
    fn group(&self, group: &RowGroup) -> Line<'static> {
        let style = self.theme.heading();
        let texts = self.places.iter().filter(|place| place.kind.is_text() && place.kind != ColumnKind::Mark);
        let columns = texts.map(|place| place.columns + 1).sum::<usize>().saturating_sub(1);
        let name = match &*group.name {
            "" => self.group_by.without().to_owned(),
            name => printable(name),
        };
        let rows = if group.rows.len() == 1 { "row" } else { "rows" };
        let count = format!(" ({} {rows})", group.rows.len());
        let name = format!("{} {name}", arrow(group.folded));
        let room = columns.saturating_sub(width(&count)).min(width(&name));
        let severity = group.trouble.severity();
        let mut spans = Vec::new();
        if !self.margin().is_empty() {
            spans.push(Span::styled(format!("{} ", mark(severity)), self.theme.severity(severity)));
        }
        spans.push(Span::styled(fit(&format!("{}{count}", fit(&name, room)), columns), style));
        let [receive, transmit, drops, packets] = group.sums;
        for place in self.places.iter().filter(|place| !place.kind.is_text()) {
            let text = match place.kind {
                ColumnKind::Receive => number(receive, rate),
                ColumnKind::Transmit => number(transmit, rate),
                ColumnKind::Drops => number(drops, per_second),
                ColumnKind::Packets => number(packets, per_second),
                _ => String::new(),
            };
            spans.push(Span::styled(format!(" {}", fit_right(&text, place.columns)), style));
        }
        Line::from(spans)
    }

    fn workload(&self, row: &VethlessRow<'_>, severity: u8) -> Line<'static> {
        let mut spans = Vec::new();
        if !self.margin().is_empty() {
            spans.push(Span::styled(format!("{} ", mark(severity)), self.theme.severity(severity)));
        }
        let name = fit(&title(row, self.arranged), self.vethless);
        spans.push(Span::styled(name, self.theme.severity(severity)));
        let text = if row.text.is_empty() { &row.state } else { &row.text };
        let mut reason = format!("  {}", printable(text));
        if let Some(age) = age(row.since, self.clock) {
            reason.push_str(&match &*row.state {
                "stopped" => format!(", {age} ago"),
                _ => format!(" for {age}"),
            });
        }
        if let Some(restarts) = self.report.restarts_of(&row.workload) {
            reason.push_str(&restarted(restarts.count));
        }
        spans.push(Span::raw(reason));
        Line::from(spans)
    }
}

/// Returns the number of restarts as the end of a sentence: `, restarted 54 times`.
fn restarted(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        count => format!(", restarted {count} times"),
    }
}

fn arrow(folded: bool) -> char {
    if folded { '▸' } else { '▾' }
}

fn title(row: &VethlessRow<'_>, arranged: &Arrangement) -> String {
    match arranged.runtime.is_some() && !row.workload.name().is_empty() {
        true => printable(&row.workload.name()),
        false => printable(&row.workload.title()),
    }
}

fn both(rates: &RateRow) -> u64 {
    rates.receive_bytes_per_second.saturating_add(rates.transmit_bytes_per_second)
}
