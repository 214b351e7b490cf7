//! `/api/v1/stream`: the traffic of the pairs at each tick, as server-sent events. docs/api.md describes the
//! events for readers, and docs/stream.schema.json for programs.
//!
//! Each tick has one text for all clients, which is formatted only while there are clients. A client has a
//! short queue and is disconnected when it is full, so that a slow client costs the exporter no memory.
//!
//! The stream takes a snapshot at the end of each tick; the same allocation of its scene means that only
//! numbers have changed. An answer without an end holds no permit for scrapes and has no time limit, but
//! what is written of it has to leave within the time of any answer.

mod feed;
mod frame;

use super::about::About;
use super::metrics::Refusal;
use crate::collector::{Handle, Histories, Snapshot};
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

/// The greatest number of clients at a time.
const CLIENTS: usize = 64;

/// The greatest number of texts that wait for one client.
const QUEUE: usize = 5;

/// The longest time without a text: proxies close a connection that is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The header that makes nginx forward each text at once; without it nginx buffers them.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The reason for which a client gets no stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NoStream {
    #[error("{CLIENTS} clients follow the stream already, try again later")]
    Full,
    #[error("the exporter is stopping")]
    Ending,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// All clients of the stream. Clones share them.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Inner>);

struct Inner {
    collector: Handle,
    about: Arc<About>,
    /// Permits of clients: [`CLIENTS`] of them.
    permits: Arc<Semaphore>,
    state: Arc<Mutex<StreamState>>,
}

#[derive(Default)]
struct StreamState {
    /// `None` while there are no clients.
    feed: Option<Feed>,
    /// The pairs' identifiers while there is no feed.
    ids: Ids,
    /// The first event of a client that connects now; formatted for the first such client of a tick.
    first_event: Option<Frame>,
    clients: Vec<Client>,
    ended: bool,
}

struct Client {
    frames: Sender<Bytes>,
    encoding: Encoding,
    connection: Weak<Connection>,
}

impl Streams {
    pub(crate) fn new(collector: Handle, about: Arc<About>) -> Streams {
        let permits = Arc::new(Semaphore::new(CLIENTS));
        Streams(Arc::new(Inner { collector, about, permits, state: Arc::default() }))
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
        let permits = Arc::clone(&self.0.permits);
        let permit = permits.try_acquire_owned().map_err(|_| NoStream::Full)?;
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
        // The first client of a tick gets the event formatted that all clients of the tick get.
        let histories = match state.first_event {
            Some(_) => Histories::new(),
            None => self.0.collector.histories().await.ok_or(Refusal::Stopped)?,
        };
        let add_client = move || state.add_client(encoding, connection, &histories);
        // With thousands of pairs this takes milliseconds, and would delay other requests of the thread.
        let frames = tokio::task::spawn_blocking(add_client).await.map_err(|_| Refusal::Stopped)?;
        Ok(Body::stream(frames, permit))
    }

    /// Sends each tick to all clients, until there are none.
    async fn publish(self) {
        loop {
            let Some(snapshot) = self.next_tick().await else { return self.end().await };
            let mut state = self.lock().await;
            let has_clients = tokio::task::spawn_blocking(move || state.send_tick(&snapshot)).await;
            if !has_clients.unwrap_or(false) {
                return;
            }
        }
    }

    /// Waits for the next tick, and sends heartbeats meanwhile. Returns `None` if the collector has stopped.
    async fn next_tick(&self) -> Option<Arc<Snapshot>> {
        let mut tick = std::pin::pin!(self.0.collector.next_tick());
        loop {
            tokio::select! {
                snapshot = &mut tick => return snapshot,
                () = tokio::time::sleep(HEARTBEAT) => self.lock().await.send_frame(&Frame::heartbeat()),
            }
        }
    }

    /// Ends all streams, and refuses new ones.
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
    /// Adds a client: it gets the whole state first, and then the changes of each tick.
    fn add_client(
        &mut self,
        encoding: Encoding,
        connection: Weak<Connection>,
        histories: &Histories,
    ) -> Receiver<Bytes> {
        // The additional slot is for the bytes that precede the first text.
        let (frames, taken) = channel(QUEUE + 1);
        let Some(feed) = &self.feed else { return taken };
        let event = || Frame::event("state", &feed.event_id(), &feed.state(histories));
        let first_event = self.first_event.get_or_insert_with(event);
        let client = Client { frames, encoding, connection };
        let opened = frame::opening(encoding).is_none_or(|opening| client.frames.try_send(opening).is_ok());
        if opened && client.queue_frame(first_event) {
            self.clients.push(client);
        }
        taken
    }

    /// Sends the changes of a tick to all clients; returns false if there are none any more.
    fn send_tick(&mut self, snapshot: &Snapshot) -> bool {
        // The first event has the state of the tick before.
        self.first_event = None;
        self.clients.retain(Client::is_connected);
        if self.clients.is_empty() {
            self.ids = self.feed.take().map(Feed::into_ids).unwrap_or_default();
        }
        let Some(feed) = &mut self.feed else { return false };
        if let Some(news) = feed.tick(snapshot) {
            let frame = Frame::event("tick", &feed.event_id(), &news);
            self.send_frame(&frame);
        }
        true
    }

    fn send_frame(&mut self, frame: &Frame) {
        self.clients.retain(|client| client.queue_frame(frame));
    }
}

impl Client {
    fn is_connected(&self) -> bool {
        !self.frames.is_closed()
    }

    /// Puts a text into the client's queue, or disconnects the client if the queue is full. Returns false if
    /// the client is to be removed.
    fn queue_frame(&self, frame: &Frame) -> bool {
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
