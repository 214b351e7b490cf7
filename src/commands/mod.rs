//! What the user can call.

mod check_web_config;
mod find;
mod list;
mod log;
mod look;
mod notify;
mod rows;
mod serve;

use crate::cli::{Cli, Command, LogLevel, Sources};
use crate::kernel::OwnNsid;
use crate::runtimes::process::Processes;
use crate::{collector, kernel};
use anyhow::{Context, anyhow};
use log::Lines;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Runs what the user asked for.
///
/// # Errors
/// What the user is told in one line before the exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::List(flags)) => list::run(&flags),
        Some(Command::Find(flags)) => find::run(&flags),
        Some(Command::CheckWebConfig(flags)) => check_web_config::run(&flags),
    }
}

fn start_log(flags: &Sources) -> anyhow::Result<()> {
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
    let lines = tracing_subscriber::fmt::layer().event_format(Lines(flags.log_format));
    let lines = lines.with_ansi(false).with_writer(std::io::stderr).with_filter(own);
    tracing_subscriber::registry().with(lines).try_init().context("cannot start the log")
}

/// Opens what needs privileges.
fn open_kernel(flags: &Sources) -> anyhow::Result<collector::Sources> {
    let own_nsid = OwnNsid::default();
    let (events, waker) = kernel::Events::open(own_nsid.clone())?;
    Ok(collector::Sources {
        events,
        waker,
        resolver: kernel::Resolver::open(own_nsid)?,
        sampler: kernel::Sampler::open()?,
        mourner: kernel::Sampler::open()?,
        netns_folder: {
            let (path, expected) = flags.netns_folder().map_err(|error| anyhow!(error))?;
            collector::NetnsFolder { path, expected }
        },
        processes: Processes::new(&flags.procfs),
    })
}

fn open_docker(flags: &Sources) -> anyhow::Result<collector::DockerSource> {
    std::fs::read_dir(&flags.procfs).with_context(|| format!("--path.procfs {}", flags.procfs.display()))?;
    Ok(match flags.docker() {
        Ok((host, configured)) => collector::DockerSource::new(host, configured, &flags.procfs),
        Err(reason) => collector::DockerSource::unusable(reason),
    })
}
