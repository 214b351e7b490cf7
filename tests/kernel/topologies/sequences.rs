//! Random sequences of `ip link` and `ip netns`, the counterpart of the model's: after every step the exporter has the pairs that the commands
//! have made, each namespace has the name that the commands have left it, and each name has sent and received what was sent under it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::book::{Dice, size};
use lab::scene::{LIMIT, Scene};
use lab::{
    Exporter, Exposition, Netns, Process, assert_content, empty_folder, findings, send_datagrams, succeed,
    wait_for,
};

/// The number of random pairs at a time. Besides, each namespace has a pair with the host that stays.
const MOST_PAIRS: usize = 6;

/// The number of namespaces at a time besides the host's.
const GUESTS: std::ops::RangeInclusive<usize> = 2..=4;

/// A program that lets every frame pass, built from sequences/pass.s: it needs no compiler here.
const PASS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/topologies/sequences/pass.o");

/// The bytes of a datagram, and of the headers of its frame: 8 UDP, 20 IPv4, 14 Ethernet.
const PAYLOAD: u64 = 500;
const HEADERS: u64 = 42;

/// The Ethernet header. An end with an XDP program counts a frame without it: `veth_xdp_rcv` in drivers/net/veth.c adds `skb->len` after
/// `eth_type_trans` has taken the header off, and the sender counts nothing.
const ETHERNET: u64 = 14;

/// The runtime and the container of a series.
type Name = (String, String);

/// A namespace with a process that keeps it. The host's has neither process nor name.
struct Place<'a> {
    netns: Kept<'a>,
    /// The process, and what it is called.
    keeper: Option<(Process, String)>,
    /// The names in the exporter's folder.
    names: BTreeSet<String>,
}

enum Kept<'a> {
    Host(&'a Netns),
    Guest(Netns),
}

impl Place<'_> {
    fn netns(&self) -> &Netns {
        match &self.netns {
            Kept::Host(netns) => netns,
            Kept::Guest(netns) => netns,
        }
    }

    /// Returns what the exporter calls the namespace: the first of its names, else the process in it. The host has no series.
    fn called(&self) -> Option<Name> {
        let named = self.names.first().map(|name| ("named".to_owned(), name.clone()));
        named.or_else(|| Some(("process".to_owned(), self.keeper.as_ref()?.1.clone())))
    }
}

/// A veth end.
#[derive(Clone, Debug)]
struct End {
    /// The key of its namespace in `World::places`.
    place: u32,
    name: String,
    /// True if an XDP program is attached.
    xdp: bool,
}

/// The links and names that the commands have made.
struct World<'a> {
    scene: &'a Scene,
    /// The folder of the programs that keep namespaces.
    programs: PathBuf,
    dice: Dice,
    places: BTreeMap<u32, Place<'a>>,
    pairs: Vec<[End; 2]>,
    /// The bytes that were received and sent under each name.
    carried: BTreeMap<Name, [u64; 2]>,
    /// The number of names that were given, of links, of processes and in the folder.
    given: u32,
    /// The number of times that a living namespace may still lose its last name: the exporter keeps a name for 2 s.
    losses: usize,
    /// The commands so far.
    history: Vec<String>,
}

impl<'a> World<'a> {
    fn new(scene: &'a Scene, seed: u64) -> World<'a> {
        let host = Place { netns: Kept::Host(&scene.host), keeper: None, names: BTreeSet::new() };
        let mut world = World {
            scene,
            programs: empty_folder("programs"),
            dice: Dice::seeded(seed),
            places: BTreeMap::from([(0, host)]),
            pairs: Vec::new(),
            carried: BTreeMap::new(),
            given: 0,
            losses: size(3, 30),
            history: vec![format!("VETH_LAB_SEED={seed}")],
        };
        for _ in 0..3 {
            world.start(1);
        }
        world
    }

    /// Runs a command of `ip` in the namespace of a place.
    fn ip(&mut self, place: u32, command: &str) {
        let netns = self.places[&place].netns().name();
        self.history.push(format!("ip -n {netns} {command}"));
        succeed(Command::new("ip").args(["-n", netns]).args(command.split(' ')));
    }

    /// Returns a name that nothing else has. Later names may be before earlier ones in the alphabet.
    fn name(&mut self, prefix: &str) -> String {
        self.given += 1;
        format!("{prefix}{}{}", char::from(b'a' + self.dice.roll(26) as u8 - 1), self.given)
    }

    /// Chooses a place.
    fn place(&mut self) -> u32 {
        let nth = self.dice.roll(self.places.len() as u64) as usize - 1;
        *self.places.keys().nth(nth).unwrap()
    }

    /// Chooses a place that is not the host.
    fn guest(&mut self) -> u32 {
        let nth = self.dice.roll(self.places.len() as u64 - 1) as usize;
        *self.places.keys().nth(nth).unwrap()
    }

    /// Makes a namespace with a process in it, as many names, and a pair with the host.
    fn start(&mut self, names: usize) -> u32 {
        let netns = Netns::quiet("n");
        self.given += 1;
        let (place, comm) = (self.given, format!("keeper{}", self.given));
        self.history.push(format!("a new namespace {} with the process {comm}", netns.name()));
        let keeper = keep(&netns, &self.programs, &comm);
        self.places.insert(
            place,
            Place { netns: Kept::Guest(netns), keeper: Some((keeper, comm)), names: BTreeSet::new() },
        );
        for _ in 0..names {
            let name = self.name("x");
            self.attach(place, &name);
        }
        let port = port(place);
        let peer = self.places[&place].netns().name().to_owned();
        self.ip(0, &format!("link add {port} up type veth peer name eth0 netns {peer}"));
        self.ip(place, "link set eth0 up");
        place
    }

    /// Gives a namespace a name (`ip netns attach`).
    fn attach(&mut self, place: u32, name: &str) {
        let at = self.places.get_mut(&place).unwrap();
        self.history.push(format!("ip netns attach {name} ({})", at.netns().name()));
        self.scene.folder.attach(name, at.netns());
        at.names.insert(name.to_owned());
    }

    /// Takes a name (`ip netns del`).
    fn delete(&mut self, place: u32, name: &str) {
        self.history.push(format!("ip netns del {name}"));
        self.scene.folder.delete(name);
        self.places.get_mut(&place).unwrap().names.remove(name);
    }

    /// Ends the process of a namespace, and so the namespace and all pairs that have an end there.
    fn end(&mut self, place: u32) {
        for name in self.places[&place].names.clone() {
            self.delete(place, &name);
        }
        self.history.push(format!("the process of {} ends", self.places[&place].netns().name()));
        self.places.remove(&place);
        self.pairs.retain(|ends| ends.iter().all(|end| end.place != place));
    }

    /// Chooses one of the names of a place; `None` if it has none, or if it has one only and none may lose its last one any more.
    fn name_to_lose(&mut self, place: u32) -> Option<String> {
        let names: Vec<String> = self.places[&place].names.iter().cloned().collect();
        if names.len() == 1 {
            self.losses = self.losses.checked_sub(1)?;
        }
        let nth = self.dice.roll(names.len().max(1) as u64) as usize - 1;
        names.get(nth).cloned()
    }

    /// Does one thing to a name or a namespace.
    fn change_names(&mut self) {
        let place = self.guest();
        match self.dice.roll(8) {
            // A second name, or a first one.
            1..=2 => {
                let name = self.name("x");
                self.attach(place, &name);
            }
            // A name goes, and a process keeps the namespace.
            3 => {
                if let Some(name) = self.name_to_lose(place) {
                    self.delete(place, &name);
                }
            }
            // Another name: the second first, and then the first goes.
            4..=5 => {
                if let Some(old) = self.places[&place].names.first().cloned() {
                    let new = self.name("x");
                    self.attach(place, &new);
                    self.delete(place, &old);
                }
            }
            // The name passes on to a namespace that is there, or to a new one.
            6 => {
                let Some(name) = self.name_to_lose(place) else { return };
                let to = if self.places.len() <= *GUESTS.end() { None } else { Some(self.guest()) };
                self.delete(place, &name);
                let to = to.unwrap_or_else(|| self.start(0));
                self.attach(to, &name);
            }
            // The namespace ends, and another one has its name at once.
            7 => {
                let name = self.places[&place].names.first().cloned();
                self.end(place);
                let new = self.start(0);
                name.iter().for_each(|name| self.attach(new, name));
            }
            _ if self.places.len() > *GUESTS.start() + 1 => self.end(place),
            _ => _ = self.start(1),
        }
    }

    fn add_pair(&mut self) {
        let ends = [0, 1].map(|_| End { place: self.place(), name: self.name("n"), xdp: false });
        let [one, other] = &ends;
        let peer = self.places[&other.place].netns().name();
        let command = format!("link add {} type veth peer name {} netns {peer}", one.name, other.name);
        self.ip(one.place, &command);
        self.pairs.push(ends);
    }

    /// Does one thing to a pair.
    fn change_pair(&mut self) {
        let pair = self.dice.roll(self.pairs.len() as u64) as usize - 1;
        let side = self.dice.roll(2) as usize - 1;
        let End { place, name, xdp } = self.pairs[pair][side].clone();
        match self.dice.roll(10) {
            1..=3 => {
                let to = self.place();
                if to != place {
                    let netns = self.places[&to].netns().name().to_owned();
                    self.ip(place, &format!("link set {name} netns {netns}"));
                    self.pairs[pair][side].place = to;
                }
            }
            4 => {
                let new = self.name("n");
                self.ip(place, &format!("link set {name} down"));
                self.ip(place, &format!("link set {name} name {new}"));
                self.pairs[pair][side].name = new;
            }
            5 => {
                self.ip(place, &format!("link del {name}"));
                self.pairs.remove(pair);
            }
            6..=7 => {
                let program = if xdp { "xdp off".to_owned() } else { format!("xdpdrv obj {PASS} sec xdp") };
                self.ip(place, &format!("link set dev {name} {program}"));
                self.pairs[pair][side].xdp = !xdp;
            }
            _ => self.carry(pair, side),
        }
    }

    /// Sends from one end of a pair to the other, if they are in two places.
    fn carry(&mut self, pair: usize, from: usize) {
        let ends = [self.pairs[pair][from].clone(), self.pairs[pair][1 - from].clone()];
        if ends[0].place == ends[1].place {
            return;
        }
        let datagrams = 1 + self.dice.roll(20);
        let addresses = ["10.97.0.1", "10.97.0.2"];
        let macs = ends.clone().map(|End { place, name, .. }| {
            self.ip(place, &format!("link set {name} up"));
            let link = self.places[&place].netns().ip_json(["link", "show", &name]);
            link[0]["address"].as_str().unwrap().to_owned()
        });
        for (side, End { place, name, .. }) in ends.iter().enumerate() {
            self.ip(*place, &format!("address add {}/30 dev {name}", addresses[side]));
            let (other, mac) = (addresses[1 - side], &macs[1 - side]);
            self.ip(*place, &format!("neigh replace {other} lladdr {mac} dev {name} nud permanent"));
        }
        let paths = ends.each_ref().map(|end| self.places[&end.place].netns().path());
        self.history.push(format!("{datagrams} datagrams from {} to {}", ends[0].name, ends[1].name));
        let to = addresses[1].parse().unwrap();
        send_datagrams(&paths[0], &paths[1], to, datagrams as u32, PAYLOAD as usize);
        self.assert_talk(addresses);
        let frame = PAYLOAD + HEADERS - if ends[1].xdp { ETHERNET } else { 0 };
        for (end, way) in ends.iter().zip([1, 0]) {
            if let Some(name) = self.places[&end.place].called() {
                self.carried.entry(name).or_default()[way] += datagrams * frame;
            }
        }
        for (side, End { place, name, .. }) in ends.iter().enumerate() {
            self.ip(*place, &format!("address del {}/30 dev {name}", addresses[side]));
        }
    }

    /// Checks that `explain` finds nothing between the two ends that have just talked. A program of XDP may drop.
    fn assert_talk(&self, [one, other]: [&str; 2]) {
        for words in [[one, other], [other, one]] {
            let mut found = findings(&self.scene.host, &self.scene.folder, &words);
            found.retain(|(rule, _)| rule != "xdp");
            assert!(found.is_empty(), "{found:#?} after\n{}", self.history.join("\n"));
        }
    }

    /// Checks that `explain` without an end finds nothing that `ip` does not show.
    fn assert_content(&self) {
        let guests: Vec<&Netns> =
            self.places.iter().filter(|(place, _)| **place != 0).map(|(_, at)| at.netns()).collect();
        assert_content(&self.scene.host, &guests, &self.scene.folder);
    }

    fn step(&mut self) {
        match self.pairs.len() {
            _ if self.dice.roll(6) == 1 => self.change_names(),
            0 => self.add_pair(),
            pairs if pairs < MOST_PAIRS && self.dice.roll(3) == 1 => self.add_pair(),
            _ => self.change_pair(),
        }
    }

    /// Waits until the exporter knows just these pairs, calls each namespace as it is called, and has booked to each name what was sent and
    /// received under it.
    fn wait(&self, exporter: &Exporter) {
        let wanted = self.wanted();
        let what = format!("{wanted:?} and {:?} after\n{}", self.pairs, self.history.join("\n"));
        exporter.wait_for(LIMIT, &what, |metrics| (Shown::by(metrics) == wanted).then_some(()));
    }

    fn wanted(&self) -> Shown {
        let guests = self.places.iter().filter_map(|(place, at)| Some((port(*place), at.called()?)));
        let mut infos: BTreeSet<Name> = self.places.values().filter_map(Place::called).collect();
        let names = self.places.values().flat_map(|place| &place.names);
        infos.extend(names.map(|name| ("named".to_owned(), name.clone())));
        Shown {
            ends: (2 * (self.pairs.len() + self.places.len() - 1), 0),
            ports: guests.collect(),
            infos,
            carried: self.carried.clone(),
        }
    }
}

/// The part of an exporter's output that is compared with a world.
#[derive(Debug, PartialEq)]
struct Shown {
    /// The number of paired ends, and of all others.
    ends: (usize, usize),
    /// The owner behind each port that stays.
    ports: BTreeMap<String, Name>,
    /// All workloads.
    infos: BTreeSet<Name>,
    /// The bytes that each workload has received and sent over all of its interfaces, if there are any.
    carried: BTreeMap<Name, [u64; 2]>,
}

impl Shown {
    fn by(metrics: &Exposition) -> Shown {
        let name = |labels: &BTreeMap<String, String>| {
            let label = |key| labels.get(key).cloned().unwrap_or_default();
            (label("runtime"), label("container"))
        };
        let ends = metrics.all("veth_exporter_ends");
        let (paired, others): (Vec<_>, Vec<_>) =
            ends.into_iter().partition(|(labels, _)| labels["state"] == "paired");
        let sum = |ends: Vec<(_, f64)>| ends.iter().map(|(_, count)| *count as usize).sum();
        let ports = metrics.all("veth_device_up").into_iter();
        let ports = ports.filter(|(labels, _)| labels["device"].starts_with("port"));
        let mut carried = BTreeMap::<Name, [u64; 2]>::new();
        for (way, direction) in ["receive", "transmit"].into_iter().enumerate() {
            for (labels, bytes) in metrics.all(&format!("veth_container_{direction}_bytes_total")) {
                carried.entry(name(&labels)).or_default()[way] += bytes as u64;
            }
        }
        carried.retain(|_, bytes| *bytes != [0, 0]);
        Shown {
            ends: (sum(paired), sum(others)),
            ports: ports.map(|(labels, _)| (labels["device"].clone(), name(&labels))).collect(),
            infos: metrics.all("veth_container_info").iter().map(|(labels, _)| name(labels)).collect(),
            carried,
        }
    }
}

/// Returns the name of the end on the host of the pair that a place keeps.
fn port(place: u32) -> String {
    format!("port{place}")
}

/// Starts a process that is called `comm` in a namespace.
fn keep(netns: &Netns, programs: &Path, comm: &str) -> Process {
    let program = programs.join(comm);
    symlink("/bin/sleep", &program).unwrap();
    let process = Process::start(comm, netns.command(&program).arg("100000"));
    wait_for(LIMIT, "the process has its name", || {
        let now = fs::read_to_string(format!("/proc/{}/comm", process.pid())).unwrap();
        if now.trim_end() == comm { Ok(()) } else { Err(now) }
    });
    process
}

#[test]
fn after_every_step_of_a_random_sequence_pairs_names_and_bytes_are_what_the_commands_made() {
    let seed = Dice::seed();
    println!("VETH_LAB_SEED={seed} repeats this sequence");
    let scene = Scene::new();
    let mut world = World::new(&scene, seed);
    let exporter = scene.exporter(&[]);
    for step in 0..size(80, 600) {
        world.step();
        world.wait(&exporter);
        if step % 8 == 0 {
            world.assert_content();
        }
    }
    let metrics = exporter.metrics();
    assert_eq!(metrics.value("veth_exporter_bad_messages_total", &[]), Some(0.0), "{}", metrics.text);
    let resyncs = metrics.all("veth_exporter_resyncs_total");
    assert_eq!(
        resyncs.iter().map(|(_, count)| *count).sum::<f64>(),
        1.0,
        "the one of the start: {resyncs:?}"
    );
}
