//! The directory of the state: found at the start, and opened and locked then or later.
//!
//! The sandbox permits to write to the directory that was there at the start, and to no other. So one that
//! could not be opened is tried again, and one that was not there is not.

use crate::model::state::{StateFailure, StateFault};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A directory that this process is to have for itself.
pub(super) struct OwnDirectory {
    path: PathBuf,
    access: DirectoryAccess,
}

/// The extent to which a directory can be used.
enum DirectoryAccess {
    /// The directory is open to be read, and locked.
    Locked(File),
    /// The directory was there at the start, and could not be opened or locked yet. The descriptor needs no
    /// permission for the directory (O_PATH).
    Closed(OwnedFd),
    /// No directory was there at the start.
    Missing(StateFailure),
}

impl OwnDirectory {
    /// Finds a directory, which is made if only itself is missing.
    pub(super) fn find(path: &Path) -> OwnDirectory {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from);
        let found = match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(path).and_then(|()| open()),
            found => found,
        };
        let access = match found {
            Ok(directory) => DirectoryAccess::Closed(directory),
            Err(error) => DirectoryAccess::Missing(failure(path, StateFault::Missing, &error)),
        };
        OwnDirectory { path: path.to_owned(), access }
    }

    /// Returns the path under which the directory was found.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if there was a directory at the start.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.access, DirectoryAccess::Missing(_))
    }

    /// Returns the directory if it is locked already.
    pub(super) fn locked(&self) -> Option<&File> {
        match &self.access {
            DirectoryAccess::Locked(directory) => Some(directory),
            DirectoryAccess::Closed(_) | DirectoryAccess::Missing(_) => None,
        }
    }

    /// Opens and locks the directory.
    ///
    /// # Errors
    /// The directory is in use, cannot be opened, or was not there at the start.
    pub(super) fn lock(&mut self) -> Result<&File, StateFailure> {
        let closed = match &self.access {
            DirectoryAccess::Missing(failure) => return Err(failure.clone()),
            DirectoryAccess::Locked(_) => None,
            DirectoryAccess::Closed(closed) => Some(closed),
        };
        if let Some(closed) = closed {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat(closed, ".", flags, Mode::empty());
            let directory = File::from(opened.map_err(|error| self.failure(&error.into()))?);
            directory.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => {
                    let reason = io::Error::other("another veth-exporter uses it");
                    failure(&self.path, StateFault::InUse, &reason)
                }
                TryLockError::Error(error) => self.failure(&error),
            })?;
            self.access = DirectoryAccess::Locked(directory);
        }
        self.locked().ok_or_else(|| self.failure(&ErrorKind::NotFound.into()))
    }

    /// Returns the failure to use the directory that this error stands for.
    pub(super) fn failure(&self, error: &io::Error) -> StateFailure {
        let fault = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StateFault::Full,
            ErrorKind::ReadOnlyFilesystem => StateFault::ReadOnly,
            ErrorKind::PermissionDenied => StateFault::Permission,
            ErrorKind::NotFound => StateFault::Removed,
            _ => StateFault::Other,
        };
        failure(&self.path, fault, error)
    }
}

fn failure(path: &Path, fault: StateFault, error: &io::Error) -> StateFailure {
    StateFailure { directory: path.display().to_string(), fault, reason: error.to_string() }
}
