//! The files and ports that the sandbox must permit because of the settings.

use crate::kernel::SYSFS_NET;
use crate::runtimes::docker::DockerHost;
use crate::sandbox::{self, Needs, Part, Sandbox, Tier};
use crate::settings::{HostSettings, SandboxSettings};
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

/// Gives up the capabilities that these settings do not keep.
pub(super) fn drop_privileges(settings: &SandboxSettings) -> anyhow::Result<Tier> {
    sandbox::drop_privileges(settings.privileges, &settings.disabled).map_err(|error| anyhow!(error))
}

/// Sets the parts of the sandbox that do not hinder a program that drives a terminal: such a program opens
/// the terminal to write, and sends signals.
pub(super) fn confine_beside_terminal(settings: &SandboxSettings) -> Sandbox {
    let mut disabled = settings.disabled.clone();
    disabled.extend([Part::Landlock, Part::Seccomp]);
    sandbox::confine(&Needs::default(), &disabled)
}

/// Sets the sandbox for the sources that these settings name, for all other files that are read, and for the
/// exporter's own unix sockets, which are removed at the end. Below `written` files are made and written;
/// `reads_maps` is true if the kernel counts dropped packets.
pub(super) fn confine<'a>(
    settings: &HostSettings,
    read: impl IntoIterator<Item = PathBuf>,
    sockets: impl IntoIterator<Item = &'a Path>,
    written: Option<&Path>,
    reads_maps: bool,
) -> Sandbox {
    let mut needs = Needs { maps: reads_maps, ..needs(settings) };
    needs.write.extend(written.map(Path::to_owned));
    needs.read.extend(read);
    needs.remove.extend(sockets.into_iter().map(folder_of));
    sandbox::confine(&needs, &settings.sandbox.disabled)
}

fn needs(settings: &HostSettings) -> Needs {
    let mut needs = Needs { read: vec![OWN_PROCFS.into(), settings.procfs.clone()], ..Needs::default() };
    needs.read.extend(RUNTIME_FOLDERS.map(PathBuf::from));
    needs.read.extend([SYSFS_NET, SYSFS_LINKS].map(PathBuf::from));
    needs.read.extend(settings.sandbox.read.iter().cloned());
    needs.read.push(settings.netns.folder.clone());
    let engines = &settings.engines;
    needs.read.extend(engines.cri_endpoint.iter().map(|endpoint| folder_of(endpoint.path())));
    let docker = engines.docker.iter().flatten();
    for engine in docker.chain(&engines.podman) {
        match &engine.host {
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
    use crate::settings::{Environment, Settings};

    fn needs_of(flags: &[&str]) -> Needs {
        let words = [&["veth-exporter", "--docker.host", "unix:///d/docker.sock"], flags].concat();
        let Settings::Serve(settings) =
            Settings::resolve(Cli::try_read(words).unwrap(), &Environment::default())
        else {
            panic!("another command")
        };
        needs(&settings.host)
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
