//! Text for a terminal: cells of a fixed width, numbers a person can read.

use unicode_width::UnicodeWidthChar;

/// Returns the number of columns that a printable text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or_default()).sum()
}

/// Returns the text in exactly this number of columns: padded, or cut with `…` at its end.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let wide = width(text);
    if wide <= columns {
        return format!("{text}{:pad$}", "", pad = columns - wide);
    }
    let mut out = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let wide = c.width().unwrap_or_default();
        if wide > left {
            break;
        }
        out.push(c);
        left -= wide;
    }
    if columns > 0 {
        out.push('…');
    }
    out.extend(std::iter::repeat_n(' ', left));
    out
}

/// Returns the text in exactly this number of columns, at the right edge.
pub(super) fn fit_right(text: &str, columns: usize) -> String {
    match width(text) {
        wide if wide <= columns => format!("{:pad$}{text}", "", pad = columns - wide),
        _ => fit(text, columns),
    }
}

/// Draws the values as blocks of eight heights, the last at the right edge; each block is the highest of a
/// group, the size of which fits the width best.
pub(super) fn sparkline(values: impl ExactSizeIterator<Item = u64>, keep: usize, columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let group = keep.div_ceil(columns.max(1)).max(1);
    // The groups end with the newest value.
    let ahead = (group - values.len() % group) % group;
    let mut highest = vec![0; (ahead + values.len()) / group];
    for (place, value) in values.enumerate() {
        let of = &mut highest[(ahead + place) / group];
        *of = value.max(*of);
    }
    let shown = &highest[highest.len().saturating_sub(columns)..];
    let top = shown.iter().copied().max().unwrap_or_default();
    let block = |&value: &u64| match value {
        0 => ' ',
        value => BLOCKS[((value as f64 / top as f64 * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    fit_right(&shown.iter().map(block).collect::<String>(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_as_wide_as_it_is_said_to_be_whatever_is_in_it() {
        for text in [
            "",
            "web",
            "日本語の名前",
            "a日b本c",
            "e\u{301}e\u{301}e\u{301}",
            "🦀🦀🦀",
            "a long name of a container",
        ] {
            for columns in 0..30 {
                for cell in [fit(text, columns), fit_right(text, columns)] {
                    assert_eq!(width(&cell), columns, "{cell:?}");
                }
            }
        }
        assert_eq!(fit("container", 5), "cont…");
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit_right("7", 3), "  7");
    }

    #[test]
    fn a_sparkline_ends_with_the_newest_and_shows_the_highest_of_each_group() {
        let line = |values: &[u64], keep, columns| sparkline(values.iter().copied(), keep, columns);
        assert_eq!(line(&[], 8, 4), "    ");
        assert_eq!(line(&[1, 2, 4, 8], 4, 4), "▁▂▄█");
        assert_eq!(line(&[8, 0, 0], 4, 4), " █  ");
        assert_eq!(line(&[1, 8, 0, 0, 4], 8, 4), " ▁█▄");
        assert_eq!(line(&[0, 0], 8, 0), "");
        assert_eq!(line(&[u64::MAX, 1], 2, 2), "█▁");
    }
}
