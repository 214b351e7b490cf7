//! The saved state on disk: read and locked before the sandbox is set, written by a thread of its own.
//!
//! The lock is on the directory itself, and every file is opened below its descriptor: a directory that is
//! moved or replaced while the exporter runs is never confused with another.

mod directory;

use super::since_1970;
use crate::model::host::{Host, RestoredState};
use crate::model::state::journal::{Batch, Journal};
use crate::model::state::recover::{Recovered, recover};
use crate::model::state::{Moment, SavedState, StateFailure, StateFault, StateStatus};
use directory::OwnDirectory;
use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat, unlinkat};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The file with the state, and the file that replaces it once it is complete.
const STATE: &str = "totals";
const NEXT: &str = "totals.new";

/// The largest file that is read, bytes: that of 20,000 label sets has some 10 MB.
const LARGEST: u64 = 1 << 30;

/// The longest wait at the end for a write that is under way.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The directory is in use.
#[derive(Debug, thiserror::Error)]
#[error("--state.directory {}: another veth-exporter uses it; each needs a directory of its own", .0.display())]
pub(crate) struct StateInUse(PathBuf);

/// A directory that this process has locked, or is to lock later, and the state that was in it.
pub(crate) struct StateDirectory {
    directory: OwnDirectory,
    here: Moment,
    found: Option<SavedState>,
    /// The name under which a file is to be kept that has no state for this program.
    aside: Option<String>,
    /// The reason why the directory is not locked yet.
    failure: Option<StateFailure>,
    interval: Duration,
}

impl StateDirectory {
    /// Opens, locks and reads a directory, which is made if only itself is missing. The state is to be
    /// written at this interval. A directory that cannot be used now is reported, and tried again at each
    /// interval if it is there.
    ///
    /// # Errors
    /// The directory is in use.
    pub(crate) fn open(path: &Path, interval: Duration) -> Result<StateDirectory, StateInUse> {
        let mut directory = OwnDirectory::find(path);
        let (mut found, mut aside, mut failure) = (None, None, None);
        match directory.lock() {
            Ok(locked) => (found, aside) = find(locked, path),
            Err(StateFailure { fault: StateFault::InUse, .. }) => return Err(StateInUse(path.to_owned())),
            Err(unusable) => {
                let until = match unusable.fault {
                    StateFault::Missing => "end with this run",
                    _ => "it is tried again at each --state.interval",
                };
                let (path, reason) = (path.display(), &unusable.reason);
                tracing::warn!("--state.directory {path}: {reason}: totals begin at 0 and {until}");
                failure = Some(unusable);
            }
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let netns = fs::metadata("/proc/self/ns/net").map_or(0, |found| found.ino());
        let here = Moment { boot: boot.trim_end().to_owned(), netns, ..Moment::default() };
        Ok(StateDirectory { directory, here, found, aside, failure, interval })
    }

    /// Returns the directory below which files will be written; `None` if there was none at the start.
    pub(crate) fn written(&self) -> Option<&Path> {
        self.directory.is_there().then(|| self.directory.path())
    }

    /// Returns the zero of this run's times: no time of the saved state is before it.
    pub(super) fn epoch(&self, now: Duration) -> Duration {
        self.found.as_ref().and_then(SavedState::oldest).map_or(now, |oldest| oldest.min(now))
    }

    /// Starts the thread that writes. Returns the keeper, and the state for the state machine.
    pub(super) fn start(self, epoch: Duration) -> io::Result<(StateKeeper, Option<RestoredState>)> {
        let StateDirectory { directory, here, found, aside, failure, interval } = self;
        let health = Arc::new(Health::default());
        health.discarded.store(u64::from(aside.is_some()), Ordering::Relaxed);
        let is_failing = failure.is_some();
        health.set_failure(failure);
        let (jobs, batches) = sync_channel(1);
        let mut writer =
            StateWriter { directory, file: None, aside, health: Arc::clone(&health), is_failing };
        // A file that is of no use is kept before anything else is written.
        writer.set_aside();
        let thread = thread::Builder::new().name("state".into()).spawn(move || writer.run(&batches))?;
        let restored = found.map(|saved| RestoredState { saved, here: here.clone(), epoch });
        let keeper = StateKeeper {
            journal: Journal::default(),
            here,
            interval,
            due: Instant::now() + interval,
            jobs,
            health,
            reported: None,
            thread,
        };
        Ok((keeper, restored))
    }
}

/// Reads the state in a directory. Returns it, or the name under which a useless file is to be kept.
fn find(directory: &File, path: &Path) -> (Option<SavedState>, Option<String>) {
    let file = path.join(STATE);
    let useless = |why: &str| {
        let aside = format!("{STATE}.damaged-{}", since_1970().as_secs());
        let file = file.display();
        tracing::warn!("{file} {why}: it is kept as {aside}, and totals begin at 0");
        (None, Some(aside))
    };
    let bytes = match read(directory) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return (None, None),
        Err(error) => return useless(&format!("cannot be read ({error})")),
    };
    match recover(&bytes) {
        Err(why) => useless(why.as_str()),
        Ok(Recovered { state, lost }) => {
            if lost > 0 {
                tracing::warn!(
                    lost_bytes = lost,
                    "{}: the last write was not complete; the one before it is used",
                    file.display()
                );
            }
            (Some(state), None)
        }
    }
}

fn read(directory: &File) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(openat(directory, STATE, flags, Mode::empty())?);
    let size = file.metadata()?;
    if !size.is_file() || size.len() > LARGEST {
        return Err(io::Error::other("no file of a reasonable size"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The results of writes.
#[derive(Debug, Default)]
struct Health {
    /// True while a batch is being written.
    is_busy: AtomicBool,
    /// The failure of the last write, so that the next one must be of all records; `None` for a success.
    failure: Mutex<Option<StateFailure>>,
    /// The time of the last successful write, in nanoseconds since 1970; 0 for none.
    written: AtomicU64,
    errors: AtomicU64,
    discarded: AtomicU64,
}

/// The part of the loop that makes the batches.
pub(super) struct StateKeeper {
    journal: Journal,
    here: Moment,
    interval: Duration,
    due: Instant,
    jobs: SyncSender<Batch>,
    health: Arc<Health>,
    /// The failure that was returned last.
    reported: Option<StateFailure>,
    thread: JoinHandle<()>,
}

impl StateKeeper {
    /// Hands the changes to the thread that writes, if it is time; `epoch` is the zero of the host's times.
    pub(super) fn save_if_due(&mut self, host: &mut Host, epoch: Duration, now: Instant) {
        if now >= self.due && !self.health.is_busy.load(Ordering::Acquire) {
            self.due = now + self.interval;
            self.save(host, epoch);
        }
    }

    fn save(&mut self, host: &mut Host, epoch: Duration) {
        if !host.is_ready() {
            return;
        }
        self.journal.begin(self.health.failure().is_some());
        let Some(highest) = host.save(&mut self.journal, epoch) else { return };
        let taken = since_1970();
        match self.journal.commit(&Moment { highest, taken, ..self.here.clone() }) {
            Some(batch) => {
                self.health.is_busy.store(true, Ordering::Relaxed);
                // The send fails only if the thread has panicked.
                let _ = self.jobs.send(batch);
            }
            // What is on disk is still true.
            None => self.health.set_written(taken),
        }
    }

    /// Returns the failure of the last write, or `None` within for a success, if that has changed since the
    /// last call.
    pub(super) fn changed_failure(&mut self) -> Option<Option<StateFailure>> {
        let failure = self.health.failure();
        if failure == self.reported {
            return None;
        }
        self.reported.clone_from(&failure);
        Some(failure)
    }

    /// Writes the last changes, and ends the thread.
    pub(super) fn finish(mut self, host: &mut Host, epoch: Duration) {
        let begin = Instant::now();
        while self.health.is_busy.load(Ordering::Acquire) && begin.elapsed() < LAST_WRITE {
            thread::sleep(Duration::from_millis(5));
        }
        if !self.health.is_busy.load(Ordering::Acquire) {
            self.save(host, epoch);
            drop(self.jobs);
            // A panic of the thread has already been reported.
            let _ = self.thread.join();
        }
    }

    /// Returns what the metrics say about the state.
    pub(super) fn status(&self, host: &Host) -> StateStatus {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        StateStatus {
            written: Some(Duration::from_nanos(read(&self.health.written))).filter(|time| !time.is_zero()),
            errors: read(&self.health.errors),
            discarded: read(&self.health.discarded),
            pairs: host.restored_pairs(),
        }
    }
}

impl Health {
    fn failure(&self) -> Option<StateFailure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<StateFailure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn set_written(&self, time: Duration) {
        self.written.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The thread that writes.
struct StateWriter {
    directory: OwnDirectory,
    /// The file to append to; `None` before the first write and after a failure.
    file: Option<File>,
    aside: Option<String>,
    health: Arc<Health>,
    is_failing: bool,
}

impl StateWriter {
    fn run(mut self, batches: &Receiver<Batch>) {
        for mut batch in batches {
            batch.seal();
            let result = self.write(&batch);
            self.report(result.as_ref().err());
            match &result {
                Ok(()) => self.health.set_written(since_1970()),
                Err(_) => {
                    self.file = None;
                    self.health.errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.health.set_failure(result.err());
            self.health.is_busy.store(false, Ordering::Release);
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StateFailure> {
        if self.directory.locked().is_none() {
            self.open()?;
        }
        let written = match batch.is_whole {
            true => self.replace(&batch.bytes),
            false => self.append(&batch.bytes),
        };
        written.map_err(|error| self.directory.failure(&error))
    }

    /// Opens the directory that could not be opened at the start. Totals have begun without the state in it,
    /// which is kept under another name: added to the totals it would look like traffic.
    fn open(&mut self) -> Result<(), StateFailure> {
        let locked = self.directory.lock()?;
        let state = statat(locked, STATE, AtFlags::SYMLINK_NOFOLLOW);
        if !state.is_err_and(|error| error == rustix::io::Errno::NOENT) {
            let aside = format!("{STATE}.unread-{}", since_1970().as_secs());
            let file = self.directory.path().join(STATE);
            let file = file.display();
            tracing::warn!("{file} could not be read at the start: it is kept as {aside}");
            self.health.discarded.fetch_add(1, Ordering::Relaxed);
            self.aside = Some(aside);
        }
        Ok(())
    }

    /// Writes one line to the log for a change, and none for each attempt.
    fn report(&mut self, failure: Option<&StateFailure>) {
        let directory = self.directory.path().display();
        match failure {
            Some(StateFailure { reason: error, .. }) if !self.is_failing => {
                tracing::warn!(%directory, error, "cannot write the state: totals would begin at what was last written");
            }
            None if self.is_failing => tracing::info!(%directory, "the state is written again"),
            _ => {}
        }
        self.is_failing = failure.is_some();
    }

    /// Renames a useless file. If that fails, the next write does it first.
    fn set_aside(&mut self) {
        if let (Some(aside), Some(directory)) = (&self.aside, self.directory.locked())
            && matches!(
                renameat(directory, STATE, directory, aside.as_str()),
                Ok(()) | Err(rustix::io::Errno::NOENT)
            )
        {
            self.aside = None;
        }
    }

    /// Replaces the file by another, which is complete on disk before it has the name.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.set_aside();
        if self.aside.is_some() {
            return Err(io::Error::other("the useless file cannot be renamed"));
        }
        let directory = self.directory.locked().ok_or(ErrorKind::NotFound)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let written = (|| {
            let mut file = File::from(openat(directory, NEXT, flags, Mode::RUSR | Mode::WUSR)?);
            file.write_all(bytes)?;
            file.sync_all()?;
            renameat(directory, NEXT, directory, STATE)?;
            directory.sync_all()?;
            Ok(file)
        })();
        match written {
            Ok(file) => {
                self.file = Some(file);
                Ok(())
            }
            Err(error) => {
                // On a full disk even the part that was written is in the way.
                let _ = unlinkat(directory, NEXT, AtFlags::empty());
                Err(error)
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let removed = || io::Error::new(ErrorKind::NotFound, "the file was removed or replaced");
        let file = self.file.as_mut().ok_or_else(removed)?;
        if file.metadata()?.nlink() == 0 {
            return Err(removed());
        }
        file.write_all(bytes)?;
        file.sync_data()
    }
}
