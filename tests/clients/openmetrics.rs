//! The metrics in OpenMetrics: read by the reference parser, asked for by curl, scraped by a real Prometheus.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::{
    Exporter, Exposition, Netns, NetnsFolder, Prometheus, describe, python, send_datagrams, succeed, wait_for,
};
use serde_json::Value;

/// What Prometheus 2.42 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A host, and a namespace of this name behind a pair, from which 7 datagrams of 1,042 bytes have come.
struct Scene {
    host: Netns,
    folder: NetnsFolder,
    inside: Netns,
    name: &'static str,
}

impl Scene {
    fn new(name: &'static str) -> Scene {
        let (host, inside, folder) = (Netns::quiet("host"), Netns::quiet("inside"), NetnsFolder::new());
        folder.name(name, &inside);
        Scene { host, folder, inside, name }
    }

    /// The pair is born while the exporter looks.
    fn exporter(&self) -> Exporter {
        let exporter = Exporter::start(&self.host, &self.folder.arguments());
        exporter.wait_ready();
        self.host.veth("veth-web", &self.inside, "eth0");
        self.host.address("veth-web", "10.99.0.1", &self.inside, "eth0", "10.99.0.2");
        self.inside.address("eth0", "10.99.0.2", &self.host, "veth-web", "10.99.0.1");
        send_datagrams(&self.inside.path(), &self.host.path(), "10.99.0.1".parse().unwrap(), 7, 1_000);
        exporter.wait_for(Duration::from_secs(5), "the traffic is booked, with peaks", |metrics| {
            let [total, peak] = ["bytes_total", "peak_bytes_per_second"]
                .map(|what| metrics.all(&format!("veth_container_transmit_{what}")).len());
            (total == 1 && peak == 1).then_some(())
        });
        exporter
    }
}

/// The families as the reference parser reads them, by name.
fn parsed(text: &str) -> BTreeMap<String, Value> {
    let output = python("openmetrics.py", &[], text.as_bytes());
    assert!(output.status.success(), "{}\nin:\n{text}", describe(&output));
    let families: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    families.into_iter().map(|family| (family["name"].as_str().unwrap().to_owned(), family)).collect()
}

/// The value of a family's only sample of this name.
fn only(family: &Value, sample: &str) -> f64 {
    let samples = family["samples"].as_array().unwrap();
    let values: Vec<f64> =
        samples.iter().filter(|s| s[0] == sample).map(|s| s[2].as_f64().unwrap()).collect();
    assert_eq!(values.len(), 1, "{sample} in {family:#}");
    values[0]
}

#[test]
fn the_reference_parser_reads_what_was_sent_and_since_when_it_is_counted() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let scene = Scene::new("we\"b\\\u{e9}");
    let exporter = scene.exporter();
    let response = exporter.request("GET", "/metrics", &[("Accept", PROMETHEUS)]);
    assert_eq!(response.header("content-type"), Some(OPENMETRICS));
    assert!(response.header("vary").is_some_and(|vary| vary.contains("Accept,")), "{:?}", response.headers);
    let families = parsed(response.text());
    let bytes = &families["veth_container_transmit_bytes"];
    assert_eq!((&bytes["type"], &bytes["unit"]), (&Value::from("counter"), &Value::from("bytes")));
    assert_eq!(only(bytes, "veth_container_transmit_bytes_total"), 7.0 * 1_042.0);
    assert_eq!(bytes["samples"][0][1]["container"], scene.name.replace('\\', "\\\\"), "{bytes:#}");
    let created = only(bytes, "veth_container_transmit_bytes_created");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(before < created && created < now, "{before} < {created} < {now}");
    for (family, kind) in [
        ("veth_container", "info"),
        ("veth_device", "info"),
        ("veth_exporter_build", "info"),
        ("veth_device_up", "gauge"),
        ("process_cpu_seconds", "counter"),
        ("veth_exporter_netlink_events", "counter"),
    ] {
        assert_eq!(families[family]["type"], kind, "{family}");
    }
    // Each family of the one text is in the other, with as many samples.
    let text = exporter.metrics();
    for (family, of) in text.families.iter().map(|family| (&family.name, family.samples.len())) {
        let here = ["_total", "_info"].iter().find_map(|added| family.strip_suffix(added)).unwrap_or(family);
        let samples =
            families.get(here).unwrap_or_else(|| panic!("{family} is missing"))["samples"].as_array();
        let same = samples.unwrap().iter().filter(|sample| sample[0] == **family).count();
        assert_eq!(same, of, "{family}");
    }
    // And the parser is one that refuses.
    let without_end = response.text().replace("# EOF\n", "");
    assert!(!python("openmetrics.py", &[], without_end.as_bytes()).status.success());
}

#[test]
fn created_is_the_same_at_every_scrape_and_later_for_what_came_later() {
    let scene = Scene::new("web");
    let exporter = scene.exporter();
    let created = || {
        let text = exporter.request("GET", "/metrics", &[("Accept", PROMETHEUS)]);
        let of = |container: &str| {
            let begin =
                format!("veth_container_receive_bytes_created{{runtime=\"named\",container=\"{container}\"");
            let line = text.text().lines().find(|line| line.starts_with(&begin))?;
            line.rsplit_once(' ')?.1.parse::<f64>().ok()
        };
        (of("web").unwrap(), of("late"))
    };
    let (web, none) = created();
    assert_eq!(none, None);
    let late = Netns::quiet("late");
    scene.folder.name("late", &late);
    scene.host.veth("veth-late", &late, "eth0");
    let (again, of_late) = wait_for(Duration::from_secs(5), "the late one is there", || {
        let (web, late) = created();
        late.map(|late| (web, late)).ok_or("not yet")
    });
    assert_eq!(again, web);
    assert!(of_late > web, "{of_late} after {web}");
}

#[test]
fn curl_gets_the_format_that_it_likes_best_plain_packed_or_as_a_head_alone() {
    let scene = Scene::new("web");
    let exporter = scene.exporter();
    let url = format!("http://{}/metrics", exporter.address());
    let curl =
        |arguments: &[&str]| succeed(scene.host.command("curl").args(["-sS"]).args(arguments).arg(&url));
    for (accept, wanted) in [
        ("*/*", TEXT),
        ("", TEXT),
        ("text/html, */*;q=0.1", TEXT),
        (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.4", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        (";;q=,/", TEXT),
    ] {
        let header = format!("Accept: {accept}");
        for more in
            [&["-I"][..], &["-D", "-", "-o", "/dev/null"], &["-D", "-", "-o", "/dev/null", "--compressed"]]
        {
            let head = curl(&[&["-H", &header], more].concat());
            assert!(head.contains(&format!("content-type: {wanted}\r\n")), "{accept} {more:?}: {head}");
            let packed = head.contains("content-encoding: gzip");
            assert_eq!(packed, more.contains(&"--compressed"), "{accept} {more:?}: {head}");
        }
        let text = curl(&["-H", &header, "--compressed"]);
        if wanted == OPENMETRICS {
            parsed(&text);
        } else {
            Exposition::parse(&text).unwrap();
        }
    }
}

#[test]
fn prometheus_scrapes_openmetrics_and_has_nothing_to_complain_of() {
    let scene = Scene::new("web");
    let exporter = scene.exporter();
    let prometheus = Prometheus::start(&scene.host, exporter.address());
    let has = |query: &str| prometheus.query(query).as_array().cloned().unwrap();
    wait_for(Duration::from_secs(10), "Prometheus has the total and when it began", || {
        let total = has("veth_container_transmit_bytes_total == 7294");
        // Only OpenMetrics has it.
        let created = has("veth_container_transmit_bytes_created > time() - 120 < time()");
        let info = has("veth_container_info and on() veth_device_info and on() veth_exporter_build_info");
        if [&total, &created, &info].iter().all(|found| found.len() == 1) {
            Ok(())
        } else {
            Err(format!("{total:?} {created:?} {info:?}\n{:#}", prometheus.targets()))
        }
    });
    let metadata = |metric: &str| prometheus.metadata(metric);
    let bytes = metadata("veth_container_transmit_bytes");
    assert_eq!(
        (&bytes["type"], &bytes["unit"]),
        (&Value::from("counter"), &Value::from("bytes")),
        "{bytes:#}"
    );
    assert_eq!(metadata("veth_container")["type"], "info");
    prometheus.refuse_complaints();
}
