//! The guard against pids that mean nothing here: an engine reports those of its own pid namespace.

use crate::model::lack::{Lack, LackReason};
use crate::runtimes::docker::DockerHost;
use crate::runtimes::process::Processes;
use crate::runtimes::{self, in_host_pid_namespace};
use std::path::Path;

/// The decision whether the pids of an engine are believed.
#[derive(Default)]
pub(super) struct PidGuard {
    /// The reason why the pids of an engine of the host mean nothing here; `None` if they are those of the
    /// exporter's pid namespace.
    foreign: Option<Lack>,
    /// The processes by which a listener is examined.
    processes: Option<Processes>,
    /// True if the engine that listens now is in the exporter's pid namespace.
    is_near: bool,
}

impl PidGuard {
    /// Returns the guard for an exporter that sees the processes of this procfs.
    pub(super) fn new(procfs: &Path) -> PidGuard {
        let foreign = match in_host_pid_namespace(procfs) {
            Ok(true) => None,
            Ok(false) => Some(Lack::new(
                LackReason::PidNamespace,
                "the process ids of containers mean nothing in this pid namespace",
            )),
            Err(error) => Some(Lack::new(LackReason::Unreadable, error.to_string())),
        };
        PidGuard { foreign, processes: Some(Processes::new(procfs)), is_near: false }
    }

    /// Returns the reason why the engine's pids are not believed.
    pub(super) fn lack(&self) -> Option<&Lack> {
        self.foreign.as_ref().filter(|_| !self.is_near)
    }

    /// Examines the listener at one of these addresses, unless the pids are believed anyway. An engine in the
    /// exporter's own pid namespace reports pids that are the exporter's, wherever both are: in an LXC
    /// machine, a node of kind, a distribution of WSL2. Nothing is known of a listener on TCP.
    pub(super) async fn examine(&mut self, addresses: &[DockerHost]) {
        let Some(processes) = self.processes.as_ref().filter(|_| self.lack().is_some()) else { return };
        for socket in addresses.iter().filter_map(DockerHost::socket) {
            if let Ok(Some(pid)) = runtimes::listener(&socket).await {
                self.is_near = processes.shares_pids(pid);
                return;
            }
        }
    }

    /// Forgets the engine: another may listen next.
    pub(super) fn forget_engine(&mut self) {
        self.is_near = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    fn foreign() -> PidGuard {
        let lack = Lack::new(LackReason::PidNamespace, "foreign");
        PidGuard { foreign: Some(lack), processes: Some(Processes::new(Path::new("/proc"))), is_near: false }
    }

    #[tokio::test]
    async fn an_engine_whose_listener_is_in_the_own_pid_namespace_is_believed_until_it_is_gone() {
        let socket = PathBuf::from(format!("/tmp/veth-exporter-pids-{}", std::process::id()));
        let listener = UnixListener::bind(&socket).unwrap();
        let [near, tcp] = [DockerHost::Unix(socket.clone()), DockerHost::Tcp("127.0.0.1:1".into())];
        let mut guard = foreign();
        guard.examine(std::slice::from_ref(&tcp)).await;
        assert_eq!(guard.lack().map(|lack| lack.reason), Some(LackReason::PidNamespace));
        guard.examine(&[tcp, near]).await;
        assert_eq!(guard.lack(), None);
        guard.forget_engine();
        assert!(guard.lack().is_some());
        drop(listener);
        std::fs::remove_file(&socket).unwrap();
    }

    #[tokio::test]
    async fn pids_of_the_hosts_own_namespace_are_believed_without_an_examination() {
        let mut guard = PidGuard::default();
        guard.examine(&[DockerHost::Unix("/nonexistent".into())]).await;
        assert_eq!(guard.lack(), None);
    }
}
