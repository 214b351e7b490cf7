//! Edge: HTTP. Which path gives what, and within which limits.

mod body;
mod client;
mod encoding;
mod metrics;
mod text;

use crate::collector::Handle;
use body::Body;
use encoding::Encoding;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use metrics::Metrics;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

pub use client::{Unhealthy, check_health};
pub use metrics::Limits;

/// A client has this long to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// At the end, requests under way have this long.
const GRACE: Duration = Duration::from_secs(3);

/// A listener that has no descriptor left for a connection waits this long before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
pub struct Site {
    collector: Handle,
    metrics: Metrics,
    cadvisor: Metrics,
    telemetry_path: String,
}

/// Where cAdvisor's metrics are, as in kubelet.
pub const CADVISOR_PATH: &str = "/metrics/cadvisor";

impl Site {
    /// A site that shows what this collector knows.
    ///
    /// # Errors
    /// If the exporter's own metrics cannot be registered.
    pub fn new(collector: Handle, telemetry_path: String, limits: Limits) -> Result<Site, prometheus::Error> {
        let metrics = Metrics::new(collector.clone(), limits)?;
        Ok(Site { cadvisor: metrics.as_cadvisor(), metrics, collector, telemetry_path })
    }

    async fn answer(&self, method: &Method, path: &str, wanted: Encoding) -> Response<Body> {
        let known =
            path == self.telemetry_path || matches!(path, "/" | "/-/healthy" | "/-/ready" | CADVISOR_PATH);
        if !known {
            return text(
                StatusCode::NOT_FOUND,
                "404: there is nothing here; the metrics are linked from /\n",
            );
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "405: only GET and HEAD\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/" => self.landing_page(),
            "/-/healthy" => text(StatusCode::OK, "Healthy\n"),
            "/-/ready" if self.collector.is_ready() => text(StatusCode::OK, "Ready\n"),
            "/-/ready" => {
                text(StatusCode::SERVICE_UNAVAILABLE, "Not ready: the first look at the host is not over\n")
            }
            CADVISOR_PATH => self.cadvisor.answer(wanted).await,
            _ => self.metrics.answer(wanted).await,
        }
    }

    fn landing_page(&self) -> Response<Body> {
        let page = include_str!("landing.html").replace("{version}", env!("CARGO_PKG_VERSION")).replace(
            "{metrics}",
            &self.telemetry_path.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;"),
        );
        let mut response = Response::new(Body::from(page));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(message.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Serves on all listeners until `shutdown`, then lets the requests under way end.
///
/// # Errors
/// If a listener cannot be used.
pub async fn serve(
    site: Site,
    listeners: Vec<std::net::TcpListener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let site = Arc::new(site);
    let graceful = Arc::new(GracefulShutdown::new());
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        accepting.spawn(accept(TcpListener::from_std(listener)?, Arc::clone(&site), Arc::clone(&graceful)));
    }
    shutdown.await;
    accepting.shutdown().await;
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("some clients did not take their answer in time");
    }
    Ok(())
}

async fn accept(listener: TcpListener, site: Arc<Site>, graceful: Arc<GracefulShutdown>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let site = Arc::clone(&site);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let site = Arc::clone(&site);
            async move {
                let wanted = Encoding::negotiate(request.headers());
                Ok::<_, Infallible>(site.answer(request.method(), request.uri().path(), wanted).await)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}
