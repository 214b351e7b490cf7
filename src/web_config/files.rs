//! The files of a configuration, and the comparison that finds a change of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The identities of files at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files(Vec<(PathBuf, Option<FileIdentity>)>);

/// The attributes that distinguish a file from another one, or from another content, at the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last change of the content.
    modified: (i64, i64),
    /// Seconds and nanoseconds of the last change of the content, the owner or the mode.
    changed: (i64, i64),
}

impl Files {
    /// Adds the identity of one more file. Call this before the file is read, so that a change during the
    /// reading is noticed.
    pub(crate) fn add_file(&mut self, path: &Path) {
        self.0.push((path.to_owned(), identity(path)));
    }

    /// Returns the files' paths, the targets of symbolic links among them, and the folders of all of these.
    pub(crate) fn paths(&self) -> BTreeSet<PathBuf> {
        let targets = self.0.iter().filter_map(|(path, _)| fs::canonicalize(path).ok());
        let all = self.0.iter().map(|(path, _)| path.clone()).chain(targets);
        all.flat_map(|path| [path.parent().map(Path::to_owned), Some(path)]).flatten().collect()
    }

    /// Reads the identities of the same files once more.
    pub(crate) fn identified_again(&self) -> Files {
        Files(self.0.iter().map(|(path, _)| (path.clone(), identity(path))).collect())
    }
}

/// Returns the identity of a file; `None` if its attributes cannot be read.
fn identity(path: &Path) -> Option<FileIdentity> {
    let seen = fs::metadata(path).ok()?;
    Some(FileIdentity {
        device: seen.dev(),
        inode: seen.ino(),
        length: seen.len(),
        modified: (seen.mtime(), seen.mtime_nsec()),
        changed: (seen.ctime(), seen.ctime_nsec()),
    })
}
