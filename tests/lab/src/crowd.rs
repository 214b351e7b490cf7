//! Many namespaces at a time, each with an eth0 that has its peer on the host; quicker than one by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};

use crate::book::Dice;
use crate::{
    Counters, Exporter, Netns, NetnsFolder, Traffic, describe, folder, succeed, unique_name, wait_for,
    within_netns,
};

/// A host and what it calls its namespaces.
pub struct Host {
    pub netns: Netns,
    pub folder: NetnsFolder,
    /// Takes whatever is sent to the host.
    sink: UdpSocket,
}

/// On the wire before each datagram's payload: 8 UDP, 20 IPv4, 14 Ethernet.
const HEADERS: u64 = 42;

/// How a namespace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `ip link del` inside, then the namespace.
    DeletedInside,
    /// `ip link del` on the host, then the namespace.
    DeletedOnHost,
    /// `ip link set eth0 down`, then the namespace with it.
    Down,
    /// The namespace with its link as it is.
    Abrupt,
}

impl Host {
    pub fn new() -> Host {
        let netns = Netns::quiet("host");
        let sink = netns.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        Host { netns, folder: NetnsFolder::new(), sink }
    }

    /// An exporter that knows its namespaces by the folder's names; ready.
    pub fn exporter(&self, more: &[&str]) -> Exporter {
        let own = self.folder.arguments();
        let exporter = Exporter::start(&self.netns, &[&own, more].concat());
        exporter.wait_ready();
        exporter
    }
}

/// Some namespaces of a host. They are deleted when this goes.
pub struct Crowd<'a> {
    host: &'a Host,
    /// With a number that no other on the host has now.
    members: Vec<(u32, String)>,
}

impl<'a> Crowd<'a> {
    /// So many namespaces from this number on, each joined to the host.
    pub fn new(host: &'a Host, numbers: std::ops::Range<u32>) -> Crowd<'a> {
        let members: Vec<_> = numbers.map(|number| (number, unique_name("crowd"))).collect();
        let crowd = Crowd { host, members };
        crowd.record();
        let lines = crowd.members.iter().map(|(_, name)| format!("netns add {name}\n"));
        batch(Command::new("ip").args(["-batch", "-"]), &lines.collect::<String>());
        crowd
    }

    /// As the lab notes its own, for `tests/run`.
    fn record(&self) {
        for (_, name) in &self.members {
            std::fs::write(folder().join("netns").join(name), "").unwrap();
        }
    }

    /// Names each for the exporter by its number.
    pub fn name(&self) {
        for (number, name) in &self.members {
            self.host.folder.name(called(*number), &Netns::existing(name));
        }
    }

    /// Joins each to the host.
    pub fn join(&self) {
        let mut lines = String::new();
        for (number, name) in &self.members {
            let [own, other] = macs(*number);
            let [near, far] = addresses(*number);
            writeln!(
                lines,
                "link add v{number} address {own} up type veth peer name eth0 address {other} netns {name}\n\
                 address add {near}/30 dev v{number}\n\
                 neigh add {far} lladdr {other} dev v{number} nud permanent"
            )
            .unwrap();
        }
        batch(Command::new("ip").args(["-n", self.host.netns.name(), "-batch", "-"]), &lines);
    }

    /// Takes all of them up, so that they can send and receive.
    pub fn take_up(&self) {
        self.in_each(take_up);
        // Until then what is sent to them is dropped.
        wait_for(Duration::from_secs(10), "every port is up", || {
            let links = self.host.netns.ip_json(["link", "show", "type", "veth"]);
            let up = |number: &u32| {
                let name = format!("v{number}");
                links.as_array().unwrap().iter().any(|l| l["ifname"] == *name && l["operstate"] == "UP")
            };
            if self.members.iter().all(|(number, _)| up(number)) { Ok(()) } else { Err(format!("{links:#}")) }
        });
    }

    /// Each sends and receives some datagrams; says what they counted, by what the exporter is told to call them.
    pub fn talk(&self, dice: &mut Dice) -> BTreeMap<String, Traffic> {
        self.exchange(|| [dice.flow(), dice.flow()])
    }

    /// The same with one short datagram each way.
    pub fn whisper(&self, dice: &mut Dice) -> BTreeMap<String, Traffic> {
        self.exchange(|| [(1, dice.roll(50)), (1, dice.roll(50))])
    }

    fn exchange(&self, mut flows: impl FnMut() -> [(u64, u64); 2]) -> BTreeMap<String, Traffic> {
        let plans: BTreeMap<u32, _> = self.members.iter().map(|&(number, _)| (number, flows())).collect();
        self.in_each(|number| self.speak(number, &plans[&number]));
        let truth = |[(received, down), (sent, up)]: [(u64, u64); 2]| Traffic {
            receive_bytes: received * (down + HEADERS),
            receive_packets: received,
            transmit_bytes: sent * (up + HEADERS),
            transmit_packets: sent,
        };
        plans.into_iter().map(|(number, plan)| (called(number), truth(plan))).collect()
    }

    /// Returns what each namespace's own /proc/net/dev says of eth0, by what the exporter calls the namespace.
    pub fn own(&self) -> BTreeMap<String, Traffic> {
        let own = |(number, name): &(u32, String)| {
            let read = || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let text = within_netns(&Netns::existing(name).path(), read);
            let counters = Counters::of(&text, "eth0").unwrap_or_else(|| panic!("no eth0 in {text}"));
            (called(*number), Traffic::from(&counters))
        };
        self.members.iter().map(own).collect()
    }

    /// Does this within each namespace, some at a time.
    fn in_each(&self, act: impl Fn(u32) + Sync) {
        std::thread::scope(|scope| {
            for members in self.members.chunks(self.members.len().div_ceil(4)) {
                let act = &act;
                scope.spawn(move || {
                    for (number, name) in members {
                        within_netns(&Netns::existing(name).path(), || act(*number));
                    }
                });
            }
        });
    }

    /// Within the namespace: sends and receives these datagrams.
    fn speak(&self, number: u32, [down, up]: &[(u64, u64); 2]) {
        let [near, far] = addresses(number);
        // Bound, so that nobody says that there is no such port.
        let own = UdpSocket::bind((far.as_str(), 0)).unwrap();
        let send = |from: &UdpSocket, to: SocketAddr, (count, payload): (u64, u64)| {
            for _ in 0..count {
                let sent = from.send_to(&vec![0x5a; payload as usize], to).unwrap();
                assert_eq!(sent as u64, payload);
            }
        };
        send(&self.host.sink, own.local_addr().unwrap(), *down);
        let sink = SocketAddr::new(near.parse().unwrap(), self.host.sink.local_addr().unwrap().port());
        send(&own, sink, *up);
    }

    /// Ends all of them, each in its way.
    pub fn end(self, how: impl Fn(u32) -> End) {
        let mut on_host = String::new();
        for (number, name) in &self.members {
            let inside = |words: &[&str]| succeed(Command::new("ip").args(["-n", name]).args(words));
            match how(*number) {
                End::DeletedInside => drop(inside(&["link", "del", "eth0"])),
                End::DeletedOnHost => writeln!(on_host, "link del v{number}").unwrap(),
                End::Down => drop(inside(&["link", "set", "eth0", "down"])),
                End::Abrupt => {}
            }
        }
        batch(Command::new("ip").args(["-n", self.host.netns.name(), "-batch", "-"]), &on_host);
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        for (number, name) in &self.members {
            // As `ip netns del` does it: what is mounted goes first, and the name a moment after it.
            let path = Netns::existing(name).path();
            umount2(&path, MntFlags::MNT_DETACH).unwrap();
            // One that had no name for the exporter has none to lose.
            let _ = std::fs::remove_file(self.host.folder.path().join(called(*number)));
            std::fs::remove_file(&path).unwrap();
            std::fs::remove_file(folder().join("netns").join(name)).unwrap();
        }
    }
}

/// Within the namespace: takes eth0 up, and makes it silent but for what it is told to send.
fn take_up(number: u32) {
    for links in ["all", "default", "eth0"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{links}/disable_ipv6"), "1").unwrap();
    }
    let ([mac, _], [near, far]) = (macs(number), addresses(number));
    let lines = format!(
        "link set eth0 up\naddress add {far}/30 dev eth0\nneigh add {near} lladdr {mac} dev eth0 nud permanent\n"
    );
    batch(Command::new("ip").args(["-batch", "-"]), &lines);
}

impl Dice {
    /// Some datagrams of one size: how many, and their payload.
    fn flow(&mut self) -> (u64, u64) {
        (self.roll(20), self.roll(1_400))
    }
}

/// What the exporter calls the namespace with this number.
pub fn called(number: u32) -> String {
    format!("n{number}")
}

/// The addresses on the host, and inside.
fn addresses(number: u32) -> [String; 2] {
    let [_, _, high, low] = number.to_be_bytes();
    [1, 2].map(|host| format!("10.{high}.{low}.{host}"))
}

fn macs(number: u32) -> [String; 2] {
    let [_, _, high, low] = number.to_be_bytes();
    [0, 1].map(|side| format!("02:00:00:{side:02x}:{high:02x}:{low:02x}"))
}

/// Hands a command these lines.
fn batch(command: &mut Command, lines: &str) {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
}
