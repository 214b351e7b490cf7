//! The flags of the command `serve`.

use super::common::{EngineFlags, ProcessFlags};
use super::{LIMITS, SHOWN, Selection, WEB, duration, interval};
use crate::model::series;
use crate::sandbox::Privileges;
use crate::server::ListenAddress;
use crate::site::ExternalUrl;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Flags of the server.
    #[command(flatten)]
    pub(crate) web: WebFlags,
    /// Flags of the sources.
    #[command(flatten)]
    pub(crate) engines: EngineFlags,
    /// Flags of the output.
    #[command(flatten)]
    pub(crate) shown: ShownFlags,
    /// Flags that filter the output.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Flags that bound the output.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    /// Flags of the process.
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = WEB)]
pub(crate) struct WebFlags {
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
    pub(crate) config: Option<PathBuf>,
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
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = SHOWN)]
pub(crate) struct ShownFlags {
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
    /// Whether the TCP figures of each workload are read, every 15 seconds
    #[arg(
        long = "collector.tcp",
        env = "VETH_EXPORTER_COLLECTOR_TCP",
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) tcp: bool,
    /// Count the packets that the kernel drops, by workload and reason (eBPF, Linux 5.17); needs CAP_BPF and
    /// CAP_PERFMON at the start
    #[arg(long = "bpf.drops", env = "VETH_EXPORTER_BPF_DROPS")]
    pub(crate) bpf_drops: bool,
    /// Write the workload's name into the alias of each port that has none (`ip link`, node_exporter); needs
    /// CAP_NET_ADMIN
    #[arg(long = "annotate.alias", env = "VETH_EXPORTER_ANNOTATE_ALIAS")]
    pub(crate) annotate_alias: bool,
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
    /// Directory in which totals outlive the exporter and the host [default: totals begin at 0]
    #[arg(long = "state.directory", env = "VETH_EXPORTER_STATE_DIRECTORY", value_name = "DIR")]
    pub(crate) state: Option<OsString>,
    /// Interval at which totals are written to --state.directory
    #[arg(long = "state.interval", env = "VETH_EXPORTER_STATE_INTERVAL", value_name = "DURATION",
          default_value = "30s", value_parser = interval)]
    pub(crate) state_interval: Duration,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = LIMITS)]
pub(crate) struct LimitFlags {
    /// Limit of scrapes served at a time, 0 for none; further scrapes get 503
    #[arg(
        long = "web.max-requests",
        env = "VETH_EXPORTER_WEB_MAX_REQUESTS",
        value_name = "N",
        default_value_t = 8
    )]
    pub(crate) max_requests: usize,
    /// Limit of veth series, 0 for none; further pairs are summed under other
    #[arg(
        long = "limits.series",
        env = "VETH_EXPORTER_LIMITS_SERIES",
        value_name = "N",
        default_value_t = series::USUAL
    )]
    pub(crate) series: usize,
    /// Limit of the label sets of a workload, 0 for none; its further interfaces are summed under other
    #[arg(
        long = "limits.interfaces",
        env = "VETH_EXPORTER_LIMITS_INTERFACES",
        value_name = "N",
        default_value_t = series::USUAL_INTERFACES
    )]
    pub(crate) interfaces: usize,
}

impl Serve {
    /// Checks the flags together for conflicts.
    ///
    /// # Errors
    /// Fails with one line that names the flags.
    pub(super) fn check(&self) -> Result<(), String> {
        self.selection.check().and_then(|()| self.process.check())?;
        match (self.shown.annotate_alias, self.process.privileges) {
            (true, Privileges::Minimal) => {
                Err("--annotate.alias: writing an alias needs CAP_NET_ADMIN, which \
                                                --privileges minimal gives up"
                    .into())
            }
            _ => Ok(()),
        }
    }
}

fn telemetry_path(text: &str) -> Result<String, String> {
    match text {
        "/" | "/-/healthy" | "/-/ready" | "/api/v1/addresses" | "/api/v1/events" | "/api/v1/explain"
        | "/api/v1/pairs" | "/api/v1/stream" | "/metrics/cadvisor" => {
            Err("the exporter already serves this path; choose another".into())
        }
        _ if text.starts_with("/page/") => {
            Err("the exporter already serves the paths below /page/; choose another".into())
        }
        _ if text.starts_with('/') => Ok(text.to_owned()),
        _ => Err("a path begins with /".into()),
    }
}
