//! The state of the view, and its changes by keys and answers. The clock is an argument.

use super::arrangement::{Arrangement, GroupBy, LineKey, ListLine, ListWishes};
use super::report::HostReport;
use super::table::{Column, TableRow};
use crate::exposition::json::PairsAnswer;
use crate::model::text::printable;
use std::collections::BTreeSet;
use std::time::Duration;

/// A key that the user pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPress {
    Char(char),
    /// A character with Ctrl, in lower case.
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// An order for the terminal's edge that results from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCommand {
    /// Paint the changes only.
    Show,
    /// Paint everything anew, regardless of the screen's content.
    Repaint,
    /// Give the terminal back until the shell continues the process.
    Suspend,
    Quit,
}

/// The pane below the table, and the meaning of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No pane: keys are commands.
    Table,
    /// The line in which the filter is typed.
    Filter,
    /// The selected row's details, scrolled by this number of lines.
    Detail(u16),
    /// The keys, scrolled by this number of lines.
    Help(u16),
    /// The problems, scrolled by this number of lines.
    Problems(u16),
}

/// The state of the source of the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supply {
    /// No answer has come yet.
    Waiting,
    /// The time of the last answer.
    Fresh(Duration),
    /// A failed request; the numbers, if there are any, are from `last`.
    Failed {
        /// The time of the last answer.
        last: Option<Duration>,
        /// The cause of the failure, printable.
        reason: String,
    },
}

/// The result of one request.
#[derive(Clone, Debug)]
pub enum Update {
    Pairs(PairsAnswer),
    /// The numbers are the same as before.
    Unchanged,
    /// The request failed, for this reason.
    Failure(String),
}

/// The state of the whole view.
#[derive(Debug)]
pub struct ViewState {
    /// The source of the numbers, printable.
    pub source: String,
    /// The interval of the requests.
    pub interval: Duration,
    /// Missing facts, each with its remedy.
    pub lacks: Vec<String>,
    /// The state of the source.
    pub supply: Supply,
    /// The pane that is open, if any.
    pub mode: Mode,
    /// The sort column, and true if the highest values are first.
    pub sort: (Column, bool),
    /// The search text as it was typed.
    pub filter: String,
    /// The property that rows are grouped by.
    pub group: GroupBy,
    /// The time at which the view's times begin, since 1970 began; 0 if it is not known.
    pub epoch: Duration,
    /// The names of groups without their rows.
    folded: BTreeSet<String>,
    /// True if the workloads without a veth are listed.
    vethless: bool,
    report: HostReport,
    /// The report at the time of the user's pause.
    frozen: Option<HostReport>,
    arranged: Arrangement,
    /// `None` selects the first line at any time.
    selected: Option<LineKey>,
    /// The index of the selected line.
    place: usize,
    /// The row of the open details, as last reported, and true if the row is gone since.
    opened: Option<(TableRow, bool)>,
    /// The index of the window's top line, and the window's height in lines.
    window: (usize, usize),
}

impl ViewState {
    /// Returns the state before the first answer.
    pub fn new(source: String, interval: Duration) -> ViewState {
        ViewState {
            source,
            interval,
            lacks: Vec::new(),
            supply: Supply::Waiting,
            mode: Mode::Table,
            sort: (Column::Busy, true),
            filter: String::new(),
            group: GroupBy::default(),
            epoch: Duration::ZERO,
            folded: BTreeSet::new(),
            vethless: true,
            report: HostReport::default(),
            frozen: None,
            arranged: Arrangement::default(),
            selected: None,
            place: 0,
            opened: None,
            window: (0, 1),
        }
    }

    /// Books the result of a request at this time.
    pub fn apply(&mut self, update: Update, now: Duration) {
        match update {
            Update::Pairs(answer) => {
                self.report.take_answer(answer);
                self.supply = Supply::Fresh(now);
            }
            Update::Unchanged => {
                self.report.repeat_answer();
                self.supply = Supply::Fresh(now);
            }
            Update::Failure(reason) => {
                let last = self.last_answer();
                self.supply = Supply::Failed { last, reason: printable(&reason) };
            }
        }
        if self.frozen.is_none() {
            self.arrange();
        }
    }

    /// Returns the reservations that a user needs to judge the table.
    pub fn notices(&self) -> Vec<String> {
        let summed = match self.shown().summed {
            0 => None,
            1 => Some("1 more pair is not shown: there are more series than --limits.series".to_owned()),
            more => {
                Some(format!("{more} more pairs are not shown: there are more series than --limits.series"))
            }
        };
        // The problem of a source begins with the same words, and has the remedy apart.
        let is_problem = |lack: &str| {
            let problems = self.shown().problems.iter().filter(|problem| !problem.text.is_empty());
            problems.map(|problem| printable(&problem.text)).any(|text| lack.starts_with(&text))
        };
        self.lacks.iter().filter(|lack| !is_problem(lack)).cloned().chain(summed).collect()
    }

    /// Returns the time of the last answer.
    pub fn last_answer(&self) -> Option<Duration> {
        match self.supply {
            Supply::Waiting => None,
            Supply::Fresh(last) => Some(last),
            Supply::Failed { last, .. } => last,
        }
    }

    /// Returns the age of the numbers, if it exceeds the expected age.
    pub fn stale(&self, now: Duration) -> Option<Duration> {
        let age = now.saturating_sub(self.last_answer()?);
        let failed = matches!(self.supply, Supply::Failed { .. });
        (failed || age > 2 * self.interval + Duration::from_secs(1)).then_some(age)
    }

    /// Returns true while the user has paused the view.
    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Returns the report that the view shows: during a pause, that of its beginning.
    pub fn shown(&self) -> &HostReport {
        self.frozen.as_ref().unwrap_or(&self.report)
    }

    /// Returns the lines of the table.
    pub fn arranged(&self) -> &Arrangement {
        &self.arranged
    }

    /// Returns true if the workloads without a veth are listed.
    pub fn lists_vethless(&self) -> bool {
        self.vethless
    }

    /// Returns the number of rows, and the number of rows that match the filter.
    pub fn count(&self) -> (usize, usize) {
        (self.shown().rows.len(), self.arranged.fitting)
    }

    /// Returns the lines in a window of this height, and the index of the selected line among them.
    pub fn visible(&mut self, height: usize) -> (Vec<ListLine>, Option<usize>) {
        let place = self.place;
        let (top, _) = self.window;
        let highest = self.arranged.lines.len().saturating_sub(height);
        let top = top.min(place).max((place + 1).saturating_sub(height.max(1))).min(highest);
        self.window = (top, height.max(1));
        let lines: Vec<ListLine> = self.arranged.lines.iter().skip(top).take(height).copied().collect();
        let selected = (!lines.is_empty()).then_some(place - top);
        (lines, selected)
    }

    /// Returns the row of the open details, as last reported, and true if the row is gone since.
    pub fn opened(&self) -> Option<(&TableRow, bool)> {
        self.opened.as_ref().map(|(row, gone)| (row, *gone))
    }

    /// Returns the row of the line at this place.
    fn row_at(&self, place: usize) -> Option<&TableRow> {
        match self.arranged.lines.get(place) {
            Some(&ListLine::Row(row)) => self.shown().rows.get(row),
            _ => None,
        }
    }

    fn select(&mut self, place: usize) {
        self.place = place.min(self.arranged.lines.len().saturating_sub(1));
        let line = self.arranged.lines.get(self.place).copied();
        self.selected = line.map(|line| self.arranged.key(self.shown(), line));
        if matches!(self.mode, Mode::Detail(_)) {
            self.opened = self.row_at(self.place).map(|row| (row.clone(), false));
        }
    }

    /// Updates the open details from their row, or marks the row as gone.
    fn follow_opened(&mut self) {
        if let Some((row, _)) = &self.opened {
            let now = self.shown().rows.iter().find(|one| one.key == row.key).cloned();
            let gone = now.is_none();
            self.opened = Some((now.unwrap_or_else(|| row.clone()), gone));
        }
    }

    /// Filters, sorts and groups the lines anew.
    fn arrange(&mut self) {
        let wishes = ListWishes {
            words: self.filter.split_whitespace().map(str::to_lowercase).collect(),
            sort: self.sort,
            group: self.group,
            folded: self.folded.clone(),
            vethless: self.vethless,
        };
        self.arranged = Arrangement::new(self.shown(), &wishes);
        match &self.selected {
            None => self.place = 0,
            Some(key) => match self.arranged.place_of(self.shown(), key) {
                Some(place) => self.place = place,
                None if self.opened.is_some() => {
                    self.place = self.place.min(self.arranged.lines.len().saturating_sub(1));
                }
                // The line that now has the index is selected.
                None => self.select(self.place),
            },
        }
        self.follow_opened();
    }

    /// Executes a key's command.
    pub fn press(&mut self, key: KeyPress) -> UserCommand {
        match key {
            KeyPress::Ctrl('c') => return UserCommand::Quit,
            KeyPress::Ctrl('z') => return UserCommand::Suspend,
            KeyPress::Ctrl('l') => return UserCommand::Repaint,
            _ => {}
        }
        match self.mode {
            Mode::Filter => self.type_filter(key),
            Mode::Help(line) => self.scroll(key, line, Mode::Help),
            Mode::Problems(line) => self.scroll(key, line, Mode::Problems),
            Mode::Detail(line) => match key {
                KeyPress::PageDown => self.go_to(Mode::Detail(line.saturating_add(1))),
                KeyPress::PageUp => self.go_to(Mode::Detail(line.saturating_sub(1))),
                KeyPress::Escape | KeyPress::Enter | KeyPress::Char('q') => self.close(),
                _ => self.command(key),
            },
            Mode::Table => self.command(key),
        }
    }

    /// Scrolls a pane without keys of its own; any other key closes it.
    fn scroll(&mut self, key: KeyPress, line: u16, pane: fn(u16) -> Mode) -> UserCommand {
        self.go_to(match key {
            KeyPress::Down | KeyPress::PageDown | KeyPress::Char('j') => pane(line.saturating_add(1)),
            KeyPress::Up | KeyPress::PageUp | KeyPress::Char('k') => pane(line.saturating_sub(1)),
            _ => Mode::Table,
        })
    }

    /// Closes the details. If their row is gone, the row that now has its index is selected.
    fn close(&mut self) -> UserCommand {
        self.opened = None;
        self.mode = Mode::Table;
        self.arrange();
        UserCommand::Show
    }

    fn go_to(&mut self, mode: Mode) -> UserCommand {
        self.mode = mode;
        UserCommand::Show
    }

    fn command(&mut self, key: KeyPress) -> UserCommand {
        let (place, page) = (self.place, self.window.1);
        match key {
            KeyPress::Char('q') => return UserCommand::Quit,
            KeyPress::Char('?' | 'h') => self.leave_details_for(Mode::Help(0)),
            KeyPress::Char('!') => self.leave_details_for(Mode::Problems(0)),
            KeyPress::Char('/') => self.leave_details_for(Mode::Filter),
            KeyPress::Char(' ') => self.pause(),
            KeyPress::Char('o') => {
                self.group = self.group.next();
                self.folded.clear();
                self.arrange();
            }
            KeyPress::Char('v') => {
                self.vethless = !self.vethless;
                self.arrange();
            }
            KeyPress::Enter => self.enter(place),
            KeyPress::Left => self.fold(place, true),
            KeyPress::Right => self.fold(place, false),
            KeyPress::Escape => self.filter_by(String::new()),
            KeyPress::Up | KeyPress::Char('k') => self.select(place.saturating_sub(1)),
            KeyPress::Down | KeyPress::Char('j') => self.select(place + 1),
            KeyPress::PageUp => self.select(place.saturating_sub(page)),
            KeyPress::PageDown => self.select(place + page),
            KeyPress::Home | KeyPress::Char('g') => {
                self.select(0);
                if self.opened.is_none() {
                    self.selected = None;
                }
            }
            KeyPress::End | KeyPress::Char('G') => self.select(usize::MAX),
            KeyPress::Char('i') => self.sort_by(self.sort.0),
            KeyPress::Char('>') => self.next_column(1),
            KeyPress::Char('<') => self.next_column(Column::ALL.len() - 1),
            KeyPress::Char(c) => {
                if let Some(column) = Column::ALL.into_iter().find(|column| column.name().0 == c) {
                    self.sort_by(column);
                }
            }
            _ => {}
        }
        UserCommand::Show
    }

    fn leave_details_for(&mut self, mode: Mode) {
        self.close();
        self.mode = mode;
    }

    /// Opens the details of a row, folds or unfolds below a header, and goes from a workload without a veth
    /// to the row of the owner of its namespace.
    fn enter(&mut self, place: usize) {
        match self.arranged.lines.get(place) {
            Some(&ListLine::Group(group)) => self.fold(place, !self.arranged.groups[group].folded),
            Some(ListLine::Vethless) => self.fold(place, self.vethless),
            Some(&ListLine::Workload(index)) => {
                let owner = printable(&self.shown().workloads[index].0.owner);
                let lines = 0..self.arranged.lines.len();
                let mut owners =
                    lines.filter(|&line| self.row_at(line).is_some_and(|row| row.workload == owner));
                if let Some(line) = owners.next() {
                    self.select(line);
                }
            }
            Some(ListLine::Row(_)) | None => {
                self.mode = Mode::Detail(0);
                // Another row may soon be the first: the details stay with this one.
                self.select(place);
            }
        }
    }

    /// Folds or unfolds below the header at this place, if it is one.
    fn fold(&mut self, place: usize, folded: bool) {
        match self.arranged.lines.get(place) {
            Some(&ListLine::Group(group)) => {
                let name = self.arranged.groups[group].name.clone();
                match folded {
                    true => self.folded.insert(name),
                    false => self.folded.remove(&name),
                };
            }
            Some(ListLine::Vethless) => self.vethless = !folded,
            _ => return,
        }
        // The header stays selected, and not what will have its index.
        self.select(place);
        self.arrange();
    }

    /// Sorts by a column; the present column again reverses the direction.
    fn sort_by(&mut self, column: Column) {
        let (before, falling) = self.sort;
        self.sort = (column, if before == column { !falling } else { column.falls() });
        self.arrange();
    }

    fn next_column(&mut self, steps: usize) {
        let at = Column::ALL.iter().position(|&column| column == self.sort.0).unwrap_or_default();
        self.sort_by(Column::ALL[(at + steps) % Column::ALL.len()]);
    }

    fn pause(&mut self) {
        self.frozen = match self.frozen {
            None => Some(self.report.clone()),
            Some(_) => None,
        };
        self.arrange();
    }

    fn filter_by(&mut self, filter: String) {
        self.filter = filter;
        self.arrange();
    }

    fn type_filter(&mut self, key: KeyPress) -> UserCommand {
        let mut filter = self.filter.clone();
        match key {
            KeyPress::Enter => self.mode = Mode::Table,
            KeyPress::Escape => {
                self.mode = Mode::Table;
                filter.clear();
            }
            KeyPress::Backspace => {
                filter.pop();
            }
            KeyPress::Ctrl('u') => filter.clear(),
            KeyPress::Char(c) => filter.push(c),
            _ => return self.command(key),
        }
        self.filter_by(filter);
        UserCommand::Show
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
