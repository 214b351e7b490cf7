//! The present state -> the bytes to write: all of it, or what has changed since the last bytes.

use super::line::{RecordLines, seal};
use super::recover::{MAGIC, VERSION};
use super::{Moment, SavedEnd};
use crate::model::ledger::{LabelSet, NetworkLabels, Traffic};
use crate::model::link::Counters;
use crate::model::periods::{ByPeriod, Period, PeriodBases};
use crate::model::workload::WorkloadName;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A file is written anew when its changes have more bytes than this many times all records, and than
/// [`SMALL`] bytes.
const CHANGES: usize = 4;
const SMALL: usize = 256 * 1024;

/// The bytes of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Without checksums before [`seal`](Batch::seal).
    pub bytes: Vec<u8>,
    /// True for all records, which are to replace the file; else the bytes are to be appended.
    pub is_whole: bool,
}

impl Batch {
    /// Writes the checksums of all lines, which takes as long as all else: a thread that may be slow does it.
    pub(crate) fn seal(&mut self) {
        let first = if self.is_whole { MAGIC.len() + VERSION.len() + 1 } else { 0 };
        seal(&mut self.bytes[first..]);
    }
}

/// The record of a key as it was last written.
#[derive(Debug)]
struct Written {
    number: u64,
    content: u64,
    /// The number of the batch in which the record was last there.
    batch: u64,
}

/// The writer of batches. It remembers of each record only a hash.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    hasher: RandomState,
    written: HashMap<u64, Written>,
    /// The number of the next record that is new.
    next: u64,
    batch: u64,
    /// The periods of the batch.
    periods: Option<ByPeriod<Period>>,
    /// The lines of the batch.
    line: RecordLines,
    lines: u64,
    is_whole: bool,
    /// The sizes of the last whole batch, and of all since.
    whole: usize,
    appended: usize,
}

impl Journal {
    /// Begins a batch: with all records if there is no file yet, the last write has failed, or the file has
    /// more bytes of changes than of records.
    pub(crate) fn begin(&mut self, must_be_whole: bool) {
        self.is_whole = must_be_whole || self.batch == 0 || self.appended > (CHANGES * self.whole).max(SMALL);
        self.batch += 1;
        (self.line, self.lines) = (RecordLines::default(), 0);
        if self.is_whole {
            self.written.clear();
            self.next = 0;
            self.line.text.extend_from_slice(format!("{MAGIC}{VERSION}\n").as_bytes());
        }
    }

    /// Sets the periods to which the bases of totals belong.
    pub(crate) fn periods(&mut self, periods: Option<ByPeriod<Period>>) {
        self.periods = periods;
    }

    /// Adds the total of a workload, with its bases of the periods. Returns the number of its record.
    pub(crate) fn workload(
        &mut self,
        labels: &LabelSet,
        traffic: &Traffic,
        begun: Duration,
        idle: Option<Duration>,
        bases: &PeriodBases,
    ) -> u64 {
        let content = |line: &mut RecordLines| {
            line.total(traffic, begun, idle);
            line.bases(bases);
        };
        self.add(|line| _ = line.workload_labels(labels), content)
    }

    /// Adds the total of a network.
    pub(crate) fn network(
        &mut self,
        labels: &NetworkLabels,
        traffic: &Traffic,
        begun: Duration,
        idle: Option<Duration>,
    ) {
        self.add(|line| _ = line.network_labels(labels), |line| line.total(traffic, begun, idle));
    }

    /// Adds the starts under a name.
    pub(crate) fn starts(&mut self, name: &WorkloadName, count: u64, begun: Duration, is_shown: bool) {
        let content = |line: &mut RecordLines| _ = line.number(count).time(begun).number(u64::from(is_shown));
        self.add(|line| _ = line.starts_name(name), content);
    }

    /// Adds a living pair; `totals` are the records of the totals that its sides are booked to.
    pub(crate) fn pair(
        &mut self,
        ends: &[SavedEnd; 2],
        highest: &[Counters; 2],
        unbooked: &[Traffic; 2],
        totals: [Option<u64>; 2],
    ) {
        let content = |line: &mut RecordLines| {
            line.pair_counters(highest, unbooked);
            line.pair_totals(totals);
        };
        self.add(|line| _ = line.pair_ends(ends), content);
    }

    /// Writes a record, and withdraws it if it is as it was written last. Returns its number.
    fn add(&mut self, key: impl FnOnce(&mut RecordLines), content: impl FnOnce(&mut RecordLines)) -> u64 {
        let begin = self.line.begin();
        key(&mut self.line);
        let (mut hasher, end) = (self.hasher.build_hasher(), self.line.text.len());
        hasher.write(&self.line.text[begin..]);
        let key = hasher.finish();
        content(&mut self.line);
        hasher.write(&self.line.text[end..]);
        let content = hasher.finish();
        let number = match self.written.get_mut(&key) {
            Some(written) => {
                written.batch = self.batch;
                if std::mem::replace(&mut written.content, content) == content {
                    self.line.withdraw(begin);
                    return written.number;
                }
                written.number
            }
            None => {
                let number = self.next;
                self.next += 1;
                self.written.insert(key, Written { number, content, batch: self.batch });
                number
            }
        };
        self.line.number(number).end();
        self.lines += 1;
        number
    }

    /// Ends the batch; `None` if nothing has changed. Records that were not added since
    /// [`begin`](Journal::begin) are gone.
    pub(crate) fn commit(&mut self, moment: &Moment) -> Option<Batch> {
        let batch = self.batch;
        let mut gone = Vec::new();
        self.written.retain(|_, written| {
            if written.batch != batch {
                gone.push(written.number);
            }
            written.batch == batch
        });
        for number in gone {
            self.line.begin();
            self.line.word("d").number(number).end();
            self.lines += 1;
        }
        if self.lines == 0 && !self.is_whole {
            return None;
        }
        self.line.begin();
        self.line.commit(self.lines, moment, self.periods.as_ref());
        self.line.end();
        let bytes = std::mem::take(&mut self.line.text);
        match self.is_whole {
            true => (self.whole, self.appended) = (bytes.len(), 0),
            false => self.appended += bytes.len(),
        }
        Some(Batch { bytes, is_whole: self.is_whole })
    }
}

#[cfg(test)]
mod tests;
