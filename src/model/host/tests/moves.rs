//! Ends that move while their peers are elsewhere.

use super::live::*;
use super::*;
use crate::model::event::Event;

/// A namespace's own links, as a dump of it has them.
fn has(world: &mut World, nsid: u32, links: Vec<Link>) {
    world.links.insert(Some(nsid), Ok(links));
}

/// Both ends are made on the host and moved one after the other, the usual way to join two namespaces: no
/// event tells the end that has moved already where its peer goes.
#[test]
fn two_ends_that_are_moved_one_after_the_other_are_a_pair_at_once() {
    let (mut world, mut host) = live_host();
    let none = Counters::default();
    let at_home = |ifindex, peer| veth(ifindex, peer, PeerNetns::Same);
    hear(&mut host, [Event::NewNsid(0), Event::NewNsid(1)]);
    let made = [
        Event::Link { source: None, link: detached(at_home(20, 21)) },
        Event::Link { source: None, link: at_home(21, 20) },
        Event::Unlink { source: None, link: at_home(20, 21), moved: true },
        Event::Link { source: Some(0), link: Link { counters: none, ..veth(20, 21, PeerNetns::Elsewhere) } },
    ];
    // The first end's namespace is read before the second end moves.
    has(&mut world, 0, vec![veth(20, 21, PeerNetns::Host)]);
    has(&mut world, 1, vec![]);
    for event in made {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    has(&mut world, 0, vec![veth(20, 21, PeerNetns::Nsid(1))]);
    has(&mut world, 1, vec![veth(21, 20, PeerNetns::Nsid(0))]);
    for event in [
        Event::Unlink { source: None, link: at_home(21, 20), moved: true },
        Event::Link { source: Some(1), link: veth(21, 20, PeerNetns::Elsewhere) },
    ] {
        world.tell(&mut host, Input::Events(vec![event]), NOW + SECOND);
    }
    world.tell(&mut host, Input::Wake, NOW + SECOND + SECOND / 100);
    let ends = &host.view().unwrap().scene.ends;
    assert_eq!((ends[&EndState::Paired], ends.values().sum::<usize>()), (2, 2), "{ends:?}");
}

/// A pair between two namespaces, one end of which moves on to a third: the other end's namespace hears
/// nothing of it.
#[test]
fn an_end_that_moves_on_between_two_namespaces_stays_a_pair() {
    let (mut world, mut host) = live_host();
    hear(&mut host, [Event::NewNsid(0), Event::NewNsid(1), Event::NewNsid(2)]);
    has(&mut world, 0, vec![veth(2, 3, PeerNetns::Nsid(1))]);
    has(&mut world, 1, vec![veth(3, 2, PeerNetns::Nsid(0))]);
    has(&mut world, 2, vec![]);
    let seen = [0, 1]
        .map(|nsid| Event::Link { source: Some(nsid), link: veth(2 + nsid, 3 - nsid, PeerNetns::Elsewhere) });
    world.tell(&mut host, Input::Events(seen.into()), NOW);
    world.tell(&mut host, Input::Wake, NOW + SECOND / 100);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 2);
    has(&mut world, 0, vec![veth(2, 3, PeerNetns::Nsid(2))]);
    has(&mut world, 1, vec![]);
    has(&mut world, 2, vec![veth(3, 2, PeerNetns::Nsid(0))]);
    let moved = vec![
        Event::Unlink { source: Some(1), link: veth(3, 2, PeerNetns::Elsewhere), moved: true },
        Event::Link { source: Some(2), link: veth(3, 2, PeerNetns::Elsewhere) },
    ];
    world.tell(&mut host, Input::Events(moved), NOW + SECOND);
    world.tell(&mut host, Input::Wake, NOW + SECOND + SECOND / 100);
    let scene = host.view().unwrap().scene;
    assert_eq!(
        (scene.ends[&EndState::Paired], scene.ends.values().sum::<usize>()),
        (2, 2),
        "{:?}",
        scene.ends
    );
    let nsids = host.known.topology.pairing().pairs().next().unwrap().map(|end| end.netns.nsid());
    assert_eq!(nsids, [Some(0), Some(2)]);
}

/// Two ends that go on contradicting each other are asked about once for each change, and not without end.
#[test]
fn ends_that_stay_in_contradiction_are_asked_about_once() {
    let (mut world, mut host) = live_host();
    hear(&mut host, [Event::NewNsid(0)]);
    has(&mut world, 0, vec![veth(2, 77, PeerNetns::Host)]);
    let told = Event::Link { source: Some(0), link: veth(2, 77, PeerNetns::Elsewhere) };
    world.tell(&mut host, Input::Events(vec![told]), NOW);
    world.tell(&mut host, Input::Wake, NOW + SECOND / 100);
    assert_eq!(host.view().unwrap().scene.ends[&EndState::PeerMissing], 1);
    let links = Request::Links { nsid: Some(0) };
    let mut asked = 0;
    for second in 1..20 {
        let requests = host.apply(Input::Tick, NOW + second * SECOND);
        asked += requests.iter().filter(|request| **request == links).count();
        for request in requests {
            world.tell(&mut host, world.answer(request), NOW + second * SECOND);
        }
    }
    assert_eq!(asked, 0, "nothing has changed since");
}

/// The kernel gives no id where either namespace is about to be dismantled, some milliseconds before it
/// reports that. Such an event contradicts nothing: the pair stays, and nothing is read because of it.
#[test]
fn an_end_that_does_not_say_where_its_peer_is_stays_a_pair_and_is_not_asked_about() {
    let none = Counters::default();
    let dying = |link: Link| Link { peer_netns: PeerNetns::Unassigned, up: false, ..link };
    let inner = || Event::Link { source: Some(0), link: dying(eth0(2, 10, none)) };
    let outer = || Event::Link { source: None, link: dying(port(10, 2, PeerNetns::Same, none)) };
    let between =
        |nsid| Event::Link { source: Some(nsid), link: dying(veth(2 + nsid, 3 - nsid, PeerNetns::Same)) };
    let [on_host, off_host] = [true, false];
    for (has_port, events) in [
        (on_host, vec![inner()]),
        (on_host, vec![outer()]),
        (on_host, vec![inner(), outer()]),
        (on_host, vec![outer(), inner()]),
        (off_host, vec![between(0)]),
        (off_host, vec![between(1)]),
        (off_host, vec![between(0), between(1)]),
    ] {
        let (mut world, mut host) = live_host();
        let mut seen = vec![Event::NewNsid(0), Event::NewNsid(1)];
        if has_port {
            world.start(0, 10);
            seen.push(Event::Lost);
        } else {
            let links = [veth(2, 3, PeerNetns::Nsid(1)), veth(3, 2, PeerNetns::Nsid(0))];
            for (nsid, link) in (0..).zip(links) {
                has(&mut world, nsid, vec![link]);
                let link = Link { peer_netns: PeerNetns::Elsewhere, ..link };
                seen.push(Event::Link { source: Some(nsid), link });
            }
        }
        world.tell(&mut host, Input::Events(seen), NOW);
        world.tell(&mut host, Input::Wake, NOW);
        assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 2);
        let text = format!("{events:?}");
        let mut asked = hear(&mut host, events);
        asked.extend(host.apply(Input::Wake, NOW));
        asked.retain(|request| matches!(request, Request::Links { .. } | Request::HostLink(_)));
        assert_eq!(asked, [], "{text}");
        assert_eq!(host.view().unwrap().scene.ends[&EndState::Paired], 2, "{text}");
    }
}

/// The same where no event has come of the end before: what the pair carries is booked when it dies.
#[test]
fn an_end_that_is_first_heard_of_as_its_namespace_dies_is_a_pair() {
    let (_, mut host) = live_host();
    expect(&mut host, &[("web", 10, "br-front")], NOW);
    let none = Counters::default();
    let inner = Link { peer_netns: PeerNetns::Unassigned, ..eth0(2, 10, none) };
    let events = [
        Event::NewNsid(0),
        Event::Link { source: None, link: detached(port(10, 2, PeerNetns::Same, none)) },
        Event::Link { source: None, link: port(10, 2, PeerNetns::Nsid(0), none) },
        Event::Link { source: Some(0), link: inner },
    ];
    let asked = hear(&mut host, events);
    assert!(!asked.iter().any(|request| matches!(request, Request::HostLink(_))), "{asked:?}");
    hear(&mut host, ended(0, 10, 500, 70));
    assert_eq!(totals(&host), [("web".to_owned(), 500, 70)]);
}

/// A pair between the host and a namespace, the inner end of which moves on to another: the host hears
/// nothing about its own end. That end alone is read, as the host may have very many.
fn moved_on() -> (World, Host, Vec<Request>) {
    let (mut world, mut host) = live_host();
    world.start(0, 10);
    has(&mut world, 1, vec![]);
    let seen = vec![Event::NewNsid(0), Event::NewNsid(1), Event::Lost];
    world.tell(&mut host, Input::Events(seen), NOW);
    world.tell(&mut host, Input::Wake, NOW);
    world.kill(0, 10);
    world.start(1, 10);
    has(&mut world, 0, vec![]);
    let none = Counters::default();
    let moved = [
        Event::Unlink { source: Some(0), link: eth0(2, 10, none), moved: true },
        Event::Link { source: Some(1), link: eth0(2, 10, none) },
    ];
    let mut asked = hear(&mut host, moved);
    for nsid in [0, 1] {
        asked.extend(host.apply(world.answer(Request::Links { nsid: Some(nsid) }), NOW));
    }
    (world, host, asked)
}

#[test]
fn of_a_host_whose_end_is_contradicted_that_end_alone_is_read() {
    let (world, mut host, asked) = moved_on();
    assert!(asked.contains(&Request::HostLink(10)), "{asked:?}");
    assert!(!asked.contains(&Request::Links { nsid: None }), "{asked:?}");
    world.tell(&mut host, world.answer(Request::HostLink(10)), NOW);
    let scene = host.view().unwrap().scene;
    assert_eq!(scene.ends[&EndState::Paired], 2, "{:?}", scene.ends);
    assert_eq!(scene.ends.values().sum::<usize>(), 2);
}

#[test]
fn an_answer_about_one_link_is_not_believed_if_an_event_has_come_since_and_is_asked_for_again() {
    let (world, mut host, _) = moved_on();
    let late = Link { mtu: 1, ..*world.links[&None].as_ref().unwrap().last().unwrap() };
    let event = port(10, 2, PeerNetns::Nsid(0), Counters::default());
    hear(&mut host, [Event::Link { source: None, link: Link { mtu: 2, ..event } }]);
    let late = Input::HostLink { ifindex: 10, answer: Ok(Box::new(late)) };
    let mut asked = host.apply(late, NOW);
    asked.extend(host.apply(Input::Wake, NOW));
    let link = |host: &Host| *host.known.topology.link(NetnsId::Host, 10).unwrap();
    assert_eq!((link(&host).mtu, link(&host).peer_netns), (2, PeerNetns::Nsid(0)));
    assert!(asked.contains(&Request::HostLink(10)), "{asked:?}");
    world.tell(&mut host, world.answer(Request::HostLink(10)), NOW);
    assert_eq!(link(&host).peer_netns, PeerNetns::Nsid(1));
}

#[test]
fn a_link_that_is_gone_when_it_is_asked_about_stays_until_its_event() {
    let (_, mut host, _) = moved_on();
    let known = |host: &Host| host.known.topology.link(NetnsId::Host, 10).is_some();
    host.apply(Input::HostLink { ifindex: 10, answer: Err(LookFailure::Gone) }, NOW);
    assert!(known(&host));
    let last = detached(port(10, 2, PeerNetns::Same, Counters::default()));
    hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
    assert!(!known(&host) && host.status().lost == 1, "{}", host.status().lost);
}
