//! The metrics: one dump and one text for all who ask together.

use super::body::Body;
use super::connections::Connections;
use super::encoding::{self, Encoding};
use super::places::Places;
use super::text;
use crate::collector::{Handle, Snapshot};
use crate::exposition::encode::{self, Encoder};
use crate::exposition::telemetry::Telemetry;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::sync::OwnedSemaphorePermit;

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Scrapes at a time; 0 for any number.
    pub max_requests: usize,
}

pub(super) struct Metrics {
    collector: Handle,
    places: Places,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    encoder: Encoder,
    telemetry: Telemetry,
    /// The last text, and the snapshot that it shows.
    last: Option<(Weak<Snapshot>, Arc<Text>)>,
}

/// What a snapshot looks like, for all who ask for it.
struct Text {
    plain: Bytes,
    /// `None` inside if it cannot be compressed.
    gzip: OnceLock<Option<Bytes>>,
}

impl Metrics {
    pub fn new(
        collector: Handle,
        limits: Limits,
        connections: Connections,
    ) -> Result<Metrics, prometheus::Error> {
        let places = Places::new(limits.max_requests, connections);
        let writer = Writer { encoder: Encoder::default(), telemetry: Telemetry::new()?, last: None };
        Ok(Metrics { collector, places, writer: Arc::new(Mutex::new(writer)) })
    }

    pub async fn answer(&self, wanted: Encoding) -> Response<Body> {
        let Ok(permit) = self.places.take().await else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "503: as many scrapes as --web.max-requests allows are under way, try again later\n",
            );
        };
        match self.text(wanted).await {
            Some((bytes, encoding)) => exposition(bytes, encoding, permit),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "503: the collector has stopped\n"),
        }
    }

    /// The text as it is sent, and how that is.
    async fn text(&self, wanted: Encoding) -> Option<(Bytes, Encoding)> {
        let snapshot = self.collector.scrape().await?;
        let writer = Arc::clone(&self.writer);
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let write = move || {
            let text = writer.lock().unwrap_or_else(PoisonError::into_inner).write(&snapshot);
            // The writer is free again: whoever wants the plain text does not wait for the compressed one.
            text.encoded(wanted)
        };
        tokio::task::spawn_blocking(write).await.ok()
    }
}

impl Writer {
    fn write(&mut self, snapshot: &Arc<Snapshot>) -> Arc<Text> {
        if let Some((shown, text)) = &self.last
            && std::ptr::eq(shown.as_ptr(), Arc::as_ptr(snapshot))
        {
            return Arc::clone(text);
        }
        let scene = snapshot.view.as_ref().map(|view| view.scene.as_ref());
        let telemetry = self.telemetry.gather(&snapshot.status, scene);
        let plain = Bytes::from(self.encoder.encode(snapshot.view.as_ref(), &telemetry));
        let text = Arc::new(Text { plain, gzip: OnceLock::new() });
        // Held weakly, the snapshot's address is still not given to another.
        self.last = Some((Arc::downgrade(snapshot), Arc::clone(&text)));
        text
    }
}

impl Text {
    /// Compresses at the first call that wants it; those that come meanwhile wait for that one.
    fn encoded(&self, wanted: Encoding) -> (Bytes, Encoding) {
        let compress = || {
            let packed = encoding::gzip(&self.plain);
            packed.inspect_err(|error| tracing::warn!(%error, "cannot compress the metrics")).ok()
        };
        match wanted {
            Encoding::Gzip => match self.gzip.get_or_init(compress) {
                Some(packed) => (packed.clone(), Encoding::Gzip),
                None => (self.plain.clone(), Encoding::Identity),
            },
            Encoding::Identity => (self.plain.clone(), Encoding::Identity),
        }
    }
}

fn exposition(bytes: Bytes, encoding: Encoding, permit: Option<OwnedSemaphorePermit>) -> Response<Body> {
    let mut response = Response::new(Body::limited(bytes, permit));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encode::CONTENT_TYPE));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
