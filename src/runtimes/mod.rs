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

/// Returns the message for a socket that this user may not connect to.
pub(crate) fn denied(address: &dyn fmt::Display, socket: Option<&Path>) -> String {
    let found = socket.map(|socket| socket.metadata().map(|found| (found.uid(), found.gid(), found.mode())));
    let user = rustix::process::geteuid().as_raw();
    format!("permission denied at {address}: {}", denial(found, user))
}

/// Returns why a user may not connect to a socket with this owner, group and mode; `None` for an address that
/// is no socket.
fn denial(socket: Option<io::Result<(u32, u32, u32)>>, user: u32) -> String {
    // Root has given up CAP_DAC_OVERRIDE, and has no other rights than an ordinary user then.
    let as_root = match user {
        0 => ", and root has kept no right to pass that (--sandbox.disable capabilities keeps it)",
        _ => "",
    };
    match socket {
        None => "a firewall or a security module forbids it".to_owned(),
        Some(Err(_)) => format!("a folder on its path does not let user {user} pass{as_root}"),
        Some(Ok((owner, _, mode))) if mode & if owner == user { 0o200 } else { 0o002 } != 0 => {
            let mode = mode & 0o777;
            format!("its mode {mode:03o} lets user {user} connect, so a security module (SELinux) forbids it")
        }
        Some(Ok((owner, group, mode))) => {
            let mode = mode & 0o777;
            format!("it belongs to user {owner} and group {group} with the mode {mode:03o}{as_root}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_denies_access_is_described_by_its_owner_and_what_root_has_given_up() {
        let gone = || Some(Err(io::Error::from(io::ErrorKind::PermissionDenied)));
        let socket = |owner, group, mode: u32| Some(Ok((owner, group, 0o140_000 | mode)));
        for (found, user, wanted) in [
            (
                socket(1000, 1000, 0o600),
                0,
                "it belongs to user 1000 and group 1000 with the mode 600, and root has",
            ),
            (socket(0, 998, 0o660), 65_534, "it belongs to user 0 and group 998 with the mode 660"),
            (socket(1000, 1000, 0o000), 1000, "it belongs to user 1000 and group 1000 with the mode 000"),
            (socket(0, 0, 0o660), 0, "its mode 660 lets user 0 connect, so a security module"),
            (socket(0, 0, 0o666), 7, "its mode 666 lets user 7 connect, so a security module"),
            (gone(), 7, "a folder on its path does not let user 7 pass"),
            (
                gone(),
                0,
                "does not let user 0 pass, and root has kept no right to pass that (--sandbox.disable",
            ),
            (None, 0, "a firewall or a security module forbids it"),
        ] {
            let why = denial(found, user);
            assert!(why.contains(wanted), "{why}; wanted: {wanted}");
        }
    }
}
