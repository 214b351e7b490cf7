//! The exporter holds nothing that is not its own: no descriptor too many, and no namespace alive.

use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, wait_for};

/// What the process has open, when it has only what it keeps: `Err` shows a moment in which a connection or a file is in use.
fn kept_open(pid: u32) -> Result<Vec<String>, String> {
    let connections = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    // Field 4 is the state, 0A a listening socket's; field 10 the inode (proc(5)).
    let connections: Vec<String> = connections
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[3] != "0A")
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let mut open = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        // One that is closed meanwhile was not kept.
        let Ok(target) = std::fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.display().to_string();
        let of_the_moment = connections.contains(&target)
            || !(["socket:", "pipe:", "anon_inode:", "/dev/null"]
                .iter()
                .any(|kind| target.starts_with(kind)));
        if of_the_moment {
            return Err(format!("in use: {target}"));
        }
        open.push(target);
    }
    open.sort();
    Ok(open)
}

#[test]
fn after_200_scrapes_the_same_descriptors_are_open_as_before() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let mut arguments = folder.arguments().to_vec();
    arguments.extend(["--collector.interval", "100ms", "--docker.host", "unix:///nonexistent"]);
    let exporter = Exporter::start(&host, &arguments);
    exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
        metrics.value("veth_device_up", &[("container", "web")])
    });
    // An engine is looked for at each tick: of some looks the one with the fewest met no socket of a moment.
    let look = || {
        std::thread::sleep(Duration::from_millis(15));
        wait_for(Duration::from_secs(5), "nothing is in use", || kept_open(exporter.pid()))
    };
    let before = (0..20).map(|_| look()).min_by_key(Vec::len).unwrap();
    for _ in 0..200 {
        exporter.metrics();
    }
    assert!(!before.is_empty() && before.iter().filter(|open| open.starts_with("socket:")).count() >= 3);
    wait_for(Duration::from_secs(5), "after 200 scrapes the same is open as before", || {
        let after = look();
        if after == before { Ok(()) } else { Err(format!("{after:#?}\nand before:\n{before:#?}")) }
    });
}

#[test]
fn a_namespace_that_is_deleted_while_the_exporter_looks_at_it_is_gone() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let mut arguments = folder.arguments().to_vec();
    arguments.extend(["--collector.interval", "100ms"]);
    let exporter = Exporter::start(&host, &arguments);
    for _ in 0..3 {
        let web = Netns::quiet("web");
        folder.name("web", &web);
        host.veth("veth-web", &web, "eth0");
        exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
            metrics.value("veth_device_up", &[("container", "web")])
        });
        drop(web);
        // Nothing but its processes and open files keeps a namespace: with it goes its veth, and so the host's.
        wait_for(Duration::from_secs(5), "the host's end is gone", || {
            exporter.metrics();
            let links = host.ip_json(["link"]);
            let left = links.as_array().unwrap().iter().any(|link| link["ifname"] == "veth-web");
            if left { Err(format!("{links:#}")) } else { Ok(()) }
        });
        exporter.wait_for(Duration::from_secs(5), "the device's series are gone", |metrics| {
            metrics.family("veth_device_up").is_none().then_some(())
        });
    }
}
