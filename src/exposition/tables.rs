//! The label blocks of a scene, formatted once and in the order in which their rows are written. Pure.

use super::deflate::Differences;
use super::labels::LabelBlock;
use std::ops::Range;
use std::sync::OnceLock;

/// The highest number of rows in a section; [`Values::absent`] has a bit for each.
const ROWS: usize = 128;

/// The bytes of label blocks in a section, if it has more than one row.
const SECTION: usize = 24 << 10;

/// The label blocks of some families, in one text. A block begins at the end of the previous one; a space
/// follows it.
#[derive(Default)]
pub(crate) struct LabelTable {
    text: String,
    ends: Vec<usize>,
    differences: OnceLock<Differences>,
}

/// A table, with the location of each row's values.
pub(super) struct Rows<K> {
    pub table: LabelTable,
    pub keys: Vec<K>,
}

/// The values of the rows of one section of a family.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Values {
    /// The value of each row; 0 if it is absent.
    pub numbers: Vec<u64>,
    /// Bit `n` is set if row `n` of the section has no value and is left out.
    pub absent: u128,
}

impl Values {
    /// Replaces the values by these, at most [`ROWS`].
    pub(super) fn fill(&mut self, values: impl Iterator<Item = u64>) {
        self.numbers.clear();
        self.absent = 0;
        self.numbers.extend(values);
    }

    /// Replaces the values by these, at most [`ROWS`], of which some may be absent.
    pub(super) fn fill_some(&mut self, values: impl Iterator<Item = Option<u64>>) {
        self.numbers.clear();
        self.absent = 0;
        for value in values {
            self.absent |= u128::from(value.is_none()) << self.numbers.len();
            self.numbers.push(value.unwrap_or(0));
        }
    }

    /// Returns true if no row has a value.
    pub(super) fn are_absent(&self) -> bool {
        self.absent.count_ones() as usize == self.numbers.len()
    }

    pub(super) fn is_absent(&self, row: usize) -> bool {
        self.absent >> row & 1 == 1
    }
}

impl LabelTable {
    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the label block of a row, with the space behind it.
    pub(super) fn block(&self, row: usize) -> &str {
        &self.text[self.begin(row)..self.ends[row]]
    }

    /// Returns the bytes of the label blocks of these rows.
    pub(super) fn bytes(&self, rows: &Range<usize>) -> usize {
        self.begin(rows.end) - self.begin(rows.start)
    }

    fn begin(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Returns the section that begins at this row: rows that are written at once.
    pub(super) fn section(&self, row: usize) -> Range<usize> {
        let most = self.len().min(row + ROWS);
        let limit = self.begin(row) + SECTION;
        let fitting = self.ends[row..most].partition_point(|&end| end <= limit);
        row..(row + fitting.max(1)).min(most)
    }

    /// Returns how each block differs from the previous one; found out at the first call.
    pub(super) fn differences(&self) -> &Differences {
        self.differences.get_or_init(|| Differences::of((0..self.len()).map(|row| self.block(row))))
    }
}

impl<K> Default for Rows<K> {
    fn default() -> Rows<K> {
        Rows { table: LabelTable::default(), keys: Vec::new() }
    }
}

impl<K: Copy> Rows<K> {
    /// Adds a row with the labels that `write` writes.
    pub(super) fn add(&mut self, key: K, write: impl FnOnce(&mut LabelBlock<'_>)) {
        let LabelTable { text, ends, .. } = &mut self.table;
        let mut block = LabelBlock::begin(text);
        write(&mut block);
        block.finish();
        text.push(' ');
        ends.push(text.len());
        self.keys.push(key);
    }

    /// Returns the same rows sorted, in as little memory as possible: a scrape reads that memory from begin
    /// to end.
    pub(super) fn sorted(&self) -> Rows<K> {
        let mut order: Vec<usize> = (0..self.table.len()).collect();
        order.sort_by_key(|&row| self.table.block(row));
        // Two processes of one name are one line of information.
        order.dedup_by_key(|row| self.table.block(*row));
        let length = order.iter().map(|&row| self.table.block(row).len()).sum();
        let (mut text, mut ends) = (String::with_capacity(length), Vec::with_capacity(order.len()));
        for &row in &order {
            text.push_str(self.table.block(row));
            ends.push(text.len());
        }
        let keys = order.iter().map(|&row| self.keys[row]).collect();
        Rows { table: LabelTable { text, ends, differences: OnceLock::new() }, keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(blocks: &[usize]) -> LabelTable {
        let mut rows = Rows::default();
        for length in blocks {
            rows.add((), |block| block.label("a", "x".repeat(*length)));
        }
        rows.table
    }

    fn sections(table: &LabelTable) -> Vec<Range<usize>> {
        let next = |last: &Range<usize>| (last.end < table.len()).then(|| table.section(last.end));
        std::iter::successors((table.len() > 0).then(|| table.section(0)), next).collect()
    }

    #[test]
    fn a_section_has_so_many_rows_and_bytes_or_one_row() {
        assert!(sections(&table(&[])).is_empty());
        assert_eq!(sections(&table(&[10; 300])), [0..128, 128..256, 256..300]);
        assert_eq!(sections(&table(&[10_000; 5])), [0..2, 2..4, 4..5]);
        assert_eq!(sections(&table(&[10, 100_000, 10, 10])), [0..1, 1..2, 2..4]);
    }

    #[test]
    fn an_absent_value_is_not_a_zero() {
        let mut values = Values::default();
        values.fill_some([Some(0), None, Some(u64::MAX)].into_iter());
        assert_eq!([0, 1, 2].map(|row| values.is_absent(row)), [false, true, false]);
        assert!(!values.are_absent());
        values.fill_some([None; 128].into_iter());
        assert!(values.are_absent());
        values.fill([0; 128].into_iter());
        assert!(!values.are_absent() && !values.is_absent(127));
    }
}
