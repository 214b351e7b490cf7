//! `veth-exporter serve`: collects, and serves /metrics.

use super::collecting::{self, CollectorOptions};
use super::{confine, notify};
use crate::cli::Serve;
use crate::kernel::Reach;
use crate::model::view::Source;
use crate::server::{ListenAddress, Listener};
use crate::site::{self, About, Routes, ScrapeLimits, Site};
use crate::web_config::{Gate, WebConfig};
use anyhow::Context;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The number of threads that write and compress texts, and compare passwords; further work waits.
const BLOCKING: usize = 16;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Fails with one line that names the obstacle if it cannot start.
pub(super) fn run(flags: &Serve) -> anyhow::Result<()> {
    super::start_log(&flags.sources)?;
    let sources = super::open_kernel(&flags.sources)?;
    let engines = super::open_engines(&flags.sources)?;
    let listeners = listen(flags)?;
    let all_events = sources.events.reach == Reach::All;
    let tier = confine::drop_privileges(&flags.sources)?;
    if let Some(lack) = tier.lacks(all_events, flags.sources.privileges) {
        tracing::warn!("{lack}");
    }
    // The file is read again whenever it changes. It is read here too, as an unreadable file is better
    // reported at the start.
    let config = flags.web_config.as_deref().map(WebConfig::load).transpose()?.unwrap_or_default();
    let unix = flags.listen.iter().filter_map(ListenAddress::as_path);
    let sandbox = confine::confine(&flags.sources, config.paths(), unix);
    let gate = Arc::new(Gate::new(config)?);
    // The first thread starts here.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let wishes = CollectorOptions {
            interval: flags.interval,
            retention: flags.retention,
            peak_window: flags.peak_window,
            processes: flags.sources.is_on(Source::Process),
            filter: flags.selection.filter(),
            series: flags.series_limit(),
        };
        let handle = collecting::start(wishes, sources, engines)?;
        let limits = ScrapeLimits { max_requests: flags.max_requests };
        let routes =
            Routes::new(flags.external_url.as_ref(), flags.route_prefix.as_deref(), &flags.telemetry_path);
        let about = About::new(flags.interval, tier.missing(all_events));
        let site = Site::new(handle.clone(), routes, limits, Arc::clone(&gate), about, &sandbox.labels())?;
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
        let served = site::serve(site, listeners, stop).await;
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
