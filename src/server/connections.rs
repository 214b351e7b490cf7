//! The connections, and the times at which one is closed: no client can hold what others need.
//!
//! A connection is a task. Its entry in the table records what it waits for: its first request, the rest of
//! a head, its next request, or the client that takes an answer. The stream below hyper and the body above
//! it report to the entry (`wire`): an answer lasts from its head until its last byte has left for the
//! kernel, and holds its permit as long. What is overdue is closed at the next check. If there is no room
//! for a connection, the one that has been idle longest is closed, else the one that has taken longest over
//! its answer; the latter also if there is no permit for a scrape.

use super::body::Body;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// The number of connections open at a time, and so of descriptors. A further one waits until another has
/// been closed for it: the one that has been idle longest, else the one with the slowest answer.
const MAX_OPEN: usize = 128;

/// The pause before another attempt to admit a connection while all slots are taken.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);

/// An answer younger than this is not cut off to admit a connection.
const UNHURRIED: Duration = Duration::from_secs(1);

/// A connection that has been idle for less than this is not closed to admit another.
const ABOUT_TO_ASK: Duration = Duration::from_millis(100);

/// The time for a client's TLS handshake and its first request's head together, and for each further head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which a connection without a request stays open: longer than the time between two scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The time in which an answer is made and read by its client. A stream has no such limit, but what is
/// written of it has to leave within this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two searches for overdue connections.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// All open connections; clones share one table.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Table>);

#[derive(Default)]
struct Table {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    /// Wakes a listener that waits for a slot.
    left: Notify,
}

/// The state of one connection, as its stream, its requests and its bodies report it.
pub(crate) struct Connection {
    state: Mutex<ConnectionState>,
    task: OnceLock<AbortHandle>,
}

struct ConnectionState {
    closed: bool,
    waiting: Waiting,
    /// The start of the present wait.
    since: Instant,
    /// The answers that are being made or sent, by id and start; the oldest first.
    answers: VecDeque<(u64, Instant)>,
    next_answer: u64,
    /// The number of answers without an end.
    streams: usize,
    /// The time of the oldest write that has not left for the kernel.
    unsent: Option<Instant>,
    /// Bodies that are written; each keeps its permit until all bytes have left for the kernel.
    written: Vec<Body>,
}

/// The input that a connection without an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    FirstRequest,
    Request,
    RestOfHead,
}

/// A connection's slot in the table; it is free again when this is dropped.
pub(crate) struct OpenConnection {
    table: Connections,
    id: u64,
    pub connection: Arc<Connection>,
}

/// An answer that is being made or sent.
pub(crate) struct OngoingAnswer {
    connection: Arc<Connection>,
    id: u64,
    is_stream: bool,
}

impl Connections {
    /// Waits for a slot. Connections that arrive meanwhile wait in the kernel's queue, in their order.
    pub(crate) async fn admit(&self) -> OpenConnection {
        loop {
            if let Some(open) = self.enter(Instant::now()) {
                return open;
            }
            // No event tells when a connection becomes old enough to be closed: hence the pause.
            let _ = timeout(CROWDED_PAUSE, self.0.left.notified()).await;
        }
    }

    /// Takes a slot for a new connection. Where all are taken, closes a connection if one may be closed, and
    /// returns `None`.
    ///
    /// A connection keeps its slot until its descriptor is closed. [`Connection::close`] only asks for
    /// that: a thread drops the task later, and a listener that accepted before that would have up to twice
    /// as many descriptors open.
    fn enter(&self, now: Instant) -> Option<OpenConnection> {
        let mut open = self.lock();
        if open.len() >= MAX_OPEN {
            make_room(&open, now);
            return None;
        }
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(now));
        open.insert(id, Arc::clone(&connection));
        Some(OpenConnection { table: self.clone(), id, connection })
    }

    /// Closes each connection that is over its time limit.
    pub(crate) fn close_overdue(&self, now: Instant) {
        for connection in self.lock().values() {
            let overdue = connection.state().overdue(now);
            if let Some(reason) = overdue {
                connection.close(reason);
            }
        }
    }

    /// Closes all connections without an answer under way.
    pub(crate) fn close_idle(&self) {
        for connection in self.lock().values().filter(|connection| connection.idle_since().is_some()) {
            connection.close("the exporter stops");
        }
    }

    /// Closes the connection with the slowest answer, if that has taken more than `patience`.
    pub(crate) fn close_slowest(&self, patience: Duration, now: Instant) -> bool {
        let open = self.lock();
        let slow = open.values().filter_map(|connection| Some((connection.scraped_since()?, connection)));
        match slow.min_by_key(|(since, _)| *since) {
            Some((since, connection)) if now.saturating_duration_since(since) > patience => {
                connection.close("the slowest answer held a permit that another request needs");
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes one connection for a new one, unless one is closing already, or all have answers younger than
/// [`UNHURRIED`].
fn make_room(open: &BTreeMap<u64, Arc<Connection>>, now: Instant) {
    if open.values().any(|connection| connection.state().closed) {
        return;
    }
    let idle = open.values().filter_map(|connection| Some((connection.idle_since()?, connection)));
    let idle = idle.filter(|(since, _)| now.saturating_duration_since(*since) > ABOUT_TO_ASK);
    let busy = open.values().filter_map(|connection| Some((connection.busy_since()?, connection)));
    let busy = busy.filter(|(since, _)| now.saturating_duration_since(*since) > UNHURRIED);
    if let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) {
        longest.close("too many are open, and this one has been idle longest");
    } else if let Some((_, slowest)) = busy.min_by_key(|(since, _)| *since) {
        slowest.close("too many are open, and this one has the slowest answer");
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
        self.table.0.left.notify_one();
    }
}

impl Connection {
    fn new(now: Instant) -> Connection {
        let state = ConnectionState {
            closed: false,
            waiting: Waiting::FirstRequest,
            since: now,
            answers: VecDeque::new(),
            next_answer: 0,
            streams: 0,
            unsent: None,
            written: Vec::new(),
        };
        Connection { state: Mutex::new(state), task: OnceLock::new() }
    }

    /// Sets the task that serves the connection: its end closes the descriptor.
    pub(crate) fn runs_in(&self, task: AbortHandle) {
        let task = self.task.get_or_init(|| task);
        // The connection may have been closed for another one before it had a task.
        if self.state().closed {
            task.abort();
        }
    }

    /// Starts an answer: a request's head is complete.
    pub(crate) fn begin_answer(self: &Arc<Connection>, now: Instant) -> OngoingAnswer {
        let mut state = self.state();
        let id = state.next_answer;
        state.next_answer += 1;
        state.answers.push_back((id, now));
        OngoingAnswer { connection: Arc::clone(self), id, is_stream: false }
    }

    /// Notes that bytes have come: between two answers they begin the next request's head.
    pub(crate) fn has_read(&self) {
        let mut state = self.state();
        if state.waiting == Waiting::Request && state.is_idle() {
            state.waiting = Waiting::RestOfHead;
            state.since = Instant::now();
        }
    }

    /// Notes that bytes are to leave.
    pub(crate) fn has_written(&self) {
        self.state().unsent.get_or_insert_with(Instant::now);
    }

    /// Notes that all written bytes have left for the kernel, and frees the permits of their bodies.
    pub(crate) fn has_flushed(&self) {
        let mut state = self.state();
        state.unsent = None;
        if !state.written.is_empty() {
            state.written.clear();
            state.since = Instant::now();
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        state.is_idle().then_some(state.since)
    }

    fn scraped_since(&self) -> Option<Instant> {
        self.state().scraped_since()
    }

    fn busy_since(&self) -> Option<Instant> {
        self.state().busy_since()
    }

    /// Ends the connection, also in the middle of an answer.
    pub(crate) fn close(&self, reason: &str) {
        tracing::debug!(reason, "closes a connection");
        self.state().closed = true;
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionState {
    /// Returns the start of the oldest answer or write that is under way.
    fn busy_since(&self) -> Option<Instant> {
        let oldest = self.answers.front().map(|(_, since)| *since);
        oldest.into_iter().chain(self.unsent).min()
    }

    /// Returns the start of the oldest answer or write, without the writes of a stream: it holds no permit.
    fn scraped_since(&self) -> Option<Instant> {
        let oldest = self.answers.front().map(|(_, since)| *since);
        oldest.into_iter().chain(self.unsent.filter(|_| self.streams == 0)).min()
    }

    /// Returns true if no answer is under way.
    fn is_idle(&self) -> bool {
        self.busy_since().is_none() && self.streams == 0
    }

    /// Returns the reason to close the connection, if it is over its time limit.
    fn overdue(&self, now: Instant) -> Option<&'static str> {
        let (since, limit, reason) = match (self.busy_since(), self.waiting) {
            (Some(since), _) => (since, ANSWER_TIMEOUT, "an answer was not taken in time"),
            (None, _) if self.streams > 0 => return None,
            (None, Waiting::FirstRequest) => (self.since, HEAD_TIMEOUT, "no request has come"),
            (None, Waiting::RestOfHead) => {
                (self.since, HEAD_TIMEOUT, "a request's head was not sent in time")
            }
            (None, Waiting::Request) => (self.since, IDLE_TIMEOUT, "no further request has come"),
        };
        (now.saturating_duration_since(since) > limit).then_some(reason)
    }
}

impl OngoingAnswer {
    /// Keeps a body that is written completely until its bytes have left for the kernel.
    pub(crate) fn is_written(&self, body: Body) {
        self.connection.state().written.push(body);
    }

    /// Marks the answer as a stream: it has no end, and so no time limit.
    pub(crate) fn becomes_stream(&mut self) {
        self.is_stream = true;
        let mut state = self.connection.state();
        state.answers.retain(|(id, _)| *id != self.id);
        state.streams += 1;
    }
}

impl Drop for OngoingAnswer {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        match self.is_stream {
            true => state.streams -= 1,
            false => state.answers.retain(|(id, _)| *id != self.id),
        }
        state.waiting = Waiting::Request;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn overdue(connection: &Connection, at: Instant) -> bool {
        connection.state().overdue(at).is_some()
    }

    #[test]
    fn a_first_head_has_ten_seconds_and_a_pause_between_scrapes_minutes() {
        let (connections, start) = (Connections::default(), Instant::now());
        let open = connections.enter(start).unwrap();
        assert!(!overdue(&open.connection, start + 10 * SECOND));
        assert!(overdue(&open.connection, start + 11 * SECOND));
        drop(open.connection.begin_answer(start));
        let now = Instant::now();
        assert!(!overdue(&open.connection, now + 299 * SECOND));
        assert!(overdue(&open.connection, now + 301 * SECOND));
        open.connection.has_read();
        assert!(
            overdue(&open.connection, Instant::now() + 11 * SECOND),
            "a further head has ten seconds too"
        );
    }

    #[test]
    fn an_answer_that_is_written_but_not_read_is_overdue_and_keeps_its_permit_until_then() {
        let (connections, start) = (Connections::default(), Instant::now());
        let open = connections.enter(start).unwrap();
        let answer = open.connection.begin_answer(start);
        open.connection.has_written();
        answer.is_written(Body::from(String::new()));
        drop(answer);
        assert_eq!(open.connection.state().written.len(), 1);
        assert!(open.connection.idle_since().is_none());
        assert!(overdue(&open.connection, Instant::now() + 31 * SECOND));
        open.connection.has_flushed();
        assert!(open.connection.state().written.is_empty());
        assert!(!overdue(&open.connection, Instant::now() + 31 * SECOND));
    }

    #[test]
    fn a_stream_is_never_overdue_nor_idle_nor_in_the_way_of_a_scrape_unless_it_is_not_read() {
        let (connections, start) = (Connections::default(), Instant::now());
        let open = connections.enter(start).unwrap();
        let mut answer = open.connection.begin_answer(start);
        answer.becomes_stream();
        assert!(!overdue(&open.connection, start + 100_000 * SECOND));
        assert!(open.connection.idle_since().is_none());
        open.connection.has_written();
        assert!(!connections.close_slowest(SECOND, Instant::now() + 20 * SECOND));
        assert!(overdue(&open.connection, Instant::now() + 31 * SECOND));
        open.connection.has_flushed();
        assert!(!overdue(&open.connection, start + 100_000 * SECOND));
        drop(answer);
        assert!(open.connection.idle_since().is_some());
    }

    /// Returns the connections that are closed but still have their slot.
    fn closing(connections: &Connections) -> Vec<u64> {
        let open = connections.lock();
        open.iter().filter(|(_, connection)| connection.state().closed).map(|(id, _)| *id).collect()
    }

    #[test]
    fn one_too_many_takes_the_slot_of_the_longest_idle_or_else_of_the_slowest() {
        let (connections, start) = (Connections::default(), Instant::now());
        let mut open: Vec<OpenConnection> =
            (0..MAX_OPEN).map(|n| connections.enter(start + n as u32 * SECOND).unwrap()).collect();
        let _busy = open[0].connection.begin_answer(start);
        assert!(connections.enter(start + 1_000 * SECOND).is_none(), "the one that is closed is still there");
        assert_eq!(closing(&connections), [1]);
        drop(open.remove(1));
        open.push(connections.enter(start + 1_000 * SECOND).unwrap());
        let left: Vec<u64> = connections.lock().keys().copied().collect();
        assert_eq!((left.len(), left[0], left[1]), (MAX_OPEN, 0, 2));
        let _answers: Vec<OngoingAnswer> = connections
            .lock()
            .values()
            .enumerate()
            .map(|(n, connection)| connection.begin_answer(start + n as u32 * SECOND))
            .collect();
        assert!(connections.enter(start + SECOND).is_none(), "none has been busy for long");
        assert!(closing(&connections).is_empty());
        assert!(connections.enter(start + 2 * SECOND).is_none());
        assert_eq!(closing(&connections), [0]);
        drop(open.remove(0));
        assert!(connections.enter(start + 2 * SECOND).is_some());
    }

    #[test]
    fn no_second_one_is_closed_before_the_first_has_left() {
        let (connections, start) = (Connections::default(), Instant::now());
        let _open: Vec<OpenConnection> = (0..MAX_OPEN).map(|_| connections.enter(start).unwrap()).collect();
        for _ in 0..10 {
            assert!(connections.enter(start + 1_000 * SECOND).is_none());
        }
        assert_eq!((closing(&connections).len(), connections.lock().len()), (1, MAX_OPEN));
    }

    #[tokio::test]
    async fn a_slot_is_taken_when_a_connection_leaves_without_waiting_out_the_pause() {
        let connections = Connections::default();
        let mut open = Vec::new();
        for _ in 0..MAX_OPEN {
            open.push(connections.admit().await);
        }
        let next = tokio::spawn({
            let connections = connections.clone();
            async move { connections.admit().await }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        open.pop();
        tokio::task::yield_now().await;
        assert!(next.is_finished());
    }

    #[test]
    fn an_overdue_connection_is_closed() {
        let (connections, start) = (Connections::default(), Instant::now());
        let open = connections.enter(start).unwrap();
        connections.close_overdue(start + 5 * SECOND);
        assert!(!open.connection.state().closed);
        connections.close_overdue(start + 11 * SECOND);
        assert!(open.connection.state().closed);
    }

    #[test]
    fn the_slowest_answer_goes_first_and_only_after_a_while() {
        let (connections, start) = (Connections::default(), Instant::now());
        let [one, two] = [connections.enter(start).unwrap(), connections.enter(start).unwrap()];
        assert!(!connections.close_slowest(SECOND, start + 100 * SECOND), "no client waits for an answer");
        let _answers = [two.connection.begin_answer(start), one.connection.begin_answer(start + 5 * SECOND)];
        assert!(!connections.close_slowest(6 * SECOND, start + 6 * SECOND));
        assert!(connections.close_slowest(5 * SECOND, start + 6 * SECOND));
    }
}
