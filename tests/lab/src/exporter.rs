//! The exporter as its users run it: the built binary, in a network namespace, asked over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::http::{Response, request};
use super::{DockerEngine, Exposition, Netns, Process, empty_folder, wait_for};

/// A running exporter. It is killed and waited for when this goes; its log is shown if the test fails.
pub struct Exporter {
    process: Process,
    netns: PathBuf,
    address: SocketAddr,
}

impl Exporter {
    /// Returns the path of the binary that Cargo builds with every test: `veth-exporter` beside the folder `deps` of the tests' own binary.
    pub fn binary() -> &'static str {
        static BINARY: OnceLock<String> = OnceLock::new();
        BINARY.get_or_init(|| {
            let tests = std::env::current_exe().expect("the path of the tests' binary");
            let folder = tests.parent().and_then(Path::parent).expect("target/PROFILE/deps");
            let binary = folder.join("veth-exporter");
            assert!(binary.is_file(), "{} is missing: run the tests by tests/run", binary.display());
            binary.into_os_string().into_string().expect("a target folder in UTF-8")
        })
    }

    /// Starts it in a network namespace, on a port of 127.0.0.1 that the kernel chooses.
    pub fn start(netns: &Netns, arguments: &[&str]) -> Exporter {
        Exporter::start_through(netns, &[], arguments)
    }

    /// Starts it through a program that becomes it, `setpriv --reuid=65534 --clear-groups` say.
    pub fn start_through(netns: &Netns, through: &[&str], arguments: &[&str]) -> Exporter {
        let mut words =
            through.iter().copied().chain([Exporter::binary(), "--web.listen-address", "127.0.0.1:0"]);
        let mut command = netns.command(words.next().expect("the binary at least"));
        forget_surroundings(command.args(words).args(arguments));
        let mut process = Process::start("veth-exporter", &mut command);
        let address = process.wait_for_line(
            Duration::from_secs(10),
            "the address that it listens on (msg=listening address=...)",
            listening_address,
        );
        Exporter { process, netns: netns.path(), address }
    }

    /// Starts it for an engine, in that one's network namespace, blind to the named namespaces of other tests, and waits until
    /// the engine has answered.
    pub fn for_engine(engine: &DockerEngine, more: &[&str]) -> Exporter {
        let folder = empty_folder("n").display().to_string();
        let own = ["--docker.host", engine.host(), "--path.netns", &folder];
        let exporter = Exporter::start(engine.netns(), &[&own, more].concat());
        exporter.wait_for(Duration::from_secs(10), "the engine has answered", |metrics| {
            metrics.collector_success("docker").filter(|success| *success)
        });
        exporter
    }

    /// A command of it that ends by itself (`list`, `find`), not yet run.
    pub fn command(netns: &Netns, arguments: &[&str]) -> Command {
        let mut command = netns.command(Exporter::binary());
        forget_surroundings(command.args(arguments));
        command
    }

    /// Where it listens, inside its network namespace.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        self.process.log()
    }

    /// The lines of its log so far, but for those of each start: where it listens, how it is confined, what it has found.
    pub fn remarks(&self) -> Vec<String> {
        let of_start = ["msg=listening", "msg=confined", "msg=found"];
        self.log().into_iter().filter(|line| !of_start.iter().any(|start| line.contains(start))).collect()
    }

    /// Gets a path.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[])
    }

    /// Asks for a path by any method and with any headers; panics if no well-formed answer comes.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        request(&self.netns, self.address, method, path, headers)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// /metrics in the text format, which must be as strict as [`Exposition::parse`] wants it.
    pub fn metrics(&self) -> Exposition {
        self.exposition("/metrics")
    }

    /// The same of another path.
    pub fn exposition(&self, path: &str) -> Exposition {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path} says:\n{}", response.text());
        let format = response.header("content-type").unwrap_or_default();
        assert!(format.starts_with("text/plain; version=0.0.4"), "content-type: {format}");
        Exposition::parse(response.text()).unwrap_or_else(|wrong| panic!("{wrong}\nin:\n{}", response.text()))
    }

    /// /metrics with the counters of now: where the kernel is busy with other tests' links, a scrape may have to do with those of
    /// the last tick, and says so.
    pub fn fresh_metrics(&self) -> Exposition {
        let stale = |metrics: &Exposition| metrics.value("veth_exporter_stale_scrapes_total", &[]);
        wait_for(Duration::from_secs(10), "a scrape gets counters of its own", || {
            let before = stale(&self.metrics());
            let metrics = self.metrics();
            if stale(&metrics) == before { Ok(metrics) } else { Err(metrics.text) }
        })
    }

    /// Waits until it says that it is ready.
    pub fn wait_ready(&self) {
        wait_for(Duration::from_secs(10), "/-/ready answers 200", || {
            match request(&self.netns, self.address, "GET", "/-/ready", &[]) {
                Ok(response) if response.status == 200 => Ok(()),
                other => Err(format!("{other:?}\n{}", self.log().join("\n"))),
            }
        });
    }

    /// Asks for /metrics until `condition` finds what it wants there; panics with the last exposition when it does not in time.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        what: &str,
        condition: impl Fn(&Exposition) -> Option<T>,
    ) -> T {
        wait_for(within, what, || {
            let metrics = self.metrics();
            condition(&metrics).ok_or(metrics.text)
        })
    }

    /// Does `act` while another thread scrapes, some ten times a second, and hands every exposition to `check`.
    pub fn while_scraping<T>(&self, mut check: impl FnMut(&Exposition) + Send, act: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check(&self.metrics());
                    std::thread::sleep(Duration::from_millis(90));
                }
            });
            // Also if it panics: the scope waits for its thread.
            let _finally = SetOnDrop(&done);
            act()
        })
    }

    /// SIGTERM, and how it ended; panics if that takes more than 10 s.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.terminate(Duration::from_secs(10))
    }

    /// The process itself: signals, whether it has ended.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Returns a figure of the exporter's /proc/PID/status in KiB: `VmRSS`, `VmHWM`, `VmSize` (proc(5)).
pub fn memory(exporter: &Exporter, key: &str) -> u64 {
    let path = format!("/proc/{}/status", exporter.pid());
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let figure = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    figure.unwrap_or_else(|| panic!("no {key} in kB in {path}:\n{status}"))
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The tests say everything by arguments: what is set in the user's shell has no part in them.
fn forget_surroundings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("VETH_EXPORTER_")
            || name.starts_with("DOCKER_")
            || ["NOTIFY_SOCKET", "TZ"].contains(&&*name)
        {
            command.env_remove(name);
        }
    }
}

/// From a logfmt line such as `level=info msg=listening address=127.0.0.1:43211`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    if !line.contains("msg=listening") {
        return None;
    }
    let (_, behind) = line.split_once("address=")?;
    behind.split(' ').next()?.trim_matches('"').parse().ok()
}
