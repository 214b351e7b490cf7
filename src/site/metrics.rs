//! The metrics and the pairs: one dump for all requests that arrive together, each answered piece by piece.
//!
//! No whole text is in memory. An answer is a cursor over an immutable snapshot, and writes its next piece
//! when the socket takes it ([`PieceSource`]). Answers share what belongs to the scene: the label blocks
//! ([`Layouts`]), and the compressed sections of an [`Exposition`].

use super::about::About;
use super::readers::{Lease, Reader, Readers};
use crate::collector::{Handle, Snapshot};
use crate::exposition::cadvisor::CadvisorTables;
use crate::exposition::encode::{VethTables, own_text};
use crate::exposition::format::Format;
use crate::exposition::json::{PairsText, Query};
use crate::exposition::packed::{PackedCursor, PackedText};
use crate::exposition::pieces::Pool;
use crate::exposition::telemetry::Telemetry;
use crate::exposition::text::{Cursor, Layout, SceneText, Style};
use crate::model::view::{Scene, View};
use crate::server::Encoding;
use crate::server::body::{Body, CutOff, PieceSource, text};
use crate::server::connections::Connections;
use crate::server::encoding::Compressed;
use crate::server::permits::ScrapePermits;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::{Mutex, OwnedSemaphorePermit};

/// An exposition with fewer rows is compressed as any other text: the exporter's own families, which do not
/// resemble each other, are a large part of it.
const FEW_ROWS: usize = 2_000;

/// The flags that concern the metrics.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOptions {
    /// Scrapes at a time, and as many answers of the API; 0 for any number.
    pub max_requests: usize,
    /// True if OpenMetrics has the time at which each total began.
    pub created: bool,
    /// False if `veth_device_*` is without the counters of ports.
    pub device_counters: bool,
}

/// Answers from what the collector knows: the metrics, and the pairs for the API.
pub(crate) struct Metrics {
    collector: Handle,
    created: bool,
    scrapes: SharedTexts,
    /// Apart from the scrapes, so that clients of the API do not hold a scrape up.
    queries: SharedTexts,
}

/// The answers of one sort: the permits for them, and what they share.
struct SharedTexts {
    permits: ScrapePermits,
    writer: Arc<Mutex<Writer>>,
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Metrics(Style),
    /// The containers in cAdvisor's vocabulary, in the text format.
    Cadvisor,
    Pairs(Query),
}

/// An answer that is ready to be sent.
pub(crate) struct PreparedText {
    source: Reader,
    pub encoding: Encoding,
    /// The answer's version, if it has one: an answer with other contents has another.
    pub version: Option<String>,
    permit: Option<OwnedSemaphorePermit>,
}

/// The reason for which there is no answer.
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
    about: Arc<About>,
    telemetry: Telemetry,
    pool: Pool,
    readers: Readers,
    /// The scene that `layouts` and `texts` belong to.
    scene: Option<Arc<Scene>>,
    layouts: Layouts,
    device_counters: bool,
    texts: Vec<(Kind, Arc<Exposition>)>,
    own: OwnTexts,
    versions: Versions,
}

/// The exporter's own families as they were when a snapshot was first shown, for all readers of it.
#[derive(Default)]
struct OwnTexts {
    lease: Weak<Lease>,
    texts: Vec<(Format, Arc<str>)>,
}

/// The label blocks of the scene, formatted when a text of them is asked for.
#[derive(Default)]
struct Layouts {
    veths: Option<Arc<VethTables>>,
    cadvisor: Option<Arc<CadvisorTables>>,
}

/// An exposition of one scene in one style.
struct Exposition {
    text: SceneText,
    packed: PackedText,
}

/// The version of the snapshots: it rises when anything that the API shows is another.
#[derive(Default)]
struct Versions {
    last: Option<Arc<Snapshot>>,
    number: u64,
}

impl PreparedText {
    pub(crate) fn into_body(self) -> Body {
        Body::pieces(self.source, None, self.permit)
    }
}

impl Metrics {
    pub(crate) fn new(
        collector: Handle,
        about: Arc<About>,
        options: MetricsOptions,
        connections: Connections,
        sandbox: &[(&'static str, &str)],
    ) -> Result<Metrics, prometheus::Error> {
        let scrapes = SharedTexts::new(Arc::clone(&about), options, connections.clone(), sandbox)?;
        let queries = SharedTexts::new(about, options, connections, sandbox)?;
        Ok(Metrics { collector, created: options.created, scrapes, queries })
    }

    pub(crate) async fn answer(&self, format: Format, wanted: Encoding) -> Response<Body> {
        let style = Style { format, created: self.created };
        match self.compose(Kind::Metrics(style), wanted).await {
            Ok(ready) => exposition(format, "Accept, Accept-Encoding", ready),
            Err(refusal) => unavailable(format!("503: {refusal}\n")),
        }
    }

    /// Answers with the containers in cAdvisor's vocabulary, which is always in the text format.
    pub(crate) async fn answer_as_cadvisor(&self, wanted: Encoding) -> Response<Body> {
        match self.compose(Kind::Cadvisor, wanted).await {
            Ok(ready) => exposition(Format::Text, "Accept-Encoding", ready),
            Err(refusal) => unavailable(format!("503: {refusal}\n")),
        }
    }

    /// Asks the collector for what an answer of this kind shows.
    async fn scrape(&self, kind: &Kind) -> Result<Arc<Snapshot>, Refusal> {
        let snapshot = match kind {
            Kind::Cadvisor => self.collector.scrape_with_others().await,
            Kind::Metrics(_) | Kind::Pairs(_) => self.collector.scrape().await,
        };
        snapshot.ok_or(Refusal::Stopped)
    }

    /// Begins an answer, of the snapshot that others asked for at the same time if there is one.
    ///
    /// # Errors
    /// Fails if there is no permit for the answer, or nothing to show.
    pub(crate) async fn compose(&self, kind: Kind, wanted: Encoding) -> Result<PreparedText, Refusal> {
        let shared = match kind {
            Kind::Metrics(_) | Kind::Cadvisor => &self.scrapes,
            Kind::Pairs(_) => &self.queries,
        };
        let Ok(permit) = shared.permits.acquire().await else { return Err(Refusal::Full) };
        // What cAdvisor shows and the metrics are asked for in different ways.
        let is_shared = kind != Kind::Cadvisor;
        let mut asked = is_shared.then(Instant::now);
        let mut snapshot = self.scrape(&kind).await?;
        let mut writer = Arc::clone(&shared.writer).lock_owned().await;
        let lease = match writer.readers.lease(&snapshot, asked) {
            Some(lease) => lease,
            None => {
                let (room, waited) = writer.readers.make_room().await.ok_or(Refusal::Stopped)?;
                if waited {
                    asked = is_shared.then(Instant::now);
                    snapshot = self.scrape(&kind).await?;
                }
                writer.readers.keep_snapshot(snapshot, asked, room)
            }
        };
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let begin = move || {
            let (source, version) = writer.begin(kind, &lease, wanted)?;
            let source = writer.readers.reader(lease, source);
            Ok(PreparedText { source, encoding: wanted, version, permit })
        };
        tokio::task::spawn_blocking(begin).await.map_err(|_| Refusal::Stopped)?
    }
}

impl SharedTexts {
    fn new(
        about: Arc<About>,
        options: MetricsOptions,
        connections: Connections,
        sandbox: &[(&'static str, &str)],
    ) -> Result<SharedTexts, prometheus::Error> {
        let writer = Writer {
            about,
            telemetry: Telemetry::new(sandbox)?,
            pool: Pool::default(),
            readers: Readers::default(),
            scene: None,
            layouts: Layouts::default(),
            device_counters: options.device_counters,
            texts: Vec::new(),
            own: OwnTexts::default(),
            versions: Versions::default(),
        };
        let permits = ScrapePermits::new(options.max_requests, connections);
        Ok(SharedTexts { permits, writer: Arc::new(Mutex::new(writer)) })
    }
}

type StartedAnswer = (Box<dyn PieceSource>, Option<String>);

impl Writer {
    /// Begins an answer of the lease's snapshot; returns its pieces and its version, if it has one.
    fn begin(&mut self, kind: Kind, lease: &Arc<Lease>, wanted: Encoding) -> Result<StartedAnswer, Refusal> {
        let snapshot = &lease.snapshot;
        let own = match kind {
            Kind::Metrics(style) => self.own_text(lease, style.format),
            Kind::Cadvisor => "".into(),
            Kind::Pairs(ref query) => {
                let view = snapshot.view.as_ref().ok_or(Refusal::NotReady)?;
                let version = self.versions.of(snapshot, view);
                let host = self.about.host.with_engines(&snapshot.status);
                let text = PairsText::new(view, snapshot.epoch, host, query);
                let snapshot = Arc::clone(snapshot);
                let pairs = PairsPieces { snapshot, text: Some(text), pool: self.pool.clone() };
                return Ok((encoded(pairs, wanted), Some(version)));
            }
        };
        let exposition = self.exposition(kind, snapshot);
        let (snapshot, pool) = (Arc::clone(snapshot), self.pool.clone());
        let few = exposition.text.rows() < FEW_ROWS;
        let pieces = ExpositionPieces { snapshot, exposition, own, cursor: Some(Cursor::default()), pool };
        Ok(match wanted {
            Encoding::Gzip if !few => (Box::new(pieces.packed()), None),
            _ => (encoded(pieces, wanted), None),
        })
    }

    /// Returns the exporter's own families, and the end of the format.
    fn own_text(&mut self, lease: &Arc<Lease>, format: Format) -> Arc<str> {
        if !std::ptr::eq(self.own.lease.as_ptr(), Arc::as_ptr(lease)) {
            self.own = OwnTexts { lease: Arc::downgrade(lease), texts: Vec::new() };
        }
        if let Some((_, text)) = self.own.texts.iter().find(|(known, _)| *known == format) {
            return Arc::clone(text);
        }
        let view = lease.snapshot.view.as_ref();
        let text: Arc<str> = own_text(
            &self.telemetry.gather(&lease.snapshot.status, view, lease.snapshot.state.as_ref()),
            format,
        )
        .into();
        self.own.texts.push((format, Arc::clone(&text)));
        text
    }

    /// Returns the exposition of a snapshot's scene.
    fn exposition(&mut self, kind: Kind, snapshot: &Snapshot) -> Arc<Exposition> {
        let scene = snapshot.view.as_ref().map(|view| Arc::clone(&view.scene));
        if self.scene.as_ref().map(Arc::as_ptr) != scene.as_ref().map(Arc::as_ptr) {
            // What belongs to the last scene is dropped first: both in memory at a time would double it.
            self.texts.clear();
            self.layouts = Layouts::default();
            self.scene = scene;
        }
        if let Some((_, exposition)) = self.texts.iter().find(|(known, _)| *known == kind) {
            return Arc::clone(exposition);
        }
        let empty = Scene::default();
        let scene = self.scene.as_deref().unwrap_or(&empty);
        let (layout, style): (Arc<dyn Layout>, _) = match kind {
            Kind::Metrics(style) => {
                let tables = || VethTables::of(scene).with_device_counters(self.device_counters);
                let veths = self.layouts.veths.get_or_insert_with(|| Arc::new(tables()));
                (Arc::clone(veths) as _, style)
            }
            Kind::Cadvisor | Kind::Pairs(_) => {
                let tables = &mut self.layouts.cadvisor;
                let tables = tables.get_or_insert_with(|| Arc::new(CadvisorTables::of(scene)));
                (Arc::clone(tables) as _, Style { format: Format::Text, created: false })
            }
        };
        let text = SceneText::new(layout, style, snapshot.epoch);
        let exposition = Arc::new(Exposition { text, packed: PackedText::default() });
        self.texts.push((kind, Arc::clone(&exposition)));
        exposition
    }
}

impl Versions {
    /// Returns the version of a snapshot. Another start of the exporter has other versions.
    fn of(&mut self, snapshot: &Arc<Snapshot>, view: &View) -> String {
        let last = self.last.as_ref().and_then(|last| last.view.as_ref());
        if !last.is_some_and(|last| last.has_same_pairs(view)) {
            self.number += 1;
            self.last = Some(Arc::clone(snapshot));
        }
        format!("{:x}-{:x}", snapshot.epoch.as_micros(), self.number)
    }
}

/// The pieces of an exposition.
struct ExpositionPieces<C> {
    snapshot: Arc<Snapshot>,
    exposition: Arc<Exposition>,
    /// The exporter's own families, and the end of the format.
    own: Arc<str>,
    /// `None` when all is written.
    cursor: Option<C>,
    pool: Pool,
}

impl<C> ExpositionPieces<C> {
    /// Returns the same exposition from its beginning as gzip.
    fn packed(self) -> ExpositionPieces<PackedCursor> {
        let ExpositionPieces { snapshot, exposition, own, cursor: _, pool } = self;
        ExpositionPieces { snapshot, exposition, own, cursor: Some(PackedCursor::default()), pool }
    }
}

impl PieceSource for ExpositionPieces<Cursor> {
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        let mut piece = self.pool.begin_piece();
        let view = self.snapshot.view.as_ref();
        if !self.exposition.text.write_piece(cursor, view, &self.own, &mut piece) {
            self.cursor = None;
        }
        Ok(Some(self.pool.share(piece)).filter(|piece| !piece.is_empty()))
    }
}

impl PieceSource for ExpositionPieces<PackedCursor> {
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
        let (Some(cursor), Some(view)) = (&mut self.cursor, &self.snapshot.view) else { return Ok(None) };
        let mut piece = self.pool.begin_piece();
        let Exposition { text, packed } = &*self.exposition;
        if !packed.write_piece(text, cursor, view, &self.own, &mut piece) {
            self.cursor = None;
        }
        Ok(Some(self.pool.share(piece)))
    }
}

/// The pieces of the document of the pairs.
struct PairsPieces {
    snapshot: Arc<Snapshot>,
    /// `None` when all is written.
    text: Option<PairsText>,
    pool: Pool,
}

impl PieceSource for PairsPieces {
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
        let (Some(text), Some(view)) = (&mut self.text, &self.snapshot.view) else { return Ok(None) };
        let mut piece = self.pool.begin_piece();
        let more = text.write_piece(view, self.snapshot.epoch, &mut piece);
        if !more.map_err(|error| CutOff::Unwritten(error.into()))? {
            self.text = None;
        }
        Ok(Some(self.pool.share(piece)))
    }
}

fn encoded(source: impl PieceSource + 'static, wanted: Encoding) -> Box<dyn PieceSource> {
    match wanted {
        Encoding::Identity => Box::new(source),
        Encoding::Gzip => Box::new(Compressed::new(source)),
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
