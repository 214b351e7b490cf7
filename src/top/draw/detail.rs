//! The pane below the table: the details of one pair.

use super::{Theme, line, take_top};
use crate::exposition::json::row::{CounterRow, EndRow, RateRow, WorkloadRow};
use crate::model::text::printable;
use crate::model::units::{bytes, rate};
use crate::top::promql;
use crate::top::state::ViewState;
use crate::top::table::{HISTORY, TableRow};
use crate::top::text::{fit_right, sparkline};
use crate::top::trouble::{age, sentence, severity};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use std::time::Duration;

/// Paints the details of the opened row's pair from this line on, or from the last line that leaves the pane
/// full. Returns the number of that line.
pub(super) fn detail(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &ViewState,
    (from, clock): (u16, Duration),
    theme: Theme,
) -> u16 {
    let mut left = area;
    let rule = "─".repeat(usize::from(area.width));
    line(frame, take_top(&mut left, 1), Line::styled(rule, theme.heading()));
    let lines = match state.opened() {
        Some((row, gone)) => {
            let mut lines =
                vec![Line::styled(format!("{} · {}", row.workload, row.pair.state), theme.title())];
            lines.extend(problems(row, clock, theme));
            lines.extend(about(row, left.width, theme));
            lines.extend(ends(row, state, clock, theme));
            if gone {
                lines.insert(0, Line::styled("GONE: this is what was last known of it", theme.warning()));
            }
            lines
        }
        None => vec![Line::raw("No row is selected.")],
    };
    scrolled(frame, left, lines, from)
}

/// Paints the lines from this one on, or from the last that leaves the area full. Returns its number.
pub(super) fn scrolled(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, from: u16) -> u16 {
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    // A long line is several rows in a narrow window.
    let rows = u16::try_from(text.line_count(area.width)).unwrap_or(u16::MAX);
    let from = from.min(rows.saturating_sub(area.height));
    frame.render_widget(text.scroll((from, 0)), area);
    from
}

/// Returns the problems of a row, each with its remedy.
fn problems(row: &TableRow, clock: Duration, theme: Theme) -> Vec<Line<'static>> {
    let lines = row.trouble.problems.iter().flat_map(|problem| {
        let style = theme.severity(severity(problem));
        let remedy = Some(printable(&problem.remedy)).filter(|remedy| !remedy.is_empty());
        let remedy = remedy.map(|remedy| Line::raw(format!("  {remedy}")));
        [Some(Line::styled(sentence(problem, clock), style)), remedy]
    });
    lines.flatten().collect()
}

/// Returns a line with its name before it.
fn named(what: &str, text: &str, theme: Theme) -> Line<'static> {
    Line::from(vec![Span::styled(fit_right(what, 10), theme.heading()), Span::raw(format!("  {text}"))])
}

/// Returns the rates, the history and the totals of a row.
fn about(row: &TableRow, columns: u16, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut say = |what: &str, text: String| lines.push(named(what, &text, theme));
    let end = row.end();
    say("rates", pair_of_rates(end.rates.as_ref()));
    match end.shared {
        true => say("peaks", "not known: other pairs have the same labels".to_owned()),
        false => say("peaks", pair_of_rates(end.peaks.as_ref())),
    }
    let room = usize::from(columns).saturating_sub(12).min(HISTORY);
    let history = |of: fn(&RateRow) -> u64| sparkline(row.history.iter().map(of), HISTORY, room);
    say("receive", history(|rates| rates.receive_bytes_per_second));
    say("transmit", history(|rates| rates.transmit_bytes_per_second));
    if let Some(totals) = &end.totals {
        say("total", counted(&totals.counted));
    }
    say("network", row.network.clone());
    lines
}

/// Returns both ends of a row's pair, and the queries.
fn ends(row: &TableRow, state: &ViewState, clock: Duration, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut say = |what: &str, text: String| lines.push(named(what, &text, theme));
    for end in &row.pair.ends {
        say(if end.place.is_port() { "port" } else { "interface" }, place(end));
        if let Some(counters) = &end.counters {
            say("counters", counted(counters));
        }
        if let Some(workload) = &end.place.workload {
            say("workload", person(workload));
            if let Some(age) = age(workload.started, clock) {
                say("runs", format!("for {age}"));
            }
            if let Some(restarts) = state.shown().restarts_of(workload).filter(|restarts| restarts.count > 0)
            {
                let within = age(restarts.since, clock).map_or_else(String::new, |age| format!(" in {age}"));
                let times = if restarts.count == 1 { "time" } else { "times" };
                say("restarted", format!("{} {times}{within}", restarts.count));
            }
        }
        if !end.place.parent.is_empty() {
            say("inside", printable(&end.place.parent));
        }
        for member in &end.place.members {
            say("member", person(member));
        }
    }
    lines.push(Line::styled("PromQL", theme.heading()));
    // The queries begin in the first column, to be copied.
    lines.extend(promql::queries(&row.pair, row.own).into_iter().map(Line::raw));
    lines
}

fn pair_of_rates(rates: Option<&RateRow>) -> String {
    let Some(rates) = rates else { return "not known".to_owned() };
    let dropped = |rate: Option<u64>| rate.map_or_else(String::new, |rate| format!(", {rate} dropped/s"));
    format!(
        "receive {}, {} packets/s{}; transmit {}, {} packets/s{}",
        rate(rates.receive_bytes_per_second),
        rates.receive_packets_per_second,
        dropped(rates.receive_packets_dropped_per_second),
        rate(rates.transmit_bytes_per_second),
        rates.transmit_packets_per_second,
        dropped(rates.transmit_packets_dropped_per_second),
    )
}

fn counted(counters: &CounterRow) -> String {
    format!(
        "received {}, {} dropped; sent {}, {} dropped",
        bytes(counters.receive_bytes),
        counters.receive_packets_dropped,
        bytes(counters.transmit_bytes),
        counters.transmit_packets_dropped
    )
}

/// Returns a line such as `17: veth47c10e7 in the host, 32:e3:.., up, mtu 1500, in br0`.
fn place(end: &EndRow<'_>) -> String {
    let name = end.place.name.as_deref().map_or_else(|| "(not to be seen)".to_owned(), printable);
    let netns = match (&*end.place.netns, end.place.nsid) {
        ("", _) => "the host".to_owned(),
        (netns, None) => printable(netns),
        (netns, Some(nsid)) => format!("{} (nsid {nsid})", printable(netns)),
    };
    let mut text = format!("{}: {name} in {netns}", end.place.ifindex);
    let up = match (end.place.up, end.place.enabled) {
        (Some(true), _) => Some("up".to_owned()),
        (Some(false), Some(false)) => Some("switched off".to_owned()),
        (Some(false), _) => Some("down".to_owned()),
        (None, _) => None,
    };
    let qdisc = end.place.qdisc.as_deref().map(|qdisc| format!("qdisc {}", printable(qdisc)));
    let carrier = end.place.carrier_changes.map(|changes| format!("{changes} carrier changes"));
    let mtu = end.place.mtu.map(|mtu| format!("mtu {mtu}"));
    let kind = end.place.kind.as_deref().filter(|kind| *kind != "veth").map(printable);
    let master = end.place.master.as_deref().map(|master| format!("in {}", printable(master)));
    for part in [kind, end.place.address.as_deref().map(printable), up, mtu, master, qdisc, carrier]
        .into_iter()
        .flatten()
    {
        text.push_str(", ");
        text.push_str(&part);
    }
    text
}

fn person(workload: &WorkloadRow<'_>) -> String {
    let id = Some(&workload.id).filter(|id| !id.is_empty()).map(|id| format!("id {}", printable(id)));
    let image = Some(&workload.image)
        .filter(|image| !image.is_empty())
        .map(|image| format!("image {}", printable(image)));
    let parts = [Some(printable(&workload.title())), id, image];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
