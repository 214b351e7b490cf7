//! Columns of a table: as wide as their contents, and no wider together than the terminal.

use unicode_width::UnicodeWidthChar;

/// The number of columns between two cells.
pub(super) const GAP: usize = 2;

/// The width below which a column of texts is not cut.
const NARROWEST: usize = 8;

/// Returns the number of columns that a printable text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or_default()).sum()
}

/// Returns the text cut to this number of columns at most, with an ellipsis in its middle.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(left) = columns.checked_sub(1) else { return String::new() };
    let chars: Vec<(char, usize)> = text.chars().map(|c| (c, c.width().unwrap_or_default())).collect();
    let (ahead, behind) = (left.div_ceil(2), left / 2);
    let fitting = |chars: &mut dyn Iterator<Item = &(char, usize)>, room: usize| {
        let mut used = 0;
        chars
            .take_while(|(_, wide)| {
                used += wide;
                used <= room
            })
            .count()
    };
    let first = fitting(&mut chars.iter(), ahead);
    let last = fitting(&mut chars.iter().rev(), behind);
    let begin = chars[..first].iter().map(|(c, _)| *c);
    let end = chars[chars.len() - last..].iter().map(|(c, _)| *c);
    begin.chain(['…']).chain(end).collect()
}

/// Returns the widths of the columns, which have these widths by their contents: in a terminal of `columns`
/// the widest that may be cut is narrowed first.
pub(super) fn fit(mut widths: Vec<usize>, may_be_cut: &[bool], columns: Option<usize>) -> Vec<usize> {
    let Some(columns) = columns else { return widths };
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        let cuttable = widths.iter().enumerate().filter(|(at, width)| may_be_cut[*at] && **width > NARROWEST);
        let Some((widest, _)) = cuttable.max_by_key(|(_, width)| **width) else { break };
        widths[widest] -= 1;
    }
    widths
}

/// Returns the cells as a line, cut and padded to these widths; numbers stand at the right edge.
pub(super) fn line(cells: &[&str], widths: &[usize], is_number: &[bool]) -> String {
    let mut line = String::new();
    for (at, (cell, &columns)) in cells.iter().zip(widths).enumerate() {
        let cell = cut(cell, columns);
        let pad = " ".repeat(columns - width(&cell));
        let gap = if at == 0 { "" } else { "  " };
        line.push_str(gap);
        match is_number[at] {
            true => line.extend([pad, cell]),
            false => line.extend([cell, pad]),
        }
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_in_its_middle_to_the_columns_that_there_are() {
        for (text, columns, wanted) in [
            ("veth2c38542", 11, "veth2c38542"),
            ("veth2c38542", 7, "vet…542"),
            ("veth2c38542", 6, "vet…42"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("日本語の名前", 6, "日…前"),
        ] {
            assert_eq!(cut(text, columns), wanted, "{text} {columns}");
        }
        for columns in 0..40 {
            for text in ["日本語の名前です", "e\u{301}e\u{301}e\u{301}", &"x".repeat(203)] {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
            }
        }
    }

    #[test]
    fn the_widest_column_of_texts_is_narrowed_first_and_numbers_never() {
        let cuttable = [true, true, false];
        assert_eq!(fit(vec![30, 12, 9], &cuttable, Some(40)), [15, 12, 9]);
        assert_eq!(fit(vec![30, 12, 9], &cuttable, Some(30)), [9, 8, 9]);
        assert_eq!(fit(vec![30, 12, 90], &cuttable, Some(20)), [8, 8, 90], "what cannot be cut stays");
        assert_eq!(fit(vec![300, 12, 9], &cuttable, None), [300, 12, 9]);
    }
}
