use super::*;
use crate::model::link::{LinkKind, Name};
use std::collections::HashMap;

const HOST: NetnsId = NetnsId::Host;

fn other(nsid: u32) -> NetnsId {
    NetnsId::Other { nsid, generation: 0 }
}

fn veth(ifindex: u32, iflink: u32, peer_netns: PeerNetns) -> Link {
    let name = Name::from_bytes(format!("v{ifindex}").as_bytes()).unwrap();
    Link { ifindex, name, kind: LinkKind::Veth, iflink: Some(iflink), peer_netns, ..Link::default() }
}

fn seen(netns: NetnsId, links: impl IntoIterator<Item = Link>) -> (NetnsId, Inside) {
    (netns, Inside::Seen(links.into_iter().map(|link| (link.ifindex, Box::new(link))).collect()))
}

/// Returns the two ends of each pair, as (nsid or host, ifindex).
fn ends(pairing: &Pairing) -> Vec<[(Option<u32>, u32); 2]> {
    let end = |end: End| (end.netns.nsid(), end.ifindex);
    pairing.pairs().map(|ends| ends.map(end)).collect()
}

fn reasons(pairing: &Pairing) -> Vec<(u32, EndState)> {
    pairing.single().iter().map(|(end, why)| (end.ifindex, *why)).collect()
}

/// The namespaces and their links as they are in the kernel.
struct World<'a> {
    namespaces: &'a Namespaces,
    ids: HashMap<u32, NetnsId>,
}

impl LinkLookup for World<'_> {
    fn pair_end(&self, end: End) -> Option<&Link> {
        match self.namespaces.get(&end.netns)? {
            Inside::Seen(links) => links.get(&end.ifindex).map(Box::as_ref),
            Inside::Denied => None,
        }
        .filter(|link| link.kind.is_pair_end())
    }

    fn netns_of(&self, nsid: u32) -> Option<NetnsId> {
        self.ids.get(&nsid).copied()
    }

    fn is_denied(&self, netns: NetnsId) -> bool {
        self.namespaces.get(&netns) == Some(&Inside::Denied)
    }
}

/// Pairs all links at once.
pub(in crate::model) fn pair(namespaces: &Namespaces) -> Pairing {
    let ids = namespaces.keys().filter_map(|&netns| Some((netns.nsid()?, netns))).collect();
    let ends = namespaces.iter().flat_map(|(&netns, inside)| match inside {
        Inside::Seen(links) => links.keys().map(|&ifindex| End { netns, ifindex }).collect(),
        Inside::Denied => Vec::new(),
    });
    let mut pairing = Pairing::default();
    pairing.pair_ends(&ends.collect(), &World { namespaces, ids });
    pairing
}

fn state(pairing: &Pairing, world: &Namespaces) -> EndState {
    let links = World { namespaces: world, ids: HashMap::new() };
    let ends = pairing.pairs().next().unwrap();
    Pair { sides: ends.map(|end| Side { end, link: links.pair_end(end).copied() }) }.state()
}

#[test]
fn a_container_is_joined_to_its_device_on_the_host() {
    let world = Namespaces::from([
        seen(HOST, [veth(18, 3, PeerNetns::Nsid(4))]),
        seen(other(4), [veth(3, 18, PeerNetns::Host)]),
    ]);
    let pairing = pair(&world);
    assert_eq!(ends(&pairing), [[(None, 18), (Some(4), 3)]]);
    assert_eq!(state(&pairing, &world), EndState::Paired);
    assert_eq!(reasons(&pairing), []);
}

#[test]
fn twenty_containers_whose_eth0_have_one_ifindex_are_told_apart() {
    let host = seen(HOST, (0..20).map(|n| veth(100 + n, 2, PeerNetns::Nsid(n))));
    let inside = (0..20).map(|n| seen(other(n), [veth(2, 100 + n, PeerNetns::Host)]));
    let pairing = pair(&inside.chain([host]).collect());
    let wanted: Vec<_> = (0..20).map(|n| [(None, 100 + n), (Some(n), 2)]).collect();
    assert_eq!(ends(&pairing), wanted);
}

#[test]
fn two_ends_on_the_host_are_one_pair() {
    let world = Namespaces::from([seen(HOST, [veth(6, 5, PeerNetns::Same), veth(5, 6, PeerNetns::Same)])]);
    assert_eq!(ends(&pair(&world)), [[(None, 5), (None, 6)]]);
}

#[test]
fn a_pair_without_an_end_on_the_host_is_found() {
    let world = Namespaces::from([
        seen(HOST, []),
        seen(other(1), [veth(3, 3, PeerNetns::Nsid(2))]),
        seen(other(2), [veth(3, 3, PeerNetns::Nsid(1))]),
    ]);
    assert_eq!(ends(&pair(&world)), [[(Some(1), 3), (Some(2), 3)]]);
}

#[test]
fn a_namespace_that_may_not_be_seen_hides_the_peer_and_not_the_pair() {
    let world = Namespaces::from([seen(HOST, [veth(18, 3, PeerNetns::Nsid(4))]), (other(4), Inside::Denied)]);
    let pairing = pair(&world);
    assert_eq!(ends(&pairing), [[(None, 18), (Some(4), 3)]]);
    assert_eq!(state(&pairing, &world), EndState::PeerHidden);
}

#[test]
fn an_end_without_a_pair_says_why() {
    let unpaired = Link { iflink: None, ..veth(1, 1, PeerNetns::Same) };
    let world = Namespaces::from([
        seen(
            HOST,
            [
                unpaired,
                veth(2, 2, PeerNetns::Same),       // names itself: no kernel does
                veth(3, 9, PeerNetns::Same),       // 9 is not there
                veth(4, 9, PeerNetns::Nsid(7)),    // namespace 7 is not there
                veth(5, 9, PeerNetns::Unassigned), // dying
                veth(6, 7, PeerNetns::Same),       // 7 names 8
                veth(7, 8, PeerNetns::Same),
                veth(8, 7, PeerNetns::Same),
                veth(10, 3, PeerNetns::Nsid(1)), // 3 in namespace 1 names another of the host
            ],
        ),
        seen(other(1), [veth(3, 11, PeerNetns::Host)]),
    ]);
    let pairing = pair(&world);
    assert_eq!(ends(&pairing), [[(None, 7), (None, 8)]]);
    use EndState::*;
    assert_eq!(
        reasons(&pairing),
        [
            (1, Unlinked),
            (2, Unlinked),
            (3, PeerMissing),
            (4, PeerMissing),
            (5, PeerNetnsUnknown),
            (6, Contradicted),
            (10, Contradicted),
            (3, PeerMissing), // in namespace 1: 11 is not on the host
        ]
    );
}

#[test]
fn only_veths_are_paired() {
    let vlan = Link { kind: LinkKind::Other, ..veth(3, 2, PeerNetns::Same) };
    let world = Namespaces::from([seen(HOST, [vlan])]);
    assert_eq!(pair(&world), Pairing::default());
}

#[test]
fn roles_go_by_place_then_by_switch() {
    use OwnerKind::{Host, Unclaimed, Workload};
    use Role::{Interface, Port};
    let pair = |a, b| Pair {
        sides: [
            Side { end: End { netns: a, ifindex: 1 }, link: None },
            Side { end: End { netns: b, ifindex: 2 }, link: None },
        ],
    };
    let (one, two) = (other(1), other(2));
    for (sides, owner_kinds, switched, wanted) in [
        (pair(HOST, HOST), [Host, Host], [true, false], [Port, Port]),
        (pair(one, one), [Workload, Workload], [true, false], [Port, Port]),
        (pair(HOST, one), [Host, Workload], [false, true], [Port, Interface]),
        (pair(HOST, one), [Host, Unclaimed], [false, false], [Port, Interface]),
        (pair(one, two), [Unclaimed, Workload], [false, true], [Port, Interface]),
        (pair(one, two), [Workload, Unclaimed], [false, false], [Interface, Port]),
        (pair(one, two), [Unclaimed, Unclaimed], [true, false], [Port, Port]),
        (pair(one, two), [Workload, Workload], [true, false], [Port, Interface]),
        (pair(one, two), [Workload, Workload], [false, true], [Interface, Port]),
        (pair(one, two), [Workload, Workload], [true, true], [Interface, Interface]),
        (pair(one, two), [Workload, Workload], [false, false], [Interface, Interface]),
    ] {
        assert_eq!(roles(&sides, owner_kinds, None, switched), wanted, "{owner_kinds:?} {switched:?}");
    }
}

#[test]
fn of_two_workloads_the_outer_ones_end_is_the_port_whatever_its_master() {
    let side = |nsid| Side { end: End { netns: other(nsid), ifindex: 1 }, link: None };
    let nested = Pair { sides: [side(1), side(2)] };
    for switched in [[false, false], [true, false], [false, true]] {
        let both = [OwnerKind::Workload; 2];
        assert_eq!(roles(&nested, both, Some(0), switched), [Role::Port, Role::Interface]);
        assert_eq!(roles(&nested, both, Some(1), switched), [Role::Interface, Role::Port]);
    }
}

#[test]
fn an_end_that_cannot_say_where_its_peer_is_is_found_by_it() {
    // In namespace 4, the end 3 comes from an event of that namespace, the end 6 from a dump.
    let world = Namespaces::from([
        seen(HOST, [veth(18, 3, PeerNetns::Nsid(4))]),
        seen(other(2), [veth(5, 6, PeerNetns::Elsewhere)]),
        seen(other(4), [veth(3, 18, PeerNetns::Elsewhere), veth(6, 5, PeerNetns::Nsid(2))]),
        seen(other(7), [veth(9, 9, PeerNetns::Elsewhere)]),
    ]);
    let pairing = pair(&world);
    assert_eq!(ends(&pairing), [[(None, 18), (Some(4), 3)], [(Some(2), 5), (Some(4), 6)]]);
    assert_eq!(reasons(&pairing), [(9, EndState::PeerNetnsUnknown)]);
}

#[test]
fn the_end_that_was_announced_before_it_had_a_peer_is_paired_by_the_other() {
    let first = Link { iflink: None, ..veth(5, 0, PeerNetns::Same) };
    let world = Namespaces::from([seen(HOST, [first, veth(6, 5, PeerNetns::Same)])]);
    let pairing = pair(&world);
    assert_eq!(ends(&pairing), [[(None, 5), (None, 6)]]);
    assert_eq!(reasons(&pairing), []);
}
