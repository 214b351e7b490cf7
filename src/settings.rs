//! The settings of each command, resolved once from the flags and the environment. A pure function of both:
//! nothing else reads a flag or an environment variable.

use crate::cli::{
    self, Cli, Command, CommonFlags, CompletionShell, FindFormat, List, ListFormat, LogFormat, LogLevel,
    NameFilterFlags, Serve, Top,
};
use crate::client::{RemoteOptions, RemoteUrl};
use crate::list::{ListSort, SearchTerms};
use crate::model::filter::Filter;
use crate::model::naming::Naming;
use crate::model::series::OutputLimits;
use crate::model::view::Source;
use crate::runtimes::cri::CriEndpoint;
use crate::runtimes::docker::DockerHost;
use crate::sandbox::{Part, Privileges};
use crate::server::ListenAddress;
use crate::site::{ExternalUrl, MetricsOptions, Routes};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const DOCKER_SOCKET: &str = "/var/run/docker.sock";
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
const NETNS_FOLDER: &str = "/run/netns";

/// The span of the peaks of `top`: the default of `serve`.
const TOP_PEAK_WINDOW: Duration = Duration::from_secs(60);

/// The environment variables besides those of the flags.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `$DOCKER_HOST`; `None` if it is empty.
    docker_host: Option<String>,
    /// `$TZ`; `None` if it is empty.
    time_zone: Option<String>,
    /// True if `$NO_COLOR` is not empty (<https://no-color.org>).
    no_color: bool,
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn read() -> Environment {
        Environment {
            docker_host: std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()),
            time_zone: std::env::var_os("TZ")
                .filter(|zone| !zone.is_empty())
                .map(|zone| zone.to_string_lossy().into_owned()),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// A command with its settings.
pub(crate) enum Settings {
    Serve(Box<ServeSettings>),
    List(ListSettings),
    Find(FindSettings),
    Explain(ExplainSettings),
    Top(Box<TopSettings>),
    NameFilter(NameFilterSettings),
    ClearAliases,
    /// The web configuration file to check.
    CheckWebConfig(PathBuf),
    Healthy(HealthySettings),
    Completions(CompletionShell),
    /// The exporter that knows the names.
    Names(HealthySettings),
}

pub(crate) struct ServeSettings {
    /// True to write the aliases of ports.
    pub annotates: bool,
    /// True if the packets that the kernel drops are counted.
    pub counts_drops: bool,
    pub host: HostSettings,
    pub web: WebSettings,
    pub collector: CollectorSettings,
    /// The directory in which totals outlive the exporter, and the interval at which they are written.
    pub state: Option<(PathBuf, Duration)>,
    /// The time zone of today and of this month; `None` for UTC.
    pub time_zone: Option<String>,
}

pub(crate) struct ListSettings {
    pub host: HostSettings,
    /// The words that a row must have.
    pub terms: SearchTerms,
    pub format: ListFormat,
    /// True to print exact numbers of bytes.
    pub bytes: bool,
    /// True to print no line of headings.
    pub no_header: bool,
    /// `None` for the order of the kernel.
    pub sort: Option<ListSort>,
}

pub(crate) struct FindSettings {
    pub query: OsString,
    pub host: HostSettings,
    pub format: FindFormat,
}

pub(crate) struct ExplainSettings {
    /// The end that sends first; `None` for everything on the host.
    pub from: Option<OsString>,
    /// The end that answers; `None` for the gateway.
    pub to: Option<OsString>,
    pub host: HostSettings,
    pub format: FindFormat,
}

pub(crate) struct TopSettings {
    pub host: HostSettings,
    /// The exporter to show; `None` for this host, which is read directly.
    pub remote: Option<(RemoteUrl, RemoteOptions)>,
    pub collector: CollectorSettings,
    pub colors: bool,
}

pub(crate) struct NameFilterSettings {
    pub host: HostSettings,
    /// The exporter that the user named; `None` for the one at the usual address, or this host.
    pub url: Option<RemoteUrl>,
    pub connection: RemoteOptions,
}

/// The settings of the health check, which has no source of links.
pub(crate) struct HealthySettings {
    /// The listen addresses of the exporter.
    pub listen: Vec<ListenAddress>,
    pub routes: Routes,
}

/// The settings of all commands that read this host.
#[derive(Clone, Debug)]
pub(crate) struct HostSettings {
    pub log: LogSettings,
    pub procfs: PathBuf,
    pub netns: NetnsSettings,
    pub engines: EngineSettings,
    /// True if the processes of unclaimed namespaces are looked for.
    pub processes: bool,
    pub naming: Naming,
    pub sandbox: SandboxSettings,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    /// `None` for the level of the command.
    pub level: Option<LogLevel>,
    /// `None` for the format of the command.
    pub format: Option<LogFormat>,
}

/// The settings of the named network namespaces.
#[derive(Clone, Debug)]
pub(crate) struct NetnsSettings {
    pub enabled: bool,
    pub folder: PathBuf,
    /// True if the user named the folder, so that it must exist.
    pub expected: bool,
    /// True if the exporter is meant to show another network namespace than that of process 1.
    pub own: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct EngineSettings {
    /// `None` if it is disabled; an error if `$DOCKER_HOST` is not understood, which may be meant for other
    /// programs (`ssh://`) and stops no command.
    pub docker: Option<Result<EngineHost, String>>,
    /// `None` if it is disabled.
    pub podman: Option<EngineHost>,
    pub cri_enabled: bool,
    /// The server that the user named; `None` for the usual sockets.
    pub cri_endpoint: Option<CriEndpoint>,
}

/// An engine with the API of Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineHost {
    pub host: DockerHost,
    /// True if the user named the engine, so that its absence is a failure.
    pub configured: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SandboxSettings {
    pub privileges: Privileges,
    pub disabled: BTreeSet<Part>,
    /// Additional folders that may be read.
    pub read: Vec<PathBuf>,
}

pub(crate) struct WebSettings {
    pub listen: Vec<ListenAddress>,
    /// True to serve on the sockets that systemd has opened, instead of `listen`.
    pub systemd_socket: bool,
    /// The web configuration file.
    pub config: Option<PathBuf>,
    /// The URL at which clients reach the exporter, if the user has named one.
    pub external_url: Option<ExternalUrl>,
    pub routes: Routes,
    pub metrics: MetricsOptions,
}

/// The settings of a collector that runs until the end.
pub(crate) struct CollectorSettings {
    /// The length of a tick.
    pub interval: Duration,
    /// The time for which a workload's totals are kept after its last pair is gone.
    pub retention: Duration,
    pub peak_window: Duration,
    pub filter: Filter,
    /// The limits of the output.
    pub limits: OutputLimits,
}

impl Settings {
    /// Resolves the settings of the command.
    pub(crate) fn resolve(cli: Cli, environment: &Environment) -> Settings {
        match cli.command {
            Command::Serve(flags) => Settings::Serve(Box::new(ServeSettings::resolve(*flags, environment))),
            Command::List(flags) => Settings::List(ListSettings::resolve(flags, environment)),
            Command::Find(flags) => Settings::Find(FindSettings {
                query: flags.query,
                host: HostSettings::resolve(flags.sources, environment),
                format: flags.format,
            }),
            Command::Explain(flags) => Settings::Explain(ExplainSettings {
                from: flags.from,
                to: flags.to,
                host: HostSettings::resolve(flags.sources, environment),
                format: flags.format,
            }),
            Command::Top(flags) => Settings::Top(Box::new(TopSettings::resolve(*flags, environment))),
            Command::NameFilter(flags) => {
                Settings::NameFilter(NameFilterSettings::resolve(*flags, environment))
            }
            Command::Annotate(_) => Settings::ClearAliases,
            Command::CheckWebConfig(flags) => Settings::CheckWebConfig(flags.file),
            Command::Healthy(flags) => Settings::Healthy(HealthySettings::resolve(flags)),
            Command::Completions(flags) => Settings::Completions(flags.shell),
            Command::Names(flags) => Settings::Names(HealthySettings::resolve(flags)),
        }
    }
}

impl ListSettings {
    fn resolve(flags: List, environment: &Environment) -> ListSettings {
        ListSettings {
            host: HostSettings::resolve(flags.sources, environment),
            terms: SearchTerms::new(flags.query.iter().map(String::as_str)),
            format: flags.format,
            bytes: flags.bytes,
            no_header: flags.no_header,
            sort: flags.sort,
        }
    }
}

impl ServeSettings {
    fn resolve(flags: Serve, environment: &Environment) -> ServeSettings {
        let Serve { web, engines, shown, selection, limits, process } = flags;
        let naming = Naming { labels: engines.name_from_label.clone() };
        let unlimited = |limit| if limit == 0 { usize::MAX } else { limit };
        ServeSettings {
            annotates: shown.annotate_alias,
            time_zone: environment.time_zone.clone(),
            counts_drops: shown.bpf_drops,
            state: shown
                .state
                .filter(|directory| !directory.is_empty())
                .map(|directory| (directory.into(), shown.state_interval)),
            web: WebSettings {
                routes: Routes::new(
                    web.external_url.as_ref(),
                    web.route_prefix.as_deref(),
                    &web.telemetry_path,
                ),
                external_url: web.external_url,
                listen: web.listen,
                systemd_socket: web.systemd_socket,
                config: web.config,
                metrics: MetricsOptions {
                    max_requests: limits.max_requests,
                    created: shown.created,
                    device_counters: selection.has_device_counters(),
                },
            },
            collector: CollectorSettings {
                interval: shown.interval,
                retention: shown.retention,
                peak_window: shown.peak_window,
                filter: Filter { naming, ..selection.filter() },
                limits: OutputLimits {
                    series: unlimited(limits.series),
                    interfaces: unlimited(limits.interfaces),
                    history: shown.history,
                    tcp: shown.tcp,
                },
            },
            host: HostSettings::resolve(CommonFlags { engines, process }, environment),
        }
    }
}

impl TopSettings {
    fn resolve(flags: Top, environment: &Environment) -> TopSettings {
        TopSettings {
            remote: flags.url.map(|url| (url, flags.connection.options())),
            collector: CollectorSettings {
                interval: flags.interval,
                retention: Duration::ZERO,
                peak_window: TOP_PEAK_WINDOW,
                // The command shows all pairs.
                filter: Filter {
                    naming: Naming { labels: flags.sources.engines.name_from_label.clone() },
                    ..Filter::default()
                },
                limits: OutputLimits { history: false, ..OutputLimits::default() },
            },
            colors: !environment.no_color,
            host: HostSettings::resolve(flags.sources, environment),
        }
    }
}

impl NameFilterSettings {
    fn resolve(flags: NameFilterFlags, environment: &Environment) -> NameFilterSettings {
        NameFilterSettings {
            host: HostSettings::resolve(flags.sources, environment),
            url: flags.url,
            connection: flags.connection.options(),
        }
    }
}

impl HealthySettings {
    fn resolve(flags: cli::Healthy) -> HealthySettings {
        // The path of the metrics is of no use to a health check.
        let routes = Routes::new(flags.external_url.as_ref(), flags.route_prefix.as_deref(), "/metrics");
        HealthySettings { listen: flags.listen, routes }
    }
}

impl HostSettings {
    /// Resolves the flags that all commands share.
    pub(crate) fn resolve(flags: CommonFlags, environment: &Environment) -> HostSettings {
        let CommonFlags { engines: flags, process } = flags;
        let enabled = |source| !flags.disabled.contains(&source);
        let engines = EngineSettings {
            docker: enabled(Source::Docker).then(|| docker(flags.docker_host, environment)),
            podman: enabled(Source::Podman).then(|| EngineHost::new(flags.podman_host, PODMAN_SOCKET)),
            cri_enabled: enabled(Source::Cri),
            cri_endpoint: flags.cri_endpoint,
        };
        HostSettings {
            log: LogSettings { level: process.log_level, format: process.log_format },
            procfs: flags.procfs,
            netns: NetnsSettings {
                enabled: enabled(Source::Named),
                expected: flags.netns.is_some(),
                folder: flags.netns.unwrap_or_else(|| NETNS_FOLDER.into()),
                own: flags.own_netns,
            },
            engines,
            processes: enabled(Source::Process),
            naming: Naming { labels: flags.name_from_label },
            sandbox: SandboxSettings {
                privileges: process.privileges,
                disabled: cli::parts(&process.unconfined),
                read: process.read,
            },
        }
    }
}

impl EngineHost {
    /// Returns the engine that the user named, or the one at the default socket.
    fn new(named: Option<DockerHost>, socket: &str) -> EngineHost {
        let configured = named.is_some();
        EngineHost { host: named.unwrap_or_else(|| DockerHost::Unix(socket.into())), configured }
    }
}

/// Returns the Docker engine: of the flag, else of `$DOCKER_HOST`, else at the default socket.
///
/// # Errors
/// Fails with one line that names DOCKER_HOST if its value is not understood.
fn docker(flag: Option<DockerHost>, environment: &Environment) -> Result<EngineHost, String> {
    let named = match (flag, &environment.docker_host) {
        (Some(host), _) => Some(host),
        (None, Some(text)) => Some(text.parse().map_err(|error| format!("DOCKER_HOST: {error}"))?),
        (None, None) => None,
    };
    Ok(EngineHost::new(named, DOCKER_SOCKET))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::series;
    use std::path::Path;

    fn resolved(flags: &[&str], environment: &Environment) -> Settings {
        let words = [&["veth-exporter"], flags].concat();
        Settings::resolve(Cli::try_read(words).unwrap(), environment)
    }

    fn serve(flags: &[&str]) -> ServeSettings {
        match resolved(flags, &Environment::default()) {
            Settings::Serve(settings) => *settings,
            _ => panic!("{flags:?} is another command"),
        }
    }

    fn top(flags: &[&str], environment: &Environment) -> TopSettings {
        match resolved(&[&["top"], flags].concat(), environment) {
            Settings::Top(settings) => *settings,
            _ => panic!("{flags:?} is another command"),
        }
    }

    #[test]
    fn a_state_directory_with_an_empty_name_is_none() {
        assert_eq!(serve(&[]).state, None);
        assert_eq!(serve(&["--state.directory="]).state, None);
        let state = serve(&["--state.directory", "/s", "--state.interval", "5m"]).state;
        assert_eq!(state, Some(("/s".into(), Duration::from_secs(300))));
    }

    #[test]
    fn each_engine_is_that_of_its_flag_or_of_the_environment_or_the_usual_one() {
        let unix = |path: &str, configured| EngineHost { host: DockerHost::Unix(path.into()), configured };
        for (flags, variable, docker, podman) in [
            (&[][..], None, Ok(unix(DOCKER_SOCKET, false)), unix(PODMAN_SOCKET, false)),
            (&[], Some("unix:///e.sock"), Ok(unix("/e.sock", true)), unix(PODMAN_SOCKET, false)),
            (&[], Some("ssh://host"), Err("DOCKER_HOST: "), unix(PODMAN_SOCKET, false)),
            (
                &["--docker.host", "unix:///d.sock", "--podman.host", "unix:///p.sock"],
                Some("ssh://host"),
                Ok(unix("/d.sock", true)),
                unix("/p.sock", true),
            ),
        ] {
            let environment =
                Environment { docker_host: variable.map(str::to_owned), ..Environment::default() };
            let engines = top(flags, &environment).host.engines;
            match (engines.docker.unwrap(), docker) {
                (Err(reason), Err(start)) => assert!(reason.starts_with(start), "{reason}"),
                (found, wanted) => assert_eq!(found, wanted.map_err(str::to_owned), "{flags:?} {variable:?}"),
            }
            assert_eq!(engines.podman, Some(podman), "{flags:?}");
        }
    }

    #[test]
    fn a_collector_runs_unless_it_is_disabled_by_itself_or_in_a_list() {
        for (flags, on) in [
            (&[][..], [true; 5]),
            (&["--collector.disable", "docker,podman"], [false, false, true, true, true]),
            (
                &["--collector.disable", "cri", "--collector.disable", "named"],
                [true, true, false, false, true],
            ),
            (&["--collector.disable", "process"], [true, true, true, true, false]),
        ] {
            let host = serve(flags).host;
            let engines = host.engines;
            let found = [
                engines.docker.is_some(),
                engines.podman.is_some(),
                engines.cri_enabled,
                host.netns.enabled,
                host.processes,
            ];
            assert_eq!(found, on, "{flags:?}");
        }
    }

    #[test]
    fn a_folder_that_the_user_named_must_exist_and_the_usual_one_need_not() {
        for (flags, folder, expected) in [
            (&[][..], "/run/netns", false),
            (&["--path.netns", "/n"], "/n", true),
            (&["--path.netns=/run/netns"], "/run/netns", true),
        ] {
            let netns = serve(flags).host.netns;
            assert_eq!((netns.folder.as_path(), netns.expected), (Path::new(folder), expected), "{flags:?}");
        }
    }

    #[test]
    fn no_limit_of_series_is_the_greatest_number() {
        for (flags, series) in [
            (&[][..], series::USUAL),
            (&["--limits.series", "7"], 7),
            (&["--limits.series", "0"], usize::MAX),
            (&["serve", "--limits.series", "7"], 7),
        ] {
            assert_eq!(serve(flags).collector.limits.series, series, "{flags:?}");
        }
    }

    #[test]
    fn no_limit_of_interfaces_is_the_greatest_number() {
        for (flags, interfaces) in [
            (&[][..], series::USUAL_INTERFACES),
            (&["--limits.interfaces", "7"], 7),
            (&["--limits.interfaces", "0"], usize::MAX),
        ] {
            assert_eq!(serve(flags).collector.limits.interfaces, interfaces, "{flags:?}");
        }
    }

    #[test]
    fn the_paths_follow_the_external_url_and_the_prefix() {
        let flags = ["--web.external-url", "https://h/veth", "--web.telemetry-path", "/m"];
        assert_eq!(serve(&flags).web.routes.metrics_link(), "/veth/m");
        let Settings::Healthy(settings) =
            resolved(&["healthy", "--web.route-prefix", "/p"], &Environment::default())
        else {
            panic!("another command");
        };
        assert_eq!(settings.routes.health_path(), "/p/-/healthy");
        assert_eq!(settings.listen.len(), 1);
    }

    #[test]
    fn a_part_of_the_sandbox_is_set_unless_it_is_disabled() {
        for (flags, disabled) in [
            (&[][..], BTreeSet::new()),
            (&["--sandbox.disable", "seccomp"], [Part::Seccomp].into()),
            (&["--sandbox.disable", "seccomp,all"], Part::ALL.into()),
        ] {
            assert_eq!(serve(flags).host.sandbox.disabled, disabled, "{flags:?}");
        }
    }

    #[test]
    fn top_shows_this_host_or_the_exporter_of_a_url_in_colors_unless_they_are_not_wanted() {
        let plain = Environment { no_color: true, ..Environment::default() };
        let own = top(&["--interval", "2s"], &plain);
        assert!(own.remote.is_none() && !own.colors);
        assert_eq!(own.collector.interval, Duration::from_secs(2));
        let remote = top(&["--url", "http://h", "--url.user", "alice"], &Environment::default());
        let (url, options) = remote.remote.unwrap();
        assert_eq!((url.to_string().as_str(), options.user.as_deref()), ("http://h", Some("alice")));
        assert!(remote.colors);
    }
}
