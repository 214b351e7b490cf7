//! Random hosts as plain data, judged by the state machine and by a slow, obvious second implementation
//! that is written from the words of the rules and knows the truth that the first has to find.

use super::*;
use crate::model::link::{Link, LinkKind, Mac, Name, PeerNetns};
use crate::model::pairing::Role;
use crate::model::workload::{Claim, Claims, Endpoint, Locator, Started, Workload};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const SECOND: Duration = Duration::from_secs(1);

/// A namespace; the first one is the host.
#[derive(Clone, Debug)]
struct GraphRoom {
    claimed: bool,
    /// The room with the cgroup that holds this one's, if both are claimed.
    inside_of: Option<usize>,
    /// There is a bridge.
    bridge: bool,
}

#[derive(Clone, Debug)]
struct Truth {
    rooms: Vec<GraphRoom>,
    /// The two rooms of each pair, and whether each end is on its room's bridge.
    pairs: Vec<[(usize, bool); 2]>,
}

fn truths() -> impl Strategy<Value = Truth> {
    let room = (any::<bool>(), proptest::option::of(0usize..8), any::<bool>());
    (proptest::collection::vec(room, 1..8), proptest::collection::vec(any::<[(u8, bool); 2]>(), 0..24))
        .prop_map(|(rooms, pairs)| {
            let rooms: Vec<GraphRoom> = rooms
                .into_iter()
                .enumerate()
                .map(|(i, (claimed, inside_of, bridge))| GraphRoom {
                    claimed: claimed && i > 0,
                    // A room can only be inside of an earlier one: cgroups are a tree.
                    inside_of: inside_of.filter(|&outer| claimed && outer > 0 && outer < i),
                    bridge,
                })
                .collect();
            let count = rooms.len();
            let pairs = pairs.into_iter().map(|ends| ends.map(|(room, on)| (usize::from(room) % count, on)));
            Truth { pairs: pairs.collect(), rooms }
        })
}

impl Truth {
    /// The ifindex of a pair's end: the same numbers in every room.
    fn ifindex(&self, pair: usize, side: usize) -> u32 {
        let room = self.pairs[pair][side].0;
        let earlier = self.pairs[..pair].iter().flatten().filter(|end| end.0 == room).count();
        let own = (0..side).filter(|&other| self.pairs[pair][other].0 == room).count();
        2 + (earlier + own) as u32
    }

    fn switched(&self, pair: usize, side: usize) -> bool {
        let (room, on) = self.pairs[pair][side];
        on && self.rooms[room].bridge
    }

    fn links(&self, room: usize) -> Vec<Link> {
        let bridge = Link { ifindex: 1, name: name("br0"), kind: LinkKind::Bridge, ..Link::default() };
        let mut links = vec![bridge];
        links.truncate(usize::from(self.rooms[room].bridge));
        for pair in 0..self.pairs.len() {
            for side in (0..2).filter(|&side| self.pairs[pair][side].0 == room) {
                let peer_room = self.pairs[pair][1 - side].0;
                links.push(Link {
                    ifindex: self.ifindex(pair, side),
                    name: name(&device(pair, side)),
                    kind: LinkKind::Veth,
                    iflink: Some(self.ifindex(pair, 1 - side)),
                    peer_netns: match peer_room {
                        _ if peer_room == room => PeerNetns::Same,
                        0 => PeerNetns::Host,
                        _ => PeerNetns::Nsid(peer_room as u32),
                    },
                    master: self.switched(pair, side).then_some(1),
                    address: Some(Mac([2, 0, 0, 0, pair as u8, side as u8])),
                    ..Link::default()
                });
            }
        }
        links
    }

    fn cgroup(&self, room: usize) -> String {
        let above = self.rooms[room].inside_of.filter(|&outer| self.rooms[outer].claimed);
        format!("{}/w{room}", above.map_or_else(String::new, |outer| self.cgroup(outer)))
    }

    /// Tells a host everything, and lets it ask.
    fn show_to(&self, host: &mut Host) {
        let now = Duration::from_secs(9);
        let mut asked = VecDeque::from(host.apply(Input::Tick, now));
        while let Some(request) = asked.pop_front() {
            let input = match request {
                Request::Links { nsid } => {
                    let room = nsid.map_or(0, |nsid| nsid as usize);
                    Input::Links { nsid, answer: Ok(Links { links: self.links(room), ..Links::default() }) }
                }
                Request::HostLink(ifindex) => {
                    let link = self.links(0).into_iter().find(|link| link.ifindex == ifindex);
                    Input::HostLink { ifindex, answer: link.map(Box::new).ok_or(LookFailure::Gone) }
                }
                Request::Locate(Locator::Pid(pid)) => {
                    let at = Location { netns: Located::Nsid(pid), cgroup: Some(self.cgroup(pid as usize)) };
                    Input::Located { locator: Locator::Pid(pid), answer: Ok(at) }
                }
                Request::Locate(locator) => Input::Located { locator, answer: Err(LookFailure::Gone) },
                Request::Claims(runtime) | Request::ClaimsOfNameless(runtime) => {
                    let rooms = (0..self.rooms.len()).filter(|&room| self.rooms[room].claimed);
                    let claims = rooms.map(|room| Claim {
                        owner: Workload::named(Runtime::Docker, format!("w{room}")),
                        locator: Locator::Pid(room as u32),
                        endpoints: Vec::<Endpoint>::new(),
                        members: Vec::new(),
                        started: Started::default(),
                    });
                    let claims = Claims { claims: claims.collect(), ..Claims::default() };
                    Input::Claims { runtime, answer: Some(Ok(claims)), took: Duration::ZERO }
                }
                Request::FinalSample(_) | Request::WatchExit(_) | Request::Tcp(_) | Request::Drops(_) => {
                    Input::FinalCounters(Vec::new())
                }
                Request::Barrier => Input::Barrier,
                Request::NewProcesses(nsids) => Input::NewProcesses { nsids, answer: Ok(Vec::new()) },
                Request::Search(nsids) => {
                    Input::Processes { nsids, answer: Ok(Vec::new()), took: Duration::ZERO }
                }
            };
            asked.extend(host.apply(input, now));
        }
    }

    /// The pairs that can be reached: from the host, or from a claimed room, over any number of pairs.
    fn reachable(&self) -> Vec<usize> {
        let mut rooms: BTreeSet<usize> =
            (0..self.rooms.len()).filter(|&r| r == 0 || self.rooms[r].claimed).collect();
        for _ in 0..self.rooms.len() {
            for [(a, _), (b, _)] in &self.pairs {
                if rooms.contains(a) || rooms.contains(b) {
                    rooms.extend([*a, *b]);
                }
            }
        }
        (0..self.pairs.len()).filter(|&pair| rooms.contains(&self.pairs[pair][0].0)).collect()
    }

    /// Does `outer`'s cgroup hold `inner`'s?
    fn holds(&self, outer: usize, inner: usize) -> bool {
        self.cgroup(inner).starts_with(&format!("{}/", self.cgroup(outer)))
    }

    /// The four rules, one after the other; true for a port.
    fn is_port(&self, pair: usize, side: usize) -> bool {
        let (own, peer) = (self.pairs[pair][side].0, self.pairs[pair][1 - side].0);
        // (1) Both ends in one namespace: two ports.
        if own == peer {
            return true;
        }
        // (2) Host before unclaimed before workload.
        let rank = |room: usize| if room == 0 { 0 } else { 1 + i32::from(self.rooms[room].claimed) };
        if rank(own) != rank(peer) {
            return rank(own) < rank(peer);
        }
        // (3) Both unclaimed: two ports.
        if rank(own) == 1 {
            return true;
        }
        // (4) The outer of two workloads; else the only one on a bridge; else none.
        if self.holds(own, peer) || self.holds(peer, own) {
            return self.holds(own, peer);
        }
        self.switched(pair, side) && !self.switched(pair, 1 - side)
    }

    /// Returns both ends of each pair: device, room and role, the lesser first.
    fn wanted(&self) -> BTreeSet<[(String, usize, bool); 2]> {
        let end = |pair, side| (device(pair, side), self.pairs[pair][side].0, self.is_port(pair, side));
        let sorted = |mut ends: [_; 2]| {
            ends.sort();
            ends
        };
        self.reachable().into_iter().map(|pair| sorted([end(pair, 0), end(pair, 1)])).collect()
    }
}

fn name(text: &str) -> Name {
    Name::from_bytes(text.as_bytes()).unwrap()
}

fn device(pair: usize, side: usize) -> String {
    format!("v{pair}.{side}")
}

proptest! {
    #[test]
    fn pairs_and_roles_are_those_of_the_obvious_implementation(truth in truths()) {
        let mut host = Host::new(Config { retention: SECOND, hold_back: Duration::ZERO, leaving: SECOND, peak_window: SECOND, learning: Learning::Polling, gather: Duration::ZERO, resync: Duration::from_secs(300), processes: true, pods: false, filter: Default::default(), limits: Default::default(), sockets: Default::default() }, [Runtime::Docker]);
        truth.show_to(&mut host);
        let scene = host.view().unwrap().scene;
        let found: BTreeSet<_> = scene.pairs.iter().map(|pair| {
            let mut ends = pair.sides.clone().map(|side| {
                let room = side.end.netns.nsid().map_or(0, |nsid| nsid as usize);
                (side.link.unwrap().name.to_string(), room, side.role == Role::Port)
            });
            ends.sort();
            ends
        }).collect();
        prop_assert_eq!(found, truth.wanted());
        prop_assert_eq!(&scene.single, &vec![]);
        // Every interface has an owner's label set, no port has one.
        for side in scene.pairs.iter().flat_map(|pair| &pair.sides) {
            prop_assert_eq!(side.labels.is_some(), side.role == Role::Interface);
        }
        // No two namespaces have one name.
        let names: BTreeMap<_, _> =
            scene.pairs.iter().flat_map(|pair| &pair.sides).map(|side| (side.end.netns, side.netns.clone())).collect();
        prop_assert_eq!(names.values().collect::<BTreeSet<_>>().len(), names.len());
    }
}
