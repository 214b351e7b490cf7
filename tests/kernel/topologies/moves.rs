//! Ends that move, and names that pass on: what an event makes doubtful is asked again at once, and not at the next resync. The exporter of these tests
//! resyncs every 5 minutes, which no test waits for.

use std::process::Command;
use std::time::Duration;

use lab::scene::{LIMIT, Scene, join, sent};
use lab::{Exporter, Netns, assert_content, send_datagrams, succeed};

/// A command of `ip` with the names of namespaces in braces.
fn ip(command: &str, scene: &Scene, inside: [&Netns; 3]) {
    let places = [("{host}", &scene.host), ("{a}", inside[0]), ("{b}", inside[1]), ("{c}", inside[2])];
    let command =
        places.iter().fold(command.to_owned(), |text, (name, netns)| text.replace(name, netns.name()));
    succeed(Command::new("ip").args(command.split(' ')));
}

/// An exporter that looks at nothing by itself while a test runs: what it knows it has from events and from what it asks because of them.
fn rarely_ticking(scene: &Scene) -> Exporter {
    let own = scene.folder.arguments();
    let exporter = Exporter::start(&scene.host, &[&own[..], &["--collector.interval", "30s"]].concat());
    exporter.wait_ready();
    exporter
}

/// Waits until so many ends are paired and none is anything else.
fn wait_for_pairs(exporter: &Exporter, pairs: u32, after: &str) {
    let what = format!("{pairs} pairs and no other end after {after}");
    exporter.wait_for(LIMIT, &what, |metrics| {
        let ends = |state| metrics.value("veth_exporter_ends", &[("state", state)]);
        let others = ["contradicted", "peer_missing", "peer_netns_unknown", "unlinked", "peer_hidden"];
        let none = others.into_iter().all(|state| ends(state) == Some(0.0));
        (none && ends("paired") == Some(f64::from(2 * pairs))).then_some(())
    });
}

#[test]
fn at_every_step_of_the_usual_ways_to_join_namespaces_both_ends_are_a_pair() {
    for steps in [
        // Made on the host, moved one after the other.
        &[
            "-n {host} link add x type veth peer name y",
            "-n {host} link set x netns {a}",
            "-n {host} link set y netns {b}",
        ][..],
        // Made inside, the peer at once elsewhere.
        &["-n {a} link add x type veth peer name y netns {b}"],
        // Made inside one, one end moved on.
        &["-n {a} link add x type veth peer name y", "-n {a} link set y netns {b}"],
        // A known pair, one end of which moves to a third namespace, and the other after it.
        &[
            "-n {a} link add x type veth peer name y netns {b}",
            "-n {b} link set y netns {c}",
            "-n {a} link set x netns {c}",
        ],
        // There and back.
        &[
            "-n {a} link add x type veth peer name y netns {b}",
            "-n {b} link set y netns {c}",
            "-n {c} link set y netns {b}",
        ],
        // To the host, where the peer is that nothing tells of it.
        &["-n {host} link add x type veth peer name y netns {a}", "-n {a} link set y netns {host}"],
        // To the host and from it, renamed on the way.
        &[
            "-n {a} link add x type veth peer name y netns {b}",
            "-n {b} link set y netns {host}",
            "-n {host} link set y name z",
            "-n {host} link set z netns {c}",
        ],
    ] {
        let scene = Scene::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| scene.named(name));
        // Each namespace is known by a pair of its own before anything moves.
        for (netns, port) in [(&a, "to-a"), (&b, "to-b"), (&c, "to-c")] {
            scene.host.veth(port, netns, "eth0");
        }
        let exporter = rarely_ticking(&scene);
        wait_for_pairs(&exporter, 3, "the start");
        for step in steps {
            ip(step, &scene, [&a, &b, &c]);
            wait_for_pairs(&exporter, 4, step);
            assert_content(&scene.host, &[&a, &b, &c], &scene.folder);
        }
        let resyncs = exporter.metrics().all("veth_exporter_resyncs_total");
        assert_eq!(resyncs.iter().map(|(_, count)| *count).sum::<f64>(), 1.0, "{resyncs:?}");
    }
}

#[test]
fn two_ends_moved_one_after_the_other_lose_no_byte() {
    let scene = Scene::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.named(name));
    scene.host.veth("to-a", &a, "eth0");
    scene.host.veth("to-b", &b, "eth0");
    // Counters of a pair without an end on the host are read at ticks.
    let exporter = scene.exporter(&[]);
    wait_for_pairs(&exporter, 2, "the start");
    for step in [
        "-n {host} link add x type veth peer name y",
        "-n {host} link set x netns {a}",
        "-n {host} link set y netns {b}",
        "-n {a} link set x up",
        "-n {b} link set y up",
    ] {
        ip(step, &scene, [&a, &b, &c]);
    }
    join((&a, "x"), (&b, "y"));
    send_datagrams(&a.path(), &b.path(), "10.99.0.2".parse().unwrap(), 500, 1_000);
    exporter.wait_for(LIMIT, "500 frames of 1,042 bytes", |metrics| {
        (sent(metrics, "a", "x")? == (500, 521_000)).then_some(())
    });
    scene.assert_joined();
    // The last message of each end has what is to be known.
    ip("-n {a} link del x", &scene, [&a, &b, &c]);
    wait_for_pairs(&exporter, 2, "the end");
    assert_eq!(sent(&exporter.metrics(), "a", "x"), Some((500, 521_000)));
}

#[test]
fn an_end_that_arrives_with_a_history_counts_what_comes_from_then_on() {
    let scene = Scene::new();
    let a = scene.named("a");
    scene.host.veth("to-a", &a, "eth0");
    let exporter = scene.exporter(&[]);
    wait_for_pairs(&exporter, 1, "the start");
    // Nothing leads from the host to these two namespaces.
    let [b, c] = ["b", "c"].map(Netns::quiet);
    ip("-n {b} link add x type veth peer name y netns {c}", &scene, [&a, &b, &c]);
    for step in ["-n {b} link set x up", "-n {c} link set y up"] {
        ip(step, &scene, [&a, &b, &c]);
    }
    join((&b, "x"), (&c, "y"));
    send_datagrams(&b.path(), &c.path(), "10.99.0.2".parse().unwrap(), 500, 1_000);
    ip("-n {b} link set x netns {a}", &scene, [&a, &b, &c]);
    ip("-n {c} link set y netns {host}", &scene, [&a, &b, &c]);
    wait_for_pairs(&exporter, 2, "the arrival");
    exporter
        .wait_for(LIMIT, "a series of nothing", |metrics| (sent(metrics, "a", "x")? == (0, 0)).then_some(()));
    for step in ["-n {a} link set x up", "-n {host} link set y up"] {
        ip(step, &scene, [&a, &b, &c]);
    }
    join((&a, "x"), (&scene.host, "y"));
    send_datagrams(&a.path(), &scene.host.path(), "10.99.0.2".parse().unwrap(), 20, 1_000);
    exporter.wait_for(LIMIT, "20 frames of 1,042 bytes", |metrics| {
        (sent(metrics, "a", "x")? == (20, 20 * 1_042)).then_some(())
    });
    scene.assert_joined();
}

#[test]
fn a_name_that_passes_on_to_another_namespace_is_located_anew() {
    let scene = Scene::new();
    let old = scene.named("x");
    scene.host.veth("to-old", &old, "eth0");
    let exporter = scene.exporter(&[]);
    let named = |device: &'static str| {
        move |metrics: &lab::Exposition| {
            metrics.value("veth_device_up", &[("device", device), ("container", "x")])
        }
    };
    exporter.wait_for(LIMIT, "the old namespace is x", named("to-old"));
    let new = Netns::quiet("n");
    scene.folder.name("x", &new);
    scene.host.veth("to-new", &new, "eth0");
    exporter.wait_for(Duration::from_secs(20), "the new one is x, and the old one is not", |metrics| {
        (named("to-new")(metrics).is_some() && named("to-old")(metrics).is_none()).then_some(())
    });
    let before = sent(&exporter.metrics(), "x", "eth0").unwrap();
    join((&new, "eth0"), (&scene.host, "to-new"));
    send_datagrams(&new.path(), &scene.host.path(), "10.99.0.2".parse().unwrap(), 20, 1_000);
    exporter.wait_for(LIMIT, "20 frames more of x", |metrics| {
        (sent(metrics, "x", "eth0")? == (before.0 + 20, before.1 + 20 * 1_042)).then_some(())
    });
    scene.assert_joined();
}
