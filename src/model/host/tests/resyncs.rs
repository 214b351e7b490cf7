//! Resyncs of many namespaces, beside what is asked because of events.

use super::live::*;
use super::*;
use crate::model::event::Event;
use crate::model::policy::RESYNC_AT_A_TIME;

/// The nsids 0 to 79; the port of each has an ifindex that is 1,000 higher.
const NAMESPACES: u32 = 80;

/// Returns a host with a container in each of these namespaces, and the first requests of another resync.
fn resync_of_many() -> (World, Host, VecDeque<Request>) {
    let containers: Vec<(u32, u32)> = (0..NAMESPACES).map(|nsid| (nsid, 1_000 + nsid)).collect();
    let mut world = World::with_containers(&containers);
    let named: Vec<String> = (0..NAMESPACES).map(|nsid| format!("web-{nsid}")).collect();
    let claims: Vec<(&str, u32, u32)> =
        named.iter().zip(0..).map(|(name, nsid)| (name.as_str(), 5_000 + nsid, 1_000 + nsid)).collect();
    world.docker_says(&claims);
    world.pids = (0..NAMESPACES).map(|nsid| (5_000 + nsid, Located::Nsid(nsid))).collect();
    let mut host = host_learning(Learning::Events);
    let mut asked = VecDeque::from(host.apply(Input::Tick, NOW - SECOND));
    answer_all(&world, &mut host, &mut asked, usize::MAX);
    host.apply(Input::Wake, NOW - SECOND / 2);
    assert_eq!(host.view().unwrap().scene.pairs.len(), NAMESPACES as usize);
    let asked = hear(&mut host, [Event::Lost]).into();
    (world, host, asked)
}

fn is_paced(request: &Request) -> bool {
    matches!(request, Request::Links { nsid: Some(_) } | Request::Locate(_))
}

/// Answers the requests in turn until none is left, and expects at most so many at a time of the kinds that a
/// resync has many of. Returns the requests of these kinds.
fn answer_all(world: &World, host: &mut Host, asked: &mut VecDeque<Request>, most: usize) -> Vec<Request> {
    let mut paced = Vec::new();
    while let Some(request) = asked.pop_front() {
        assert!(asked.iter().filter(|request| is_paced(request)).count() <= most);
        paced.extend(is_paced(&request).then(|| request.clone()));
        asked.extend(host.apply(world.answer(request), NOW));
    }
    paced
}

#[test]
fn a_resync_asks_about_every_namespace_and_claim_once_and_about_few_at_a_time() {
    let (world, mut host, mut asked) = resync_of_many();
    let before = host.reading.resyncs;
    let mut read = answer_all(&world, &mut host, &mut asked, 2 * RESYNC_AT_A_TIME);
    host.apply(Input::Wake, NOW);
    assert_eq!(host.reading.resyncs, before + 1);
    assert_eq!(read.len(), 2 * NAMESPACES as usize);
    // Two threads answer them: neither kind waits for the end of the other.
    let [first, last] = [&read[..80], &read[80..]];
    for part in [first, last] {
        let claims = part.iter().filter(|request| matches!(request, Request::Locate(_))).count();
        assert!((20..=60).contains(&claims), "{claims} of 80");
    }
    read.sort();
    read.dedup();
    assert_eq!(read.len(), 2 * NAMESPACES as usize);
    assert_eq!((host.status().corrections, host.status().claims_rejected), (0, 0));
}

#[test]
fn what_an_event_asks_about_does_not_wait_for_a_resync() {
    // One that is not known yet, and one that the resync has not come to.
    for nsid in [NAMESPACES, NAMESPACES - 1] {
        let (mut world, mut host, mut asked) = resync_of_many();
        let (host_links, rest): (Vec<Request>, Vec<Request>) =
            asked.drain(..).partition(|request| *request == Request::Links { nsid: None });
        asked.extend(rest);
        asked.extend(host_links.into_iter().flat_map(|request| host.apply(world.answer(request), NOW)));
        world.start(nsid, 2_000);
        let question = Request::Links { nsid: Some(nsid) };
        assert!(!asked.contains(&question));
        let now = match nsid {
            NAMESPACES => hear(&mut host, born(nsid, 2_000)),
            _ => {
                world.docker_says(&[("job", 9_000, 2_000)]);
                world.pids.insert(9_000, Located::Nsid(nsid));
                host.apply(world.answer(Request::Claims(Runtime::Docker)), NOW);
                host.apply(world.answer(Request::Locate(Locator::Pid(9_000))), NOW)
            }
        };
        assert!(now.contains(&question), "{nsid}: {now:?}");
        asked.extend(now);
        answer_all(&world, &mut host, &mut asked, usize::MAX);
        host.apply(Input::Wake, NOW);
        assert!(host.reading.open_requests.resync.open.is_empty());
    }
}

#[test]
fn of_a_namespace_that_ends_before_a_resync_comes_to_it_no_answer_is_awaited() {
    let (mut world, mut host, mut asked) = resync_of_many();
    let nsid = NAMESPACES - 1;
    let question = Request::Links { nsid: Some(nsid) };
    // The host's links lead to all namespaces.
    for request in std::mem::take(&mut asked) {
        asked.extend(host.apply(world.answer(request), NOW));
    }
    assert!(!asked.contains(&question) && host.reading.open_requests.resync.open.contains(&question));
    world.kill(nsid, 1_000 + nsid);
    hear(&mut host, [Event::DeletedNsid(nsid)]);
    let last = detached(port(1_000 + nsid, 2, PeerNetns::Same, Counters::default()));
    hear(&mut host, [Event::Unlink { source: None, link: last, moved: false }]);
    assert!(!host.reading.open_requests.resync.open.contains(&question));
    // The next namespace with that id is read, and the answer counts.
    world.start(nsid, 2_000);
    let now = hear(&mut host, born(nsid, 2_000));
    assert!(now.contains(&question), "{now:?}");
    host.apply(world.answer(question.clone()), NOW);
    let netns = host.known.topology.netns(Some(nsid));
    assert!(host.known.topology.link(netns, 2).is_some_and(|link| link.peer_netns == PeerNetns::Host));
    asked.extend(now.into_iter().filter(|request| *request != question));
    answer_all(&world, &mut host, &mut asked, usize::MAX);
    host.apply(Input::Wake, NOW);
    assert!(host.reading.open_requests.resync.open.is_empty());
}
