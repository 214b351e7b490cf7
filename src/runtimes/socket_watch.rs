//! The wait for a server's unix socket on which no process listens yet.
//!
//! Each folder on the way to the socket is watched for the one entry that leads on, links included. So the
//! creation of the socket is noticed, and also that of a folder or a link above it, however often these are
//! removed and made anew. A mount gives no event.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most links that are followed on the way to one socket, as in the kernel (path_resolution(7)).
const LINKS: usize = 40;

/// The pause after events of other entries: a folder can have many of them.
const CROWDED: Duration = Duration::from_millis(100);

/// The events that can make an entry reachable. A folder that is removed needs none: the folder above reports
/// the next one of its name.
const ARRIVALS: AddWatchFlags =
    AddWatchFlags::IN_CREATE.union(AddWatchFlags::IN_MOVED_TO).union(AddWatchFlags::IN_ATTRIB);

/// A watch of the ways to some paths.
pub(crate) struct SocketWatch {
    /// `None` before the first path, and as long as the system gives no instance
    /// (fs.inotify.max_user_instances).
    inotify: Option<AsyncFd<RawInotify>>,
    /// The entries that lead on, by the watch of their folder.
    entries: HashMap<WatchDescriptor, BTreeSet<OsString>>,
}

/// The answer to whether a file exists at some paths, in the order in which the answers of several paths
/// count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Presence {
    /// No file exists, and [`SocketWatch::changed`] will report it.
    Awaited,
    /// A file exists, which need not be a socket with a listener.
    Exists,
    /// No file exists, and one may come unnoticed, because a folder on the way cannot be watched.
    Unnoticed,
}

impl SocketWatch {
    /// Creates a watch of nothing.
    pub(crate) fn new() -> SocketWatch {
        SocketWatch { inotify: None, entries: HashMap::new() }
    }

    /// Watches the ways to these paths as they are now, and no others. A change after the look that the
    /// result is from is reported by [`changed`](SocketWatch::changed).
    pub(crate) fn set_paths(&mut self, paths: &[PathBuf]) -> Presence {
        if self.inotify.is_none() && !paths.is_empty() {
            self.inotify = open();
        }
        let before = std::mem::take(&mut self.entries);
        let presence = paths.iter().map(|path| self.walk(path)).max().unwrap_or(Presence::Awaited);
        if let Some(inotify) = &self.inotify {
            for &watch in before.keys().filter(|watch| !self.entries.contains_key(watch)) {
                // The watch of a folder that was removed is gone already.
                let _ = inotify.get_ref().0.rm_watch(watch);
            }
        }
        presence
    }

    /// Waits until an entry on the way to one of the paths has come or has changed. May be dropped at any
    /// time.
    pub(crate) async fn changed(&self) {
        let Some(inotify) = &self.inotify else { return pending().await };
        loop {
            // An error can only be one of the async runtime, which is then about to end.
            let Ok(mut ready) = inotify.readable().await else { return pending().await };
            match inotify.get_ref().0.read_events() {
                Ok(events) if events.iter().any(|event| self.leads_on(event)) => return,
                Ok(_) => {}
                Err(Errno::EAGAIN) => {
                    ready.clear_ready();
                    tokio::time::sleep(CROWDED).await;
                }
                Err(_) => return pending().await,
            }
        }
    }

    /// Returns true if the event may be about an entry on the way.
    fn leads_on(&self, event: &InotifyEvent) -> bool {
        match (&event.name, self.entries.get(&event.wd)) {
            (Some(name), Some(entries)) => entries.contains(name),
            // The folder's own rights have changed.
            (None, Some(_)) => event.mask.contains(AddWatchFlags::IN_ATTRIB),
            (_, None) => event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW),
        }
    }

    /// Follows a path from its beginning, and watches each folder before it is looked into.
    fn walk(&mut self, path: &Path) -> Presence {
        let mut folder = PathBuf::from(".");
        let mut left = parts(path);
        let (mut links, mut watched) = (0, true);
        while let Some(part) = left.pop() {
            let next = folder.join(&part);
            if part == "/" || part == ".." {
                folder = next;
                continue;
            }
            watched &= self.watch(&folder, &part);
            let Ok(found) = next.symlink_metadata() else {
                return if watched { Presence::Awaited } else { Presence::Unnoticed };
            };
            if !found.is_symlink() {
                folder = next;
                continue;
            }
            links += 1;
            match std::fs::read_link(&next) {
                Ok(target) if links <= LINKS => left.extend(parts(&target)),
                _ => return Presence::Unnoticed,
            }
        }
        Presence::Exists
    }

    /// Watches an entry of a folder. Returns false if that is not possible.
    fn watch(&mut self, folder: &Path, entry: &OsStr) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        match inotify.get_ref().0.add_watch(folder, ARRIVALS | AddWatchFlags::IN_ONLYDIR) {
            Ok(watch) => self.entries.entry(watch).or_default().insert(entry.to_owned()),
            // The folder above reports the folder that replaces this file.
            Err(Errno::ENOTDIR) => return true,
            Err(_) => return false,
        };
        true
    }
}

/// Opens an inotify instance; `None` if the system gives none.
fn open() -> Option<AsyncFd<RawInotify>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    #[expect(deprecated, reason = "an Inotify is I/O safe; the successor leaves that proof to its caller")]
    let inotify = AsyncFd::with_interest(RawInotify(inotify), Interest::READABLE);
    inotify.ok()
}

/// Returns the parts of a path, the first one last.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|part| *part != std::path::Component::CurDir)
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// An inotify instance as the async runtime takes it.
struct RawInotify(Inotify);

impl AsRawFd for RawInotify {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
