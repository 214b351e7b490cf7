//! Random sequences of `ip link` and `ip netns`, run by a simulated kernel: it sends the events that Linux
//! sends, and no others (no event about the peer of an end that moves), and answers as things are then.
//! Every step is compared with the second implementation; in the end the pairs are those of the kernel.

use super::*;
use crate::model::event::Event;
use crate::model::workload::Expected;
use proptest::prelude::*;

/// The host is 0.
const PLACES: u32 = 5;

/// One command, or what else happens; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Add([u32; 2]),
    Move(usize, u32),
    Delete(usize),
    /// The link of this end of a pair is called so.
    Rename(usize, u8),
    Up(usize, bool),
    Enslave(usize, bool),
    Carry(usize, u64),
    DeleteNetns(u32),
    Name(u32, u8),
    Unname(u8),
    /// Docker runs these containers: each in a namespace.
    Docker(Vec<(u8, u32)>),
    Expect(usize, u8),
    Process(u32),
    /// The host takes so many of the events that wait.
    Hear(usize),
    Sample,
    Tick,
    Lose,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = 0..PLACES;
    let inside = 1..PLACES;
    let step = prop_oneof![
        4 => [place.clone(), place.clone()].prop_map(Step::Add),
        4 => (any::<usize>(), place).prop_map(|(end, to)| Step::Move(end, to)),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => (any::<usize>(), 0u8..4).prop_map(|(end, name)| Step::Rename(end, name)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(end, up)| Step::Up(end, up)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(end, on)| Step::Enslave(end, on)),
        3 => (any::<usize>(), 1u64..1000).prop_map(|(end, bytes)| Step::Carry(end, bytes)),
        1 => inside.clone().prop_map(Step::DeleteNetns),
        2 => (inside.clone(), 0u8..4).prop_map(|(netns, name)| Step::Name(netns, name)),
        1 => (0u8..4).prop_map(Step::Unname),
        2 => proptest::collection::vec((0u8..3, inside.clone()), 0..3).prop_map(Step::Docker),
        1 => (any::<usize>(), 0u8..3).prop_map(|(end, container)| Step::Expect(end, container)),
        1 => inside.prop_map(Step::Process),
        6 => (1usize..6).prop_map(Step::Hear),
        2 => Just(Step::Sample),
        3 => Just(Step::Tick),
        1 => Just(Step::Lose),
    ];
    proptest::collection::vec(step, 1..60)
}

/// One end of a pair.
#[derive(Clone, Copy, Debug)]
struct Spot {
    place: u32,
    ifindex: u32,
}

#[derive(Default)]
pub(super) struct Kernel {
    pub(super) now: Duration,
    pairs: Vec<[Spot; 2]>,
    /// A pair of each namespace with the host, which stays as long as the namespace: by it the namespace is
    /// known also where its events were lost.
    anchors: Vec<[Spot; 2]>,
    /// The links, by place and ifindex.
    links: BTreeMap<(u32, u32), Link>,
    /// The namespaces that exist; an id is given again when its namespace is gone.
    exist: BTreeSet<u32>,
    names: BTreeMap<u8, u32>,
    containers: Vec<(u8, u32)>,
    expected: Vec<(u8, Mac)>,
    processes: BTreeSet<u32>,
    unheard: VecDeque<Event>,
    /// The number of links that were made: no two have one address.
    made: u8,
}

fn source(place: u32) -> Option<u32> {
    (place > 0).then_some(place)
}

impl Kernel {
    fn peer_netns(at: u32, peer: u32) -> PeerNetns {
        match peer {
            _ if peer == at => PeerNetns::Same,
            0 => PeerNetns::Host,
            nsid => PeerNetns::Nsid(nsid),
        }
    }

    /// A link as the host's dump has it.
    fn link(&self, spot: Spot) -> Link {
        let link = self.links[&(spot.place, spot.ifindex)];
        let peer = self.pairs.iter().chain(&self.anchors).find_map(|[a, b]| match spot {
            _ if (a.place, a.ifindex) == (spot.place, spot.ifindex) => Some(*b),
            _ if (b.place, b.ifindex) == (spot.place, spot.ifindex) => Some(*a),
            _ => None,
        });
        match peer {
            None => Link { iflink: None, peer_netns: PeerNetns::Same, ..link },
            Some(peer) => Link {
                iflink: Some(peer.ifindex),
                peer_netns: Kernel::peer_netns(spot.place, peer.place),
                ..link
            },
        }
    }

    /// The same as an event has it: ids of another namespace mean nothing to the host.
    fn told(&self, spot: Spot) -> Link {
        let link = self.link(spot);
        match link.peer_netns {
            PeerNetns::Host | PeerNetns::Nsid(_) if spot.place > 0 => {
                Link { peer_netns: PeerNetns::Elsewhere, ..link }
            }
            _ => link,
        }
    }

    fn tell(&mut self, spot: Spot) {
        let link = self.told(spot);
        self.unheard.push_back(Event::Link { source: source(spot.place), link });
    }

    fn create(&mut self, place: u32) {
        if place > 0 && self.exist.insert(place) {
            self.unheard.push_back(Event::NewNsid(place));
            self.add([0, place]);
            self.anchors.extend(self.pairs.pop());
        }
    }

    fn free_ifindex(&self, place: u32) -> u32 {
        (3..).find(|ifindex| !self.links.contains_key(&(place, *ifindex))).unwrap()
    }

    fn add(&mut self, places: [u32; 2]) {
        let spots = places.map(|place| {
            self.create(place);
            let ifindex = self.free_ifindex(place);
            self.made = self.made.wrapping_add(1);
            let link = Link {
                ifindex,
                name: name(&format!("v{}", self.made)),
                kind: LinkKind::Veth,
                address: Some(Mac([2, 0, 0, 1, 0, self.made])),
                ..Link::default()
            };
            self.links.insert((place, ifindex), link);
            Spot { place, ifindex }
        });
        // The first is announced before it has a peer.
        self.tell(spots[0]);
        self.pairs.push(spots);
        self.tell(spots[1]);
        self.tell(spots[0]);
    }

    fn end(&mut self, which: usize) -> Option<(usize, usize)> {
        let which = which.checked_rem(self.pairs.len() * 2)?;
        Some((which / 2, which % 2))
    }

    fn move_end(&mut self, which: usize, to: u32) {
        let Some((pair, side)) = self.end(which) else { return };
        let from = self.pairs[pair][side];
        if from.place == to {
            return;
        }
        self.create(to);
        let gone = self.told(from);
        self.unheard.push_back(Event::Unlink { source: source(from.place), link: gone, moved: true });
        let mut link = self.links.remove(&(from.place, from.ifindex)).unwrap();
        let free = !self.links.contains_key(&(to, from.ifindex));
        link.ifindex = if free { from.ifindex } else { self.free_ifindex(to) };
        link.master = None;
        link.up = false;
        self.links.insert((to, link.ifindex), link);
        self.pairs[pair][side] = Spot { place: to, ifindex: link.ifindex };
        self.tell(self.pairs[pair][side]);
    }

    fn delete(&mut self, pair: usize) {
        for spot in self.pairs.remove(pair) {
            let link = Link { ..self.link(spot) };
            self.links.remove(&(spot.place, spot.ifindex));
            self.unheard.push_back(Event::Unlink { source: source(spot.place), link, moved: false });
        }
    }

    fn delete_netns(&mut self, place: u32) {
        if !self.exist.remove(&place) {
            return;
        }
        self.names.retain(|_, at| *at != place);
        self.containers.retain(|(_, at)| *at != place);
        self.processes.remove(&place);
        self.unheard.push_back(Event::DeletedNsid(place));
        let is_in = |pair: &&mut [Spot; 2]| pair.iter().any(|spot| spot.place == place);
        let gone = self.pairs.extract_if(.., |pair| is_in(&pair));
        let gone: Vec<_> = gone.chain(self.anchors.extract_if(.., |pair| is_in(&pair))).collect();
        for spots in gone {
            for spot in spots {
                let link = Link { iflink: None, ..self.links[&(spot.place, spot.ifindex)] };
                self.links.remove(&(spot.place, spot.ifindex));
                // No event is sent of what is in the dying namespace.
                if spot.place != place {
                    self.unheard.push_back(Event::Unlink { source: source(spot.place), link, moved: false });
                }
            }
        }
    }

    fn change(&mut self, which: usize, change: impl FnOnce(&mut Link)) {
        let Some((pair, side)) = self.end(which) else { return };
        let spot = self.pairs[pair][side];
        change(self.links.get_mut(&(spot.place, spot.ifindex)).unwrap());
        self.tell(spot);
    }

    /// Carries bytes from an end to its peer; no event is sent of that.
    fn carry(&mut self, which: usize, bytes: u64) {
        let Some((pair, side)) = self.end(which) else { return };
        let [from, to] = [self.pairs[pair][side], self.pairs[pair][1 - side]];
        self.links.get_mut(&(from.place, from.ifindex)).unwrap().counters.transmit_bytes += bytes;
        self.links.get_mut(&(to.place, to.ifindex)).unwrap().counters.receive_bytes += bytes;
    }

    fn claims(&self) -> Claims {
        let claims = self.containers.iter().map(|&(container, place)| Claim {
            owner: Workload {
                id: format!("id{container}"),
                ..Workload::named(Runtime::Docker, format!("c{container}"))
            },
            locator: Locator::Pid(100 + place),
            endpoints: Vec::new(),
            members: Vec::new(),
            started: Started::default(),
        });
        let networks =
            vec![Network { name: "front".into(), bridge: Some(name("br-front")), ..Network::default() }];
        Claims { claims: claims.collect(), networks, ..Claims::default() }
    }

    fn name_of(key: u8) -> Claim {
        claim_of_name(&format!("n{key}"))
    }

    fn answer(&self, request: Request) -> Input {
        match request {
            Request::Links { nsid } => {
                let place = nsid.unwrap_or(0);
                if place > 0 && !self.exist.contains(&place) {
                    return Input::Links { nsid, answer: Err(LookFailure::Gone) };
                }
                let spots = self.links.keys().filter(|(at, _)| *at == place);
                let links = spots.map(|&(place, ifindex)| self.link(Spot { place, ifindex }));
                let bridge =
                    Link { ifindex: 2, name: name("br-front"), kind: LinkKind::Bridge, ..Link::default() };
                let links = [bridge].into_iter().filter(|_| place == 0).chain(links).collect();
                Input::Links { nsid, answer: Ok(Links { links, ..Links::default() }) }
            }
            Request::HostLink(ifindex) => {
                let there = self.links.contains_key(&(0, ifindex));
                let link = there.then(|| Box::new(self.link(Spot { place: 0, ifindex })));
                Input::HostLink { ifindex, answer: link.ok_or(LookFailure::Gone) }
            }
            Request::Locate(locator) => {
                let place = match &locator {
                    Locator::Pid(pid) => Some(pid - 100).filter(|place| self.exist.contains(place)),
                    Locator::Path(path) => {
                        let named = self
                            .names
                            .iter()
                            .find(|(key, _)| Kernel::name_of(**key).locator == Locator::Path(path.clone()));
                        named.map(|(_, place)| *place)
                    }
                    Locator::Container(_) => None,
                };
                let answer = place.ok_or(LookFailure::Gone);
                let answer = answer.map(|nsid| Location { netns: Located::Nsid(nsid), cgroup: None });
                Input::Located { locator, answer }
            }
            Request::Claims(Runtime::Named) => {
                let claims = self.names.keys().map(|key| Kernel::name_of(*key)).collect();
                let claims = Claims { claims, ..Claims::default() };
                Input::Claims { runtime: Runtime::Named, answer: Some(Ok(claims)), took: Duration::ZERO }
            }
            Request::Claims(runtime) | Request::ClaimsOfNameless(runtime) => {
                Input::Claims { runtime, answer: Some(Ok(self.claims())), took: Duration::ZERO }
            }
            Request::Search(nsids) => {
                Input::Processes { answer: Ok(self.living_in(&nsids)), nsids, took: Duration::ZERO }
            }
            Request::NewProcesses(nsids) => Input::NewProcesses { answer: Ok(self.living_in(&nsids)), nsids },
            Request::Barrier => Input::Barrier,
            Request::FinalSample(_) | Request::WatchExit(_) | Request::Tcp(_) | Request::Drops(_) => {
                Input::Wake
            }
        }
    }

    fn living_in(&self, nsids: &BTreeSet<u32>) -> Vec<ProcessInNetns> {
        let found = nsids.iter().filter(|nsid| self.processes.contains(nsid));
        let found = found.map(|&nsid| ProcessInNetns {
            nsid,
            pid: 100 + nsid,
            workload: Workload::named(Runtime::Process, format!("p{nsid}")),
            cgroup: None,
        });
        found.collect()
    }

    /// Gives the host an input, and answers what it asks: behind the events that were there before.
    pub(super) fn give(&mut self, host: &mut Host, input: Input) {
        let mut asked = VecDeque::from(host.apply(input, self.now));
        for _ in 0..300 {
            let Some(request) = asked.pop_front() else { return };
            let answer = self.answer(request);
            let heard: Vec<Event> = self.unheard.drain(..).collect();
            if !heard.is_empty() {
                asked.extend(host.apply(Input::Events(heard), self.now));
            }
            asked.extend(host.apply(answer, self.now));
        }
    }

    fn hear(&mut self, host: &mut Host, most: usize) {
        let heard: Vec<Event> = self.unheard.drain(..self.unheard.len().min(most)).collect();
        self.give(host, Input::Events(heard));
    }

    fn sample(&mut self, host: &mut Host) {
        self.hear(host, usize::MAX);
        let on_host = self.links.iter().filter(|((place, _), _)| *place == 0);
        let counters = on_host.map(|((_, ifindex), link)| (*ifindex, link.counters)).collect();
        let samples = Samples { counters, ..Samples::default() };
        self.give(host, Input::Samples { answer: Ok(samples), took: Duration::ZERO });
    }

    pub(super) fn step(&mut self, host: &mut Host, step: Step) {
        match step {
            Step::Add(places) => self.add(places),
            Step::Move(end, to) => self.move_end(end, to),
            Step::Delete(pair) => {
                if let Some((pair, _)) = self.end(pair) {
                    self.delete(pair);
                }
            }
            Step::Rename(end, new) => self.change(end, |link| link.name = name(&format!("eth{new}"))),
            Step::Up(end, up) => self.change(end, |link| link.up = up),
            Step::Enslave(end, on) => self.change(end, |link| link.master = on.then_some(2)),
            Step::Carry(end, bytes) => self.carry(end, bytes),
            Step::DeleteNetns(place) => {
                // Its names are gone first.
                let gone = self.names.iter().filter(|(_, at)| **at == place).map(|(key, _)| *key);
                for key in gone.collect::<Vec<_>>() {
                    self.step(host, Step::Unname(key));
                }
                self.delete_netns(place);
            }
            Step::Name(place, key) => {
                if self.names.contains_key(&key) {
                    return;
                }
                self.create(place);
                self.names.insert(key, place);
                self.give(host, Input::NameAdded(Box::new(Kernel::name_of(key))));
            }
            Step::Unname(key) => {
                if self.names.remove(&key).is_some() {
                    self.give(host, Input::Unnamed { locator: Kernel::name_of(key).locator });
                }
            }
            Step::Docker(containers) => {
                let mut seen = BTreeSet::new();
                self.containers =
                    containers.into_iter().filter(|(container, _)| seen.insert(*container)).collect();
                for place in self.containers.clone() {
                    self.create(place.1);
                }
                let answer = self.answer(Request::Claims(Runtime::Docker));
                self.give(host, answer);
            }
            Step::Expect(end, container) => {
                let Some((pair, side)) = self.end(end) else { return };
                let spot = self.pairs[pair][side];
                let address = self.links[&(spot.place, spot.ifindex)].address.unwrap();
                self.expected.push((container, address));
                let expected = self.expected.iter().map(|&(container, address)| Expected {
                    workload: Workload {
                        id: format!("id{container}"),
                        ..Workload::named(Runtime::Docker, format!("c{container}"))
                    },
                    network: "front".into(),
                    address,
                    bridge: Some(name("br-front")),
                });
                let expected = expected.collect();
                self.give(
                    host,
                    Input::Expected { runtime: Runtime::Docker, expected, containers: Vec::new() },
                );
            }
            Step::Process(place) => {
                self.create(place);
                self.processes.insert(place);
            }
            Step::Hear(most) => self.hear(host, most),
            Step::Sample => self.sample(host),
            Step::Tick => {
                self.now += SECOND / 2;
                self.give(host, Input::Tick);
                self.sample(host);
            }
            Step::Lose => {
                self.unheard.clear();
                self.give(host, Input::Events(vec![Event::Lost]));
            }
        }
    }

    /// Ends all that there is, and reports it.
    pub(super) fn end_all(&mut self, host: &mut Host) {
        for key in self.names.keys().copied().collect::<Vec<_>>() {
            self.step(host, Step::Unname(key));
        }
        self.step(host, Step::Docker(Vec::new()));
        self.expected.clear();
        let (expected, containers) = (Vec::new(), Vec::new());
        self.give(host, Input::Expected { runtime: Runtime::Docker, expected, containers });
        while !self.pairs.is_empty() {
            self.delete(0);
        }
        for place in self.exist.clone() {
            self.delete_netns(place);
        }
        self.hear(host, usize::MAX);
    }

    /// The pairs, each as its two ends in order.
    fn truth(&self) -> Vec<[(Option<u32>, u32); 2]> {
        let ends = |pair: &[Spot; 2]| {
            let mut ends = pair.map(|spot| (source(spot.place), spot.ifindex));
            ends.sort();
            ends
        };
        in_order(self.pairs.iter().chain(&self.anchors).map(ends))
    }
}

fn shown(host: &Host) -> Vec<[(Option<u32>, u32); 2]> {
    let pairs = host.known.topology.pairing().pairs().map(|ends| {
        let mut ends = ends.map(|end| (end.netns.nsid(), end.ifindex));
        ends.sort();
        ends
    });
    in_order(pairs)
}

fn in_order(pairs: impl Iterator<Item = [(Option<u32>, u32); 2]>) -> Vec<[(Option<u32>, u32); 2]> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs
}

proptest! {
    #[test]
    fn whatever_is_done_to_links_and_namespaces_the_pairs_are_the_kernels(steps in steps()) {
        let mut kernel = Kernel { now: NOW, ..Kernel::default() };
        let mut host = Host::new(config(Learning::Events), [Runtime::Docker, Runtime::Named]);
        kernel.give(&mut host, Input::NamesWatched(true));
        kernel.step(&mut host, Step::Tick);
        for step in steps {
            kernel.step(&mut host, step);
        }
        kernel.hear(&mut host, usize::MAX);
        for _ in 0..8 {
            kernel.step(&mut host, Step::Tick);
        }
        prop_assert_eq!(shown(&host), kernel.truth());
    }
}
