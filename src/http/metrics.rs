//! The metrics: one dump and one text for all who ask together.

use super::body::Body;
use super::connections::Connections;
use super::encoding::Encoding;
use super::places::Places;
use super::text;
use super::text::{Memory, Room, Text};
use crate::collector::{Handle, Snapshot};
use crate::exposition::encode::{self, Encoder};
use crate::exposition::pieces::Pool;
use crate::exposition::telemetry::Telemetry;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::Mutex;

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
    pool: Pool,
    memory: Memory,
    last: Option<Shown>,
}

/// The last text.
struct Shown {
    /// What it shows. Held weakly, its address is still not given to another.
    snapshot: Weak<Snapshot>,
    /// When that was asked for.
    asked: Instant,
    text: Arc<Text>,
}

impl Metrics {
    pub fn new(
        collector: Handle,
        limits: Limits,
        connections: Connections,
    ) -> Result<Metrics, prometheus::Error> {
        let places = Places::new(limits.max_requests, connections);
        let writer = Writer {
            encoder: Encoder::default(),
            telemetry: Telemetry::new()?,
            pool: Pool::default(),
            memory: Memory::default(),
            last: None,
        };
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
            Some((text, encoding, length)) => {
                exposition(Body::shared(text, encoding, length, permit), encoding)
            }
            None => text(StatusCode::SERVICE_UNAVAILABLE, "503: the collector has stopped\n"),
        }
    }

    /// The text, and how and at what length it is sent.
    async fn text(&self, wanted: Encoding) -> Option<(Arc<Text>, Encoding, usize)> {
        let mut asked = Instant::now();
        let mut snapshot = self.collector.scrape().await?;
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let shown = writer.shown(&snapshot, asked);
        let room = match shown {
            Some(_) => None,
            None => {
                // If nobody reads it, its memory is free.
                writer.last = None;
                let (room, waited) = writer.memory.make_room().await?;
                if waited {
                    asked = Instant::now();
                    snapshot = self.collector.scrape().await?;
                }
                Some(room)
            }
        };
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let write = move || {
            let text = match room {
                Some(room) => Some(writer.write(&snapshot, asked, room)),
                None => shown,
            };
            // Whoever wants the plain text does not wait for the compressed one.
            drop(writer);
            text.map(|text| {
                let (encoding, length) = text.prepare(wanted);
                (text, encoding, length)
            })
        };
        tokio::task::spawn_blocking(write).await.ok()?
    }
}

impl Writer {
    /// The last text, if it shows this snapshot, or a newer one than somebody who came at `came` has waited for.
    fn shown(&self, snapshot: &Arc<Snapshot>, came: Instant) -> Option<Arc<Text>> {
        let last = self.last.as_ref()?;
        let same = std::ptr::eq(last.snapshot.as_ptr(), Arc::as_ptr(snapshot));
        (same || last.asked >= came).then(|| Arc::clone(&last.text))
    }

    fn write(&mut self, snapshot: &Arc<Snapshot>, asked: Instant, room: Room) -> Arc<Text> {
        let scene = snapshot.view.as_ref().map(|view| view.scene.as_ref());
        let telemetry = self.telemetry.gather(&snapshot.status, scene);
        let mut out = self.pool.begin();
        self.encoder.encode(snapshot.view.as_ref(), &telemetry, &mut out);
        let text = Arc::new(Text::new(out.finish(), self.pool.clone(), room));
        self.memory.note(&text);
        self.last = Some(Shown { snapshot: Arc::downgrade(snapshot), asked, text: Arc::clone(&text) });
        text
    }
}

fn exposition(body: Body, encoding: Encoding) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encode::CONTENT_TYPE));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
