//! Which pod is behind which device, and how much went through.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::{
    Containerd, Exporter, Exposition, NetnsFolder, Pod, Traffic, needs_engine, ping, transfer, unique_name,
    wait_for,
};

const LIMIT: Duration = Duration::from_secs(20);

/// The labels of a pod's own series.
pub(super) fn labels<'a>(namespace: &'a str, pod: &'a str) -> [(&'a str, &'a str); 5] {
    [("runtime", "cri"), ("container", ""), ("namespace", namespace), ("pod", pod), ("interface", "eth0")]
}

/// Waits until a pod has its device, and that is the one that `ip` tells.
pub(super) fn wait_for_device(exporter: &Exporter, pod: &Pod<'_>, labels: &[(&str, &str)]) {
    exporter.wait_for(LIMIT, "the pod has its device, which is up", |metrics| {
        metrics.value("veth_device_up", labels).filter(|up| *up == 1.0)
    });
    let device = pod.host_device();
    let device = [labels, &[("device", device.as_str())]].concat();
    let metrics = exporter.metrics();
    assert_eq!(metrics.value("veth_device_up", &device), Some(1.0), "{device:?} in\n{}", metrics.text);
}

/// The lines of information of the workloads of a pod: container, container_id, image, network_owner.
fn infos(metrics: &Exposition, namespace: &str, pod: &str) -> Vec<[String; 4]> {
    let mut found: Vec<[String; 4]> = metrics
        .all("veth_container_info")
        .into_iter()
        .filter(|(labels, _)| labels["namespace"] == namespace && labels["pod"] == pod)
        .map(|(labels, _)| {
            assert_eq!(labels["runtime"], "cri");
            ["container", "container_id", "image", "network_owner"]
                .map(|name| labels.get(name).cloned().unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_pod_and_its_two_containers_are_three_lines_of_information_and_one_traffic() {
    needs_engine!();
    let engine = Containerd::get();
    let exporter = engine.exporter(&[]);
    let name = unique_name("web");
    let pod = engine.run("shop", &name, &["nginx", "log"]);
    wait_for_device(&exporter, &pod, &labels("shop", &name));
    let title = format!("shop/{name}");
    let found = exporter.wait_for(LIMIT, "the pod has both containers", |metrics| {
        Some(infos(metrics, "shop", &name)).filter(|found| found.len() == 3)
    });
    let [own, log, nginx] = &found[..] else { panic!("{found:?}") };
    assert_eq!(own, &["", pod.id(), "", ""].map(str::to_owned));
    for (container, info) in [("log", log), ("nginx", nginx)] {
        assert_eq!([&info[0], &info[2], &info[3]], [container, "localhost/pause:1", &title], "{info:?}");
        assert_eq!(info[1].len(), 64, "{info:?}");
    }
    let metrics = exporter.metrics();
    let series = metrics.with_label("pod", &name);
    let counted = series.iter().filter(|sample| sample.name == "veth_container_receive_bytes_total").count();
    assert_eq!(counted, 1, "{}", metrics.text);
    let named = [("runtime", "named")];
    assert_eq!(metrics.value("veth_device_up", &named), None, "CNI's own name for the namespace is nobody's");
}

#[test]
fn pods_of_one_name_in_two_namespaces_are_two_though_each_eth0_has_index_2() {
    needs_engine!();
    let engine = Containerd::get();
    let exporter = engine.exporter(&[]);
    let name = unique_name("web");
    let pods = ["shop", "test"].map(|namespace| engine.run(namespace, &name, &["main"]));
    for (pod, namespace) in pods.iter().zip(["shop", "test"]) {
        wait_for_device(&exporter, pod, &labels(namespace, &name));
        assert_eq!(pod.ifindexes().0, 2, "eth0 of each");
    }
    let [shop, test] = pods.each_ref().map(|pod| pod.interface());
    ping(&shop.netns_path(), pods[1].address(), 10, 1_000);
    let counts = [&shop, &test].map(|interface| assert_counts_agree(&exporter, interface));
    transfer(&shop.netns_path(), &test.netns_path(), pods[1].address(), 3_000_000);
    for (interface, before) in [&shop, &test].into_iter().zip(counts) {
        let after = assert_counts_agree(&exporter, interface);
        assert!(after.receive_bytes > before.receive_bytes && after.transmit_bytes > before.transmit_bytes);
    }
    assert!(test.own().receive_bytes > 3_000_000);
}

/// A pod that was born while the exporter looked has all its bytes and packets booked, as itself counts them.
fn assert_counts_agree(exporter: &Exporter, interface: &lab::Interface) -> Traffic {
    let (booked, own) = interface.at_rest(exporter);
    assert_eq!(booked, own, "booked, and the pod's own /proc/net/dev: {interface:?}");
    booked
}

#[test]
fn a_pod_has_one_label_set_from_its_first_byte_on_though_it_is_named_late_and_keeps_it_after_its_end() {
    needs_engine!();
    let engine = Containerd::get();
    let folder = NetnsFolder::new();
    let exporter = engine.exporter_with_names(folder.path(), &[]);
    let mirror = Mirror::start(&folder);
    let (name, mut netns) = (unique_name("brief"), String::new());
    let check = |metrics: &Exposition| {
        for name in ["veth_container_receive_bytes_total", "veth_device_up"] {
            for (labels, _) in metrics.all(name) {
                let made_up = labels.get("container").is_some_and(|name| name.starts_with("cni-"));
                assert!(!made_up, "{labels:?}");
            }
        }
    };
    let sent = exporter.while_scraping(check, || {
        let pod = engine.run("shop", &name, &["main"]);
        pod.netns().clone_into(&mut netns);
        wait_for_device(&exporter, &pod, &labels("shop", &name));
        let interface = pod.interface();
        let gateway = "10.87.0.1".parse().unwrap();
        ping(&interface.netns_path(), gateway, 20, 1_000);
        assert_counts_agree(&exporter, &interface)
    });
    assert!(mirror.seen().contains(&netns), "CNI's name was shown to the exporter: {:?}", mirror.seen());
    wait_for(LIMIT, "the pod's namespace is gone", || {
        let path = Path::new("/run/netns").join(&netns);
        if path.exists() { Err(path.display().to_string()) } else { Ok(()) }
    });
    exporter.wait_for(LIMIT, "the pod's device is gone", |metrics| {
        check(metrics);
        metrics.value("veth_device_up", &labels("shop", &name)).is_none().then_some(())
    });
    let metrics = exporter.metrics();
    let kept = Traffic::booked(&metrics, &labels("shop", &name)).expect("its totals are kept");
    assert!(
        kept.receive_bytes >= sent.receive_bytes && kept.transmit_bytes >= sent.transmit_bytes,
        "{kept:?} after {sent:?}"
    );
    assert_eq!(infos(&metrics, "shop", &name), Vec::<[String; 4]>::new(), "information is of the living");
}

/// Shows the exporter the names that CNI puts into /run/netns from now on, as long as they are there: a folder of its own keeps those
/// of everybody else away.
struct Mirror {
    seen: Arc<Mutex<BTreeSet<String>>>,
    done: Arc<AtomicBool>,
}

impl Mirror {
    fn start(folder: &NetnsFolder) -> Mirror {
        let mirror = Mirror { seen: Arc::default(), done: Arc::default() };
        let (seen, done) = (Arc::clone(&mirror.seen), Arc::clone(&mirror.done));
        let (folder, before) = (folder.path().to_owned(), names());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let now = names();
                for name in now.difference(&before) {
                    if seen.lock().unwrap().insert(name.clone()) {
                        symlink(Path::new("/run/netns").join(name), folder.join(name)).unwrap();
                    }
                }
                let gone: Vec<PathBuf> =
                    seen.lock().unwrap().difference(&now).map(|name| folder.join(name)).collect();
                for link in gone.iter().filter(|link| link.is_symlink()) {
                    std::fs::remove_file(link).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        mirror
    }

    /// All names that were shown so far.
    fn seen(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// CNI's names in /run/netns.
fn names() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/run/netns").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("cni-")).collect()
}
