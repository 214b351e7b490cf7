//! The metrics: one dump and one text for all who ask together.

use super::body::Body;
use super::encoding::Encoding;
use super::text;
use super::text::{Place, Places, Text};
use crate::collector::{Handle, Snapshot};
use crate::exposition::cadvisor;
use crate::exposition::encode::{self, Encoder};
use crate::exposition::pieces::Pool;
use crate::exposition::telemetry::Telemetry;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{Mutex, Semaphore};

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Scrapes at a time; 0 for any number.
    pub max_requests: usize,
}

pub(super) struct Metrics {
    collector: Handle,
    /// The links that are no veths are read too.
    reads_others: bool,
    places: Option<Arc<Semaphore>>,
    writer: Arc<Mutex<Writer>>,
}

/// Which metrics are shown.
enum Shows {
    /// All that there are.
    Own { encoder: Box<Encoder>, telemetry: Box<Telemetry> },
    /// What cAdvisor would show.
    Cadvisor(cadvisor::Encoder),
}

struct Writer {
    shows: Shows,
    pool: Pool,
    places: Places,
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
    pub fn new(collector: Handle, limits: Limits) -> Result<Metrics, prometheus::Error> {
        let places = (limits.max_requests > 0).then(|| Arc::new(Semaphore::new(limits.max_requests)));
        let telemetry = Box::new(Telemetry::new()?);
        let writer = Writer::new(Shows::Own { encoder: Box::default(), telemetry });
        Ok(Metrics { collector, reads_others: false, places, writer })
    }

    /// The same as cAdvisor would show it; they have their places together.
    pub fn as_cadvisor(&self) -> Metrics {
        Metrics {
            collector: self.collector.clone(),
            reads_others: true,
            places: self.places.clone(),
            writer: Writer::new(Shows::Cadvisor(cadvisor::Encoder::default())),
        }
    }

    async fn scrape(&self) -> Option<Arc<Snapshot>> {
        if self.reads_others {
            self.collector.scrape_with_others().await
        } else {
            self.collector.scrape().await
        }
    }

    pub async fn answer(&self, wanted: Encoding) -> Response<Body> {
        let Ok(permit) =
            self.places.as_ref().map(|places| Arc::clone(places).try_acquire_owned()).transpose()
        else {
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
        let mut snapshot = self.scrape().await?;
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let shown = writer.shown(&snapshot, asked);
        let place = match shown {
            Some(_) => None,
            None => {
                // If nobody reads it, its memory is free.
                writer.last = None;
                let (place, waited) = writer.places.take().await?;
                if waited {
                    asked = Instant::now();
                    snapshot = self.scrape().await?;
                }
                Some(place)
            }
        };
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let write = move || {
            let text = match place {
                Some(place) => Some(writer.write(&snapshot, asked, place)),
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
    fn new(shows: Shows) -> Arc<Mutex<Writer>> {
        let (pool, places) = (Pool::default(), Places::default());
        Arc::new(Mutex::new(Writer { shows, pool, places, last: None }))
    }

    /// The last text, if it shows this snapshot, or a newer one than somebody who came at `came` has waited for.
    fn shown(&self, snapshot: &Arc<Snapshot>, came: Instant) -> Option<Arc<Text>> {
        let last = self.last.as_ref()?;
        let same = std::ptr::eq(last.snapshot.as_ptr(), Arc::as_ptr(snapshot));
        (same || last.asked >= came).then(|| Arc::clone(&last.text))
    }

    fn write(&mut self, snapshot: &Arc<Snapshot>, asked: Instant, place: Place) -> Arc<Text> {
        let view = snapshot.view.as_ref();
        let mut out = self.pool.begin();
        match &mut self.shows {
            Shows::Own { encoder, telemetry } => {
                let telemetry = telemetry.gather(&snapshot.status, view.map(|view| view.scene.as_ref()));
                encoder.encode(view, &telemetry, &mut out);
            }
            Shows::Cadvisor(encoder) => encoder.encode(view, &mut out),
        }
        let text = Arc::new(Text::new(out.finish(), self.pool.clone(), place));
        self.places.note(&text);
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
