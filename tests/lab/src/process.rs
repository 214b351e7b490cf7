//! A process that the lab has started: its log, and its end by process id.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{forget, record, wait_for};

/// A running process. It is killed and waited for when this goes.
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    log: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts it with its standard error read as its log, and nothing on its other streams.
    pub fn start(name: &str, command: &mut Command) -> Process {
        Process::spawn(name, command.stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts it with its standard error read as its log, and its other streams in the caller's hands.
    pub fn start_with_streams(name: &str, command: &mut Command) -> (Process, ChildStdin, ChildStdout) {
        let mut process = Process::spawn(name, command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (stdin, stdout) = (process.child.stdin.take(), process.child.stdout.take());
        let expected = "the stream that was asked for";
        (process, stdin.expect(expected), stdout.expect(expected))
    }

    fn spawn(name: &str, command: &mut Command) -> Process {
        let mut child =
            command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        record("processes", &child.id().to_string(), &start_time(child.id()));
        let mut stream = BufReader::new(child.stderr.take().expect("the stream that was asked for"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = Vec::new();
            // A stream that cannot be read has ended for the log as well; the process itself is judged by its exit status.
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                lines.lock().expect("a log that nobody poisons").push(text);
                line.clear();
            }
        });
        Process { name: name.to_owned(), child, ended: None, log, reader }
    }

    /// The same in a process group of its own, so that what is sent to the tests' group (Ctrl-C) leaves it alone.
    pub fn start_apart(name: &str, command: &mut Command) -> Process {
        Process::start(name, command.process_group(0))
    }

    /// Its process id. A command that runs through `nsenter` becomes the program, and so has the program's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its standard error so far; after its end, all of them.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("a log that nobody poisons").clone()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be asked for its status");
            if self.ended.is_some() {
                forget("processes", &self.child.id().to_string());
                self.read_to_the_end();
            }
        }
        self.ended
    }

    /// Waits for a line of the log that `find` accepts; panics with the whole log if there is none in time, or the process ends.
    pub fn wait_for_line<T>(&mut self, within: Duration, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            // Asked first: the last lines of a process that has ended count as well.
            let ended = self.ended();
            if let Some(found) = self.log().iter().find_map(|line| find(line)) {
                return found;
            }
            let name = &self.name;
            let log = self.log().join("\n");
            if let Some(status) = ended {
                panic!("{name} has ended ({status}) without saying {what}. Its log:\n{log}");
            }
            assert!(
                begin.elapsed() < within,
                "{name} has not said {what} within {within:?}. Its log:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it listens at a TCP port of IPv4, and returns that address: programs log it in a way that changes with their version.
    pub fn wait_for_listener(&mut self, within: Duration) -> SocketAddr {
        let what = format!("{} listens", self.name);
        wait_for(within, &what, || {
            let log = self.log().join("\n");
            assert!(self.ended().is_none(), "{} has ended instead. Its log:\n{log}", self.name);
            listener(self.child.id()).ok_or(log)
        })
    }

    /// Sends it a signal; nothing if it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // Not reaped yet: the number is still this process's, if only as a zombie.
            let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits"));
            kill(pid, signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
        }
    }

    /// SIGTERM, and its exit status; panics with the log if it does not end in time.
    pub fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let what = format!("{} ends after SIGTERM", self.name);
        wait_for(within, &what, || self.ended().ok_or_else(|| self.log().join("\n")))
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        let what = format!("{} ends after SIGKILL", self.name);
        wait_for(Duration::from_secs(10), &what, || self.ended().ok_or("it runs"))
    }

    /// A bounded wait for the rest of the log: a grandchild can hold the stream open for longer than the process lives.
    fn read_to_the_end(&self) {
        let begin = Instant::now();
        while !self.reader.is_finished() && begin.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}", self.name, self.log().join("\n"));
        }
    }
}

/// Returns the address of a process's first listening socket in /proc/PID/net/tcp (proc(5): state 0A listens, field 10 is the inode).
fn listener(pid: u32) -> Option<SocketAddr> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let sockets: Vec<String> = open
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (own, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        if *state != "0A" || !sockets.contains(&format!("socket:[{inode}]")) {
            return None;
        }
        let (address, port) = own.split_once(':')?;
        // The address stands there as the kernel holds it, in the order of the network.
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
        Some((address, u16::from_str_radix(port, 16).ok()?).into())
    })
}

/// Field 22 of /proc/PID/stat (proc(5)): with it `tests/run` never takes a later process of the same number for this one.
pub(crate) fn start_time(pid: u32) -> String {
    // A process may call itself by any bytes.
    let stat = std::fs::read(format!("/proc/{pid}/stat")).expect("a child that nobody has waited for");
    let stat = String::from_utf8_lossy(&stat);
    let (_, behind_the_name) = stat.rsplit_once(") ").expect("a name in brackets");
    behind_the_name.split(' ').nth(19).expect("22 fields").to_owned()
}
