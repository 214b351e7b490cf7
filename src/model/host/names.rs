//! The names of network namespaces, as a source that reports each change by itself (inotify): what of a
//! whole reading is older than a change that was reported while the folder was being read.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::{Started, Workload};

    fn claim(name: &str) -> Claim {
        Claim {
            owner: Workload::named(Runtime::Named, name),
            locator: locator(name),
            endpoints: Vec::new(),
            members: Vec::new(),
            started: Started::default(),
        }
    }

    fn locator(name: &str) -> Locator {
        Locator::Path(std::path::Path::new("/run/netns").join(name).into())
    }

    fn answer(reading: &NamesReading, names: &[&str]) -> Vec<String> {
        let claims = names.iter().map(|name| claim(name)).collect();
        let mut claims = Claims { claims, ..Claims::default() };
        reading.complete(&mut claims);
        let mut names: Vec<String> = claims.claims.into_iter().map(|claim| claim.owner.name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_that_came_or_went_while_the_folder_was_read_is_as_the_change_says() {
        let mut reading = NamesReading::default();
        reading.changed(&locator("before"), Some(&claim("before")));
        reading.request();
        reading.changed(&locator("came"), Some(&claim("came")));
        reading.changed(&locator("went"), None);
        reading.changed(&locator("moment"), Some(&claim("moment")));
        reading.changed(&locator("moment"), None);
        // A change before the request is in the answer, or has been undone since.
        assert_eq!(answer(&reading, &["other", "went"]), ["came", "other"]);
        assert_eq!(answer(&reading, &["came", "moment", "other"]), ["came", "other"]);
        assert!(reading.answered().is_none());
        assert_eq!(answer(&reading, &["went"]), ["went"], "the next reading knows by itself");
    }

    #[test]
    fn changes_hold_until_the_last_open_reading_is_answered() {
        let mut reading = NamesReading::default();
        assert!(reading.request().is_some());
        reading.changed(&locator("a"), Some(&claim("a")));
        assert!(reading.request().is_some());
        assert!(reading.request().is_none(), "the second has not begun");
        reading.changed(&locator("b"), Some(&claim("b")));
        assert!(reading.answered().is_none());
        assert_eq!(answer(&reading, &[]), ["a", "b"]);
        assert!(reading.answered().is_none());
        assert!(reading.since.is_empty());
    }

    #[test]
    fn a_reading_that_was_wanted_while_one_was_open_follows_it() {
        let mut reading = NamesReading::default();
        assert!(reading.request_after_open().is_some());
        assert!(reading.request_after_open().is_none());
        assert!(reading.answered().is_some());
        assert!(reading.answered().is_none());
    }
}
