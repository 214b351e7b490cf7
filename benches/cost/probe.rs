//! What is measured, and how: the kernel's bare dump, a scrape, a process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::stats::{StatsFilterMask, StatsMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr as KernelAddress};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Milliseconds, in order.
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Measures what `act` says that it took, so many times.
    pub(crate) fn of(count: usize, mut act: impl FnMut() -> Duration) -> Times {
        let mut times: Vec<f64> = (0..count).map(|_| act().as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn p95(&self) -> f64 {
        self.0[self.0.len() * 95 / 100]
    }
}

/// The floor: RTM_GETSTATS of all links, read into one buffer and not looked at. The kernel does its work for a dump in the
/// thread that reads it.
pub(crate) struct BareDump {
    socket: Socket,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// The CPU time and the number of the dumps since the last question.
    used: (Duration, u32),
}

impl BareDump {
    pub(crate) fn new() -> BareDump {
        let mut socket = Socket::new(NETLINK_ROUTE).expect("a netlink socket");
        socket.bind_auto().expect("an address");
        let mut stats = StatsMessage::default();
        stats.header.filter_mask = StatsFilterMask::Link64;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let payload = NetlinkPayload::from(RouteNetlinkMessage::GetStats(stats));
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut request = vec![0; message.buffer_len()];
        message.serialize(&mut request);
        BareDump { socket, request, buffer: Vec::with_capacity(64 * 1024), used: (Duration::ZERO, 0) }
    }

    /// Reads all links once; returns how long that took.
    pub(crate) fn read(&mut self) -> Duration {
        const NLMSG_DONE: u8 = 3;
        let own_cpu = || used(Path::new("/proc/thread-self/schedstat")).expect("what this thread has used");
        let (begin, before) = (Instant::now(), own_cpu());
        self.socket.send_to(&self.request, &KernelAddress::new(0, 0), 0).expect("a dump begins");
        loop {
            self.buffer.clear();
            self.socket.recv_from(&mut self.buffer, 0).expect("a part of the dump");
            // NLMSG_DONE, a header and an errno, comes alone or at the end of the last datagram.
            let last = &self.buffer[self.buffer.len() - 20..];
            if last[..6] == [20, 0, 0, 0, NLMSG_DONE, 0] {
                let (cpu, count) = &mut self.used;
                *cpu += own_cpu() - before;
                *count += 1;
                return begin.elapsed();
            }
        }
    }

    /// Returns the milliseconds of CPU for each dump since the last question.
    pub(crate) fn cpu(&mut self) -> f64 {
        let (cpu, count) = std::mem::take(&mut self.used);
        cpu.as_secs_f64() * 1e3 / f64::from(count)
    }
}

/// What a thread has used so far, by its schedstat: in nanoseconds, where stat has hundredths of a second.
fn used(schedstat: &Path) -> Option<Duration> {
    fs::read_to_string(schedstat).ok()?.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Gets a path and reads the answer to its last byte; `None` if nobody answers yet.
fn get(address: SocketAddr, path: &str, header: &str, mut each: impl FnMut(&[u8])) -> Option<()> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => return Some(()),
            length => each(&buffer[..length]),
        }
    }
}

/// A whole answer as text.
pub(crate) fn text(address: SocketAddr, path: &str) -> Option<String> {
    let mut answer = Vec::new();
    get(address, path, "", |part| answer.extend_from_slice(part))?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// So many scrapes one after another.
pub(crate) struct Scrapes {
    /// From the connection to the last byte.
    pub times: Times,
    /// Milliseconds of CPU for each, of the process that is scraped.
    pub cpu: f64,
    /// Bytes of the last one, its head included.
    pub bytes: usize,
}

impl Scrapes {
    /// Gets a path a number of times; `between` is called before each.
    pub(crate) fn of(
        server: &Server,
        count: usize,
        path: &str,
        header: &str,
        mut between: impl FnMut(),
    ) -> Scrapes {
        let mut bytes = 0;
        let mut scrape = || {
            bytes = 0;
            between();
            let (begin, before) = (Instant::now(), server.cpu());
            get(server.address, path, header, |part| bytes += part.len()).expect("an answer");
            (begin.elapsed(), server.cpu_since(&before))
        };
        for _ in 0..count.min(5) {
            scrape();
        }
        let mut cpu = Duration::ZERO;
        let times = Times::of(count, || {
            let (took, used) = scrape();
            cpu += used;
            took
        });
        Scrapes { times, cpu: cpu.as_secs_f64() * 1e3 / count as f64, bytes }
    }
}

/// A program that serves /metrics. It is killed when this goes.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    started: Instant,
}

impl Server {
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Server {
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Server { child, address, started }
    }

    /// Asks for a path until the answer is good; how long that took since the start.
    pub(crate) fn wait_for(&self, path: &str, good: impl Fn(&str) -> bool) -> Duration {
        loop {
            if text(self.address, path).is_some_and(|answer| good(&answer)) {
                return self.started.elapsed();
            }
            assert!(self.started.elapsed() < Duration::from_secs(60), "{path} is not as it should be");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks for a path, with a pause between two answers, until the answer is good. Returns how long that took.
    pub(crate) fn poll(&self, path: &str, pause: Duration, good: impl Fn(&str) -> bool) -> Duration {
        let begin = Instant::now();
        while !text(self.address, path).is_some_and(|answer| good(&answer)) {
            assert!(begin.elapsed() < Duration::from_secs(10), "{path} is not as it should be");
            thread::sleep(pause);
        }
        begin.elapsed()
    }

    /// Reads an answer at this many bytes a second for a time, as many clients at once.
    pub(crate) fn read_slowly(&self, clients: usize, a_second: usize, during: Duration) {
        let begin = Instant::now();
        let mut streams: Vec<TcpStream> = (0..clients)
            .map(|_| {
                let mut stream = TcpStream::connect(self.address).expect("a connection");
                let request = b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n";
                stream.write_all(request).expect("a request");
                stream
            })
            .collect();
        let mut buffer = vec![0; a_second / 10];
        while begin.elapsed() < during {
            for stream in &mut streams {
                // One that the exporter has cut off ends.
                let _ = stream.read(&mut buffer);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What each of its threads has used so far.
    pub(crate) fn cpu(&self) -> BTreeMap<OsString, Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let used = |thread: DirEntry| Some((thread.file_name(), used(&thread.path().join("schedstat"))?));
        threads.flatten().filter_map(used).collect()
    }

    /// Returns the CPU time of all threads of the process, those that have ended included.
    pub(crate) fn process_cpu(&self) -> Duration {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let clock = clock_getcpuclockid(pid).expect("it runs");
        clock_gettime(clock).expect("a clock of ours").into()
    }

    /// What its threads have used since then. One that has ended meanwhile is left out: tokio's do after 10 s without work.
    pub(crate) fn cpu_since(&self, before: &BTreeMap<OsString, Duration>) -> Duration {
        let now = self.cpu().into_iter();
        now.map(|(thread, now)| now - before.get(&thread).copied().unwrap_or_default()).sum()
    }

    /// What /proc/PID/status says, in MiB.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("this field");
        let kib: f64 =
            line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number of kB");
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
