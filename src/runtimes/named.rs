//! Named network namespaces: the files that `ip netns add` leaves in /run/netns.
//!
//! Podman, containerd and CRI-O leave names there that they have generated. The model uses those only where
//! nothing else names the namespace.

use crate::model::text::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Started, Workload};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The folder of named namespaces, and its state when it was last read.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    read: Option<Stamp>,
}

/// The names in the folder, if they have changed.
#[derive(Debug)]
pub enum FolderClaims {
    /// The names are those of the last read.
    Same,
    Claims(Claims),
}

impl Folder {
    /// Creates a folder that has not been read yet.
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, read: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Claims every name in the folder, if a name was added or removed since the last read; `None` if there
    /// is no such folder.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn claims(&mut self) -> Option<io::Result<FolderClaims>> {
        let stamp = Stamp::of(&self.path);
        if stamp.is_some() && stamp == self.read {
            return Some(Ok(FolderClaims::Same));
        }
        self.read = None;
        let files = match files(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error)),
            Ok(files) => files,
        };
        self.read = stamp;
        let claims = files.into_iter().map(|(name, path)| claim(name, path));
        Some(Ok(FolderClaims::Claims(Claims { claims: claims.collect(), ..Claims::default() })))
    }
}

/// A folder's identity, and the time of its last added or removed entry (`st_ctim`, which no process can
/// set).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    folder: (u64, u64),
    changed: (i64, i64),
}

/// The least age of a stamp that is trusted. The clock of file systems advances in steps, and a second
/// change in the same step would leave the stamp as it is.
const STEP: Duration = Duration::from_millis(100);

impl Stamp {
    /// Returns `None` if the folder cannot be examined, or has just been changed.
    fn of(folder: &Path) -> Option<Stamp> {
        let at = std::fs::metadata(folder).ok()?;
        let (seconds, nanoseconds) = (at.ctime(), at.ctime_nsec());
        let changed = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        let age = SystemTime::now().duration_since(UNIX_EPOCH + changed).ok()?;
        (age >= STEP).then_some(Stamp { folder: (at.dev(), at.ino()), changed: (seconds, nanoseconds) })
    }
}

/// Returns the files of a folder of namespaces, sorted by name.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        files.push((Readable(name.as_bytes()).to_string(), folder.join(&name)));
    }
    files.sort();
    Ok(files)
}

/// An inotify watch of a folder of names.
pub(crate) struct NameWatch {
    inotify: Inotify,
    folder: PathBuf,
}

/// Returns the claim of a name on the namespace that is mounted on its file.
fn claim(name: String, path: PathBuf) -> Claim {
    Claim {
        owner: Workload::named(Runtime::Named, name),
        locator: Locator::Path(path.into()),
        endpoints: Vec::new(),
        members: Vec::new(),
        started: Started::default(),
    }
}

/// A change in the folder of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameChange {
    /// Names may have been added that are not known one by one: all have to be read.
    Unknown,
    /// A name was added, which claims a namespace.
    Came(Box<Claim>),
    /// A name that located a namespace was removed.
    Went(Locator),
}

impl NameWatch {
    /// Opens the watch of a folder.
    ///
    /// # Errors
    /// If the folder does not exist or may not be read.
    pub(crate) fn watch(folder: &Path) -> io::Result<NameWatch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(folder, what)?;
        Ok(NameWatch { inotify, folder: folder.to_owned() })
    }

    /// Waits for changes; returns `None` when the folder itself is deleted.
    pub(crate) fn changes(&self) -> Option<Vec<NameChange>> {
        let events = self.inotify.read_events().ok()?;
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
        let mut changes = Vec::new();
        for event in events {
            match event.name {
                Some(name) if event.mask.intersects(gone) => {
                    changes.push(NameChange::Went(Locator::Path(self.folder.join(name).into())));
                }
                Some(name) => {
                    let path = self.folder.join(&name);
                    let name = Readable(name.as_bytes()).to_string();
                    changes.push(NameChange::Came(Box::new(claim(name, path))));
                }
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
        assert!(Folder::new("/nonexistent/netns".into()).claims().is_none());
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        assert!(Folder::new("/proc/self/exe".into()).claims().unwrap().is_err());
    }

    #[test]
    fn names_are_told_again_only_when_one_has_come_or_gone() {
        let path = std::env::temp_dir().join(format!("veth-exporter-names-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let mut folder = Folder::new(path.clone());
        let mut changed_names = || match folder.claims().unwrap().unwrap() {
            FolderClaims::Same => None,
            FolderClaims::Claims(claims) => {
                Some(claims.claims.into_iter().map(|claim| claim.owner.name).collect::<Vec<_>>())
            }
        };
        assert_eq!(changed_names(), Some(vec![]));
        // The claims are repeated until the stamp is old enough to be trusted.
        for name in ["a", "b"] {
            std::fs::write(path.join(name), "").unwrap();
        }
        while changed_names().is_some() {}
        assert_eq!(changed_names(), None);
        std::fs::remove_file(path.join("a")).unwrap();
        assert_eq!(changed_names(), Some(vec!["b".to_owned()]));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
