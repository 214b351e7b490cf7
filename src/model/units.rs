//! Numbers that a person can read: three digits and a decimal prefix.

const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// Formats a size as `612 B`, `51.2 kB`.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut steps) = (count as f64, 0);
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
    format!("{value:.digits$} {}B", PREFIXES[steps])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_three_digits_and_its_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_234_567, "1.23 MB"),
            (9_999, "10.0 kB"),
            (99_960, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
