//! The files and ports that the sandbox must permit because of these flags.

use crate::cli::CommonFlags;
use crate::kernel::SYSFS_NET;
use crate::model::view::Source;
use crate::runtimes::docker::DockerHost;
use crate::sandbox::{self, Needs, Part, Sandbox, Tier};
use anyhow::anyhow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The procfs of the exporter's own figures, regardless of `--path.procfs`.
const OWN_PROCFS: &str = "/proc";

/// The parents of the folders with engines' sockets and with the names of their namespaces: the folders come
/// and go with the engines.
const RUNTIME_FOLDERS: [&str; 2] = ["/run", "/var/run"];

/// The folder of sysfs that the links of /sys/class/net lead to.
const SYSFS_LINKS: &str = "/sys/devices/virtual/net";

/// The folder that the C library reads to resolve a name to an address.
const NAME_SERVICE: &str = "/etc";
const DNS: u16 = 53;

/// Gives up the capabilities that these flags do not keep.
pub(super) fn drop_privileges(flags: &CommonFlags) -> anyhow::Result<Tier> {
    sandbox::drop_privileges(flags.privileges, &flags.unconfined()).map_err(|error| anyhow!(error))
}

/// Sets the parts of the sandbox that do not hinder a program that drives a terminal: such a program opens
/// the terminal to write, and sends signals.
pub(super) fn confine_beside_terminal(flags: &CommonFlags) -> Sandbox {
    let mut disabled = flags.unconfined();
    disabled.extend([Part::Landlock, Part::Seccomp]);
    sandbox::confine(&Needs::default(), &disabled)
}

/// Sets the sandbox for the sources that these flags name, for all other files that are read, and for the
/// exporter's own unix sockets, which are removed at the end. Missing parts are reported in the log.
pub(super) fn confine<'a>(
    flags: &CommonFlags,
    read: impl IntoIterator<Item = PathBuf>,
    sockets: impl IntoIterator<Item = &'a Path>,
) -> Sandbox {
    let mut needs = needs(flags);
    needs.read.extend(read);
    needs.remove.extend(sockets.into_iter().map(folder_of));
    let sandbox = sandbox::confine(&needs, &flags.unconfined());
    for missing in &sandbox.missing {
        tracing::warn!("sandbox: without {missing}");
    }
    sandbox
}

fn needs(flags: &CommonFlags) -> Needs {
    let mut needs = Needs { read: vec![OWN_PROCFS.into(), flags.procfs.clone()], ..Needs::default() };
    needs.read.extend(RUNTIME_FOLDERS.map(PathBuf::from));
    needs.read.extend([SYSFS_NET, SYSFS_LINKS].map(PathBuf::from));
    needs.read.extend(flags.read.iter().cloned());
    needs.read.extend(flags.netns_folder().ok().map(|(folder, _)| folder));
    needs.read.extend(flags.cri_endpoint.iter().map(|endpoint| folder_of(endpoint.path())));
    let docker = flags.docker().ok().filter(|_| flags.is_on(Source::Docker)).map(|(host, _)| host);
    let podman = flags.is_on(Source::Podman).then(|| flags.podman().0);
    for host in docker.iter().chain(&podman) {
        match host {
            // An engine with its socket elsewhere mostly has its namespaces there too.
            DockerHost::Unix(path) => needs.read.push(folder_of(path)),
            DockerHost::Tcp(address) => {
                let port: Option<u16> = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                needs.ports.extend(port);
                if address.parse::<SocketAddr>().is_err() {
                    needs.ports.push(DNS);
                    needs.read.push(NAME_SERVICE.into());
                }
            }
        }
    }
    needs
}

/// Returns the folder of a file.
fn folder_of(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn needs_of(flags: &[&str]) -> Needs {
        let words = [&["veth-exporter", "--docker.host", "unix:///d/docker.sock"], flags].concat();
        needs(&Cli::try_parse_from(words).unwrap().serve.sources)
    }

    #[test]
    fn what_is_read_and_where_is_connected_to_follows_the_flags() {
        let reads = |flags: &[&str], path: &str| needs_of(flags).read.contains(&PathBuf::from(path));
        for path in ["/proc", "/run", "/run/netns", "/d", "/run/podman"] {
            assert!(reads(&[], path), "{path}");
        }
        assert!(!reads(&[], "/etc") && !reads(&[], "/"));
        assert!(!reads(&["--collector.disable", "docker"], "/d"));
        assert!(reads(&["--cri.endpoint", "/c/cri.sock"], "/c"));
        assert!(reads(&["--sandbox.read", "/a,/b"], "/a") && reads(&["--sandbox.read", "/a,/b"], "/b"));
        assert_eq!(needs_of(&[]).ports, [] as [u16; 0]);
        assert_eq!(needs_of(&[]).remove, [] as [PathBuf; 0]);
        for address in ["10.0.0.1:2375", "[::1]:2375"] {
            let flags = ["--podman.host", &format!("tcp://{address}")];
            assert_eq!(needs_of(&flags).ports, [2375], "{address}");
            assert!(!reads(&flags, "/etc"), "{address} needs no resolver");
        }
        let named = ["--podman.host", "tcp://engine:2375"];
        assert_eq!(needs_of(&named).ports, [2375, DNS]);
        assert!(reads(&named, "/etc"));
    }
}
