//! `veth-exporter serve`: collect, and serve /metrics.

use super::{confine, notify};
use crate::cli::Serve;
use crate::collector;
use crate::collector::Engine;
use crate::http::{self, Gate, Limits, ListenAddress, Listener, Routes, Site, WebConfig};
use crate::kernel::Reach;
use crate::model::host::{Config, Learning};
use crate::model::view::Source;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long an end without an owner is kept back while a runtime may still name it.
const HOLD_BACK: Duration = Duration::from_secs(1);

/// Changes are judged together, after so long and so much longer for each pair: judging 5,000 pairs takes some
/// milliseconds, and must not take more than a small part of the time in any burst.
const GATHER: Duration = Duration::from_millis(2);
const GATHER_A_PAIR: Duration = Duration::from_micros(20);

/// How often all is read again although events tell what changes.
const RESYNC: Duration = Duration::from_secs(300);

/// At least so long an owner stays after nobody claims the namespace any more.
const LEAVING: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start: one line that names what is in the way.
pub fn run(flags: &Serve) -> anyhow::Result<()> {
    super::start_log(&flags.sources)?;
    let sources = super::open_kernel(&flags.sources)?;
    let engines = super::open_engines(&flags.sources)?;
    let listeners = listen(flags)?;
    confine::drop_privileges(&flags.sources, sources.events.reach == Reach::All)?;
    // Only now: it is read again whenever it changes, and what cannot be read then is better told at once.
    let config = flags.web_config.as_deref().map(WebConfig::load).transpose()?.unwrap_or_default();
    let unix = flags.listen.iter().filter_map(ListenAddress::as_path);
    let sandbox = confine::confine(&flags.sources, config.places(), unix);
    let gate = Arc::new(Gate::new(config)?);
    // The first thread starts here.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let config = Config {
            retention: flags.retention,
            hold_back: HOLD_BACK,
            leaving: LEAVING.max(2 * flags.interval),
            peak_window: flags.peak_window,
            learning: match sources.events.reach {
                Reach::All => Learning::Events,
                Reach::Host => Learning::Polling,
            },
            processes: flags.sources.is_on(Source::Process),
            gather: GATHER,
            gather_a_pair: GATHER_A_PAIR,
            resync: RESYNC,
            pods: engines.iter().any(Engine::may_tell_of_pods),
            filter: flags.selection.filter(),
        };
        let (handle, exits) =
            collector::start(config, flags.interval, sources, engines.iter().map(Engine::runtime))?;
        tokio::spawn(collector::watch_exits(exits, handle.clone()));
        for engine in engines {
            tokio::spawn(engine.follow(handle.clone()));
        }
        let limits = Limits { max_requests: flags.max_requests };
        let routes =
            Routes::new(flags.external_url.as_ref(), flags.route_prefix.as_deref(), &flags.telemetry_path);
        let site = Site::new(handle.clone(), routes, limits, Arc::clone(&gate), &sandbox.labels())?;
        if let Some(path) = flags.web_config.clone() {
            tokio::spawn(async move { gate.follow(&path).await });
        }
        tokio::spawn(notify::follow(handle.clone()));
        for listener in &listeners {
            tracing::info!(address = %listener, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            notify::stopping();
        };
        let served = http::serve(site, listeners, stop).await;
        handle.stop();
        served.context("cannot serve")
    })
}

fn listen(flags: &Serve) -> anyhow::Result<Vec<Listener>> {
    if flags.systemd_socket {
        return Ok(Listener::from_systemd()?);
    }
    Ok(flags.listen.iter().map(Listener::bind).collect::<Result<_, _>>()?)
}
