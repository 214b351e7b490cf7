//! The painter of the state: a title, the trouble, the table, the pane below it, and the keys.

mod detail;

use super::state::{Mode, Supply, ViewState};
use super::table::{Column, HISTORY, TableRow};
use super::text::{fit, fit_right, sparkline, width};
use crate::exposition::json::row::RateRow;
use crate::model::text::printable;
use crate::model::units::rate;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use std::time::Duration;

/// The styles of the screen; without colours they are bold, dim and reversed only.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// True if colours are allowed.
    pub colors: bool,
}

impl Theme {
    fn colored(self, color: Color) -> Style {
        if self.colors { Style::new().fg(color) } else { Style::new() }
    }

    fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn heading(self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// The greatest number of rows that the trouble takes.
const TROUBLE_ROWS: usize = 4;

/// Paints the whole state at this time, into an area of any size.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &mut ViewState, now: Duration, theme: Theme) {
    let mut left = frame.area();
    let title = title(state);
    line(frame, take_top(&mut left, 1), Line::styled(title, theme.title()));
    if let Some(words) = trouble(state, now) {
        // In a narrow window the reason is at the end.
        let words = Paragraph::new(Span::styled(words, theme.warning())).wrap(Wrap { trim: true });
        let rows = words.line_count(left.width).clamp(1, TROUBLE_ROWS) as u16;
        let rows = if left.height > 6 { rows } else { 1 };
        frame.render_widget(words, take_top(&mut left, rows));
    }
    let room = u16::from(left.height > 2);
    let bottom = take_bottom(&mut left, room);
    line(frame, bottom, footer(state, theme));
    match state.mode {
        Mode::Help(from) => state.mode = Mode::Help(detail::help(frame, left, state, from, theme)),
        Mode::Detail(from) => {
            // The table keeps a few rows if the area is high enough for both.
            let below = if left.height >= 12 { left.height - (left.height / 3).max(4) } else { left.height };
            let pane = take_bottom(&mut left, below);
            table(frame, left, state, now, theme);
            state.mode = Mode::Detail(detail::detail(frame, pane, state, from, theme));
        }
        Mode::Table | Mode::Filter => table(frame, left, state, now, theme),
    }
}

fn take_top(left: &mut Rect, height: u16) -> Rect {
    let taken = Rect { height: height.min(left.height), ..*left };
    left.y += taken.height;
    left.height -= taken.height;
    taken
}

fn take_bottom(left: &mut Rect, height: u16) -> Rect {
    let height = height.min(left.height);
    left.height -= height;
    Rect { y: left.y + left.height, height, ..*left }
}

fn line(frame: &mut Frame<'_>, place: Rect, line: Line<'_>) {
    if place.height > 0 {
        frame.render_widget(line, place);
    }
}

fn title(state: &ViewState) -> String {
    let (all, shown) = state.count();
    let (column, falling) = state.sort;
    let rows = if shown == all { format!("{all} rows") } else { format!("{shown} of {all} rows") };
    let paused = if state.is_paused() { "PAUSED · " } else { "" };
    let arrow = if falling { '↓' } else { '↑' };
    format!("veth-exporter top · {paused}{rows} by {} {arrow} · {}", column.name().1, state.source)
}

/// Returns the worst of the present troubles.
fn trouble(state: &ViewState, now: Duration) -> Option<String> {
    let stale = state.stale(now);
    let age = |age: Duration| format!("STALE, {} s old", age.as_secs());
    match (&state.supply, stale) {
        (Supply::Waiting, _) => Some("waiting for the first answer".to_owned()),
        (Supply::Failed { reason, last: None }, _) => Some(format!("{reason}; trying again")),
        (Supply::Failed { reason, .. }, stale) => {
            Some(format!("{}: {reason}; trying again", age(stale.unwrap_or_default())))
        }
        (Supply::Fresh(_), Some(stale)) => Some(format!("{}: no answer yet", age(stale))),
        (Supply::Fresh(_), None) => match state.notices().as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            [first, more @ ..] => Some(format!("(and {} more, see ?) {first}", more.len())),
        },
    }
}

fn footer(state: &ViewState, theme: Theme) -> Line<'_> {
    match state.mode {
        Mode::Filter => Line::from(vec![
            Span::styled("filter: ", theme.heading()),
            Span::raw(printable(&state.filter)),
            Span::styled(" ", theme.selected()),
        ]),
        _ if !state.filter.is_empty() => Line::from(vec![
            Span::styled("filter: ", theme.heading()),
            Span::raw(printable(&state.filter)),
            Span::raw("  (esc clears it)"),
        ]),
        Mode::Help(_) => Line::raw("any key: back"),
        Mode::Detail(_) => Line::raw("esc back · ↑↓ row · pgup pgdn scroll · q back · ? help"),
        Mode::Table => Line::raw("q quit · ? help · / filter · enter details · space pause · < > i sort"),
    }
}

/// A column of the table: its heading, its sort key, and its width in columns of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TableColumn {
    heading: &'static str,
    column: Option<Column>,
    columns: usize,
}

/// Returns the columns that fit. The least important column goes first; names share the rest of the width.
fn places(columns: usize) -> Vec<TableColumn> {
    const NUMBERS: [(&str, Option<Column>, usize, usize); 5] = [
        ("RECEIVE", Some(Column::Receive), 10, 30),
        ("TRANSMIT", Some(Column::Transmit), 10, 40),
        ("PEAK", Some(Column::Peak), 10, 78),
        ("DROPS", Some(Column::Drops), 8, 88),
        ("LAST 2 MIN", None, 20, 124),
    ];
    let numbers: Vec<TableColumn> = NUMBERS
        .into_iter()
        .filter(|&(.., from)| columns >= from)
        .map(|(heading, column, columns, _)| TableColumn { heading, column, columns })
        .collect();
    let taken: usize = numbers.iter().map(|place| place.columns + 1).sum();
    let room = columns.saturating_sub(taken);
    let name = |heading, column, columns| TableColumn { heading, column: Some(column), columns };
    let mut places = match room {
        // Each name is followed by a space.
        46.. => {
            let (network, device) = ((room * 3 / 10).min(24), (room * 3 / 10).min(18));
            vec![
                name("WORKLOAD", Column::Workload, room - network - device - 2),
                name("NETWORK", Column::Network, network),
                name("DEVICE", Column::Device, device),
            ]
        }
        28.. => vec![name("WORKLOAD", Column::Workload, room - 12), name("DEVICE", Column::Device, 11)],
        _ => vec![name("WORKLOAD", Column::Workload, room)],
    };
    places.extend(numbers);
    places
}

fn table(frame: &mut Frame<'_>, area: Rect, state: &mut ViewState, now: Duration, theme: Theme) {
    let mut left = area;
    let places = places(usize::from(area.width));
    let heading = take_top(&mut left, 1);
    line(frame, heading, Line::styled(headings(&places, state.sort), theme.heading()));
    let stale = state.stale(now).is_some();
    let empty = match (&state.supply, state.count()) {
        (Supply::Fresh(_), (0, _)) => Some("There is no veth pair on this host."),
        (_, (1.., 0)) if is_ip_address(&state.filter) => {
            Some("No row fits: IP addresses are not shown here. `veth-exporter find` looks for one.")
        }
        (_, (1.., 0)) => Some("No row fits the filter."),
        _ => None,
    };
    if let Some(words) = empty {
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), take_top(&mut left, 3));
    }
    let (rows, selected) = state.visible(usize::from(left.height));
    for (number, row) in rows.into_iter().enumerate() {
        let style = match (stale, selected == Some(number)) {
            (true, true) => theme.selected().add_modifier(Modifier::DIM),
            (true, false) => Style::new().add_modifier(Modifier::DIM),
            (false, true) => theme.selected(),
            (false, false) => Style::new(),
        };
        line(frame, take_top(&mut left, 1), Line::styled(cells(row, &places), style));
    }
}

fn is_ip_address(filter: &str) -> bool {
    filter.trim().parse::<std::net::IpAddr>().is_ok()
}

fn headings(places: &[TableColumn], (sorted, falling): (Column, bool)) -> String {
    let cells = places.iter().map(|place| {
        let by = match sorted {
            // Busy is the sum of the two.
            Column::Busy => matches!(place.column, Some(Column::Receive | Column::Transmit)),
            column => place.column == Some(column),
        };
        let arrow = match (by, falling) {
            (false, _) => "",
            (true, true) => "↓",
            (true, false) => "↑",
        };
        let heading = format!("{}{arrow}", place.heading);
        match place.column.is_some_and(Column::falls) {
            true => fit_right(&heading, place.columns),
            false => fit(&heading, place.columns),
        }
    });
    cells.collect::<Vec<_>>().join(" ")
}

fn cells(row: &TableRow, places: &[TableColumn]) -> String {
    let cells = places.iter().map(|place| match place.column {
        Some(Column::Workload) => fit(&row.workload, place.columns),
        Some(Column::Network) => fit(&row.network, place.columns),
        Some(Column::Device) => fit(&row.device, place.columns),
        Some(Column::Drops) => {
            let number = row.number(Column::Drops).map_or_else(|| "-".to_owned(), |drops| drops.to_string());
            // A number that is cut would be another number.
            match width(&number) > place.columns {
                true => fit_right("many", place.columns),
                false => fit_right(&number, place.columns),
            }
        }
        Some(number) => fit_right(&row.number(number).map_or_else(|| "-".to_owned(), rate), place.columns),
        None => sparkline(row.history.iter().map(both), HISTORY, place.columns),
    });
    cells.collect::<Vec<_>>().join(" ")
}

fn both(rates: &RateRow) -> u64 {
    rates.receive_bytes_per_second.saturating_add(rates.transmit_bytes_per_second)
}

#[cfg(test)]
mod tests;
