//! /api/v1/pairs as curl sees it, held against docs/api.schema.json, `ip -j` and the metrics.

use std::time::Duration;

use lab::{Exporter, Netns, NetnsFolder, Response, checkout, describe, python, send_datagrams, wait_for};
use serde_json::Value;

const API: &str = "/api/v1/pairs";

/// A host with pairs to namespaces of these names, and one between two of its own.
struct Scene {
    host: Netns,
    inside: Vec<Netns>,
    _folder: NetnsFolder,
    exporter: Exporter,
}

const NAMES: [&str; 3] = ["web", "d\"b\\", "caf\u{e9} & co"];

impl Scene {
    fn new() -> Scene {
        Scene::with(&[])
    }

    fn with(arguments: &[&str]) -> Scene {
        let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
        let inside: Vec<Netns> = NAMES.iter().map(|_| Netns::quiet("inside")).collect();
        for (number, (netns, name)) in inside.iter().zip(NAMES).enumerate() {
            folder.name(name, netns);
            let (port, [ours, theirs]) =
                (format!("veth{number}"), [1, 2].map(|n| format!("10.99.{number}.{n}")));
            host.veth(&port, netns, "eth0");
            host.address(&port, &ours, netns, "eth0", &theirs);
            netns.address("eth0", &theirs, &host, &port, &ours);
        }
        host.ip(["link", "add", "name", "br0", "type", "bridge"]);
        host.veth("one", &host, "two");
        host.ip(["link", "set", "one", "master", "br0", "mtu", "1400"]);
        let exporter = Exporter::start(&host, &[&folder.arguments()[..], arguments].concat());
        exporter.wait_for(Duration::from_secs(5), "all are named, with peaks", |metrics| {
            let peaks = metrics.all("veth_container_receive_peak_bytes_per_second").len();
            let ports = metrics.all("veth_device_up").len();
            (peaks == NAMES.len() && ports == NAMES.len() + 2).then_some(())
        });
        Scene { host, inside, _folder: folder, exporter }
    }

    fn send(&self, number: usize, datagrams: u32) {
        let address = format!("10.99.{number}.1").parse().unwrap();
        send_datagrams(&self.inside[number].path(), &self.host.path(), address, datagrams, 1_000);
    }

    /// The answer to this query, which must be as the schema says.
    fn pairs(&self, query: &str) -> Value {
        let response = self.exporter.get(&format!("{API}?{query}"));
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        checked(&response)
    }

    /// The ports' names in the order of the answer.
    fn ports(&self, query: &str) -> Vec<String> {
        let answer = self.pairs(query);
        let name = |pair: &Value| pair["ends"][0]["name"].as_str().unwrap().to_owned();
        answer["pairs"].as_array().unwrap().iter().map(name).collect()
    }
}

fn against_schema(body: &[u8]) -> std::process::Output {
    let schema = checkout().join("docs/api.schema.json");
    python("schema.py", &[&schema.display().to_string()], body)
}

fn checked(response: &Response) -> Value {
    assert_eq!(response.header("content-type"), Some("application/json"));
    let output = against_schema(&response.body);
    assert!(output.status.success(), "{}\nin:\n{}", describe(&output), response.text());
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn both_ends_are_as_ip_shows_them_and_totals_as_the_metrics() {
    let scene = Scene::new();
    scene.send(1, 5);
    let answer = wait_for(Duration::from_secs(5), "what was sent is a rate and a peak", || {
        let answer = scene.pairs("device=veth1");
        let peak = &answer["pairs"][0]["ends"][1]["peaks"]["transmit_packets_per_second"];
        if peak.as_u64() > Some(0) { Ok(answer) } else { Err(answer) }
    });
    let [port, interface] = [0, 1].map(|end| &answer["pairs"][0]["ends"][end]);
    assert_eq!(answer["matched"], 1);
    for (end, link, inside) in [
        (port, scene.host.ip_json(["-s", "link", "show", "veth1"]), false),
        (interface, scene.inside[1].ip_json(["-s", "link", "show", "eth0"]), true),
    ] {
        let link = &link[0];
        for (ours, theirs) in [
            ("name", &link["ifname"]),
            ("ifindex", &link["ifindex"]),
            ("mtu", &link["mtu"]),
            ("address", &link["address"]),
        ] {
            assert_eq!(&end[ours], theirs, "{ours} in {end:#}");
        }
        assert_eq!(end["up"], link["operstate"] == "UP", "{end:#} {link:#}");
        let counts = if inside { &end["totals"] } else { &end["counters"] };
        assert_eq!(counts["receive_bytes"], link["stats64"]["rx"]["bytes"], "{end:#} {link:#}");
        assert_eq!(counts["transmit_packets"], link["stats64"]["tx"]["packets"], "{end:#} {link:#}");
        assert_eq!(end["role"], if inside { "interface" } else { "port" });
    }
    assert_eq!(
        (&port["bridge"], &port["netns"], &port["workload"]),
        (&Value::Null, &"".into(), &Value::Null)
    );
    let workload = &interface["workload"];
    assert_eq!((&workload["runtime"], &workload["container"]), (&"named".into(), &"d\"b\\\\".into()));
    let enslaved = scene.pairs("device=one");
    let ends = enslaved["pairs"][0]["ends"].as_array().unwrap();
    let one = ends.iter().find(|end| end["name"] == "one").unwrap();
    assert_eq!((&one["bridge"], &one["mtu"]), (&"br0".into(), &1400.into()), "{one:#}");
    let metrics = scene.exporter.metrics();
    let labels = [("container", "d\"b\\\\")];
    let metric = |name: &str| metrics.value(&format!("veth_container_{name}"), &labels).unwrap();
    assert_eq!(interface["totals"]["transmit_packets"].as_f64(), Some(metric("transmit_packets_total")));
    assert_eq!(interface["totals"]["transmit_bytes"].as_f64(), Some(metric("transmit_bytes_total")));
    let peak = &interface["peaks"]["transmit_bytes_per_second"];
    assert_eq!(peak.as_f64(), Some(metric("transmit_peak_bytes_per_second")));
}

#[test]
fn rates_are_those_of_the_last_tick() {
    let scene = Scene::with(&["--collector.interval", "2s"]);
    let rate = |scene: &Scene| scene.pairs("device=veth0")["pairs"][0]["ends"][1]["rates"].clone();
    let per_second = |rates: &Value| rates["transmit_packets_per_second"].as_u64();
    wait_for(Duration::from_secs(10), "a tick without traffic", || {
        let rates = rate(&scene);
        if per_second(&rates) == Some(0) { Ok(()) } else { Err(rates) }
    });
    scene.send(0, 1_000);
    wait_for(Duration::from_secs(10), "a tick with it: 1,000 packets in 2 s, or in two ticks", || {
        let rates = rate(&scene);
        if per_second(&rates) > Some(100) && per_second(&rates) <= Some(1_000) { Ok(()) } else { Err(rates) }
    });
    wait_for(Duration::from_secs(10), "and it is over, while the peak is kept", || {
        let answer = scene.pairs("device=veth0");
        let end = &answer["pairs"][0]["ends"][1];
        let peak = per_second(&end["peaks"]);
        if per_second(&end["rates"]) == Some(0) && peak > Some(100) { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn of_four_pairs_with_one_label_set_each_has_its_own_rates_and_totals_are_left_out() {
    // Namespaces without an owner: the labels are runtime="unknown" and the name of the interface.
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let inside: Vec<Netns> = (0..4).map(|_| Netns::quiet("inside")).collect();
    for (number, netns) in inside.iter().enumerate() {
        let (port, [ours, theirs]) = (format!("veth{number}"), [1, 2].map(|n| format!("10.98.{number}.{n}")));
        host.veth(&port, netns, "eth0");
        host.address(&port, &ours, netns, "eth0", &theirs);
        netns.address("eth0", &theirs, &host, &port, &ours);
    }
    let arguments = [&folder.arguments()[..], &["--collector.interval", "2s"]].concat();
    let exporter = Exporter::start(&host, &arguments);
    let ends = || -> Vec<Value> {
        let answer = checked(&exporter.get(&format!("{API}?sort=device")));
        answer["pairs"].as_array().unwrap().iter().map(|pair| pair["ends"][1].clone()).collect()
    };
    let rates = || -> Vec<Option<u64>> {
        ends().iter().map(|end| end["rates"]["transmit_packets_per_second"].as_u64()).collect()
    };
    wait_for(Duration::from_secs(10), "a tick without traffic", || {
        let rates = rates();
        if rates == [Some(0); 4] { Ok(()) } else { Err(format!("{rates:?}")) }
    });
    send_datagrams(&inside[2].path(), &host.path(), "10.98.2.1".parse().unwrap(), 1_000, 1_000);
    wait_for(Duration::from_secs(10), "one has the rate, and the others have none of it", || {
        let rates = rates();
        if rates[2] > Some(100) && [0, 1, 3].iter().all(|&other| rates[other] == Some(0)) {
            Ok(())
        } else {
            Err(format!("{rates:?}"))
        }
    });
    for end in ends() {
        assert_eq!(
            (&end["shared"], &end["totals"], &end["peaks"]),
            (&true.into(), &Value::Null, &Value::Null)
        );
    }
}

#[test]
fn list_prints_the_document_of_the_api() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth0", &web, "eth0");
    let exporter = Exporter::start(&host, &folder.arguments());
    let served = wait_for(Duration::from_secs(5), "the pair is there", || {
        let response = exporter.get(API);
        if response.status == 200 && response.text().contains("veth0") {
            Ok(response)
        } else {
            Err(response.text().to_string())
        }
    });
    let command = [&["list", "--format", "json"], &folder.arguments()[..]].concat();
    let output = Exporter::command(&host, &command).output().unwrap();
    let judged = against_schema(&output.stdout);
    assert!(
        output.status.success() && judged.status.success(),
        "{} {}",
        describe(&output),
        describe(&judged)
    );
    let [mut served, mut listed] =
        [checked(&served), serde_json::from_slice::<Value>(&output.stdout).unwrap()];
    for document in [&mut served, &mut listed] {
        for end in 0..2 {
            // Counted over time, or read at another moment.
            let end = document["pairs"][0]["ends"][end].as_object_mut().unwrap();
            for number in ["counters", "totals", "rates", "peaks"] {
                assert!(end.remove(number).is_some(), "{number} in {end:#?}");
            }
        }
    }
    // A single reading says nothing of the exporter's host.
    assert!(served.as_object_mut().unwrap().remove("host").is_some());
    assert_eq!(listed, served);
}

#[test]
fn filters_order_and_limit_are_as_asked() {
    let scene = Scene::new();
    scene.send(0, 2);
    scene.send(2, 9);
    assert_eq!(scene.pairs("")["matched"], 4);
    for (query, wanted) in [
        ("container=web", &["veth0"][..]),
        ("container=d%22b%5C%5C", &["veth1"]),
        ("container=caf%C3%A9+%26+co", &["veth2"]),
        ("container=web&container=nobody", &["veth0"]),
        ("container=web&device=veth1", &[]),
        ("runtime=named&sort=device", &["veth0", "veth1", "veth2"]),
        ("runtime=named&sort=-device&limit=2", &["veth2", "veth1"]),
        ("runtime=docker", &[]),
        ("network=none", &[]),
        ("sort=-transmit_total&limit=2", &["veth2", "veth0"]),
        ("limit=0", &[]),
    ] {
        assert_eq!(scene.ports(query), wanted, "{query}");
    }
    assert_eq!(scene.pairs("runtime=named&limit=1")["matched"], 3, "the limit does not count");
    let on_the_host = scene.ports("device=two");
    assert_eq!((on_the_host.len(), &scene.ports("device=one")), (1, &on_the_host), "both ends are ports");
    for order in ["container", "-container"] {
        let sorted = scene.ports(&format!("sort={order}"));
        assert_eq!(sorted[3..], on_the_host, "what has no container comes last: {sorted:?}");
    }
}

#[test]
fn a_parameter_that_means_nothing_is_refused_with_what_is_wrong() {
    let scene = Scene::new();
    for (query, wrong) in [
        ("contianer=web", "contianer"),
        ("sort=speed", "sort=speed"),
        ("limit=many", "limit=many"),
        ("runtime=dokcer", "runtime=dokcer"),
        ("pod=%zz", "%zz"),
        ("pod=%ff", "UTF-8"),
    ] {
        let response = scene.exporter.get(&format!("{API}?{query}"));
        assert_eq!(response.status, 400, "{query}");
        let error = checked(&response)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(wrong), "{query}: {error}");
    }
    assert_eq!(scene.exporter.request("POST", API, &[]).status, 405);
    assert_eq!(scene.exporter.get("/api/v1/pairs/").status, 404);
    assert!(
        !against_schema(b"{\"matched\": 1, \"pairs\": [{}]}").status.success(),
        "a schema that takes all"
    );
}

#[test]
fn what_a_client_has_is_not_sent_again_until_it_is_another() {
    let scene = Scene::new();
    let asked = |headers: &[(&str, &str)]| scene.exporter.request("GET", API, headers);
    // Peaks end with their window and rates with their tick: the same again is waited for.
    let (first, again) = wait_for(Duration::from_secs(10), "two answers are the same", || {
        let first = asked(&[]);
        let tag = first.header("etag").unwrap().to_owned();
        let again = asked(&[("If-None-Match", &tag)]);
        if again.status == 304 { Ok((first, again)) } else { Err(format!("{tag}, {again:?}")) }
    });
    assert!(again.body.is_empty() && again.header("etag") == first.header("etag"), "{again:?}");
    let packed = asked(&[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < first.body.len() / 2);
    let head = scene.exporter.request("HEAD", API, &[]);
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    scene.send(0, 3);
    let tag = first.header("etag").unwrap();
    let other = asked(&[("If-None-Match", tag)]);
    assert!(other.status == 200 && other.header("etag") != Some(tag), "{other:?}");
    checked(&other);
}

#[test]
fn the_addresses_in_a_namespace_are_those_of_ip_and_of_others_none_is_told() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth0", &web, "eth0");
    for address in ["10.96.0.2/24", "10.96.0.3/32", "10.95.7.1/31"] {
        web.ip(["address", "add", address, "dev", "eth0"]);
    }
    host.ip(["address", "add", "10.96.0.1/24", "dev", "veth0"]);
    let exporter = Exporter::start(&host, &folder.arguments());
    let nsid = wait_for(Duration::from_secs(10), "the pair is there", || {
        let document: Value =
            serde_json::from_slice(&exporter.get(API).body).map_err(|error| error.to_string())?;
        document["pairs"][0]["ends"][1]["nsid"].as_u64().ok_or_else(|| document.to_string())
    });
    let by_ip = |netns: &Netns| {
        let shown = netns.ip_json(["address", "show"]);
        let mut all: Vec<String> = Vec::new();
        for link in shown.as_array().unwrap() {
            for address in link["addr_info"].as_array().unwrap() {
                all.push(format!(
                    "{} {}/{}",
                    link["ifindex"],
                    address["local"].as_str().unwrap(),
                    address["prefixlen"]
                ));
            }
        }
        all.sort();
        all
    };
    let told = |nsid: &str| {
        let response = exporter.get(&format!("/api/v1/addresses?nsid={nsid}"));
        let document: Value = serde_json::from_slice(&response.body).unwrap();
        let line = |row: &Value| {
            format!("{} {}/{}", row["ifindex"], row["address"].as_str().unwrap(), row["prefix"])
        };
        let mut all: Vec<String> = document["addresses"].as_array().unwrap().iter().map(line).collect();
        all.sort();
        all
    };
    assert_eq!(told(&nsid.to_string()), by_ip(&web));
    assert!(by_ip(&web).len() >= 3);
    assert_eq!(told("host"), by_ip(&host));
    assert_eq!(told("4000"), [] as [&str; 0], "no end is there");
    for (query, status) in [("", 400), ("nsid=x", 400)] {
        assert_eq!(exporter.get(&format!("/api/v1/addresses?{query}")).status, status, "{query}");
    }
}

/// A bridge with two namespaces, 10.9.0.2 and 10.9.0.3, of which the second has its interface switched off.
struct Bridge {
    host: Netns,
    spaces: [Netns; 2],
    folder: NetnsFolder,
    processes: Vec<std::process::Child>,
    exporter: Exporter,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended with its namespace.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Bridge {
    fn new() -> Bridge {
        let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
        let spaces = [Netns::quiet("one"), Netns::quiet("two")];
        host.ip(["link", "add", "br0", "type", "bridge"]);
        host.ip(["link", "set", "br0", "up"]);
        for (number, (name, space)) in (2..).zip(["one", "two"].into_iter().zip(&spaces)) {
            let port = format!("p{number}");
            folder.name(name, space);
            host.veth(&port, space, "eth0");
            host.ip(["link", "set", &port, "master", "br0"]);
            space.ip(["address", "add", &format!("10.9.0.{number}/24"), "dev", "eth0"]);
        }
        spaces[1].ip(["link", "set", "eth0", "down"]);
        let processes = spaces.iter().map(|space| space.command("sleep").arg("300").spawn().unwrap());
        let processes = processes.collect();
        let exporter = Exporter::start(&host, &folder.arguments());
        wait_for(Duration::from_secs(10), "both pairs are there, and the link is down", || {
            let text = exporter.get(API).text().to_string();
            let is_known = ["named\",\"container\":\"one", "named\",\"container\":\"two", "\"up\":false"];
            if is_known.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
        });
        Bridge { host, spaces, folder, processes, exporter }
    }

    fn served(&self, query: &str) -> Value {
        let response = self.exporter.get(&format!("/api/v1/explain{query}"));
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        serde_json::from_slice(&response.body).unwrap()
    }

    fn printed(&self, words: &[&str]) -> Value {
        let words = [&["explain", "--format", "json"], words, &self.folder.arguments()[..]].concat();
        let output = Exporter::command(&self.host, &words).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", describe(&output)))
    }

    /// The link `eth0` of this namespace as a parameter's value.
    fn link(&self, number: usize) -> String {
        let pairs: Value = serde_json::from_slice(&self.exporter.get(API).body).unwrap();
        let name = ["one", "two"][number];
        let ends =
            pairs["pairs"].as_array().unwrap().iter().flat_map(|pair| pair["ends"].as_array().unwrap());
        let end =
            ends.filter(|end| end["role"] == "interface").find(|end| end["workload"]["container"] == name);
        let end = end.unwrap();
        format!("@{}/{}", end["nsid"], end["ifindex"])
    }
}

#[test]
fn an_explanation_is_the_document_of_the_command_for_names_addresses_and_links() {
    let scene = Bridge::new();
    let by_name = scene.served("?from=one&to=two");
    let first = &by_name["explanations"][0]["findings"][0];
    assert_eq!((&first["grade"], &first["rule"]), (&"reason".into(), &"link_down".into()), "{by_name:#}");
    assert_eq!(by_name, scene.printed(&["one", "two"]));
    assert_eq!(scene.served("?from=named%2Fone&to=10.9.0.3"), scene.printed(&["named/one", "10.9.0.3"]));
    assert_eq!(scene.served("?from=two"), scene.printed(&["two"]));
    assert_eq!(scene.served("?from=br0&to=p3"), scene.printed(&["br0", "p3"]));
    assert_eq!(scene.served("?from=one&to=10.77.0.1"), scene.printed(&["one", "10.77.0.1"]));
    let [one, two] = [0, 1].map(|number| scene.link(number));
    assert_eq!(scene.served(&format!("?from={one}&to={two}")), by_name);
    assert_eq!(by_name["explanations"][0]["unread"], Value::Array(Vec::new()), "the sandbox hinders nothing");
    wait_for(Duration::from_secs(30), "the link is among everything", || {
        let everything = scene.served("");
        if everything.to_string().contains("link_down") { Ok(()) } else { Err(everything) }
    });
    scene.spaces[1].ip(["link", "set", "eth0", "up"]);
    wait_for(Duration::from_secs(10), "the link is up", || {
        let document = scene.served("?from=one&to=two");
        if document["explanations"][0]["findings"] == Value::Array(Vec::new()) {
            Ok(())
        } else {
            Err(document)
        }
    });
}

#[test]
fn an_explanation_of_ends_that_are_not_there_is_refused_with_the_reason() {
    let scene = Bridge::new();
    for (query, status, wrong) in [
        ("from=nothing", 404, "called nothing"),
        ("from=on", 404, "there is one"),
        ("from=eth0", 404, "eth0 means several things: named/one, named/two"),
        ("from=one&to=nothing", 404, "called nothing"),
        ("from=10.77.0.1", 404, "an address that nothing here has"),
        ("from=@4000/2", 404, "@4000/2"),
        ("from=@4", 404, "called @4"),
        ("from=@4/x", 400, "@NSID/IFINDEX"),
        ("from=", 400, "from="),
        ("to=one", 400, "without from"),
        ("from=one&from=two", 400, "more than once"),
        ("form=one", 400, "form"),
    ] {
        let response = scene.exporter.get(&format!("/api/v1/explain?{query}"));
        assert_eq!(response.status, status, "{query}: {}", response.text());
        let document: Value = serde_json::from_slice(&response.body).unwrap();
        let error = document["error"].as_str().unwrap();
        assert!(error.contains(wrong), "{query}: {error}");
    }
    assert_eq!(scene.exporter.request("POST", "/api/v1/explain", &[]).status, 405);
}
