//! The text of an exposition, written piece by piece from a view. Pure.

use super::families::Type;
use super::format::Format;
use super::pieces::PIECE;
use super::tables::{LabelTable, Values};
use crate::model::view::{Scene, View};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A family's name, help and type.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Type,
}

/// The families of an exposition, with the label blocks of one scene. The view of each call shows that scene.
pub(crate) trait Layout: Send + Sync {
    /// Returns the number of families.
    fn heads(&self) -> usize;

    /// Returns the head of a family, by its index.
    fn head(&self, family: usize) -> Head;

    /// Returns the label blocks of a family.
    fn table(&self, family: usize) -> &LabelTable;

    /// Reads the values of a section of a family's rows.
    fn values(&self, family: usize, rows: Range<usize>, view: &View, values: &mut Values);

    /// Returns the time at which the total in this row began, as the state machine's time; `None` where the
    /// family has no such totals.
    fn begun(&self, family: usize, row: usize, scene: &Scene) -> Option<Duration>;
}

/// The format of an exposition and its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub format: Format,
    /// True if the time at which each total began is written too; only OpenMetrics has it.
    pub created: bool,
}

/// An exposition of one scene in one style, without its numbers.
pub(crate) struct SceneText {
    layout: Arc<dyn Layout>,
    families: Vec<FamilyText>,
    /// The start of the view's clock, since 1970 began.
    epoch: Duration,
}

/// The texts that are the same in each row of a family, and the lines before its rows.
struct FamilyText {
    head: String,
    name: &'static str,
    /// The name in the second line of each row, with the time at which the total began.
    created: Option<String>,
}

/// The rows of one section as text.
#[derive(Default)]
pub(super) struct SectionText {
    pub bytes: Vec<u8>,
    /// The length of the family's head in front of the rows.
    pub head: usize,
    /// The row and the end of each line, in order.
    pub lines: Vec<(usize, usize)>,
}

/// The names that the lines of a row begin with, and the label blocks.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub table: &'a LabelTable,
    pub name: &'a str,
    pub created: Option<&'a str>,
}

/// The position of the next section.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    pub family: usize,
    row: usize,
    /// True if the family's head has been written.
    headed: bool,
}

/// A section that is due, with its values.
pub(super) struct Section<'a> {
    pub family: usize,
    pub rows: Range<usize>,
    pub columns: Columns<'a>,
    /// The family's head if no row of the family has been written yet, else empty.
    pub head: &'a str,
}

/// The progress of a reader of an exposition.
#[derive(Default)]
pub(crate) struct Cursor {
    position: Position,
    /// The bytes of the exporter's own families that have been written.
    own: usize,
    values: Values,
}

impl SceneText {
    /// Returns the exposition of these label blocks; the times of its views begin at `epoch`.
    pub(crate) fn new(layout: Arc<dyn Layout>, style: Style, epoch: Duration) -> SceneText {
        let Style { format, created } = style;
        let text = |family: usize| {
            let Head { name, help, kind } = layout.head(family);
            let has_created = created && format == Format::OpenMetrics && kind == Type::Counter;
            let created = has_created.then(|| format!("{}_created", format.family(name, kind)));
            FamilyText { head: format.head(name, help, kind), name, created }
        };
        let families = (0..layout.heads()).map(text).collect();
        SceneText { layout, families, epoch }
    }

    /// Returns the number of rows of all families.
    pub(crate) fn rows(&self) -> usize {
        (0..self.families.len()).map(|family| self.layout.table(family).len()).sum()
    }

    /// Returns the section at a position, or at the next one that has rows; `None` behind the last.
    pub(super) fn section(&self, position: &mut Position, scene: &Scene) -> Option<Section<'_>> {
        loop {
            let family = position.family;
            let FamilyText { head, name, created } = self.families.get(family)?;
            let table = self.layout.table(family);
            if position.row < table.len() {
                let rows = table.section(position.row);
                let has_times = || self.layout.begun(family, position.row, scene).is_some();
                let created = created.as_deref().filter(|_| has_times());
                let head = if position.headed { "" } else { head };
                return Some(Section { family, rows, columns: Columns { table, name, created }, head });
            }
            *position = Position { family: family + 1, ..Position::default() };
        }
    }

    /// Reads the values of a section and moves behind it.
    pub(super) fn read_values(
        &self,
        position: &mut Position,
        section: &Section<'_>,
        view: &View,
        values: &mut Values,
    ) {
        self.layout.values(section.family, section.rows.clone(), view, values);
        position.row = section.rows.end;
        position.headed |= !values.are_absent();
    }

    /// Writes the lines of a section.
    pub(super) fn write_section(
        &self,
        section: &Section<'_>,
        values: &Values,
        scene: &Scene,
        out: &mut Vec<u8>,
        mut line: impl FnMut(usize, usize),
    ) {
        if values.are_absent() {
            return;
        }
        out.extend_from_slice(section.head.as_bytes());
        let Columns { table, name, created } = section.columns;
        let mut digits = itoa::Buffer::new();
        for (index, &value) in values.numbers.iter().enumerate() {
            if values.absent != 0 && values.is_absent(index) {
                continue;
            }
            let row = section.rows.start + index;
            let block = table.block(row).as_bytes();
            write_line(out, [name.as_bytes(), block, digits.format(value).as_bytes()]);
            line(row, out.len());
            let Some(created) = created else { continue };
            let begun = self.epoch + self.layout.begun(section.family, row, scene).unwrap_or_default();
            write_line(out, [created.as_bytes(), block, digits.format(begun.as_secs()).as_bytes()]);
            let milliseconds = digits.format(1_000 + begun.subsec_millis());
            // The line's end makes room for the part of a second: a point in place of the 1.
            out.pop();
            out.push(b'.');
            out.extend_from_slice(&milliseconds.as_bytes()[1..]);
            out.push(b'\n');
            line(row, out.len());
        }
    }

    /// Writes further sections, and behind them the exporter's `own` families and the format's end, until
    /// the piece is full. Returns false when all is written.
    pub(crate) fn write_piece(
        &self,
        cursor: &mut Cursor,
        view: Option<&View>,
        own: &str,
        piece: &mut Vec<u8>,
    ) -> bool {
        let Cursor { position, own: written, values } = cursor;
        if let Some(view) = view {
            while let Some(section) = self.section(position, &view.scene) {
                if !piece.is_empty() && piece.len() + section.bound() > PIECE {
                    return true;
                }
                self.read_values(position, &section, view, values);
                self.write_section(&section, values, &view.scene, piece, |_, _| {});
            }
        }
        let rest = &own.as_bytes()[*written..];
        let (now, later) = rest.split_at(rest.len().min(PIECE.saturating_sub(piece.len())));
        piece.extend_from_slice(now);
        *written += now.len();
        !later.is_empty()
    }
}

#[inline]
fn write_line(out: &mut Vec<u8>, parts: [&[u8]; 3]) {
    out.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + 1);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(b'\n');
}

impl Section<'_> {
    /// Returns an upper bound on the bytes of the section's text.
    fn bound(&self) -> usize {
        /// The digits of a number, a part of a second and the line's end.
        const NUMBER: usize = 20 + 4 + 1;
        let Columns { table, name, created } = self.columns;
        let names = [Some(name), created].into_iter().flatten();
        let line = |name: &str| table.bytes(&self.rows) + self.rows.len() * (name.len() + NUMBER);
        self.head.len() + names.map(line).sum::<usize>()
    }
}
