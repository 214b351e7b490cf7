//! Processes: the owners of namespaces that no runtime claims, and the cgroup of a process.
//!
//! Of a process only the command's name is read, never its arguments: those can hold passwords.

use crate::model::text::Readable;
use crate::model::workload::{Runtime, Workload};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setrlimit};
use std::fs;
use std::io;
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

    /// Returns the workload of a process, named by its machine, unit or command; `None` if the process has
    /// ended.
    pub fn workload(&self, pid: u32) -> Option<Workload> {
        Some(workload(&self.command(pid)?, self.cgroup(pid).as_deref()))
    }

    /// Returns the name of a process's command, cut to 15 bytes; `None` if the process has ended.
    pub(crate) fn command(&self, pid: u32) -> Option<Vec<u8>> {
        let command = fs::read(self.procfs.join(pid.to_string()).join("comm")).ok()?;
        Some(command.trim_ascii_end().to_vec())
    }

    /// Returns the path of a process's cgroup: the deepest, where several hierarchies are mounted. Returns
    /// `None` if the process has ended or is in no group.
    pub fn cgroup(&self, pid: u32) -> Option<String> {
        deepest(&fs::read(self.procfs.join(pid.to_string()).join("cgroup")).ok()?)
    }
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

/// Returns the deepest path of /proc/PID/cgroup, which has a line `hierarchy:controllers:path` for each
/// hierarchy (cgroups(7)).
fn deepest(lines: &[u8]) -> Option<String> {
    let paths = lines.split(|&b| b == b'\n').filter_map(|line| line.splitn(3, |&b| b == b':').nth(2));
    let depth = |path: &&[u8]| path.split(|&b| b == b'/').filter(|part| !part.is_empty()).count();
    // Of equally deep paths the first counts, in the kernel's order.
    let deepest =
        paths.collect::<Vec<_>>().into_iter().rev().max_by_key(depth).filter(|path| depth(path) > 0)?;
    Some(Readable(deepest).to_string())
}

fn workload(command: &[u8], cgroup: Option<&str>) -> Workload {
    // A container chooses the names below its own cgroup, so they are not trusted.
    let parts = cgroup.unwrap_or_default().split('/').take_while(|part| !is_of_container(part));
    let machine = parts.clone().zip(parts.clone().skip(1)).find_map(|(parent, part)| {
        if let Some(name) = part.strip_prefix("lxc.payload.") {
            return Some((Runtime::Lxc, name.to_owned()));
        }
        if parent == "lxc" && !part.is_empty() {
            return Some((Runtime::Lxc, part.to_owned()));
        }
        let nspawn = part.strip_prefix("machine-").filter(|_| parent == "machine.slice")?;
        let name = unescape(nspawn.strip_suffix(".scope")?);
        // libvirt registers its machines in the same slice.
        let libvirt = ["qemu-", "lxc-"].iter().any(|driver| name.starts_with(driver));
        (!libvirt).then_some((Runtime::Nspawn, name))
    });
    let nspawn = || {
        let unit = parts.clone().find_map(|part| part.strip_prefix("systemd-nspawn@"))?;
        Some((Runtime::Nspawn, unescape(unit.strip_suffix(".service")?)))
    };
    let (runtime, name) = machine.or_else(nspawn).unwrap_or_else(|| {
        let unit = parts.clone().last().and_then(|part| part.strip_suffix(".service"));
        (Runtime::Process, unit.map_or_else(|| Readable(command).to_string(), str::to_owned))
    });
    Workload::named(runtime, name)
}

/// Returns true if a part of a cgroup's path has a container's id, in the forms of engines: `ID`,
/// `docker-ID.scope`.
fn is_of_container(part: &str) -> bool {
    let is_id = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    part.split(|c: char| !c.is_ascii_alphanumeric()).any(is_id)
}

/// Undoes systemd's escapes in the name of a unit: `\x2d` is a hyphen (systemd.unit(5)). [`Readable`] has
/// doubled the backslash.
fn unescape(name: &str) -> String {
    let mut parts = name.split(r"\\x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code =
            part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii_graphic);
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push_str(r"\\x");
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &[u8], cgroup: &str) -> String {
        let workload = workload(command, Some(cgroup));
        format!("{}/{}", workload.runtime.as_str(), workload.name)
    }

    #[test]
    fn a_machine_or_unit_in_the_cgroups_path_names_a_process_else_its_command() {
        for (command, cgroup, wanted) in [
            // Paths as LXC 5, LXC 3, systemd-nspawn 252 and libvirt 9 make them.
            ("init", "/lxc.payload.web", "lxc/web"),
            ("init", "/lxc.payload.web/system.slice/cron.service", "lxc/web"),
            ("init", "/lxc/web", "lxc/web"),
            ("systemd", r"/machine.slice/machine-deb\\x2d12.scope", "nspawn/deb-12"),
            ("systemd", "/machine.slice/systemd-nspawn@deb.service/payload", "nspawn/deb"),
            ("qemu-system-x86", r"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "process/qemu-system-x86"),
            ("vpn", "/system.slice/openvpn@home.service", "process/openvpn@home"),
            ("sleep", "/user.slice/user-0.slice/session-1.scope", "process/sleep"),
            ("sleep", "/", "process/sleep"),
            ("a\nb\x1b[2J", "/", r"process/a\x0ab\x1b[2J"),
            ("sleep", "/../../lxc.payload...", "lxc/.."),
        ] {
            assert_eq!(named(command.as_bytes(), cgroup), wanted, "{cgroup}");
        }
        let id = "4a35".repeat(16);
        for below in ["lxc.payload.web", "lxc/web", "machine.slice/machine-web.scope", "web.service"] {
            for container in [format!("/docker/{id}"), format!("/system.slice/docker-{id}.scope")] {
                assert_eq!(
                    named(b"sleep", &format!("{container}/{below}")),
                    "process/sleep",
                    "{container}/{below}"
                );
            }
        }
        assert_eq!(named(b"v\xff", "/"), r"process/v\xff");
    }

    #[test]
    fn the_deepest_of_several_hierarchies_counts() {
        // Captured in a container of Docker 20.10 on a host with both hierarchies (the id shortened).
        let hybrid =
            b"9:name=systemd:/docker/4a35\n8:pids:/docker/4a35\n4:memory:/process_api/x\n0::/docker/4a35\n";
        assert_eq!(deepest(hybrid).as_deref(), Some("/docker/4a35"));
        assert_eq!(deepest(b"0::/\n"), None);
        assert_eq!(deepest(b"0::/a:b/c\n").as_deref(), Some("/a:b/c"));
        assert_eq!(deepest(b"junk"), None);
        assert_eq!(deepest(b"").as_deref(), None);
    }

    #[test]
    fn a_path_of_four_thousand_characters_is_taken_as_it_is() {
        let long = format!("/{}", "x/".repeat(2000));
        assert_eq!(named(b"sleep", &long), "process/sleep");
    }

    #[test]
    fn our_own_process_is_found_and_a_dead_one_is_not() {
        let processes = Processes::new(Path::new("/proc"));
        assert!(processes.pids().unwrap().contains(&std::process::id()));
        assert!(processes.workload(std::process::id()).is_some());
        assert_eq!(processes.workload(u32::MAX), None);
    }
}
