//! Edge: the sources of namespace owners. Each source yields [`Claims`](crate::model::workload::Claims).

pub(crate) mod calls;
pub(crate) mod cri;
pub(crate) mod docker;
pub(crate) mod named;
pub(crate) mod process;
pub(crate) mod socket_watch;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fmt, io};

/// The inode of the first pid namespace (`PROC_PID_INIT_INO` in the kernel's linux/proc_ns.h).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Returns true if the exporter sees processes under the pids that the host's runtimes use. In any other
/// pid namespace a pid that a runtime reports is another process's.
///
/// # Errors
/// If `procfs` is not what proc(5) describes.
pub(crate) fn in_host_pid_namespace(procfs: &Path) -> io::Result<bool> {
    let read = || {
        let myself = procfs::process::Process::new_with_root(procfs.join("self"))?;
        Ok(myself.namespaces()?.0.values().any(|namespace| namespace.identifier == FIRST_PID_NAMESPACE))
    };
    read().map_err(|error: procfs::ProcError| {
        io::Error::other(format!("cannot read {}: {error}", procfs.display()))
    })
}

/// Returns the message for a socket that this user may not connect to, with what would help.
pub(crate) fn denied(address: &dyn fmt::Display, socket: Option<&Path>) -> String {
    let found = socket.map(|socket| socket.metadata().map(|found| (found.uid(), found.gid(), found.mode())));
    let why = denial(found, rustix::process::geteuid().as_raw());
    format!("permission denied at {address}: {why}")
}

/// Returns why a user may not connect to a socket with this owner, group and mode, and what would help.
fn denial(socket: Option<io::Result<(u32, u32, u32)>>, user: u32) -> String {
    // Root has no other rights than its owner's once CAP_DAC_OVERRIDE is given up.
    let as_root = "as root with --sandbox.disable capabilities, which keeps CAP_DAC_OVERRIDE";
    let (owner, group, mode) = match socket {
        Some(Ok(found)) => found,
        Some(Err(_)) => return format!("a folder above it does not let user {user} pass: run as its owner, or {as_root}"),
        None => return "a firewall or a security module forbids it".to_owned(),
    };
    let allowed = if owner == user { mode & 0o200 } else { mode & 0o002 };
    if allowed != 0 {
        return format!(
            "its mode {:o} lets user {user} connect, so a security module (SELinux, AppArmor) forbids it: run with --security-opt label=disable, or allow it there",
            mode & 0o777
        );
    }
    let by_group = match mode & 0o020 {
        0 => String::new(),
        _ => format!("in group {group}, "),
    };
    format!(
        "it belongs to user {owner} and group {group}, and has the mode {:o}: run as user {owner}, {by_group}or {as_root}",
        mode & 0o777
    )
}
