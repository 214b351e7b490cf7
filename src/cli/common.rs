//! The flags that the commands which read this host have in common.

use super::{ENGINES, LOG, SANDBOX, SHOWN};
use crate::model::view::Source;
use crate::runtimes::cri::CriEndpoint;
use crate::runtimes::docker::DockerHost;
use crate::sandbox::{Part, Privileges};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Flags of all commands that read this host.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonFlags {
    /// Flags of the sources.
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
    /// Flags of the process.
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
}

/// Flags that name the sources: engines, and folders of the kernel.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = ENGINES)]
pub(crate) struct EngineFlags {
    /// Docker engine: unix:///PATH or tcp://HOST:PORT [default: $DOCKER_HOST, else
    /// unix:///var/run/docker.sock]
    #[arg(long = "docker.host", env = "VETH_EXPORTER_DOCKER_HOST", value_name = "HOST")]
    pub(crate) docker_host: Option<DockerHost>,
    /// Podman service: unix:///PATH or tcp://HOST:PORT [default: unix:///run/podman/podman.sock]
    #[arg(long = "podman.host", env = "VETH_EXPORTER_PODMAN_HOST", value_name = "HOST")]
    pub(crate) podman_host: Option<DockerHost>,
    /// Server of the Container Runtime Interface: unix:///PATH or PATH [default: the usual sockets of
    /// CRI-O, k3s, k0s and containerd]
    #[arg(long = "cri.endpoint", env = "VETH_EXPORTER_CRI_ENDPOINT", value_name = "ENDPOINT")]
    pub(crate) cri_endpoint: Option<CriEndpoint>,
    /// Collector to disable; may be given several times
    #[arg(
        long = "collector.disable",
        env = "VETH_EXPORTER_COLLECTOR_DISABLE",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(OPTIONAL.map(Source::as_str)).try_map(optional)
    )]
    pub(crate) disabled: Vec<Source>,
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
    /// Label by which Docker's and Podman's containers are named; of several, the first one that a
    /// container has counts
    #[arg(
        long = "container.name-from-label",
        env = "VETH_EXPORTER_CONTAINER_NAME_FROM_LABEL",
        value_name = "LABEL",
        value_delimiter = ',',
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        help_heading = SHOWN
    )]
    pub(crate) name_from_label: Vec<String>,
    /// Show the network namespace that the exporter is in, without a warning if it is not the host's
    #[arg(long = "netns.own", env = "VETH_EXPORTER_NETNS_OWN", help_heading = SHOWN)]
    pub(crate) own_netns: bool,
}

/// Flags of the process: its privileges and its messages.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProcessFlags {
    /// Privileges kept after the start: full keeps CAP_NET_ADMIN if present, minimal keeps no capability
    #[arg(
        long = "privileges",
        env = "VETH_EXPORTER_PRIVILEGES",
        value_name = "WHICH",
        default_value = "full",
        value_parser = PossibleValuesParser::new(["full", "minimal"]).map(privileges),
        help_heading = SANDBOX
    )]
    pub(crate) privileges: Privileges,
    /// Sandbox part to disable, for debugging; may be given several times
    #[arg(
        long = "sandbox.disable",
        env = "VETH_EXPORTER_SANDBOX_DISABLE",
        value_name = "PART",
        value_delimiter = ',',
        value_parser =
            PossibleValuesParser::new(Part::ALL.map(Part::as_str).into_iter().chain(["all"])).map(part_or_all),
        help_heading = SANDBOX
    )]
    pub(crate) unconfined: Vec<PartOrAll>,
    /// Additional folder that the sandbox permits to read, such as an engine's folder of network
    /// namespaces; may be given several times
    #[arg(
        long = "sandbox.read",
        env = "VETH_EXPORTER_SANDBOX_READ",
        value_name = "PATH",
        value_delimiter = ',',
        value_parser = clap::builder::PathBufValueParser::new(),
        help_heading = SANDBOX
    )]
    pub(crate) read: Vec<PathBuf>,
    /// Lowest severity of log messages [default: info; of list, find, explain and name-filter: warn]
    #[arg(long = "log.level", env = "VETH_EXPORTER_LOG_LEVEL", value_name = "LEVEL", value_enum, help_heading = LOG)]
    pub(crate) log_level: Option<LogLevel>,
    /// Format of log messages [default: logfmt; of list, find, explain and name-filter: a sentence
    /// without a time]
    #[arg(
        long = "log.format",
        env = "VETH_EXPORTER_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        help_heading = LOG
    )]
    pub(crate) log_format: Option<LogFormat>,
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
    /// Checks the flags together for conflicts.
    ///
    /// # Errors
    /// Fails with one line that names the part of the sandbox which another one needs.
    pub(super) fn check(&self) -> Result<(), String> {
        self.process.check()
    }
}

impl ProcessFlags {
    /// Checks the flags together for conflicts.
    ///
    /// # Errors
    /// Fails with one line that names the part of the sandbox which another one needs.
    pub(super) fn check(&self) -> Result<(), String> {
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

/// Returns the part of this name, which is one of the possible values.
fn part_or_all(name: String) -> PartOrAll {
    let part = Part::ALL.into_iter().find(|part| part.as_str() == name);
    part.map_or(PartOrAll::All, |part| PartOrAll::Part([part]))
}

/// Returns the privileges of this name, which is one of the possible values.
fn privileges(name: String) -> Privileges {
    if name == "minimal" { Privileges::Minimal } else { Privileges::Full }
}

/// Returns the collector of this name, which is one of the possible values.
fn optional(name: String) -> Result<Source, String> {
    OPTIONAL.into_iter().find(|source| source.as_str() == name).ok_or_else(|| "no such collector".to_owned())
}
