//! A set that counts how often each value is in it.

use std::collections::BTreeMap;

/// A set in which a value may be there more than once.
#[derive(Clone, Debug)]
pub(crate) struct Counts<T> {
    counts: BTreeMap<T, usize>,
}

impl<T> Default for Counts<T> {
    fn default() -> Counts<T> {
        Counts { counts: BTreeMap::new() }
    }
}

impl<T: Ord> Counts<T> {
    /// Adds a value once.
    pub(crate) fn add(&mut self, value: T) {
        self.change(value, 1, true);
    }

    /// Takes a value out once.
    pub(crate) fn remove(&mut self, value: &T) {
        if let Some(count) = self.counts.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(value);
            }
        }
    }

    /// Adds a value so many times if `there`, else takes it out so many times.
    pub(crate) fn change(&mut self, value: T, times: usize, there: bool) {
        if there && times > 0 {
            *self.counts.entry(value).or_default() += times;
        } else {
            (0..times).for_each(|_| self.remove(&value));
        }
    }

    /// Returns how often a value is there.
    pub(crate) fn get(&self, value: &T) -> usize {
        self.counts.get(value).copied().unwrap_or(0)
    }

    /// Returns each value that is there, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &T> {
        self.counts.keys()
    }
}
