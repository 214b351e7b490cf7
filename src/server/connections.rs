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

/// Connections open at a time, and so descriptors. One more waits until the one that has waited longest for
/// its next request, or else the one that has taken longest over its answer, has been closed for it.
const ROOM: usize = 128;

/// The table is looked at again after this, where all connections are busy and none has left.
const CROWDED_PAUSE: Duration = Duration::from_millis(10);

/// An answer is not cut off for one more connection before this, nor a new connection closed that has not
/// asked yet.
const UNHURRIED: Duration = Duration::from_secs(1);
const ABOUT_TO_ASK: Duration = Duration::from_millis(100);

/// A client has this long for its TLS handshake and its first request's head together, and for each further
/// head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection without a request is kept this long: longer than the time between two scrapes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// An answer is made and taken in this time, but for one that is a stream: whoever does not take what there
/// is of it is cut off by who sends it, and what is written has to go out in this time as well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the times are looked at.
pub(crate) const ROUND: Duration = Duration::from_millis(500);

/// The connections there are.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Table>);

#[derive(Default)]
struct Table {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    /// Wakes a listener that waits for a place.
    left: Notify,
}

/// One connection, as its I/O and its requests tell of it.
pub(crate) struct Connection {
    state: Mutex<ConnectionState>,
    task: OnceLock<AbortHandle>,
}

struct ConnectionState {
    closed: bool,
    waiting: Waiting,
    /// Since when it waits.
    since: Instant,
    /// The answers that are being made or sent, the oldest first.
    answers: VecDeque<(u64, Instant)>,
    next_answer: u64,
    /// Answers that have no end.
    streams: usize,
    /// Since when something is written that has not gone out.
    unsent: Option<Instant>,
    /// Answers that are written; each keeps its place until all has gone out.
    written: Vec<Body>,
}

/// What for, when no answer is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    FirstRequest,
    Request,
    RestOfHead,
}

/// A connection's place in the table.
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
    /// Waits for a place. Connections that arrive meanwhile wait in the kernel's queue, in their order.
    pub(crate) async fn place(&self) -> OpenConnection {
        loop {
            if let Some(open) = self.enter(Instant::now()) {
                return open;
            }
            // No event tells when a connection becomes old enough to be closed: hence the pause.
            let _ = timeout(CROWDED_PAUSE, self.0.left.notified()).await;
        }
    }

    /// Takes a place for a new connection. Where there is none, makes room if that is possible, and returns
    /// `None`.
    ///
    /// A connection keeps its place until its descriptor is closed. [`Connection::close`] only asks for
    /// that: a thread drops the task later, and a listener that accepted before that would have up to twice
    /// as many descriptors open.
    fn enter(&self, now: Instant) -> Option<OpenConnection> {
        let mut open = self.lock();
        if open.len() >= ROOM {
            make_room(&open, now);
            return None;
        }
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(now));
        open.insert(id, Arc::clone(&connection));
        Some(OpenConnection { table: self.clone(), id, connection })
    }

    /// Closes what is overdue.
    pub(crate) fn look_at_times(&self, now: Instant) {
        for connection in self.lock().values() {
            let overdue = connection.state().overdue(now);
            if let Some(reason) = overdue {
                connection.close(reason);
            }
        }
    }

    /// Closes those that have no answer to wait for.
    pub(crate) fn close_idle(&self) {
        for connection in self.lock().values().filter(|connection| connection.idle_since().is_some()) {
            connection.close("the exporter stops");
        }
    }

    /// Closes the connection that has taken longest over its answer, if that is more than `patience`.
    pub(crate) fn close_slowest(&self, patience: Duration, now: Instant) -> bool {
        let open = self.lock();
        let slow = open.values().filter_map(|connection| Some((connection.scraped_since()?, connection)));
        match slow.min_by_key(|(since, _)| *since) {
            Some((since, connection)) if now.saturating_duration_since(since) > patience => {
                connection.close("others wait, and it has taken longest over its answer");
                true
            }
            _ => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes one connection for a new one, unless one is about to leave already, or all are busy with answers
/// and none has been for long.
fn make_room(open: &BTreeMap<u64, Arc<Connection>>, now: Instant) {
    if open.values().any(|connection| connection.state().closed) {
        return;
    }
    let idle = open.values().filter_map(|connection| Some((connection.idle_since()?, connection)));
    let idle = idle.filter(|(since, _)| now.saturating_duration_since(*since) > ABOUT_TO_ASK);
    let busy = open.values().filter_map(|connection| Some((connection.busy_since()?, connection)));
    let busy = busy.filter(|(since, _)| now.saturating_duration_since(*since) > UNHURRIED);
    if let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) {
        longest.close("there are too many, and this one has waited longest");
    } else if let Some((_, slowest)) = busy.min_by_key(|(since, _)| *since) {
        slowest.close("there are too many, and this one has taken longest over its answer");
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

    /// The task whose end is the connection's.
    pub(crate) fn runs_in(&self, task: AbortHandle) {
        // It is set once, by whoever has made the connection.
        let task = self.task.get_or_init(|| task);
        // Another may have taken its place before it had a task.
        if self.state().closed {
            task.abort();
        }
    }

    /// A request's head is there.
    pub(crate) fn begin_answer(self: &Arc<Connection>, now: Instant) -> OngoingAnswer {
        let mut state = self.state();
        let id = state.next_answer;
        state.next_answer += 1;
        state.answers.push_back((id, now));
        OngoingAnswer { connection: Arc::clone(self), id, is_stream: false }
    }

    pub(crate) fn has_read(&self) {
        let mut state = self.state();
        if state.waiting == Waiting::Request && state.is_idle() {
            state.waiting = Waiting::RestOfHead;
            state.since = Instant::now();
        }
    }

    /// Bytes are to go out.
    pub(crate) fn has_written(&self) {
        self.state().unsent.get_or_insert_with(Instant::now);
    }

    /// All that was written has gone out.
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

    /// Ends it, whatever is under way.
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
    fn busy_since(&self) -> Option<Instant> {
        let oldest = self.answers.front().map(|(_, since)| *since);
        oldest.into_iter().chain(self.unsent).min()
    }

    /// The same without what is written of a stream, which holds no place of a scrape.
    fn scraped_since(&self) -> Option<Instant> {
        let oldest = self.answers.front().map(|(_, since)| *since);
        oldest.into_iter().chain(self.unsent.filter(|_| self.streams == 0)).min()
    }

    /// True if no answer is under way.
    fn is_idle(&self) -> bool {
        self.busy_since().is_none() && self.streams == 0
    }

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
    /// All of it is written; its place is kept until that has gone out.
    pub(crate) fn is_written(&self, body: Body) {
        self.connection.state().written.push(body);
    }

    /// It has no end, and so no time to be taken in.
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
    fn an_answer_that_is_written_but_not_taken_is_overdue_and_keeps_its_place_until_then() {
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
    fn a_stream_is_never_overdue_nor_idle_nor_in_the_way_of_a_scrape_unless_it_is_not_taken() {
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

    /// Returns the connections that are closed but still have their place.
    fn closing(connections: &Connections) -> Vec<u64> {
        let open = connections.lock();
        open.iter().filter(|(_, connection)| connection.state().closed).map(|(id, _)| *id).collect()
    }

    #[test]
    fn one_too_many_takes_the_place_of_the_longest_idle_or_else_of_the_slowest() {
        let (connections, start) = (Connections::default(), Instant::now());
        let mut open: Vec<OpenConnection> =
            (0..ROOM).map(|n| connections.enter(start + n as u32 * SECOND).unwrap()).collect();
        let _busy = open[0].connection.begin_answer(start);
        assert!(connections.enter(start + 1_000 * SECOND).is_none(), "the one that is closed is still there");
        assert_eq!(closing(&connections), [1]);
        drop(open.remove(1));
        open.push(connections.enter(start + 1_000 * SECOND).unwrap());
        let left: Vec<u64> = connections.lock().keys().copied().collect();
        assert_eq!((left.len(), left[0], left[1]), (ROOM, 0, 2));
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
        let _open: Vec<OpenConnection> = (0..ROOM).map(|_| connections.enter(start).unwrap()).collect();
        for _ in 0..10 {
            assert!(connections.enter(start + 1_000 * SECOND).is_none());
        }
        assert_eq!((closing(&connections).len(), connections.lock().len()), (1, ROOM));
    }

    #[tokio::test]
    async fn a_place_is_taken_when_one_leaves_without_waiting_out_the_pause() {
        let connections = Connections::default();
        let mut open = Vec::new();
        for _ in 0..ROOM {
            open.push(connections.place().await);
        }
        let next = tokio::spawn({
            let connections = connections.clone();
            async move { connections.place().await }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        open.pop();
        tokio::task::yield_now().await;
        assert!(next.is_finished());
    }

    #[test]
    fn what_is_overdue_is_closed() {
        let (connections, start) = (Connections::default(), Instant::now());
        let open = connections.enter(start).unwrap();
        connections.look_at_times(start + 5 * SECOND);
        assert!(!open.connection.state().closed);
        connections.look_at_times(start + 11 * SECOND);
        assert!(open.connection.state().closed);
    }

    #[test]
    fn the_slowest_answer_goes_first_and_only_after_a_while() {
        let (connections, start) = (Connections::default(), Instant::now());
        let [one, two] = [connections.enter(start).unwrap(), connections.enter(start).unwrap()];
        assert!(!connections.close_slowest(SECOND, start + 100 * SECOND), "nobody waits for an answer");
        let _answers = [two.connection.begin_answer(start), one.connection.begin_answer(start + 5 * SECOND)];
        assert!(!connections.close_slowest(6 * SECOND, start + 6 * SECOND));
        assert!(connections.close_slowest(5 * SECOND, start + 6 * SECOND));
    }
}
