//! The readers of snapshots. At most three snapshots have readers, of whatever kind and format. If another
//! is needed, it waits until one of them is read; slow readers of an older one are cut off.

use crate::collector::Snapshot;
use crate::server::body::{CutOff, PieceSource};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The highest number of snapshots that have readers.
const SNAPSHOTS: usize = 3;

/// The time after which the readers of a snapshot are cut off if another one is needed.
const READING: Duration = Duration::from_secs(5);

/// The time without a piece for any reader of a snapshot after which the same happens.
const STALLED: Duration = Duration::from_millis(500);

/// The right to keep one snapshot in memory; its readers share it.
pub(crate) struct Lease {
    pub snapshot: Arc<Snapshot>,
    _permit: SnapshotPermit,
}

/// One of the places for snapshots.
pub(crate) struct SnapshotPermit {
    _permit: OwnedSemaphorePermit,
}

/// A body that the register can take away from its reader.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Mutex<Option<OpenBody>>>);

struct OpenBody {
    source: Box<dyn PieceSource>,
    /// The time at which the reader last took a piece, or at first could.
    taken: Instant,
    _lease: Arc<Lease>,
}

impl Reader {
    fn reading(&self) -> MutexGuard<'_, Option<OpenBody>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PieceSource for Reader {
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
        let mut reading = self.reading();
        let OpenBody { source, taken, .. } = reading.as_mut().ok_or(CutOff::Evicted)?;
        *taken = Instant::now();
        source.next_piece()
    }
}

/// A snapshot that has readers, or had some.
struct SnapshotEntry {
    lease: Weak<Lease>,
    /// The time at which the snapshot was asked for; `None` if it serves only those who got it.
    asked: Option<Instant>,
    begun: Instant,
    readers: Vec<Weak<Mutex<Option<OpenBody>>>>,
}

impl SnapshotEntry {
    fn readers(&self) -> impl Iterator<Item = Reader> {
        self.readers.iter().filter_map(Weak::upgrade).map(Reader)
    }

    /// Returns the time since a reader last took a piece; `None` without a reader.
    fn stalled(&self) -> Option<Duration> {
        let stalled = |reader: Reader| Some(reader.reading().as_ref()?.taken.elapsed());
        self.readers().filter_map(stalled).min()
    }
}

/// The register of readers.
pub(crate) struct Readers {
    free: Arc<Semaphore>,
    reading: Duration,
    stalled: Duration,
    /// The snapshots in memory, the oldest first.
    entries: VecDeque<SnapshotEntry>,
}

impl Default for Readers {
    fn default() -> Readers {
        let free = Arc::new(Semaphore::new(SNAPSHOTS));
        Readers { free, reading: READING, stalled: STALLED, entries: VecDeque::new() }
    }
}

impl Readers {
    /// Returns the lease of this snapshot, or of one that was asked for after `came`, if any.
    pub(crate) fn lease(&self, snapshot: &Arc<Snapshot>, came: Option<Instant>) -> Option<Arc<Lease>> {
        let leases = self.entries.iter().rev().filter_map(|entry| Some((entry, entry.lease.upgrade()?)));
        let mut fitting = leases.filter(|(entry, lease)| {
            came.is_some_and(|came| entry.asked >= Some(came)) || Arc::ptr_eq(&lease.snapshot, snapshot)
        });
        fitting.next().map(|(_, lease)| lease)
    }

    /// Waits for a place for a snapshot, and returns it with true if that took time. `None` never happens:
    /// the semaphore is not closed.
    pub(crate) async fn make_room(&mut self) -> Option<(SnapshotPermit, bool)> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some((SnapshotPermit { _permit: permit }, false));
        }
        loop {
            let (left, slowest) = self.slowest();
            match tokio::time::timeout(left, Arc::clone(&self.free).acquire_owned()).await {
                Ok(permit) => return Some((SnapshotPermit { _permit: permit.ok()? }, true)),
                Err(_) => self.cut_off(slowest),
            }
        }
    }

    /// Keeps a snapshot that was asked for at this time, as long as its lease is held.
    pub(crate) fn keep_snapshot(
        &mut self,
        snapshot: Arc<Snapshot>,
        asked: Option<Instant>,
        permit: SnapshotPermit,
    ) -> Arc<Lease> {
        self.drop_ended();
        let lease = Arc::new(Lease { snapshot, _permit: permit });
        let entry = SnapshotEntry {
            lease: Arc::downgrade(&lease),
            asked,
            begun: Instant::now(),
            readers: Vec::new(),
        };
        self.entries.push_back(entry);
        lease
    }

    /// Returns a reader of a body that is made of the lease's snapshot.
    pub(crate) fn reader(&mut self, lease: Arc<Lease>, source: Box<dyn PieceSource>) -> Reader {
        let kept = Arc::downgrade(&lease);
        let reading = OpenBody { source, taken: Instant::now(), _lease: lease };
        let reader = Reader(Arc::new(Mutex::new(Some(reading))));
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.lease.ptr_eq(&kept)) {
            entry.readers.retain(|reader| reader.strong_count() > 0);
            entry.readers.push(Arc::downgrade(&reader.0));
        }
        reader
    }

    fn drop_ended(&mut self) {
        self.entries.retain(|entry| entry.lease.strong_count() > 0);
    }

    /// Returns the index of the snapshot with the readers that have the least time left, and that time.
    fn slowest(&mut self) -> (Duration, usize) {
        self.drop_ended();
        let left = |entry: &SnapshotEntry| {
            let left = self.reading.saturating_sub(entry.begun.elapsed());
            Some(left.min(self.stalled.saturating_sub(entry.stalled()?)))
        };
        let all = self.entries.iter().enumerate();
        all.filter_map(|(index, entry)| Some((left(entry)?, index))).min().unwrap_or((self.stalled, 0))
    }

    /// Cuts the readers of a snapshot off if their time is over by now: they may have gone on reading.
    fn cut_off(&mut self, index: usize) {
        if self.slowest() != (Duration::ZERO, index) {
            return;
        }
        if let Some(entry) = self.entries.remove(index) {
            tracing::warn!("a scrape was cut off: others wait, and it was read too slowly");
            entry.readers().for_each(|reader| drop(reader.reading().take()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::Status;

    struct Endless;

    impl PieceSource for Endless {
        fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
            Ok(Some(Bytes::from_static(b"x")))
        }
    }

    fn snapshot() -> Arc<Snapshot> {
        Arc::new(Snapshot { view: None, status: Status::default(), epoch: Duration::ZERO, state: None })
    }

    /// Begins to read a new snapshot as soon as there is room for it; says whether that took time.
    async fn read(readers: &mut Readers) -> (Reader, bool) {
        let (permit, waited) = readers.make_room().await.unwrap();
        let lease = readers.keep_snapshot(snapshot(), Some(Instant::now()), permit);
        (readers.reader(lease, Box::new(Endless)), waited)
    }

    #[tokio::test]
    async fn a_snapshot_too_many_waits_until_another_is_read() {
        let mut readers = Readers::default();
        let mut all = Vec::new();
        for _ in 0..SNAPSHOTS {
            let (reader, waited) = read(&mut readers).await;
            assert!(!waited);
            all.push(reader);
        }
        let another = tokio::time::timeout(Duration::from_millis(50), read(&mut readers)).await;
        assert!(another.is_err(), "a snapshot too many is in memory");
        let (begin, last) = (Instant::now(), all.pop());
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(last);
        });
        let (_another, waited) = read(&mut readers).await;
        assert!(waited && begin.elapsed() < READING, "{:?}", begin.elapsed());
        reader.join().unwrap();
        assert!(all[0].next_piece().is_ok(), "one that is read in time is cut off");
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_cut_off_when_others_wait_and_its_snapshot_is_dropped() {
        let mut readers = Readers { reading: Duration::from_millis(30), ..Readers::default() };
        let (permit, _) = readers.make_room().await.unwrap();
        let lease = readers.keep_snapshot(snapshot(), Some(Instant::now()), permit);
        let shown = Arc::downgrade(&lease.snapshot);
        let mut slowest = [(); 2].map(|()| readers.reader(Arc::clone(&lease), Box::new(Endless)));
        drop(lease);
        let mut slow = Vec::new();
        for _ in 1..SNAPSHOTS {
            slow.push(read(&mut readers).await.0);
        }
        let (_another, waited) = read(&mut readers).await;
        assert!(waited);
        for reader in &mut slowest {
            assert!(matches!(reader.next_piece(), Err(CutOff::Evicted)));
        }
        assert_eq!(shown.strong_count(), 0);
        assert!(slow[0].next_piece().is_ok(), "a later one was cut off");
    }

    #[tokio::test]
    async fn readers_of_one_snapshot_share_its_lease_and_so_do_those_that_came_before_it_was_asked_for() {
        let mut readers = Readers::default();
        let (came, shown) = (Instant::now(), snapshot());
        let (permit, _) = readers.make_room().await.unwrap();
        let asked = Instant::now();
        let lease = readers.keep_snapshot(Arc::clone(&shown), Some(asked), permit);
        let later = asked + Duration::from_millis(1);
        assert!(readers.lease(&shown, Some(later)).is_some_and(|other| Arc::ptr_eq(&other, &lease)));
        assert!(readers.lease(&snapshot(), Some(came)).is_some());
        assert!(readers.lease(&snapshot(), Some(later)).is_none());
        drop(lease);
        assert!(readers.lease(&shown, Some(came)).is_none(), "a snapshot without a reader is kept");
    }
}
