//! A multiset: it counts the occurrences of each value.

use std::collections::BTreeMap;

/// A set that may contain a value more than once.
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

    /// Removes one occurrence of a value.
    pub(crate) fn remove(&mut self, value: &T) {
        if let Some(count) = self.counts.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(value);
            }
        }
    }

    /// Adds `times` occurrences of a value if `there` is true, else removes as many.
    pub(crate) fn change(&mut self, value: T, times: usize, there: bool) {
        if there && times > 0 {
            *self.counts.entry(value).or_default() += times;
        } else {
            (0..times).for_each(|_| self.remove(&value));
        }
    }

    /// Returns the number of occurrences of a value.
    pub(crate) fn get(&self, value: &T) -> usize {
        self.counts.get(value).copied().unwrap_or(0)
    }

    /// Returns each value that occurs at least once and is not below `from`, in ascending order.
    pub(crate) fn keys_from(&self, from: T) -> impl Iterator<Item = &T> {
        self.counts.range(from..).map(|(value, _)| value)
    }

    /// Returns the number of different values.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Returns each value that occurs at least once, in ascending order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &T> {
        self.counts.keys()
    }
}
