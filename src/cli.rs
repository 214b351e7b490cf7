//! The command line: flags and their environment variables.

mod common;
mod duration;
mod help;
mod list;
mod mistakes;
mod name_filter;
mod selection;
mod serve;
mod top;
mod url;
mod words;

use crate::server::ListenAddress;
use crate::site::ExternalUrl;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use words::{Arranged, arrange};

pub(crate) use common::{CommonFlags, LogFormat, LogLevel, parts};
use duration::duration;
pub use help::Example;
pub(crate) use list::{List, ListFormat};
pub(crate) use name_filter::NameFilterFlags;
pub(crate) use selection::Selection;
pub(crate) use serve::Serve;
pub(crate) use top::Top;
pub(crate) use url::UrlFlags;

/// The headings of the flags, in their order.
const WEB: &str = "Web";
const ENGINES: &str = "Engines";
const SHOWN: &str = "What is shown";
const LIMITS: &str = "Limits";
const SANDBOX: &str = "Sandbox";
const LOG: &str = "Log";

/// The command line of the program.
#[derive(Debug)]
pub struct Cli {
    pub(crate) command: Command,
    /// The environment variables that gave a value in place of a flag.
    variables: Vec<Variable>,
}

/// Prometheus exporter that knows every veth pair on a Linux host, the workload at each end, and the bytes
/// and packets between them.
#[derive(Debug, Parser)]
#[command(name = "veth-exporter", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect veth pairs, and serve the page and /metrics (the default)
    Serve(Box<Serve>),
    /// Print all pairs once, or those that fit some words
    #[command(long_about = help::LIST_IN_FULL)]
    List(List),
    /// Find the owner of a device, an address or a container's interface
    Find(Find),
    /// Say why two ends cannot talk
    #[command(long_about = help::EXPLAIN_IN_FULL)]
    Explain(Explain),
    /// Show all pairs in the terminal, live
    Top(Box<Top>),
    /// Put the workload's name behind each veth in the output of another program
    #[command(long_about = help::NAME_FILTER_IN_FULL)]
    NameFilter(Box<NameFilterFlags>),
    /// Remove the aliases that --annotate.alias has written
    #[command(long_about = help::ANNOTATE_IN_FULL)]
    Annotate(Annotate),
    /// Check a file for --web.config.file
    CheckWebConfig(CheckWebConfig),
    /// Check the exporter that serves on this host: exit code 0 if it is healthy, else 1
    Healthy(Healthy),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the names that the exporter on this host knows, for the completions
    #[command(hide = true)]
    Names(Healthy),
}

/// An environment variable, and the flag of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    flag: String,
    name: String,
}

impl Variable {
    fn of(argument: &Arg) -> Option<Variable> {
        let (flag, name) = argument.get_long().zip(argument.get_env())?;
        Some(Variable { flag: format!("--{flag}"), name: name.to_string_lossy().into_owned() })
    }
}

impl Cli {
    /// Reads the command line and the environment; ends the program with the exit code 2 if they are wrong.
    pub fn read() -> Cli {
        Cli::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Reads a command line, with the program's name as its first word, and the environment.
    ///
    /// # Errors
    /// Fails with a message for the user if a word or a variable is wrong, or if the help is asked for.
    pub fn try_read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let mut commands = Cli::commands();
        commands.build();
        let words = match arrange(words, &commands) {
            Arranged::OfCommand(words) => words,
            Arranged::OfProgram(words) => {
                return Err(match Cli::documented().try_get_matches_from(words) {
                    Err(error) => error,
                    Ok(_) => commands.error(ErrorKind::UnknownArgument, "the help cannot be shown"),
                });
            }
        };
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let matches = commands
            .try_get_matches_from_mut(&words)
            .map_err(|error| mistakes::explain(error, &commands, &words, is_set))?;
        let CommandLine { command } = CommandLine::from_arg_matches(&matches)?;
        let variables = variables_of(&matches, &commands);
        let checked = command.check();
        checked.map_err(|why| {
            let why = mistakes::name_variables(&why, &variables);
            commands.error(ErrorKind::ArgumentConflict, why)
        })?;
        Ok(Cli { command, variables })
    }

    /// Returns the commands with their flags, as they are parsed.
    fn commands() -> clap::Command {
        help::dress(CommandLine::command())
    }

    /// Returns the command line for its documentation: the commands, and the flags of `serve` without it.
    pub fn documented() -> clap::Command {
        let command = CommandLine::command();
        let about = command.get_about().cloned().unwrap_or_default();
        // The groups of flags have documentation of their own, which is not that of the program.
        let command = Serve::augment_args(command).about(about).long_about(None);
        let command = command.subcommand_required(false);
        help::dress(command.override_usage("veth-exporter [COMMAND] [OPTIONS]"))
    }

    /// Returns the examples of a command: command lines, each with what it does.
    pub fn examples(command: &str) -> &'static [Example] {
        help::examples(command)
    }

    /// Returns the exit codes of a command, each with its meaning.
    pub fn exit_codes(command: &str) -> Vec<(u8, &'static str)> {
        help::exit_codes(command)
    }

    /// Returns the files that a command reads by default, each with its use.
    pub fn files(command: &str) -> &'static [(&'static str, &'static str)] {
        help::files(command)
    }

    /// Returns the environment variables that gave a value in place of a flag.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }
}

/// Names the environment variables in a message in place of the flags that the user has not written.
pub(crate) fn name_variables(message: &str, variables: &[Variable]) -> String {
    mistakes::name_variables(message, variables)
}

fn variables_of(matches: &ArgMatches, commands: &clap::Command) -> Vec<Variable> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let flags = commands.find_subcommand(name).into_iter().flat_map(clap::Command::get_arguments);
    let given = |flag: &&Arg| matches.value_source(flag.get_id().as_str()) == Some(ValueSource::EnvVariable);
    flags.filter(|flag| flag.get_env().is_some()).filter(given).filter_map(Variable::of).collect()
}

impl Command {
    /// Checks the flags together for conflicts.
    fn check(&self) -> Result<(), String> {
        match self {
            Command::Serve(serve) => serve.check(),
            Command::List(list) => list.sources.check(),
            Command::Find(find) => find.sources.check(),
            Command::Explain(explain) => explain.sources.check(),
            Command::Top(top) => top.sources.check(),
            Command::NameFilter(filter) => filter.sources.check(),
            Command::Annotate(Annotate { clear: false }) => {
                Err("annotate: say --clear to remove aliases; serve --annotate.alias writes them".into())
            }
            Command::Annotate(_)
            | Command::CheckWebConfig(_)
            | Command::Healthy(_)
            | Command::Names(_)
            | Command::Completions(_) => Ok(()),
        }
    }

    /// Returns the name of the command.
    #[cfg(test)]
    fn name(&self) -> &'static str {
        match self {
            Command::Serve(_) => "serve",
            Command::List(_) => "list",
            Command::Find(_) => "find",
            Command::Explain(_) => "explain",
            Command::Top(_) => "top",
            Command::NameFilter(_) => "name-filter",
            Command::Annotate(_) => "annotate",
            Command::CheckWebConfig(_) => "check-web-config",
            Command::Healthy(_) => "healthy",
            Command::Names(_) => "names",
            Command::Completions(_) => "completions",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Healthy {
    /// Listen address of the exporter: HOST:PORT, :PORT or unix:PATH; of several the first is checked
    #[arg(
        long = "web.listen-address",
        env = "VETH_EXPORTER_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = ":10736"
    )]
    pub(crate) listen: Vec<ListenAddress>,
    /// External URL of the exporter; its path is the default of --web.route-prefix
    #[arg(long = "web.external-url", env = "VETH_EXPORTER_WEB_EXTERNAL_URL", value_name = "URL")]
    pub(crate) external_url: Option<ExternalUrl>,
    /// Route prefix of the exporter [default: the path of --web.external-url]
    #[arg(long = "web.route-prefix", env = "VETH_EXPORTER_WEB_ROUTE_PREFIX", value_name = "PATH")]
    pub(crate) route_prefix: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Find {
    /// Container (name, id, image, service), device, ifindex, MAC or IP address, subnet, network, bridge,
    /// process id or cgroup, as other tools print it
    #[arg(value_parser = clap::builder::OsStringValueParser::new().try_map(some_query))]
    pub(crate) query: OsString,
    /// Format in which the results are printed
    #[arg(long, env = "VETH_EXPORTER_FORMAT", value_enum, default_value = "table")]
    pub(crate) format: FindFormat,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Explain {
    /// End that sends first: anything that `find` takes [default: everything on this host]
    #[arg(value_name = "A", value_parser = clap::builder::OsStringValueParser::new().try_map(some_query))]
    pub(crate) from: Option<OsString>,
    /// End that answers: anything that `find` takes, or an address that is not here; with a TCP port behind
    /// a colon [default: the gateway of A]
    #[arg(value_name = "B", value_parser = clap::builder::OsStringValueParser::new().try_map(some_query))]
    pub(crate) to: Option<OsString>,
    /// Format in which the findings are printed
    #[arg(long, env = "VETH_EXPORTER_FORMAT", value_enum, default_value = "table")]
    pub(crate) format: FindFormat,
    /// Flags of the sources and of the process.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Annotate {
    /// Remove every alias that ends with [veth-exporter] from the links of this host
    #[arg(long, env = "VETH_EXPORTER_CLEAR")]
    pub(crate) clear: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CheckWebConfig {
    /// Web configuration file to check
    pub(crate) file: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Completions {
    /// Shell to complete for
    #[arg(value_enum)]
    pub(crate) shell: CompletionShell,
}

/// The shells that the program has completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// The output formats of `find` and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FindFormat {
    /// A block of lines for each pair or finding
    Table,
    /// JSON text for programs
    Json,
}

fn some_query(query: OsString) -> Result<OsString, String> {
    if query.is_empty() { Err("a query must not be empty".into()) } else { Ok(query) }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(100) {
        Err("must be at least 100ms".into())
    } else if interval > Duration::from_secs(24 * 60 * 60) {
        Err("must be at most 1d".into())
    } else {
        Ok(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name() {
        let command = Cli::documented();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        for flag in commands.flat_map(|command| command.get_arguments()) {
            let (Some(long), Some(env)) = (flag.get_long(), flag.get_env()) else {
                assert!(
                    matches!(
                        flag.get_id().as_str(),
                        "help" | "version" | "query" | "from" | "to" | "file" | "shell"
                    ),
                    "{flag}"
                );
                continue;
            };
            let wanted = format!("VETH_EXPORTER_{}", long.to_uppercase().replace(['.', '-'], "_"));
            assert_eq!(env.to_str(), Some(wanted.as_str()));
        }
    }

    #[test]
    fn the_table_of_flags_is_consistent() {
        Cli::commands().debug_assert();
        Cli::documented().debug_assert();
    }

    #[test]
    fn serve_is_the_default() {
        let cli = Cli::try_read(["veth-exporter", "--collector.interval", "250ms"]).unwrap();
        let Command::Serve(serve) = cli.command else { panic!("another command") };
        assert_eq!(serve.shown.interval, Duration::from_millis(250));
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (flag, value) in [
            ("--collector.interval", "1ms"),
            ("--collector.interval", "soon"),
            ("--web.listen-address", ":port"),
            ("--web.listen-address", "127.0.0.1"),
            ("--web.listen-address", "unix:"),
            ("--web.external-url", "ftp://host/veth"),
            ("--web.telemetry-path", "metrics"),
            ("--web.telemetry-path", "/-/ready"),
            ("--web.telemetry-path", "/api/v1/pairs"),
            ("--web.telemetry-path", "/api/v1/explain"),
            ("--web.telemetry-path", "/api/v1/stream"),
            ("--web.telemetry-path", "/page/main.js"),
            ("--web.telemetry-path", "/metrics/cadvisor"),
            ("--docker.host", "ftp://x"),
            ("--podman.host", "podman.sock"),
            ("--collector.disable", "links"),
            ("--collector.disable", "counters"),
            ("--collector.disable", "events"),
            ("--collector.disable", "dokcer"),
            ("--collector.disable", ""),
            ("--cri.endpoint", "tcp://x:1"),
            ("--log.level", "loud"),
            ("--privileges", "all"),
            ("--sandbox.disable", "sandbox"),
        ] {
            let error = Cli::try_read(["veth-exporter", flag, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flag} {value}");
            let text = error.to_string();
            assert!(text.contains(flag) && text.contains(value), "{text}");
        }
    }
}
