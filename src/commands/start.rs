//! The lines of the log about the start: where the page is, how the process is confined, and what was found.

use crate::collector::{Handle, Snapshot};
use crate::model::lack::Lack;
use crate::model::policy::HOLD_BACK;
use crate::model::view::{Scene, Source, Status};
use crate::sandbox::{Privileges, Sandbox};
use crate::server::Listener;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The longest wait for a tick: a user may have chosen a much longer interval.
const FIRST_TICK: Duration = Duration::from_secs(3);

/// The interval of the checks whether the first reading of the host is over.
const LOOK: Duration = Duration::from_millis(20);

/// The parts of the URL of the page.
pub(super) struct PageUrl {
    /// The URL that the user has named.
    external: Option<String>,
    /// True if the server speaks TLS.
    tls: bool,
    path: String,
    host: String,
}

impl PageUrl {
    /// Returns the parts; `path` is that of the page, `host` the host's name or empty.
    pub(super) fn new(external: Option<String>, tls: bool, path: String, host: &str) -> PageUrl {
        let host = if host.is_empty() { "localhost" } else { host }.to_owned();
        PageUrl { external, tls, path, host }
    }

    /// Returns the URL to open in a browser: the one that the user has named, else of the host's name where
    /// the exporter serves on every address. A unix socket has none.
    fn of(&self, address: Option<SocketAddr>) -> Option<String> {
        if self.external.is_some() {
            return self.external.clone();
        }
        let address = address?;
        let scheme = if self.tls { "https" } else { "http" };
        let place = match address.ip().is_unspecified() {
            true => format!("{}:{}", self.host, address.port()),
            false => address.to_string(),
        };
        Some(format!("{scheme}://{place}{}", self.path))
    }

    /// Writes a line for each listener, with the URL to open.
    pub(super) fn report(&self, listeners: &[Listener]) {
        for listener in listeners {
            let (address, version) = (listener.to_string(), env!("CARGO_PKG_VERSION"));
            match self.of(listener.tcp_address()) {
                Some(open) => tracing::info!(address, open, version, "listening"),
                None => tracing::info!(address, version, "listening"),
            }
        }
    }
}

/// Writes a line with the privileges and the parts of the sandbox that are in force.
pub(super) fn report_sandbox(sandbox: &Sandbox, privileges: Privileges) {
    let [capabilities, no_new_privs, dumpable, seccomp, landlock] = sandbox.labels().map(|(_, value)| value);
    let privileges = match privileges {
        Privileges::Full => "full",
        Privileges::Minimal => "minimal",
    };
    tracing::info!(privileges, capabilities, no_new_privs, dumpable, seccomp, landlock, "confined");
}

/// Writes a line with what was found, once the first view is there.
pub(super) async fn report_found(collector: Handle) {
    while !collector.is_ready() {
        tokio::time::sleep(LOOK).await;
    }
    // Until then a pair waits for its name: the engines that answer at all have answered.
    let named = Instant::now() + HOLD_BACK;
    let snapshot = loop {
        let snapshot = match timeout(FIRST_TICK, collector.next_tick()).await {
            Ok(snapshot) => snapshot,
            Err(_) => collector.scrape().await,
        };
        if snapshot.is_none() || Instant::now() >= named {
            break snapshot;
        }
    };
    if let Some(found) = snapshot.as_deref().and_then(FirstView::of) {
        let FirstView { engines, lacking, pairs, workloads, networks } = found;
        match lacking.as_str() {
            "" => tracing::info!(engines, pairs, workloads, networks, "found"),
            // What each of them lacks, and what would give it, has a line of its own.
            lacking => tracing::info!(engines, pairs, workloads, networks, lacking, "found"),
        }
    }
}

/// The contents of the first view.
#[derive(Debug, PartialEq, Eq)]
struct FirstView {
    /// The engines that answer.
    engines: String,
    /// The sources that have failed or are limited, with the reasons.
    lacking: String,
    pairs: usize,
    workloads: usize,
    networks: usize,
}

impl FirstView {
    fn of(snapshot: &Snapshot) -> Option<FirstView> {
        Some(FirstView::new(&snapshot.view.as_ref()?.scene, &snapshot.status))
    }

    fn new(scene: &Scene, status: &Status) -> FirstView {
        let sources = &status.sources;
        let is_engine = |source: &Source| matches!(source, Source::Docker | Source::Podman | Source::Cri);
        let answering = sources.iter().filter(|(source, status)| is_engine(source) && status.result.is_ok());
        let version = |source: &Source| {
            let mut known =
                status.engines.iter().filter(|(runtime, _)| Source::of(**runtime) == Some(*source));
            known.next().map_or("", |(_, version)| version.as_str())
        };
        let engines: Vec<String> = answering
            .map(|(source, _)| format!("{} {}", source.as_str(), version(source)).trim_end().to_owned())
            .collect();
        let lacks = |lacks: &mut dyn Iterator<Item = &Lack>| {
            lacks.map(|lack| lack.reason.as_str()).collect::<Vec<_>>().join("+")
        };
        let lacking = sources.iter().filter(|(_, status)| status.lacks().next().is_some());
        let lacking: Vec<String> = lacking
            .map(|(source, status)| format!("{}:{}", source.as_str(), lacks(&mut status.lacks())))
            .collect();
        FirstView {
            engines: if engines.is_empty() { "none".to_owned() } else { engines.join(", ") },
            lacking: lacking.join(","),
            pairs: scene.pairs.len(),
            workloads: scene.ownerships.len(),
            networks: scene.networks.labels.iter().filter(|labels| !labels.network.is_empty()).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lack::LackReason;
    use crate::model::view::SourceStatus;
    use crate::model::workload::Runtime;

    #[test]
    fn the_url_is_the_users_or_that_of_the_host_or_that_of_the_address() {
        let url = |external: Option<&str>, tls, address: &str| {
            let page = PageUrl::new(external.map(str::to_owned), tls, "/veth/".into(), "vm1");
            page.of(address.parse().ok())
        };
        for (external, tls, address, wanted) in [
            (None, false, "[::]:10736", Some("http://vm1:10736/veth/")),
            (None, true, "0.0.0.0:1", Some("https://vm1:1/veth/")),
            (None, false, "127.0.0.1:10736", Some("http://127.0.0.1:10736/veth/")),
            (None, false, "[::1]:7", Some("http://[::1]:7/veth/")),
            (Some("https://h/x/"), false, "[::]:10736", Some("https://h/x/")),
            (None, false, "unix", None),
        ] {
            assert_eq!(url(external, tls, address).as_deref(), wanted, "{external:?} {tls} {address}");
        }
        assert_eq!(PageUrl::new(None, false, "/".into(), "").host, "localhost");
    }

    #[test]
    fn what_was_found_names_the_engines_that_answer_and_what_lacks_something() {
        let mut status = Status::default();
        let works = || SourceStatus::new(Ok(()), Duration::ZERO);
        status.sources.extend([(Source::Links, works()), (Source::Podman, works())]);
        status.engines.insert(Runtime::Podman, "5.8.0".to_owned());
        let lack = Lack::new(LackReason::Permission, "permission denied at x");
        status.sources.insert(Source::Docker, SourceStatus::new(Err(lack), Duration::ZERO));
        let snapshot = Snapshot { view: None, status, epoch: Duration::ZERO, state: None };
        assert_eq!(FirstView::of(&snapshot), None, "before the first view");
        let found = FirstView::new(&Scene::default(), &snapshot.status);
        assert_eq!((found.engines.as_str(), found.lacking.as_str()), ("podman 5.8.0", "docker:permission"));
        assert_eq!((found.pairs, found.workloads, found.networks), (0, 0, 0));
    }
}
