//! The names of network namespaces, a source that reports each change by itself (inotify): a reading of the
//! whole folder may be older than a change that was reported while it was open.

use super::Request;
use crate::model::workload::{Claim, Claims, Locator, Runtime};
use std::collections::BTreeMap;

/// The state of reading names.
#[derive(Debug, Default)]
pub(super) struct NamesReading {
    /// A namespace has got an id since names were requested.
    pub(super) wanted: bool,
    /// Each name that comes or goes is reported.
    pub(super) watched: bool,
    /// The readings that are requested and not answered.
    open: u32,
    /// The folder is to be read once more after the open readings.
    again: bool,
    /// The changes that were reported while a reading was open, by file: its claim, or `None` where the name
    /// is gone. Emptied when the last open reading is answered.
    since: BTreeMap<Locator, Option<Claim>>,
}

impl NamesReading {
    /// Requests a reading, unless two are open: the second has not begun yet.
    pub(super) fn request(&mut self) -> Option<Request> {
        if self.open >= 2 {
            return None;
        }
        self.open += 1;
        Some(Request::Claims(Runtime::Named))
    }

    /// Requests a reading that begins after now: at once, or after the open one.
    pub(super) fn request_after_open(&mut self) -> Option<Request> {
        self.again = self.open > 0;
        if self.again { None } else { self.request() }
    }

    /// Notes that a name has come (with its claim) or gone: a reading that is open may not know of it.
    pub(super) fn changed(&mut self, locator: &Locator, claim: Option<&Claim>) {
        if self.open > 0 {
            self.since.insert(locator.clone(), claim.cloned());
        }
    }

    /// Brings the answer of a reading up to date with the changes that were reported since it was requested.
    pub(super) fn complete(&self, claims: &mut Claims) {
        claims.claims.retain(|claim| !self.since.contains_key(&claim.locator));
        claims.claims.extend(self.since.values().flatten().cloned());
    }

    /// Notes the answer of a reading; requests the one that was wanted to follow it.
    pub(super) fn answered(&mut self) -> Option<Request> {
        self.open = self.open.saturating_sub(1);
        if self.open > 0 {
            return None;
        }
        self.since.clear();
        if std::mem::take(&mut self.again) { self.request() } else { None }
    }
}
