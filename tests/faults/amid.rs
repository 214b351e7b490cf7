//! Engines that are killed and restarted while containers start.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use crate::campaign::note;
use crate::engine::{named, wait_for_source};
use crate::{OFTEN, SOON};
use lab::book::{refuse_gaps, size};
use lab::{
    Containerd, DockerEngine, Exporter, Exposition, IMAGE, Netns, Podman, empty_folder, needs_engine,
    unique_name, wait_for,
};

/// Starts containers, four at a time, and does harm when a third of them has a name. Those that meet no engine fail, and
/// that is the fault.
fn start_amid(
    exporter: &Exporter,
    names: &[String],
    start: impl Fn(&str) + Sync,
    harm: impl FnOnce() + Send,
) -> usize {
    let mut scrapes = 0;
    exporter.while_scraping(
        |_| scrapes += 1,
        || {
            std::thread::scope(|scope| {
                for worker in 0..4 {
                    let start = &start;
                    scope.spawn(move || names.iter().skip(worker).step_by(4).for_each(|name| start(name)));
                }
                exporter.wait_for(Duration::from_secs(120), "a third has a name", |metrics| {
                    let count = names.iter().filter(|name| metrics.text.contains(*name)).count();
                    (count >= names.len() / 3).then_some(())
                });
                harm();
            });
        },
    );
    scrapes
}

/// Waits until the devices are just those of the kernel, as iproute2 tells them, and each name is there once: all that run,
/// and no other than known ones. A start that was interrupted may have left its interface behind: that is the container's,
/// which does not run, or nobody's, if the engine has never told of it.
fn assert_names(
    exporter: &Exporter,
    netns: &Netns,
    label: &str,
    known: impl Fn() -> [BTreeSet<String>; 2],
) -> Exposition {
    wait_for(Duration::from_secs(60), "each device of the kernel has its container's name", || {
        let metrics = exporter.metrics();
        let (devices, shown): (BTreeSet<String>, Vec<String>) =
            named(&metrics, label).into_iter().map(|[device, name]| (device, name)).unzip();
        let shown: Vec<String> = shown.into_iter().filter(|name| !name.is_empty()).collect();
        let once: BTreeSet<String> = shown.iter().cloned().collect();
        let [running, known] = known();
        let links = netns.ip_json(["link", "show", "type", "veth"]);
        let there = links.as_array().unwrap().iter().filter_map(|link| link["ifname"].as_str());
        let there: BTreeSet<String> = there.map(str::to_owned).collect();
        let right = devices == there && once.len() == shown.len();
        if right && once.is_superset(&running) && once.is_subset(&known) {
            Ok(metrics)
        } else {
            Err(format!("shown {shown:?} on {devices:?}\nrunning {running:?} of {known:?}\nthere {there:?}"))
        }
    })
}

fn names(count: usize) -> Vec<String> {
    let prefix = unique_name("amid");
    (0..count).map(|number| format!("{prefix}-{number}")).collect()
}

/// The lines of `docker ps` or `podman ps` for those that run, and for all.
fn listed(list: impl Fn(&[&str]) -> String) -> [BTreeSet<String>; 2] {
    [&[][..], &["-a"]].map(|all| {
        let words = [&["ps", "--filter", "name=amid", "--format", "{{.Names}}"], all].concat();
        list(&words).lines().map(str::to_owned).collect()
    })
}

fn tell(metrics: &Exposition, label: &str, count: usize, scrapes: usize) {
    let (of_nobody, survived): (Vec<_>, Vec<_>) =
        named(metrics, label).into_iter().partition(|[_, name]| name.is_empty());
    assert!(!survived.is_empty(), "{}", metrics.text);
    refuse_gaps(metrics);
    note(&format!(
        "{} of {count} starts survived the engine, {} interfaces of nobody were left, {scrapes} scrapes",
        survived.len(),
        of_nobody.len()
    ));
}

#[test]
fn an_engine_that_is_killed_and_restarted_amid_container_starts_ends_with_every_container_named_once() {
    needs_engine!();
    let names = names(size(10, 100));
    let netns = Netns::new("amid");
    let mut engine = DockerEngine::start_private_with(&netns, r#"{"live-restore": true}"#);
    let exporter = Exporter::for_engine(&engine, &OFTEN);
    let host = engine.host().to_owned();
    let start = |name: &str| {
        let words = ["60", "docker", "-H", &host, "run", "-d", "--name", name, IMAGE, "sleep", "1000"];
        Command::new("timeout").args(words).output().unwrap();
    };
    let scrapes = start_amid(&exporter, &names, start, || {
        engine.kill();
        engine.restart();
    });
    wait_for_source(&exporter, "docker", true);
    let metrics = assert_names(&exporter, &netns, "container", || listed(|words| engine.docker(words)));
    tell(&metrics, "container", names.len(), scrapes);
}

#[test]
fn a_podman_service_that_is_killed_and_restarted_amid_container_starts_ends_with_every_container_named_once()
{
    needs_engine!();
    let names = names(size(10, 100));
    let netns = Netns::new("pamid");
    let mut podman = Podman::start(&netns);
    let (host, folder) = (podman.host(), empty_folder("n").display().to_string());
    let flags = [&["--podman.host", &host, "--path.netns", &folder], &OFTEN[..]].concat();
    let exporter = Exporter::start(&netns, &flags);
    wait_for_source(&exporter, "podman", true);
    let client = podman.client();
    let start = |name: &str| _ = client.start(name, &[]).output().unwrap();
    let scrapes = start_amid(&exporter, &names, start, || {
        podman.kill();
        podman.restart();
    });
    wait_for_source(&exporter, "podman", true);
    let metrics = assert_names(&exporter, &netns, "container", || listed(|words| podman.podman(words)));
    tell(&metrics, "container", names.len(), scrapes);
}

#[test]
fn a_containerd_that_is_killed_and_restarted_amid_pod_starts_ends_with_every_pod_named_once() {
    needs_engine!();
    let names = names(size(10, 100));
    let engine = Containerd::start_with_names_of_its_own();
    let exporter = engine.exporter(&OFTEN);
    let scrapes = start_amid(
        &exporter,
        &names,
        |name| _ = engine.try_run("shop", name),
        || {
            engine.kill();
            engine.restart();
        },
    );
    exporter.wait_for(SOON, "it works again", |m| m.collector_success("cri").filter(|works| *works));
    let metrics = assert_names(&exporter, engine.netns(), "pod", || engine.pods());
    tell(&metrics, "pod", names.len(), scrapes);
    engine.remove_pods();
}
