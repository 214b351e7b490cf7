//! Lines of the log, with the keys of exporter-toolkit: `ts`, `level`, `msg` and the fields of the message.

mod throttle;

use crate::cli::LogFormat;
use crate::model::text::{json_string, misleads, printable};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::{self, Debug, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use throttle::Throttle;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A log layer that writes each event as one line, regardless of its content. Of a place in the program that
/// writes very many lines, some are left out; at debug level none are.
pub(super) struct Lines {
    format: LineFormat,
    throttle: Mutex<Throttle<Identifier>>,
    /// The plain lines that have been written: each is written once.
    written: Mutex<BTreeSet<String>>,
}

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    Logfmt,
    Json,
    /// Words for a user who has started a command: `veth-exporter: warning: docker: no engine at ...`.
    Plain,
}

impl From<LogFormat> for LineFormat {
    fn from(format: LogFormat) -> LineFormat {
        match format {
            LogFormat::Logfmt => LineFormat::Logfmt,
            LogFormat::Json => LineFormat::Json,
        }
    }
}

impl Lines {
    pub(super) fn new(format: LineFormat) -> Lines {
        Lines { format, throttle: Mutex::default(), written: Mutex::default() }
    }

    /// Returns true for the first line of this text.
    fn is_new(&self, line: &str) -> bool {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned())
    }

    /// Returns how many lines of the same place were left out since its last one; `None` if this one is left
    /// out too.
    fn admit(&self, event: &Event<'_>) -> Option<u64> {
        if *event.metadata().level() > Level::INFO {
            return Some(0);
        }
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.admit(event.metadata().callsite(), Instant::now())
    }
}

/// The message and its fields, in their order in the source.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(suppressed) = self.admit(event) else { return Ok(()) };
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.format == LineFormat::Plain {
            let line = plain(event.metadata().level(), &fields);
            return if self.is_new(&line) { writeln!(out, "{line}") } else { Ok(()) };
        }
        if suppressed > 0 {
            fields.others.push(("suppressed", suppressed.into()));
        }
        let ts = format!("{:.3}", Timestamp::now());
        let head =
            [("ts", ts), ("level", level(event.metadata().level()).to_owned()), ("msg", fields.message)];
        let head = head.into_iter().map(|(key, text)| (key, Value::String(text)));
        let line = head.chain(fields.others);
        match self.format {
            LineFormat::Json => writeln!(out, "{}", json(line)),
            LineFormat::Logfmt | LineFormat::Plain => writeln!(out, "{}", logfmt(line)),
        }
    }
}

fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, value.into());
    }
}

impl Fields {
    fn record(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

/// Returns a line without a time: a source and what it lacks, or the message and its fields.
fn plain(severity: &Level, fields: &Fields) -> String {
    let severity = match *severity {
        Level::WARN => "warning",
        _ => level(severity),
    };
    let field = |wanted: &str| {
        let (_, value) = fields.others.iter().find(|(name, _)| *name == wanted)?;
        value.as_str()
    };
    let text = match (field("collector"), field("reason")) {
        (Some(source), Some(reason)) => format!("{source}: {reason}"),
        _ => {
            let others = fields.others.iter().map(|(name, value)| (*name, value.clone()));
            [printable(&fields.message), logfmt(others)].join(" ").trim_end().to_owned()
        }
    };
    format!("veth-exporter: {severity}: {}", printable(&text))
}

fn logfmt(line: impl Iterator<Item = (&'static str, Value)>) -> String {
    let mut text = String::new();
    for (key, value) in line {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let plain = |c: char| !c.is_whitespace() && !misleads(c) && !matches!(c, '"' | '=' | '\\');
        let space = if text.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = if !value.is_empty() && value.chars().all(plain) {
            write!(text, "{space}{key}={value}")
        } else {
            // Readers of logfmt undo the same escapes that JSON makes.
            write!(text, "{space}{key}={}", json_string(&value))
        };
    }
    text
}

/// Returns a JSON object with the keys in their order, which a `serde_json::Map` would lose.
fn json(line: impl Iterator<Item = (&'static str, Value)>) -> String {
    let written = |value: Value| value.as_str().map_or_else(|| value.to_string(), json_string);
    let members: Vec<String> =
        line.map(|(key, value)| format!("{}:{}", json_string(key), written(value))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> impl Iterator<Item = (&'static str, Value)> {
        let pairs: [(&str, Value); 7] = [
            ("level", "info".into()),
            ("msg", "it works".into()),
            ("address", "[::]:10736".into()),
            ("name", "a\"b\nlevel=error msg=\\x".into()),
            ("empty", "".into()),
            ("n", 7.into()),
            ("ok", true.into()),
        ];
        pairs.into_iter()
    }

    #[test]
    fn logfmt_quotes_what_would_end_a_value_or_a_line() {
        assert_eq!(
            logfmt(line()),
            r#"level=info msg="it works" address=[::]:10736 name="a\"b\nlevel=error msg=\\x" empty="" n=7 ok=true"#
        );
        let strange = || [("k", "\u{1b}[31m\u{85}\u{202e}\u{e0041}".into())].into_iter();
        assert_eq!(logfmt(strange()), r#"k="\u001b[31m\u0085\u202e\udb40\udc41""#);
        assert_eq!(json(strange()), r#"{"k":"\u001b[31m\u0085\u202e\udb40\udc41"}"#);
    }

    #[test]
    fn a_plain_line_has_neither_a_time_nor_what_a_terminal_would_obey() {
        let line = |message: &str, others: &[(&'static str, Value)]| {
            plain(&Level::WARN, &Fields { message: message.to_owned(), others: others.to_vec() })
        };
        let source = [("collector", "docker".into()), ("reason", "no engine at x\u{202e}: start it".into())];
        assert_eq!(
            line("failed", &source),
            r"veth-exporter: warning: docker: no engine at x\u{202e}: start it"
        );
        let others = [("nsid", 7.into()), ("reason", "a b".into())];
        assert_eq!(line("no links", &others), r#"veth-exporter: warning: no links nsid=7 reason="a b""#);
        assert_eq!(line("alone\n", &[]), r"veth-exporter: warning: alone\x0a");
    }

    #[test]
    fn a_plain_line_is_new_once() {
        let lines = Lines::new(LineFormat::Plain);
        assert_eq!(["a", "b", "a"].map(|line| lines.is_new(line)), [true, true, false]);
    }

    #[test]
    fn json_keeps_the_order_and_can_be_read_back() {
        let text = json(line());
        assert!(text.starts_with(r#"{"level":"info","msg":"it works","#), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["name"], &read["n"]), (&"a\"b\nlevel=error msg=\\x".into(), &7.into()));
    }
}
