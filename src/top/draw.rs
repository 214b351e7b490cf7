//! The painter of the state: the head, the trouble, the table, the pane below it, and the keys.

mod columns;
mod detail;
mod head;
mod lines;
mod panes;

use super::state::{Mode, Supply, ViewState};
use crate::model::text::printable;
use columns::headings;
use lines::Painter;
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

    /// Returns the style of a severity, from 3 for a critical problem to 0 for none.
    fn severity(self, severity: u8) -> Style {
        match severity {
            0 => Style::new(),
            1 => self.colored(Color::Cyan),
            2 => self.warning(),
            _ => self.colored(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// Returns the style of a load in bytes per second.
    fn load(self, bytes_per_second: u64) -> Style {
        match bytes_per_second {
            0 => self.colored(Color::DarkGray),
            1..1_000_000 => Style::new(),
            1_000_000..100_000_000 => self.colored(Color::Green),
            _ => self.colored(Color::Magenta),
        }
    }
}

/// Paints the whole state at this time, into an area of any size.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &mut ViewState, now: Duration, theme: Theme) {
    let mut left = frame.area();
    head::head(frame, &mut left, state, now, theme);
    let room = u16::from(left.height > 2);
    let bottom = take_bottom(&mut left, room);
    line(frame, bottom, footer(state, theme));
    // An epoch of 0 is not known.
    let clock = if state.epoch.is_zero() { Duration::ZERO } else { state.epoch + now };
    match state.mode {
        Mode::Help(from) => state.mode = Mode::Help(panes::help(frame, left, state, from, theme)),
        Mode::Problems(from) => {
            state.mode = Mode::Problems(panes::problems(frame, left, state, (from, clock), theme));
        }
        Mode::Detail(from) => {
            // The table keeps a few rows if the area is high enough for both.
            let below = if left.height >= 12 { left.height - (left.height / 3).max(4) } else { left.height };
            let pane = take_bottom(&mut left, below);
            table(frame, left, state, now, theme);
            state.mode = Mode::Detail(detail::detail(frame, pane, state, (from, clock), theme));
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
        Mode::Help(_) | Mode::Problems(_) => Line::raw("↑↓ scroll · any other key: back"),
        Mode::Detail(_) => Line::raw("esc back · ↑↓ row · pgup pgdn scroll · q back · ? help"),
        Mode::Table => {
            Line::raw("q quit · ? help · / filter · enter details · ! problems · o group · space pause")
        }
    }
}

fn table(frame: &mut Frame<'_>, area: Rect, state: &mut ViewState, now: Duration, theme: Theme) {
    let mut left = area;
    let arranged = state.arranged();
    let places = columns::places(usize::from(area.width), arranged.needs);
    let heading = take_top(&mut left, 1);
    let headings = headings(&places, state.sort, arranged.runtime.as_deref());
    line(frame, heading, Line::styled(headings, theme.heading()));
    let stale = state.stale(now).is_some();
    let without_a_line = state.arranged().lines.is_empty();
    let empty = match (&state.supply, state.count()) {
        (Supply::Fresh(_), (0, _)) => Some("There is no veth pair on this host."),
        (_, (1.., 0)) if is_ip_address(&state.filter) => {
            Some("No row fits: IP addresses are not shown here. `veth-exporter find` looks for one.")
        }
        (_, (1.., 0)) if without_a_line => Some("No row fits the filter."),
        _ => None,
    };
    if let Some(words) = empty {
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), take_top(&mut left, 3));
    }
    let (lines, selected) = state.visible(usize::from(left.height));
    let painter = Painter::new(state, &places, now, theme);
    for (number, shown) in lines.into_iter().enumerate() {
        let style = match (stale, selected == Some(number)) {
            (true, true) => theme.selected().add_modifier(Modifier::DIM),
            (true, false) => Style::new().add_modifier(Modifier::DIM),
            (false, true) => theme.selected(),
            (false, false) => Style::new(),
        };
        let place = take_top(&mut left, 1);
        line(frame, place, painter.line(shown).patch_style(style));
    }
}

fn is_ip_address(filter: &str) -> bool {
    filter.trim().parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
