//! What a snapshot looks like, for all who ask for it; and how many such texts there are at a time.

use crate::exposition::pieces::{Pieces, Pool};
use crate::server::body::{Evicted, PieceSource};
use crate::server::encoding::{self, Encoding};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many texts are in memory at a time, whoever reads them.
const TEXTS: usize = 2;

/// A text is left to its readers for so long, if they take piece after piece; then, if its room is needed,
/// those who still read it are cut off.
const READING: Duration = Duration::from_secs(5);

/// Where nobody takes a piece for so long, nobody reads.
const STALLED: Duration = Duration::from_millis(500);

/// A text that readers share.
pub(crate) struct Text {
    pool: Pool,
    /// `None` once it has given way to another.
    held: Mutex<Option<Held>>,
    compressed: OnceLock<()>,
    tag: OnceLock<String>,
}

struct Held {
    plain: Vec<Bytes>,
    /// Empty if nobody has asked for it yet, or if it cannot be compressed.
    gzip: Vec<Bytes>,
    /// When a piece was last taken, or at least could be.
    taken: Instant,
    _room: TextPermit,
}

/// A reader of a text.
pub(crate) struct TextReader {
    pub text: Arc<Text>,
    pub encoding: Encoding,
    /// The number of the next piece.
    pub next: usize,
}

impl PieceSource for TextReader {
    fn next_piece(&mut self) -> Result<Option<Bytes>, Evicted> {
        self.next += 1;
        self.text.piece(self.encoding, self.next - 1)
    }
}

impl Text {
    pub(crate) fn new(plain: Vec<Bytes>, pool: Pool, room: TextPermit) -> Text {
        let held = Held { plain, gzip: Vec::new(), taken: Instant::now(), _room: room };
        Text { pool, held: Mutex::new(Some(held)), compressed: OnceLock::new(), tag: OnceLock::new() }
    }

    /// In which of the two ways it can be sent, and its length then. Compresses at the first call that
    /// wants that; those that come meanwhile wait for that one.
    pub(crate) fn prepare(&self, wanted: Encoding) -> (Encoding, usize) {
        if wanted == Encoding::Gzip {
            self.compressed.get_or_init(|| self.compress());
        }
        let held = self.held();
        let Some(Held { plain, gzip, .. }) = held.as_ref() else { return (Encoding::Identity, 0) };
        let length = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).sum();
        match wanted {
            Encoding::Gzip if !gzip.is_empty() => (Encoding::Gzip, length(gzip)),
            Encoding::Gzip | Encoding::Identity => (Encoding::Identity, length(plain)),
        }
    }

    /// A piece of it, by its number; `None` after the last.
    pub(crate) fn piece(&self, encoding: Encoding, number: usize) -> Result<Option<Bytes>, Evicted> {
        let mut held = self.held();
        let Held { plain, gzip, taken, .. } = held.as_mut().ok_or(Evicted)?;
        *taken = Instant::now();
        let pieces = match encoding {
            Encoding::Identity => plain,
            Encoding::Gzip => gzip,
        };
        Ok(pieces.get(number).cloned())
    }

    /// Gives it a tag: another text has another one.
    pub(crate) fn make_tag(&self) {
        self.tag.get_or_init(|| {
            let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
            // Nobody waits for the lock meanwhile.
            let plain = self.held().as_ref().map(|held| held.plain.clone()).unwrap_or_default();
            plain.iter().for_each(|piece| digest.update(piece));
            // 16 bytes are as good as unique.
            digest.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
        });
    }

    /// Its tag, if it has been given one.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.get().map(String::as_str)
    }

    fn compress(&self) {
        // Nobody waits for the lock meanwhile.
        let Some(plain) = self.held().as_ref().map(|held| held.plain.clone()) else { return };
        match encoding::gzip(&plain, Pool::default().begin()).map(Pieces::finish) {
            Ok(gzip) => {
                if let Some(held) = self.held().as_mut() {
                    held.gzip = gzip;
                    held.taken = Instant::now();
                }
            }
            Err(error) => tracing::warn!(%error, "cannot compress the metrics"),
        }
    }

    /// For how long nobody has taken a piece.
    fn stalled(&self) -> Duration {
        self.held().as_ref().map_or(Duration::ZERO, |held| held.taken.elapsed())
    }

    /// Gives its memory and its room to another; whoever still reads it is cut off.
    fn give_way(&self) {
        if let Some(held) = self.held().take() {
            self.pool.give_back(held.plain);
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.give_way();
    }
}

/// Room for one text.
pub(crate) struct TextPermit {
    _permit: OwnedSemaphorePermit,
}

/// Where texts are: there is room for two.
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    reading: Duration,
    stalled: Duration,
    /// The texts that were made and may still be read, with the time when they were; the oldest first.
    taken: VecDeque<(Instant, Weak<Text>)>,
}

impl Default for Memory {
    fn default() -> Memory {
        let free = Arc::new(Semaphore::new(TEXTS));
        Memory { free, reading: READING, stalled: STALLED, taken: VecDeque::new() }
    }
}

impl Memory {
    /// Waits for room; says whether that took time. `None` never happens: it is not closed.
    pub(crate) async fn make_room(&mut self) -> Option<(TextPermit, bool)> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some((TextPermit { _permit: permit }, false));
        }
        loop {
            let (left, slowest) = self.slowest();
            match tokio::time::timeout(left, Arc::clone(&self.free).acquire_owned()).await {
                Ok(permit) => return Some((TextPermit { _permit: permit.ok()? }, true)),
                Err(_) => self.cut_off(slowest),
            }
        }
    }

    /// The text whose readers' time ends first, by its place, and when.
    fn slowest(&mut self) -> (Duration, usize) {
        self.taken.retain(|(_, text)| text.strong_count() > 0);
        let left = |(made, text): &(Instant, Weak<Text>)| {
            let text = text.upgrade()?;
            let left = self.reading.saturating_sub(made.elapsed());
            Some(left.min(self.stalled.saturating_sub(text.stalled())))
        };
        let all = self.taken.iter().enumerate();
        all.filter_map(|(place, taken)| Some((left(taken)?, place))).min().unwrap_or((self.stalled, 0))
    }

    /// True if nobody need wait.
    pub(crate) fn has_room(&self) -> bool {
        self.free.available_permits() > 0
    }

    /// Notes who has taken it.
    pub(crate) fn record(&mut self, text: &Arc<Text>) {
        self.taken.retain(|(_, text)| text.strong_count() > 0);
        self.taken.push_back((Instant::now(), Arc::downgrade(text)));
    }

    /// Cuts off who reads this text, if their time is over by now: they may have gone on reading.
    fn cut_off(&mut self, place: usize) {
        if self.slowest() != (Duration::ZERO, place) {
            return;
        }
        if let Some(text) = self.taken.remove(place).and_then(|(_, text)| text.upgrade()) {
            tracing::warn!("a scrape was cut off: others wait, and it was read too slowly");
            text.give_way();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::pieces::PIECE;

    /// Makes a text of three pieces as soon as there is room for it; says whether that took time.
    async fn make(memory: &mut Memory, pool: &Pool) -> (Arc<Text>, bool) {
        let (room, waited) = memory.make_room().await.unwrap();
        let mut out = pool.begin();
        out.push(&"x".repeat(2 * PIECE + 1));
        let text = Arc::new(Text::new(out.finish(), pool.clone(), room));
        memory.record(&text);
        (text, waited)
    }

    #[tokio::test]
    async fn a_third_text_waits_until_one_of_two_is_read() {
        let (mut memory, pool) = (Memory::default(), Pool::default());
        let (first, waited) = make(&mut memory, &pool).await;
        let (second, also) = make(&mut memory, &pool).await;
        assert!(!waited && !also);
        let third = tokio::time::timeout(Duration::from_millis(50), make(&mut memory, &pool)).await;
        assert!(third.is_err(), "a third text is made beside two that are read");
        let begin = Instant::now();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(second);
        });
        let (_third, waited) = make(&mut memory, &pool).await;
        assert!(waited && begin.elapsed() < READING, "{:?}", begin.elapsed());
        reader.join().unwrap();
        assert!(first.piece(Encoding::Identity, 0).is_ok(), "one that is read in time is cut off");
    }

    #[tokio::test]
    async fn whoever_reads_too_slowly_is_cut_off_when_others_wait() {
        let pool = Pool::default();
        let mut memory = Memory { reading: Duration::from_millis(30), ..Memory::default() };
        let (slowest, _) = make(&mut memory, &pool).await;
        let (slow, _) = make(&mut memory, &pool).await;
        slowest.prepare(Encoding::Gzip);
        let (_third, waited) = make(&mut memory, &pool).await;
        assert!(waited);
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            assert!(slowest.piece(encoding, 1).is_err(), "{encoding:?}");
        }
        assert!(slow.piece(Encoding::Identity, 1).is_ok(), "the later of two was cut off");
    }

    #[tokio::test]
    async fn a_text_is_sent_as_long_as_it_was_said_to_be() {
        let (text, _) = make(&mut Memory::default(), &Pool::default()).await;
        for wanted in [Encoding::Identity, Encoding::Gzip] {
            let (encoding, length) = text.prepare(wanted);
            let pieces = (0..).map_while(|number| text.piece(encoding, number).unwrap());
            assert_eq!((encoding, pieces.map(|piece| piece.len()).sum::<usize>()), (wanted, length));
        }
    }
}
