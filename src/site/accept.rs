//! Negotiation of the metrics' format by the header `Accept` (RFC 9110, 12.5.1).

use crate::exposition::format::Format;
use crate::server::encoding::{Quality, quality};

/// A media range of the header, such as `text/plain;version=0.0.4;q=0.5`.
struct MediaRange<'a> {
    main: &'a str,
    sub: &'a str,
    /// All parameters but `q`.
    parameters: Vec<(&'a str, &'a str)>,
    quality: Quality,
}

/// The precision with which a range describes a format; the most precise range counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    MainType,
    Type,
    /// The type and this number of its parameters.
    Parameters(usize),
}

/// Returns the format that the client prefers. Between formats of equal preference the more precisely
/// described one wins, then OpenMetrics if the client names it at all, else the text format. A client that
/// accepts neither, or sends no header, gets the text format. `lines` are the values of the `Accept` headers.
pub fn negotiate<'a>(lines: impl IntoIterator<Item = &'a str>) -> Format {
    let members = lines.into_iter().flat_map(|line| unquoted_split(line, ','));
    let ranges: Vec<MediaRange<'_>> = members.filter_map(media_range).collect();
    let preference = |format| -> (Quality, Option<Closeness>) {
        let matching = ranges.iter().filter_map(|range| Some((range.describes(format)?, range.quality)));
        matching.max().map_or((0, None), |(closeness, quality)| (quality, Some(closeness)))
    };
    let (text, open_metrics) = (preference(Format::Text), preference(Format::OpenMetrics));
    let named = open_metrics.1 >= Some(Closeness::Type);
    if open_metrics.0 > 0 && (open_metrics > text || (named && open_metrics == text)) {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

impl MediaRange<'_> {
    /// Returns the precision of the description; `None` if the range does not include the format. Parameters
    /// that neither format has are ignored.
    fn describes(&self, format: Format) -> Option<Closeness> {
        let (main, sub, version) = match format {
            Format::Text => ("text", "plain", "0.0.4"),
            Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
        };
        if (self.main, self.sub) == ("*", "*") {
            return Some(Closeness::Anything);
        }
        if !self.main.eq_ignore_ascii_case(main) {
            return None;
        }
        if self.sub == "*" {
            return Some(Closeness::MainType);
        }
        if !self.sub.eq_ignore_ascii_case(sub) {
            return None;
        }
        let mut fitting = 0;
        for (name, value) in &self.parameters {
            let wanted = match name.to_ascii_lowercase().as_str() {
                "version" => version,
                "charset" => "utf-8",
                _ => continue,
            };
            if !value.eq_ignore_ascii_case(wanted) {
                return None;
            }
            fitting += 1;
        }
        Some(if fitting == 0 { Closeness::Type } else { Closeness::Parameters(fitting) })
    }
}

/// Parses a media range; an invalid one is ignored.
fn media_range(member: &str) -> Option<MediaRange<'_>> {
    let mut parts = unquoted_split(member, ';').into_iter();
    let (main, sub) = parts.next()?.trim().split_once('/')?;
    let mut range = MediaRange { main, sub, parameters: Vec::new(), quality: 1000 };
    for part in parts.filter(|part| !part.trim().is_empty()) {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("q") {
            range.quality = quality(value)?;
        } else {
            let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            range.parameters.push((name, inner.unwrap_or(value)));
        }
    }
    Some(range)
}

/// Splits the text at each separator that is not inside a quoted string.
fn unquoted_split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |c: char| {
        let inside = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !inside && c == separator
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn negotiated(lines: &[&str]) -> Format {
        negotiate(lines.iter().copied())
    }

    #[test]
    fn a_client_gets_the_format_that_it_likes_best() {
        use Format::{OpenMetrics, Text};
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (lines, wanted) in [
            (&[][..], Text),
            (&[""], Text),
            (&[prometheus_2_42], OpenMetrics),
            (&[prometheus_3], OpenMetrics),
            (&[firefox], Text),
            (&["*/*"], Text),
            (&["text/*"], Text),
            (&["application/*"], OpenMetrics),
            (&["application/json"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text; Version=1.0.0; Charset=UTF-8"], OpenMetrics),
            (&["application/openmetrics-text;version=\"1.0.0\""], OpenMetrics),
            (&["application/openmetrics-text;version=0.0.1"], Text),
            (&["application/openmetrics-text;version=2.0.0, */*;q=0.1"], Text),
            (&["application/openmetrics-text;charset=latin1, */*;q=0.1"], Text),
            (&["application/openmetrics-text;q=0"], Text),
            (&["application/openmetrics-text;q=0, */*"], Text),
            (&["application/openmetrics-text;q=0.5, text/plain;q=0.4"], OpenMetrics),
            (&["application/openmetrics-text;q=0.4, text/plain;q=0.5"], Text),
            (&["application/openmetrics-text;q=0.4", "text/plain;q=0.5"], Text),
            (&["text/plain;q=0.5, application/openmetrics-text;q=0.5"], OpenMetrics),
            (&["text/plain;version=0.0.4, application/openmetrics-text"], Text),
            (&["*/*, application/openmetrics-text"], OpenMetrics),
            (&["text/plain;q=0, */*"], OpenMetrics),
            (&["text/plain;q=0, application/openmetrics-text;q=0"], Text),
            // What is not understood counts for nothing.
            (&["application/openmetrics-text;q=2"], Text),
            (&["application/openmetrics-text;q=0.1234"], Text),
            (&["application/openmetrics-text;q"], Text),
            (&["application"], Text),
            (&[",;=/,;q=1, application/openmetrics-text"], OpenMetrics),
            (&["x/y;a=\",application/openmetrics-text,\""], Text),
            (&["x/y;a=\"\\\",application/openmetrics-text"], Text),
        ] {
            assert_eq!(negotiated(lines), wanted, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_answered(line in "[ -~]{0,60}") {
            let both = format!("{line},text/plain");
            negotiated(&[&line]);
            negotiated(&[&both]);
        }
    }
}
