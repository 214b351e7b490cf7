//! Real containers of a real Docker engine, from their birth to their end: each has its name, and every byte is counted.
//!
//! The truth comes from the containers' own /proc/net/dev and /sys, from `docker inspect` and from `ip`. The engine is shared by
//! the tests that run at the same time: each looks only at containers of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::time::Duration;

use lab::{
    Container, DockerEngine, DockerNetwork, Exporter, Exposition, Interface, Netns, Sample, Traffic,
    acquaint, describe, empty_folder, needs_engine, promtool_check, silent_on, two_silent,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// Ten rounds a second: the more of what happens between two states of a container is seen.
const OFTEN: [&str; 2] = ["--collector.interval", "100ms"];

type Labels = BTreeMap<String, String>;

fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The label sets of a family that have this container.
fn of_container(metrics: &Exposition, family: &str, container: &str) -> Vec<Labels> {
    let samples = metrics.with_label("container", container);
    samples.into_iter().filter(|sample| sample.name == family).map(|sample| sample.labels.clone()).collect()
}

/// Waits until so many devices bear the container's name.
fn wait_for_devices(exporter: &Exporter, container: &str, count: usize) -> Exposition {
    let what = format!("{count} devices bear the name {container}");
    exporter.wait_for(SOON, &what, |metrics| {
        (of_container(metrics, "veth_device_info", container).len() == count).then(|| metrics.clone())
    })
}

/// The link on the engine's host whose ifindex a container's interface names as its iflink, as `ip` shows it.
fn host_link(engine: &DockerEngine, container: &Container, interface: &str) -> Value {
    let iflink: u64 = container.sysfs(interface, "iflink").parse().unwrap();
    let links = engine.netns().ip_json(["link", "show"]);
    let found = links.as_array().unwrap().iter().find(|link| link["ifindex"] == iflink);
    found.unwrap_or_else(|| panic!("no link {iflink} in {links:#}")).clone()
}

/// The labels that `veth_device_info` must have for a container's interface.
fn expected_info(engine: &DockerEngine, container: &Container, interface: &str) -> Labels {
    let link = host_link(engine, container, interface);
    let address = container.sysfs(interface, "address");
    let inspected = container.inspect();
    let networks = inspected["NetworkSettings"]["Networks"].as_object().unwrap();
    let network = networks.iter().find(|(_, endpoint)| endpoint["MacAddress"] == address.as_str());
    let (network, _) = network.unwrap_or_else(|| panic!("nobody has {address} in {networks:#?}"));
    labels([
        ("device", link["ifname"].as_str().unwrap()),
        ("ifindex", &link["ifindex"].to_string()),
        ("address", link["address"].as_str().unwrap()),
        ("bridge", link["master"].as_str().unwrap()),
        ("master", link["master"].as_str().unwrap()),
        ("master_kind", "bridge"),
        ("peer_ifindex", &container.sysfs(interface, "ifindex")),
        ("peer_netns", &format!("docker/{}", container.name())),
        ("peer_address", &address),
        ("runtime", "docker"),
        ("container", container.name()),
        ("container_id", inspected["Id"].as_str().unwrap()),
        ("image", inspected["Config"]["Image"].as_str().unwrap()),
        ("interface", interface),
        ("network", network),
    ])
}

#[test]
fn a_container_on_two_networks_is_named_on_both_as_docker_and_itself_say() {
    needs_engine!();
    let engine = DockerEngine::get();
    let (front, back) = (engine.network("front"), engine.network("back"));
    let web = engine.run_idle(
        "web",
        &[
            "--network",
            front.name(),
            "--label",
            "com.docker.compose.project=shop",
            "--label",
            "com.docker.compose.service=web",
        ],
    );
    engine.docker(&["network", "connect", back.name(), web.name()]);
    let exporter = Exporter::for_engine(engine, &[]);
    let metrics = wait_for_devices(&exporter, web.name(), 2);

    let infos = of_container(&metrics, "veth_device_info", web.name());
    let expected = ["eth0", "eth1"].map(|interface| expected_info(engine, &web, interface));
    assert_eq!(BTreeSet::from_iter(infos), BTreeSet::from(expected.clone()));
    let networks: BTreeSet<&str> = expected.iter().map(|labels| labels["network"].as_str()).collect();
    assert_eq!(networks, BTreeSet::from([front.name(), back.name()]));
    let bridges: BTreeSet<&str> = expected.iter().map(|labels| labels["bridge"].as_str()).collect();
    assert_eq!(bridges, BTreeSet::from([front.bridge().as_str(), back.bridge().as_str()]));

    let one_line = labels([
        ("runtime", "docker"),
        ("container", web.name()),
        ("container_id", web.id()),
        ("image", "lab/busybox:1"),
        ("compose_project", "shop"),
        ("compose_service", "web"),
    ]);
    assert_eq!(of_container(&metrics, "veth_container_info", web.name()), [one_line]);
    let of_traffic: Vec<Labels> = expected
        .iter()
        .map(|info| {
            let own = ["runtime", "container", "interface", "network"];
            labels(own.map(|name| (name, info[name].as_str())))
        })
        .collect();
    assert_eq!(of_container(&metrics, "veth_container_receive_bytes_total", web.name()), of_traffic);
}

#[test]
fn who_shares_a_namespace_is_a_member_and_who_has_no_veth_claims_nothing() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("shared");
    let on_host = engine.run_idle("onhost", &["--network", "host"]);
    let alone = engine.run_idle("alone", &["--network", "none"]);
    let paused = engine.run_idle("paused", &["--network", network.name()]);
    engine.docker(&["pause", paused.name()]);
    let owner = engine.run_idle("owner", &["--network", network.name()]);
    let of_owner = format!("container:{}", owner.name());
    let member = engine.run_idle("member", &["--network", &of_owner]);
    let of_member = format!("container:{}", member.name());
    let further = engine.run_idle("further", &["--network", &of_member]);
    let exporter = Exporter::for_engine(engine, &[]);
    let metrics = wait_for_devices(&exporter, owner.name(), 1);

    for guest in [&member, &further] {
        let found: Vec<(&str, &Labels)> = metrics
            .with_label("container", guest.name())
            .into_iter()
            .map(|Sample { name, labels, .. }| (name.as_str(), labels))
            .collect();
        let info = labels([
            ("runtime", "docker"),
            ("container", guest.name()),
            ("container_id", guest.id()),
            ("image", "lab/busybox:1"),
            ("network_owner", owner.name()),
        ]);
        let name = labels([("runtime", "docker"), ("container", guest.name())]);
        let lives = ["veth_container_stale_member", "veth_container_starts_total"];
        let expected = [("veth_container_info", &info), (lives[0], &name), (lives[1], &name)];
        assert_eq!(found, expected, "a member has no traffic of its own");
    }
    for without in [&on_host, &alone] {
        let found: Vec<&str> = metrics
            .with_label("container", without.name())
            .iter()
            .map(|sample| sample.name.as_str())
            .collect();
        assert_eq!(found, ["veth_container_starts_total"], "{}", metrics.text);
    }
    // `docker exec` refuses a paused container.
    let info = of_container(&metrics, "veth_device_info", paused.name());
    assert_eq!(info.len(), 1, "{}", metrics.text);
    assert_eq!(info[0]["device"], paused.host_device(engine.netns(), "eth0"));
    assert_eq!((info[0]["interface"].as_str(), info[0]["network"].as_str()), ("eth0", network.name()));
    engine.docker(&["unpause", paused.name()]);
}

#[test]
fn thirty_containers_that_start_together_are_each_named_once_and_never_unknown() {
    needs_engine!();
    // Nobody else's containers: what is unknown here is one of the thirty.
    let netns = Netns::new("many");
    let engine = &*DockerEngine::start_private(&netns);
    let network = engine.network("many");
    let exporter = Exporter::for_engine(engine, &[]);
    let run = |_| engine.run_idle("many", &["--network", network.name()]);
    let group = |_| (0..5).map(run).collect::<Vec<Container>>();
    let containers: Vec<Container> = exporter.while_scraping(refuse_the_unknown, || {
        let containers: Vec<Container> = std::thread::scope(|scope| {
            let groups: Vec<_> = (0..6).map(|number| scope.spawn(move || group(number))).collect();
            groups.into_iter().flat_map(|group| group.join().unwrap()).collect()
        });
        for container in &containers {
            wait_for_devices(&exporter, container.name(), 1);
        }
        containers
    });
    assert_eq!(containers.len(), 30);

    let metrics = exporter.metrics();
    for container in &containers {
        let expected = expected_info(engine, container, "eth0");
        let name = container.name();
        assert_eq!(of_container(&metrics, "veth_device_info", name), std::slice::from_ref(&expected));
        let families: BTreeMap<&str, usize> =
            metrics.with_label("container", name).iter().fold(BTreeMap::new(), |mut families, sample| {
                *families.entry(sample.name.as_str()).or_default() += 1;
                families
            });
        // A peak is there when the first tick is over, TCP figures when they are read.
        let is_at_once = |family: &str| !family.contains("_peak_") && !family.contains("_tcp_");
        let families: BTreeMap<&str, usize> =
            families.into_iter().filter(|(family, _)| is_at_once(family)).collect();
        assert_eq!(families.len(), 20, "{name}: {families:?}");
        assert!(families.values().all(|&count| count == 1), "{name}: {families:?}");
    }
    let sum: f64 = metrics
        .all("veth_container_receive_bytes_total")
        .iter()
        .filter(|(labels, _)| labels.get("network").is_some_and(|name| name == network.name()))
        .map(|(_, value)| value)
        .sum();
    let of_network = [("runtime", "docker"), ("network", network.name())];
    assert_eq!(metrics.value("veth_network_receive_bytes_total", &of_network), Some(sum));
    promtool_check(&metrics.text).unwrap();
    let veths = engine.netns().ip_json(["link", "show", "type", "veth"]).as_array().unwrap().len();
    assert_eq!(veths, 30);
    let ends = metrics.all("veth_exporter_ends");
    let paired = ends.iter().filter(|(labels, _)| labels["state"] == "paired");
    assert_eq!(paired.map(|(_, count)| count).sum::<f64>(), 60.0, "{ends:#?}");
    assert_eq!(ends.iter().map(|(_, count)| count).sum::<f64>(), 60.0, "no end is anything else: {ends:#?}");
}

fn refuse_the_unknown(metrics: &Exposition) {
    let unknown = metrics.with_label("runtime", "unknown");
    assert!(unknown.is_empty(), "{unknown:#?} in\n{}", metrics.text);
}

/// The same where other tests' containers can be too short-lived to be named: on these networks nobody is.
fn refuse_the_unknown_on(networks: &[&DockerNetwork], metrics: &Exposition) {
    for sample in metrics.with_label("runtime", "unknown") {
        let on = |network: &&&DockerNetwork| {
            sample.labels.get("network").is_some_and(|name| name == network.name())
                || sample.labels.get("bridge").is_some_and(|bridge| *bridge == network.bridge())
        };
        assert!(!networks.iter().any(|network| on(&network)), "{sample:#?} in\n{}", metrics.text);
    }
}

#[test]
fn what_two_containers_send_each_other_is_counted_to_the_byte_and_in_the_right_direction() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("exact");
    let [one, two] = two_silent(engine, &network);
    // The exporter finds them: what was before is not its affair, and what comes is.
    one.ping(two.address(network.name()), 3, 100);
    let exporter = Exporter::for_engine(engine, &[]);
    wait_for_devices(&exporter, one.name(), 1);
    wait_for_devices(&exporter, two.name(), 1);
    let [one_eth0, two_eth0] = [&one, &two].map(|container| container.interface("eth0"));

    let (one_first, one_own_first) = one_eth0.at_rest(&exporter);
    let (two_first, two_own_first) = two_eth0.at_rest(&exporter);
    one.ping(two.address(network.name()), 20, 1_000);
    let frames =
        Traffic { receive_bytes: 20_840, receive_packets: 20, transmit_bytes: 20_840, transmit_packets: 20 };
    for (interface, first, own_first) in
        [(&one_eth0, one_first, one_own_first), (&two_eth0, two_first, two_own_first)]
    {
        let (booked, own) = interface.at_rest(&exporter);
        assert_eq!((booked - first, own - own_first), (frames, frames), "20 frames of 1,042 bytes each way");
    }

    one.send(&two, network.name(), 5_000_000);
    two.send(&one, network.name(), 200_000);
    let grown = |interface: &Interface, first: Traffic, own_first: Traffic| {
        let (booked, own) = interface.at_rest(&exporter);
        assert_eq!(booked - first, own - own_first, "{interface:?}");
        booked - first
    };
    let one_grown = grown(&one_eth0, one_first, one_own_first);
    let two_grown = grown(&two_eth0, two_first, two_own_first);
    assert!(one_grown.transmit_bytes > 5_000_000 && one_grown.receive_bytes > 200_000, "{one_grown:?}");
    assert!(one_grown.receive_bytes < 2_000_000, "only acknowledgements came back: {one_grown:?}");
    let mirrored = Traffic {
        receive_bytes: two_grown.transmit_bytes,
        receive_packets: two_grown.transmit_packets,
        transmit_bytes: two_grown.receive_bytes,
        transmit_packets: two_grown.receive_packets,
    };
    assert_eq!(one_grown, mirrored, "what one sends, two receives");
}

#[test]
fn a_container_that_takes_its_interface_down_has_been_counted_to_the_last_frame() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("down");
    let exporter = Exporter::for_engine(engine, &[]);
    // With IPv6, ARP and all else that a container says: nothing comes after its interface is down.
    let one = engine.run_idle("one", &["--network", network.name(), "--cap-add", "NET_ADMIN"]);
    let two = engine.run_idle("two", &["--network", network.name()]);
    two.send(&one, network.name(), 1_000_000);
    one.exec(&["ip", "link", "set", "eth0", "down"]);
    let (booked, own) = one.interface("eth0").at_rest(&exporter);
    assert_eq!(booked, own, "a veth that was born under the exporter's eyes is counted from its birth");
    assert!(own.receive_bytes > 1_000_000, "{own:?}");
    let device = one.host_device(engine.netns(), "eth0");
    exporter.wait_for(SOON, "the port is down", |metrics| {
        metrics.value("veth_device_up", &[("device", &device)]).filter(|up| *up == 0.0)
    });
}

/// Sees to it that from one scrape to the next no total falls or goes, and nobody on these networks becomes unknown.
fn never_falling(networks: &[&DockerNetwork]) -> impl FnMut(&Exposition) + Send {
    let mut last: BTreeMap<(String, Labels), f64> = BTreeMap::new();
    move |metrics| {
        refuse_the_unknown_on(networks, metrics);
        let totals = metrics.families.iter().flat_map(|family| &family.samples).filter(|sample| {
            let of_workloads = ["veth_container_", "veth_network_"];
            sample.name.ends_with("_total") && of_workloads.iter().any(|name| sample.name.starts_with(name))
        });
        let now: BTreeMap<_, _> =
            totals.map(|sample| ((sample.name.clone(), sample.labels.clone()), sample.value)).collect();
        for (series, before) in &last {
            let after = now.get(series);
            assert!(after >= Some(before), "{series:?} was {before}, and is {after:?}");
        }
        last = now;
    }
}

#[test]
fn totals_outlive_a_stop_and_go_on_after_the_next_start() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("restart");
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let [one, two] = two_silent(engine, &network);
    one.ping(two.address(network.name()), 10, 900);
    let (first, own) = one.interface("eth0").at_rest(&exporter);
    assert_eq!(first, own, "a veth that was born under the exporter's eyes is counted from its birth");
    let eth0 = one.interface("eth0");

    exporter.while_scraping(never_falling(&[&network]), || {
        engine.docker(&["stop", one.name()]);
        let metrics = wait_for_devices(&exporter, one.name(), 0);
        assert_eq!(Traffic::booked(&metrics, &eth0.labels()), Some(first), "kept after the stop");
        assert_eq!(of_container(&metrics, "veth_container_info", one.name()), [] as [Labels; 0]);

        engine.docker(&["start", one.name()]);
        wait_for_devices(&exporter, one.name(), 1);
        acquaint(engine, &network, [&one, &two]);
        one.ping(two.address(network.name()), 10, 900);
        let (second, own) = one.interface("eth0").at_rest(&exporter);
        assert_eq!(second, first + own, "the first life and the second");

        engine.docker(&["restart", one.name()]);
        acquaint(engine, &network, [&one, &two]);
        one.ping(two.address(network.name()), 10, 900);
        let (third, own) = one.interface("eth0").at_rest(&exporter);
        assert_eq!(third, second + own, "all three lives");
    });
    let infos = of_container(&exporter.metrics(), "veth_device_info", one.name());
    assert_eq!(infos, [expected_info(engine, &one, "eth0")]);
}

#[test]
fn a_container_that_is_made_anew_under_its_name_goes_on_with_the_totals() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("anew");
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let [one, two] = two_silent(engine, &network);
    one.ping(two.address(network.name()), 10, 900);
    let (first, own) = one.interface("eth0").at_rest(&exporter);
    assert_eq!(first, own);

    let one = exporter.while_scraping(never_falling(&[&network]), || {
        let name = one.name().to_owned();
        drop(one);
        let one = engine.run_as(&name, &silent_on(&network), &["sleep", "1000"]);
        acquaint(engine, &network, [&one, &two]);
        one.ping(two.address(network.name()), 10, 900);
        let (both, own) = one.interface("eth0").at_rest(&exporter);
        assert_eq!(both, first + own, "the life of the first container and that of the second");
        one
    });
    let infos = of_container(&exporter.metrics(), "veth_container_info", one.name());
    assert_eq!(infos.len(), 1, "{infos:#?}");
    assert_eq!(infos[0]["container_id"], one.id());
}

#[test]
fn a_renamed_container_goes_on_under_its_new_name_and_the_old_total_stands_still() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("rename");
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let [mut one, two] = two_silent(engine, &network);
    one.ping(two.address(network.name()), 10, 900);
    let (first, _) = one.interface("eth0").at_rest(&exporter);
    let old = one.interface("eth0");

    exporter.while_scraping(never_falling(&[&network]), || {
        one.rename(lab::unique_name("renamed"));
        wait_for_devices(&exporter, one.name(), 1);
        one.ping(two.address(network.name()), 5, 900);
        let (booked, own) = one.interface("eth0").at_rest(&exporter);
        let metrics = exporter.metrics();
        assert_eq!(Traffic::booked(&metrics, &old.labels()), Some(first), "the old name's total");
        assert_eq!(first + booked, own, "the old name's traffic and the new one's");
        let old_name = old.labels()[1].1;
        for info in ["veth_device_info", "veth_container_info"] {
            assert_eq!(of_container(&metrics, info, old_name), [] as [Labels; 0]);
        }
    });
}

#[test]
fn a_network_that_is_connected_and_disconnected_has_its_own_series() {
    needs_engine!();
    let engine = DockerEngine::get();
    let (network, further) = (engine.network("first"), engine.network("further"));
    let exporter = Exporter::for_engine(engine, &OFTEN);
    let [one, two] = two_silent(engine, &network);
    wait_for_devices(&exporter, one.name(), 1);
    exporter.while_scraping(never_falling(&[&network, &further]), || {
        for container in [&one, &two] {
            engine.docker(&["network", "connect", further.name(), container.name()]);
        }
        acquaint(engine, &further, [&one, &two]);
        one.ping(two.address(further.name()), 10, 900);
        let interface = one.interface_on(&further);
        let (booked, own) = interface.at_rest(&exporter);
        let metrics = wait_for_devices(&exporter, one.name(), 2);
        assert_eq!(booked, own, "a network that was connected under the exporter's eyes");
        let infos = BTreeSet::from_iter(of_container(&metrics, "veth_device_info", one.name()));
        let expected = ["eth0", interface.name()].map(|interface| expected_info(engine, &one, interface));
        assert_eq!(infos, BTreeSet::from(expected));

        engine.docker(&["network", "disconnect", further.name(), one.name()]);
        let metrics = wait_for_devices(&exporter, one.name(), 1);
        assert_eq!(Traffic::booked(&metrics, &interface.labels()), Some(booked), "kept");
        let infos = of_container(&metrics, "veth_device_info", one.name());
        assert_eq!(infos, [expected_info(engine, &one, "eth0")]);
        let of_further = [("runtime", "docker"), ("network", further.name())];
        let sum = |what: &str| {
            let totals = metrics.all(&format!("veth_container_{what}_total")).into_iter();
            totals.filter(|(labels, _)| labels.get("network").is_some_and(|name| name == further.name()))
        };
        let received: f64 = sum("receive_bytes").map(|(_, value)| value).sum();
        assert_eq!(metrics.value("veth_network_receive_bytes_total", &of_further), Some(received));
    });
}

fn list(engine: &DockerEngine, docker_host: &str, arguments: &[&str]) -> Output {
    let folder = empty_folder("n").display().to_string();
    let sources = ["--docker.host", docker_host, "--path.netns", &folder];
    let mut command = Exporter::command(engine.netns(), &["list"]);
    command.args(sources).args(arguments).output().unwrap()
}

#[test]
fn list_shows_the_container_behind_each_device() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("list");
    let containers = ["one", "two"].map(|name| engine.run_idle(name, &["--network", network.name()]));
    let as_json = list(engine, engine.host(), &["--format", "json"]);
    assert!(as_json.status.success() && as_json.stderr.is_empty(), "{}", describe(&as_json));
    let document: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    let pairs = document["pairs"].as_array().unwrap();
    let as_table = list(engine, engine.host(), &[]);
    assert!(as_table.status.success() && as_table.stderr.is_empty(), "{}", describe(&as_table));
    let table = String::from_utf8(as_table.stdout).unwrap();
    for container in &containers {
        let expected = expected_info(engine, container, "eth0");
        let device = expected["device"].as_str();
        let mut found =
            pairs.iter().filter(|row| row["ends"][1]["workload"]["container"] == container.name());
        let row = found.next().unwrap_or_else(|| panic!("no {} in {document:#}", container.name()));
        assert!(found.next().is_none(), "{} twice in {document:#}", container.name());
        assert_eq!((&row["state"], &row["ends"][0]["role"]), (&"paired".into(), &"port".into()), "{row:#}");
        assert_eq!(row["ends"][0]["name"], device, "{row:#}");
        assert_eq!(row["ends"][0]["bridge"], network.bridge(), "{row:#}");
        assert_eq!(row["ends"][1]["name"], "eth0", "{row:#}");
        assert_eq!(row["ends"][1]["workload"]["id"], container.id(), "{row:#}");
        assert_eq!(row["ends"][1]["network"], network.name(), "{row:#}");
        let line = table.lines().find(|line| line.contains(&format!("docker/{} ", container.name())));
        let line = line.unwrap_or_else(|| panic!("no {} in\n{table}", container.name()));
        assert!(line.starts_with(&format!("{}:{device} ", expected["ifindex"])), "{line}");
        assert!(line.contains(&network.bridge()) && line.contains(network.name()), "{line}");
    }
}

#[test]
fn list_goes_on_without_its_engine_and_says_so() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("list");
    let container = engine.run_idle("one", &["--network", network.name()]);
    let nowhere = format!("unix://{}/docker.sock", empty_folder("nowhere").display());
    let listed = list(engine, &nowhere, &["--format", "json"]);
    assert!(listed.status.success(), "{}", describe(&listed));
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains(&nowhere), "{said}");
    let document: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let device = container.host_device(engine.netns(), "eth0");
    let mut rows = document["pairs"].as_array().unwrap().iter();
    let row = rows.find(|row| row["ends"][0]["name"] == device.as_str()).unwrap();
    // No engine claims it, so the cgroup of a process in it gives the name.
    let workload = &row["ends"][1]["workload"];
    assert_eq!([&workload["runtime"], &workload["container"]], ["docker", &container.id()[..12]], "{row:#}");
}
