//! The metrics: one dump and one text for all who ask together.

use super::body::Body;
use super::text;
use crate::collector::{Handle, Snapshot};
use crate::exposition::encode::{self, Encoder};
use crate::exposition::telemetry::Telemetry;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Scrapes at a time; 0 for any number.
    pub max_requests: usize,
}

pub(super) struct Metrics {
    collector: Handle,
    places: Option<Arc<Semaphore>>,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    encoder: Encoder,
    telemetry: Telemetry,
    /// The last text, and the snapshot that it shows.
    last: Option<(Weak<Snapshot>, Bytes)>,
}

impl Metrics {
    pub fn new(collector: Handle, limits: Limits) -> Result<Metrics, prometheus::Error> {
        let places = (limits.max_requests > 0).then(|| Arc::new(Semaphore::new(limits.max_requests)));
        let writer = Writer { encoder: Encoder::default(), telemetry: Telemetry::new()?, last: None };
        Ok(Metrics { collector, places, writer: Arc::new(Mutex::new(writer)) })
    }

    pub async fn answer(&self) -> Response<Body> {
        let Ok(permit) =
            self.places.as_ref().map(|places| Arc::clone(places).try_acquire_owned()).transpose()
        else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "503: as many scrapes as --web.max-requests allows are under way, try again later\n",
            );
        };
        match self.text().await {
            Some(bytes) => exposition(bytes, permit),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "503: the collector has stopped\n"),
        }
    }

    async fn text(&self) -> Option<Bytes> {
        let snapshot = self.collector.scrape().await?;
        let writer = Arc::clone(&self.writer);
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let write = move || writer.lock().unwrap_or_else(PoisonError::into_inner).write(&snapshot);
        tokio::task::spawn_blocking(write).await.ok()
    }
}

impl Writer {
    fn write(&mut self, snapshot: &Arc<Snapshot>) -> Bytes {
        if let Some((shown, bytes)) = &self.last
            && std::ptr::eq(shown.as_ptr(), Arc::as_ptr(snapshot))
        {
            return bytes.clone();
        }
        let scene = snapshot.view.as_ref().map(|view| view.scene.as_ref());
        let telemetry = self.telemetry.gather(&snapshot.status, scene);
        let bytes = Bytes::from(self.encoder.encode(snapshot.view.as_ref(), &telemetry));
        // Held weakly, the snapshot's address is still not given to another.
        self.last = Some((Arc::downgrade(snapshot), bytes.clone()));
        bytes
    }
}

fn exposition(bytes: Bytes, permit: Option<OwnedSemaphorePermit>) -> Response<Body> {
    let mut response = Response::new(Body::limited(bytes, permit));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encode::CONTENT_TYPE));
    response
}
