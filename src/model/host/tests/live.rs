//! Events, and what becomes of them whatever else comes between.

use super::*;
use crate::model::device_table::DeviceTable;
use crate::model::event::Event;
use crate::model::workload::Expected;
use proptest::prelude::*;

/// A host with a bridge and no pair, of which every event is heard; and what answers for it.
pub(super) fn live_host() -> (World, Host) {
    let mut world = World::with_containers(&[]);
    world.docker_says(&[]);
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW - SECOND);
    assert!(host.is_ready());
    (world, host)
}

/// Tells events one by one, and answers nothing that is asked because of them.
pub(super) fn hear(host: &mut Host, events: impl IntoIterator<Item = Event>) -> Vec<Request> {
    events.into_iter().flat_map(|event| host.apply(Input::Events(vec![event]), NOW)).collect()
}

/// The engine has connected these (name, ifindex of the port, bridge): their MAC addresses are known.
pub(super) fn expect(host: &mut Host, containers: &[(&str, u32, &str)], now: Duration) {
    let expected = containers.iter().map(|&(container, port, bridge)| Expected {
        workload: Workload::named(Runtime::Docker, container),
        network: "front".into(),
        address: mac(port),
        bridge: Some(name(bridge)),
    });
    let told =
        Input::Expected { runtime: Runtime::Docker, expected: expected.collect(), containers: Vec::new() };
    host.apply(told, now);
}

/// The engine has made this container, which has not started yet.
pub(super) fn create(host: &mut Host, container: &str, id: &str, now: Duration) -> Vec<Request> {
    let workload = Workload { id: id.into(), ..Workload::named(Runtime::Docker, container) };
    let told = Input::Expected { runtime: Runtime::Docker, expected: Vec::new(), containers: vec![workload] };
    host.apply(told, now)
}

pub(super) const ID: &str = "4a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c4";
pub(super) const CGROUP: &str = "/docker/4a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c44a35b0c4";

pub(super) fn port(ifindex: u32, peer: u32, peer_netns: PeerNetns, counters: Counters) -> Link {
    Link { master: Some(2), counters, ..veth(ifindex, peer, peer_netns) }
}

/// Returns an interface as an event of its own namespace has it: the id of the peer's namespace is an id of
/// that namespace.
pub(super) fn eth0(ifindex: u32, port: u32, counters: Counters) -> Link {
    let link = veth(ifindex, port, PeerNetns::Elsewhere);
    Link { name: name("eth0"), address: Some(mac(port)), up: true, counters, ..link }
}

/// Takes the peer of a link away, as the kernel does when the peer is gone.
pub(super) fn detached(link: Link) -> Link {
    Link { iflink: None, peer_netns: PeerNetns::Same, ..link }
}

/// Returns the first events of a namespace with an eth0 (ifindex 2) and its port `ifindex`.
pub(super) fn born(nsid: u32, ifindex: u32) -> [Event; 4] {
    let none = Counters::default();
    [
        Event::NewNsid(nsid),
        Event::Link { source: None, link: detached(port(ifindex, 2, PeerNetns::Same, none)) },
        Event::Link { source: Some(nsid), link: eth0(2, ifindex, none) },
        Event::Link { source: None, link: port(ifindex, 2, PeerNetns::Nsid(nsid), none) },
    ]
}

/// Returns the same where eth0 is made inside: its event comes first, before it has a peer.
pub(super) fn born_inside(nsid: u32, ifindex: u32) -> [Event; 3] {
    let none = Counters::default();
    [
        Event::NewNsid(nsid),
        Event::Link { source: Some(nsid), link: detached(eth0(2, ifindex, none)) },
        Event::Link { source: None, link: port(ifindex, 2, PeerNetns::Nsid(nsid), none) },
    ]
}

/// Returns the events of an orderly end: eth0 goes first, and each end's last message has what that end
/// itself has counted.
pub(super) fn ended(nsid: u32, ifindex: u32, received: u64, sent: u64) -> [Event; 3] {
    let [inner, outer] = [sent, received].map(|own| bytes(own, 0));
    [
        Event::Unlink { source: Some(nsid), link: detached(eth0(2, ifindex, inner)), moved: false },
        Event::Unlink {
            source: None,
            link: detached(port(ifindex, 2, PeerNetns::Same, outer)),
            moved: false,
        },
        Event::DeletedNsid(nsid),
    ]
}

/// Lets the time pass in which a runtime may name an end.
pub(super) fn settle(world: &World, host: &mut Host) {
    for second in 1..4 {
        world.tick(host, NOW + second * SECOND);
    }
}

#[test]
fn what_was_born_and_died_before_anything_was_answered_is_booked_to_the_byte() {
    let (world, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    hear(&mut host, ended(0, 10, 500, 70));
    assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
    assert_eq!(host.view().unwrap().scene.ends.values().sum::<usize>(), 0);
    settle(&world, &mut host);
    assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
    assert_eq!(host.status().corrections, 0);
}

#[test]
fn a_pair_whose_ends_arrive_with_a_history_counts_what_comes_from_then_on() {
    // Both ends were moved here at once, or came from where they could not be seen.
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    let link = |received, sent| Event::Link {
        source: None,
        link: port(10, 2, PeerNetns::Nsid(0), bytes(received, sent)),
    };
    let inner = Event::Link { source: Some(0), link: eth0(2, 10, bytes(70, 5_000_000)) };
    hear(&mut host, [Event::NewNsid(0), link(5_000_000, 70), inner]);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    assert_eq!(totals(&host), [("web".to_owned(), 0, 0)]);
    hear(&mut host, [link(5_000_100, 75)]);
    assert_eq!(totals(&host), [("web".to_owned(), 100, 5)]);
}

#[test]
fn an_interface_that_has_its_carrier_and_is_not_said_to_be_up_yet_has_its_last_name() {
    for early in [false, true] {
        let (_, mut host) = live_host();
        if early {
            expect(&mut host, &[("web", 10, "br-front")], NOW);
        }
        create(&mut host, "other", "0", NOW);
        let inner = |text: &str, carrier_changes| Link {
            name: name(text),
            carrier_changes,
            ..eth0(2, 10, Counters::default())
        };
        let port = port(10, 2, PeerNetns::Nsid(0), Counters::default());
        let heard = |link: Link| Event::Link { source: Some(0), link };
        let moved_in = [Event::NewNsid(0), Event::Link { source: None, link: port }];
        hear(&mut host, moved_in.into_iter().chain([heard(inner("veth58e", 1)), heard(inner("eth0", 1))]));
        hear(&mut host, [heard(inner("eth0", 2))]);
        expect(&mut host, &[("web", 10, "br-front")], NOW);
        assert_eq!(names(&host), ["veth10 docker/web/eth0/front"], "early: {early}");
        let view = host.view().unwrap();
        assert_eq!(view.scene.workloads.iter().map(|set| &*set.interface).collect::<Vec<_>>(), ["eth0"]);
    }
}

/// The engine takes it down and renames it before it takes it away, and reports the owner only then.
#[test]
fn an_interface_that_was_renamed_to_be_taken_away_before_its_owner_was_known_has_the_name_that_it_had() {
    for late in [false, true] {
        let (_, mut host) = live_host();
        create(&mut host, "other", "0", NOW);
        hear(&mut host, born(0, 10));
        let link = |text: &str, up, carrier_changes| Event::Link {
            source: Some(0),
            link: Link { name: name(text), up, carrier_changes, ..eth0(2, 10, Counters::default()) },
        };
        // Moved in under another name, renamed while it is down, up; down, renamed.
        hear(&mut host, [link("veth58e", false, 1), link("eth0", false, 1), link("eth0", true, 2)]);
        hear(&mut host, [link("eth0", false, 3), link("veth58e", false, 3)]);
        if late {
            hear(&mut host, ended(0, 10, 500, 70));
        }
        expect(&mut host, &[("web", 10, "br-front")], NOW);
        if !late {
            hear(&mut host, ended(0, 10, 500, 70));
        }
        let view = host.view().unwrap();
        let sets: Vec<_> =
            view.scene.workloads.iter().map(|set| (&*set.container, &*set.interface)).collect();
        assert_eq!(sets, [("web", "eth0")], "late: {late}");
        assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
    }
}

/// An exporter that stands still for a moment hears a whole life at once, or its end together with what is
/// read of the namespace when the interface is renamed and down.
#[test]
fn a_life_that_is_heard_at_once_has_the_name_that_the_interface_had_while_it_was_up() {
    let link = |text: &str, up, carrier_changes| Event::Link {
        source: Some(0),
        link: Link { name: name(text), up, carrier_changes, ..eth0(2, 10, Counters::default()) },
    };
    let port = || Event::Link { source: None, link: port(10, 2, PeerNetns::Nsid(0), Counters::default()) };
    let prepared = || vec![Event::NewNsid(0), port(), link("veth58e", false, 1), link("eth0", false, 1)];
    // Operstate follows the carrier, and may come too late.
    let up = || vec![link("eth0", false, 2), link("eth0", true, 2)];
    let carrier = || vec![link("eth0", false, 2)];
    let down = || vec![link("eth0", false, 3), link("veth58e", false, 3)];
    let twice = || {
        [
            up(),
            down(),
            vec![link("eth0", false, 3)],
            vec![link("eth0", false, 4)],
            vec![link("veth58e", false, 5)],
        ]
        .concat()
    };
    // The engine renames the interface before it takes it away.
    let end = || {
        let mut events = ended(0, 10, 500, 70).to_vec();
        if let Event::Unlink { link, .. } = &mut events[0] {
            (link.name, link.up, link.carrier_changes) = (name("veth58e"), false, 3);
        }
        events
    };
    for (case, lives) in [
        ("all at once", vec![[prepared(), up(), down(), end()].concat()]),
        ("without operstate", vec![[prepared(), carrier(), down(), end()].concat()]),
        ("up and down twice", vec![[prepared(), twice(), end()].concat()]),
        ("in two parts", vec![[prepared(), up()].concat(), [down(), end()].concat()]),
        ("named, then the rest", vec![prepared(), [up(), down(), end()].concat()]),
        ("down, then the end", vec![[prepared(), up(), down()].concat(), end()]),
    ] {
        for told in ["before", "between", "after"] {
            let (_, mut host) = live_host();
            create(&mut host, "other", "0", NOW);
            let tell = |host: &mut Host, now: &str| {
                if told == now {
                    expect(host, &[("web", 10, "br-front")], NOW);
                }
            };
            tell(&mut host, "before");
            for part in lives.clone() {
                host.apply(Input::Events(part), NOW);
                host.apply(Input::Wake, NOW + SECOND / 100);
                tell(&mut host, "between");
            }
            tell(&mut host, "after");
            host.apply(Input::Wake, NOW + 11 * SECOND);
            let view = host.view().unwrap();
            let sets: Vec<_> =
                view.scene.workloads.iter().map(|set| (&*set.container, &*set.interface)).collect();
            assert_eq!(sets, [("web", "eth0")], "{case}, told {told}");
            assert_eq!(totals(&host), [("web".to_owned(), 500, 70)], "{case}, told {told}");
        }
    }
}

/// On a busy machine seconds pass between the move of an interface and its name.
#[test]
fn an_interface_that_was_never_up_waits_for_its_name_longer_if_the_engine_made_its_present_one_up() {
    for (made_up, shown_after) in [("veth58e01ab", 60), ("eth0", 4), ("vethlan", 4), ("veth58e01ag", 4)] {
        let (_, mut host) = live_host();
        expect(&mut host, &[("web", 10, "br-front")], NOW);
        let heard = |text: &str, up, carrier_changes| Event::Link {
            source: Some(0),
            link: Link { name: name(text), up, carrier_changes, ..eth0(2, 10, Counters::default()) },
        };
        let port = Event::Link { source: None, link: port(10, 2, PeerNetns::Nsid(0), Counters::default()) };
        hear(&mut host, [Event::NewNsid(0), port, heard(made_up, false, 1)]);
        let mut seen = None;
        for second in 0..70 {
            host.apply(Input::Wake, NOW + second * SECOND);
            if seen.is_none() && !names(&host).is_empty() {
                seen = Some(second);
            }
        }
        assert_eq!(seen, Some(shown_after), "{made_up}");
    }
}

/// A reading of a namespace while its interface is down does not undo what events have reported.
#[test]
fn a_reading_of_an_interface_that_is_down_leaves_it_the_name_that_it_had_while_it_was_up() {
    let (mut world, mut host) = live_host();
    world.start(0, 10);
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    let link = |text: &str, up, carrier_changes| Link {
        name: name(text),
        up,
        carrier_changes,
        ..eth0(2, 10, Counters::default())
    };
    let heard = |link: Link| Event::Link { source: Some(0), link };
    let port = Event::Link { source: None, link: port(10, 2, PeerNetns::Nsid(0), Counters::default()) };
    let events =
        vec![Event::NewNsid(0), port, heard(link("eth0", true, 2)), heard(link("veth58e", false, 3))];
    world.links.insert(Some(0), Ok(vec![link("veth58e", false, 3)]));
    world.tell(&mut host, Input::Events(events), NOW);
    host.apply(Input::Wake, NOW + SECOND / 100);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    let answer = Input::Links {
        nsid: Some(0),
        answer: Ok(Links { links: vec![link("veth58e", false, 3)], ..Links::default() }),
    };
    host.apply(answer, NOW + SECOND / 10);
    host.apply(Input::Wake, NOW + SECOND / 5);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    // It is up again under another name.
    hear(&mut host, [heard(link("lan0", true, 4))]);
    assert_eq!(names(&host), ["veth10 docker/web/lan0/front"]);
}

/// An engine that was killed leaves an interface behind: another container gets its address as soon as the
/// engine is there again.
#[test]
fn what_was_there_long_before_an_interface_was_told_of_is_not_that_interface() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("other", 9, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    let now = NOW + 2 * SECOND;
    host.apply(Input::Wake, now);
    let told = |containers: &[(&str, u32)]| {
        let expected = containers.iter().map(|&(container, address)| Expected {
            workload: Workload { id: container.into(), ..Workload::named(Runtime::Docker, container) },
            network: "front".into(),
            address: mac(address),
            bridge: Some(name("br-front")),
        });
        let expected = expected.collect();
        Input::Expected { runtime: Runtime::Docker, expected, containers: Vec::new() }
    };
    host.apply(told(&[("web", 10)]), now);
    host.apply(Input::Wake, now + SECOND / 10);
    assert_eq!(of_web(&host), [""; 0]);
    let eth0_of_web = |port| Link { address: Some(mac(10)), ..eth0(2, port, Counters::default()) };
    let mut events = born(1, 11);
    events[2] = Event::Link { source: Some(1), link: eth0_of_web(11) };
    for event in events {
        host.apply(Input::Events(vec![event]), now + SECOND / 5);
    }
    host.apply(told(&[("web", 10), ("db", 12)]), now + 5 * SECOND);
    host.apply(Input::Wake, now + 6 * SECOND);
    assert_eq!(of_web(&host), ["veth11 docker/web/eth0/front"]);
}

fn of_web(host: &Host) -> Vec<String> {
    names(host).into_iter().filter(|name| name.contains("web")).collect()
}

#[test]
fn an_owner_that_is_found_elsewhere_is_not_that_of_what_was_left_behind() {
    let (mut world, mut host) = live_host();
    // An exporter that comes later does not know who was first.
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    world.start(0, 10);
    world.start(1, 11);
    let Some(Ok(links)) = world.links.get_mut(&Some(1)) else { panic!() };
    links[0].address = Some(mac(10));
    world.pids.insert(100, Located::Nsid(1));
    world.docker_says(&[("web", 100, 10)]);
    let Some(Ok(claims)) = &mut world.docker else { panic!() };
    claims.claims[0].owner.id = Workload::named(Runtime::Docker, "web").id;
    let mut events = born(1, 11);
    events[2] = Event::Link {
        source: Some(1),
        link: Link { address: Some(mac(10)), ..eth0(2, 11, Counters::default()) },
    };
    for event in events {
        world.tell(&mut host, Input::Events(vec![event]), NOW + SECOND / 10);
    }
    settle(&world, &mut host);
    assert_eq!(of_web(&host), ["veth11 docker/web/eth0/front"]);
}

#[test]
fn a_burst_that_is_heard_at_once_is_booked_as_if_heard_one_by_one() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front"), ("db", 11, "br-front")], NOW);
    let lives = [born(0, 10).to_vec(), ended(0, 10, 500, 70).to_vec(), born(0, 11).to_vec()];
    let all = [lives.concat(), ended(0, 11, 30, 4).to_vec()].concat();
    host.apply(Input::Events(all), NOW);
    assert_eq!(totals(&host), [("db".to_owned(), 30, 4), ("web".to_owned(), 500, 70)]);
}

#[test]
fn an_end_that_moves_is_the_same_end_and_its_owner_stays_when_it_moves_back_to_die() {
    let (world, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    let on_host = |own| Link { address: Some(mac(10)), counters: own, ..veth(11, 10, PeerNetns::Same) };
    let gone = |source, link| Event::Unlink { source, link, moved: true };
    let there = |source, link| Event::Link { source, link };
    hear(
        &mut host,
        [
            there(None, on_host(bytes(0, 0))),
            there(None, port(10, 11, PeerNetns::Same, bytes(100, 0))),
            gone(None, on_host(bytes(3, 100))),
            there(Some(0), eth0(11, 10, bytes(3, 100))),
            there(None, port(10, 11, PeerNetns::Nsid(0), bytes(150, 3))),
        ],
    );
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
    assert_eq!(totals(&host), [("web".to_owned(), 150, 3)]);
    hear(
        &mut host,
        [
            gone(Some(0), eth0(11, 10, bytes(5, 150))),
            there(None, on_host(bytes(5, 160))),
            there(None, port(10, 11, PeerNetns::Same, bytes(160, 5))),
            Event::Unlink { source: None, link: detached(on_host(bytes(6, 0))), moved: false },
            Event::Unlink {
                source: None,
                link: detached(port(10, 11, PeerNetns::Same, bytes(170, 0))),
                moved: false,
            },
        ],
    );
    settle(&world, &mut host);
    assert_eq!(totals(&host), [("web".to_owned(), 170, 6)]);
}

#[test]
fn the_port_of_a_namespace_that_died_brings_the_last_numbers() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    hear(&mut host, [Event::DeletedNsid(0)]);
    let last = detached(port(10, 2, PeerNetns::Same, bytes(500, 0)));
    hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
    assert_eq!(totals(&host), [("web".to_owned(), 500, 0)]);
}

#[test]
fn an_nsid_that_is_used_again_at_once_is_another_namespace() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front"), ("db", 12, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    hear(&mut host, [Event::DeletedNsid(0)]);
    hear(&mut host, born(0, 12));
    let last = detached(port(10, 2, PeerNetns::Same, bytes(500, 0)));
    hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
    assert_eq!(names(&host), ["veth12 docker/db/eth0/front"]);
    hear(&mut host, ended(0, 12, 70, 7));
    assert_eq!(totals(&host), [("db".to_owned(), 70, 7), ("web".to_owned(), 500, 0)]);
}

/// A port, where very many links are dismantled at once, outlives the id of its dead peer's namespace by
/// seconds: the next that has the id has as well an eth0 with the same index, and that does not say at
/// first who its peer is.
#[test]
fn a_port_whose_namespace_is_dead_is_not_joined_to_who_has_its_id_next() {
    let (world, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front"), ("db", 12, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    hear(&mut host, [Event::Link { source: None, link: port(10, 2, PeerNetns::Nsid(0), bytes(53, 0)) }]);
    hear(&mut host, [Event::DeletedNsid(0)]);
    hear(&mut host, born_inside(0, 12));
    let died = eth0(2, 12, bytes(0, 64));
    host.apply(Input::Events(vec![Event::Link { source: Some(0), link: died }]), NOW);
    let last = port(12, 2, PeerNetns::Nsid(0), bytes(64, 0));
    hear(&mut host, [Event::Link { source: None, link: last }]);
    assert_eq!(names(&host), ["veth12 docker/db/eth0/front"]);
    hear(&mut host, ended(0, 12, 64, 0));
    let last = detached(port(10, 2, PeerNetns::Same, bytes(53, 0)));
    hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
    world.tick(&mut host, NOW + 20 * SECOND);
    assert_eq!(totals(&host), [("db".to_owned(), 64, 0), ("web".to_owned(), 53, 0)]);
}

#[test]
fn events_of_an_end_that_is_gone_change_nothing() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    for _ in 0..2 {
        hear(&mut host, ended(0, 10, 500, 70));
        assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
    }
    sample(&mut host, &[(10, bytes(9_000, 9_000))]);
    assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
}

#[test]
fn lost_events_begin_a_round_that_counts_what_they_would_have_told() {
    let (mut world, mut host) = live_host();
    world.start(0, 10);
    world.tell(&mut host, Input::Events(vec![Event::Lost]), NOW);
    assert_eq!(host.status().lost, 1);
    assert_eq!(host.status().resyncs, BTreeMap::from([("start", 1), ("lost", 1)]));
    // The port: an event may be on its way that tells of it, but not for long.
    assert_eq!(host.status().corrections, 0);
    world.tick(&mut host, NOW + 2 * SECOND);
    assert_eq!(host.status().corrections, 1);
    world.tell(&mut host, Input::Events(vec![Event::Lost]), NOW + 2 * SECOND);
    world.tick(&mut host, NOW + 4 * SECOND);
    assert_eq!((host.status().lost, host.status().corrections), (2, 1));
}

#[test]
fn a_namespace_that_the_kernel_refuses_long_before_it_tells_of_its_end_is_no_missed_event() {
    let (mut world, mut host) = live_host();
    world.start(0, 10);
    for event in born(0, 10) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    // Its last user has gone; it is dismantled after many others.
    world.links.remove(&Some(0));
    for second in 300..310 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert_eq!(host.status().resyncs[&"periodic"], 1);
    world.kill(0, 10);
    for event in ended(0, 10, 500, 70) {
        world.tell(&mut host, Input::Events(vec![event]), NOW + 311 * SECOND);
    }
    world.tick(&mut host, NOW + 320 * SECOND);
    assert_eq!(host.status().corrections, 0);
}

#[test]
fn what_is_lost_while_all_is_read_again_has_all_read_once_more() {
    let (world, mut host) = live_host();
    let asked = host.apply(Input::Events(vec![Event::Lost]), NOW);
    assert_eq!(host.apply(Input::Events(vec![Event::Lost]), NOW), []);
    for request in asked {
        world.tell(&mut host, world.answer(request), NOW);
    }
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(host.status().resyncs, BTreeMap::from([("start", 1), ("lost", 2)]));
}

#[test]
fn the_last_counters_of_a_port_are_not_those_of_another_that_had_its_name() {
    let (mut world, mut host) = live_host();
    for round in 0..2 {
        world.start(0, 10);
        expect(&mut host, &[("web", 10, "br-front")], NOW);
        hear(&mut host, born(0, 10));
        if round == 1 {
            // Its process ends, and nothing was read because of that.
            host.apply(Input::Dying { container: String::new() }, NOW);
        }
        let carried = if round == 0 { 1_000 } else { 3 };
        let table = format!("veth10: {carried} 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        host.apply(Input::TableAtDeath(DeviceTable::new(table.into_bytes())), NOW);
        hear(&mut host, [Event::DeletedNsid(0)]);
        let last = detached(port(10, 2, PeerNetns::Same, Counters::default()));
        hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
        world.kill(0, 10);
        host.apply(Input::Wake, NOW + SECOND);
    }
    assert_eq!(totals(&host), [("web".to_owned(), 0, 1_003)]);
}

#[test]
fn an_answer_about_an_nsid_that_was_taken_back_is_void() {
    let (mut world, mut host) = live_host();
    world.start(0, 10);
    let link = port(10, 2, PeerNetns::Nsid(0), Counters::default());
    let asked = hear(&mut host, [Event::NewNsid(0), Event::Link { source: None, link }]);
    let question = Request::Links { nsid: Some(0) };
    assert!(asked.contains(&question), "{asked:?}");
    let late = world.answer(question);
    hear(&mut host, [Event::DeletedNsid(0)]);
    host.apply(late, NOW);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 0);
}

#[test]
fn an_answer_that_may_be_about_the_one_that_had_the_nsid_before_is_asked_for_once_more() {
    let (mut world, mut host) = live_host();
    hear(&mut host, born(0, 10));
    world.docker_says(&[("web", 700, 11)]);
    let question = Request::Locate(Locator::Pid(700));
    let asked = host.apply(world.answer(Request::Claims(Runtime::Docker)), NOW);
    assert!(asked.contains(&question), "{asked:?}");
    world.pids.insert(700, Located::Nsid(0));
    let late = world.answer(question.clone());
    hear(&mut host, ended(0, 10, 500, 70));
    hear(&mut host, born(0, 11));
    assert_eq!(host.apply(late, NOW), std::slice::from_ref(&question));
    let asked = host.apply(world.answer(question.clone()), NOW);
    assert!(!asked.contains(&question), "for ever: {asked:?}");
    assert_eq!(names(&host), ["veth11 docker/web/eth0/front"]);
}

#[test]
fn a_pair_that_died_without_a_name_is_booked_to_the_name_that_comes_within_ten_seconds() {
    for (late, wanted) in [(9, "web"), (11, "")] {
        let (world, mut host) = live_host();
        create(&mut host, "other", "0", NOW);
        hear(&mut host, born(1, 5));
        hear(&mut host, ended(1, 5, 40, 20));
        host.apply(Input::Wake, NOW + SECOND);
        assert_eq!(totals(&host), [], "nobody is named too early");
        let now = NOW + late * SECOND;
        host.apply(Input::Wake, now);
        let expected = Expected {
            workload: Workload::named(Runtime::Docker, "web"),
            network: "front".into(),
            address: mac(5),
            bridge: Some(name("br-front")),
        };
        let told =
            Input::Expected { runtime: Runtime::Docker, expected: vec![expected], containers: Vec::new() };
        world.tell(&mut host, told, now);
        host.apply(Input::Wake, now + SECOND / 10);
        assert_eq!(totals(&host), [(wanted.to_owned(), 40, 20)], "after {late} s");
    }
}

#[test]
fn an_answer_is_not_believed_about_a_link_that_events_have_told_of_since_it_was_asked_for() {
    let (mut world, mut host) = live_host();
    world.start(1, 5);
    // It is asked about because an event came from there.
    let asked = hear(&mut host, born(1, 5).into_iter().take(3));
    assert!(asked.contains(&Request::Links { nsid: Some(1) }), "{asked:?}");
    let down = |ifindex| Link { up: false, ..eth0(ifindex, 5, Counters::default()) };
    let two = Link { ifindex: 9, ..down(9) };
    hear(&mut host, [Event::Link { source: Some(1), link: eth0(2, 5, Counters::default()) }]);
    hear(&mut host, [Event::Unlink { source: Some(1), link: two, moved: false }]);
    // Written before all that, and read after it.
    let links = Links { links: vec![down(2), two, down(10)], ..Links::default() };
    host.apply(Input::Links { nsid: Some(1), answer: Ok(links) }, NOW);
    let netns = host.known.topology.netns(Some(1));
    let up = |ifindex| host.known.topology.link(netns, ifindex).map(|link| link.up);
    assert_eq!([up(2), up(9), up(10)], [Some(true), None, Some(false)]);
}

#[test]
fn what_goes_past_the_port_is_read_at_the_other_end_at_every_tick() {
    let mut world = World::with_containers(&[(1, 5), (2, 6)]);
    world.docker_says(&[("web", 101, 5), ("db", 102, 6)]);
    world.pids.extend([(101, Located::Nsid(1)), (102, Located::Nsid(2))]);
    let mut host = host_learning(Learning::Events);
    let mut carried = 0;
    let mut tick = |host: &mut Host, second: u32| {
        // web receives past its port, db does not.
        carried += 100;
        world.links.get_mut(&Some(1)).unwrap().as_mut().unwrap()[0].counters = bytes(0, carried);
        world.links.get_mut(&Some(2)).unwrap().as_mut().unwrap()[0].counters = bytes(0, carried);
        let now = NOW + second * SECOND;
        let mut asked = VecDeque::from(host.apply(Input::Tick, now));
        let mut read = BTreeSet::new();
        for _ in 0..100 {
            let Some(request) = asked.pop_front() else { break };
            read.extend(if let Request::Links { nsid } = request { nsid } else { None });
            asked.extend(host.apply(world.answer(request), now));
        }
        let counters = vec![(5, bytes(0, 0)), (6, bytes(carried, 0))];
        let samples = Samples { counters, ..Samples::default() };
        host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, now);
        read
    };
    for second in 1..=6 {
        tick(&mut host, second);
    }
    assert_eq!(host.known.ledger.bypassed().count(), 1);
    assert!((7..10).all(|second| tick(&mut host, second).contains(&1)));
    let totals = totals(&host);
    // What was there at the start is the baseline.
    assert_eq!(totals, [("db".to_owned(), 800, 0), ("web".to_owned(), 800, 0)]);
}

#[test]
fn an_address_on_another_bridge_than_was_expected_names_nobody() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-back")], NOW);
    hear(&mut host, born(0, 10));
    assert_eq!(names(&host), [""; 0]);
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front"]);
}

#[test]
fn a_whole_life_on_a_used_nsid_that_is_heard_with_the_end_of_the_one_before_is_booked() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front"), ("db", 11, "br-front")], NOW);
    hear(&mut host, born(0, 10));
    let lives = [ended(0, 10, 500, 70).to_vec(), born(0, 11).to_vec(), ended(0, 11, 30, 4).to_vec()];
    host.apply(Input::Events(lives.concat()), NOW);
    assert_eq!(totals(&host), [("db".to_owned(), 30, 4), ("web".to_owned(), 500, 70)]);
}

/// One thing that happens; `which` of the living it happens to is a number of any size.
#[derive(Clone, Debug)]
enum Step {
    /// A container comes, and takes the lowest free nsid; the engine has reported its address or never will.
    /// Its eth0 is made beside the port, or inside: then its event comes before it has a peer.
    Start { told: bool, inside: bool },
    /// The container receives and sends so many bytes.
    Carry { which: usize, received: u64, sent: u64 },
    /// An event with its port's counters, or its eth0's, as for a change of its state.
    TopologyChange { which: usize, inside: bool },
    /// The container ends: eth0 first, or the whole namespace at once.
    End { which: usize, abrupt: bool },
    /// The ports of namespaces that ended at once are dismantled: their ids are free since then.
    Dismantle,
    /// The reader passes on this many events, at most.
    Hear(usize),
    /// The counters of the ports are read.
    Sample,
    /// All is read again.
    Resync,
    /// A tick; what is asked is answered, after all events that were there before.
    Tick,
    /// The engine's list of containers comes, with those it has reported.
    Claims,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = any::<usize>;
    let step = prop_oneof![
        2 => (prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(told, inside)| Step::Start { told, inside }),
        4 => (which(), 0..1000u64, 0..1000u64)
            .prop_map(|(which, received, sent)| Step::Carry { which, received, sent }),
        2 => (which(), any::<bool>()).prop_map(|(which, inside)| Step::TopologyChange { which, inside }),
        2 => (which(), any::<bool>()).prop_map(|(which, abrupt)| Step::End { which, abrupt }),
        1 => Just(Step::Dismantle),
        3 => (1..6usize).prop_map(Step::Hear),
        1 => Just(Step::Sample),
        1 => Just(Step::Resync),
        1 => Just(Step::Tick),
        1 => Just(Step::Claims),
    ];
    prop::collection::vec(step, 1..80)
}

/// A container as it truly is.
#[derive(Clone, Debug)]
struct Life {
    /// Empty if the engine never tells it.
    name: String,
    nsid: u32,
    port: u32,
    received: u64,
    sent: u64,
}

/// The simple slow model: what lives, what each has truly carried, and the events that are still to come.
struct Truth {
    lives: Vec<Life>,
    carried: BTreeMap<String, (u64, u64)>,
    unheard: VecDeque<Event>,
    /// The dead with ports that are still there.
    lingering: Vec<Life>,
    /// The container that the engine has connected, by its port.
    told: BTreeMap<u32, String>,
    next_port: u32,
    now: Duration,
}

impl Truth {
    fn start(&mut self, told: bool, inside: bool) {
        let port = self.next_port;
        if port > 250 {
            return; // the MAC addresses of these tests end here
        }
        self.next_port += 1;
        let taken: BTreeSet<u32> = self.lives.iter().map(|life| life.nsid).collect();
        let nsid = (0..).find(|nsid| !taken.contains(nsid)).unwrap();
        let name = if told { format!("c{}", port % 7) } else { String::new() };
        if told {
            self.told.insert(port, name.clone());
        }
        self.unheard.extend(if inside {
            born_inside(nsid, port).to_vec()
        } else {
            born(nsid, port).to_vec()
        });
        self.lives.push(Life { name, nsid, port, received: 0, sent: 0 });
    }

    fn end(&mut self, which: usize, abrupt: bool, host: &mut Host) {
        let Some(which) = which.checked_rem(self.lives.len()) else { return };
        if abrupt {
            // What it sent is nowhere else: it is read in time, and that after all earlier events.
            self.hear(host, usize::MAX);
            self.sample(host);
        }
        let life = self.lives.remove(which);
        let events = ended(life.nsid, life.port, life.received, life.sent);
        let deleted = Event::DeletedNsid(life.nsid);
        let total = self.carried.entry(life.name.clone()).or_default();
        *total = (total.0 + life.received, total.1 + life.sent);
        if abrupt {
            self.unheard.push_back(deleted);
            self.lingering.push(life);
        } else {
            self.unheard.extend(events);
        }
    }

    fn dismantle(&mut self) {
        let ports = self.lingering.drain(..).map(|life| {
            let [_, outer, _] = ended(life.nsid, life.port, life.received, life.sent);
            outer
        });
        self.unheard.extend(ports);
    }

    fn hear(&mut self, host: &mut Host, most: usize) {
        let heard = self.unheard.drain(..self.unheard.len().min(most)).collect();
        let asked = host.apply(Input::Events(heard), self.now);
        self.answer(host, asked);
    }

    /// Answers each request as things are now; the host takes the answer after every event of before.
    fn answer(&mut self, host: &mut Host, asked: Vec<Request>) {
        let mut asked = VecDeque::from(asked);
        for _ in 0..200 {
            let Some(request) = asked.pop_front() else { return };
            let answer = self.world().answer(request);
            let unheard = self.unheard.drain(..).collect();
            asked.extend(host.apply(Input::Events(unheard), self.now));
            asked.extend(host.apply(answer, self.now));
        }
    }

    fn world(&self) -> World {
        let lives: Vec<(u32, u32)> = self.lives.iter().map(|life| (life.nsid, life.port)).collect();
        let mut world = World::with_containers(&lives);
        for life in &self.lives {
            let port = world.host_links().iter_mut().find(|link| link.ifindex == life.port).unwrap();
            port.counters = bytes(life.received, life.sent);
            let inside = world.links.get_mut(&Some(life.nsid)).unwrap().as_mut().unwrap();
            inside[0].counters = bytes(life.sent, life.received);
            inside[0].up = true;
            world.pids.insert(1_000 + life.port, Located::Nsid(life.nsid));
        }
        for life in &self.lingering {
            let counters = bytes(life.received, life.sent);
            world.host_links().push(port(life.port, 2, PeerNetns::Unassigned, counters));
        }
        let told = self.lives.iter().filter(|life| !life.name.is_empty());
        let told: Vec<(&str, u32, u32)> =
            told.map(|life| (life.name.as_str(), 1_000 + life.port, life.port)).collect();
        world.docker_says(&told);
        world
    }

    fn sample(&self, host: &mut Host) {
        let counters = self.lives.iter().map(|life| (life.port, bytes(life.received, life.sent)));
        let samples = Samples { counters: counters.collect(), ..Samples::default() };
        host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, self.now);
    }

    fn tick(&mut self, host: &mut Host) {
        self.now += SECOND / 4;
        let asked = host.apply(Input::Tick, self.now);
        self.answer(host, asked);
    }

    fn step(&mut self, host: &mut Host, step: Step) {
        match step {
            Step::Start { told, inside } => self.start(told, inside),
            Step::Carry { which, received, sent } => {
                let Some(which) = which.checked_rem(self.lives.len()) else { return };
                self.lives[which].received += received;
                self.lives[which].sent += sent;
            }
            Step::TopologyChange { which, inside } => {
                let Some(which) = which.checked_rem(self.lives.len()) else { return };
                let Life { nsid, port: ifindex, received, sent, .. } = self.lives[which];
                self.unheard.push_back(match inside {
                    true => Event::Link { source: Some(nsid), link: eth0(2, ifindex, bytes(sent, received)) },
                    false => Event::Link {
                        source: None,
                        link: port(ifindex, 2, PeerNetns::Nsid(nsid), bytes(received, sent)),
                    },
                });
            }
            Step::End { which, abrupt } => self.end(which, abrupt, host),
            Step::Hear(most) => self.hear(host, most),
            Step::Dismantle => self.dismantle(),
            Step::Sample => self.sample(host),
            Step::Resync => {
                let asked = host.apply(Input::Events(vec![Event::Lost]), self.now);
                self.answer(host, asked);
            }
            Step::Tick => self.tick(host),
            Step::Claims => self.answer(host, vec![Request::Claims(Runtime::Docker)]),
        }
        // The engine tells of a connection long before the end moves in.
        let known: Vec<(&str, u32, &str)> =
            self.told.iter().map(|(port, name)| (name.as_str(), *port, "br-front")).collect();
        expect(host, &known, self.now);
    }
}

proptest! {
    /// No total falls, and in the end each is what was truly carried, whatever comes between.
    #[test]
    fn totals_never_fall_and_are_the_truth(steps in steps()) {
        let (_, mut host) = live_host();
        let mut truth = Truth {
            lives: Vec::new(),
            carried: BTreeMap::new(),
            unheard: VecDeque::new(),
            lingering: Vec::new(),
            told: BTreeMap::new(),
            next_port: 10,
            now: NOW,
        };
        let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for step in steps {
            truth.step(&mut host, step);
            for (name, received, sent) in totals(&host) {
                let before = last.insert(name.clone(), (received, sent)).unwrap_or_default();
                prop_assert!(before.0 <= received && before.1 <= sent, "{name}: {before:?}, {received}, {sent}");
            }
        }
        truth.dismantle();
        truth.hear(&mut host, usize::MAX);
        // Longer than a dead pair waits for its name.
        for _ in 0..48 {
            truth.tick(&mut host);
        }
        truth.sample(&mut host);
        let mut carried = truth.carried;
        for life in truth.lives {
            let total = carried.entry(life.name).or_default();
            *total = (total.0 + life.received, total.1 + life.sent);
        }
        let booked: BTreeMap<String, (u64, u64)> =
            totals(&host).into_iter().map(|(name, received, sent)| (name, (received, sent))).collect();
        carried.retain(|name, total| *total != (0, 0) || booked.contains_key(name));
        prop_assert_eq!(booked.clone(), carried);
        prop_assert_eq!(host.status().corrections, 0);
    }
}

#[test]
fn a_namespace_that_only_copies_the_indices_of_a_port_and_its_peer_is_not_the_container_that_is_expected() {
    let mut world = World::with_containers(&[(1, 5)]);
    // Behind container 1 a namespace of its own, with a pair that has the indices of that container's and the
    // address to come.
    let copy = Link { address: Some(mac(6)), ..veth(2, 5, PeerNetns::Nsid(1)) };
    world.links.insert(Some(2), Ok(vec![Link { name: name("eth0"), ..copy }]));
    world.links.get_mut(&Some(1)).unwrap().as_mut().unwrap().push(veth(5, 2, PeerNetns::Nsid(2)));
    world.docker_says(&[("adversary", 100, 5)]);
    world.pids.insert(100, Located::Nsid(1));
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW - SECOND);
    expect(&mut host, &[("victim", 6, "br-front")], NOW);
    host.apply(Input::Wake, NOW + SECOND / 10);
    host.apply(Input::Wake, NOW + 2 * SECOND);
    let names = names(&host);
    assert!(names.iter().all(|name| !name.contains("victim")), "{names:?}");
    assert!(names.iter().any(|name| name.contains("docker/adversary")), "{names:?}");
}

#[test]
fn a_cgroup_that_a_container_makes_below_its_own_gives_nobody_another_containers_name() {
    let (mut world, mut host) = live_host();
    let own = "ad".repeat(32);
    create(&mut host, "victim", ID, NOW);
    let adversary = Workload { id: own.clone(), ..Workload::named(Runtime::Docker, "adversary") };
    let victim = Workload { id: ID.into(), ..Workload::named(Runtime::Docker, "victim") };
    let containers = vec![adversary, victim];
    host.apply(Input::Expected { runtime: Runtime::Docker, expected: Vec::new(), containers }, NOW);
    world.start(1, 5);
    world.inhabitants.insert(1, (100, Workload::named(Runtime::Process, "sleep")));
    world.cgroups.insert(100, format!("/docker/{own}/docker/{ID}").leak());
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    host.apply(Input::Wake, NOW + SECOND / 10);
    host.apply(Input::Wake, NOW + 2 * SECOND);
    let names = names(&host);
    assert!(names.iter().all(|name| !name.contains("victim")), "{names:?}");
}

#[test]
fn while_a_pair_waits_for_its_name_each_tick_asks_the_engines_that_may_have_no_events() {
    let mut world = World::with_containers(&[(0, 10)]);
    world.docker_says(&[]);
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW);
    let asks = |host: &mut Host, now| {
        host.apply(Input::Tick, now).contains(&Request::ClaimsOfNameless(Runtime::Docker))
    };
    for tenth in 1..9 {
        assert!(asks(&mut host, NOW + tenth * SECOND / 10), "{tenth}");
    }
    assert!(!asks(&mut host, NOW + 3 * SECOND), "it is shown without a name");
}
