//! The memory of the pieces of bodies: used again as soon as a piece has been sent.

use bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The length of a piece in bytes.
pub(crate) const PIECE: usize = 64 << 10;

/// The highest number of spare pieces: those of some readers at a time.
const SPARE: usize = 8;

/// The memory of pieces that have been sent. Clones are the same pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A piece that returns its memory to the pool.
struct Piece {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Pool {
    /// Returns an empty piece in memory that was used last, if there is any.
    pub(crate) fn begin_piece(&self) -> Vec<u8> {
        self.spare().pop().unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    /// Returns a finished piece, for as many readers as have a clone.
    pub(crate) fn share(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Piece { bytes, pool: self.clone() })
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.pool.spare();
        // A section longer than a piece has made it longer.
        if spare.len() < SPARE && bytes.capacity() <= 2 * PIECE {
            bytes.clear();
            spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pool: &Pool, byte: u8) -> Bytes {
        let mut bytes = pool.begin_piece();
        bytes.resize(PIECE, byte);
        pool.share(bytes)
    }

    #[test]
    fn a_piece_is_written_over_one_that_was_sent_and_not_over_one_that_is_being_read() {
        let pool = Pool::default();
        let (first, second) = (piece(&pool, b'a'), piece(&pool, b'b'));
        let read = first.clone();
        let (first, sent) = (first.as_ptr(), second.as_ptr());
        drop(second);
        let third = piece(&pool, b'c');
        assert_eq!(third.as_ptr(), sent);
        assert_ne!(piece(&pool, b'd').as_ptr(), first);
        assert!(read.iter().all(|&byte| byte == b'a'));
    }

    #[test]
    fn no_more_memory_is_kept_than_that_of_some_pieces() {
        let pool = Pool::default();
        drop((0..3 * SPARE).map(|_| piece(&pool, b'x')).collect::<Vec<_>>());
        assert_eq!(pool.spare().len(), SPARE);
        pool.spare().clear();
        drop(pool.share(Vec::with_capacity(3 * PIECE)));
        assert_eq!(pool.spare().len(), 0, "a piece of a size out of the ordinary is kept");
    }
}
