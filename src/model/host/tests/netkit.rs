//! Pairs of the driver netkit, which counts each frame at both ends, and the masters of ends.

use super::live::{born, detached, ended, expect, hear, live_host, settle};
use super::*;
use crate::model::event::Event;

/// Returns an event with its link as one of a netkit. In mode l3 the link has no address.
fn netkit(event: Event, mode: &str) -> Event {
    let of_netkit = |link: Link| Link {
        kind: if link.kind == LinkKind::Veth { LinkKind::Netkit } else { link.kind },
        address: link.address.filter(|_| mode == "l2"),
        ..link
    };
    match event {
        Event::Link { source, link } => Event::Link { source, link: of_netkit(link) },
        Event::Unlink { source, link, moved } => Event::Unlink { source, link: of_netkit(link), moved },
        other => other,
    }
}

/// Returns the last events of a pair: each end has counted what it sent, and what it received.
fn counted_at_both_ends(nsid: u32, ifindex: u32, received: u64, sent: u64) -> [Event; 3] {
    ended(nsid, ifindex, received, sent).map(|event| match event {
        Event::Unlink { source: Some(nsid), link, moved } => {
            let link = Link { counters: bytes(sent, received), ..link };
            Event::Unlink { source: Some(nsid), link, moved }
        }
        Event::Unlink { source: None, link, moved } => {
            Event::Unlink { source: None, link: Link { counters: bytes(received, sent), ..link }, moved }
        }
        other => other,
    })
}

/// Returns a host with a netkit pair: eth0 of `nsid` 0 and its port 10.
fn host_with(mode: &str) -> (World, Host) {
    let (world, mut host) = live_host();
    hear(&mut host, born(0, 10).map(|event| netkit(event, mode)));
    (world, host)
}

#[test]
fn what_a_netkit_carried_is_counted_once_although_both_ends_count_it() {
    for mode in ["l2", "l3"] {
        let (world, mut host) = host_with(mode);
        sample(&mut host, &[(10, bytes(400, 60))]);
        hear(&mut host, counted_at_both_ends(0, 10, 500, 70).map(|event| netkit(event, mode)));
        settle(&world, &mut host);
        let carried: Vec<_> = totals(&host).into_iter().map(|(_, received, sent)| (received, sent)).collect();
        assert_eq!(carried, [(500, 70)], "{mode}");
        assert_eq!(host.status().corrections, 0, "{mode}");
    }
}

#[test]
fn the_port_of_a_netkit_that_died_with_its_namespace_has_all_that_was_carried() {
    for mode in ["l2", "l3"] {
        let (world, mut host) = host_with(mode);
        let [_, port, _] = counted_at_both_ends(0, 10, 500, 70).map(|event| netkit(event, mode));
        hear(&mut host, [Event::DeletedNsid(0), port]);
        settle(&world, &mut host);
        let carried: Vec<_> = totals(&host).into_iter().map(|(_, received, sent)| (received, sent)).collect();
        assert_eq!(carried, [(500, 70)], "{mode}");
    }
}

#[test]
fn an_interface_of_mode_l2_is_known_by_its_address() {
    for (mode, wanted) in [("l2", "veth10 docker/web/eth0/front"), ("l3", "veth10 unknown//eth0/front")] {
        let (world, mut host) = live_host();
        expect(&mut host, &[("web", 10, "br-front")], NOW);
        hear(&mut host, born(0, 10).map(|event| netkit(event, mode)));
        settle(&world, &mut host);
        assert_eq!(names(&host), [wanted], "{mode}");
    }
}

/// A program that redirects (NETKIT_REDIRECT) takes the frame past the port: the sending end alone counts it.
#[test]
fn what_is_redirected_past_the_port_is_read_at_the_interface_at_every_tick() {
    for (kind, past) in [(LinkKind::Netkit, true), (LinkKind::Veth, false)] {
        let mut world = World::with_containers(&[(0, 10)]);
        world.docker_says(&[("web", 700, 10)]);
        world.pids.insert(700, Located::Nsid(0));
        let of_kind = |links: &mut Vec<Link>| {
            links.iter_mut().filter(|link| link.kind == LinkKind::Veth).for_each(|link| link.kind = kind);
        };
        world.links.values_mut().flatten().for_each(of_kind);
        let mut host = host_learning(Learning::Events);
        // Every eighth tick reads the interface: it sends 1,000 bytes a second, and the port receives 10.
        for second in 0..20u64 {
            let sent = 1_000 * second;
            world.links.get_mut(&Some(0)).unwrap().as_mut().unwrap()[0].counters = bytes(sent, 0);
            world.tick(&mut host, NOW + u32::try_from(second).unwrap() * SECOND);
            sample(&mut host, &[(10, bytes(0, 10 * second))]);
        }
        assert_eq!(host.known.ledger.bypassed().count(), usize::from(past), "{kind:?}");
        if past {
            assert_eq!(totals(&host), [("web".to_owned(), 0, 19_000)]);
        }
    }
}

#[test]
fn a_netkit_without_a_peer_is_no_end_of_a_pair() {
    let (_, mut host) = live_host();
    let link = Link { kind: LinkKind::Other, ..detached(veth(10, 2, PeerNetns::Same)) };
    hear(&mut host, [Event::Link { source: None, link }]);
    let view = host.view().unwrap();
    assert_eq!((view.scene.single.len(), view.scene.ends.values().sum::<usize>()), (0, 0));
}

#[test]
fn a_port_has_the_name_and_the_driver_of_its_master_and_a_bridge_only_of_a_switch() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[("web", 700, 10)]);
    world.pids.insert(700, Located::Nsid(0));
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW);
    let shown = |host: &Host| {
        let side = &host.view().unwrap().scene.pairs[0].sides[0];
        let master = side.master.map(|master| (master.name.to_string(), master.kind.driver()));
        (master, side.bridge().map(|bridge| bridge.to_string()))
    };
    assert_eq!(shown(&host), (Some(("br-front".to_owned(), "bridge")), Some("br-front".to_owned())));
    let master = |text: &str, kind| Link { ifindex: 7, name: name(text), kind, ..Link::default() };
    let port = |master| Link { master, ..veth(10, 2, PeerNetns::Nsid(0)) };
    let links = [master("bond0", LinkKind::Bond), port(Some(7))];
    hear(&mut host, links.map(|link| Event::Link { source: None, link }));
    assert_eq!(shown(&host), (Some(("bond0".to_owned(), "bond")), None));
    hear(&mut host, [Event::Link { source: None, link: master("uplink", LinkKind::Bond) }]);
    assert_eq!(shown(&host), (Some(("uplink".to_owned(), "bond")), None));
    hear(&mut host, [Event::Link { source: None, link: port(None) }]);
    assert_eq!(shown(&host), (None, None));
}
