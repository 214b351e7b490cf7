//! Network namespaces, and traffic between them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use super::{forget, record, succeed, unique_name};

/// A named network namespace (`ip netns`). One that was made here is deleted when this goes.
pub struct Netns {
    name: String,
    ours: bool,
}

impl Netns {
    /// Makes one with a name of its own, and takes its loopback up.
    pub fn new(prefix: &str) -> Netns {
        let netns = Netns { name: unique_name(prefix), ours: true };
        record("netns", &netns.name, "");
        succeed(Command::new("ip").args(["netns", "add", &netns.name]));
        netns.ip(["link", "set", "lo", "up"]);
        netns
    }

    /// Makes many at once.
    pub fn many(prefix: &str, count: usize) -> Vec<Netns> {
        let made: Vec<Netns> = (0..count).map(|_| Netns { name: unique_name(prefix), ours: true }).collect();
        let mut batch = String::new();
        for netns in &made {
            record("netns", &netns.name, "");
            batch.push_str(&format!("netns add {}\n", netns.name));
        }
        Netns::batch(&["-batch"], &batch);
        made
    }

    /// `ip -n NAME -batch`: many commands in one process.
    pub fn ip_batch(&self, commands: &str) {
        Netns::batch(&["-n", &self.name, "-batch"], commands);
    }

    fn batch(arguments: &[&str], commands: &str) {
        let file = super::folder().join(unique_name("batch"));
        std::fs::write(&file, commands).expect("a file in the lab's folder");
        succeed(Command::new("ip").args(arguments).arg(&file));
    }

    /// One without IPv6, whose own messages nobody can count in advance: what its links count, the test has sent.
    pub fn quiet(prefix: &str) -> Netns {
        let netns = Netns::new(prefix);
        let off = ["all", "default"].map(|links| format!("net.ipv6.conf.{links}.disable_ipv6=1"));
        succeed(netns.command("sysctl").arg("-qw").args(off));
        netns
    }

    /// One that somebody else has made, and will delete.
    pub fn existing(name: &str) -> Netns {
        let netns = Netns { name: name.to_owned(), ours: false };
        assert!(netns.path().exists(), "there is no network namespace {name}");
        netns
    }

    /// Its name below /run/netns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its entry below /run/netns.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// `ip -n NAME ...`, which must succeed; what it prints.
    pub fn ip(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        succeed(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// `ip -j -n NAME ...`: the other implementation that the kernel tests compare with.
    pub fn ip_json(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Value {
        let text = succeed(Command::new("ip").args(["-j", "-n", &self.name]).args(arguments));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in what ip -j prints: {text}"))
    }

    /// A command that will run in this namespace. `nsenter` leaves /sys as it is, where `ip netns exec` mounts it anew.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = nsenter(&self.path(), program);
        // Here it stands for the host's, though that of process 1 is another.
        command.env("VETH_EXPORTER_NETNS_OWN", "true");
        command
    }

    /// Runs a command in this namespace to its end; the caller judges how that was.
    pub fn exec<Word: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = Word>) -> Output {
        let mut words = words.into_iter();
        let mut command = self.command(words.next().expect("a program to run"));
        command.args(words).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Makes a veth pair, one end here and the other in `peer`, both up.
    pub fn veth(&self, name: &str, peer: &Netns, peer_name: &str) {
        self.ip([
            "link",
            "add",
            name,
            "type",
            "veth",
            "peer",
            "name",
            peer_name,
            "netns",
            &peer.path().display().to_string(),
        ]);
        self.ip(["link", "set", name, "up"]);
        peer.ip(["link", "set", peer_name, "up"]);
    }

    /// Gives an interface here an IPv4 address of a /24, and its peer's as a neighbour that nobody needs to ask for.
    pub fn address(&self, name: &str, own: &str, peer: &Netns, peer_name: &str, other: &str) {
        let mac = peer.ip_json(["link", "show", peer_name])[0]["address"].as_str().expect("a MAC").to_owned();
        self.ip(["address", "add", &format!("{own}/24"), "dev", name]);
        self.ip(["neigh", "add", other, "lladdr", &mac, "dev", name, "nud", "permanent"]);
    }

    /// Calls `act` in this namespace, as [`within_netns`].
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within_netns(&self.path(), act)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if self.ours {
            // Whoever panics in a drop while a test panics takes the other tests along.
            match Command::new("ip").args(["netns", "del", &self.name]).output() {
                Ok(output) if output.status.success() => forget("netns", &self.name),
                other => eprintln!("the network namespace {} stays: {other:?}", self.name),
            }
        }
    }
}

/// Calls `act` on a thread inside the network namespace of this file (/run/netns/NAME, /proc/PID/ns/net). The thread ends with
/// it, so that nothing else runs in there by mistake; a socket that was made there stays there, whoever uses it.
pub fn within_netns<T: Send>(path: &Path, act: impl FnOnce() -> T + Send) -> T {
    let thread = || {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        act()
    };
    std::thread::scope(|scope| match scope.spawn(thread).join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Sends `count` echo requests with `payload` bytes each from a network namespace; panics unless every one is answered. Each is a
/// frame of payload + 42 bytes (8 ICMP, 20 IPv4, 14 Ethernet), and so is its answer; ARP comes on top.
pub fn ping(from: &Path, to: IpAddr, count: u32, payload: u32) {
    let said = succeed(nsenter(from, "ping").args(["-n", "-q", "-i", "0.01", "-w", "20"]).args([
        "-c",
        &count.to_string(),
        "-s",
        &payload.to_string(),
        &to.to_string(),
    ]));
    let whole = format!("{count} packets transmitted, {count} received");
    assert!(said.contains(&whole), "not every echo request was answered:\n{said}");
}

/// Sends so many datagrams with `payload` bytes each from one network namespace to another, and reads them there: each is a frame of
/// payload + 42 bytes (8 UDP, 20 IPv4, 14 Ethernet), and nothing comes back.
pub fn send_datagrams(from: &Path, to: &Path, address: IpAddr, count: u32, payload: usize) {
    let receiver = within_netns(to, || UdpSocket::bind((address, 0)).expect("an address of that namespace"));
    let sender = within_netns(from, || UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let target = receiver.local_addr().expect("a bound socket");
    let mut buffer = vec![0; 65_536];
    for number in 1..=count {
        sender.send_to(&buffer[..payload], target).expect("a way between the two namespaces");
        let length = receiver.recv(&mut buffer).unwrap_or_else(|error| panic!("datagram {number}: {error}"));
        assert_eq!(length, payload, "bytes of datagram {number}");
    }
}

/// Sends exactly so many bytes by TCP from one network namespace to an address of another, and waits until they are there.
pub fn transfer(from: &Path, to: &Path, address: IpAddr, bytes: u64) {
    let limit = Some(Duration::from_secs(20));
    let listener =
        within_netns(to, || TcpListener::bind((address, 0)).expect("an address of that namespace"));
    let target = listener.local_addr().expect("a bound socket");
    let mut sender = within_netns(from, || {
        TcpStream::connect_timeout(&target, Duration::from_secs(20))
            .expect("a way between the two namespaces")
    });
    let (mut receiver, _) = listener.accept().expect("the connection that was just made");
    sender.set_write_timeout(limit).expect("a timeout");
    receiver.set_read_timeout(limit).expect("a timeout");
    let arrived = std::thread::scope(|scope| {
        let counter = scope.spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut sum = 0;
            loop {
                match receiver.read(&mut buffer).expect("the sender's bytes") {
                    0 => return sum,
                    length => sum += length as u64,
                }
            }
        });
        let chunk = [0x5a; 65_536];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(chunk.len() as u64) as usize;
            sender.write_all(&chunk[..length]).expect("a reader at the other end");
            left -= length as u64;
        }
        drop(sender);
        counter.join().expect("the receiver's sum")
    });
    assert_eq!(arrived, bytes, "bytes that arrived, and bytes that were sent");
}

/// `nsenter` becomes the program, so that the child's process id is the program's.
pub(super) fn nsenter(path: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut net = std::ffi::OsString::from("--net=");
    net.push(path);
    let mut command = Command::new("nsenter");
    command.arg(net).arg("--").arg(program);
    command
}
