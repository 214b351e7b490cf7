//! Random sequences of `ip link`, the counterpart of the model's: after every step the exporter has the pairs that the commands have made, and
//! each container has sent what was sent in it.

use std::process::Command;

use lab::book::{Dice, size};
use lab::scene::{LIMIT, Scene};
use lab::{Exporter, Exposition, Netns, send_datagrams, succeed};

/// A veth end: its namespace, as an index of `Places::all`, and its name.
type End = (usize, String);

/// At a time; besides, each namespace has a pair with the host that stays.
const MOST: usize = 6;

struct Places<'a> {
    all: [&'a Netns; 4],
    pairs: Vec<[End; 2]>,
    /// The bytes that were sent from each place.
    sent: [u64; 4],
    /// The number of names that were given.
    names: u32,
    /// The commands so far.
    history: Vec<String>,
}

impl Places<'_> {
    fn ip(&mut self, place: usize, command: &str) {
        let netns = self.all[place].name();
        self.history.push(format!("ip -n {netns} {command}"));
        succeed(Command::new("ip").args(["-n", netns]).args(command.split(' ')));
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn add(&mut self, dice: &mut Dice) {
        let places = [0, 1].map(|_| dice.roll(4) as usize - 1);
        let names = [self.name(), self.name()];
        let peer = self.all[places[1]].name();
        self.ip(places[0], &format!("link add {} type veth peer name {} netns {peer}", names[0], names[1]));
        let [one, other] = names;
        self.pairs.push([(places[0], one), (places[1], other)]);
    }

    /// Does one thing to a pair.
    fn change(&mut self, dice: &mut Dice) {
        let pair = dice.roll(self.pairs.len() as u64) as usize - 1;
        let side = dice.roll(2) as usize - 1;
        let (place, name) = self.pairs[pair][side].clone();
        match dice.roll(8) {
            1..=3 => {
                let to = dice.roll(4) as usize - 1;
                if to != place {
                    self.ip(place, &format!("link set {name} netns {}", self.all[to].name()));
                    self.pairs[pair][side].0 = to;
                }
            }
            4 => {
                let new = self.name();
                self.ip(place, &format!("link set {name} down"));
                self.ip(place, &format!("link set {name} name {new}"));
                self.pairs[pair][side].1 = new;
            }
            5 => {
                self.ip(place, &format!("link del {name}"));
                self.pairs.remove(pair);
            }
            _ => self.carry(pair, side, 1 + dice.roll(20) as u32),
        }
    }

    /// Sends from one end of a pair to the other, if they are in two places.
    fn carry(&mut self, pair: usize, from: usize, datagrams: u32) {
        let ends = [self.pairs[pair][from].clone(), self.pairs[pair][1 - from].clone()];
        if ends[0].0 == ends[1].0 {
            return;
        }
        let addresses = ["10.97.0.1", "10.97.0.2"];
        let macs = ends.clone().map(|(place, name)| {
            self.ip(place, &format!("link set {name} up"));
            let link = self.all[place].ip_json(["link", "show", &name]);
            link[0]["address"].as_str().unwrap().to_owned()
        });
        for (side, (place, name)) in ends.iter().enumerate() {
            self.ip(*place, &format!("address add {}/30 dev {name}", addresses[side]));
            let (other, mac) = (addresses[1 - side], &macs[1 - side]);
            self.ip(*place, &format!("neigh replace {other} lladdr {mac} dev {name} nud permanent"));
        }
        let [from, to] = [0, 1].map(|side| self.all[ends[side].0]);
        send_datagrams(&from.path(), &to.path(), addresses[1].parse().unwrap(), datagrams, 500);
        self.sent[ends[0].0] += u64::from(datagrams) * 542;
        for (side, (place, name)) in ends.iter().enumerate() {
            self.ip(*place, &format!("address del {}/30 dev {name}", addresses[side]));
        }
    }

    /// Waits until the exporter knows just these pairs, and has booked to each container what was sent in it.
    fn wait(&self, exporter: &Exporter) {
        let what = format!("{:?} and {:?} after\n{}", self.pairs, self.sent, self.history.join("\n"));
        exporter.wait_for(LIMIT, &what, |metrics| {
            let ends = |state| metrics.value("veth_exporter_ends", &[("state", state)]);
            let others = ["contradicted", "peer_missing", "peer_netns_unknown", "unlinked", "peer_hidden"];
            let none = others.into_iter().all(|state| ends(state) == Some(0.0));
            let paired = ends("paired") == Some((2 * (self.pairs.len() + 3)) as f64);
            let booked = [1, 2, 3].map(|place| sent_by(metrics, ["", "a", "b", "c"][place]));
            (none && paired && booked[..] == self.sent[1..]).then_some(())
        });
    }
}

/// The bytes that a container has sent over all of its interfaces.
fn sent_by(metrics: &Exposition, container: &str) -> u64 {
    let all = metrics.all("veth_container_transmit_bytes_total");
    let own = all.iter().filter(|(labels, _)| labels.get("container").is_some_and(|name| name == container));
    own.map(|(_, bytes)| *bytes as u64).sum()
}

#[test]
fn after_every_step_of_a_random_sequence_pairs_and_bytes_are_what_the_commands_made() {
    let scene = Scene::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.named(name));
    for (netns, port) in [(&a, "to-a"), (&b, "to-b"), (&c, "to-c")] {
        scene.host.veth(port, netns, "eth0");
    }
    let exporter = scene.exporter(&[]);
    let all = [&scene.host, &a, &b, &c];
    let mut places = Places { all, pairs: Vec::new(), sent: [0; 4], names: 0, history: Vec::new() };
    let mut dice = Dice::new();
    for _ in 0..size(60, 600) {
        match places.pairs.len() {
            0 => places.add(&mut dice),
            pairs if pairs < MOST && dice.roll(3) == 1 => places.add(&mut dice),
            _ => places.change(&mut dice),
        }
        places.wait(&exporter);
    }
    let resyncs = exporter.metrics().all("veth_exporter_resyncs_total");
    assert_eq!(
        resyncs.iter().map(|(_, count)| *count).sum::<f64>(),
        1.0,
        "the one of the start: {resyncs:?}"
    );
}
