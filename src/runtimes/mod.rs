//! Edge: the sources of namespace owners. Each source yields [`Claims`](crate::model::workload::Claims).

pub(crate) mod calls;
pub(crate) mod cri;
pub(crate) mod docker;
pub(crate) mod named;
pub(crate) mod process;
pub(crate) mod socket_watch;

use crate::model::lack::{Lack, LackReason};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tokio::net::UnixStream;

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

/// Returns the process that listens at a unix socket, by its pid in the exporter's pid namespace; `None` if
/// the process is in none of those that can be seen from here (SO_PEERCRED in unix(7)).
///
/// # Errors
/// If no process listens, or access to the socket is denied.
pub(crate) async fn listener(socket: &Path) -> io::Result<Option<u32>> {
    let pid = UnixStream::connect(socket).await?.peer_cred()?.pid();
    Ok(pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0))
}

/// Returns the lack of a source that may not connect to a socket: the socket's mode denies it, or SELinux
/// does, which confines the exporter in a container.
fn denied(socket: Option<&Path>, what: String) -> Lack {
    let label = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    let mode = socket.map(fs::metadata).map(|socket| {
        let socket = socket.ok()?;
        Some((socket.mode(), socket.uid(), socket.gid()))
    });
    let groups = rustix::process::getgroups().unwrap_or_default();
    let own = groups.iter().chain([&rustix::process::getegid()]).map(|group| group.as_raw()).collect();
    let allowed = match mode {
        Some(Some(mode)) => may_write(mode, rustix::process::geteuid().as_raw(), own),
        // A socket that may not even be looked at.
        Some(None) => is_selinux_label(&label),
        None => false,
    };
    if allowed && is_selinux_label(&label) {
        return Lack::new(LackReason::Selinux, what);
    }
    let user = rustix::process::geteuid().as_raw();
    Lack::new(LackReason::Permission, what + &denial(mode, allowed, user))
}

/// Returns why a user may not connect to a socket with this mode, owner and group: `None` for an address that
/// is no socket, and for a socket that may not even be looked at.
fn denial(socket: Option<Option<(u32, u32, u32)>>, allowed: bool, user: u32) -> String {
    // Root has given up CAP_DAC_OVERRIDE, and has no other rights than an ordinary user then.
    let as_root = match user {
        0 => ", and root has kept no right to pass that (--sandbox.disable capabilities keeps it)",
        _ => "",
    };
    match socket {
        None => String::new(),
        Some(None) => format!(": a folder on its path does not let user {user} pass{as_root}"),
        Some(Some(_)) if allowed => ": its mode allows it, so a security module forbids it".to_owned(),
        // The remedy for a socket of a group says all.
        Some(Some((mode, ..))) if user != 0 && mode & 0o020 != 0 => String::new(),
        Some(Some((mode, owner, group))) => {
            let mode = mode & 0o777;
            format!(": it belongs to user {owner} and group {group} with the mode {mode:03o}{as_root}")
        }
    }
}

/// Returns true if a file of this mode, owner and group may be written by this user with these groups.
fn may_write((mode, owner, group): (u32, u32, u32), user: u32, groups: Vec<u32>) -> bool {
    let right = match (owner == user, groups.contains(&group)) {
        (true, _) => 0o200,
        (false, true) => 0o020,
        (false, false) => 0o002,
    };
    mode & right != 0
}

/// Returns true for the text of an SELinux label: `USER:ROLE:TYPE:LEVEL`. AppArmor's has no colons.
fn is_selinux_label(text: &str) -> bool {
    text.trim_end_matches(['\0', '\n']).split(':').filter(|part| !part.is_empty()).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_a_socket_says_whether_something_else_denies_it() {
        for (mode, user, groups, wanted) in [
            // Docker's socket: root and its group.
            ((0o660, 0, 999), 0, vec![0], true),
            ((0o660, 0, 999), 65534, vec![65534, 999], true),
            ((0o660, 0, 999), 65534, vec![65534], false),
            ((0o666, 0, 0), 65534, vec![65534], true),
            // Another user's, seen by a root without CAP_DAC_OVERRIDE.
            ((0o600, 1000, 1000), 0, vec![0], false),
            ((0o600, 1000, 1000), 1000, vec![], true),
            // The owner's right counts, not that of the group.
            ((0o060, 1000, 1000), 1000, vec![1000], false),
        ] {
            assert_eq!(may_write(mode, user, groups.clone()), wanted, "{mode:?} {user} {groups:?}");
        }
    }

    #[test]
    fn a_socket_that_denies_access_is_described_by_its_owner_and_what_root_has_given_up() {
        let socket = |owner, group, mode: u32| Some(Some((0o140_000 | mode, owner, group)));
        for (found, allowed, user, wanted) in [
            (socket(1000, 1000, 0o600), false, 0, "user 1000 and group 1000 with the mode 600, and root has"),
            (socket(0, 998, 0o660), false, 65_534, ""),
            (
                socket(1000, 998, 0o600),
                false,
                65_534,
                "it belongs to user 1000 and group 998 with the mode 600",
            ),
            (socket(1000, 1000, 0), false, 1000, "it belongs to user 1000 and group 1000 with the mode 000"),
            (socket(0, 0, 0o666), true, 7, "its mode allows it, so a security module forbids it"),
            (Some(None), false, 7, "a folder on its path does not let user 7 pass"),
            (Some(None), false, 0, "pass, and root has kept no right to pass that (--sandbox.disable"),
            (None, false, 0, ""),
        ] {
            let why = denial(found, allowed, user);
            assert!(why.contains(wanted) && why.is_empty() == wanted.is_empty(), "{why}; wanted: {wanted}");
        }
    }

    #[test]
    fn a_label_of_selinux_has_three_parts_at_least_and_apparmors_has_none() {
        for (text, wanted) in [
            ("system_u:system_r:container_t:s0:c1,c2\0", true),
            ("unconfined_u:unconfined_r:unconfined_t:s0", true),
            ("docker-default (enforce)\n", false),
            ("unconfined\n", false),
            ("", false),
        ] {
            assert_eq!(is_selinux_label(text), wanted, "{text:?}");
        }
    }
}
