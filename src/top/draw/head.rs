//! The head: the host with its engines, the counts and sums, and what is in the way or wrong.

use super::{Theme, line, take_top};
use crate::model::text::printable;
use crate::model::units::rate;
use crate::top::arrangement::GroupBy;
use crate::top::state::{Supply, ViewState};
use crate::top::text::{fit, number, width};
use crate::top::trouble;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use std::time::Duration;

/// The greatest number of rows that one reservation takes.
const TROUBLE_ROWS: usize = 4;

/// Below these heights the head leaves out the line of the host, and one of its two troubles.
const WITH_HOST: u16 = 9;
const WITH_BOTH: u16 = 12;

/// Paints the head, and takes its lines from the area.
pub(super) fn head(frame: &mut Frame<'_>, left: &mut Rect, state: &ViewState, now: Duration, theme: Theme) {
    let (height, columns) = (left.height, usize::from(left.width));
    if height >= WITH_HOST {
        line(frame, take_top(left, 1), Line::styled(fitting(&host(state), columns), theme.title()));
    }
    line(frame, take_top(left, 1), Line::styled(fitting(&counts(state), columns), theme.title()));
    let broken = in_the_way(state, now);
    let problems = problems(state, columns);
    let notice = notices(state);
    // A problem is more urgent than what is not known, and less than numbers that are old.
    let shown = match (broken, problems) {
        (Some(broken), problems) if height >= WITH_BOTH => vec![(broken, 2), problems.unwrap_or_default()],
        (Some(broken), _) => vec![(broken, 2)],
        (None, Some(problems)) if height >= WITH_BOTH => vec![problems, (notice.unwrap_or_default(), 2)],
        (None, Some(problems)) => vec![problems],
        (None, None) => vec![(notice.unwrap_or_default(), 2)],
    };
    for (words, severity) in shown.into_iter().filter(|(words, _)| !words.is_empty()) {
        // In a narrow window the reason is at the end.
        let words = Paragraph::new(Span::styled(words, theme.severity(severity))).wrap(Wrap { trim: true });
        let rows = words.line_count(left.width).clamp(1, TROUBLE_ROWS) as u16;
        let rows = if left.height > 6 { rows } else { 1 };
        frame.render_widget(words, take_top(left, rows));
    }
}

/// Joins as many of the parts as fit whole, and the first in any case.
fn fitting(parts: &[String], columns: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let more = if text.is_empty() { part.clone() } else { format!(" · {part}") };
        if text.is_empty() || width(&text) + width(&more) <= columns {
            text.push_str(&more);
        }
    }
    text
}

fn host(state: &ViewState) -> Vec<String> {
    let host = &state.shown().host;
    let mut parts = Vec::new();
    match host.name.is_empty() {
        true => parts.push("veth-exporter top".to_owned()),
        false => parts.push(printable(&host.name)),
    }
    for engine in &host.engines {
        parts.push(printable(format!("{} {}", engine.runtime, engine.version).trim_end()));
    }
    if !host.kernel.is_empty() {
        parts.push(format!("kernel {}", printable(&host.kernel)));
    }
    parts.push(state.source.clone());
    parts
}

fn counts(state: &ViewState) -> Vec<String> {
    let (report, (all, shown)) = (state.shown(), state.count());
    let mut parts = Vec::new();
    if state.is_paused() {
        parts.push("PAUSED".to_owned());
    }
    let pairs = if report.pairs == 1 { "1 pair".to_owned() } else { format!("{} pairs", report.pairs) };
    parts.push(pairs);
    if !state.filter.is_empty() {
        parts.push(format!("{shown} of {all} rows"));
    }
    if !report.workloads.is_empty() {
        parts.push(format!("{} without a veth", report.workloads.len()));
    }
    // An older exporter reports neither its host nor problems.
    if report.problems.is_empty() && !report.host.name.is_empty() {
        parts.push("no problems".to_owned());
    }
    let [receive, transmit] = report.sums;
    parts.push(format!("receive {}", number(receive, rate)));
    parts.push(format!("transmit {}", number(transmit, rate)));
    let (column, falling) = state.sort;
    parts.push(format!("by {} {}", column.name().1, if falling { '↓' } else { '↑' }));
    if state.group != GroupBy::Nothing {
        parts.push(format!("grouped by {}", state.group.name()));
    }
    parts
}

/// Returns the reason why there are no numbers, or why they are old.
fn in_the_way(state: &ViewState, now: Duration) -> Option<String> {
    let stale = state.stale(now);
    let age = |age: Duration| format!("STALE, {} s old", age.as_secs());
    match (&state.supply, stale) {
        (Supply::Waiting, _) => Some("waiting for the first answer".to_owned()),
        (Supply::Failed { reason, last: None }, _) => Some(format!("{reason}; trying again")),
        (Supply::Failed { reason, .. }, stale) => {
            Some(format!("{}: {reason}; trying again", age(stale.unwrap_or_default())))
        }
        (Supply::Fresh(_), Some(stale)) => Some(format!("{}: no answer yet", age(stale))),
        (Supply::Fresh(_), None) => None,
    }
}

fn notices(state: &ViewState) -> Option<String> {
    match state.notices().as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first, more @ ..] => Some(format!("(and {} more, see ?) {first}", more.len())),
    }
}

/// Returns the problems in one line, and the severity of the worst.
fn problems(state: &ViewState, columns: usize) -> Option<(String, u8)> {
    const KEY: &str = " (!)";
    let problems = &state.shown().problems;
    let count = trouble::count(problems)?;
    let texts: Vec<String> = problems.iter().map(|problem| printable(&problem.text)).take(9).collect();
    let line = format!("{count}: {}", texts.join("; "));
    let line = fit(&line, columns.saturating_sub(KEY.len()).min(width(&line)));
    Some((format!("{}{KEY}", line.trim_end()), trouble::severity(problems.first()?)))
}
