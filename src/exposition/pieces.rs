//! A text in pieces: readers share them, and a piece without a reader is written over.

use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The length of a piece in bytes. A slow reader keeps only a few pieces from being used again.
pub(crate) const PIECE: usize = 64 * 1024;

/// The memory of finished texts, for the next one. Clones are the same pool.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Mutex<Spare>>);

#[derive(Debug, Default)]
struct Spare {
    pieces: Vec<BytesMut>,
    /// The number of pieces of the longest recent text: more are not kept.
    wanted: usize,
}

impl Pool {
    /// Returns an empty text in memory of this pool.
    pub fn begin(&self) -> Pieces {
        Pieces { pool: self.clone(), whole: Vec::new(), last: BytesMut::new() }
    }

    /// Returns the memory of a text to the pool, except for pieces that still have a reader.
    pub fn give_back(&self, pieces: impl IntoIterator<Item = Bytes>) {
        let mut spare = self.spare();
        for piece in pieces {
            if let Ok(mut piece) = piece.try_into_mut()
                && spare.pieces.len() < spare.wanted
            {
                piece.clear();
                spare.pieces.push(piece);
            }
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text that is being written.
#[derive(Debug)]
pub struct Pieces {
    pool: Pool,
    whole: Vec<Bytes>,
    last: BytesMut,
}

impl Pieces {
    pub fn push(&mut self, text: &str) {
        self.extend(text.as_bytes());
    }

    /// Adds these parts, in one piece if they fit into one: the hot path, with some hundred thousand calls a
    /// scrape.
    #[inline]
    pub fn push_row(&mut self, parts: [&[u8]; 4]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.room() {
            if length > PIECE {
                parts.into_iter().for_each(|part| self.extend(part));
                return;
            }
            self.begin_piece();
        }
        for part in parts {
            self.last.extend_from_slice(part);
        }
    }

    /// Returns the pieces of the text in order.
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.last.is_empty() {
            self.whole.push(self.last.freeze());
        }
        let mut spare = self.pool.spare();
        spare.wanted = self.whole.len().max(spare.wanted - spare.wanted / 8);
        let wanted = spare.wanted;
        spare.pieces.truncate(wanted);
        self.whole
    }

    fn room(&self) -> usize {
        self.last.capacity() - self.last.len()
    }

    /// Ends the present piece and begins another.
    fn begin_piece(&mut self) {
        let next = self.pool.spare().pieces.pop().unwrap_or_else(|| BytesMut::with_capacity(PIECE));
        let last = std::mem::replace(&mut self.last, next);
        if !last.is_empty() {
            self.whole.push(last.freeze());
        }
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room() == 0 {
                self.begin_piece();
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.last.extend_from_slice(now);
            bytes = later;
        }
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a text of about this number of bytes.
    fn write(pool: &Pool, bytes: usize) -> Vec<Bytes> {
        let mut text = pool.begin();
        for number in 0..bytes / 10 {
            let digits = format!("{number:07}");
            text.push_row([b"a", digits.as_bytes(), b" ", b"\n"]);
        }
        text.finish()
    }

    fn addresses(text: &[Bytes]) -> Vec<*const u8> {
        let mut addresses: Vec<_> = text.iter().map(|piece| piece.as_ptr()).collect();
        addresses.sort_unstable();
        addresses
    }

    #[test]
    fn a_row_is_in_one_piece_and_a_row_longer_than_a_piece_in_several() {
        let text = write(&Pool::default(), 3 * PIECE);
        assert!(text.iter().all(|piece| piece.ends_with(b"\n") && piece.len() <= PIECE), "{text:?}");
        let (mut long, row) = (Pool::default().begin(), "x".repeat(3 * PIECE));
        long.push_row([b"a", row.as_bytes(), b" ", b"1"]);
        let long = long.finish();
        assert!(long.iter().all(|piece| piece.len() <= PIECE), "{:?}", long.len());
        assert_eq!(String::from_utf8(long.concat()).unwrap(), format!("a{row} 1"));
    }

    #[test]
    fn a_text_is_written_over_one_that_nobody_reads_any_more() {
        let pool = Pool::default();
        let first = write(&pool, 5 * PIECE);
        let (before, read) = (addresses(&first), first[1].clone());
        pool.give_back(first);
        let second = write(&pool, 5 * PIECE);
        let again = addresses(&second);
        assert_eq!(again.iter().filter(|address| before.contains(address)).count(), before.len() - 1);
        assert!(!again.contains(&read.as_ptr()), "a piece that is being read is written over");
    }

    #[test]
    fn more_memory_than_a_text_needs_is_given_back_to_the_system() {
        let pool = Pool::default();
        let two = [write(&pool, 8 * PIECE), write(&pool, 8 * PIECE)];
        two.into_iter().for_each(|text| pool.give_back(text));
        assert_eq!(pool.spare().pieces.len(), 9);
        for _ in 0..40 {
            pool.give_back(write(&pool, PIECE));
        }
        assert!(pool.spare().pieces.len() < 9, "kept: {}", pool.spare().pieces.len());
    }
}
