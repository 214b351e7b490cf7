//! Names that somebody chose to do harm: they are shown as what they are, and nothing else is the worse for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::Value;

use lab::{Exporter, Exposition, Netns, NetnsFolder, promtool_check, succeed};

/// Names of interfaces as the kernel has them, and as they are shown.
const NAMES: [(&[u8], &str); 7] = [
    (b"plain", "plain"),
    (b"v\xff\xfe", r"v\xff\xfe"),
    (br"v\xff\xfe", r"v\\xff\\xfe"),
    (b"a\"b", "a\"b"),
    (br"back\slash", r"back\\slash"),
    ("🦀🦀".as_bytes(), "🦀🦀"),
    (b"e\x1b[2J", r"e\x1b[2J"),
];

fn shown() -> BTreeSet<String> {
    NAMES.iter().map(|(_, shown)| (*shown).to_owned()).collect()
}

/// A host and the container `web`, joined by a pair for each of the names, which both ends have.
fn host_and_web() -> (Netns, Netns, NetnsFolder) {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    for (name, _) in NAMES {
        let (name, there) = (OsStr::from_bytes(name), web.path());
        let words = ["type", "veth", "peer", "name"].map(OsStr::new);
        let words = [["link", "add"].map(OsStr::new).as_slice(), &[name], &words, &[name]].concat();
        host.ip(words.into_iter().chain([OsStr::new("netns"), there.as_os_str()]));
        host.ip(["link", "set"].map(OsStr::new).into_iter().chain([name, OsStr::new("up")]));
        web.ip(["link", "set"].map(OsStr::new).into_iter().chain([name, OsStr::new("up")]));
    }
    for netns in [&host, &web] {
        let there = netns.within(|| std::fs::read("/proc/thread-self/net/dev").unwrap());
        for (name, _) in NAMES {
            let line = [name, b":"].concat();
            assert!(
                there.windows(line.len()).any(|part| part == line),
                "{}",
                String::from_utf8_lossy(&there)
            );
        }
    }
    (host, web, folder)
}

/// The values of a label in a family.
fn values(metrics: &Exposition, family: &str, label: &str) -> BTreeSet<String> {
    let all = metrics.all(family);
    let values: BTreeSet<String> = all.iter().filter_map(|(labels, _)| labels.get(label).cloned()).collect();
    assert_eq!(values.len(), all.len(), "each series of {family} has its own {label}:\n{}", metrics.text);
    values
}

#[test]
fn devices_of_any_name_are_told_apart_in_an_exposition_that_promtool_accepts() {
    let (host, _web, folder) = host_and_web();
    let exporter = Exporter::start(&host, &folder.arguments());
    let metrics = exporter.wait_for(Duration::from_secs(5), "the pairs are named", |metrics| {
        (metrics.all("veth_device_up").len() == NAMES.len()).then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
    for family in ["veth_device_receive_bytes_total", "veth_device_up", "veth_device_info"] {
        assert_eq!(values(&metrics, family, "device"), shown(), "{family}");
        assert_eq!(values(&metrics, family, "interface"), shown(), "{family}");
    }
    assert_eq!(values(&metrics, "veth_container_receive_bytes_total", "interface"), shown());
    assert_eq!(metrics.value("veth_exporter_bad_messages_total", &[]), Some(0.0));
    // Written out: how a reader of the text sees it.
    assert!(metrics.text.contains(r#"{device="v\\xff\\xfe","#), "{}", metrics.text);
    assert!(metrics.text.contains(r#"{device="v\\\\xff\\\\xfe","#), "{}", metrics.text);
    assert!(metrics.text.contains(r#"{device="a\"b","#), "{}", metrics.text);
}

#[test]
fn list_shows_devices_of_any_name_and_a_terminal_does_not_obey_them() {
    let (host, _web, folder) = host_and_web();
    let [flag, path] = folder.arguments();
    let json = succeed(&mut Exporter::command(&host, &["list", "--format", "json", flag, path]));
    let document: Value = serde_json::from_str(&json).unwrap();
    let rows = document["pairs"].as_array().unwrap();
    for end in 0..2 {
        let devices = rows.iter().map(|row| row["ends"][end]["name"].as_str().unwrap());
        assert_eq!(devices.map(str::to_owned).collect::<BTreeSet<_>>(), shown(), "{document:#}");
    }
    let table = succeed(&mut Exporter::command(&host, &["list", flag, path]));
    assert_eq!(table.lines().count(), 1 + NAMES.len(), "{table}");
    assert!(!table.contains('\u{1b}'), "{table:?}");
}

#[test]
fn namespaces_of_any_name_are_workloads_like_others() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let names: [(&[u8], &str); 6] = [
        (b"plain", "plain"),
        (b"quo\"te", "quo\"te"),
        (b"{brace=\"}", "{brace=\"}"),
        ("🦀".as_bytes(), "🦀"),
        (b"two\nlines\\n", r"two\x0alines\\n"),
        (b"n\xff", r"n\xff"),
    ];
    let containers = names.map(|(name, _)| {
        let container = Netns::quiet("web");
        folder.name(OsStr::from_bytes(name), &container);
        container
    });
    for (number, container) in containers.iter().enumerate() {
        host.veth(&format!("veth{number}"), container, "eth0");
    }
    let exporter = Exporter::start(&host, &folder.arguments());
    let metrics = exporter.wait_for(Duration::from_secs(5), "the pairs are named", |metrics| {
        (metrics.all("veth_container_info").len() == names.len()).then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
    for (number, (_, shown)) in names.iter().enumerate() {
        let device = format!("veth{number}");
        let labels = [("device", device.as_str()), ("container", shown), ("runtime", "named")];
        assert!(metrics.value("veth_device_up", &labels).is_some(), "{labels:?}\n{}", metrics.text);
    }
}

#[test]
fn a_namespace_with_two_names_is_one_workload() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("alias", &web);
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let exporter = Exporter::start(&host, &folder.arguments());
    let metrics = exporter.wait_for(Duration::from_secs(5), "both names are there", |metrics| {
        (metrics.all("veth_container_info").len() == 2).then(|| metrics.clone())
    });
    let info = |labels: &[(&str, &str)]| metrics.value("veth_container_info", labels);
    assert_eq!(info(&[("container", "web"), ("network_owner", "alias")]), Some(1.0), "{}", metrics.text);
    assert_eq!(values(&metrics, "veth_device_up", "container"), BTreeSet::from(["alias".to_owned()]));
    assert_eq!(metrics.all("veth_container_receive_bytes_total").len(), 1, "{}", metrics.text);
}

#[test]
fn a_namespace_named_like_anothers_id_is_told_apart_from_it() {
    let (host, named, nobody) = (Netns::quiet("host"), Netns::quiet("named"), Netns::quiet("nobody"));
    let folder = NetnsFolder::new();
    host.ip(["netns", "set", nobody.name(), "103"]);
    folder.name("nsid-103", &named);
    for (netns, device) in [(&named, "to-named"), (&nobody, "to-nobody")] {
        host.veth(device, netns, "eth0");
        netns.veth("inner", netns, "outer");
    }
    let exporter = Exporter::start(&host, &folder.arguments());
    let metrics = exporter.wait_for(Duration::from_secs(5), "all ports are shown", |metrics| {
        (metrics.all("veth_device_up").len() == 6).then(|| metrics.clone())
    });
    promtool_check(&metrics.text).unwrap();
    let labels = [("device", "to-named"), ("container", "nsid-103"), ("runtime", "named")];
    assert!(metrics.value("veth_device_up", &labels).is_some(), "{}", metrics.text);
    let inner = metrics.all("veth_device_up").into_iter().filter(|(labels, _)| labels["device"] == "inner");
    let namespaces: BTreeSet<String> = inner.map(|(labels, _)| labels["netns"].clone()).collect();
    assert!(namespaces.len() == 2 && namespaces.contains("nsid-103"), "{namespaces:?}");
}

#[test]
fn what_is_no_namespace_in_the_folder_is_passed_over() {
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    host.veth("veth-web", &web, "eth0");
    let entry = |name: &str| folder.path().join(name);
    std::fs::write(entry("a-file"), "not a namespace").unwrap();
    std::fs::create_dir(entry("a-folder")).unwrap();
    // Who opens it for reading waits until somebody writes.
    succeed(std::process::Command::new("mkfifo").arg(entry("a-fifo")));
    let _socket = UnixListener::bind(entry("a-socket")).unwrap();
    symlink("/nonexistent", entry("a-dangling-link")).unwrap();
    symlink("a-loop", entry("a-loop")).unwrap();
    symlink("/proc/self/ns/mnt", entry("a-mount-namespace")).unwrap();
    symlink("/dev/zero", entry("a-device")).unwrap();
    // Last in the order of names, in case that the first failure ends the reading.
    folder.name("web", &web);

    let mut arguments = folder.arguments().to_vec();
    arguments.extend(["--collector.interval", "100ms"]);
    let exporter = Exporter::start(&host, &arguments);
    let metrics = exporter.wait_for(Duration::from_secs(5), "the pair is named", |metrics| {
        metrics.value("veth_device_up", &[("container", "web")]).map(|_| metrics.clone())
    });
    assert_eq!(values(&metrics, "veth_container_info", "container"), BTreeSet::from(["web".to_owned()]));
    assert_eq!(metrics.value("veth_exporter_collector_success", &[("collector", "named")]), Some(1.0));
    assert_eq!(metrics.value("veth_exporter_collector_success", &[("collector", "links")]), Some(1.0));
    let problems: Vec<String> =
        exporter.log().into_iter().filter(|line| !line.contains("level=info")).collect();
    // The folder, the pipe, the socket, the links that lead nowhere and the device.
    assert!(problems.len() == 1 && problems[0].contains("6 names in "), "{problems:#?}");
}
