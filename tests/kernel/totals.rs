//! The workloads' totals: what went through since the exporter started, over every veth that ever carried the labels.

use std::time::{Duration, Instant};

use lab::{Exporter, Exposition, Netns, NetnsFolder, send_datagrams};

const LIMIT: Duration = Duration::from_secs(5);

/// Between two looks at the links.
const OFTEN: [&str; 2] = ["--collector.interval", "100ms"];

struct Scene {
    host: Netns,
    folder: NetnsFolder,
}

impl Scene {
    fn new() -> Scene {
        Scene { host: Netns::quiet("host"), folder: NetnsFolder::new() }
    }

    /// Started with `--path.netns` and these arguments, and ready.
    fn exporter(&self, more: &[&str]) -> Exporter {
        let mut arguments = self.folder.arguments().to_vec();
        arguments.extend(more);
        let exporter = Exporter::start(&self.host, &arguments);
        exporter.wait_ready();
        exporter
    }

    /// A container of that name behind the device `veth-web`; it has sent nothing.
    fn container(&self, name: &str) -> Netns {
        let container = Netns::quiet("web");
        self.folder.name(name, &container);
        self.join(&container);
        container
    }

    fn join(&self, container: &Netns) {
        self.host.veth("veth-web", container, "eth0");
        self.host.address("veth-web", "10.99.0.1", container, "eth0", "10.99.0.2");
        container.address("eth0", "10.99.0.2", &self.host, "veth-web", "10.99.0.1");
    }

    /// So many datagrams of 1,042 bytes on the wire.
    fn sends(&self, container: &Netns, count: u32) {
        send_datagrams(&container.path(), &self.host.path(), "10.99.0.1".parse().unwrap(), count, 1_000);
    }
}

/// Packets that `web` has sent, and the bytes must be theirs.
fn sent(metrics: &Exposition) -> Option<f64> {
    let value =
        |unit| metrics.value(&format!("veth_container_transmit_{unit}_total"), &[("container", "web")]);
    let (bytes, packets) = (value("bytes")?, value("packets")?);
    assert_eq!(bytes, packets * 1_042.0, "bytes of packets of 1,042 bytes, in:\n{}", metrics.text);
    Some(packets)
}

fn device(metrics: &Exposition) -> Option<f64> {
    metrics.value("veth_device_receive_packets_total", &[("device", "veth-web")])
}

#[test]
fn what_went_through_before_the_start_is_not_counted() {
    let scene = Scene::new();
    let web = scene.container("web");
    scene.sends(&web, 20);
    let exporter = scene.exporter(&OFTEN);
    let metrics = exporter.wait_for(LIMIT, "the container is there", |m| sent(m).map(|_| m.clone()));
    assert_eq!((sent(&metrics), device(&metrics)), (Some(0.0), Some(20.0)), "total and port");
    scene.sends(&web, 5);
    let metrics = exporter.fresh_metrics();
    assert_eq!((sent(&metrics), device(&metrics)), (Some(5.0), Some(25.0)), "total and port");
}

#[test]
fn a_pair_that_is_born_while_the_exporter_runs_counts_from_its_birth() {
    let scene = Scene::new();
    // An interval in which all can happen unseen.
    let exporter = scene.exporter(&["--collector.interval", "2s"]);
    let web = scene.container("web");
    scene.sends(&web, 5);
    exporter.wait_for(LIMIT, "all that was sent is counted", |m| sent(m).filter(|&packets| packets >= 5.0));
    assert_eq!(sent(&exporter.fresh_metrics()), Some(5.0));
}

#[test]
fn what_was_counted_before_a_namespace_got_its_name_is_its_owners() {
    let scene = Scene::new();
    let exporter = scene.exporter(&OFTEN);
    let web = Netns::quiet("web");
    scene.join(&web);
    scene.sends(&web, 5);
    // The pair is held back for a second, for whoever may name it yet.
    exporter.wait_for(LIMIT, "the pair was seen", |m| {
        m.value("veth_exporter_ends", &[("state", "paired")]).filter(|&ends| ends == 2.0)
    });
    scene.folder.name("web", &web);
    scene.sends(&web, 5);
    assert_eq!(exporter.wait_for(LIMIT, "the container is there", sent), 10.0);
    let metrics = exporter.metrics();
    assert!(!metrics.text.contains("runtime=\"unknown\""), "a second series:\n{}", metrics.text);
}

#[test]
fn a_total_does_not_fall_when_its_container_is_made_anew() {
    let scene = Scene::new();
    let mut web = scene.container("web");
    let exporter = scene.exporter(&OFTEN);
    exporter.wait_for(LIMIT, "the container is there", sent);
    let mut highest = 0.0;
    for round in 1..=3 {
        scene.sends(&web, 5);
        let total = sent(&exporter.fresh_metrics()).unwrap();
        assert_eq!(total, f64::from(round * 5));
        drop(web);
        exporter.wait_for(LIMIT, "the device is gone", |metrics| {
            assert_eq!(sent(metrics), Some(total), "the total while the container is gone");
            device(metrics).is_none().then_some(())
        });
        web = scene.container("web");
        exporter.wait_for(LIMIT, "the device is there again", |metrics| {
            assert_eq!(sent(metrics), Some(total), "the total while the container comes back");
            device(metrics)
        });
        assert!(total > highest, "{total} after {highest}");
        highest = total;
    }
}

#[test]
fn a_total_outlives_its_pair_for_the_retention_and_is_gone_then() {
    let scene = Scene::new();
    let web = scene.container("web");
    let exporter = scene.exporter(&["--container.retention", "2s", "--collector.interval", "100ms"]);
    exporter.wait_for(LIMIT, "the container is there", sent);
    scene.sends(&web, 5);
    assert_eq!(sent(&exporter.fresh_metrics()), Some(5.0));
    let deleted = Instant::now();
    drop(web);
    let metrics = exporter
        .wait_for(LIMIT, "the device is gone", |metrics| device(metrics).is_none().then(|| metrics.clone()));
    assert_eq!(sent(&metrics), Some(5.0), "kept:\n{}", metrics.text);
    assert!(metrics.family("veth_container_info").is_none(), "info is for the living:\n{}", metrics.text);
    exporter.wait_for(LIMIT, "the total is gone", |metrics| {
        let left = sent(metrics);
        assert!(left.is_none_or(|left| left == 5.0), "{left:?}");
        left.is_none().then_some(())
    });
    // It began when the pair was last seen, one interval before the deletion at the earliest.
    let kept = deleted.elapsed();
    assert!(kept > Duration::from_millis(1_500), "the total was kept for {kept:?} only");
}
