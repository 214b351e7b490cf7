//! Named network namespaces: the files that `ip netns add` leaves in /run/netns.

use crate::model::link::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Workload};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Claims every name in `folder`; `None` if there is no such folder.
pub fn claims(folder: &Path) -> Option<io::Result<Claims>> {
    let files = match files(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error)),
        Ok(files) => files,
    };
    let claims = files.into_iter().map(|(name, path)| Claim {
        owner: Workload::named(Runtime::Named, name),
        locator: Locator::Path(path),
        endpoints: Vec::new(),
        members: Vec::new(),
    });
    Some(Ok(Claims { claims: claims.collect(), ..Claims::default() }))
}

/// The files of a folder of namespaces, by name.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        files.push((Readable(name.as_bytes()).to_string(), folder.join(&name)));
    }
    files.sort();
    Ok(files)
}

/// A folder of names that is watched (inotify).
pub struct Names {
    inotify: Inotify,
    folder: PathBuf,
}

/// What has happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameChange {
    /// A name has come.
    Came,
    /// A name is gone, by which a namespace was located.
    Went(Locator),
}

impl Names {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the folder is not there or may not be read.
    pub fn watch(folder: &Path) -> io::Result<Names> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(folder, what)?;
        Ok(Names { inotify, folder: folder.to_owned() })
    }

    /// Waits for changes; `None` when the folder itself is gone.
    pub fn changes(&self) -> Option<Vec<NameChange>> {
        let events = self.inotify.read_events().ok()?;
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
        let mut changes = Vec::new();
        for event in events {
            match event.name {
                Some(name) if event.mask.intersects(gone) => {
                    changes.push(NameChange::Went(Locator::Path(self.folder.join(name))));
                }
                Some(_) => changes.push(NameChange::Came),
                None => return None,
            }
        }
        Some(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_absent_claims_nothing_and_is_no_error() {
        assert!(claims(Path::new("/nonexistent/netns")).is_none());
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        assert!(claims(Path::new("/proc/self/exe")).unwrap().is_err());
    }
}
