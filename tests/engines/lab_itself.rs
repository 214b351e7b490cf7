//! The lab is tested like everything else: a lab that passes everything proves nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use lab::{
    DockerEngine, Exporter, Exposition, Netns, Process, Prometheus, needs_engine, ping, promtool_check,
    transfer, wait_for,
};

const GOOD: &str = "# HELP veth_device_receive_bytes_total Bytes \\\\ and a \\n.\n\
    # TYPE veth_device_receive_bytes_total counter\n\
    veth_device_receive_bytes_total{device=\"a\\\"b\",container=\"back\\\\slash\\n\"} 48213\n\
    veth_device_receive_bytes_total{device=\"b\"} 1e+06\n\
    # HELP veth_device_up Whether it is up.\n\
    # TYPE veth_device_up gauge\n\
    veth_device_up 1\n\
    # HELP veth_scrape_seconds How long.\n\
    # TYPE veth_scrape_seconds histogram\n\
    veth_scrape_seconds_bucket{le=\"0.1\"} 1\n\
    veth_scrape_seconds_bucket{le=\"+Inf\"} 2\n\
    veth_scrape_seconds_sum 0.4\n\
    veth_scrape_seconds_count 2\n";

#[test]
fn the_parser_reads_labels_values_and_families_as_they_were_written() {
    let read = Exposition::parse(GOOD).unwrap();
    let name = "veth_device_receive_bytes_total";
    assert_eq!(read.value(name, &[("device", "a\"b"), ("container", "back\\slash\n")]), Some(48_213.0));
    assert_eq!(read.value(name, &[("device", "b")]), Some(1_000_000.0));
    assert_eq!(read.value(name, &[("device", "c")]), None);
    assert_eq!(read.value("veth_device_up", &[]), Some(1.0));
    assert_eq!(read.value("veth_scrape_seconds_bucket", &[("le", "+Inf")]), Some(2.0));
    assert_eq!(read.all(name).len(), 2);
    assert_eq!(read.family(name).unwrap().help, "Bytes \\ and a \n.");
    assert_eq!(read.family("veth_scrape_seconds").unwrap().samples.len(), 4);
    assert_eq!(read.text, GOOD);
}

#[test]
#[should_panic(expected = "is not one series")]
fn a_value_that_two_series_could_be_is_refused() {
    Exposition::parse(GOOD).unwrap().value("veth_device_receive_bytes_total", &[]);
}

#[test]
fn the_parser_refuses_each_way_of_being_wrong() {
    let head = "# HELP a Text.\n# TYPE a gauge\n";
    let cases: &[(&str, &str, &str)] = &[
        ("a series twice", "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", "was there before"),
        (
            "a family in two blocks",
            "a 1\n# HELP b Text.\n# TYPE b gauge\nb 1\na{x=\"1\"} 1\n",
            "outside its family",
        ),
        ("a family that begins again", "a 1\n# HELP a Text.\n", "has begun before"),
        ("TYPE after samples", "a 1\n# TYPE a gauge\n", "does not stand between"),
        ("TYPE twice", "# TYPE a gauge\n", "does not stand between"),
        ("TYPE without HELP", "# TYPE b gauge\nb 1\n", "does not stand between"),
        ("no TYPE", "# HELP b Text.\nb 1\n", "before its TYPE"),
        ("no TYPE and no sample", "# HELP b Text.\n", "has no TYPE"),
        ("a sample without a family", "b 1\n", "outside its family"),
        ("a type that there is not", "# HELP b Text.\n# TYPE b guage\n", "no such type"),
        ("a suffix that its type has not", "a_total 1\n", "outside its family"),
        ("a bad escape in a label", "a{x=\"\\t\"} 1\n", "no such escape"),
        ("a bad escape in HELP", "# HELP b a \\\" quote\n", "no such escape"),
        ("a quote that is not escaped", "a{x=\"a\"b\"} 1\n", "neither a comma nor the end"),
        ("a quote that does not close", "a{x=\"a} 1\n", "without its closing quote"),
        ("an escaped quote at the end", "a{x=\"a\\\"} 1\n", "without its closing quote"),
        ("a label twice", "a{x=\"1\",x=\"2\"} 1\n", "the label x twice"),
        ("a label without a value", "a{x} 1\n", "without a quoted value"),
        ("a label without a name", "a{=\"1\"} 1\n", "not a name"),
        ("a reserved label", "a{__name__=\"1\"} 1\n", "not a name"),
        ("a label's name with a colon", "a{x:y=\"1\"} 1\n", "not a name"),
        ("a comma behind the last label", "a{x=\"1\",} 1\n", "without a quoted value"),
        ("a metric's name with a dash", "a-b 1\n", "not a name"),
        ("a metric's name that begins with a digit", "1a 1\n", "not a name"),
        ("no value", "a{x=\"1\"}\n", "no space before the value"),
        ("an empty value", "a{x=\"1\"} \n", "not a value"),
        ("a value in words", "a one\n", "not a value"),
        ("infinity as Rust writes it", "a inf\n", "not a value"),
        ("a timestamp", "a 1 1700000000000\n", "a timestamp"),
        ("two spaces", "a  1\n", "not a value"),
        ("a carriage return", "a 1\r\n", "not a value"),
        ("an empty line", "a 1\n\n", "neither labels nor a value"),
        ("a comment", "# EOF\n", "neither HELP nor TYPE"),
        ("a last line without its end", "a 1", "does not end"),
        ("a negative counter", "# HELP c_total Text.\n# TYPE c_total counter\nc_total -1\n", "negative"),
        (
            "a counter that is no number",
            "# HELP c_total Text.\n# TYPE c_total counter\nc_total NaN\n",
            "not a number",
        ),
    ];
    for (what, lines, expected) in cases {
        let wrong = Exposition::parse(&format!("{head}{lines}")).expect_err(what);
        assert!(wrong.contains(expected), "{what}: expected {expected:?}, got {wrong:?}");
    }
}

#[test]
fn promtool_accepts_a_good_exposition_and_refuses_bad_ones() {
    promtool_check(GOOD).unwrap();
    let error = promtool_check("# TYPE a gauge\na{x=\"\\t\"} 1\n").expect_err("a bad escape");
    assert!(error.contains("invalid escape"), "{error}");
    let error =
        promtool_check("# HELP a Text.\n# TYPE a counter\na 1\n").expect_err("a counter that is not a total");
    assert!(error.contains("_total"), "{error}");
}

#[test]
fn a_netns_is_there_with_its_loopback_and_gone_with_its_guard() {
    let netns = Netns::new("lab");
    let path = netns.path();
    assert!(path.exists());
    assert_eq!(netns.ip_json(["link", "show", "lo"])[0]["flags"][1], "UP");
    let listed = netns.exec(["ip", "-o", "link"]);
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with("1: lo:"), "{}", lab::describe(&listed));
    drop(netns);
    assert!(!path.exists());
}

#[test]
fn a_thread_that_went_into_a_netns_leaves_its_caller_where_it_was() {
    let netns = Netns::new("lab");
    let here = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = here();
    let inside = netns.within(here);
    assert_ne!(inside, before);
    assert_eq!(here(), before);
}

#[test]
fn known_traffic_between_two_netns_is_what_the_kernel_counts() {
    let (one, two) = (Netns::new("lab"), Netns::new("lab"));
    one.veth("to-two", &two, "to-one");
    // Without IPv6's own messages, and with neighbours that nobody asks for again, the count is exact.
    let mac = |netns: &Netns, name| {
        netns.ip_json(["link", "show", name])[0]["address"].as_str().unwrap().to_owned()
    };
    for (netns, name, own, other, other_mac) in [
        (&one, "to-two", "10.99.0.1/24", "10.99.0.2", mac(&two, "to-one")),
        (&two, "to-one", "10.99.0.2/24", "10.99.0.1", mac(&one, "to-two")),
    ] {
        assert!(
            netns.exec(["sysctl", "-qw", &format!("net.ipv6.conf.{name}.disable_ipv6=1")]).status.success()
        );
        netns.ip(["address", "add", own, "dev", name]);
        netns.ip(["neigh", "add", other, "lladdr", &other_mac, "dev", name, "nud", "permanent"]);
    }
    let address = "10.99.0.2".parse().unwrap();
    let received = || two.ip_json(["-s", "link", "show", "to-one"])[0]["stats64"]["rx"].clone();
    let before = received();
    ping(&one.path(), address, 20, 1_000);
    let after = received();
    let grown = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    assert_eq!((grown("packets"), grown("bytes")), (20, 20 * 1_042), "before: {before}, after: {after}");
    transfer(&one.path(), &two.path(), address, 1_000_000);
    assert!(received()["bytes"].as_u64() > after["bytes"].as_u64().map(|bytes| bytes + 1_000_000));
}

#[test]
#[should_panic(expected = "the state of the moment")]
fn a_wait_that_ends_in_vain_shows_the_last_state() {
    wait_for(Duration::from_millis(20), "something that never happens", || {
        Err::<(), _>("the state of the moment")
    });
}

#[test]
fn a_process_is_heard_and_ends_by_sigterm() {
    let mut process =
        Process::start("sh", Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exec sleep 60"]));
    let line =
        process.wait_for_line(Duration::from_secs(5), "two", |line| (line == "two").then(|| line.to_owned()));
    assert_eq!(line, "two");
    assert_eq!(process.log(), ["one", "two"]);
    assert!(process.ended().is_none());
    let status = process.terminate(Duration::from_secs(5));
    assert!(!status.success() && status.code().is_none(), "{status}");
    assert!(!std::path::Path::new(&format!("/proc/{}", process.pid())).exists());
}

#[test]
#[should_panic(expected = "the last words")]
fn a_process_that_ends_too_early_is_reported_with_its_log() {
    let mut process =
        Process::start("sh", Command::new("sh").args(["-c", "echo the last words >&2; exit 3"]));
    process.wait_for_line(Duration::from_secs(5), "an address", |_| None::<()>);
}

#[test]
#[should_panic(expected = "without saying the address that it listens on")]
fn an_exporter_that_does_not_come_up_is_reported() {
    let netns = Netns::new("lab");
    Exporter::start(&netns, &["--no-such-flag"]);
}

#[test]
fn prometheus_scrapes_a_target_and_answers_what_it_said() {
    let netns = Netns::new("lab");
    let target = serve_once_and_again(&netns, GOOD);
    let prometheus = Prometheus::start(&netns, target);
    let value = wait_for(Duration::from_secs(15), "the target's value is in Prometheus", || {
        let answer = prometheus.query("veth_device_receive_bytes_total{device=\"b\"}");
        answer[0]["value"][1].as_str().map(str::to_owned).ok_or(prometheus.query("up"))
    });
    assert_eq!(value, "1000000");
    assert_eq!(prometheus.query("up")[0]["value"][1], "1");
}

/// An HTTP server for one text on every path, until the test process ends.
fn serve_once_and_again(netns: &Netns, text: &'static str) -> SocketAddr {
    let listener = netns.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]).unwrap();
            let length = text.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type: text/plain; version=0.0.4\r\n"
            );
            stream.write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn the_engine_runs_containers_that_reach_each_other_over_a_network_of_their_own() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("lab");
    let attach = ["--network", network.name()];
    let (sender, receiver) = (engine.run_idle("lab", &attach), engine.run_idle("lab", &attach));
    assert_eq!(sender.exec(&["cat", "/proc/1/comm"]), "sleep\n");

    let before = receiver.counters("eth0");
    sender.ping(receiver.address(network.name()), 10, 500);
    let after_ping = receiver.counters("eth0");
    assert!(after_ping.rx_bytes - before.rx_bytes >= 10 * 542, "before: {before:?}, after: {after_ping:?}");
    sender.send(&receiver, network.name(), 3_000_000);
    let after = receiver.counters("eth0");
    assert!(after.rx_bytes - after_ping.rx_bytes > 3_000_000, "before: {after_ping:?}, after: {after:?}");

    let device = receiver.host_device(engine.netns(), "eth0");
    let link = engine.netns().ip_json(["-s", "link", "show", &device]);
    assert_eq!(link[0]["master"], network.bridge(), "{link:#}");
    assert!(link[0]["stats64"]["tx"]["bytes"].as_u64() >= Some(after.rx_bytes), "{after:?} and {link:#}");
}

#[test]
fn a_container_and_a_network_are_gone_with_their_guards() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("lab");
    let container = engine.run_idle("lab", &["--network", network.name()]);
    let (network_id, container_id) = (network.id().to_owned(), container.id().to_owned());
    drop(container);
    drop(network);
    assert!(!engine.docker(&["ps", "-aq", "--no-trunc"]).contains(&container_id));
    assert!(!engine.docker(&["network", "ls", "-q", "--no-trunc"]).contains(&network_id));
}

#[test]
fn a_private_engine_is_killed_and_restarted_and_leaves_nothing() {
    needs_engine!();
    let netns = Netns::new("lab");
    let mut engine = DockerEngine::start_private(&netns);
    let container = engine.run_idle("lab", &[]);
    let process = std::path::PathBuf::from(format!("/proc/{}", container.pid()));
    assert!(netns.ip_json(["link", "show", "docker0"])[0]["ifindex"].is_u64());

    engine.kill();
    assert!(!engine.try_docker(&["version"]).status.success());
    assert!(process.exists(), "a container lives on without its engine");

    engine.restart();
    assert!(container.inspect()["State"]["Running"].is_boolean());
    engine.docker(&["start", container.name()]);
    let process = std::path::PathBuf::from(format!("/proc/{}", container.pid()));

    // Killed again with a container that runs: the guards end it all the same.
    engine.kill();
    let host = engine.host().to_owned();
    drop(container);
    drop(engine);
    wait_for(Duration::from_secs(5), "the container's process is gone", || {
        if process.exists() { Err("it runs") } else { Ok(()) }
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = std::path::Path::new(host.trim_start_matches("unix://")).parent().unwrap().to_owned();
    assert!(!mounts.contains(&root.display().to_string()), "{mounts}");
    assert!(!root.exists());
}
