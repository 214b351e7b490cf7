//! Edge: the sources of namespace owners. Each source yields [`Claims`](crate::model::workload::Claims).

pub(crate) mod cri;
pub(crate) mod docker;
pub(crate) mod named;
pub(crate) mod process;
pub(crate) mod socket_watch;

use std::io;
use std::path::Path;

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
