//! What happens to the process itself: it is stopped, killed, starved of descriptors and memory, its clock jumps, and it is
//! told to end while everybody wants something of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::campaign::note;
use crate::clock::{Clock, TEN_YEARS};
use crate::impostor::{Impostor, Kind, json};
use crate::{OFTEN, SOON, Used};
use lab::book::{Dice, booked, refuse_gaps, size};
use lab::crowd::{Crowd, Host, called};
use lab::{Exporter, Exposition, Traffic, connect, succeed, unique_name, wait_for};

/// Some namespaces that stay, joined to their host, with names, up.
fn inhabited(host: &Host, count: u32) -> Crowd<'_> {
    let crowd = Crowd::new(host, 0..count);
    crowd.name();
    crowd.join();
    crowd
}

fn wait_until_named(exporter: &Exporter, count: usize) {
    exporter.wait_for(SOON, "all are named", |metrics| {
        (metrics.all("veth_container_info").len() == count).then_some(())
    });
}

fn wait_for_book(exporter: &Exporter, truth: &BTreeMap<String, Traffic>) -> Exposition {
    wait_for(SOON, "the book is the truth", || {
        let metrics = exporter.metrics();
        let booked = booked(&metrics);
        match lab::book::differences(truth, &booked) {
            wrong if wrong.is_empty() => Ok(metrics),
            wrong => Err(wrong.join("\n")),
        }
    })
}

fn add(truth: &mut BTreeMap<String, Traffic>, more: BTreeMap<String, Traffic>) {
    for (name, traffic) in more {
        let sum = truth.get(&name).copied().unwrap_or_default() + traffic;
        truth.insert(name, sum);
    }
}

#[test]
fn an_exporter_that_was_stopped_goes_on_where_it_was_with_every_byte_and_no_false_peak() {
    let host = Host::new();
    let crowd = inhabited(&host, 5);
    let mut exporter = host.exporter(&[]);
    wait_until_named(&exporter, 5);
    crowd.take_up();
    let mut truth = crowd.talk(&mut Dice::new());
    wait_for_book(&exporter, &truth);
    exporter.process().signal(Signal::SIGSTOP);
    let begin = Instant::now();
    add(&mut truth, crowd.talk(&mut Dice::new()));
    let rest = Duration::from_secs(size(4, 60) as u64);
    // It is the stop itself that has this length.
    std::thread::sleep(rest.saturating_sub(begin.elapsed()));
    let stopped = begin.elapsed();
    exporter.process().signal(Signal::SIGCONT);
    let begin = Instant::now();
    let metrics = exporter.metrics();
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop(metrics);
    let metrics = wait_for_book(&exporter, &truth);
    refuse_gaps(&metrics);
    note(&format!("stopped for {} s, the first scrape after {} ms", stopped.as_secs(), took.as_millis()));
}

#[test]
fn an_exporter_that_is_killed_and_started_again_begins_at_zero_and_never_lies() {
    let host = Host::new();
    let crowd = inhabited(&host, 5);
    crowd.take_up();
    let mut before = BTreeMap::new();
    for _ in 0..3 {
        let mut exporter = host.exporter(&OFTEN);
        wait_until_named(&exporter, 5);
        // What went through before it started is not its own; ports are as the kernel has them.
        let metrics = exporter.metrics();
        for (name, booked) in booked(&metrics) {
            assert_eq!(booked, Traffic::default(), "{name}");
            let labels = [("container", name.as_str()), ("interface", "eth0")];
            let port = Traffic::through_port(&metrics, &labels);
            assert_eq!(port, Some(before.get(&name).copied().unwrap_or_default()), "{name}");
        }
        let truth = crowd.talk(&mut Dice::new());
        wait_for_book(&exporter, &truth);
        exporter.process().kill();
        add(&mut before, truth);
        // Nobody books what is said while nobody listens.
        add(&mut before, crowd.talk(&mut Dice::new()));
    }
}

/// A connection that is kept: a scraper's.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn get(&mut self, path: &str) -> std::io::Result<(String, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut head, mut length) = (String::new(), None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse().unwrap());
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = Vec::new();
        if let Some(length) = length {
            self.read(&mut body, length)?;
        } else {
            // In chunks.
            loop {
                let mut line = String::new();
                self.0.read_line(&mut line)?;
                let length =
                    usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("{line:?}"));
                self.read(&mut body, length)?;
                self.0.read_exact(&mut [0; 2])?;
                if length == 0 {
                    break;
                }
            }
        }
        Ok((head, String::from_utf8(body).unwrap()))
    }

    fn read(&mut self, body: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
        let begin = body.len();
        body.resize(begin + length, 0);
        self.0.read_exact(&mut body[begin..])
    }

    fn metrics(&mut self) -> Exposition {
        let (head, body) = self.get("/metrics").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Exposition::parse(&body).unwrap()
    }
}

/// Its soft limit of descriptors.
fn limit_descriptors(exporter: &Exporter, limit: &str) {
    let (pid, limit) = (format!("--pid={}", exporter.pid()), format!("--nofile={limit}:"));
    succeed(Command::new("prlimit").args([pid, limit]));
}

#[test]
fn an_exporter_without_a_free_descriptor_serves_whom_it_has_says_what_failed_and_recovers_alone() {
    let host = Host::new();
    let crowd = inhabited(&host, 5);
    let exporter = host.exporter(&[&OFTEN[..], &["--docker.host", "unix:///nonexistent"]].concat());
    wait_until_named(&exporter, 5);
    crowd.take_up();
    let mut kept = Kept(BufReader::new(connect(&host.netns.path(), exporter.address()).unwrap()));
    kept.metrics();
    let limits = fs::read_to_string(format!("/proc/{}/limits", exporter.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let usual = line.split_whitespace().nth(3).unwrap().to_owned();
    limit_descriptors(&exporter, "4");
    let truth = crowd.talk(&mut Dice::new());
    // A new namespace: its links come by events, its name cannot be read.
    let late = Crowd::new(&host, 50..51);
    late.name();
    late.join();
    let refused = connect(&host.netns.path(), exporter.address()).unwrap();
    wait_for(SOON, "the names cannot be read, and it says so", || {
        let metrics = kept.metrics();
        for number in 0..5 {
            let name = called(number);
            assert_eq!(
                metrics.value("veth_device_up", &[("container", &name)]),
                Some(1.0),
                "{}",
                metrics.text
            );
        }
        match metrics.collector_success("named") {
            Some(false) => Ok(()),
            _ => Err(metrics.text),
        }
    });
    wait_for(SOON, "what was said meanwhile is booked", || {
        let booked = booked(&kept.metrics());
        if truth.iter().all(|(name, traffic)| booked.get(name) == Some(traffic)) {
            Ok(())
        } else {
            Err(format!("{booked:?}"))
        }
    });
    let accept =
        || exporter.log().into_iter().filter(|line| line.contains("cannot accept")).collect::<Vec<_>>();
    wait_for(SOON, "the log tells that nobody new comes in", || match accept() {
        lines if lines.len() == 1 && lines[0].contains("level=warn") => Ok(()),
        lines => Err(format!("{lines:#?}")),
    });
    limit_descriptors(&exporter, &usual);
    drop(refused);
    wait_until_named(&exporter, 6);
    assert_eq!(exporter.metrics().collector_success("named"), Some(true));
    let said: Vec<String> = exporter.log().into_iter().filter(|line| line.contains("level=warn")).collect();
    assert!(said.len() <= 4, "one line for each thing that failed: {said:#?}");
    drop(late);
}

/// A memory cgroup with this limit; removed when this goes.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    fn new(limit: u64) -> MemoryCgroup {
        let (v1, v2) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let name = unique_name("vx-memory");
        let (path, file) = match v1.is_dir() {
            true => (v1.join(name), "memory.limit_in_bytes"),
            false => {
                fs::write(v2.join("cgroup.subtree_control"), "+memory").expect("the memory controller");
                (v2.join(name), "memory.max")
            }
        };
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::write(path.join(file), limit.to_string()).unwrap();
        MemoryCgroup(path)
    }

    fn most(&self) -> u64 {
        let v1 = self.0.join("memory.max_usage_in_bytes");
        let path = if v1.exists() { v1 } else { self.0.join("memory.peak") };
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // Whoever was in it has just been waited for.
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

#[test]
fn an_exporter_in_a_small_memory_cgroup_lives_through_greedy_scrapes_and_an_engine_that_sends_a_gigabyte() {
    const LIMIT: u64 = 128 << 20;
    let gigabyte = Impostor::start(Kind::Docker, |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n[", 1 << 30)?;
        let blanks = [b' '; 65_536];
        (0..(1 << 30) / blanks.len()).try_for_each(|_| stream.write_all(&blanks))
    });
    let host = Host::new();
    let crowd = inhabited(&host, 500);
    // Before the exporter, so that it goes after it.
    let cgroup = MemoryCgroup::new(LIMIT);
    let enters = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", cgroup.0.display());
    let own = host.folder.arguments();
    let docker = gigabyte.host();
    let flags = [&own[..], &OFTEN, &["--docker.host", &docker]].concat();
    let mut exporter = Exporter::start_through(&host.netns, &["sh", "-c", &enters], &flags);
    exporter.wait_ready();
    wait_until_named(&exporter, 500);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (exporter, answered) = (&exporter, &answered);
            scope.spawn(move || {
                let encodings = [("accept-encoding", "gzip")];
                let headers = if number % 2 == 0 { &encodings[..] } else { &[] };
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_secs(size(5, 60) as u64) {
                    let path = if number % 3 == 0 { "/metrics/cadvisor" } else { "/metrics" };
                    let response = exporter.request("GET", path, headers);
                    assert!([200, 503].contains(&response.status), "{}", response.status);
                    answered.fetch_add(usize::from(response.status == 200), Ordering::Relaxed);
                }
            });
        }
    });
    let (ended, used) = (exporter.process().ended(), Used::by(&exporter));
    assert_eq!(ended, None);
    assert!(gigabyte.answered() >= 2);
    note(&format!(
        "limit {} MiB, {} MiB at most, {} MiB resident; {} answers",
        LIMIT >> 20,
        cgroup.most() >> 20,
        used.resident >> 20,
        answered.load(Ordering::Relaxed)
    ));
    drop(exporter);
    drop(crowd);
}

#[test]
fn clocks_that_jump_ten_years_move_no_total_no_peak_and_no_name() {
    let (host, clock) = (Host::new(), Clock::new());
    let jump = |seconds| clock.set(seconds);
    let crowd = inhabited(&host, 3);
    let through = clock.through();
    let through = through.each_ref().map(String::as_str);
    let own = host.folder.arguments();
    let mut exporter = Exporter::start_through(&host.netns, &through, &[&own[..], &OFTEN].concat());
    exporter.wait_ready();
    wait_until_named(&exporter, 3);
    crowd.take_up();
    let mut truth = crowd.talk(&mut Dice::new());
    wait_for_book(&exporter, &truth);
    let created = || {
        let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
        let text = exporter.request("GET", "/metrics", &accept).text().to_owned();
        let stays = ["n0", "n1", "n2"].map(|name| format!("container=\"{name}\""));
        let of = |line: &&str| {
            line.starts_with("veth_container_receive_bytes_created")
                && stays.iter().any(|name| line.contains(name))
        };
        text.lines().filter(of).map(str::to_owned).collect::<Vec<String>>()
    };
    let before = created();
    assert_eq!(before.len(), 3, "{before:?}");
    for (number, seconds) in [TEN_YEARS, -TEN_YEARS, 0].into_iter().enumerate() {
        jump(seconds);
        let begin = Instant::now();
        add(&mut truth, crowd.talk(&mut Dice::new()));
        wait_for_book(&exporter, &truth);
        // Names are read by the time stamps of their folder.
        let late = Crowd::new(&host, 100 + number as u32..101 + number as u32);
        late.name();
        late.join();
        wait_until_named(&exporter, 4);
        drop(late);
        wait_until_named(&exporter, 3);
        let metrics = exporter.metrics();
        assert_eq!(created(), before, "what was created when does not move");
        refuse_gaps(&metrics);
        for (labels, peak) in metrics.all("veth_container_receive_peak_bytes_per_second") {
            // No more than was said in all, in one tick.
            assert!(
                (0.0..=40.0 * 1_442.0 * 10.0 * 4.0).contains(&peak),
                "{labels:?}: {peak} after {:?}",
                begin.elapsed()
            );
        }
        // A total that was there before its namespace went is kept for minutes, not for years.
        truth.insert(called(100 + number as u32), Traffic::default());
        wait_for_book(&exporter, &truth);
    }
    jump(TEN_YEARS);
    let status = exporter.stop();
    assert!(status.success(), "{status}");
    let last = exporter.log().pop().unwrap();
    let year = |line: &str| line.split("ts=").nth(1).and_then(|ts| ts.get(..4)?.parse::<i32>().ok()).unwrap();
    let jumped = year(&last) - year(&exporter.log()[0]);
    assert!((9..=11).contains(&jumped), "the clock has really jumped: {last}");
}

#[test]
fn sigterm_under_load_ends_it_within_five_seconds() {
    let hangs = Impostor::start(Kind::Docker, |_, stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let slow = Impostor::start(Kind::Podman, |path, stream| {
        std::thread::sleep(Duration::from_millis(500));
        json(stream, if path.ends_with("/events") { "{}" } else { "[]" })
    });
    let host = Host::new();
    let small = ["rmem", "wmem"].map(|way| format!("net.ipv4.tcp_{way}=4096 16384 16384"));
    succeed(host.netns.command("sysctl").arg("-qw").args(&small));
    let crowd = inhabited(&host, 300);
    let (docker, podman) = (hangs.host(), slow.host());
    let mut exporter = host.exporter(&["--docker.host", &docker, "--podman.host", &podman]);
    wait_until_named(&exporter, 300);
    let (address, netns) = (exporter.address(), host.netns.path());
    let stop = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        // Some read, some never do, and links come and go.
        for number in 0..24 {
            let (netns, stop) = (&netns, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut stream) = connect(netns, address) else { continue };
                    let _ =
                        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                    if number % 3 == 0 {
                        while !stop.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    } else {
                        let _ = stream.read_to_end(&mut Vec::new());
                    }
                }
            });
        }
        let (stop, host) = (&stop, &host);
        scope.spawn(move || {
            for first in (1_000..).step_by(20).take_while(|_| !stop.load(Ordering::Relaxed)) {
                Crowd::new(host, first..first + 20).join();
            }
        });
        let load = Instant::now();
        while load.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let begin = Instant::now();
        let status = exporter.stop();
        let took = begin.elapsed();
        stop.store(true, Ordering::Relaxed);
        assert!(status.success(), "{status}");
        took
    });
    assert!(took < Duration::from_secs(5), "{took:?}");
    note(&format!("ended after {} ms", took.as_millis()));
    drop(crowd);
}
