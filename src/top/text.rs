//! Text for a terminal: cells of a fixed width, numbers a person can read.

use crate::model::units::bytes;
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

/// The blocks of a sparkline, and the lowest value of the first and of the last, in bytes per second: every
/// sparkline has the same scale, and each block stands for about seven times the one before.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SCALE: [f64; 2] = [1e3, 1e9];

/// Returns the block of a value: a blank for 0.
fn block(value: u64) -> char {
    if value == 0 {
        return ' ';
    }
    let [lowest, highest] = SCALE;
    let steps = (value as f64 / lowest).log10() / (highest / lowest).log10() * 7.0;
    // A power of ten is not exactly at its step.
    BLOCKS[((steps + 1e-9).floor().max(0.0) as usize).min(7)]
}

/// The scale of the sparklines in words, for the help and for the heading of a wide column.
pub(super) const SCALE_HINT: &str = "1kB/s▁ … █1GB/s";

/// Draws the values as blocks of eight heights by the common scale, the last at the right edge; each block is
/// the highest of a group, the size of which fits the width best.
pub(super) fn sparkline(values: impl ExactSizeIterator<Item = u64>, keep: usize, columns: usize) -> String {
    let group = keep.div_ceil(columns.max(1)).max(1);
    // The groups end with the newest value.
    let ahead = (group - values.len() % group) % group;
    let mut highest = vec![0; (ahead + values.len()) / group];
    for (place, value) in values.enumerate() {
        let of = &mut highest[(ahead + place) / group];
        *of = value.max(*of);
    }
    let shown = &highest[highest.len().saturating_sub(columns)..];
    fit_right(&shown.iter().map(|&value| block(value)).collect::<String>(), columns)
}

/// Returns a number as `format` writes it, or a dash for one that is not known.
pub(super) fn number(known: Option<u64>, format: impl Fn(u64) -> String) -> String {
    known.map_or_else(|| "-".to_owned(), format)
}

/// Returns a number of things per second, such as `0`, `12/s`, `1.23k/s`.
pub(super) fn per_second(number: u64) -> String {
    match number {
        0 => "0".to_owned(),
        number => bytes(number).replace(' ', "").replace('B', "/s"),
    }
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
        assert_eq!(line(&[1, 1_000, 1_000_000, 1_000_000_000], 4, 4), "▁▁▄█");
        assert_eq!(line(&[50_000; 4], 4, 4), "▂▂▂▂", "steady small traffic is small");
        assert_eq!(line(&[8_000_000, 0, 0], 4, 4), " ▅  ");
        assert_eq!(line(&[1, 8_000_000, 0, 0, 4], 8, 4), " ▁▅▁");
        assert_eq!(line(&[0, 0], 8, 0), "");
        assert_eq!(line(&[u64::MAX, 1], 2, 2), "█▁");
        let steps: String =
            (0..8).map(|step| block((1e3 * 1e6_f64.powf(step as f64 / 7.0)).ceil() as u64)).collect();
        assert_eq!(steps, BLOCKS.iter().collect::<String>());
    }

    #[test]
    fn a_number_per_second_is_short() {
        for (number, text) in [(0, "0"), (12, "12/s"), (1_234, "1.23k/s"), (u64::MAX, "18.4E/s")] {
            assert_eq!(per_second(number), text);
        }
    }
}
