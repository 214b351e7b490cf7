//! A file -> the state of its last whole batch.

use super::line::{Record, RecordFields, checksum};
use super::{Moment, SavedState};
use crate::model::periods::{ByPeriod, Period};
use std::collections::BTreeMap;

/// The beginning of every file, before the number of the version.
pub(super) const MAGIC: &str = "veth-exporter-state ";

/// The version that is written.
pub(super) const VERSION: &str = "2";

/// The version before, which has no periods, and is read as well.
const WITHOUT_PERIODS: &str = "1";

/// A state that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub state: SavedState,
    /// The number of bytes behind the last whole batch, which are lost: a write that was interrupted, or
    /// damage.
    pub lost: usize,
}

/// The reason why a file has no state for this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The file does not begin as a state does: another program has made it.
    Foreign,
    /// The file of another version of this program.
    OtherVersion,
    /// No batch is whole.
    Damaged,
}

impl Unusable {
    /// Returns the reason in words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Unusable::Foreign => "is no state of veth-exporter",
            Unusable::OtherVersion => "is of another version of veth-exporter",
            Unusable::Damaged => "is damaged",
        }
    }
}

/// Reads a file.
///
/// # Errors
/// The file has no whole batch of this version.
pub(crate) fn recover(file: &[u8]) -> Result<Recovered, Unusable> {
    let rest = file.strip_prefix(MAGIC.as_bytes()).ok_or(Unusable::Foreign)?;
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Unusable::Damaged)?;
    match std::str::from_utf8(&rest[..end]) {
        Ok(VERSION | WITHOUT_PERIODS) => {}
        Ok(other) if other.parse::<u32>().is_ok() => return Err(Unusable::OtherVersion),
        _ => return Err(Unusable::Damaged),
    }
    let mut records: BTreeMap<u64, Record> = BTreeMap::new();
    let mut batch: Vec<(u64, Box<Record>)> = Vec::new();
    let mut committed = None;
    let (mut rest, mut lost) = (&rest[end + 1..], 0);
    while let Some((line, after)) = next_line(rest) {
        lost += rest.len() - after.len();
        rest = after;
        match line {
            Parsed::Record(number, record) => batch.push((number, record)),
            Parsed::Commit(lines, moment, periods) if lines == batch.len() as u64 => {
                for (number, record) in batch.drain(..) {
                    match *record {
                        Record::Gone => _ = records.remove(&number),
                        record => _ = records.insert(number, record),
                    }
                }
                (committed, lost) = (Some((moment, periods)), 0);
            }
            Parsed::Commit(..) => break,
        }
    }
    let (moment, periods) = committed.ok_or(Unusable::Damaged)?;
    Ok(Recovered { state: gather(records, moment, periods), lost: lost + rest.len() })
}

/// One line with a right checksum.
enum Parsed {
    Record(u64, Box<Record>),
    Commit(u64, Moment, Option<ByPeriod<Period>>),
}

/// Reads the first line, and returns it with what follows; `None` if it is not whole.
fn next_line(text: &[u8]) -> Option<(Parsed, &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let (sum, payload) = (text[..end].get(..8)?, text[..end].get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if text[8] != b' ' || checksum(payload) != sum {
        return None;
    }
    let mut fields = RecordFields::new(std::str::from_utf8(payload).ok()?);
    let parsed = match fields.word()? {
        "c" => {
            let (lines, moment, periods) = fields.commit()?;
            Parsed::Commit(lines, moment, periods)
        }
        kind => {
            let (number, record) = fields.record(kind)?;
            Parsed::Record(number, Box::new(record))
        }
    };
    Some((parsed, &text[end + 1..]))
}

fn gather(records: BTreeMap<u64, Record>, moment: Moment, periods: Option<ByPeriod<Period>>) -> SavedState {
    let mut state = SavedState { moment, periods, ..SavedState::default() };
    let mut workloads: BTreeMap<u64, usize> = BTreeMap::new();
    let mut totals_of_pairs = Vec::new();
    for (number, record) in records {
        match record {
            Record::Workload(total) => {
                workloads.insert(number, state.workloads.len());
                state.workloads.push(total);
            }
            Record::Network(total) => state.networks.push(total),
            Record::Starts(starts) => state.starts.push(starts),
            Record::Pair(pair, totals) => {
                state.pairs.push(pair);
                totals_of_pairs.push(totals);
            }
            Record::Gone => {}
        }
    }
    for (pair, totals) in state.pairs.iter_mut().zip(totals_of_pairs) {
        pair.totals = totals.map(|total| workloads.get(&total?).copied());
    }
    state
}
