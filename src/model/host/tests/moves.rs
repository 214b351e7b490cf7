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
