//! Processes: the owners of namespaces that no runtime claims, and the cgroup of a process.
//!
//! Of a process only the command's name is read, never its arguments: those can hold passwords.

use crate::model::cgroup;
use crate::model::workload::Workload;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setrlimit};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The processes below a procfs.
#[derive(Clone, Debug)]
pub struct Processes {
    procfs: PathBuf,
}

impl Processes {
    /// Creates the reader of the procfs at this path.
    pub fn new(procfs: &Path) -> Processes {
        Processes { procfs: procfs.to_owned() }
    }

    /// Returns the path of the procfs.
    pub(crate) fn path(&self) -> &Path {
        &self.procfs
    }

    /// Returns the ids of all processes in ascending order, which is that of their age unless ids have
    /// wrapped.
    ///
    /// # Errors
    /// If procfs cannot be read.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        // A procfs of another pid namespace shows the exporter under another pid, or not at all.
        let own = fs::read_link(self.procfs.join("self"))?;
        if own.to_str() != Some(std::process::id().to_string().as_str()) {
            let message = format!("{} is of another pid namespace", self.procfs.display());
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let mut pids = Vec::new();
        for entry in fs::read_dir(&self.procfs)? {
            let name = entry?.file_name();
            pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        pids.sort_unstable();
        Ok(pids)
    }

    /// Returns the workload of a process with this cgroup; `None` if the process has ended, or is a helper of
    /// an engine. `first` is true if its namespace is that of the first process of the cgroup's container or
    /// machine.
    pub fn workload(&self, pid: u32, cgroup: Option<&str>, first: bool) -> Option<Workload> {
        cgroup::workload(&self.command(pid)?, cgroup.unwrap_or_default(), first)
    }

    /// Returns the name of a process's command, cut to 15 bytes; `None` if the process has ended.
    pub(crate) fn command(&self, pid: u32) -> Option<Vec<u8>> {
        let command = fs::read(self.procfs.join(pid.to_string()).join("comm")).ok()?;
        Some(command.trim_ascii_end().to_vec())
    }

    /// Returns the path of a process's cgroup; `None` if the process has ended or is in no group.
    pub fn cgroup(&self, pid: u32) -> Option<String> {
        cgroup::path(&fs::read(self.procfs.join(pid.to_string()).join("cgroup")).ok()?)
    }

    /// Returns the first process of the container or machine that a process with this cgroup belongs to: the
    /// oldest ancestor in that cgroup, if it is the first process of a pid namespace or shares that of the
    /// exporter. An engine puts further processes into a container. Returns `None` for a process without a
    /// container or machine.
    pub(crate) fn first_process(&self, pid: u32, cgroup: &str) -> Option<u32> {
        let layers = cgroup::layers(cgroup);
        let around = layers.last()?;
        let mut first = self.lineage(pid)?;
        let mut pid = pid;
        for _ in 0..ANCESTORS {
            let parent = first.parent;
            if parent == 0 || !self.cgroup(parent).is_some_and(|cgroup| around.has_inside(&cgroup)) {
                break;
            }
            (pid, first) = (parent, self.lineage(parent)?);
        }
        first.is_initial.then_some(pid)
    }

    /// Returns true if a process is in the exporter's pid namespace, and in none below it.
    pub(crate) fn shares_pids(&self, pid: u32) -> bool {
        self.lineage(pid).is_some_and(|lineage| lineage.shares_pids)
    }

    /// Returns the ancestry of a process, from `PPid` and `NSpid` in its status (proc(5)).
    fn lineage(&self, pid: u32) -> Option<Lineage> {
        let status = fs::read(self.procfs.join(pid.to_string()).join("status")).ok()?;
        let field = |name: &str| {
            let lines = status.split(|&b| b == b'\n');
            let value = lines.into_iter().find_map(|line| line.strip_prefix(name.as_bytes()))?;
            let words = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
            Some(words.filter_map(|word| word.parse().ok()).collect::<Vec<u32>>())
        };
        let pids = field("NSpid:")?;
        Some(Lineage {
            parent: field("PPid:")?.first().copied()?,
            is_initial: pids.len() == 1 || pids.last() == Some(&1),
            shares_pids: pids.len() == 1,
        })
    }

    /// Returns true if a process is in the network namespace of the exporter; `None` if that cannot be seen.
    /// The folder's inode is that of the namespace, and no right is needed to see it.
    pub(crate) fn shares_network(&self, pid: u32) -> Option<bool> {
        let inode =
            |process: &str| Some(fs::metadata(self.procfs.join(process).join("net/stat")).ok()?.ino());
        Some(inode(&pid.to_string())? == inode("self")?)
    }

    /// Returns true if the mount option `hidepid` hides the processes of other users from the exporter.
    pub(crate) fn are_hidden(&self) -> bool {
        // Every process may see process 1, unless it is hidden.
        fs::read(self.procfs.join("1/cgroup")).is_err() && self.pids().is_ok()
    }
}

/// The number of ancestors that are looked at for a container's first process.
const ANCESTORS: usize = 64;

/// The ancestry of a process.
struct Lineage {
    parent: u32,
    /// True if the process is the first of its pid namespace, or shares that of the exporter.
    is_initial: bool,
    /// True if the process is in the exporter's pid namespace.
    shares_pids: bool,
}

/// Raises the soft limit of open descriptors (RLIMIT_NOFILE) to the hard one, and returns the limit that
/// applies.
pub(crate) fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    now.current.map_or(usize::MAX >> 4, |limit| usize::try_from(limit).unwrap_or(usize::MAX >> 4))
}

/// Waits until a process has ended (pidfd_open(2), Linux 5.3). Returns false at once if the process cannot
/// be watched. The descriptor keeps no namespace of a dead process alive.
pub(crate) async fn exit_of(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let process = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(process) => process,
        Err(error) => return error == Errno::SRCH,
    };
    #[expect(deprecated, reason = "an OwnedFd is I/O safe; the successor leaves that proof to its caller")]
    let process = AsyncFd::with_interest(process, Interest::READABLE);
    match process {
        // An error can only be one of the async runtime, which is then about to end.
        Ok(process) => process.readable().await.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_found_and_a_dead_one_is_not() {
        let processes = Processes::new(Path::new("/proc"));
        assert!(processes.pids().unwrap().contains(&std::process::id()));
        assert!(processes.workload(std::process::id(), None, false).is_some());
        assert_eq!(processes.workload(u32::MAX, None, false), None);
    }
}
