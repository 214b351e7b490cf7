//! Named network namespaces: the files that `ip netns add` leaves in /run/netns.

use crate::model::text::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Started, Workload};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The folder of named namespaces, and how it was when it was last read.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    read: Option<Stamp>,
}

/// What is in the folder.
#[derive(Debug)]
pub enum Found {
    /// The names that were there before.
    Same,
    Claims(Claims),
}

impl Folder {
    /// One that has not been read yet.
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, read: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Claims every name in it, if any has come or gone since the last time; `None` if there is no such
    /// folder.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn claims(&mut self) -> Option<io::Result<Found>> {
        let stamp = Stamp::of(&self.path);
        if stamp.is_some() && stamp == self.read {
            return Some(Ok(Found::Same));
        }
        self.read = None;
        let files = match files(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error)),
            Ok(files) => files,
        };
        self.read = stamp;
        let claims = files.into_iter().map(|(name, path)| claim(name, path));
        Some(Ok(Found::Claims(Claims { claims: claims.collect(), ..Claims::default() })))
    }
}

/// Which folder it is, and the time at which an entry last came or went (`st_ctim`: nobody can set it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    folder: (u64, u64),
    changed: (i64, i64),
}

/// A younger stamp is not trusted: the clock of file systems goes in steps, and a change in the same step
/// would not show.
const STEP: Duration = Duration::from_millis(100);

impl Stamp {
    /// `None` if the folder cannot be looked at, or has just been changed.
    fn of(folder: &Path) -> Option<Stamp> {
        let at = std::fs::metadata(folder).ok()?;
        let (seconds, nanoseconds) = (at.ctime(), at.ctime_nsec());
        let changed = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        let age = SystemTime::now().duration_since(UNIX_EPOCH + changed).ok()?;
        (age >= STEP).then_some(Stamp { folder: (at.dev(), at.ino()), changed: (seconds, nanoseconds) })
    }
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
pub(crate) struct Names {
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

/// What has happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameChange {
    /// Names may have come that are not known one by one: all are to be read.
    Unknown,
    /// A name has come, which claims a namespace.
    Came(Box<Claim>),
    /// A name is gone, by which a namespace was located.
    Went(Locator),
}

impl Names {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the folder is not there or may not be read.
    pub(crate) fn watch(folder: &Path) -> io::Result<Names> {
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
        let mut told = || match folder.claims().unwrap().unwrap() {
            Found::Same => None,
            Found::Claims(claims) => {
                Some(claims.claims.into_iter().map(|claim| claim.owner.name).collect::<Vec<_>>())
            }
        };
        assert_eq!(told(), Some(vec![]));
        // The same until the stamp is old enough to be trusted, whatever comes meanwhile.
        for name in ["a", "b"] {
            std::fs::write(path.join(name), "").unwrap();
        }
        while told().is_some() {}
        assert_eq!(told(), None);
        std::fs::remove_file(path.join("a")).unwrap();
        assert_eq!(told(), Some(vec!["b".to_owned()]));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
