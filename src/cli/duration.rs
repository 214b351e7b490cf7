//! Durations as flags take them.

use jiff::fmt::friendly::SpanParser;
use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// Forms that a message shows.
const EXAMPLES: &str = "write it like 500ms, 5m, 1h30m or 2d";

/// Parses a duration such as `500ms`, `1 min`, `1h30m` or `2d`: a day is 24 hours.
///
/// # Errors
/// If the text is no duration, is negative, or has months or years, which differ in length.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: Span =
        SpanParser::new().parse_span(text.trim()).map_err(|error| format!("{error}; {EXAMPLES}"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years differ in length; write days, like 365d".into());
    }
    if span.is_negative() {
        return Err(format!("a duration cannot be negative; {EXAMPLES}"));
    }
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    Ok(exact.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_form_is_accepted() {
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("1s", seconds(1)),
            ("0s", Duration::ZERO),
            ("60s", seconds(60)),
            ("90sec", seconds(90)),
            ("500ms", Duration::from_millis(500)),
            ("250 msec", Duration::from_millis(250)),
            ("100us", Duration::from_micros(100)),
            ("100µs", Duration::from_micros(100)),
            ("7ns", Duration::from_nanos(7)),
            ("1.5s", Duration::from_millis(1_500)),
            ("0.5h", seconds(1_800)),
            ("5m", seconds(300)),
            ("5min", seconds(300)),
            ("1 min", seconds(60)),
            ("2 minutes", seconds(120)),
            ("1h", seconds(3_600)),
            ("2 hours", seconds(7_200)),
            ("1h30m", seconds(5_400)),
            ("1h 30m", seconds(5_400)),
            ("1 hour 30 min", seconds(5_400)),
            ("1h30m5s250ms", seconds(5_405) + Duration::from_millis(250)),
            ("2d", seconds(172_800)),
            ("1 day", seconds(86_400)),
            ("1d12h", seconds(129_600)),
            ("1w", seconds(604_800)),
            ("2 weeks", seconds(1_209_600)),
            ("365d", seconds(31_536_000)),
            (" 5m ", seconds(300)),
            // What humantime took not: hours, minutes and seconds with colons, and commas between units.
            ("01:30:00", seconds(5_400)),
            ("1h, 30m", seconds(5_400)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_hint() {
        for (text, hint) in [
            ("", EXAMPLES),
            ("soon", EXAMPLES),
            ("5", EXAMPLES),
            ("0", EXAMPLES),
            ("5x", EXAMPLES),
            ("1e3s", EXAMPLES),
            ("s", EXAMPLES),
            ("5 m s", EXAMPLES),
            ("1.5d", EXAMPLES),
            ("30m1h", EXAMPLES),
            ("1s 1s", EXAMPLES),
            ("1M", EXAMPLES),
            ("PT5M", EXAMPLES),
            ("99999999999999999999s", EXAMPLES),
            ("-5m", "negative"),
            ("5m ago", "negative"),
            ("1month", "365d"),
            ("1y", "365d"),
            ("1 year", "365d"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(hint) && !error.contains('\n'), "{text:?}: {error}");
        }
    }
}
