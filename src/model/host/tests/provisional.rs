//! Containers that no engine names: by their cgroup, and never by a name that their runtime has made up.

use super::live::*;
use super::*;
use crate::model::cgroup;
use crate::model::lack::LackReason;
use crate::model::view::Source;

const MADE_UP: &str = "be49d294-f624-cd99-43b9-ee11fa7ac673";

/// Puts the first process of a container or machine into a namespace, as it is found there.
fn inhabit(world: &mut World, nsid: u32, pid: u32, path: &'static str, first: bool) {
    let workload = cgroup::workload(b"init", path, first).unwrap();
    world.inhabitants.insert(nsid, (pid, workload));
    world.cgroups.insert(pid, path);
    world.pids.insert(pid, Located::Nsid(nsid));
}

/// Gives a namespace a name in /run/netns.
fn give_name(world: &mut World, nsid: u32, name: &str) {
    let claim = Claim { locator: Locator::Pid(nsid), ..claim_of_name(name) };
    world.pids.insert(nsid, Located::Nsid(nsid));
    world.named = Some(Ok(Claims { claims: vec![claim], ..Claims::default() }));
}

/// Returns `RUNTIME/CONTAINER RECEIVED SENT` of each total.
fn booked(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let totals = view.scene.workloads.iter().zip(&view.workloads);
    let text = |(labels, traffic): (&Arc<LabelSet>, &Traffic)| {
        let LabelSet { runtime, container, .. } = &**labels;
        format!("{}/{container} {} {}", runtime.as_str(), traffic.receive.bytes, traffic.transmit.bytes)
    };
    totals.map(text).collect()
}

#[test]
fn a_container_without_an_engine_is_called_by_the_id_in_its_cgroup() {
    let mut world = World::with_containers(&[(0, 10), (1, 11), (2, 12)]);
    inhabit(&mut world, 0, 700, CGROUP, true);
    inhabit(&mut world, 1, 701, "/lxc.payload.ct/init.scope", true);
    inhabit(&mut world, 2, 702, CGROUP, false);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    world.tick(&mut host, NOW + SECOND);
    let wanted = ["veth10 docker/4a35b0c44a35/eth0/", "veth11 lxc/ct/eth0/", "veth12 process/init/eth0/"];
    assert_eq!(names(&host), wanted);
    let view = host.view().unwrap();
    let known = view.scene.ownerships.iter().map(|known| (known.owner.name.as_str(), known.parent.as_str()));
    let known: BTreeMap<&str, &str> = known.collect();
    assert_eq!(known, BTreeMap::from([("4a35b0c44a35", ""), ("ct", ""), ("init", "4a35b0c44a35")]));
    // The engine comes, and names it.
    world.docker_says(&[("web", 700, 10)]);
    world.tick(&mut host, NOW + 2 * SECOND);
    assert_eq!(names(&host)[0], "veth10 docker/web/eth0/front");
}

#[test]
fn a_container_in_a_machine_is_a_workload_of_its_own_beside_the_machines_own_namespace() {
    let path: &str = Box::leak(format!("/lxc.payload.ct/system.slice/docker-{ID}.scope").into_boxed_str());
    for machine_is_seen in [true, false] {
        let mut world = World::with_containers(&[(0, 10), (1, 11)]);
        inhabit(&mut world, 0, 700, path, true);
        if machine_is_seen {
            inhabit(&mut world, 1, 701, "/lxc.payload.ct/init.scope", true);
        }
        let mut host = new_host();
        world.tick(&mut host, NOW);
        world.tick(&mut host, NOW + SECOND);
        let view = host.view().unwrap();
        let inner = view.scene.ownerships.iter().find(|known| known.owner.id == ID).unwrap();
        assert_eq!((inner.owner.name.as_str(), inner.parent.as_str()), ("4a35b0c44a35", "ct"));
    }
}

#[test]
fn a_container_waits_for_the_engine_that_is_there_or_away_and_is_then_called_by_its_id() {
    for (engine, network) in [(Ok(Claims::default()), ""), (Err(Lack::failure("down")), "front")] {
        let (mut world, mut host) = live_host();
        world.docker = Some(engine);
        world.tick(&mut host, NOW - SECOND / 2);
        world.start(1, 5);
        inhabit(&mut world, 1, 100, CGROUP, true);
        for event in born(1, 5) {
            world.tell(&mut host, Input::Events(vec![event]), NOW);
        }
        for second in 0..3 {
            world.tick(&mut host, NOW + second * SECOND);
        }
        assert_eq!(names(&host), [] as [&str; 0], "held back");
        world.tick(&mut host, NOW + 12 * SECOND);
        world.tick(&mut host, NOW + 13 * SECOND);
        assert_eq!(names(&host), [format!("veth5 docker/4a35b0c44a35/eth0/{network}")]);
    }
}

#[test]
fn short_containers_that_the_engine_never_tells_of_are_one_sum_of_their_runtime() {
    let (mut world, mut host) = live_host();
    create(&mut host, "other", "0", NOW);
    world.start(1, 5);
    inhabit(&mut world, 1, 100, CGROUP, true);
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    hear(&mut host, ended(1, 5, 40, 20));
    host.apply(Input::Wake, NOW + SECOND);
    assert_eq!(booked(&host), [] as [&str; 0], "an engine may still name it");
    host.apply(Input::Wake, NOW + 11 * SECOND);
    host.apply(Input::Wake, NOW + 12 * SECOND);
    assert_eq!(booked(&host), ["docker/ 40 20"]);
}

#[test]
fn a_name_that_a_runtime_made_up_is_no_label_of_what_lived_for_a_moment() {
    for (name, wanted) in [
        (format!("netns-{MADE_UP}"), "podman/ 40 20".to_owned()),
        (format!("cni-{MADE_UP}"), "cri/ 40 20".to_owned()),
        // A name of this form may be a user's, or Nomad's.
        (MADE_UP.to_owned(), format!("named/{MADE_UP} 40 20")),
    ] {
        for engine in [Ok(Claims::default()), Err(Lack::failure("down"))] {
            let (mut world, mut host) = live_host();
            host.known.evidence.answered(Runtime::Named, Some(true), NOW);
            create(&mut host, "other", "0", NOW);
            world.docker = Some(engine);
            give_name(&mut world, 1, &name);
            world.start(1, 5);
            for event in born(1, 5) {
                world.tell(&mut host, Input::Events(vec![event]), NOW);
            }
            world.tick(&mut host, NOW + 2 * SECOND);
            assert_eq!(booked(&host), [] as [&str; 0], "held back");
            world.kill(1, 5);
            hear(&mut host, ended(1, 5, 40, 20));
            world.named = Some(Ok(Claims::default()));
            world.tick(&mut host, NOW + 3 * SECOND);
            assert_eq!(booked(&host), [] as [&str; 0], "an engine may still name it");
            world.tick(&mut host, NOW + 14 * SECOND);
            world.tick(&mut host, NOW + 15 * SECOND);
            assert_eq!(booked(&host), [wanted.as_str()], "{name}");
        }
    }
}

#[test]
fn the_container_in_a_namespace_names_it_better_than_a_name_that_its_runtime_made_up() {
    let path: &str = Box::leak(format!("/kubepods/burstable/pod0f1c/{ID}").into_boxed_str());
    let mut world = World::with_containers(&[(0, 10)]);
    give_name(&mut world, 0, &format!("cni-{MADE_UP}"));
    inhabit(&mut world, 0, 700, path, true);
    let mut host = new_host();
    host.known.evidence.answered(Runtime::Named, Some(true), NOW);
    for second in 0..3 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert_eq!(names(&host), ["veth10 cri/4a35b0c44a35/eth0/"]);
    // Its process ends first, and its name in /run/netns is removed last.
    world.inhabitants.clear();
    world.pids.remove(&700);
    for second in 3..6 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert_eq!(names(&host), ["veth10 cri/4a35b0c44a35/eth0/"]);
}

#[test]
fn an_engine_that_is_not_there_is_reported_while_a_containers_cgroup_proves_that_it_is_on_this_host() {
    let nested: &str = Box::leak(format!("/lxc.payload.ct/docker/{ID}").into_boxed_str());
    let of_podman: &str = Box::leak(format!("/machine.slice/libpod-{ID}.scope").into_boxed_str());
    for (path, reported) in [
        (CGROUP, true),
        // Its engine is in the machine.
        (nested, false),
        // The host has no source for this engine.
        (of_podman, false),
        ("/lxc.payload.ct", false),
        ("/docker/4a35", false),
    ] {
        let mut world = World::with_containers(&[(0, 10)]);
        inhabit(&mut world, 0, 700, path, true);
        let mut host = new_host();
        for second in 0..3 {
            assert!(!host.status().sources.contains_key(&Source::Docker), "{path} at {second} s");
            world.tick(&mut host, NOW + second * SECOND);
        }
        world.tick(&mut host, NOW + 3 * SECOND);
        let status = host.status().sources.get(&Source::Docker).cloned();
        let lack = status.map(|status| status.result.unwrap_err());
        let wanted = Lack::new(
            LackReason::SocketAbsent,
            "containers of docker are here (4a35b0c44a35), and no engine listens at unix:///d.sock",
        );
        assert_eq!(lack, reported.then_some(wanted), "{path}");
        // The engine comes.
        world.docker_says(&[("web", 700, 10)]);
        world.tick(&mut host, NOW + 4 * SECOND);
        assert_eq!(host.status().sources[&Source::Docker].result, Ok(()));
    }
    // The container goes.
    let mut world = World::with_containers(&[(0, 10)]);
    inhabit(&mut world, 0, 700, CGROUP, true);
    let mut host = new_host();
    for second in 0..4 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert!(host.status().sources.contains_key(&Source::Docker));
    world.kill(0, 10);
    world.pids.clear();
    world.inhabitants.clear();
    for second in 4..7 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert!(!host.status().sources.contains_key(&Source::Docker));
}

/// The address of one engine may be that of another, which is asked there later: DOCKER_HOST is Podman's socket.
#[test]
fn no_engine_is_missing_before_each_source_has_answered_and_for_a_moment_after_that() {
    let of_podman: &str = Box::leak(format!("/machine.slice/libpod-{ID}.scope").into_boxed_str());
    for podman_comes in [true, false] {
        let mut world = World::with_containers(&[(0, 10)]);
        inhabit(&mut world, 0, 700, of_podman, true);
        let mut host = Host::new(config(Learning::Polling), [Runtime::Docker, Runtime::Podman]);
        let is_missing = |host: &Host| {
            let status = host.status().sources.get(&Source::Podman);
            status.is_some_and(|status| status.result.is_err())
        };
        let docker = Runtime::Docker;
        for now in (0..10).map(|second| NOW + second * SECOND) {
            world.tell_but(&mut host, Input::Tick, now, |request| {
                matches!(request, Request::Claims(of) | Request::ClaimsOfNameless(of) if *of == docker)
            });
            assert!(!is_missing(&host), "Docker has not answered");
        }
        world.tick(&mut host, NOW + 10 * SECOND);
        if podman_comes {
            let claims = Some(Ok(Claims::default()));
            let answer = Input::Claims { runtime: Runtime::Podman, answer: claims, took: Duration::ZERO };
            host.apply(answer, NOW + 11 * SECOND);
            assert!(!is_missing(&host));
            continue;
        }
        world.tick(&mut host, NOW + 11 * SECOND);
        assert!(!is_missing(&host), "Docker has just answered");
        world.tick(&mut host, NOW + 12 * SECOND);
        assert!(is_missing(&host));
    }
}

/// A container makes a cgroup with the id of another one below its own, and a namespace for a process in it.
#[test]
fn a_cgroup_with_the_id_of_another_container_takes_nothing_from_that_one() {
    let other = "b0b0".repeat(16);
    let forged: &str = Box::leak(format!("/docker/{other}/docker/{ID}").into_boxed_str());
    let (mut world, mut host) = live_host();
    world.start(2, 6);
    inhabit(&mut world, 2, 200, forged, true);
    for event in born(2, 6) {
        world.tell(&mut host, Input::Events(vec![event]), NOW);
    }
    for second in 0..13 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert_eq!(names(&host), ["veth6 docker/4a35b0c44a35/eth0/front"]);
    assert_eq!(host.view().unwrap().scene.ownerships[0].parent, "b0b0b0b0b0b0");
    // The other one comes later, and is named at once by its engine's word for its first process.
    create(&mut host, "web", ID, NOW + 14 * SECOND);
    world.start(1, 5);
    inhabit(&mut world, 1, 100, CGROUP, true);
    for event in born(1, 5) {
        world.tell(&mut host, Input::Events(vec![event]), NOW + 14 * SECOND);
    }
    host.apply(Input::Wake, NOW + 14 * SECOND + SECOND / 10);
    assert!(names(&host).contains(&"veth5 docker/web/eth0/front".to_owned()), "{:?}", names(&host));
}

/// An engine that may be asked for its list and not for a single container: no pid is known.
#[test]
fn a_container_whose_process_the_engine_does_not_tell_is_found_by_the_id_in_a_cgroup() {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    inhabit(&mut world, 0, 700, CGROUP, true);
    world.docker_says(&[("web", 0, 10), ("odd", 1, 11)]);
    let by_id = |world: &mut World, id: &str| {
        let Some(Ok(claims)) = &mut world.docker else { panic!("docker has spoken") };
        for (claim, id) in claims.claims.iter_mut().zip([id, &"b0b0".repeat(16)]) {
            claim.owner.id = id.to_owned();
            claim.locator = Locator::Container(id.into());
        }
    };
    by_id(&mut world, ID);
    let mut host = new_host();
    for second in 0..3 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    // The other has no process that may be seen.
    assert_eq!(names(&host), ["veth10 docker/web/eth0/front", "veth11 unknown//eth0/front"]);
    // The container is restarted, in another namespace; its id stays.
    world.kill(0, 10);
    world.inhabitants.clear();
    world.pids.clear();
    world.start(2, 12);
    inhabit(&mut world, 2, 702, CGROUP, true);
    world.docker_says(&[("web", 0, 12)]);
    by_id(&mut world, ID);
    for second in 3..9 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    assert_eq!(names(&host), ["veth11 unknown//eth0/front", "veth12 docker/web/eth0/front"]);
}
