//! Networks: what engines report of them, the addresses that are used in them, and their members.

use super::*;
use crate::model::pools::{AddressPool, Subnet, SubnetGateway};
use crate::model::series::{OF_A_NETWORK, OF_A_POOL};
use crate::model::view::NetworkNumbers;
use crate::model::workload::{GivenAddress, LifeAction};
use std::net::Ipv4Addr;

fn network(title: &str, id: &str, subnets: &[&str]) -> Network {
    let pool = |subnet: &&str| AddressPool {
        subnet: Subnet::parse(subnet).unwrap(),
        range: None,
        gateway: SubnetGateway::First,
        auxiliary: Vec::new(),
    };
    Network {
        name: title.into(),
        id: id.into(),
        bridge: Some(name("br-front")).filter(|_| title == "front"),
        driver: "bridge".into(),
        pools: subnets.iter().map(pool).collect(),
        is_counted: true,
        ..Network::default()
    }
}

/// Two containers on the network `front`, which Docker reports with these networks and addresses.
fn world(networks: Vec<Network>, given: &[(&str, &str)]) -> World {
    let mut world = World::with_containers(&[(1, 10), (2, 11)]);
    world.docker_says(&[("web", 7, 10), ("db", 8, 11)]);
    world.pids = [(7, Located::Nsid(1)), (8, Located::Nsid(2))].into();
    report(&mut world, networks, given);
    world
}

fn report(world: &mut World, networks: Vec<Network>, given: &[(&str, &str)]) {
    let claims = world.docker.as_mut().unwrap().as_mut().unwrap();
    claims.networks = networks;
    let given = given.iter().map(|(network, address)| GivenAddress {
        network: (*network).into(),
        address: address.parse().unwrap(),
        container: format!("id-{address}"),
    });
    claims.given = given.collect();
}

/// Each network that is reported, with its id.
fn reported(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let networks = view.scene.networks.reported.networks.iter();
    networks.map(|(_, network)| format!("{} {}", network.name, network.id)).collect()
}

/// Each pool: its network, its subnet, and how many of how many addresses are used.
fn pools(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let reported = &view.scene.networks.reported;
    assert_eq!(reported.pools.len(), view.networks.used.len());
    let pools = reported.pools.iter().zip(view.networks.used.iter());
    pools
        .map(|(pool, used)| {
            let used = used.map_or_else(|| "-".to_owned(), |used| used.to_string());
            let (_, network) = &reported.networks[pool.network];
            format!("{} {} {used}/{}", network.name, pool.subnet, pool.size)
        })
        .collect()
}

/// Each network with a total, with its members.
fn members(host: &Host) -> Vec<(String, u64)> {
    let view = host.view().unwrap();
    let labels = view.scene.networks.labels.iter().map(|labels| labels.network.clone());
    labels.zip(view.networks.members.iter().copied()).collect()
}

#[test]
fn a_network_has_what_its_engine_reports_the_used_addresses_and_its_members() {
    let networks = vec![network("front", "f1", &["10.0.0.0/29"]), network("idle", "i1", &["10.1.0.0/29"])];
    let world = world(networks, &[("front", "10.0.0.2"), ("front", "10.0.0.3")]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(reported(&host), ["front f1", "idle i1"]);
    assert_eq!(pools(&host), ["front 10.0.0.0/29 3/6", "idle 10.1.0.0/29 1/6"]);
    assert_eq!(members(&host), [("front".into(), 2), ("idle".into(), 0)]);
}

#[test]
fn where_only_the_used_addresses_change_the_scene_stays() {
    let mut world = world(vec![network("front", "f1", &["10.0.0.0/29"])], &[("front", "10.0.0.2")]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let before = host.view().unwrap();
    for tick in 1..4 {
        world.tick(&mut host, NOW + tick * SECOND);
    }
    let after = host.view().unwrap();
    assert!(Arc::ptr_eq(&before.scene, &after.scene));
    let NetworkNumbers { members, used, .. } = &after.networks;
    assert!(Arc::ptr_eq(&before.networks.used, used) && Arc::ptr_eq(&before.networks.members, members));
    report(
        &mut world,
        vec![network("front", "f1", &["10.0.0.0/29"])],
        &[("front", "10.0.0.2"), ("front", "10.0.0.3")],
    );
    world.tick(&mut host, NOW + 5 * SECOND);
    assert_eq!(pools(&host), ["front 10.0.0.0/29 3/6"]);
    assert!(Arc::ptr_eq(&before.scene, &host.view().unwrap().scene));
}

#[test]
fn a_network_that_is_made_anew_with_its_name_has_other_information_and_the_same_totals() {
    let mut world = world(vec![network("front", "f1", &["10.0.0.0/29"])], &[("front", "10.0.0.2")]);
    let mut host = new_host();
    for tick in 1..4 {
        world.tick(&mut host, NOW + tick * SECOND);
        sample(&mut host, &[(10, bytes(0, 1_000 * u64::from(tick)))]);
    }
    let before = host.view().unwrap();
    assert_eq!(before.networks.traffic[0].transmit.bytes, 3_000);
    report(&mut world, vec![], &[]);
    world.tick(&mut host, NOW + 5 * SECOND);
    assert!(reported(&host).is_empty() && pools(&host).is_empty());
    report(&mut world, vec![network("front", "f2", &["10.9.0.0/28"])], &[("front", "10.9.0.2")]);
    world.tick(&mut host, NOW + 6 * SECOND);
    assert_eq!(
        (reported(&host), pools(&host)),
        (vec!["front f2".into()], vec!["front 10.9.0.0/28 2/14".into()])
    );
    let after = host.view().unwrap();
    assert_eq!(after.networks.traffic, before.networks.traffic);
    assert_eq!(after.scene.networks.begun, before.scene.networks.begun);
}

#[test]
fn of_two_networks_with_one_name_that_with_the_lowest_id_is_shown() {
    let networks = vec![
        network("front", "f2", &["10.2.0.0/29"]),
        network("front", "f1", &["10.1.0.0/29"]),
        // A subnet that is reported twice, and two that overlap.
        network("odd", "o1", &["10.3.0.0/29", "10.3.0.0/29", "10.3.0.0/30"]),
    ];
    let world = world(networks, &[("front", "10.1.0.2"), ("front", "10.2.0.2"), ("odd", "10.3.0.2")]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!(reported(&host), ["front f1", "odd o1"]);
    assert_eq!(pools(&host), ["front 10.1.0.0/29 2/6", "odd 10.3.0.0/29 2/6", "odd 10.3.0.0/30 2/2"]);
    assert_eq!(members(&host).len(), 2);
}

#[test]
fn the_address_of_a_container_that_has_ended_is_free_although_its_engine_still_lists_it() {
    let networks = || vec![network("front", "f1", &["10.0.0.0/29"])];
    let given = [("front", "10.0.0.2"), ("front", "10.0.0.3")];
    let mut world = world(networks(), &given);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let life = |action| {
        let workload = Workload { id: "id-10.0.0.2".into(), ..Workload::named(Runtime::Docker, "web") };
        Input::Lives(vec![LifeChange { workload, action }])
    };
    let ended = LifeAction::Ended { exit_code: Some(0) };
    // The lists of these seconds have the container: the first just after its end, the second when a start
    // was missed.
    for (second, action, used) in [
        (1, Some(ended), 2),
        (2, None, 2),
        (3, Some(LifeAction::Started), 3),
        (4, Some(ended), 2),
        (20, None, 3),
    ] {
        let now = NOW + second * SECOND;
        if let Some(action) = action {
            world.tell(&mut host, life(action), now);
        }
        world.tick(&mut host, now);
        assert_eq!(pools(&host), [format!("front 10.0.0.0/29 {used}/6")], "at {second} s");
    }
    // The end comes before the first list that has the container.
    report(&mut world, networks(), &given[1..]);
    world.tick(&mut host, NOW + 21 * SECOND);
    world.tell(&mut host, life(ended), NOW + 22 * SECOND);
    report(&mut world, networks(), &given);
    world.tick(&mut host, NOW + 23 * SECOND);
    assert_eq!(pools(&host), ["front 10.0.0.0/29 2/6"]);
}

#[test]
fn an_overlay_network_has_a_size_and_no_number_of_used_addresses() {
    let overlay =
        Network { driver: "overlay".into(), is_counted: false, ..network("ov", "o", &["10.0.1.0/24"]) };
    let mut host = new_host();
    world(vec![overlay], &[("ov", "10.0.1.2")]).tick(&mut host, NOW);
    assert_eq!(pools(&host), ["ov 10.0.1.0/24 -/254"]);
}

#[test]
fn containers_on_a_network_without_veths_are_members_of_it() {
    let lan = Network { driver: "macvlan".into(), bridge: None, ..network("lan", "l", &["10.4.0.0/29"]) };
    let mut world = world(vec![lan], &[("lan", "10.4.0.2")]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert!(members(&host).contains(&("lan".into(), 0)));
    let printer = Claim {
        owner: Workload { id: "id-printer".into(), ..Workload::named(Runtime::Docker, "printer") },
        locator: Locator::Pid(9),
        endpoints: vec![Endpoint { network: "lan".into(), address: None, interface: String::new() }],
        members: Vec::new(),
        started: Started::default(),
    };
    world.docker.as_mut().unwrap().as_mut().unwrap().claims.push(printer);
    world.tick(&mut host, NOW + SECOND);
    assert!(members(&host).contains(&("lan".into(), 1)), "{:?}", members(&host));
    assert_eq!(pools(&host), ["lan 10.4.0.0/29 2/6"]);
}

#[test]
fn an_engine_that_does_not_list_its_networks_has_members_and_no_information() {
    let mut host = new_host();
    world(vec![], &[("front", "10.0.0.2")]).tick(&mut host, NOW);
    assert!(reported(&host).is_empty() && pools(&host).is_empty());
    assert_eq!(members(&host), [("front".into(), 2)]);
}

#[test]
fn networks_beyond_the_limit_are_one_with_the_members_of_all_and_without_information() {
    let networks: Vec<Network> =
        (0..9).map(|n| network(&format!("a{n}"), "", &[&format!("10.{n}.0.0/29")])).collect();
    let mut all = networks.clone();
    all.push(network("front", "f1", &["10.99.0.0/29"]));
    let world = world(all, &[("a1", "10.1.0.2"), ("front", "10.99.0.2")]);
    let mut host = new_host();
    // Room for five networks, and for all else.
    host.config.limits.series = 10 * 5 * OF_A_NETWORK;
    world.tick(&mut host, NOW);
    // The traffic of containers comes before the networks that nothing is on.
    assert_eq!(reported(&host), ["a0 ", "a1 ", "a2 ", "a3 ", "front f1"]);
    assert_eq!(pools(&host).len(), 5);
    assert_eq!(members(&host).last().unwrap().0, "other");
    assert_eq!(members(&host).iter().map(|(_, members)| members).sum::<u64>(), 2);
}

#[test]
fn a_workload_counts_once_with_two_interfaces_and_if_the_filter_hides_it() {
    let mut world = world(vec![network("front", "f1", &[])], &[]);
    let port = Link { master: Some(2), ..veth(12, 3, PeerNetns::Nsid(1)) };
    world.host_links().push(port);
    let eth1 = Link { name: name("eth1"), ..veth(3, 12, PeerNetns::Host) };
    world.links.get_mut(&Some(1)).unwrap().as_mut().unwrap().push(eth1);
    let mut host = new_host();
    host.config.filter.containers = crate::model::filter::Choice::Nothing;
    for tick in 0..4 {
        world.tick(&mut host, NOW + tick * SECOND);
    }
    assert!(host.view().unwrap().scene.pairs.is_empty());
    assert_eq!(members(&host), [("front".into(), 2)]);
    world.kill(2, 11);
    world.docker_says(&[("web", 7, 10)]);
    for tick in 10..14 {
        world.tick(&mut host, NOW + tick * SECOND);
    }
    assert_eq!(members(&host), [("front".into(), 1)]);
}

#[test]
fn a_thousand_networks_are_a_list_that_a_tick_leaves_alone() {
    let subnet = |n: u32| format!("{}/24", Ipv4Addr::from_bits((10 << 24) + (n << 8)));
    let networks: Vec<Network> =
        (0..1_000).map(|n| network(&format!("n{n:03}"), "id", &[&subnet(n)])).collect();
    let given: Vec<(String, String)> = (0..1_000)
        .map(|n| (format!("n{n:03}"), Ipv4Addr::from_bits((10 << 24) + (n << 8) + 2).to_string()))
        .collect();
    let given: Vec<(&str, &str)> = given.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let world = world(networks, &given);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let first = host.view().unwrap();
    assert_eq!(first.scene.networks.reported.pools.len(), 1_000);
    assert!(first.networks.used.iter().all(|used| *used == Some(2)));
    world.tick(&mut host, NOW + SECOND);
    let second = host.view().unwrap();
    assert!(Arc::ptr_eq(&first.scene, &second.scene));
    assert!(Arc::ptr_eq(&first.networks.used, &second.networks.used));
    let series = host.status().series;
    assert!(series.shown >= 1_000 * OF_A_NETWORK && series.shown < 1_010 * OF_A_NETWORK, "{series:?}");
    assert_eq!(OF_A_NETWORK - OF_A_POOL, 8);
}
