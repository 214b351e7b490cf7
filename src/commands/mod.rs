//! The commands of the program.

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

use crate::cli::{Cli, Command, CommonFlags, LogLevel};
use crate::collector::Engine;
use crate::kernel::OwnNsid;
use crate::model::view::Source;
use crate::model::workload::Runtime;
use crate::runtimes::docker::EngineAddress;
use crate::runtimes::named::Folder;
use crate::runtimes::process::Processes;
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
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::List(flags)) => list::run(&flags),
        Some(Command::Find(flags)) => find::run(&flags),
        Some(Command::Top(flags)) => top::run(&flags),
        Some(Command::CheckWebConfig(flags)) => check_web_config::run(&flags),
        Some(Command::Healthy(flags)) => healthy::run(&flags),
    }
}

fn start_log(flags: &CommonFlags) -> anyhow::Result<()> {
    let level = match flags.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // At debug level bollard logs whole answers of the engine, environment variables with passwords included.
    let own = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(LevelFilter::WARN.min(level));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines::new(flags.log_format));
    let lines = lines.with_ansi(false).with_writer(std::io::stderr).with_filter(own);
    tracing_subscriber::registry().with(lines).try_init().context("cannot start the log")
}

/// Opens the sources that need privileges.
fn open_kernel(flags: &CommonFlags) -> anyhow::Result<collector::Sources> {
    let own_nsid = OwnNsid::default();
    let table = kernel::DeviceTable::new(&flags.procfs);
    let (events, waker) = kernel::Events::open(own_nsid.clone())?;
    Ok(collector::Sources {
        events,
        waker,
        resolver: kernel::Resolver::open(own_nsid.clone())?,
        locator: kernel::Resolver::open(own_nsid)?,
        sampler: kernel::Sampler::open()?,
        final_sampler: kernel::FinalSampler::new(table.clone(), kernel::Sampler::open()?),
        table,
        netns_folder: match flags.is_on(Source::Named) {
            true => {
                let (path, expected) = flags.netns_folder().map_err(|error| anyhow!(error))?;
                Some(collector::NetnsFolder { names: Folder::new(path), expected })
            }
            false => None,
        },
        processes: Processes::new(&flags.procfs),
    })
}

/// Returns the engines to ask; no connection is opened yet.
fn open_engines(flags: &CommonFlags) -> anyhow::Result<Vec<Engine>> {
    std::fs::read_dir(&flags.procfs).with_context(|| format!("--path.procfs {}", flags.procfs.display()))?;
    let docker = flags.is_on(Source::Docker).then(|| flags.docker());
    let podman = flags.is_on(Source::Podman).then(|| flags.podman());
    let mut engines = Vec::new();
    let (docker, docker_configured) = match docker {
        Some(Ok((host, configured))) => (Some(host), configured),
        Some(Err(reason)) => {
            engines.push(Engine::unusable(Runtime::Docker, reason));
            (None, false)
        }
        None => (None, false),
    };
    let (podman, podman_configured) = podman.unzip();
    let configured = [docker_configured, podman_configured.unwrap_or_default()];
    let addresses = EngineAddress::both(docker, podman).into_iter().zip(configured);
    engines.extend(addresses.filter_map(|(address, configured)| Some(Engine::docker(address?, configured))));
    if flags.is_on(Source::Cri) {
        engines.push(Engine::cri(flags.cri_endpoint.clone()));
    }
    Ok(engines.into_iter().map(|engine| engine.in_pid_namespace_of(&flags.procfs)).collect())
}
