//! More pairs than there is room to show.

use super::*;
use crate::model::series::{OF_A_LABEL_SET, OF_A_NETWORK, OF_A_PORT, OF_AN_INFO};

/// Room for so many containers on one network.
fn room_for(containers: usize) -> Host {
    let mut host = new_host();
    host.config.limits.series = containers * (OF_A_PORT + OF_A_LABEL_SET + OF_AN_INFO) + OF_A_NETWORK;
    host
}

fn two_containers() -> World {
    let mut world = World::with_containers(&[(1, 10), (2, 11)]);
    world.docker_says(&[("web", 7, 10), ("db", 8, 11)]);
    world.pids = [(7, Located::Nsid(1)), (8, Located::Nsid(2))].into();
    world
}

#[test]
fn a_pair_that_there_is_no_room_for_is_in_no_scene_and_in_the_sums_of_the_rest() {
    let world = two_containers();
    let mut host = room_for(1);
    for tick in 1..4 {
        world.tick(&mut host, NOW + tick * SECOND);
        let seen = bytes(0, 1_000 * u64::from(tick));
        sample(&mut host, &[(10, seen), (11, seen)]);
    }
    let view = host.view().unwrap();
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    let containers: Vec<&str> = view.scene.workloads.iter().map(|labels| labels.container.as_str()).collect();
    assert_eq!(containers, ["other", "web"]);
    assert_eq!(view.workloads[0].transmit, view.workloads[1].transmit);
    assert_eq!(view.overflow.ports.unwrap().receive_bytes, view.workloads[0].transmit.bytes);
    assert_eq!((view.samples.len(), view.scene.ownerships.len()), (1, 1));
    let series = host.status().series;
    let of_a_pair = OF_A_PORT + OF_A_LABEL_SET + OF_AN_INFO;
    let shown = of_a_pair + OF_A_LABEL_SET + OF_A_NETWORK;
    assert_eq!((series.shown, series.summed), (shown, of_a_pair));
    assert!(series.is_limited());
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let world = two_containers();
    let (mut wide, mut just) = (new_host(), room_for(2));
    // A tenth of the series is for networks.
    just.config.limits.series = just.config.limits.series.max(10 * OF_A_NETWORK);
    for tick in 1..4 {
        for host in [&mut wide, &mut just] {
            world.tick(host, NOW + tick * SECOND);
            sample(host, &[(10, bytes(7, 8)), (11, bytes(9, 10))]);
        }
    }
    assert_eq!(wide.view().unwrap().scene, just.view().unwrap().scene);
    assert_eq!(totals(&wide), totals(&just));
    assert!(!just.status().series.is_limited());
}

#[test]
fn links_that_a_container_makes_besides_take_half_of_the_series_at_most_and_those_that_are_shown_stay() {
    let mut world = two_containers();
    let other = |ifindex: u32| Link {
        ifindex,
        name: name(&format!("mv{ifindex}")),
        kind: LinkKind::Other,
        ..Link::default()
    };
    let shown = |host: &Host| -> Vec<u32> {
        host.view().unwrap().scene.others.iter().map(|other| other.end.ifindex).collect()
    };
    let mut host = new_host();
    host.config.limits.series = 200;
    world.links.get_mut(&Some(2)).unwrap().as_mut().unwrap().extend((100..105).map(other));
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(shown(&host), [100, 101, 102, 103, 104]);
    world.links.get_mut(&Some(2)).unwrap().as_mut().unwrap().extend((10..60).map(other));
    world.tick(&mut host, NOW + 2 * SECOND);
    let after = shown(&host);
    assert_eq!(after.len(), 12);
    assert!((100..105).all(|ifindex| after.contains(&ifindex)), "{after:?}");
    assert_eq!(host.status().series.left_out, 43 * 8);
}

#[test]
fn further_interfaces_of_a_workload_are_summed_beyond_their_limit_and_that_is_noted() {
    for (limit, shown, crowded) in [(4, 4, true), (10, 10, true), (11, 10, false), (usize::MAX, 10, false)] {
        let mut world = World::with_containers(&[]);
        let inner: Vec<Link> = (0..10)
            .map(|n| {
                world.host_links().push(veth(10 + n, 2 + n, PeerNetns::Nsid(0)));
                Link { name: name(&format!("eth{n}")), ..veth(2 + n, 10 + n, PeerNetns::Host) }
            })
            .collect();
        world.links.insert(Some(0), Ok(inner));
        world.named = Some(Ok(Claims::default()));
        let mut host = new_host();
        host.config.limits.interfaces = limit;
        host.config.processes = false;
        world.tick(&mut host, NOW);
        world.tick(&mut host, NOW + 2 * SECOND);
        let view = host.view().unwrap();
        let interfaces: BTreeSet<&str> =
            view.scene.workloads.iter().map(|labels| labels.interface.as_str()).collect();
        assert_eq!((interfaces.len(), interfaces.contains("other")), (shown, crowded), "{limit}");
        assert_eq!(host.status().series.crowded, crowded, "{limit}");
    }
}
