//! Numbers as people read them: sizes, rates and spans of time.

use std::time::Duration;

const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// Formats a rate as `612 B/s`, `51.2 kB/s`: three digits and a decimal prefix.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}B/s", scaled(bytes_per_second))
}

/// Formats a size as `612 B`, `51.2 kB`.
pub(crate) fn bytes(count: u64) -> String {
    format!("{}B", scaled(count))
}

/// Formats the number, a space and the prefix.
fn scaled(number: u64) -> String {
    let (mut value, mut steps) = (number as f64, 0);
    // 999.5 would be shown as 1000.
    while value >= 999.5 && steps + 1 < PREFIXES.len() {
        value /= 1000.0;
        steps += 1;
    }
    let digits = match (steps, value) {
        (0, _) => 0,
        (_, value) if value < 9.995 => 2,
        (_, value) if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", PREFIXES[steps])
}

/// Formats a span as `0.3 s`, `48 s`, `22 min`, `5 h`, `3 d`: one number, rounded down.
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_prefix() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (9_994, "9.99 kB"),
            (9_996, "10.0 kB"),
            (99_960, "100 kB"),
            (999_499, "999 kB"),
            (999_501, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text);
            assert_eq!(rate(number), format!("{text}/s"));
        }
    }

    #[test]
    fn a_span_is_one_number() {
        for (millis, text) in [
            (0, "0.0 s"),
            (340, "0.3 s"),
            (9_999, "9.9 s"),
            (10_000, "10 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (1_320_000, "22 min"),
            (7_199_000, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
