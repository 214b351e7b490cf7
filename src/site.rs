//! Edge: the answer of each path.

mod about;
pub mod accept;
mod addresses;
mod api;
mod explain;
mod metrics;
mod page;
mod readers;
mod routes;
mod stream;

use crate::collector::Handle;
use crate::server::body::{Body, text};
use crate::server::connections::{Connection, Connections};
use crate::server::{self, Encoding, Listener};
use crate::web_config::Gate;
use addresses::{Addresses, ReadAddresses};
use explain::{Explanations, ReadExplanations};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use metrics::Metrics;
use page::Page;
use routes::Route;
use rustls::ServerConfig;
use std::future::Future;
use std::io;
use std::sync::Arc;
use stream::Streams;

pub use about::About;
pub use metrics::MetricsOptions;
pub(crate) use routes::ExternalUrl;
pub use routes::Routes;

/// Everything that the server answers with.
pub struct Site {
    collector: Handle,
    metrics: Metrics,
    streams: Streams,
    addresses: Addresses,
    explanations: Explanations,
    page: Page,
    routes: Routes,
    gate: Arc<Gate>,
    connections: Connections,
}

/// The readers of what no event of the kernel reports: each is called when a client asks.
pub struct LiveReaders {
    pub(crate) addresses: ReadAddresses,
    pub(crate) explanations: ReadExplanations,
}

impl Default for LiveReaders {
    /// Returns readers that find nothing.
    fn default() -> LiveReaders {
        LiveReaders { addresses: Box::new(|_| Ok(Vec::new())), explanations: Box::new(|_, _| Ok(Vec::new())) }
    }
}

impl Site {
    /// Returns a site that shows what this collector knows to requests that pass the gate, and by these
    /// labels how the process is confined.
    ///
    /// # Errors
    /// If the exporter's own metrics cannot be registered.
    pub fn new(
        collector: Handle,
        routes: Routes,
        options: MetricsOptions,
        gate: Arc<Gate>,
        about: About,
        readers: LiveReaders,
        sandbox: &[(&'static str, &str)],
    ) -> Result<Site, prometheus::Error> {
        let connections = Connections::default();
        let about = Arc::new(about);
        let metrics =
            Metrics::new(collector.clone(), Arc::clone(&about), options, connections.clone(), sandbox)?;
        let streams = Streams::new(collector.clone(), about);
        let (addresses, page) = (Addresses::new(readers.addresses), Page::new(&routes));
        let explanations = Explanations::new(readers.explanations);
        Ok(Site { metrics, streams, addresses, explanations, page, collector, routes, gate, connections })
    }

    async fn respond<B>(&self, request: &Request<B>, connection: &Arc<Connection>) -> Response<Body> {
        let Some(route) = self.routes.route(request.uri().path()) else {
            return text(
                StatusCode::NOT_FOUND,
                "404: there is nothing here; the metrics are linked from /\n",
            );
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "405: only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match route {
            Route::Landing => self.page.index(request.headers()),
            Route::PageFile(file) => self.page.file(file, request.headers()),
            Route::Healthy => text(StatusCode::OK, "Healthy\n"),
            Route::Ready if self.collector.is_ready() => text(StatusCode::OK, "Ready\n"),
            Route::Ready => {
                text(StatusCode::SERVICE_UNAVAILABLE, "Not ready: the first look at the host is not over\n")
            }
            Route::Metrics => {
                let wanted = request.headers().get_all(ACCEPT).iter();
                let format = accept::negotiate(wanted.filter_map(|value| value.to_str().ok()));
                self.metrics.answer(format, Encoding::negotiate(request.headers())).await
            }
            Route::Cadvisor => self.metrics.answer_as_cadvisor(Encoding::negotiate(request.headers())).await,
            Route::Pairs => api::answer(&self.metrics, request).await,
            Route::Addresses => self.addresses.answer(&self.collector, request).await,
            Route::Explain => self.explanations.answer(&self.collector, request).await,
            Route::Events => api::answer_events(&self.collector, request).await,
            Route::Stream => self.streams.answer(request, connection).await,
            Route::Redirect => self.redirect(),
        }
    }

    fn redirect(&self) -> Response<Body> {
        let mut response = text(StatusCode::FOUND, "302: the exporter is further down\n");
        if let Ok(target) = HeaderValue::from_str(&self.routes.link("/")) {
            response.headers_mut().insert(LOCATION, target);
        }
        response
    }
}

impl server::Service for Site {
    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.gate.config().tls.clone()
    }

    async fn answer(&self, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
        let config = self.gate.config();
        let mut response = match self.gate.refusal(&config, request.headers()).await {
            Some(refusal) => refusal,
            None => self.respond(&request, connection).await,
        };
        for (name, value) in &config.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    async fn end_streams(&self) {
        self.streams.end().await;
    }
}

/// Serves a site on all listeners until `shutdown`, then lets the requests under way end.
///
/// # Errors
/// If a listener cannot be used.
pub async fn serve(
    site: Site,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections = site.connections.clone();
    server::serve(site, connections, listeners, shutdown).await
}
