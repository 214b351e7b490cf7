//! `veth-exporter serve`: collects, and serves /metrics.

use super::annotate::Annotation;
use super::explain::{Served, checker};
use super::start::{PageUrl, report_found, report_sandbox};
use super::{about_host, collecting, confine, notify};
use crate::bpf::DropReader;
use crate::collector::calendar::Calendar;
use crate::collector::state::StateDirectory;
use crate::kernel::Reach;
use crate::server::{ListenAddress, Listener};
use crate::settings::{ServeSettings, WebSettings};
use crate::site::{self, About, LiveReaders, Site};
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
pub(super) fn run(settings: ServeSettings) -> anyhow::Result<()> {
    let ServeSettings { annotates, counts_drops, host, web, collector, state, time_zone } = settings;
    super::start_log(host.log)?;
    let mut sources = super::open_kernel(&host)?;
    let mut addresses = sources.resolver.open_another()?;
    // The sandbox permits no new socket for the packet filter.
    let mut explaining = Served::open(&sources, &host)?;
    let checker = checker(&sources, &host)?;
    let engines = super::open_engines(&host)?;
    let listeners = listen(&web)?;
    // The program is loaded while the process still has its capabilities. The exporter runs without it too.
    sources.drops = counts_drops.then(DropReader::load);
    let reads_maps = matches!(sources.drops, Some(Ok(_)));
    let all_events = sources.events.reach == Reach::All;
    let tier = confine::drop_privileges(&host.sandbox)?;
    if let Some(lack) = tier.lacks(all_events, host.sandbox.privileges) {
        tracing::warn!("{lack}");
    }
    // Without the flag there is neither the socket nor the thread.
    let annotation = annotates.then(|| Annotation::open(tier)).transpose()?;
    // The file is read again whenever it changes. It is read here too, as an unreadable file is better
    // reported at the start.
    let config = web.config.as_deref().map(WebConfig::load).transpose()?.unwrap_or_default();
    let unix = web.listen.iter().filter_map(ListenAddress::as_path);
    let external = web.external_url.as_ref().map(ToString::to_string);
    // Files are out of reach afterwards.
    let about_host = about_host::read();
    let page = PageUrl::new(external, config.tls.is_some(), web.routes.page_path(), &about_host.name);
    let calendar = Calendar::open(time_zone.as_deref());
    let state = state.map(|(path, interval)| StateDirectory::open(&path, interval)).transpose()?;
    let written = state.as_ref().and_then(StateDirectory::written);
    let sandbox = confine::confine(&host, config.paths(), unix, written, reads_maps);
    for missing in &sandbox.missing {
        tracing::warn!("sandbox: without {missing}");
    }
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
        let about = About::new(collector.interval, tier.missing(all_events), about_host);
        let handle = collecting::start(collector, host.processes, sources, engines, (state, calendar))?;
        let WebSettings { config, routes, metrics, .. } = web;
        let readers = LiveReaders {
            addresses: Box::new(move |nsid| addresses.addresses(nsid)),
            explanations: Box::new(move |view, query| explaining.explain(view, query)),
        };
        let gate_of_site = Arc::clone(&gate);
        let labels = sandbox.labels();
        let site = Site::new(handle.clone(), routes, metrics, gate_of_site, about, readers, &labels)?;
        if let Some(path) = config {
            tokio::spawn(async move { gate.follow(&path).await });
        }
        tokio::spawn(notify::follow(handle.clone()));
        page.report(&listeners);
        report_sandbox(&sandbox, host.sandbox.privileges);
        tokio::spawn(checker.follow(handle.clone()));
        tokio::spawn(report_found(handle.clone()));
        let annotator = annotation.map(|annotation| annotation.follow(handle.clone())).transpose()?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            notify::stopping();
        };
        let served = site::serve(site, listeners, stop).await;
        handle.finish().await;
        if let Some(annotator) = annotator {
            annotator.clear();
        }
        served.context("cannot serve")
    })
}

fn listen(settings: &WebSettings) -> anyhow::Result<Vec<Listener>> {
    if settings.systemd_socket {
        return Ok(Listener::from_systemd()?);
    }
    Ok(settings.listen.iter().map(Listener::bind).collect::<Result<_, _>>()?)
}
