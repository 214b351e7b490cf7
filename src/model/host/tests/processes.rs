//! Processes that are found in a namespace soon after it has got an id.

use super::live::*;
use super::*;

#[test]
fn a_containers_first_process_names_its_namespace_before_the_engine_can_be_asked() {
    let (mut world, mut host) = live_host();
    create(&mut host, "web", ID, NOW);
    world.start(1, 5);
    world.inhabitants.insert(1, (100, Workload::named(Runtime::Process, "runc:[2:INIT]")));
    world.cgroups.insert(100, CGROUP);
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    host.apply(Input::Wake, NOW + SECOND / 10);
    assert_eq!(totals(&host), [("web".to_owned(), 0, 0)]);
    // What the container makes of its own is no second home of it.
    world.start(2, 6);
    world.inhabitants.insert(2, (101, Workload::named(Runtime::Process, "unshare")));
    world.cgroups.insert(101, CGROUP);
    for event in born(2, 6) {
        world.tell(&mut host, Input::Events(vec![event]), NOW + SECOND / 5);
    }
    host.apply(Input::Wake, NOW + SECOND / 2);
    assert_eq!(totals(&host), [("web".to_owned(), 0, 0)]);
}

#[test]
fn the_end_of_a_containers_first_process_asks_for_the_last_counters_of_its_port() {
    let (mut world, mut host) = live_host();
    create(&mut host, "web", ID, NOW);
    world.start(1, 5);
    world.inhabitants.insert(1, (100, Workload::named(Runtime::Process, "init")));
    world.cgroups.insert(100, CGROUP);
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    host.apply(Input::Wake, NOW + SECOND / 10);
    assert_eq!(host.apply(Input::Dying { container: "0".into() }, NOW + SECOND), []);
    let dying = Input::Dying { container: ID.into() };
    assert_eq!(host.apply(dying, NOW + SECOND), [Request::FinalSample(vec![(5, name("veth5"))])]);
}

/// A process that no runtime knows has a namespace of its own and is killed before a runtime's second to name
/// it is over.
#[test]
fn a_process_that_dies_while_its_pair_is_held_back_leaves_its_name_and_its_last_counters() {
    let (mut world, mut host) = live_host();
    world.start(1, 5);
    world.inhabitants.insert(1, (100, Workload::named(Runtime::Process, "ping")));
    hear(&mut host, born(1, 5));
    host.apply(Input::Wake, NOW);
    let due = host.deadline().unwrap();
    assert!(due < NOW + SECOND / 10, "{due:?}");
    let asked = host.apply(Input::Wake, due);
    let about = BTreeSet::from([1]);
    assert!(asked.contains(&Request::NewProcesses(about.clone())), "{asked:?}");
    let asked = host.apply(world.answer(Request::NewProcesses(about)), due);
    assert!(asked.contains(&Request::WatchExit(100)), "{asked:?}");
    assert_eq!(totals(&host), [], "a runtime may still name it");
    let last = host.apply(Input::Exited { pid: 100 }, due + SECOND / 5);
    assert_eq!(last, [Request::FinalSample(vec![(5, name("veth5"))])]);
    hear(&mut host, ended(1, 5, 40, 20));
    host.apply(Input::Wake, due + SECOND / 2);
    assert_eq!(totals(&host), [("ping".to_owned(), 40, 20)]);
    // Its number is another process's now.
    assert_eq!(host.apply(Input::Exited { pid: 100 }, due + SECOND), []);
}

/// The runtime's knowledge of the interface counts more than a process that was seen there.
#[test]
fn a_runtime_that_knows_the_interface_names_it_whatever_process_was_there() {
    let (mut world, mut host) = live_host();
    create(&mut host, "other", "0", NOW);
    world.start(1, 5);
    world.inhabitants.insert(1, (100, Workload::named(Runtime::Process, "runc:[2:INIT]")));
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    hear(&mut host, ended(1, 5, 40, 20));
    expect(&mut host, &[("web", 5, "br-front")], NOW + SECOND);
    host.apply(Input::Wake, NOW + 2 * SECOND);
    assert_eq!(totals(&host), [("web".to_owned(), 40, 20)]);
}
