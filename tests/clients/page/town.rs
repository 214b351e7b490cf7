//! A host with many workloads on bridges, some of which talk.

use super::Host;
use lab::{Netns, within_netns};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BRIDGES: [&str; 5] = ["br-front", "br-shop", "br-data", "br-batch", "br-edge"];
const KINDS: [&str; 10] =
    ["web", "api", "db", "cache", "queue", "worker", "search", "mail", "metrics", "auth"];

/// The port on which each bridge answers.
const PORT: u16 = 7_000;

/// Workloads with a veth each, joined by bridges.
pub(super) struct Town {
    pub host: Host,
    talk: Option<Talk>,
}

/// Traffic between workloads and their bridges, until this goes.
struct Talk {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Town {
    /// Makes one of so many workloads.
    pub(super) fn new(size: usize) -> Town {
        let host = Host::new();
        let bridges = BRIDGES.len().min(size.div_ceil(2));
        let mut lines = String::new();
        for (number, bridge) in BRIDGES.iter().enumerate().take(bridges) {
            lines += &format!("link add {bridge} type bridge\nlink set {bridge} up\n");
            lines += &format!("address add 10.{}.0.1/16 dev {bridge}\n", 50 + number);
        }
        let inside = Netns::many("town", size);
        for (number, netns) in inside.iter().enumerate() {
            let (name, bridge) = (name(number, size), number % bridges);
            host.names.name(&name, netns);
            lines += &format!("link add veth{number:x} type veth peer name eth0 netns {}\n", netns.name());
            lines += &format!("link set veth{number:x} master {} up\n", BRIDGES[bridge]);
        }
        host.netns.ip_batch(&lines);
        Town { host: Host { inside, ..host }, talk: None }
    }

    /// Switches one port off, and lets another drop what its workload is sent; returns the names of both. Call it when the town talks.
    pub(super) fn make_trouble(&self) -> Vec<String> {
        let [down, lossy] = [7, 11];
        self.host.netns.ip(["link", "set", &format!("veth{down:x}"), "down"]);
        self.host.inside[lossy].ip(["link", "set", "eth0", "mtu", "400"]);
        [down, lossy].map(|number| name(number, self.host.inside.len())).into()
    }

    /// Lets so many of them talk, some more than others.
    pub(super) fn talk(&mut self, talkers: usize) {
        let bridges = BRIDGES.len().min(self.host.inside.len().div_ceil(2));
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for number in 0..bridges {
            let at = (format!("10.{}.0.1", 50 + number), PORT);
            let server = within_netns(&self.host.netns.path(), || UdpSocket::bind(at).unwrap());
            let over = Arc::clone(&over);
            threads.push(std::thread::spawn(move || answer(&server, &over)));
        }
        let talkers: Vec<UdpSocket> = self
            .host
            .inside
            .iter()
            .enumerate()
            .take(talkers)
            .map(|(number, netns)| {
                let bridge = number % bridges;
                netns.ip_batch(&format!(
                    "link set eth0 up\naddress add 10.{}.{}.{}/16 dev eth0\n",
                    50 + bridge,
                    1 + number / 250,
                    2 + number % 250
                ));
                let socket = within_netns(&netns.path(), || UdpSocket::bind("0.0.0.0:0").unwrap());
                socket.connect((format!("10.{}.0.1", 50 + bridge), PORT)).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let end = Arc::clone(&over);
        threads.push(std::thread::spawn(move || ask(&talkers, &end)));
        self.talk = Some(Talk { over, threads });
    }
}

fn name(number: usize, size: usize) -> String {
    let kind = KINDS[number % KINDS.len()];
    if size <= KINDS.len() { kind.to_owned() } else { format!("{kind}-{}", number / KINDS.len() + 1) }
}

/// The first two bytes of a question say how many datagrams are wanted, each as long as the question is.
fn answer(server: &UdpSocket, over: &AtomicBool) {
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 1_500];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = server.recv_from(&mut buffer) else { continue };
        for _ in 0..u16::from_be_bytes([buffer[0], buffer[1]]) {
            // Whoever is gone or slow misses it.
            let _ = server.send_to(&buffer[..length], from);
        }
    }
}

/// Asks again and again: each talker with a load of its own, which comes and goes.
fn ask(talkers: &[UdpSocket], over: &AtomicBool) {
    let begin = Instant::now();
    let mut buffer = [0; 1_400];
    while !over.load(Ordering::Relaxed) {
        let time = begin.elapsed().as_secs_f64();
        for (number, talker) in talkers.iter().enumerate() {
            let wave = (time / (1.5 + number as f64 % 7.0) + number as f64 * 1.7).sin() * 0.5 + 0.5;
            let load = 40.0 * wave.powi(3) / (1.0 + number as f64 * 0.35);
            let length = 60 + (load * 300.0) as usize % 1_300;
            let answers = (load * (0.2 + (number % 3) as f64)) as u16;
            buffer[..2].copy_from_slice(&answers.to_be_bytes());
            for _ in 0..=(load / 12.0) as usize {
                let _ = talker.send(&buffer[..length]);
            }
        }
        std::thread::sleep(Duration::from_millis(40));
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(talk) = self.talk.take() {
            talk.over.store(true, Ordering::Relaxed);
            for thread in talk.threads {
                drop(thread.join());
            }
        }
    }
}
