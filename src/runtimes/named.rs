//! Named network namespaces: the files that `ip netns add` leaves in /run/netns, and the links to a process's
//! namespace that containerlab, ovs-docker and pipework make there.
//!
//! Podman, containerd and CRI-O leave names there that they have generated. The model uses those only where
//! nothing else names the namespace.

use crate::model::lack::{Lack, LackReason};
use crate::model::text::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Started, Workload};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
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
    /// The processes that names led to at the last read.
    linked: Vec<u32>,
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
        Folder { path, read: None, linked: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets the last read, so that the next one returns every name.
    pub fn forget(&mut self) {
        self.read = None;
    }

    /// Claims every name in the folder, if a name was added or removed since the last read; `None` if there
    /// is no such folder.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn claims(&mut self) -> Option<io::Result<FolderClaims>> {
        let stamp = Stamp::of(&self.path);
        // The end of a process does not change the folder.
        if stamp.is_some() && stamp == self.read && self.linked.iter().all(|pid| is_there(*pid)) {
            return Some(Ok(FolderClaims::Same));
        }
        self.read = None;
        let files = match files(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(error)),
            Ok(files) => files,
        };
        self.read = stamp;
        self.linked.clear();
        let (mut claims, mut broken) = (Vec::new(), Vec::new());
        for (name, path) in files {
            match claim(name, path) {
                Ok(claim) => {
                    if let Locator::Pid(pid) = claim.locator {
                        self.linked.push(pid);
                    }
                    claims.push(claim);
                }
                Err(reason) => broken.push(reason),
            }
        }
        let limits = broken.first().map(|first| {
            let (count, folder) = (broken.len(), self.path.display());
            let what = match count {
                1 => format!("a name in {folder} leads to no namespace: {first}"),
                _ => format!("{count} names in {folder} lead to no namespace, the first is {first}"),
            };
            Lack::new(LackReason::Unreadable, what)
        });
        let limits = limits.into_iter().collect();
        Some(Ok(FolderClaims::Claims(Claims { claims, limits, ..Claims::default() })))
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
    /// The names that are links to a process, with that process, and those that lead nowhere: a name that is
    /// gone does not say where it led to.
    special: RefCell<BTreeMap<OsString, Option<u32>>>,
}

/// Returns the claim of a name on the namespace that is mounted on its file, or on that of the process that
/// it is a link to: the link itself can be followed only with a right over the process.
///
/// # Errors
/// One line that says where the name leads instead. A file on which nothing is mounted is no error: something
/// may be mounted a moment later.
fn claim(name: String, path: PathBuf) -> Result<Claim, String> {
    let link = std::fs::read_link(&path).ok();
    let locator = match link.as_deref().and_then(linked_process) {
        Some(pid) if is_there(pid) => Locator::Pid(pid),
        Some(pid) => return Err(format!("{name}, a link to process {pid}, which is gone")),
        None => {
            let reason = match std::fs::metadata(&path) {
                Ok(file) if file.is_file() => None,
                Ok(_) => Some("which is no file".to_owned()),
                // A file that is gone meanwhile was removed, and a link that leads nowhere is there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && link.is_none() => None,
                Err(error) => Some(error.to_string()),
            };
            match (reason, link) {
                (None, _) => Locator::Path(path.into()),
                (Some(reason), None) => return Err(format!("{name}, {reason}")),
                (Some(reason), Some(target)) => {
                    let target = Readable(target.as_os_str().as_bytes());
                    return Err(format!("{name}, a link to {target}: {reason}"));
                }
            }
        }
    };
    Ok(Claim {
        owner: Workload::named(Runtime::Named, name),
        locator,
        endpoints: Vec::new(),
        members: Vec::new(),
        started: Started::default(),
    })
}

/// Returns the process, or the thread, that a link to /proc/PID/ns/net or /proc/PID/task/TID/ns/net means.
fn linked_process(target: &Path) -> Option<u32> {
    let below = target.to_str()?.rsplit_once("/proc/").map(|(_, below)| below)?;
    let process = below.strip_suffix("/ns/net")?;
    let thread = process.split_once("/task/").map_or(process, |(_, thread)| thread);
    thread.parse().ok()
}

fn is_there(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
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
        let watch = NameWatch { inotify, folder: folder.to_owned(), special: RefCell::default() };
        for entry in std::fs::read_dir(folder)?.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                watch.came(entry.file_name());
            }
        }
        Ok(watch)
    }

    /// Waits for changes; returns `None` when the folder itself is deleted.
    pub(crate) fn changes(&self) -> Option<Vec<NameChange>> {
        let events = self.inotify.read_events().ok()?;
        let gone = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM;
        let mut changes = Vec::new();
        for event in events {
            match event.name {
                Some(name) if event.mask.intersects(gone) => changes.extend(self.went(&name)),
                Some(name) => changes.push(self.came(name)),
                None => return None,
            }
        }
        Some(changes)
    }

    fn came(&self, name: OsString) -> NameChange {
        let claim = claim(Readable(name.as_bytes()).to_string(), self.folder.join(&name));
        let mut special = self.special.borrow_mut();
        match &claim {
            Ok(Claim { locator: Locator::Pid(pid), .. }) => _ = special.insert(name, Some(*pid)),
            // The name may have been a link before, if another file was moved over it.
            Ok(_) => _ = special.remove(&name),
            Err(_) => _ = special.insert(name, None),
        }
        // The reading of the folder reports a name that leads nowhere.
        claim.map_or(NameChange::Unknown, |claim| NameChange::Came(Box::new(claim)))
    }

    fn went(&self, name: &OsStr) -> Vec<NameChange> {
        let mut special = self.special.borrow_mut();
        let pid = match special.remove(name) {
            None => return vec![NameChange::Went(Locator::Path(self.folder.join(name).into()))],
            Some(None) => return vec![NameChange::Unknown],
            Some(Some(pid)) => pid,
        };
        let went = NameChange::Went(Locator::Pid(pid));
        // Another name of the process stays; the name of an ended process was reported to lead nowhere.
        match special.values().any(|other| *other == Some(pid)) || !is_there(pid) {
            true => vec![went, NameChange::Unknown],
            false => vec![went],
        }
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

    /// A folder with names, which is removed at the end.
    struct Names(PathBuf);

    impl Names {
        fn new(what: &str) -> Names {
            let path = std::env::temp_dir().join(format!("veth-exporter-{what}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Names(path)
        }

        fn link(&self, name: impl AsRef<Path>, target: &str) {
            std::os::unix::fs::symlink(target, self.0.join(name)).unwrap();
        }

        fn claims(&self) -> Claims {
            match Folder::new(self.0.clone()).claims().unwrap().unwrap() {
                FolderClaims::Same => panic!("it was never read"),
                FolderClaims::Claims(claims) => claims,
            }
        }
    }

    impl Drop for Names {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_link_to_the_namespace_of_a_process_or_thread_is_that_process() {
        let names = Names::new("links");
        let own = std::process::id();
        let thread = nix::unistd::gettid();
        names.link("clab", &format!("/proc/{own}/ns/net"));
        names.link("relative", &format!("../../../proc/{own}/ns/net"));
        names.link("thread", &format!("/proc/{own}/task/{thread}/ns/net"));
        names.link("file", "/proc/self/exe");
        let claims = names.claims();
        let mut found: Vec<(String, Locator)> =
            claims.claims.into_iter().map(|claim| (claim.owner.name, claim.locator)).collect();
        found.sort();
        let pid = |name: &str, pid| (name.to_owned(), Locator::Pid(pid));
        let file = ("file".to_owned(), Locator::Path(names.0.join("file").into()));
        let thread = u32::try_from(thread.as_raw()).unwrap();
        assert_eq!(found, [pid("clab", own), file, pid("relative", own), pid("thread", thread)]);
        assert_eq!(claims.limits, []);
    }

    #[test]
    fn names_that_lead_nowhere_are_one_limit_and_all_others_are_claimed() {
        use std::ffi::OsStr;
        let names = Names::new("broken");
        std::fs::write(names.0.join("good"), "").unwrap();
        std::fs::write(names.0.join(OsStr::from_bytes(b"v\xff\n")), "").unwrap();
        assert_eq!(names.claims().limits, []);
        names.link("dead", "/proc/4294967/ns/net");
        let [limit] = &names.claims().limits[..] else { panic!("one limit") };
        let folder = names.0.display();
        let wanted = format!(
            "a name in {folder} leads to no namespace: dead, a link to process 4294967, which is gone"
        );
        assert_eq!((limit.reason, limit.what.as_str()), (LackReason::Unreadable, wanted.as_str()));
        for number in 0..1_000 {
            names.link(format!("gone{number}"), "/nonexistent");
        }
        names.link("loop1", "loop2");
        names.link("loop2", "loop1");
        names.link(OsStr::from_bytes(b"\xff"), "/proc/x/ns/net");
        names.link("folder", "/proc");
        nix::unistd::mkfifo(&names.0.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let claims = names.claims();
        let found: Vec<&str> = claims.claims.iter().map(|claim| claim.owner.name.as_str()).collect();
        assert_eq!(found, ["good", r"v\xff\x0a"]);
        let [limit] = &claims.limits[..] else { panic!("one limit for all") };
        assert!(limit.what.starts_with(&format!("1006 names in {folder} lead to no namespace")), "{limit}");
    }

    #[test]
    fn a_name_that_is_removed_takes_its_claim_and_only_one_that_led_elsewhere_has_all_read_again() {
        let (names, own) = (Names::new("removed"), std::process::id());
        std::fs::write(names.0.join("file"), "").unwrap();
        names.link("clab", &format!("/proc/{own}/ns/net"));
        names.link("other", "/proc/self/exe");
        let watch = NameWatch::watch(&names.0).unwrap();
        names.link("twin", &format!("/proc/{own}/ns/net"));
        names.link("broken", "/nonexistent");
        let process = || NameChange::Went(Locator::Pid(own));
        let file = |name: &str| NameChange::Went(Locator::Path(names.0.join(name).into()));
        let changes = watch.changes().unwrap();
        assert!(matches!(&changes[..], [NameChange::Came(_), NameChange::Unknown]), "{changes:?}");
        for (name, wanted) in [
            ("file", vec![file("file")]),
            ("other", vec![file("other")]),
            ("twin", vec![process(), NameChange::Unknown]),
            ("clab", vec![process()]),
            ("broken", vec![NameChange::Unknown]),
        ] {
            std::fs::remove_file(names.0.join(name)).unwrap();
            assert_eq!(watch.changes().unwrap(), wanted, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_process_that_a_name_leads_to_is_noticed_although_the_folder_is_the_same() {
        let names = Names::new("ended");
        let mut process = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        names.link("clab", &format!("/proc/{}/ns/net", process.id()));
        let mut folder = Folder::new(names.0.clone());
        let mut read = || match folder.claims().unwrap().unwrap() {
            FolderClaims::Same => None,
            FolderClaims::Claims(claims) => Some((claims.claims.len(), claims.limits.len())),
        };
        while read() == Some((1, 0)) {}
        assert_eq!(read(), None);
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(read(), Some((0, 1)));
        assert_eq!(read(), None);
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
