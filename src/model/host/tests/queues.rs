//! The root queue disciplines of ports: which are read, and what is shown of them.

use super::live::*;
use super::*;
use crate::model::event::Event;
use crate::model::filter::Choice;
use crate::model::queues::{QueueCounters, QueueReading, QueueSamples, find};
use crate::model::series::OF_A_QUEUE;

/// A host with the port 10 before nsid 0 and the port 11 before nsid 1, both with noqueue, and its world.
fn two_ports() -> (World, Host) {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    world.docker_says(&[("web", 700, 10), ("db", 701, 11)]);
    world.pids = BTreeMap::from([(700, Located::Nsid(0)), (701, Located::Nsid(1))]);
    for link in world.host_links() {
        link.qdisc = name("noqueue");
    }
    let mut host = host_learning(Learning::Events);
    world.tick(&mut host, NOW - SECOND);
    assert_eq!(names(&host).len(), 2);
    (world, host)
}

fn qdisc(ifindex: u32, kind: &str) -> Event {
    Event::Qdisc { ifindex, kind: Some(name(kind)) }
}

fn deleted(ifindex: u32) -> Event {
    Event::Qdisc { ifindex, kind: None }
}

fn set(world: &mut World, ifindex: u32, kind: &str) {
    world.host_links().iter_mut().find(|link| link.ifindex == ifindex).unwrap().qdisc = name(kind);
}

/// A scrape: what it wants to read; each of these (ifindex, kind, drops) that it wants is read.
fn scrape(host: &mut Host, there: &[(u32, &str, u32)], failure: Option<&str>) -> Vec<u32> {
    let mut samples = host.samples_for_scrape();
    let wanted = samples.queues.wanted.clone();
    let readings = there.iter().filter(|(ifindex, ..)| wanted.contains(ifindex));
    samples.queues.read = readings
        .map(|&(ifindex, kind, drops)| QueueReading {
            ifindex,
            kind: name(kind),
            counters: QueueCounters { drops, ..QueueCounters::default() },
        })
        .collect();
    samples.queues.failure = failure.map(str::to_owned);
    host.apply(Input::Samples { answer: Ok(samples), took: Duration::ZERO }, NOW);
    wanted
}

/// The drops that are shown, each with its port and its kind; `None` for a port without numbers.
fn shown(host: &Host) -> Vec<(u32, String, Option<u32>)> {
    let view = host.view().unwrap();
    let ports = view.scene.pairs.iter().flat_map(|pair| pair.ports());
    let queues = ports.filter_map(|(_, port, _)| port.queue());
    let drops = |ifindex, kind| find(&view.for_scrapes.queues, ifindex, kind).map(|counters| counters.drops);
    queues.map(|(ifindex, kind)| (ifindex, kind.to_string(), drops(ifindex, kind))).collect()
}

fn row(ifindex: u32, kind: &str, drops: Option<u32>) -> (u32, String, Option<u32>) {
    (ifindex, kind.to_owned(), drops)
}

#[test]
fn nothing_is_read_where_no_port_has_a_queue_and_nothing_at_a_tick() {
    let (_, mut host) = two_ports();
    assert_eq!(scrape(&mut host, &[], None), [0u32; 0]);
    hear(&mut host, [qdisc(10, "tbf")]);
    assert_eq!(host.spent_samples().queues, QueueSamples::default());
    assert_eq!(scrape(&mut host, &[], None), [10]);
    assert_eq!(host.spent_samples().queues.wanted, [0u32; 0]);
}

#[test]
fn a_port_that_has_one_at_the_start_is_read_without_an_event() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    set(&mut world, 11, "htb");
    let mut host = host_learning(Learning::Events);
    world.docker = None;
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(shown(&host), [row(11, "htb", None)], "absent before the first reading, not 0");
    assert_eq!(scrape(&mut host, &[(11, "htb", 7)], None), [11]);
    assert_eq!(shown(&host), [row(11, "htb", Some(7))]);
}

#[test]
fn another_kind_begins_anew_and_the_same_kind_goes_on_with_what_the_kernel_says() {
    let (_, mut host) = two_ports();
    hear(&mut host, [deleted(10), qdisc(10, "tbf")]);
    scrape(&mut host, &[(10, "tbf", 121)], None);
    assert_eq!(shown(&host), [row(10, "tbf", Some(121))]);
    hear(&mut host, [deleted(10), qdisc(10, "tbf")]);
    scrape(&mut host, &[(10, "tbf", 0)], None);
    assert_eq!(shown(&host), [row(10, "tbf", Some(0))]);
    hear(&mut host, [deleted(10), qdisc(10, "pfifo")]);
    assert_eq!(shown(&host), [row(10, "pfifo", None)]);
    // The reading can be newer than the events: it is of a queue discipline that is not known yet.
    scrape(&mut host, &[(10, "htb", 5)], None);
    assert_eq!(shown(&host), [row(10, "pfifo", None)]);
    hear(&mut host, [deleted(10), qdisc(10, "htb")]);
    assert_eq!(shown(&host), [row(10, "htb", Some(5))]);
}

#[test]
fn a_deleted_one_makes_the_link_be_read_as_no_event_says_what_is_there_now() {
    let (mut world, mut host) = two_ports();
    hear(&mut host, [qdisc(10, "tbf")]);
    set(&mut world, 10, "noqueue");
    let asked = hear(&mut host, [deleted(10)]);
    assert_eq!(asked, [Request::HostLink(10)]);
    host.apply(world.answer(Request::HostLink(10)), NOW);
    assert_eq!(shown(&host), []);
    assert_eq!(hear(&mut host, [qdisc(11, "noqueue")]), [], "it is read once");
    world.tell(&mut host, Input::Events(vec![Event::Lost]), NOW + SECOND);
    world.tell(&mut host, Input::Tick, NOW + 3 * SECOND);
    assert_eq!(host.status().corrections, 0);
}

#[test]
fn an_answer_that_is_older_than_an_event_counts_for_nothing() {
    let (mut world, mut host) = two_ports();
    hear(&mut host, [qdisc(10, "tbf")]);
    assert_eq!(hear(&mut host, [deleted(10)]), [Request::HostLink(10)]);
    set(&mut world, 10, "noqueue");
    let old = world.answer(Request::HostLink(10));
    // Made and deleted again before the answer arrives: the link is read again.
    assert_eq!(hear(&mut host, [qdisc(10, "pfifo"), deleted(10)]), []);
    assert_eq!(host.apply(old.clone(), NOW), [Request::HostLink(10)]);
    // Made before the answer arrives.
    assert_eq!(hear(&mut host, [qdisc(10, "htb")]), []);
    assert_eq!(host.apply(old, NOW), []);
    assert_eq!(shown(&host), [row(10, "htb", None)]);
}

#[test]
fn an_event_before_the_links_are_known_outweighs_their_dump() {
    for (event, dumped, expected) in [
        (qdisc(10, "tbf"), "noqueue", vec![row(10, "tbf", None)]),
        (deleted(10), "tbf", vec![]),
        (qdisc(99, "tbf"), "noqueue", vec![]),
    ] {
        let mut world = World::with_containers(&[(0, 10)]);
        set(&mut world, 10, dumped);
        let mut host = host_learning(Learning::Events);
        let mut asked = VecDeque::from(host.apply(Input::Tick, NOW));
        hear(&mut host, [event]);
        let answers: Vec<Input> = asked.drain(..).map(|request| world.answer(request)).collect();
        set(&mut world, 10, "noqueue");
        answers.into_iter().for_each(|answer| world.tell(&mut host, answer, NOW));
        world.tell(&mut host, Input::Wake, NOW + SECOND);
        assert_eq!(shown(&host), expected);
    }
}

#[test]
fn an_event_that_changes_no_kind_changes_no_scene_and_asks_for_nothing() {
    let (_, mut host) = two_ports();
    hear(&mut host, [qdisc(10, "tbf")]);
    let before = host.view().unwrap();
    let (rows, deadline) = (host.known.attribution.version(), host.deadline());
    for event in [qdisc(10, "tbf"), qdisc(11, "noqueue"), qdisc(77, "tbf"), deleted(77)] {
        assert_eq!(hear(&mut host, [event]), []);
    }
    let after = host.view().unwrap();
    assert!(Arc::ptr_eq(&before.scene, &after.scene));
    assert_eq!((host.known.attribution.version(), host.deadline()), (rows, deadline));
}

#[test]
fn a_link_that_is_no_end_of_a_pair_is_known_and_has_no_series() {
    let (_, mut host) = two_ports();
    let before = host.view().unwrap();
    hear(&mut host, [qdisc(2, "fq_codel")]);
    assert!(Arc::ptr_eq(&before.scene, &host.view().unwrap().scene));
    assert_eq!(host.known.topology.link(NetnsId::Host, 2).unwrap().qdisc, name("fq_codel"));
    assert_eq!(scrape(&mut host, &[], None), [0u32; 0]);
}

#[test]
fn last_numbers_stay_when_a_reading_fails_and_go_with_the_device() {
    let (_, mut host) = two_ports();
    hear(&mut host, [qdisc(10, "tbf"), qdisc(11, "htb")]);
    scrape(&mut host, &[(10, "tbf", 3), (11, "htb", 4)], None);
    scrape(&mut host, &[(10, "tbf", 5)], Some("no buffer space"));
    assert_eq!(shown(&host), [row(10, "tbf", Some(5)), row(11, "htb", Some(4))]);
    let status = &host.status().sources[&Source::Counters];
    assert!(status.result.is_ok(), "the counters of links are not lost: {status:?}");
    assert_eq!(status.limits.len(), 1);
    // The device goes between the list and the request: no failure.
    scrape(&mut host, &[(10, "tbf", 6)], None);
    assert_eq!(shown(&host), [row(10, "tbf", Some(6)), row(11, "htb", None)]);
    assert_eq!(host.status().sources[&Source::Counters].limits, []);
    hear(&mut host, ended(1, 11, 0, 0));
    assert_eq!(scrape(&mut host, &[], None), [10]);
}

#[test]
fn hidden_ports_and_ports_in_the_overflow_are_not_read() {
    for (hidden, room, wanted) in [(true, usize::MAX, vec![11]), (false, 40, vec![10])] {
        let mut world = World::with_containers(&[(0, 10), (1, 11)]);
        world.docker_says(&[("web", 700, 10), ("db", 701, 11)]);
        world.pids = BTreeMap::from([(700, Located::Nsid(0)), (701, Located::Nsid(1))]);
        set(&mut world, 10, "tbf");
        set(&mut world, 11, "tbf");
        let mut host = host_learning(Learning::Events);
        host.config.limits.series = room;
        if hidden {
            host.config.filter.devices = Choice::AllBut(Arc::new(|name| name == "veth10"));
        }
        world.tick(&mut host, NOW);
        world.tick(&mut host, NOW + SECOND);
        assert_eq!(scrape(&mut host, &[], None), wanted, "hidden: {hidden}");
    }
}

#[test]
fn a_queue_takes_series_while_it_is_there() {
    let (mut world, mut host) = two_ports();
    let before = host.status().series.shown;
    hear(&mut host, [qdisc(10, "tbf"), qdisc(11, "tbf")]);
    assert_eq!(host.status().series.shown, before + 2 * OF_A_QUEUE);
    set(&mut world, 11, "noqueue");
    world.tell(&mut host, Input::Events(vec![deleted(11)]), NOW);
    assert_eq!(host.status().series.shown, before + OF_A_QUEUE);
    hear(&mut host, ended(0, 10, 0, 0));
    assert_eq!(scrape(&mut host, &[], None), [0u32; 0]);
}
