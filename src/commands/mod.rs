//! The commands of the program.

mod about_host;
mod check_web_config;
mod collecting;
mod confine;
mod find;
mod healthy;
mod list;
mod log;
mod notify;
mod oneshot;
mod serve;
mod top;

use crate::cli::{Cli, LogLevel};
use crate::collector::Engine;
use crate::kernel::OwnNsid;
use crate::model::workload::Runtime;
use crate::runtimes::docker::EngineAddress;
use crate::runtimes::named::Folder;
use crate::runtimes::process::Processes;
use crate::settings::{Environment, HostSettings, LogSettings, NetnsSettings, Settings};
use crate::{collector, kernel};
use anyhow::{Context, anyhow};
use log::Lines;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Runs the command of the command line.
///
/// # Errors
/// Returns the message that is printed in one line before the exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match Settings::resolve(cli, &Environment::read()) {
        Settings::Serve(settings) => serve::run(*settings),
        Settings::List(settings) => list::run(&settings),
        Settings::Find(settings) => find::run(&settings),
        Settings::Top(settings) => top::run(*settings),
        Settings::CheckWebConfig(file) => check_web_config::run(&file),
        Settings::Healthy(settings) => healthy::run(&settings),
    }
}

fn start_log(settings: LogSettings) -> anyhow::Result<()> {
    let level = match settings.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // At debug level bollard logs whole answers of the engine, environment variables with passwords included.
    let own = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(LevelFilter::WARN.min(level));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines::new(settings.format));
    let lines = lines.with_ansi(false).with_writer(std::io::stderr).with_filter(own);
    tracing_subscriber::registry().with(lines).try_init().context("cannot start the log")
}

/// Opens the sources that need privileges.
fn open_kernel(settings: &HostSettings) -> anyhow::Result<collector::Sources> {
    let own_nsid = OwnNsid::default();
    let table = kernel::TableReader::new(&settings.procfs);
    let (events, waker) = kernel::Events::open(own_nsid.clone())?;
    let resolver = kernel::Resolver::open(own_nsid)?;
    Ok(collector::Sources {
        events,
        waker,
        locator: resolver.open_another()?,
        surveyor: resolver.open_another()?,
        resolver,
        sampler: kernel::Sampler::open()?,
        final_sampler: kernel::FinalSampler::new(table.clone(), kernel::Sampler::open()?),
        table,
        netns_folder: settings.netns.enabled.then(|| open_names(&settings.netns)).transpose()?,
        processes: Processes::new(&settings.procfs),
        wants_own_netns: settings.netns.own,
    })
}

/// Returns the folder of the named namespaces.
///
/// # Errors
/// Fails with one line that names the folder if the user named one that cannot be read.
fn open_names(settings: &NetnsSettings) -> anyhow::Result<collector::NetnsFolder> {
    let NetnsSettings { folder, expected, .. } = settings;
    if *expected {
        std::fs::read_dir(folder).map_err(|error| anyhow!("--path.netns {}: {error}", folder.display()))?;
    }
    Ok(collector::NetnsFolder { names: Folder::new(folder.clone()), expected: *expected })
}

/// Returns the engines to ask; no connection is opened yet.
fn open_engines(settings: &HostSettings) -> anyhow::Result<Vec<Engine>> {
    let HostSettings { procfs, engines: chosen, .. } = settings;
    std::fs::read_dir(procfs).with_context(|| format!("--path.procfs {}", procfs.display()))?;
    let mut engines = Vec::new();
    let docker = match chosen.docker.clone().transpose() {
        Ok(docker) => docker,
        Err(reason) => {
            engines.push(Engine::unusable(Runtime::Docker, reason));
            None
        }
    };
    let podman = chosen.podman.clone();
    let configured = [&docker, &podman].map(|engine| engine.as_ref().is_some_and(|engine| engine.configured));
    let addresses = EngineAddress::both(docker.map(|engine| engine.host), podman.map(|engine| engine.host));
    let named = addresses.into_iter().zip(configured);
    engines.extend(named.filter_map(|(address, configured)| Some(Engine::docker(address?, configured))));
    if chosen.cri_enabled {
        engines.push(Engine::cri(chosen.cri_endpoint.clone()));
    }
    Ok(engines.into_iter().map(|engine| engine.in_pid_namespace_of(procfs)).collect())
}
