//! The formats of the exposition, and where they differ: how a family is called, typed and measured.

use super::families::Type;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// The units that a family's name may end in.
const UNITS: [&str; 3] = ["bytes_per_second", "bytes", "seconds"];

impl Format {
    /// Returns the media type for the header Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The name of the family whose samples have this name: OpenMetrics leaves out what its type adds.
    pub(super) fn family(self, sample: &str, kind: Type) -> &str {
        let added = match (self, kind) {
            (Format::Text, _) | (Format::OpenMetrics, Type::Gauge) => "",
            (Format::OpenMetrics, Type::Counter) => "_total",
            (Format::OpenMetrics, Type::Info) => "_info",
        };
        sample.strip_suffix(added).unwrap_or(sample)
    }

    /// The word after `# TYPE name`.
    pub(super) fn type_name(self, kind: Type) -> &'static str {
        match (self, kind) {
            (_, Type::Counter) => "counter",
            (Format::OpenMetrics, Type::Info) => "info",
            (_, Type::Gauge) | (Format::Text, Type::Info) => "gauge",
        }
    }

    /// The word after `# UNIT family`, which the name ends in; only OpenMetrics has that line.
    pub(super) fn unit(self, family: &str, kind: Type) -> Option<&'static str> {
        let ends_in = |unit: &&str| family.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        match self {
            Format::OpenMetrics if kind != Type::Info => UNITS.into_iter().find(ends_in),
            _ => None,
        }
    }

    /// What the text ends with.
    pub(super) fn end(self) -> &'static str {
        match self {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }
}
