//! Containers that were to share another's network namespace, and the other one was restarted.

use super::*;
use crate::model::view::StrandedReason;
use crate::model::workload::JoinedNetns;

fn container(name: &str) -> Workload {
    Workload { id: format!("id-{name}"), ..Workload::named(Runtime::Docker, name) }
}

/// Docker says that `vpn` runs as this process, if any, and that `app` was to share its namespace.
fn docker_says(world: &mut World, vpn: Option<(u32, u32)>, app: u32) {
    let running: Vec<(&str, u32, u32)> =
        vpn.into_iter().map(|(pid, ifindex)| ("vpn", pid, ifindex)).collect();
    world.docker_says(&running);
    let Some(Ok(claims)) = &mut world.docker else { panic!() };
    for claim in &mut claims.claims {
        claim.members.push(container("app"));
    }
    let unnamed = Workload { name: String::new(), ..container("vpn") };
    claims.joined.push(JoinedNetns {
        member: container("app"),
        locator: Locator::Pid(app),
        target: if vpn.is_some() { container("vpn") } else { unnamed },
        target_locator: vpn.map(|(pid, _)| Locator::Pid(pid)),
    });
}

fn stranded(host: &Host) -> Vec<String> {
    host.view().unwrap().stranded.iter().map(|stranded| stranded.sentence()).collect()
}

/// The members of `vpn`, as its pair shows them.
fn members(host: &Host) -> Vec<String> {
    let view = host.view().unwrap();
    let ownerships =
        view.scene.pairs.iter().flat_map(|pair| &pair.sides).filter_map(|side| side.ownership.as_ref());
    ownerships.flat_map(|ownership| ownership.members.iter().map(|member| member.name.clone())).collect()
}

const RESTARTED: &str = "docker/app is in a network namespace that no other workload is in: docker/vpn, whose network it was to share, was restarted; restart app";

#[test]
fn a_member_of_a_restarted_container_is_stranded_until_it_is_restarted_too() {
    let mut world = World::with_containers(&[(0, 10)]);
    docker_says(&mut world, Some((700, 10)), 710);
    world.pids = BTreeMap::from([(700, Located::Nsid(0)), (710, Located::Nsid(0))]);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    assert_eq!((stranded(&host), members(&host)), (vec![], vec!["app".to_owned()]));

    // vpn has a new process, a new namespace and a new veth; app still has the old namespace.
    world.kill(0, 10);
    world.links.insert(Some(0), Ok(Vec::new()));
    world.start(1, 11);
    world.pids = BTreeMap::from([(701, Located::Nsid(1)), (710, Located::Nsid(0))]);
    docker_says(&mut world, Some((701, 11)), 710);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!((stranded(&host), members(&host)), (vec![RESTARTED.to_owned()], vec![]));
    assert_eq!(names(&host), ["veth11 docker/vpn/eth0/front"]);
    let (begun, ended) = host.take_stranded();
    assert_eq!((begun.len(), begun[0].sentence().as_str(), ended.len()), (1, RESTARTED, 0));
    world.tick(&mut host, NOW + 2 * SECOND);
    assert_eq!(host.take_stranded(), (vec![], vec![]), "each change is taken once");

    // app is restarted: its old process is gone before Docker reports the new one.
    world.pids.remove(&710);
    host.apply(
        Input::Located { locator: Locator::Pid(710), answer: Err(LookFailure::Gone) },
        NOW + 3 * SECOND,
    );
    world.tick(&mut host, NOW + 3 * SECOND);
    assert_eq!((stranded(&host), members(&host)), (vec![], vec!["app".to_owned()]));
    world.pids.insert(711, Located::Nsid(1));
    docker_says(&mut world, Some((701, 11)), 711);
    world.tick(&mut host, NOW + 4 * SECOND);
    assert_eq!((stranded(&host), members(&host)), (vec![], vec!["app".to_owned()]));
    let (begun, ended) = host.take_stranded();
    assert_eq!((begun.len(), ended.len()), (0, 1));
}

#[test]
fn what_proves_that_a_member_is_stranded_and_what_does_not() {
    let (here, there) = (Some(Located::Nsid(0)), Some(Located::Nsid(1)));
    let own = "/docker/4a354a354a354a354a354a354a354a354a354a354a354a354a354a354a354a35";
    for (case, vpn, app, cgroup, wanted) in [
        ("the same namespace", here, here, None, false),
        ("another one", here, there, None, true),
        ("one without an id", here, Some(Located::WithoutId), None, true),
        ("the host's for both", Some(Located::Host), Some(Located::Host), None, false),
        ("the host's for one", here, Some(Located::Host), None, true),
        ("a process that is gone", here, None, None, false),
        ("a target that is not located yet", None, there, None, false),
        ("a process of another container", here, there, Some(own), false),
        ("a process in no container's cgroup", here, there, Some("/user.slice"), true),
    ] {
        let mut world = World::with_containers(&[(0, 10)]);
        docker_says(&mut world, Some((700, 10)), 710);
        world.pids.extend(vpn.map(|at| (700, at)));
        world.pids.extend(app.map(|at| (710, at)));
        world.cgroups.extend(cgroup.map(|cgroup| (710, cgroup)));
        let mut host = new_host();
        world.tick(&mut host, NOW);
        assert_eq!(!stranded(&host).is_empty(), wanted, "{case}");
    }
}

#[test]
fn a_member_of_a_container_that_does_not_run_is_stranded_by_its_stop_or_its_removal() {
    let mut world = World::with_containers(&[]);
    docker_says(&mut world, None, 710);
    world.pids.insert(710, Located::WithoutId);
    let mut host = new_host();
    world.tick(&mut host, NOW);
    let reason = |host: &Host| host.view().unwrap().stranded[0].reason;
    assert_eq!(reason(&host), StrandedReason::Removed);
    assert!(stranded(&host)[0].ends_with(
        "the container id-vpn, whose network it was to share, was removed or replaced; make app anew"
    ));
    let containers = vec![container("vpn"), container("app")];
    host.apply(Input::Expected { runtime: Runtime::Docker, expected: Vec::new(), containers }, NOW + SECOND);
    world.tick(&mut host, NOW + SECOND);
    assert_eq!(reason(&host), StrandedReason::Stopped);
    assert!(
        stranded(&host)[0].ends_with(
            "docker/vpn, whose network it was to share, is not running; start vpn, then restart app"
        )
    );
    let (begun, ended) = host.take_stranded();
    assert_eq!((begun.len(), ended.len()), (2, 0));
}
