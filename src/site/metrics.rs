//! The metrics: one dump and one text for all who ask together.

use super::text::{Memory, Text, TextPermit, TextReader};
use crate::collector::{Handle, Snapshot};
use crate::exposition::cadvisor;
use crate::exposition::encode::{EncodeRequest, Encoder};
use crate::exposition::format::Format;
use crate::exposition::json::{self, Query};
use crate::exposition::pieces::Pool;
use crate::exposition::telemetry::Telemetry;
use crate::server::Encoding;
use crate::server::body::{Body, text};
use crate::server::connections::Connections;
use crate::server::permits::ScrapePermits;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{Mutex, OwnedSemaphorePermit};

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub struct ScrapeLimits {
    /// Scrapes at a time, and as many answers of the API; 0 for any number.
    pub max_requests: usize,
}

/// Texts of what the collector knows: the metrics, and the pairs for the API.
pub(crate) struct Metrics {
    collector: Handle,
    scrapes: SharedTexts,
    /// Apart, so that nobody who asks the API holds a scrape up.
    queries: SharedTexts,
}

/// Where answers of one sort are written: who may have one, and the memory for them.
struct SharedTexts {
    permits: ScrapePermits,
    writer: Arc<Mutex<Writer>>,
}

/// What a text says, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Metrics(Format),
    /// What cAdvisor would show, in the text format.
    Cadvisor,
    Pairs(Query),
}

/// A text that is to be sent.
pub(crate) struct PreparedText {
    text: Arc<Text>,
    pub encoding: Encoding,
    length: usize,
    permit: Option<OwnedSemaphorePermit>,
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("as many scrapes as --web.max-requests allows are under way, try again later")]
    Full,
    #[error("the collector has stopped")]
    Stopped,
    #[error("not ready: the first look at the host is not over")]
    NotReady,
}

struct Writer {
    encoder: Encoder,
    cadvisor: cadvisor::CadvisorEncoder,
    telemetry: Telemetry,
    pool: Pool,
    memory: Memory,
    /// The last text of each kind that shows what the last one shows.
    last: Vec<CachedText>,
}

/// A text that others may still want.
struct CachedText {
    kind: Kind,
    /// What it shows. Held weakly, its address is still not given to another.
    snapshot: Weak<Snapshot>,
    /// When that was asked for.
    asked: Instant,
    text: Arc<Text>,
}

impl PreparedText {
    /// A tag that another text does not have.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.text.tag()
    }

    pub(crate) fn into_body(self) -> Body {
        let Self { text, encoding, length, permit } = self;
        Body::pieces(TextReader { text, encoding, next: 0 }, Some(length), permit)
    }
}

impl Metrics {
    pub(crate) fn new(
        collector: Handle,
        limits: ScrapeLimits,
        connections: Connections,
        sandbox: &[(&'static str, &str)],
    ) -> Result<Metrics, prometheus::Error> {
        let scrapes = SharedTexts::new(limits, connections.clone(), sandbox)?;
        let queries = SharedTexts::new(limits, connections, sandbox)?;
        Ok(Metrics { collector, scrapes, queries })
    }

    pub(crate) async fn answer(&self, format: Format, wanted: Encoding) -> Response<Body> {
        match self.compose(Kind::Metrics(format), wanted).await {
            Ok(ready) => exposition(format, "Accept, Accept-Encoding", ready),
            Err(refusal) => unavailable(format!("503: {refusal}\n")),
        }
    }

    /// The same as cAdvisor would show it, which is always in the text format.
    pub(crate) async fn answer_as_cadvisor(&self, wanted: Encoding) -> Response<Body> {
        match self.compose(Kind::Cadvisor, wanted).await {
            Ok(ready) => exposition(Format::Text, "Accept-Encoding", ready),
            Err(refusal) => unavailable(format!("503: {refusal}\n")),
        }
    }

    /// Asks for what a text of this kind shows.
    async fn scrape(&self, kind: &Kind) -> Result<Arc<Snapshot>, Refusal> {
        let snapshot = match kind {
            Kind::Cadvisor => self.collector.scrape_with_others().await,
            Kind::Metrics(_) | Kind::Pairs(_) => self.collector.scrape().await,
        };
        snapshot.ok_or(Refusal::Stopped)
    }

    /// Writes a text, or takes one that others have asked for at the same time.
    ///
    /// # Errors
    /// If there is no place for the answer, or nothing to show.
    pub(crate) async fn compose(&self, kind: Kind, wanted: Encoding) -> Result<PreparedText, Refusal> {
        let desk = match kind {
            Kind::Metrics(_) | Kind::Cadvisor => &self.scrapes,
            Kind::Pairs(_) => &self.queries,
        };
        let Ok(permit) = desk.permits.acquire().await else { return Err(Refusal::Full) };
        let mut asked = Instant::now();
        let mut snapshot = self.scrape(&kind).await?;
        let mut writer = Arc::clone(&desk.writer).lock_owned().await;
        let shown = writer.shown(&kind, &snapshot, asked);
        let room = match shown {
            Some(_) => None,
            None => {
                writer.forget(&kind, &snapshot);
                let (room, waited) = writer.memory.make_room().await.ok_or(Refusal::Stopped)?;
                if waited {
                    asked = Instant::now();
                    snapshot = self.scrape(&kind).await?;
                }
                Some(room)
            }
        };
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let write = move || {
            let tagged = matches!(kind, Kind::Pairs(_));
            let text = match room {
                Some(room) => writer.write(kind, &snapshot, asked, room),
                None => shown,
            };
            // Whoever wants the plain text does not wait for the compressed one.
            drop(writer);
            let text = text.ok_or(Refusal::NotReady)?;
            if tagged {
                text.make_tag();
            }
            let (encoding, length) = text.prepare(wanted);
            Ok(PreparedText { text, encoding, length, permit })
        };
        tokio::task::spawn_blocking(write).await.map_err(|_| Refusal::Stopped)?
    }
}

impl SharedTexts {
    fn new(
        limits: ScrapeLimits,
        connections: Connections,
        sandbox: &[(&'static str, &str)],
    ) -> Result<SharedTexts, prometheus::Error> {
        let writer = Writer {
            encoder: Encoder::default(),
            cadvisor: cadvisor::CadvisorEncoder::default(),
            telemetry: Telemetry::new(sandbox)?,
            pool: Pool::default(),
            memory: Memory::default(),
            last: Vec::new(),
        };
        let permits = ScrapePermits::new(limits.max_requests, connections);
        Ok(SharedTexts { permits, writer: Arc::new(Mutex::new(writer)) })
    }
}

impl Writer {
    /// The last text of this kind, if it shows this snapshot, or a newer one than somebody who came at
    /// `came` has waited for.
    fn shown(&self, kind: &Kind, snapshot: &Arc<Snapshot>, came: Instant) -> Option<Arc<Text>> {
        let last = self.last.iter().find(|last| last.kind == *kind)?;
        (last.shows(snapshot) || last.asked >= came).then(|| Arc::clone(&last.text))
    }

    /// Gives up what is of an earlier snapshot, and whatever else stands in the way of a text of this kind:
    /// if nobody reads it, its memory is free.
    fn forget(&mut self, kind: &Kind, snapshot: &Arc<Snapshot>) {
        self.last.retain(|last| last.kind != *kind && last.shows(snapshot));
        if !self.memory.has_room() {
            self.last.clear();
        }
    }

    /// `None` if there is nothing to show.
    fn write(
        &mut self,
        kind: Kind,
        snapshot: &Arc<Snapshot>,
        asked: Instant,
        room: TextPermit,
    ) -> Option<Arc<Text>> {
        let mut out = self.pool.begin();
        let view = snapshot.view.as_ref();
        match &kind {
            &Kind::Metrics(format) => {
                let scene = view.map(|view| view.scene.as_ref());
                let telemetry = &self.telemetry.gather(&snapshot.status, scene);
                self.encoder
                    .encode(&EncodeRequest { format, view, telemetry, epoch: snapshot.epoch }, &mut out);
            }
            Kind::Cadvisor => self.cadvisor.encode(view, &mut out),
            Kind::Pairs(query) => {
                json::write(view?, snapshot.epoch, query, &mut out)
                    .inspect_err(|error| tracing::error!(%error, "cannot write the pairs"))
                    .ok()?;
            }
        }
        let text = Arc::new(Text::new(out.finish(), self.pool.clone(), room));
        self.memory.record(&text);
        let shown = CachedText { kind, snapshot: Arc::downgrade(snapshot), asked, text: Arc::clone(&text) };
        self.last.push(shown);
        Some(text)
    }
}

impl CachedText {
    fn shows(&self, snapshot: &Arc<Snapshot>) -> bool {
        std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(snapshot))
    }
}

fn exposition(format: Format, vary: &'static str, ready: PreparedText) -> Response<Body> {
    let encoding = ready.encoding;
    let mut response = Response::new(ready.into_body());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(VARY, HeaderValue::from_static(vary));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn unavailable(message: String) -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, message)
}
