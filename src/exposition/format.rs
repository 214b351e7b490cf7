//! The formats of the exposition, and their differences: a family's name, type and unit.

use super::families::Type;

/// The format of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0, with its mandatory end mark.
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

    /// Returns the name of the family of these samples: OpenMetrics omits the suffix that belongs to the
    /// type.
    pub(super) fn family(self, sample: &str, kind: Type) -> &str {
        let added = match (self, kind) {
            (Format::Text, _) | (Format::OpenMetrics, Type::Gauge) => "",
            (Format::OpenMetrics, Type::Counter) => "_total",
            (Format::OpenMetrics, Type::Info) => "_info",
        };
        sample.strip_suffix(added).unwrap_or(sample)
    }

    /// Returns the word after `# TYPE name`.
    pub(super) fn type_name(self, kind: Type) -> &'static str {
        match (self, kind) {
            (_, Type::Counter) => "counter",
            (Format::OpenMetrics, Type::Info) => "info",
            (_, Type::Gauge) | (Format::Text, Type::Info) => "gauge",
        }
    }

    /// Returns the word after `# UNIT family`, which the name ends in; only OpenMetrics has that line.
    pub(super) fn unit(self, family: &str, kind: Type) -> Option<&'static str> {
        let ends_in = |unit: &&str| family.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        match self {
            Format::OpenMetrics if kind != Type::Info => UNITS.into_iter().find(ends_in),
            _ => None,
        }
    }

    /// Returns the lines before the samples of a family.
    pub(super) fn head(self, name: &str, help: &str, kind: Type) -> String {
        let (family, type_name) = (self.family(name, kind), self.type_name(kind));
        let unit = self.unit(family, kind).map(|unit| format!("# UNIT {family} {unit}\n"));
        let unit = unit.unwrap_or_default();
        format!("# HELP {family} {help}\n# TYPE {family} {type_name}\n{unit}")
    }

    /// Returns the end of the text.
    pub(super) fn end(self) -> &'static str {
        match self {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }
}
