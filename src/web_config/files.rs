//! The files of a configuration, and whether they are still what they were.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How files looked at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(Vec<(PathBuf, Option<FileIdentity>)>);

/// What tells a file from the one that was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds; the second is also of a change of owner or mode.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// Looks at one more. It must be called before the file is read, so that a change since then is not
    /// missed.
    pub(crate) fn look_at(&mut self, path: &Path) {
        self.0.push((path.to_owned(), look(path)));
    }

    /// Them and the folders that they are in, by the names that they have and by those that links lead to.
    pub(crate) fn places(&self) -> BTreeSet<PathBuf> {
        let meant = self.0.iter().filter_map(|(path, _)| fs::canonicalize(path).ok());
        let all = self.0.iter().map(|(path, _)| path.clone()).chain(meant);
        all.flat_map(|path| [path.parent().map(Path::to_owned), Some(path)]).flatten().collect()
    }

    /// The same files now.
    pub(crate) fn again(&self) -> Files {
        Files(self.0.iter().map(|(path, _)| (path.clone(), look(path))).collect())
    }
}

/// `None` for one that cannot be looked at.
fn look(path: &Path) -> Option<FileIdentity> {
    let seen = fs::metadata(path).ok()?;
    Some(FileIdentity {
        device: seen.dev(),
        inode: seen.ino(),
        length: seen.len(),
        modified: (seen.mtime(), seen.mtime_nsec()),
        changed: (seen.ctime(), seen.ctime_nsec()),
    })
}
