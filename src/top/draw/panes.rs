//! The panes in the place of the table: the keys, and the problems.

use super::Theme;
use super::detail::scrolled;
use crate::model::text::printable;
use crate::top::state::ViewState;
use crate::top::table::Column;
use crate::top::text::SCALE_HINT;
use crate::top::trouble::{count, sentence, severity};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::time::Duration;

const KEYS: [(&str, &str); 13] = [
    ("↑ ↓ pgup pgdn home end", "choose a row (also k j g G)"),
    ("enter, esc", "open and close its details; on a group, fold it"),
    ("← →", "fold and unfold a group"),
    ("/", "filter by words in names, networks, devices, members, ids, images, MAC addresses; esc clears it"),
    ("!", "list the problems, each with its remedy"),
    ("o", "next grouping: none, Compose project, network, workload"),
    ("v", "fold and unfold the workloads without a veth of their own"),
    ("space", "pause, and go on with what is known by then"),
    ("< >, i", "sort by the column before or behind, or the other way round"),
    ("ctrl-l", "paint anew"),
    ("ctrl-z", "suspend"),
    ("? h", "this help"),
    ("q, ctrl-c", "quit"),
];

/// Paints the keys and the notices from this line on, or from the last line that leaves the pane full.
/// Returns the number of that line.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect, state: &ViewState, from: u16, theme: Theme) -> u16 {
    let key = |key: &str, what: &str| {
        Line::from(vec![Span::styled(format!("{key:24}"), theme.heading()), Span::raw(what.to_owned())])
    };
    let mut lines: Vec<Line<'_>> = KEYS.into_iter().map(|(keys, what)| key(keys, what)).collect();
    let columns = Column::ALL.map(Column::name).map(|(c, name)| format!("{c} {name}"));
    lines.push(key("sort by", &format!("{}; again: the other way round", columns.join(", "))));
    lines.push(Line::raw(""));
    lines.push(Line::raw(
        "Rows with a problem are first in any order: ! critical, ▲ warning, · notice. Receive and transmit are the workload's \
         own view, in bytes a second of the exporter's last tick; drops are packets a second now, and the details have the \
         total; peak is the highest tick in its window.",
    ));
    lines.push(Line::raw(format!(
        "Every sparkline has the same scale: {SCALE_HINT}, each step about seven times the last."
    )));
    for notice in state.notices() {
        lines.push(Line::raw(""));
        lines.push(Line::styled(notice, theme.warning()));
    }
    scrolled(frame, area, lines, from)
}

/// Paints the problems from this line on, as [`help`] does. The clock is the time since 1970 began.
pub(super) fn problems(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &ViewState,
    (from, clock): (u16, Duration),
    theme: Theme,
) -> u16 {
    let problems = &state.shown().problems;
    let title = count(problems).unwrap_or_else(|| "There is no problem.".to_owned());
    let mut lines = vec![Line::styled(title, theme.title())];
    for problem in problems {
        lines.push(Line::raw(""));
        lines.push(Line::styled(sentence(problem, clock), theme.severity(severity(problem))));
        if !problem.remedy.is_empty() {
            lines.push(Line::raw(format!("  {}", printable(&problem.remedy))));
        }
    }
    for notice in state.notices() {
        lines.push(Line::raw(""));
        lines.push(Line::styled(notice, theme.warning()));
    }
    scrolled(frame, area, lines, from)
}
