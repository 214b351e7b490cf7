//! The state of the view, and its changes by keys and answers. The clock is an argument.

use super::table::{self, Column, RowKey, TableRow};
use crate::exposition::json::PairsAnswer;
use crate::model::text::printable;
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
    rows: Vec<TableRow>,
    /// The number of pairs without a row, beyond the limit of series.
    summed: u64,
    /// The rows at the time of the user's pause.
    frozen: Option<Vec<TableRow>>,
    /// The indices of the rows that match the filter, in order.
    order: Vec<usize>,
    /// `None` selects the first row at any time.
    selected: Option<RowKey>,
    /// The index of the selected row in `order`.
    place: usize,
    /// The row of the open details, as last reported, and true if the row is gone since.
    opened: Option<(TableRow, bool)>,
    /// The index in `order` of the window's top row, and the window's height in rows.
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
            rows: Vec::new(),
            summed: 0,
            frozen: None,
            order: Vec::new(),
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
                self.summed = answer.summed;
                self.rows = table::rows(answer, std::mem::take(&mut self.rows));
                self.supply = Supply::Fresh(now);
            }
            Update::Unchanged => {
                table::unchanged(&mut self.rows);
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
        let summed = match self.summed {
            0 => None,
            1 => Some("1 more pair is not shown: there are more series than --limits.series".to_owned()),
            more => {
                Some(format!("{more} more pairs are not shown: there are more series than --limits.series"))
            }
        };
        self.lacks.iter().cloned().chain(summed).collect()
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

    fn table(&self) -> &[TableRow] {
        self.frozen.as_deref().unwrap_or(&self.rows)
    }

    /// Returns the number of rows, and the number of rows that match the filter.
    pub fn count(&self) -> (usize, usize) {
        (self.table().len(), self.order.len())
    }

    /// Returns the rows in a window of this height, and the index of the selected row among them.
    pub fn visible(&mut self, height: usize) -> (Vec<&TableRow>, Option<usize>) {
        let place = self.place;
        let (top, _) = self.window;
        let highest = self.order.len().saturating_sub(height);
        let top = top.min(place).max((place + 1).saturating_sub(height.max(1))).min(highest);
        self.window = (top, height.max(1));
        let rows =
            self.order.iter().skip(top).take(height).map(|&row| &self.table()[row]).collect::<Vec<_>>();
        let selected = (!rows.is_empty()).then_some(place - top);
        (rows, selected)
    }

    /// Returns the row of the open details, as last reported, and true if the row is gone since.
    pub fn opened(&self) -> Option<(&TableRow, bool)> {
        self.opened.as_ref().map(|(row, gone)| (row, *gone))
    }

    fn select(&mut self, place: usize) {
        self.place = place.min(self.order.len().saturating_sub(1));
        let row = self.order.get(self.place).map(|&row| &self.table()[row]);
        let (selected, opened) = (row.map(|row| row.key.clone()), row.map(|row| (row.clone(), false)));
        self.selected = selected;
        if matches!(self.mode, Mode::Detail(_)) {
            self.opened = opened;
        }
    }

    /// Updates the open details from their row, or marks the row as gone.
    fn follow_opened(&mut self) {
        if let Some((row, _)) = &self.opened {
            let now = self.table().iter().find(|one| one.key == row.key).cloned();
            let gone = now.is_none();
            self.opened = Some((now.unwrap_or_else(|| row.clone()), gone));
        }
    }

    /// Filters and sorts the rows anew.
    fn arrange(&mut self) {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let (column, falling) = self.sort;
        let rows = self.table();
        let mut order: Vec<usize> = (0..rows.len()).filter(|&row| rows[row].matches(&words)).collect();
        order.sort_by(|&a, &b| rows[a].compare(&rows[b], column, falling));
        self.order = order;
        match &self.selected {
            None => self.place = 0,
            Some(key) => match self.order.iter().position(|&row| self.table()[row].key == *key) {
                Some(place) => self.place = place,
                None if self.opened.is_some() => {
                    self.place = self.place.min(self.order.len().saturating_sub(1));
                }
                // The row that now has the index is selected.
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
            Mode::Help(line) => {
                self.mode = match key {
                    KeyPress::Down | KeyPress::PageDown | KeyPress::Char('j') => {
                        Mode::Help(line.saturating_add(1))
                    }
                    KeyPress::Up | KeyPress::PageUp | KeyPress::Char('k') => {
                        Mode::Help(line.saturating_sub(1))
                    }
                    _ => Mode::Table,
                };
                UserCommand::Show
            }
            Mode::Detail(line) => match key {
                KeyPress::PageDown => self.go_to(Mode::Detail(line.saturating_add(1))),
                KeyPress::PageUp => self.go_to(Mode::Detail(line.saturating_sub(1))),
                KeyPress::Escape | KeyPress::Enter | KeyPress::Char('q') => self.close(),
                _ => self.command(key),
            },
            Mode::Table => self.command(key),
        }
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
            KeyPress::Char('?' | 'h') => {
                self.close();
                self.mode = Mode::Help(0);
            }
            KeyPress::Char('/') => {
                self.close();
                self.mode = Mode::Filter;
            }
            KeyPress::Char(' ') => self.pause(),
            KeyPress::Enter => {
                self.mode = Mode::Detail(0);
                // Another row may soon be the first: the details stay with this one.
                self.select(place);
            }
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
            None => Some(self.rows.clone()),
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
