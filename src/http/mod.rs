//! Edge: HTTP. Which path gives what, and within which limits.

pub mod accept;
mod any_certificate;
mod body;
mod client;
mod connections;
mod encoding;
mod gate;
mod listen;
mod metrics;
mod page;
mod pairs;
mod permits;
mod rate_limit;
mod remote;
mod routes;
mod server;
mod stream;
mod text;
mod users;
mod web_config;
mod wire;

use crate::collector::Handle;
use body::Body;
use connections::{Connection, Connections};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use metrics::Metrics;
use page::Page;
use routes::Route;
use std::sync::Arc;
use stream::Streams;

pub(crate) use client::check_health;
pub use encoding::Encoding;
pub use gate::Gate;
pub use listen::{ListenAddress, Listener};
pub use metrics::ScrapeLimits;
pub(crate) use pairs::to_json as pairs_as_json;
pub(crate) use remote::{Remote, RemoteOptions, RemoteUrl};
pub(crate) use routes::ExternalUrl;
pub use routes::Routes;
pub use server::serve;
pub use stream::About;
pub use web_config::WebConfig;

/// Everything that the server answers with.
pub struct Site {
    collector: Handle,
    metrics: Metrics,
    streams: Streams,
    page: Page,
    routes: Routes,
    gate: Arc<Gate>,
    connections: Connections,
}

impl Site {
    /// A site that shows what this collector knows to whoever may pass the gate, and by these labels how
    /// the process is confined.
    ///
    /// # Errors
    /// If the exporter's own metrics cannot be registered.
    pub fn new(
        collector: Handle,
        routes: Routes,
        limits: ScrapeLimits,
        gate: Arc<Gate>,
        about: About,
        sandbox: &[(&'static str, &str)],
    ) -> Result<Site, prometheus::Error> {
        let connections = Connections::default();
        let metrics = Metrics::new(collector.clone(), limits, connections.clone(), sandbox)?;
        let streams = Streams::new(collector.clone(), about);
        Ok(Site { metrics, streams, page: Page::new(&routes), collector, routes, gate, connections })
    }

    async fn answer<B>(&self, request: &Request<B>, connection: &Arc<Connection>) -> Response<Body> {
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
            Route::Pairs => pairs::answer(&self.metrics, request).await,
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

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(message.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
