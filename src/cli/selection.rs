//! Flags that select the output: filters, and the runtimes' labels.

use super::SHOWN;
use crate::model::filter::{Choice, Filter, cleaned};
use clap::{ArgAction, Args, ValueEnum};
use regex::{Regex, RegexBuilder};
use regex_syntax::ast;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// Flags that filter the output.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = SHOWN)]
pub(crate) struct Selection {
    /// Label of containers and pods that veth_container_info shows as label_NAME; may be given several times
    #[arg(
        long = "container.labels",
        env = "VETH_EXPORTER_CONTAINER_LABELS",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    labels: Vec<String>,
    /// Show only these containers: regular expression for the whole name, which is NAMESPACE/POD for a pod
    #[arg(
        long = "container.include",
        env = "VETH_EXPORTER_CONTAINER_INCLUDE",
        value_name = "REGEX",
        conflicts_with = "container_exclude"
    )]
    container_include: Option<Pattern>,
    /// Hide these containers: regular expression for the whole name
    #[arg(long = "container.exclude", env = "VETH_EXPORTER_CONTAINER_EXCLUDE", value_name = "REGEX")]
    container_exclude: Option<Pattern>,
    /// Show only these devices in veth_device_*: regular expression for the whole name
    #[arg(
        long = "device.include",
        env = "VETH_EXPORTER_DEVICE_INCLUDE",
        value_name = "REGEX",
        conflicts_with = "device_exclude"
    )]
    device_include: Option<Pattern>,
    /// Hide these devices in veth_device_*: regular expression for the whole name
    #[arg(long = "device.exclude", env = "VETH_EXPORTER_DEVICE_EXCLUDE", value_name = "REGEX")]
    device_exclude: Option<Pattern>,
    /// Show veth_device_*: true, state (without the counters of bytes, packets and drops), or false (the
    /// metrics of workloads and networks only)
    #[arg(
        long = "device.metrics",
        env = "VETH_EXPORTER_DEVICE_METRICS",
        value_name = "WHICH",
        action = ArgAction::Set,
        hide_possible_values = true,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true"
    )]
    device_metrics: DeviceMetrics,
}

/// The part of `veth_device_*` that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceMetrics {
    False,
    State,
    True,
}

impl Selection {
    /// Returns the filter that these flags describe.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            devices: match self.device_metrics {
                DeviceMetrics::False => Choice::Nothing,
                _ => choice(self.device_include.as_ref(), self.device_exclude.as_ref()),
            },
            no_device_counters: !self.has_device_counters(),
            containers: choice(self.container_include.as_ref(), self.container_exclude.as_ref()),
            labels: self.labels.iter().cloned().collect(),
            ..Filter::default()
        }
    }

    /// Returns true if the counters of ports are shown where the ports are.
    pub(crate) fn has_device_counters(&self) -> bool {
        self.device_metrics != DeviceMetrics::State
    }

    /// Checks the flags together for conflicts.
    ///
    /// # Errors
    /// Fails with one line that names two labels which Prometheus could not distinguish.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut taken: BTreeMap<String, &String> = BTreeMap::new();
        for label in &self.labels {
            let name: String = label.chars().map(cleaned).collect();
            if let Some(other) = taken.insert(name.clone(), label).filter(|other| *other != label) {
                return Err(format!(
                    "--container.labels: {other:?} and {label:?} would both be label_{name}"
                ));
            }
        }
        Ok(())
    }
}

fn choice(include: Option<&Pattern>, exclude: Option<&Pattern>) -> Choice {
    let matches = |pattern: &Pattern| -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
        let pattern = pattern.0.clone();
        Arc::new(move |name| pattern.is_match(name))
    };
    match (include, exclude) {
        (Some(include), _) => Choice::Only(matches(include)),
        (None, Some(exclude)) => Choice::AllBut(matches(exclude)),
        (None, None) => Choice::All,
    }
}

/// A regular expression that a whole name must match.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// The memory of a compiled pattern, in bytes, at most: `(a{1000}){1000}` would take some 100 MB.
const LARGEST: usize = 1 << 20;

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Pattern, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        // Parsed as it was typed: the anchors would move the position of an error.
        regex_syntax::parse(text).map_err(|error| BadPattern::syntax(text, &error))?;
        let anchored = RegexBuilder::new(&format!("^(?:{text})$"))
            .dot_matches_new_line(true)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build();
        anchored.map(Pattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => BadPattern::TooLarge { limit },
            // A comment to the end of the line, for example, includes the anchor.
            error => BadPattern::Unanchored { why: error.to_string() },
        })
    }
}

/// The reason for which a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPattern {
    /// The pattern would match an empty name.
    #[error("a regular expression must not be empty")]
    Empty,
    /// The text is no regular expression.
    #[error("at character {position}: {why}")]
    Syntax {
        /// The position in the pattern, from 1.
        position: usize,
        /// The explanation of the parser.
        why: String,
    },
    /// The pattern would take too much memory.
    #[error("it takes more than {limit} bytes when it is compiled")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text is a regular expression by itself and none between anchors.
    #[error("it cannot be anchored: {why}")]
    Unanchored {
        /// The explanation of the library regex.
        why: String,
    },
}

impl BadPattern {
    fn syntax(text: &str, error: &regex_syntax::Error) -> BadPattern {
        let (span, why): (&ast::Span, String) = match error {
            regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
            regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
            error => return BadPattern::Unanchored { why: error.to_string() },
        };
        let before = text.get(..span.start.offset).unwrap_or(text);
        BadPattern::Syntax { position: before.chars().count() + 1, why }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;

    fn read(flags: &[&str]) -> Result<Filter, String> {
        let cli = Cli::try_read(["veth-exporter"].iter().chain(flags)).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{flags:?}");
            error.to_string()
        })?;
        let Command::Serve(serve) = cli.command else { panic!("{flags:?} is another command") };
        Ok(serve.selection.filter())
    }

    fn shown(choice: &Choice, names: &[&str]) -> Vec<String> {
        let shows = |name: &&&str| match choice {
            Choice::All => true,
            Choice::Only(matches) => matches(name),
            Choice::AllBut(matches) => !matches(name),
            Choice::Nothing => false,
        };
        names.iter().filter(shows).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pattern_must_match_the_whole_name() {
        let names = ["web", "web2", "my-web", "a\nweb", ""];
        let filter = read(&["--container.include", "web|x"]).unwrap();
        assert_eq!(shown(&filter.containers, &names), ["web"]);
        let filter = read(&["--container.exclude", ".*web"]).unwrap();
        assert_eq!(shown(&filter.containers, &names), ["web2", ""]);
        let filter = read(&["--device.exclude", r"v\\xff"]).unwrap();
        assert_eq!(shown(&filter.devices, &[r"v\xff", "v"]), ["v"]);
        let filter = read(&["--device.metrics=false", "--device.include", ".*"]).unwrap();
        assert!(shown(&filter.devices, &names).is_empty());
        assert_eq!(shown(&filter.containers, &names).len(), names.len());
        for on in [&["--device.metrics"][..], &["--device.metrics", "true"], &[]] {
            let filter = read(on).unwrap();
            assert_eq!(shown(&filter.devices, &names).len(), names.len(), "{on:?}");
            assert!(!filter.no_device_counters, "{on:?}");
        }
        let filter = read(&["--device.metrics=state", "--device.include", "web"]).unwrap();
        assert_eq!(
            (shown(&filter.devices, &names), filter.no_device_counters),
            (vec!["web".to_owned()], true)
        );
        let error = read(&["--device.metrics=some"]).unwrap_err();
        assert!(error.contains("[possible values: false, state, true]"), "{error}");
    }

    #[test]
    fn a_pattern_that_is_none_is_named_with_the_place_where_it_is_wrong() {
        for (pattern, wanted) in [
            ("a(b", "at character 2: unclosed group"),
            ("é[z-a]", "at character 3: invalid character class range"),
            ("a)(b", "at character 2: unopened group"),
            ("*", "at character 1: repetition operator missing expression"),
            (r"\p{Klingon}", "at character 1: Unicode property not found"),
            ("(?x)a # b", "it cannot be anchored"),
            ("(a{1000}){1000}", "it takes more than 1048576 bytes"),
            ("", "must not be empty"),
        ] {
            for flag in ["--device.include", "--device.exclude", "--container.include", "--container.exclude"]
            {
                let error = read(&[flag, pattern]).unwrap_err();
                assert!(error.contains(wanted) && error.contains(flag) && error.contains(pattern), "{error}");
            }
        }
    }

    #[test]
    fn include_and_exclude_of_the_same_thing_exclude_each_other() {
        for kind in ["device", "container"] {
            let [include, exclude] = ["include", "exclude"].map(|what| format!("--{kind}.{what}"));
            let error = read(&[&include, "a", &exclude, "b"]).unwrap_err();
            assert!(error.contains(&include) && error.contains(&exclude), "{error}");
        }
        assert!(read(&["--device.include", "a", "--container.exclude", "b"]).is_ok());
    }

    #[test]
    fn labels_that_prometheus_could_not_tell_apart_are_refused_by_name() {
        let error = read(&["--container.labels", "a.b/c,a-b.c"]).unwrap_err();
        for word in ["--container.labels", "\"a.b/c\"", "\"a-b.c\"", "label_a_b_c"] {
            assert!(error.contains(word), "{error}");
        }
        let serve = read(&["serve", "--container.labels", "é", "--container.labels", "ü"]);
        assert!(serve.unwrap_err().contains("label__"));
        let filter = read(&["--container.labels", "app,tier", "--container.labels", "app"]).unwrap();
        assert_eq!(filter.labels, ["app", "tier"].map(str::to_owned).into());
        assert!(read(&["--container.labels", "app,,tier"]).is_err());
    }
}
