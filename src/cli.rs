//! The command line: flags and their environment variables.

mod duration;
mod selection;
mod top;

use crate::model::series;
use crate::model::view::Source;
use crate::runtimes::cri::CriEndpoint;
use crate::runtimes::docker::DockerHost;
use crate::sandbox::{Part, Privileges};
use crate::server::ListenAddress;
use crate::site::ExternalUrl;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use duration::duration;
pub(crate) use selection::Selection;
pub(crate) use top::Top;

/// Prometheus exporter that knows every veth pair on a Linux host, the workload at each end, and the bytes
/// and packets between them.
#[derive(Debug, Parser)]
#[command(name = "veth-exporter", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The command; `serve` if none is given.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Collect veth pairs, and serve /metrics (the default)
    Serve(Box<Serve>),
    /// Print all pairs once
    List(List),
    /// Find the owner of a device, an address or a container's interface
    Find(Find),
    /// Show all pairs in the terminal, live
    Top(Box<Top>),
    /// Check a file for --web.config.file
    CheckWebConfig(CheckWebConfig),
    /// Check the exporter that serves on this host: exit code 0 if it is healthy, else 1
    Healthy(Healthy),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Flags of all commands.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
    /// Listen address: HOST:PORT, :PORT or unix:PATH; may be given several times
    #[arg(
        long = "web.listen-address",
        env = "VETH_EXPORTER_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = ":10736"
    )]
    pub(crate) listen: Vec<ListenAddress>,
    /// Serve on the sockets that systemd has opened, instead of --web.listen-address
    #[arg(long = "web.systemd-socket", env = "VETH_EXPORTER_WEB_SYSTEMD_SOCKET")]
    pub(crate) systemd_socket: bool,
    /// Web configuration file: TLS, passwords, headers and a rate limit, in exporter-toolkit's format
    #[arg(long = "web.config.file", env = "VETH_EXPORTER_WEB_CONFIG_FILE", value_name = "FILE")]
    pub(crate) web_config: Option<PathBuf>,
    /// URL at which clients reach the exporter, for links and redirects
    #[arg(long = "web.external-url", env = "VETH_EXPORTER_WEB_EXTERNAL_URL", value_name = "URL")]
    pub(crate) external_url: Option<ExternalUrl>,
    /// Prefix of all paths [default: the path of --web.external-url]
    #[arg(long = "web.route-prefix", env = "VETH_EXPORTER_WEB_ROUTE_PREFIX", value_name = "PATH")]
    pub(crate) route_prefix: Option<String>,
    /// Path of the metrics
    #[arg(long = "web.telemetry-path", env = "VETH_EXPORTER_WEB_TELEMETRY_PATH", value_name = "PATH",
          default_value = "/metrics", value_parser = telemetry_path)]
    pub(crate) telemetry_path: String,
    /// Limit of scrapes served at a time, 0 for none; further scrapes get 503
    #[arg(
        long = "web.max-requests",
        env = "VETH_EXPORTER_WEB_MAX_REQUESTS",
        value_name = "N",
        default_value_t = 8
    )]
    pub(crate) max_requests: usize,
    /// Interval at which links and names are read
    #[arg(long = "collector.interval", env = "VETH_EXPORTER_COLLECTOR_INTERVAL", value_name = "DURATION",
          default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Time for which a workload's totals are kept after its last pair is gone
    #[arg(long = "container.retention", env = "VETH_EXPORTER_CONTAINER_RETENTION", value_name = "DURATION",
          default_value = "5m", value_parser = duration)]
    pub(crate) retention: Duration,
    /// Time span of the peaks
    #[arg(long = "peak.window", env = "VETH_EXPORTER_PEAK_WINDOW", value_name = "DURATION",
          default_value = "60s", value_parser = duration)]
    pub(crate) peak_window: Duration,
    /// Whether the rates of each workload in the last hour are kept for the page: 500 bytes each
    #[arg(
        long = "collector.history",
        env = "VETH_EXPORTER_COLLECTOR_HISTORY",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) history: bool,
    /// Limit of veth series, 0 for none; further pairs are summed under other
    #[arg(
        long = "limits.series",
        env = "VETH_EXPORTER_LIMITS_SERIES",
        value_name = "N",
        default_value_t = series::USUAL
    )]
    pub(crate) series: usize,
    /// Whether OpenMetrics has the time at which each total began (_created)
    #[arg(
        long = "metrics.created",
        env = "VETH_EXPORTER_METRICS_CREATED",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) created: bool,
    /// Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other
    #[arg(
        long = "limits.interfaces",
        env = "VETH_EXPORTER_LIMITS_INTERFACES",
        value_name = "N",
        default_value_t = series::USUAL_INTERFACES
    )]
    pub(crate) interfaces: usize,
    /// Flags that filter the output.
    #[command(flatten)]
    pub(crate) selection: Selection,
}

impl Cli {
    /// Reads the command line and the environment; ends the program with the exit code 2 if they are wrong.
    pub fn read() -> Cli {
        Cli::try_read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
        let cli = Cli::try_parse_from(words)?;
        let serve = match &cli.command {
            Some(Command::Serve(serve)) => serve.as_ref(),
            _ => &cli.serve,
        };
        let sources = match &cli.command {
            Some(Command::List(list)) => &list.sources,
            Some(Command::Find(find)) => &find.sources,
            Some(Command::Top(top)) => &top.sources,
            _ => &serve.sources,
        };
        let checked = serve.selection.check().and_then(|()| sources.check());
        checked.map_err(|why| Cli::command().error(ErrorKind::ArgumentConflict, why))?;
        Ok(cli)
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
pub(crate) struct List {
    /// Flags of all commands.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
    /// Format in which the pairs are printed
    #[arg(long, env = "VETH_EXPORTER_FORMAT", value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Find {
    /// Container (name, id, image, service), device, ifindex, MAC or IP address, subnet, network, bridge,
    /// process id or cgroup, as other tools print it
    #[arg(value_parser = clap::builder::OsStringValueParser::new().try_map(some_query))]
    pub(crate) query: OsString,
    /// Flags of all commands.
    #[command(flatten)]
    pub(crate) sources: CommonFlags,
    /// Format in which the results are printed
    #[arg(long, env = "VETH_EXPORTER_FORMAT", value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CheckWebConfig {
    /// Web configuration file to check
    pub(crate) file: PathBuf,
}

/// Flags of all commands: locations, sources, the sandbox and the log.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonFlags {
    /// Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else
    /// unix:///var/run/docker.sock]
    #[arg(long = "docker.host", env = "VETH_EXPORTER_DOCKER_HOST", value_name = "HOST")]
    pub(crate) docker_host: Option<DockerHost>,
    /// Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]
    #[arg(long = "podman.host", env = "VETH_EXPORTER_PODMAN_HOST", value_name = "HOST")]
    pub(crate) podman_host: Option<DockerHost>,
    /// Collector to disable: docker, podman, cri, named or process; may be given several times
    #[arg(
        long = "collector.disable",
        env = "VETH_EXPORTER_COLLECTOR_DISABLE",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = may_be_disabled
    )]
    pub(crate) disabled: Vec<Source>,
    /// Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of
    /// CRI-O, k3s, k0s and containerd]
    #[arg(long = "cri.endpoint", env = "VETH_EXPORTER_CRI_ENDPOINT", value_name = "ENDPOINT")]
    pub(crate) cri_endpoint: Option<CriEndpoint>,
    /// Label by which Docker's and Podman's containers are named; of several, the first one that a
    /// container has counts
    #[arg(
        long = "container.name-from-label",
        env = "VETH_EXPORTER_CONTAINER_NAME_FROM_LABEL",
        value_name = "LABEL",
        value_delimiter = ',',
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) name_from_label: Vec<String>,
    /// Mount point of procfs
    #[arg(
        long = "path.procfs",
        env = "VETH_EXPORTER_PATH_PROCFS",
        value_name = "PATH",
        default_value = "/proc"
    )]
    pub(crate) procfs: PathBuf,
    /// Folder of the named network namespaces [default: /run/netns]
    #[arg(long = "path.netns", env = "VETH_EXPORTER_PATH_NETNS", value_name = "PATH")]
    pub(crate) netns: Option<PathBuf>,
    /// Show the network namespace that the exporter is in, without a warning if it is not the host's
    #[arg(long = "netns.own", env = "VETH_EXPORTER_NETNS_OWN")]
    pub(crate) own_netns: bool,
    /// Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability
    #[arg(long = "privileges", env = "VETH_EXPORTER_PRIVILEGES", value_name = "WHICH", default_value = "full",
          value_parser = privileges)]
    pub(crate) privileges: Privileges,
    /// Sandbox part to disable, for debugging: capabilities, no-new-privs, dumpable, landlock, seccomp or
    /// all; may be given several times
    #[arg(
        long = "sandbox.disable",
        env = "VETH_EXPORTER_SANDBOX_DISABLE",
        value_name = "PART",
        value_delimiter = ',',
        value_parser = part_or_all
    )]
    pub(crate) unconfined: Vec<PartOrAll>,
    /// Additional folder that the sandbox permits to read, such as an engine's folder of network
    /// namespaces; may be given several times
    #[arg(
        long = "sandbox.read",
        env = "VETH_EXPORTER_SANDBOX_READ",
        value_name = "PATH",
        value_delimiter = ',',
        value_parser = clap::builder::PathBufValueParser::new()
    )]
    pub(crate) read: Vec<PathBuf>,
    /// Lowest severity of log messages
    #[arg(long = "log.level", env = "VETH_EXPORTER_LOG_LEVEL", value_enum, default_value = "info")]
    pub(crate) log_level: LogLevel,
    /// Format of log messages
    #[arg(long = "log.format", env = "VETH_EXPORTER_LOG_FORMAT", value_enum, default_value = "logfmt")]
    pub(crate) log_format: LogFormat,
}

/// The output formats of `list` and `find`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Aligned columns below a heading
    Table,
    /// JSON text for programs
    Json,
}

/// The levels of exporter-toolkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// All messages, for debugging
    Debug,
    /// Events of normal operation, warnings and errors
    Info,
    /// Warnings and errors only
    Warn,
    /// Errors and nothing else
    Error,
}

/// The formats of exporter-toolkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of `key=value` pairs for each message
    Logfmt,
    /// A JSON object on a line for each message
    Json,
}

/// The collectors that can be disabled.
const OPTIONAL: [Source; 5] = [Source::Docker, Source::Podman, Source::Cri, Source::Named, Source::Process];

impl CommonFlags {
    fn check(&self) -> Result<(), String> {
        let off = parts(&self.unconfined);
        let needed = off.contains(&Part::NoNewPrivs);
        match [Part::Landlock, Part::Seccomp].into_iter().find(|part| needed && !off.contains(part)) {
            Some(part) => Err(format!(
                "--sandbox.disable no-new-privs: {} needs it: disable that part as well",
                part.as_str()
            )),
            None => Ok(()),
        }
    }
}

/// A value of `--sandbox.disable`: one part, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartOrAll {
    Part([Part; 1]),
    All,
}

impl PartOrAll {
    fn parts(&self) -> &[Part] {
        match self {
            PartOrAll::Part(part) => part,
            PartOrAll::All => &Part::ALL,
        }
    }
}

/// Returns the parts of the sandbox that these values name.
pub(crate) fn parts(values: &[PartOrAll]) -> BTreeSet<Part> {
    values.iter().flat_map(PartOrAll::parts).copied().collect()
}

fn part_or_all(name: &str) -> Result<PartOrAll, String> {
    if name == "all" {
        return Ok(PartOrAll::All);
    }
    let part = Part::ALL.into_iter().find(|part| part.as_str() == name);
    part.map(|part| PartOrAll::Part([part]))
        .ok_or_else(|| format!("choose from {}, all", Part::ALL.map(Part::as_str).join(", ")))
}

fn privileges(name: &str) -> Result<Privileges, String> {
    match name {
        "full" => Ok(Privileges::Full),
        "minimal" => Ok(Privileges::Minimal),
        _ => Err("choose full (keeps CAP_NET_ADMIN if present) or minimal (keeps no capability)".into()),
    }
}

fn some_query(query: OsString) -> Result<OsString, String> {
    if query.is_empty() { Err("a query must not be empty".into()) } else { Ok(query) }
}

fn may_be_disabled(name: &str) -> Result<Source, String> {
    if let Some(source) = OPTIONAL.into_iter().find(|source| source.as_str() == name) {
        return Ok(source);
    }
    let names = OPTIONAL.map(Source::as_str).join(", ");
    let needed = [Source::Links, Source::Counters, Source::Events];
    if needed.iter().any(|source| source.as_str() == name) {
        Err(format!("this collector cannot be disabled; choose from {names}"))
    } else {
        Err(format!("choose from {names}"))
    }
}

fn telemetry_path(text: &str) -> Result<String, String> {
    match text {
        "/" | "/-/healthy" | "/-/ready" | "/api/v1/pairs" | "/api/v1/stream" | "/metrics/cadvisor" => {
            Err("the exporter already serves this path; choose another".into())
        }
        _ if text.starts_with("/page/") => {
            Err("the exporter already serves the paths below /page/; choose another".into())
        }
        _ if text.starts_with('/') => Ok(text.to_owned()),
        _ => Err("a path begins with /".into()),
    }
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
        let command = Cli::command();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        for flag in commands.flat_map(|command| command.get_arguments()) {
            let (Some(long), Some(env)) = (flag.get_long(), flag.get_env()) else {
                assert!(matches!(flag.get_id().as_str(), "help" | "version" | "query" | "file"), "{flag}");
                continue;
            };
            let wanted = format!("VETH_EXPORTER_{}", long.to_uppercase().replace(['.', '-'], "_"));
            assert_eq!(env.to_str(), Some(wanted.as_str()));
        }
    }

    #[test]
    fn the_table_of_flags_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default() {
        let cli = Cli::try_parse_from(["veth-exporter", "--collector.interval", "250ms"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.interval, Duration::from_millis(250));
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
            let error = Cli::try_parse_from(["veth-exporter", flag, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flag} {value}");
            let text = error.to_string();
            assert!(text.contains(flag) && text.contains(value), "{text}");
        }
    }
}
