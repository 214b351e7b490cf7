//! A host with many veth pairs: a network namespace, and one more for each pair's other end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

/// The host. What it has made goes with `benches/run`, which deletes every namespace with this run's prefix.
pub(crate) struct Bed {
    prefix: String,
    folder: PathBuf,
    pairs: usize,
    /// The destination of each port's datagrams: all nodes behind it.
    behind: Vec<SocketAddrV6>,
}

impl Bed {
    /// Makes the host's namespace and takes the calling thread there, for good; what it starts from now on is there too.
    pub(crate) fn enter(prefix: &str, folder: &Path) -> Bed {
        ip(&["netns", "add", prefix]);
        ip(&["-n", prefix, "link", "set", "lo", "up"]);
        let file = File::open(Path::new("/run/netns").join(prefix)).expect("the namespace that was made");
        setns(file, CloneFlags::CLONE_NEWNET).expect("root may enter it");
        // Else a second passes before a new link has an address to send from.
        std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")
            .expect("a setting of our namespace");
        let folder = folder.join("names");
        std::fs::create_dir(&folder).expect("a folder of our own");
        Bed { prefix: prefix.to_owned(), folder, pairs: 0, behind: Vec::new() }
    }

    /// For `--path.netns`: every pair's other namespace by its name.
    pub(crate) fn names(&self) -> &Path {
        &self.folder
    }

    /// Adds pairs until there are so many, all up, each with some bytes on its counters.
    pub(crate) fn grow(&mut self, pairs: usize) {
        let new = self.pairs..pairs;
        let name = |number| format!("{}-{number}", self.prefix);
        let mut batch = String::new();
        for number in new.clone() {
            let _ = writeln!(batch, "netns add {}", name(number));
        }
        ip_batch(&[], &batch);
        batch.clear();
        for number in new.clone() {
            let (device, peer) = (device(number), name(number));
            let _ = writeln!(batch, "link add {device} type veth peer name eth0 netns {peer}");
            let _ = writeln!(batch, "link set {device} up");
        }
        ip_batch(&["-n", &self.prefix], &batch);
        for number in new.clone() {
            // A peer cannot be made up before it has its other end.
            take_up(&name(number));
            let entry = self.folder.join(format!("shop-worker-{number}"));
            std::os::unix::fs::symlink(Path::new("/run/netns").join(name(number)), entry).expect("a name");
        }
        self.pairs = pairs;
        self.behind.extend(new.map(all_nodes_behind));
        self.send(20);
    }

    /// Sends a number of datagrams over each pair.
    pub(crate) fn send(&self, count: usize) {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a socket");
        let begin = Instant::now();
        for all_nodes in &self.behind {
            for _ in 0..count {
                while let Err(error) = socket.send_to(&[0; 1_400], all_nodes) {
                    assert!(begin.elapsed() < Duration::from_secs(60), "{all_nodes}: {error}");
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }

    /// Starts and stops a container a number of times at a rate: a namespace, a pair, a name, up, and gone.
    /// Returns how long that took.
    pub(crate) fn churn(&self, times: u32, a_second: u32) -> Duration {
        let begin = Instant::now();
        for turn in 0..times {
            let container = Container::start(self, &format!("job-{turn}"));
            container.take_up();
            // It lives for half of its turn.
            let middle =
                begin + Duration::from_secs(1) * turn / a_second + Duration::from_millis(500) / a_second;
            thread::sleep(middle.saturating_duration_since(Instant::now()));
            container.stop();
            let next = begin + Duration::from_secs(1) * (turn + 1) / a_second;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        begin.elapsed()
    }
}

/// A container beside the pairs that stay. Its commands run in the namespace of the thread that calls, the host's.
pub(crate) struct Container {
    netns: String,
    entry: PathBuf,
}

impl Container {
    /// Makes a namespace, a pair with the host and, last, the name `shop-CALLED` for the exporter.
    pub(crate) fn start(bed: &Bed, called: &str) -> Container {
        let netns = format!("{}-{called}", bed.prefix);
        // As long as an interface's name may be.
        let device = format!("veth{}", called.replace('-', ""));
        ip(&["netns", "add", &netns]);
        ip_batch(
            &[],
            &format!("link add {device} type veth peer name eth0 netns {netns}\nlink set {device} up\n"),
        );
        let entry = bed.folder.join(format!("shop-{called}"));
        std::os::unix::fs::symlink(Path::new("/run/netns").join(&netns), &entry).expect("a name");
        Container { netns, entry }
    }

    /// Takes the interface inside up.
    pub(crate) fn take_up(&self) {
        take_up(&self.netns);
    }

    /// Removes the name and the namespace with all that is in it.
    pub(crate) fn stop(self) {
        std::fs::remove_file(self.entry).expect("the name is there");
        ip(&["netns", "del", &self.netns]);
    }
}

/// Takes eth0 of a namespace up. `ip -n` would copy the mount namespace first, which takes tens of milliseconds where it has 5,000
/// names.
fn take_up(netns: &str) {
    let netns = format!("--net=/run/netns/{netns}");
    let words = [&netns, "ip", "link", "set", "eth0", "up"];
    let status = Command::new("nsenter").args(words).status().expect("nsenter, of util-linux");
    assert!(status.success(), "nsenter {words:?}: {status}");
}

fn device(number: usize) -> String {
    // As long as Docker's.
    format!("veth{:07x}", 0x1234567 + number)
}

fn all_nodes_behind(number: usize) -> SocketAddrV6 {
    let index = std::fs::read_to_string(format!("/proc/net/dev_snmp6/{}", device(number)))
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .expect("the link's ifindex");
    SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 9, 0, index)
}

fn ip(words: &[&str]) {
    let status = Command::new("ip").args(words).status().expect("ip, of iproute2");
    assert!(status.success(), "ip {words:?}: {status}");
}

fn ip_batch(options: &[&str], batch: &str) {
    let mut command = Command::new("ip");
    let mut child =
        command.args(options).args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip, of iproute2");
    child.stdin.take().expect("its input").write_all(batch.as_bytes()).expect("a reader of the batch");
    let status = child.wait().expect("its end");
    assert!(status.success(), "ip -batch: {status}");
}
