//! Filters and labels: what the user does not want to see is not there, everything else is, and what cannot be meant is refused.

use std::time::Duration;

use lab::{
    DockerEngine, Exporter, Exposition, Netns, NetnsFolder, Prometheus, describe, needs_engine,
    promtool_check, two_silent, unique_name, wait_for,
};

const SOON: Duration = Duration::from_secs(20);

/// The names of the families that have a series with this label.
fn families(metrics: &Exposition, label: &str, value: &str) -> Vec<String> {
    let mut names: Vec<String> =
        metrics.with_label(label, value).into_iter().map(|sample| sample.name.clone()).collect();
    names.dedup();
    names
}

#[test]
fn a_hidden_container_is_nowhere_and_its_network_counts_it_all_the_same() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("hidden");
    let flags = ["--container.exclude", "two-.*"];
    let exporter = Exporter::for_engine(engine, &flags);
    let all = Exporter::for_engine(engine, &[]);
    let [one, two] = two_silent(engine, &network);
    let member = engine.run_idle("guest", &["--network", &format!("container:{}", two.name())]);
    engine.netns().veth("nobody0", engine.netns(), "nobody1");
    one.send(&two, network.name(), 1_000_000);
    let of_network = [("network", network.name()), ("runtime", "docker")];
    let total = |metrics: &Exposition| metrics.value("veth_network_receive_bytes_total", &of_network);
    let (filtered, whole) = wait_for(SOON, "both count the network alike", || {
        let (filtered, whole) = (exporter.fresh_metrics(), all.fresh_metrics());
        let counted = total(&whole).is_some_and(|bytes| bytes > 1_000_000.0);
        let there = !filtered.with_label("device", "nobody0").is_empty();
        match counted && there && total(&filtered) == total(&whole) {
            true => Ok((filtered, whole)),
            false => Err(format!("{}\n{}", filtered.text, whole.text)),
        }
    });
    let device = two.host_device(engine.netns(), "eth0");
    for hidden in [two.name(), member.name(), &device] {
        assert!(whole.text.contains(hidden), "{hidden} in\n{}", whole.text);
        assert!(!filtered.text.contains(hidden), "{hidden} in\n{}", filtered.text);
    }
    // The one that is shown has all that it had.
    let of_one = |metrics: &Exposition| families(metrics, "container", one.name());
    assert_eq!(of_one(&filtered), of_one(&whole));
    assert_eq!(families(&filtered, "device", "nobody0"), families(&whole, "device", "nobody0"));
    promtool_check(&filtered.text).unwrap();
}

#[test]
fn a_device_filter_and_device_metrics_hide_devices_and_nothing_else() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let others = ["one", "two"].map(|name| {
        let netns = Netns::quiet(name);
        folder.name(name, &netns);
        netns
    });
    host.veth("veth-one", &others[0], "eth0");
    host.veth(r"v\two", &others[1], "eth0");
    let start = |flags: &[&str]| {
        let exporter = Exporter::start(&host, &[&folder.arguments()[..], flags].concat());
        exporter.wait_for(SOON, "both namespaces are named", |metrics| {
            let named = |name| !metrics.with_label("container", name).is_empty();
            (named("one") && named("two")).then_some(())
        });
        exporter.metrics()
    };
    let devices = |metrics: &Exposition| {
        let mut names: Vec<String> = metrics
            .families
            .iter()
            .filter(|family| family.name.starts_with("veth_device_"))
            .flat_map(|family| family.samples.iter().map(|sample| sample.labels["device"].clone()))
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let all = start(&[]);
    for (flags, wanted) in [
        (&["--device.include", "veth-.*"][..], vec!["veth-one"]),
        (&["--device.include", r"v\\\\two"], vec![r"v\\two"]),
        (&["--device.exclude", "veth"], vec![r"v\\two", "veth-one"]),
        (&["--device.exclude", ".*one"], vec![r"v\\two"]),
        (&["--device.metrics=false"], vec![]),
        (&["--device.metrics=state", "--device.exclude", ".*one"], vec![r"v\\two"]),
        (&["--device.metrics=true"], vec![r"v\\two", "veth-one"]),
    ] {
        let metrics = start(flags);
        assert_eq!(devices(&metrics), wanted, "{flags:?} gives\n{}", metrics.text);
        for family in ["veth_container_info", "veth_container_receive_bytes_total"] {
            assert_eq!(metrics.all(family).len(), all.all(family).len(), "{flags:?}: {family}");
        }
        promtool_check(&metrics.text).unwrap();
    }
}

#[test]
fn wanted_labels_are_shown_cleaned_and_cut_and_prometheus_takes_them_all() {
    needs_engine!();
    let engine = DockerEngine::get();
    let (long, odd) = (format!("long={}", "é".repeat(10_000)), "a.b/c=x\u{1b}[2J\r\n\"\\\u{7f}\u{202e}");
    let labels = ["--label", &long, "--label", odd, "--label", "secret=x", "--label", "empty="];
    let owner = engine.run_idle("labelled", &labels);
    let of_owner = format!("container:{}", owner.name());
    let member = engine.run_idle("member", &["--network", &of_owner, "--label", "a.b/c=of the member"]);
    let flags = ["--container.labels", "a.b/c,long", "--container.labels", "empty,absent"];
    let exporter = Exporter::for_engine(engine, &flags);
    let info = |name: &str| {
        exporter.wait_for(SOON, "it has its line of information", |metrics| {
            let infos = metrics.all("veth_container_info").into_iter().map(|(labels, _)| labels);
            infos.into_iter().find(|labels| labels.get("container").is_some_and(|have| have == name))
        })
    };
    let found = info(owner.name());
    assert_eq!(found["label_a_b_c"], odd.split_once('=').unwrap().1);
    let cut = &found["label_long"];
    assert!(cut.len() <= 1_024 && cut.starts_with(&"é".repeat(500)) && cut.contains('~'), "{cut}");
    let shown: Vec<&String> = found.keys().filter(|name| name.starts_with("label_")).collect();
    assert_eq!(shown, ["label_a_b_c", "label_long"]);
    assert_eq!(info(member.name())["label_a_b_c"], "of the member");
    let metrics = exporter.metrics();
    assert!(!metrics.text.contains("secret"), "{}", metrics.text);
    promtool_check(&metrics.text).unwrap();
    let prometheus = Prometheus::start(engine.netns(), exporter.address());
    let query = format!("veth_container_info{{container=\"{}\"}}", owner.name());
    let scraped = wait_for(SOON, &query, || {
        let answer = prometheus.query(&query);
        if answer[0].is_object() { Ok(answer) } else { Err(format!("{answer:#}")) }
    });
    assert_eq!(scraped[0]["metric"]["label_a_b_c"], odd.split_once('=').unwrap().1, "{scraped:#}");
    let joined = format!(
        "sum by (label_a_b_c) (veth_container_receive_bytes_total{{container=\"{}\"}} \
         * on (runtime, container, namespace, pod) group_left (label_a_b_c) veth_container_info{{network_owner=\"\"}})",
        owner.name()
    );
    let sum = prometheus.query(&joined);
    assert_eq!(sum[0]["metric"]["label_a_b_c"], scraped[0]["metric"]["label_a_b_c"], "{sum:#}");
}

#[test]
fn what_cannot_be_meant_is_refused_by_name_with_exit_code_2() {
    let host = Netns::quiet("host");
    let by_flags: [(&[&str], &[&str]); 6] = [
        (&["--device.include", "a(b"], &["--device.include", "a(b", "character 2", "unclosed group"]),
        (&["--container.exclude", "[z-a]"], &["--container.exclude", "character 2"]),
        (
            &["--container.include", "a", "--container.exclude", "b"],
            &["--container.include", "--container.exclude"],
        ),
        (&["--device.include", "a", "--device.exclude", "b"], &["--device.include", "--device.exclude"]),
        (&["serve", "--container.labels", "a.b,a-b"], &["\"a.b\"", "\"a-b\"", "label_a_b"]),
        (&["--device.metrics", "perhaps"], &["--device.metrics", "perhaps"]),
    ];
    let assert_refused = |output: std::process::Output, words: &[&str]| {
        assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
        for word in words {
            assert!(describe(&output).contains(word), "no {word} in {}", describe(&output));
        }
    };
    for (flags, words) in by_flags {
        assert_refused(Exporter::command(&host, flags).output().unwrap(), words);
    }
    let mut command = Exporter::command(&host, &["--container.exclude", "b"]);
    let output = command.env("VETH_EXPORTER_CONTAINER_INCLUDE", unique_name("a")).output().unwrap();
    assert_refused(output, &["VETH_EXPORTER_CONTAINER_INCLUDE", "--container.exclude"]);
}
