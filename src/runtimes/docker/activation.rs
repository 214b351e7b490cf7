//! Engines that a connection starts: systemd listens at their socket, and passes it on to the engine
//! (systemd.socket(5)). Such an engine that was stopped on purpose must stay stopped.

use super::host::EngineKind;
use crate::runtimes::process::Processes;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The process that listens at a unix socket, as of the last connection; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketListener(Arc<Mutex<Option<Listening>>>);

#[derive(Clone, Debug)]
struct Listening {
    socket: PathBuf,
    inode: Option<u64>,
    /// The process that called listen(2), as SO_PEERCRED reports it; `None` if it is in another pid
    /// namespace.
    pid: Option<u32>,
}

impl SocketListener {
    /// Records who has accepted a connection.
    pub(super) fn record(&self, socket: &Path, pid: Option<i32>) {
        let pid = pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
        let listening = Listening { socket: socket.to_owned(), inode: inode(socket), pid };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
    }

    /// Returns true if a connection may start the engine, once that has closed its connections: the same
    /// socket is still there, and the process that listens is not the engine and lives.
    pub(super) fn may_start(&self, kind: EngineKind, processes: &Processes) -> bool {
        let Some(listening) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return false;
        };
        if listening.inode.is_none() || inode(&listening.socket) != listening.inode {
            return false;
        }
        // What cannot be seen may be systemd.
        listening.pid.is_none_or(|pid| {
            let command = processes.command(pid);
            command.is_some_and(|command| !is_engine(kind, &command))
        })
    }

    /// Returns true if another socket, or none, is where the last connection was made.
    fn has_moved(&self) -> bool {
        let listening = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listening.as_ref().is_some_and(|listening| inode(&listening.socket) != listening.inode)
    }
}

fn inode(socket: &Path) -> Option<u64> {
    socket.metadata().ok().map(|found| found.ino())
}

/// The wait for an engine that was stopped and that a connection would start.
#[derive(Debug)]
pub(crate) struct Stopped {
    kind: EngineKind,
    listener: SocketListener,
    processes: Processes,
    /// The engine's processes when it closed its connections: it takes a while to end.
    before: BTreeSet<u32>,
}

impl Stopped {
    /// Begins the wait now.
    pub(super) fn begin(kind: EngineKind, listener: SocketListener, processes: Processes) -> Stopped {
        let before = engines(kind, &processes);
        Stopped { kind, listener, processes, before }
    }

    /// Returns true if the engine was started since, or another listener has taken its socket's path.
    pub(crate) fn is_over(&self) -> bool {
        self.listener.has_moved() || !engines(self.kind, &self.processes).is_subset(&self.before)
    }

    /// Returns true if no process of the engine is left of those that there were: that it is away is
    /// certain, and only a start ends the wait.
    pub(crate) fn is_certain(&self) -> bool {
        !self.before.is_empty() && engines(self.kind, &self.processes).is_empty()
    }
}

/// Returns the processes of engines of this kind; none if processes cannot be seen.
fn engines(kind: EngineKind, processes: &Processes) -> BTreeSet<u32> {
    let pids = processes.pids().unwrap_or_default().into_iter();
    let engines = pids.filter(|&pid| {
        let named = processes.command(pid).is_some_and(|command| is_engine(kind, &command));
        // Every call of Podman's command line has that name too.
        let serves = || processes.cgroup(pid).is_some_and(|cgroup| cgroup.contains("podman.service"));
        named && (kind == EngineKind::Docker || serves())
    });
    engines.collect()
}

fn is_engine(kind: EngineKind, command: &[u8]) -> bool {
    let names: &[&[u8]] = match kind {
        EngineKind::Docker => &[b"dockerd", b"balenad", b"balena-engine"],
        EngineKind::Podman => &[b"podman"],
    };
    names.iter().any(|name| command.starts_with(name))
}
