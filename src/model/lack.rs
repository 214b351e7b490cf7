//! Lacks: what a source of the exporter's knowledge cannot provide, why, and the remedy.

use super::view::Source;
use std::fmt;

/// The kind of a lack: the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LackReason {
    /// No process listens at the engine's address.
    EngineDown,
    /// No socket is at the engine's address, and containers of the engine are on this host.
    SocketAbsent,
    /// The mode of a socket or file denies access.
    Permission,
    /// SELinux denies access that the mode of the socket permits.
    Selinux,
    /// The engine, or a proxy before it, refuses a call.
    CallRefused,
    /// The answer did not come in time.
    Timeout,
    /// The engine reports pids of another pid namespace.
    PidNamespace,
    /// The exporter is not in the network namespace of process 1.
    NetworkNamespace,
    /// The mount option `hidepid` of /proc hides the processes of other users.
    Hidepid,
    /// The exporter was started without a capability.
    Capability,
    /// The kernel lacks something, or its settings forbid it.
    Kernel,
    /// A folder, file or name cannot be read or followed.
    Unreadable,
    /// The source failed for a reason that is none of the others.
    Failed,
}

impl LackReason {
    /// All reasons, in the order of the enumeration.
    pub const ALL: [LackReason; 13] = [
        LackReason::EngineDown,
        LackReason::SocketAbsent,
        LackReason::Permission,
        LackReason::Selinux,
        LackReason::CallRefused,
        LackReason::Timeout,
        LackReason::PidNamespace,
        LackReason::NetworkNamespace,
        LackReason::Hidepid,
        LackReason::Capability,
        LackReason::Kernel,
        LackReason::Unreadable,
        LackReason::Failed,
    ];

    /// Returns the value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            LackReason::EngineDown => "engine_down",
            LackReason::SocketAbsent => "socket_absent",
            LackReason::Permission => "permission",
            LackReason::Selinux => "selinux",
            LackReason::CallRefused => "call_refused",
            LackReason::Timeout => "timeout",
            LackReason::PidNamespace => "pid_namespace",
            LackReason::NetworkNamespace => "network_namespace",
            LackReason::Hidepid => "hidepid",
            LackReason::Capability => "capability",
            LackReason::Kernel => "kernel",
            LackReason::Unreadable => "unreadable",
            LackReason::Failed => "failed",
        }
    }

    /// Returns the remedy for this lack of a source; `None` if the lack can have any cause.
    pub fn remedy(self, source: Source) -> Option<&'static str> {
        Some(match (self, source) {
            (LackReason::EngineDown, Source::Podman) => {
                "systemctl start podman.socket, or name the address with --podman.host"
            }
            (LackReason::EngineDown, Source::Cri) => {
                "start the container runtime, or name its socket with --cri.endpoint"
            }
            (LackReason::EngineDown, _) => "start the engine, or name its address with --docker.host",
            (LackReason::SocketAbsent, Source::Podman) => {
                "systemctl enable --now podman.socket, and in a container -v /run/podman:/run/podman"
            }
            (LackReason::SocketAbsent, Source::Cri) => {
                "in a container -v /run/containerd:/run/containerd, else name the socket with --cri.endpoint"
            }
            (LackReason::SocketAbsent, _) => {
                "in a container -v /var/run/docker.sock:/var/run/docker.sock, else name the address with --docker.host"
            }
            (LackReason::Permission, Source::Docker) => {
                "give the exporter the socket's group: SupplementaryGroups=docker in systemd, --group-add $(stat -c %g /var/run/docker.sock) in a container"
            }
            (LackReason::Permission, Source::Podman | Source::Cri) => {
                "run the exporter as the owner of the socket: User= in systemd, --user in a container"
            }
            (LackReason::Permission, _) => "run the exporter as root",
            (LackReason::Selinux, _) => "run the container with --security-opt label=disable",
            (LackReason::CallRefused, Source::Cri) => "allow the call in the configuration of the server",
            (LackReason::CallRefused, _) => {
                "allow the call in the proxy before the engine (docker-socket-proxy: CONTAINERS=1 NETWORKS=1 EVENTS=1)"
            }
            (LackReason::Timeout, Source::Podman) => "see how long the engine takes: time podman ps",
            (LackReason::Timeout, Source::Cri) => "see how long the engine takes: time crictl pods",
            (LackReason::Timeout, _) => "see how long the engine takes: time docker ps",
            (LackReason::PidNamespace, _) => {
                "run the exporter with --pid host, in Kubernetes with hostPID: true"
            }
            (LackReason::NetworkNamespace, _) => {
                "run the exporter with --network host, in Kubernetes with hostNetwork: true"
            }
            (LackReason::Hidepid, _) => {
                "mount -o remount,hidepid=0 /proc, or give the exporter the group of the mount option gid="
            }
            (LackReason::Capability, Source::Drops) => {
                "--cap-add BPF --cap-add PERFMON in a container, AmbientCapabilities= with CAP_BPF CAP_PERFMON and SystemCallFilter=bpf in systemd"
            }
            (LackReason::Capability, _) => {
                "--cap-add NET_ADMIN --cap-add NET_BROADCAST in a container, AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BROADCAST in systemd"
            }
            (LackReason::Kernel, _) => "run without --bpf.drops; docs/drops.md has what it needs",
            (LackReason::Unreadable, Source::Named) => {
                "in a container -v /run/netns:/run/netns:ro,rslave and --pid host"
            }
            (LackReason::Unreadable | LackReason::Failed, _) => return None,
        })
    }
}

/// A lack of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The kind of the lack.
    pub reason: LackReason,
    /// One line that says what failed, on what, and why.
    pub what: String,
}

impl Lack {
    /// Returns a lack with this line.
    pub fn new(reason: LackReason, what: impl Into<String>) -> Lack {
        Lack { reason, what: what.into() }
    }

    /// Returns a failure of any other kind.
    pub fn failure(what: impl Into<String>) -> Lack {
        Lack::new(LackReason::Failed, what)
    }

    /// Returns the message for the user: the line, and the remedy if there is one.
    pub fn message(&self, source: Source) -> String {
        match self.reason.remedy(source) {
            Some(remedy) => format!("{}: {remedy}", self.what),
            None => self.what.clone(),
        }
    }
}

/// Formats the line without the remedy.
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_one_word_and_a_remedy_in_one_line() {
        let words: BTreeSet<&str> = LackReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), LackReason::ALL.len());
        let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(words.iter().all(is_word), "{words:?}");
        for (reason, source) in LackReason::ALL.iter().flat_map(|&reason| Source::ALL.map(|s| (reason, s))) {
            let remedy = reason.remedy(source);
            assert!(remedy.is_none_or(|remedy| !remedy.contains('\n')), "{reason:?} {source:?}");
            let of_any_cause = matches!(reason, LackReason::Failed | LackReason::Unreadable);
            assert!(remedy.is_some() || of_any_cause, "{reason:?} {source:?}");
        }
    }

    #[test]
    fn a_message_has_the_line_and_the_remedy() {
        let lack = Lack::new(LackReason::PidNamespace, "pids mean nothing here");
        assert_eq!(
            lack.message(Source::Docker),
            "pids mean nothing here: run the exporter with --pid host, in Kubernetes with hostPID: true"
        );
        assert_eq!(Lack::failure("broken").message(Source::Docker), "broken");
    }
}
