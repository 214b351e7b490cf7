//! A real Podman of a test's own: its storage, its networks' configuration and its service's socket are in the run's folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::docker::IMAGE;
use super::{Interface, Netns, Process, describe, folder, succeed, unique_name, wait_for};

/// Podman in a network namespace. Its containers go when this goes.
pub struct Podman {
    root: PathBuf,
    netns: Netns,
    service: Process,
}

/// The settings for what the machine lacks (limits may not be raised, cgroup2 may have no controller), and for what would be shared with
/// another Podman.
const CONFIGURATION: &str = r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
[engine]
runtime = "RUNTIME"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
infra_image = "lab/busybox:1"
[network]
network_backend = "netavark"
"#;

impl Podman {
    /// Starts its service in this network namespace; the lab's image is in it.
    pub fn start(netns: &Netns) -> Podman {
        // Short: a unix socket's path has at most 108 bytes. tests/run knows the folders by this prefix.
        let root = folder().join(unique_name("podman"));
        std::fs::create_dir_all(root.join("networks")).expect("a folder of its own");
        // crun, which is Podman's choice, takes no hybrid cgroups.
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let configuration = CONFIGURATION.replace("RUNTIME", if unified { "crun" } else { "runc" });
        std::fs::write(root.join("containers.conf"), configuration).expect("its configuration");
        let netns = Netns::existing(netns.name());
        let service = serve(&root, &netns);
        let mut podman = Podman { root, netns, service };
        podman.podman(&["import", &folder().join("busybox.tar").display().to_string(), IMAGE]);
        podman.wait_until_it_answers();
        podman
    }

    /// Its address, as `--podman.host` and `--docker.host` take it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("p.sock")
    }

    /// The network namespace that its bridges are in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// `podman ARGUMENTS`, which must succeed; what it prints, without the last line's end.
    pub fn podman(&self, arguments: &[&str]) -> String {
        succeed(command(&self.root, &self.netns).args(arguments)).trim_end().to_owned()
    }

    /// Runs a container of the lab's image that only waits; it goes with its Podman.
    pub fn run(&self, name: &str, arguments: &[&str]) -> PodmanContainer<'_> {
        succeed(&mut self.client().start(name, arguments));
        PodmanContainer { podman: self, name: name.to_owned() }
    }

    /// Whoever starts containers while the service is stopped or killed: the program does it, and not the service.
    pub fn client(&self) -> PodmanClient {
        PodmanClient { root: self.root.clone(), netns: Netns::existing(self.netns.name()) }
    }

    /// Stops its service; its containers live on.
    pub fn stop(&mut self) {
        self.service.terminate(Duration::from_secs(10));
        // It leaves its socket behind, to which nobody listens.
        let _ = std::fs::remove_file(self.socket());
    }

    /// Kills its service (SIGKILL); its containers live on.
    pub fn kill(&mut self) {
        self.service.kill();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Starts its service again.
    pub fn restart(&mut self) {
        self.service = serve(&self.root, &self.netns);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let socket = self.socket();
        wait_for(Duration::from_secs(30), "Podman's service answers", || {
            let ended = self.service.ended();
            assert!(ended.is_none(), "it has ended ({ended:?}):\n{}", self.service.log().join("\n"));
            let ping = ["-sf", "-m", "5", "--unix-socket", &socket.display().to_string(), "http://d/_ping"];
            let output = Command::new("curl").args(ping).output().expect("curl, which tests/run installs");
            if output.status.success() { Ok(()) } else { Err(describe(&output)) }
        });
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nothing here may panic as well; and `tests/run` ends whatever is left.
            return;
        }
        self.podman(&["pod", "rm", "-f", "-a"]);
        // Who has dependent containers can only go after these.
        for _ in 0..2 {
            let _ = command(&self.root, &self.netns).args(["rm", "-f", "-a", "-t", "0"]).output();
        }
        let left = self.podman(&["ps", "-a", "-q"]);
        if !left.is_empty() {
            eprintln!("containers of {} stay: {left}", self.root.display());
        }
        self.service.terminate(Duration::from_secs(10));
        let output = command(&self.root, &self.netns).args(["system", "reset", "-f"]).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("{} stays: {output:?}", self.root.display());
        }
    }
}

/// What starts containers of a [`Podman`].
pub struct PodmanClient {
    root: PathBuf,
    netns: Netns,
}

impl PodmanClient {
    /// The command that starts a container of the lab's image which only waits.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = command(&self.root, &self.netns);
        command.args(["run", "-d", "--name", name, "--stop-signal", "KILL"]);
        command.args(arguments).args([IMAGE, "sleep", "1000"]);
        command
    }
}

/// A container of a [`Podman`].
pub struct PodmanContainer<'a> {
    podman: &'a Podman,
    name: String,
}

impl PodmanContainer<'_> {
    /// All that Podman knows of it.
    pub fn inspect(&self) -> Value {
        let text = self.podman.podman(&["inspect", "--type", "container", &self.name]);
        let mut list: Value = serde_json::from_str(&text).expect("JSON from podman inspect");
        list[0].take()
    }

    /// The process id of its first process, as the host sees it.
    pub fn pid(&self) -> u32 {
        let pid = self.inspect()["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.filter(|pid| *pid > 0).unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// One of its interfaces.
    pub fn interface(&self, name: &str) -> Interface {
        Interface::new("podman", &self.name, name, self.pid())
    }
}

fn serve(root: &Path, netns: &Netns) -> Process {
    let socket = format!("unix://{}", root.join("p.sock").display());
    Process::start_apart("podman", command(root, netns).args(["system", "service", "-t", "0", &socket]))
}

/// The client and the service are one program. It would wait forever for another that hangs.
fn command(root: &Path, netns: &Netns) -> Command {
    let path = |name: &str| root.join(name).display().to_string();
    let mut command = netns.command("podman");
    // Podman would look for an account in the Docker client's configuration.
    command
        .env("CONTAINERS_CONF", path("containers.conf"))
        .env_remove("DOCKER_CONFIG")
        .args(["--log-level", "error"]);
    command.args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("tmp")]);
    command.args(["--network-config-dir", &path("networks")]);
    command
}
