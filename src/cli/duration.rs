//! Durations as values of flags.

use jiff::fmt::friendly::SpanParser;
use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// The remedy for a text that jiff refuses; jiff's own messages name units that are refused here.
const FORM: &str = "cannot be read as a duration; write units from the largest to the smallest, like 500ms, 5m, \
                    1h30m, 2d or 1w, days and weeks in whole numbers";

/// Parses a duration such as `500ms`, `1 min`, `1h30m` or `2d`: a day is 24 hours.
///
/// # Errors
/// Fails if the text is no duration, is negative, or has months or years, which differ in length.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: Span = SpanParser::new().parse_span(text.trim()).map_err(|_| FORM)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years differ in length; write days, like 365d".into());
    }
    if span.is_negative() {
        return Err("a duration cannot be negative; leave the sign out, like 5m".into());
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
            // Hours, minutes and seconds with colons, and commas between units.
            ("01:30:00", seconds(5_400)),
            ("1h, 30m", seconds(5_400)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_hint() {
        for (text, hint) in [
            ("", FORM),
            ("soon", FORM),
            ("5", FORM),
            ("0", FORM),
            ("5x", FORM),
            ("1e3s", FORM),
            ("s", FORM),
            ("5 m s", FORM),
            ("1.5d", FORM),
            ("30m1h", FORM),
            ("1s 1s", FORM),
            ("1M", FORM),
            ("PT5M", FORM),
            ("99999999999999999999s", FORM),
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
