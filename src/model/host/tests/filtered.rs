//! Filters: a pair that the user does not want to see is in no scene, and is counted all the same.

use super::*;
use crate::model::event::Event;
use crate::model::filter::{Choice, Filter};
use crate::model::view::View;

fn all_but(hidden: &'static str) -> Choice {
    Choice::AllBut(Arc::new(move |name| name == hidden))
}

fn filtered(filter: Filter) -> Host {
    let mut host = new_host();
    host.config.filter = filter;
    host
}

/// Three ticks over `web` behind 10 and `db` behind 11; each port receives 1 kB a tick.
fn three_ticks(filter: Filter) -> View {
    let mut world = World::with_containers(&[(1, 10), (2, 11)]);
    world.docker_says(&[("web", 7, 10), ("db", 8, 11)]);
    world.pids = [(7, Located::Nsid(1)), (8, Located::Nsid(2))].into();
    let mut host = filtered(filter);
    for tick in 1..4 {
        world.tick(&mut host, NOW + tick * SECOND);
        let seen = bytes(0, 1_000 * u64::from(tick));
        sample(&mut host, &[(10, seen), (11, seen)]);
    }
    host.view().unwrap()
}

fn shown_ports(view: &View) -> Vec<String> {
    let ports = view.scene.pairs.iter().flat_map(|pair| pair.ports());
    ports
        .filter(|(_, port, _)| !port.hidden)
        .map(|(_, port, _)| port.link.unwrap().name.to_string())
        .collect()
}

#[test]
fn a_hidden_container_has_no_device_no_totals_and_no_line_of_information_and_its_network_stays_whole() {
    let all = three_ticks(Filter::default());
    let view = three_ticks(Filter { containers: all_but("web"), ..Filter::default() });
    assert_eq!((shown_ports(&all).len(), shown_ports(&view)), (2, vec!["veth11".to_owned()]));
    let containers: Vec<&str> = view.scene.workloads.iter().map(|labels| labels.container.as_str()).collect();
    assert_eq!(containers, ["db"]);
    let ownerships: Vec<&str> =
        view.scene.ownerships.iter().map(|ownership| ownership.owner.name.as_str()).collect();
    assert_eq!(ownerships, ["db"]);
    assert_eq!((view.samples.len(), view.workloads.len(), view.peaks.len()), (1, 1, 1));
    let db = all.scene.workloads.iter().position(|labels| labels.container == "db").unwrap();
    assert_eq!(view.workloads, [all.workloads[db]]);
    assert_eq!(view.networks, all.networks);
    assert!(view.networks.traffic[0].transmit.bytes >= 4_000, "both containers': {:?}", view.networks);
}

#[test]
fn a_hidden_device_hides_no_container() {
    for devices in [all_but("veth10"), Choice::Nothing] {
        let expected = if matches!(devices, Choice::Nothing) { vec![] } else { vec!["veth11"] };
        let view = three_ticks(Filter { devices, ..Filter::default() });
        assert_eq!(shown_ports(&view), expected);
        assert_eq!((view.scene.workloads.len(), view.scene.ownerships.len()), (2, 2));
    }
}

#[test]
fn the_devices_of_nobody_are_no_containers() {
    let mut world = World::with_containers(&[(1, 10)]);
    world.host_links().extend([veth(20, 21, PeerNetns::Same), veth(21, 20, PeerNetns::Same)]);
    let mut host = filtered(Filter { containers: Choice::Nothing, ..Filter::default() });
    for tick in 1..30 {
        world.tick(&mut host, NOW + tick * SECOND);
    }
    let view = host.view().unwrap();
    assert_eq!(shown_ports(&view), ["veth10", "veth20", "veth21"]);
    assert_eq!(view.scene.workloads.len(), 1, "what is nobody's: {:?}", view.scene.workloads);
}

#[test]
fn a_namespace_is_not_read_for_a_hidden_pair_that_no_network_counts() {
    // Both ends off the host, in two containers: one straight to the other.
    let mut world = World::with_containers(&[(1, 10), (2, 11)]);
    let link = |ifindex, nsid| veth(ifindex, ifindex, PeerNetns::Nsid(nsid));
    for (nsid, peer) in [(1, 2), (2, 1)] {
        world.links.get_mut(&Some(nsid)).unwrap().as_mut().unwrap().push(link(30, peer));
    }
    world.docker_says(&[("web", 7, 10), ("db", 8, 11)]);
    world.pids = [(7, Located::Nsid(1)), (8, Located::Nsid(2))].into();
    for (containers, read) in [(Choice::All, 1), (all_but("web"), 1), (Choice::Nothing, 0)] {
        let mut host = host_learning(Learning::Events);
        host.config.filter = Filter { containers, ..Filter::default() };
        for tick in 1..4 {
            world.tick(&mut host, NOW + tick * SECOND);
            world.tell(&mut host, Input::Wake, NOW + tick * SECOND);
        }
        let asked = host.apply(Input::Tick, NOW + 5 * SECOND);
        let links = asked.iter().filter(|request| matches!(request, Request::Links { .. })).count();
        assert_eq!(links, read, "{:?}: {asked:?}", host.config.filter);
    }
}

#[test]
fn links_that_are_no_veths_are_read_when_somebody_wants_them_and_only_where_there_are_any() {
    let mut world = World::with_containers(&[(1, 10), (2, 11)]);
    let macvlan =
        |bytes| Link { ifindex: 3, name: name("eth1"), counters: super::bytes(bytes, 0), ..Link::default() };
    let lo = Link { ifindex: 1, name: name("lo"), ..Link::default() };
    world.links.get_mut(&Some(1)).unwrap().as_mut().unwrap().extend([lo, macvlan(5)]);
    world.docker_says(&[("web", 7, 10), ("db", 8, 11)]);
    world.pids = [(7, Located::Nsid(1)), (8, Located::Nsid(2))].into();
    let mut host = host_learning(Learning::Events);
    for tick in 1..4 {
        world.tick(&mut host, NOW + tick * SECOND);
        world.tell(&mut host, Input::Wake, NOW + tick * SECOND);
    }
    let others: Vec<String> =
        host.view().unwrap().scene.others.iter().map(|other| other.name.to_string()).collect();
    assert_eq!(others, ["eth1"]);
    *world.links.get_mut(&Some(1)).unwrap().as_mut().unwrap().last_mut().unwrap() = macvlan(9);
    let asked = host.apply(Input::ReadOthers, NOW + 5 * SECOND);
    assert_eq!(asked, [Request::Links { nsid: Some(1) }]);
    assert!(host.awaits_others());
    let scene = host.view().unwrap().scene;
    let Input::Links { nsid, answer: Ok(mut links) } = world.answer(asked[0].clone()) else { panic!() };
    let errors = Errors { receive: 1, transmit: 2 };
    links.errors.push((3, errors));
    host.apply(Input::Links { nsid, answer: Ok(links) }, NOW + 5 * SECOND);
    assert!(!host.awaits_others());
    let view = host.view().unwrap();
    assert_eq!(view.for_scrapes.others, [(super::bytes(9, 0), errors)]);
    assert!(Arc::ptr_eq(&view.scene, &scene), "nothing but a number has changed");
    // The id is taken back while it is being read: no request waits for that.
    host.apply(Input::ReadOthers, NOW + 6 * SECOND);
    host.apply(Input::Events(vec![Event::DeletedNsid(1)]), NOW + 6 * SECOND);
    assert!(!host.awaits_others());
}
