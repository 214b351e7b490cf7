//! `/api/v1/stream`: what goes through the pairs at each tick, as server-sent events. docs/api.md describes
//! them, and docs/stream.schema.json says it to programs.
//!
//! One text a tick for all clients, made only while there are any. A client's queue is short: who does not
//! take what is in it is cut off, so that no client makes the exporter keep anything.

mod feed;
mod frame;

use super::metrics::Refusal;
use crate::collector::{Handle, Snapshot};
use crate::server::Encoding;
use crate::server::body::Body;
use crate::server::connections::Connection;
use bytes::Bytes;
use feed::{Feed, Ids};
use frame::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

pub use feed::About;

/// So many clients at a time.
const CLIENTS: usize = 64;

/// A client may be so many texts behind.
const QUEUE: usize = 5;

/// Something is sent at least so often: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// nginx collects what it passes on, unless it is told not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Why there is no stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NoStream {
    #[error("{CLIENTS} clients follow the stream already, try again later")]
    Full,
    #[error("the exporter stops")]
    Ending,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// All clients of the stream. Clones are the same.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Inner>);

struct Inner {
    collector: Handle,
    about: Arc<About>,
    places: Arc<Semaphore>,
    state: Arc<Mutex<StreamState>>,
}

#[derive(Default)]
struct StreamState {
    /// `None` while nobody listens.
    feed: Option<Feed>,
    /// The pairs' numbers meanwhile.
    ids: Ids,
    /// What whoever comes now is told first: made for the first of a tick.
    greeting: Option<Frame>,
    clients: Vec<Client>,
    ended: bool,
}

struct Client {
    frames: Sender<Bytes>,
    encoding: Encoding,
    connection: Weak<Connection>,
}

impl Streams {
    pub(crate) fn new(collector: Handle, about: About) -> Streams {
        let places = Arc::new(Semaphore::new(CLIENTS));
        Streams(Arc::new(Inner { collector, about: Arc::new(about), places, state: Arc::default() }))
    }

    /// Answers a request for the stream.
    pub(crate) async fn answer<B>(
        &self,
        request: &Request<B>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let encoding = Encoding::negotiate(request.headers());
        let body = match *request.method() {
            Method::HEAD => Ok(Body::from(String::new())),
            _ => self.subscribe(encoding, connection).await,
        };
        let mut response = match body {
            Ok(body) => Response::new(body),
            Err(reason) => return refusal(&reason.to_string()),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        if encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn subscribe(&self, encoding: Encoding, connection: &Arc<Connection>) -> Result<Body, NoStream> {
        let places = Arc::clone(&self.0.places);
        let place = places.try_acquire_owned().map_err(|_| NoStream::Full)?;
        let mut state = Arc::clone(&self.0.state).lock_owned().await;
        if state.ended {
            return Err(NoStream::Ending);
        }
        if state.feed.is_none() {
            let snapshot = self.0.collector.scrape().await.ok_or(Refusal::Stopped)?;
            let ids = std::mem::take(&mut state.ids);
            let feed = Feed::new(Arc::clone(&self.0.about), ids, &snapshot);
            state.feed = Some(feed.ok_or(Refusal::NotReady)?);
            tokio::spawn(self.clone().publish());
        }
        let connection = Arc::downgrade(connection);
        let greet = move || state.greet(encoding, connection);
        // Milliseconds of work at thousands of pairs: not on a thread that serves others.
        let frames = tokio::task::spawn_blocking(greet).await.map_err(|_| Refusal::Stopped)?;
        Ok(Body::stream(frames, place))
    }

    /// Tells all clients of each tick, until there are none.
    async fn publish(self) {
        loop {
            let Some(snapshot) = self.next_tick().await else { return self.end().await };
            let mut state = self.lock().await;
            let told = tokio::task::spawn_blocking(move || state.tell(&snapshot)).await;
            if !told.unwrap_or(false) {
                return;
            }
        }
    }

    /// The next tick; while it does not come, clients hear that the exporter is there.
    async fn next_tick(&self) -> Option<Arc<Snapshot>> {
        let mut tick = std::pin::pin!(self.0.collector.next_tick());
        loop {
            tokio::select! {
                snapshot = &mut tick => return snapshot,
                () = tokio::time::sleep(HEARTBEAT) => self.lock().await.send(&Frame::heartbeat()),
            }
        }
    }

    /// Ends all streams; there will be no others.
    pub(crate) async fn end(&self) {
        let mut state = self.lock().await;
        state.ended = true;
        state.clients.clear();
    }

    async fn lock(&self) -> OwnedMutexGuard<StreamState> {
        Arc::clone(&self.0.state).lock_owned().await
    }
}

impl StreamState {
    /// Takes a client in: what there is, and from then on what is new.
    fn greet(&mut self, encoding: Encoding, connection: Weak<Connection>) -> Receiver<Bytes> {
        // One place more, for what comes before the first text.
        let (frames, taken) = channel(QUEUE + 1);
        let Some(feed) = &self.feed else { return taken };
        let event = || Frame::event("state", &feed.event_id(), &feed.state());
        let greeting = self.greeting.get_or_insert_with(event);
        let client = Client { frames, encoding, connection };
        let begun = frame::opening(encoding).is_none_or(|opening| client.frames.try_send(opening).is_ok());
        if begun && client.takes(greeting) {
            self.clients.push(client);
        }
        taken
    }

    /// Tells of a tick; false if nobody listens any more.
    fn tell(&mut self, snapshot: &Snapshot) -> bool {
        // What somebody is told first is of the last tick, and this is a new one.
        self.greeting = None;
        self.clients.retain(Client::listens);
        if self.clients.is_empty() {
            self.ids = self.feed.take().map(Feed::into_ids).unwrap_or_default();
        }
        let Some(feed) = &mut self.feed else { return false };
        if let Some(news) = feed.tick(snapshot) {
            let frame = Frame::event("tick", &feed.event_id(), &news);
            self.send(&frame);
        }
        true
    }

    fn send(&mut self, frame: &Frame) {
        self.clients.retain(|client| client.takes(frame));
    }
}

impl Client {
    fn listens(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Puts a text into its queue. One that is too far behind is cut off.
    fn takes(&self, frame: &Frame) -> bool {
        let Some(bytes) = frame.encoded(self.encoding) else { return false };
        match self.frames.try_send(bytes) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                if let Some(connection) = self.connection.upgrade() {
                    connection.close("it takes the stream too slowly");
                }
                false
            }
        }
    }
}

fn refusal(reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{}\n", serde_json::json!({ "error": reason }))));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
