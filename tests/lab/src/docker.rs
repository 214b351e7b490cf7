//! Real Docker engines: the one that `tests/run` has started for all tests, and engines that a test may kill.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::netns::nsenter;
use super::{Container, Netns, Process, describe, folder, succeed, unique_name, wait_for};

/// The image that every engine of the lab has: a static busybox with links for its applets.
pub const IMAGE: &str = "lab/busybox:1";

/// An engine, by its socket and the network namespace that its bridges are in.
pub struct DockerEngine {
    host: String,
    netns: Netns,
}

impl DockerEngine {
    /// The engine that all tests share. A test makes its own containers and networks in it, and believes nothing about the others.
    pub fn get() -> &'static DockerEngine {
        static ENGINE: OnceLock<DockerEngine> = OnceLock::new();
        ENGINE.get_or_init(|| {
            let set = |name| {
                std::env::var(name).unwrap_or_else(|_| {
                    panic!(
                        "{name} is not set: this test needs the lab's Docker engine, run it by `tests/run`"
                    )
                })
            };
            DockerEngine { host: set("VETH_LAB_DOCKER_HOST"), netns: Netns::existing(&set("VETH_LAB_NETNS")) }
        })
    }

    /// An engine of the test's own, inside a network namespace: one that may be stopped, killed and restarted.
    pub fn start_private(netns: &Netns) -> PrivateEngine {
        PrivateEngine::start(netns, "{}")
    }

    /// The same with this configuration (daemon.json).
    pub fn start_private_with(netns: &Netns, configuration: &str) -> PrivateEngine {
        PrivateEngine::start(netns, configuration)
    }

    /// Its address, as `docker -H` and `--docker.host` take it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of its socket.
    pub fn socket(&self) -> &Path {
        Path::new(self.host.trim_start_matches("unix://"))
    }

    /// The network namespace that is the host's for it.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// `docker ARGUMENTS`, which must succeed; what it prints, without the last line's end.
    pub fn docker(&self, arguments: &[&str]) -> String {
        succeed(self.command().args(arguments)).trim_end().to_owned()
    }

    /// `docker ARGUMENTS`; the caller judges how that was.
    pub fn try_docker(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("docker, which tests/run installs")
    }

    /// Runs a container of the lab's image in the background, under a name of its own: `docker run -d ARGUMENTS lab/busybox:1 WORDS`.
    pub fn run(&self, prefix: &str, arguments: &[&str], words: &[&str]) -> Container {
        Container::run(self.host.clone(), unique_name(prefix), arguments, words)
    }

    /// The same under this name, which must be free.
    pub fn run_as(&self, name: &str, arguments: &[&str], words: &[&str]) -> Container {
        Container::run(self.host.clone(), name.to_owned(), arguments, words)
    }

    /// The same as [`DockerEngine::run`] with a command that only waits.
    pub fn run_idle(&self, prefix: &str, arguments: &[&str]) -> Container {
        self.run(prefix, arguments, &["sleep", "1000"])
    }

    /// Makes a bridge network under a name of its own.
    pub fn network(&self, prefix: &str) -> DockerNetwork {
        self.network_with(prefix, &[])
    }

    /// Makes a network with more arguments of `docker network create`.
    pub fn network_with(&self, prefix: &str, arguments: &[&str]) -> DockerNetwork {
        let name = unique_name(prefix);
        let id = self.docker(&[&["network", "create"], arguments, &[&name]].concat());
        DockerNetwork { host: self.host.clone(), name, id }
    }

    fn command(&self) -> Command {
        docker_command(&self.host)
    }
}

/// The docker client, which `tests/run` has freed from the user's configuration. It would wait forever for an engine that hangs.
pub(crate) fn docker_command(host: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "60", "docker", "-H", host]);
    command
}

/// A Docker network, removed when this goes; declare it before the containers in it.
pub struct DockerNetwork {
    host: String,
    name: String,
    id: String,
}

impl DockerNetwork {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its whole id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The bridge that Docker makes for it in the engine's network namespace.
    pub fn bridge(&self) -> String {
        format!("br-{}", &self.id[..12])
    }
}

impl Drop for DockerNetwork {
    fn drop(&mut self) {
        let output = docker_command(&self.host).args(["network", "rm", &self.name]).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("the network {} stays: {output:?}", self.name);
        }
    }
}

/// An engine that belongs to one test. Its containers, its containerd and its mounts go with it, however it ended.
pub struct PrivateEngine {
    engine: DockerEngine,
    root: PathBuf,
    process: Process,
}

impl PrivateEngine {
    fn start(netns: &Netns, configuration: &str) -> PrivateEngine {
        let root = folder().join(unique_name("e"));
        std::fs::create_dir(&root).expect("a folder of its own");
        // Instead of the machine's own.
        std::fs::write(root.join("daemon.json"), configuration).expect("a configuration");
        let host = format!("unix://{}", root.join("docker.sock").display());
        let process = spawn(&root, netns);
        let engine = DockerEngine { host, netns: Netns::existing(netns.name()) };
        let mut private = PrivateEngine { engine, root, process };
        private.wait_until_it_answers();
        private.docker(&["import", &folder().join("busybox.tar").display().to_string(), IMAGE]);
        private
    }

    /// The folder of all that it keeps.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The process id of its dockerd.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The lines of its log since it was started or restarted.
    pub fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// Stops it in good order, and its containers with it.
    pub fn stop(&mut self) {
        self.process.terminate(Duration::from_secs(30));
    }

    /// Kills dockerd (SIGKILL); its containerd goes with it, its containers live on.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends its dockerd a signal: SIGSTOP makes an engine that takes connections and does not answer, SIGCONT ends that.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts it again on the same folder, after [`PrivateEngine::stop`] or [`PrivateEngine::kill`]; kills it if it runs.
    pub fn restart(&mut self) {
        if self.process.ended().is_none() {
            self.process.kill();
        }
        self.wait_until_containerd_is_gone();
        self.process = spawn(&self.root, &self.engine.netns);
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        wait_for(Duration::from_secs(60), "the test's own Docker engine answers", || {
            let output = self.engine.try_docker(&["version"]);
            if output.status.success() {
                return Ok(());
            }
            let ended = self.process.ended();
            assert!(ended.is_none(), "dockerd has ended instead ({ended:?}):\n{}", self.log().join("\n"));
            Err(format!("{}\n{}", describe(&output), self.log().join("\n")))
        });
    }

    /// dockerd asks the kernel to kill its containerd when it dies itself; a new one must not meet the old, nor take its zombie
    /// or a later process for it, which it would by the file of its process id.
    fn wait_until_containerd_is_gone(&self) {
        let file = self.root.join("exec/containerd/containerd.pid");
        let Some(pid) = read_pid(&file) else { return };
        let root = self.root.display().to_string();
        wait_for(Duration::from_secs(10), "containerd ends with its dockerd", || {
            // A zombie's command line is empty.
            match std::fs::read_to_string(format!("/proc/{pid}/cmdline")) {
                Ok(line) if line.contains(&root) => Err(format!("process {pid}: {line}")),
                _ => Ok(()),
            }
        });
        std::fs::remove_file(&file).unwrap_or_else(|error| eprintln!("{}: {error}", file.display()));
    }
}

impl Deref for PrivateEngine {
    type Target = DockerEngine;

    fn deref(&self) -> &DockerEngine {
        &self.engine
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nothing here may panic as well; and `tests/run` ends whatever is left.
            return;
        }
        // After a SIGKILL the containers, their shims and cgroups are there still. Nobody knows them better than the engine itself.
        match self.process.ended() {
            Some(_) => self.restart(),
            None => self.process.signal(Signal::SIGCONT),
        }
        let containers = self.docker(&["ps", "-aq"]);
        if !containers.is_empty() {
            let mut words = vec!["rm", "-f", "-v"];
            words.extend(containers.lines());
            self.docker(&words);
        }
        self.stop();
        self.wait_until_containerd_is_gone();
        crate::unmount_below(&self.root);
        std::fs::remove_dir_all(&self.root)
            .unwrap_or_else(|error| eprintln!("{}: {error}", self.root.display()));
    }
}

fn spawn(root: &Path, netns: &Netns) -> Process {
    Process::start_apart("dockerd", &mut dockerd(root, &netns.path()))
}

/// Returns dockerd with all its state below `root`, in a network namespace. The command becomes dockerd, so that its process id is dockerd's;
/// `ip netns exec` would mount /sys anew, and the cgroups below it would be out of sight.
pub(crate) fn dockerd(root: &Path, netns: &Path) -> Command {
    let path = |name: &str| root.join(name).display().to_string();
    let mut command = nsenter(netns, "dockerd");
    command.args(["--config-file", &path("daemon.json"), "--data-root", &path("data")]);
    command.args(["--exec-root", &path("exec"), "-p", &path("docker.pid")]);
    command.args(["-H", &format!("unix://{}", path("docker.sock"))]);
    command
}

fn read_pid(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
