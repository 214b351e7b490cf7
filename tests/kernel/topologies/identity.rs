//! A namespace's id: who gets one, and that one which is used again is not taken for the one that had it before.

use std::collections::BTreeSet;
use std::process::Command;

use lab::scene::{LIMIT, OFTEN, Scene, join, sent, wait_for_series};
use lab::{Exporter, Exposition, Netns, Process, send_datagrams, succeed, wait_for};

/// The ids that a namespace has for others.
fn ids(netns: &Netns) -> BTreeSet<u64> {
    let listed = netns.ip(["-j", "netns", "list-id"]);
    // `ip` prints nothing, and no empty list, where there is none.
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
    listed.as_array().into_iter().flatten().map(|entry| entry["nsid"].as_u64().unwrap()).collect()
}

#[test]
fn a_claimed_namespace_that_nothing_leads_to_gets_an_id_and_is_found() {
    let scene = Scene::new();
    let lonely = scene.named("lonely");
    lonely.veth("left", &lonely, "right");
    assert_eq!(ids(&scene.host), BTreeSet::new());
    let exporter = scene.exporter(&[]);
    let wanted: [&[(&str, &str)]; 2] =
        [&[("device", "left"), ("netns", "lonely")], &[("device", "right"), ("netns", "lonely")]];
    wait_for_series(&exporter, "veth_device_up", wanted);
    let listed = scene.host.ip_json(["netns", "list-id"]);
    assert!(listed.as_array().unwrap().iter().any(|entry| entry["name"] == lonely.name()), "{listed:#}");
}

#[test]
fn what_any_user_can_make_with_unshare_gets_no_id_and_no_series() {
    let scene = Scene::new();
    let web = scene.named("web");
    scene.host.veth("veth-web", &web, "eth0");
    let exporter = scene.exporter(&[]);
    let device: &[(&str, &str)] =
        &[("device", "veth-web"), ("runtime", "named"), ("container", "web"), ("interface", "eth0")];
    wait_for_series(&exporter, "veth_device_up", [device]);
    let before = ids(&scene.host);

    let mut unshare = scene.host.command("unshare");
    let hidden = Process::start("sleep", unshare.args(["-n", "sleep", "1000"]));
    let hidden_pid = hidden.pid().to_string();
    let netns_of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    wait_for(LIMIT, "unshare has left the host", || {
        let comm = std::fs::read_to_string(format!("/proc/{hidden_pid}/comm")).unwrap();
        if comm == "sleep\n" { Ok(()) } else { Err(comm) }
    });
    assert_ne!(netns_of(&hidden_pid), netns_of(&exporter.pid().to_string()));
    let inside =
        ["-t", &hidden_pid, "-n", "ip", "link", "add", "left", "type", "veth", "peer", "name", "right"];
    succeed(Command::new("nsenter").args(inside));
    // A namespace that is claimed meanwhile proves that the exporter has looked around since.
    let late = scene.named("late");
    scene.host.veth("veth-late", &late, "eth0");
    let later: &[(&str, &str)] =
        &[("device", "veth-late"), ("runtime", "named"), ("container", "late"), ("interface", "eth0")];
    wait_for_series(&exporter, "veth_device_up", [device, later]);
    assert_eq!(ids(&scene.host).len(), before.len() + 1, "only the late one has got an id");
    let metrics = exporter.metrics();
    assert_eq!(metrics.all("veth_container_info").len(), 2, "{}", metrics.text);
}

/// Frames of `one` are 1,042 bytes, those of `two` 542: a packet under the wrong name shows.
const PAYLOADS: [(&str, usize); 2] = [("one", 1_000), ("two", 500)];

fn refuse_mixing(metrics: &Exposition) {
    for (name, payload) in PAYLOADS {
        if let Some((packets, bytes)) = sent(metrics, name, "eth0") {
            assert_eq!(
                bytes,
                packets * (payload as u64 + 42),
                "{name} has another's packets:\n{}",
                metrics.text
            );
        }
    }
}

struct Guest {
    _netns: Netns,
    nsid: u64,
}

/// A namespace under that name, which sends `count` packets from its eth0, whose ifindex is always 2. The device must be a new
/// one: the kernel takes its time to delete the last one's.
fn guest(scene: &Scene, device: &str, (name, payload): (&str, usize), count: u32) -> Guest {
    let netns = Netns::quiet("n");
    scene.folder.name(name, &netns);
    scene.host.veth(device, &netns, "eth0");
    join((&scene.host, device), (&netns, "eth0"));
    send_datagrams(&netns.path(), &scene.host.path(), "10.99.0.1".parse().unwrap(), count, payload);
    let own = scene.host.ip_json(["link", "show", device]);
    assert_eq!(own[0]["link_index"], 2, "{own:#}");
    Guest { nsid: own[0]["link_netnsid"].as_u64().unwrap(), _netns: netns }
}

#[test]
fn with_nsid_and_ifindex_used_again_at_once_each_name_has_just_its_own_traffic() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    let mut nsids = Vec::new();
    let mut total = [0, 0];
    for round in 0..12 {
        let which = round % 2;
        let count = round as u32 % 5 + 1;
        let guest = guest(&scene, &format!("veth{round}"), PAYLOADS[which], count);
        total[which] += u64::from(count);
        nsids.push(guest.nsid);
        exporter.wait_for(LIMIT, "what this one has sent is counted, and the other's stays", |metrics| {
            refuse_mixing(metrics);
            let now =
                [0, 1].map(|name| sent(metrics, PAYLOADS[name].0, "eth0").map_or(0, |(packets, _)| packets));
            assert!(now[0] <= total[0] && now[1] <= total[1], "{now:?} of {total:?}");
            (now == total).then_some(())
        });
    }
    // The lowest free id is given. How soon one is free depends on how busy the kernel is with others' links; most have to be one
    // that an earlier guest had, or this test says nothing.
    let different: BTreeSet<_> = nsids.iter().collect();
    assert!(2 * different.len() <= nsids.len(), "ids were used again: {nsids:?}");
}

#[test]
fn namespaces_that_come_and_go_faster_than_the_exporter_looks_are_never_mixed() {
    let scene = Scene::new();
    let exporter = scene.exporter(&[]);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            for round in 0..40 {
                guest(&scene, &format!("veth{round}"), PAYLOADS[round % 2], 3);
            }
        });
        while !making.is_finished() {
            refuse_mixing(&exporter.metrics());
        }
        making.join().unwrap();
    });
    refuse_mixing(&exporter.metrics());
    exporter.wait_for(LIMIT, "nothing is left", |m| m.family("veth_device_up").is_none().then_some(()));
}

#[test]
fn of_two_entries_for_one_namespace_there_are_not_two_series() {
    let scene = Scene::new();
    let web = scene.named("web");
    scene.folder.name("alias", &web);
    scene.host.veth("veth-web", &web, "eth0");
    let exporter = Exporter::start(&scene.host, &[scene.folder.arguments(), OFTEN].concat());
    let metrics = exporter.wait_for(LIMIT, "the pair is named", |metrics| {
        metrics
            .value("veth_device_up", &[("device", "veth-web"), ("runtime", "named")])
            .map(|_| metrics.clone())
    });
    assert_eq!(metrics.all("veth_container_receive_bytes_total").len(), 1, "{}", metrics.text);
    let infos = metrics.all("veth_container_info");
    let owned = infos.iter().filter(|(labels, _)| labels.contains_key("network_owner")).count();
    assert_eq!((infos.len(), owned), (2, 1), "{}", metrics.text);
}
