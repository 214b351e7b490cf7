//! The problems of one part as they were found last: what has not changed is not described again.

use super::Found;
use std::sync::Arc;

/// The problems of a part, each with what it was made from, in the order of the part.
#[derive(Debug)]
pub(crate) struct Remembered<K> {
    known: Vec<(K, Arc<Found>)>,
    /// The index of the next problem.
    next: usize,
}

impl<K> Default for Remembered<K> {
    fn default() -> Remembered<K> {
        Remembered { known: Vec::new(), next: 0 }
    }
}

impl<K> Remembered<K> {
    /// Returns the next problem: the known one if it is the same, else the one that `make` makes. A problem
    /// that begins or ends moves those behind it, which are made anew once.
    pub(crate) fn next(
        &mut self,
        is_same: impl FnOnce(&K) -> bool,
        make: impl FnOnce() -> (K, Found),
    ) -> &Arc<Found> {
        let at = self.next;
        self.next += 1;
        if !self.known.get(at).is_some_and(|(known, _)| is_same(known)) {
            let (key, found) = make();
            self.known.truncate(at);
            self.known.push((key, Arc::new(found)));
        }
        &self.known[at].1
    }

    /// Ends the tick: the next problem is the first one again.
    pub(crate) fn end(&mut self) {
        self.known.truncate(self.next);
        self.next = 0;
    }
}
