//! The commands of the program.

mod about_host;
mod annotate;
mod check_web_config;
mod collecting;
mod completions;
mod confine;
mod explain;
mod find;
mod healthy;
mod list;
mod log;
mod lookup;
mod name_filter;
mod names;
mod notify;
mod oneshot;
mod serve;
mod start;
mod top;

use crate::cli::{Cli, LogFormat, LogLevel, name_variables};
use crate::collector::Engine;
use crate::kernel::OwnNsid;
use crate::model::text::printable;
use crate::model::workload::Runtime;
use crate::runtimes::docker::EngineAddress;
use crate::runtimes::named::Folder;
use crate::runtimes::process::Processes;
use crate::settings::{Environment, HostSettings, LogSettings, NetnsSettings, Settings};
use crate::{collector, kernel};
use anyhow::{Context, anyhow};
use log::{LineFormat, Lines};
use std::io::Write;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Runs the command of the command line. A failure is printed in one line on standard error.
pub fn run(cli: Cli) -> ExitCode {
    let variables = cli.variables().to_vec();
    match run_command(cli) {
        Ok(code) => code,
        Err(error) => {
            print_message(&name_variables(&format!("{error:#}"), &variables));
            ExitCode::FAILURE
        }
    }
}

/// Prints a message for the user on standard error; a reader that has gone is no error.
fn print_message(text: &str) {
    // A line that nothing reads any more is lost.
    let _ = writeln!(std::io::stderr().lock(), "veth-exporter: {}", printable(text));
}

/// Runs the command, and returns its exit code.
///
/// # Errors
/// Returns the message for the user.
fn run_command(cli: Cli) -> anyhow::Result<ExitCode> {
    match Settings::resolve(cli, &Environment::read()) {
        Settings::Serve(settings) => serve::run(*settings),
        Settings::List(settings) => list::run(&settings),
        Settings::Find(settings) => find::run(&settings),
        Settings::Top(settings) => top::run(*settings),
        Settings::NameFilter(settings) => name_filter::run(settings),
        Settings::ClearAliases => annotate::clear(),
        Settings::CheckWebConfig(file) => check_web_config::run(&file),
        Settings::Healthy(settings) => healthy::run(&settings),
        Settings::Completions(shell) => completions::run(shell),
        Settings::Names(settings) => names::run(&settings),
        Settings::Explain(settings) => return explain::run(&settings),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the log of a program that runs until it is stopped.
fn start_log(settings: LogSettings) -> anyhow::Result<()> {
    start_lines(settings.level.unwrap_or(LogLevel::Info), settings.format.unwrap_or(LogFormat::Logfmt).into())
}

/// Starts the messages of a command that prints and ends: warnings only, in plain words, unless the user has
/// chosen otherwise.
fn start_messages(settings: LogSettings) -> anyhow::Result<()> {
    let format = settings.format.map_or(LineFormat::Plain, LineFormat::from);
    start_lines(settings.level.unwrap_or(LogLevel::Warn), format)
}

fn start_lines(level: LogLevel, format: LineFormat) -> anyhow::Result<()> {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // At debug level bollard logs whole answers of the engine, environment variables with passwords included.
    let own = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(LevelFilter::WARN.min(level));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines::new(format));
    // A line that nothing reads any more is lost, and is no reason to end.
    let lines = lines.log_internal_errors(false);
    let lines = lines.with_ansi(false).with_writer(std::io::stderr).with_filter(own);
    tracing_subscriber::registry().with(lines).try_init().context("cannot start the log")
}

/// Opens the sources that need privileges.
fn open_kernel(settings: &HostSettings) -> anyhow::Result<collector::Sources> {
    let own_nsid = OwnNsid::default();
    let table = kernel::TableReader::new(&settings.procfs);
    let (mut events, waker) = kernel::Events::open(own_nsid.clone())?;
    let sampler = kernel::Sampler::open()?;
    events.ignore_readings_of(&sampler);
    let resolver = kernel::Resolver::open(own_nsid)?;
    Ok(collector::Sources {
        events,
        waker,
        locator: resolver.open_another()?,
        surveyor: resolver.open_another()?,
        tcp: kernel::TcpReader::new(resolver.open_another()?, &settings.procfs),
        drops: None,
        resolver,
        sampler,
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
