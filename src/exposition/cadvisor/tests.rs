use super::*;
use crate::exposition::format::Format;
use crate::model::filter::Filter;
use crate::model::ledger::LabelSet;
use crate::model::link::{End, Link, NetnsId};
use crate::model::pairing::EndState;
use crate::model::view::{OtherLink, ReadForScrapes, ShownPair, ShownSide};
use crate::model::workload::Runtime;
use crate::model::workload::Workload;
use crate::testing::exposition::Tables;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Taken from google/cadvisor v0.49.1, metrics/prometheus.go: the families with MetricKind
/// NetworkUsageMetrics, their help, and `DefaultContainerLabels` with the label `interface`.
const CADVISOR: [(&str, &str); 8] = [
    ("container_network_receive_bytes_total", "Cumulative count of bytes received"),
    ("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving"),
    (
        "container_network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving",
    ),
    ("container_network_receive_packets_total", "Cumulative count of packets received"),
    ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted"),
    ("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting"),
    (
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting",
    ),
    ("container_network_transmit_packets_total", "Cumulative count of packets transmitted"),
];
const LABELS_OF_CADVISOR: [&str; 5] = ["container_label_app", "id", "image", "interface", "name"];

/// Taken from kubernetes/kubernetes v1.30.0, pkg/kubelet/server/server.go, `containerPrometheusLabelsFunc`,
/// with the label `interface` of cAdvisor; Prometheus treats an empty label as absent.
const LABELS_OF_KUBELET: [&str; 7] = ["container", "id", "image", "interface", "name", "namespace", "pod"];

fn name(text: &str) -> Name {
    Name::from_bytes(text.as_bytes()).unwrap()
}

/// The counters of each pair's port.
const PORT: Counters = Counters {
    receive_bytes: 10,
    receive_packets: 1,
    receive_dropped: 3,
    transmit_bytes: 20,
    transmit_packets: 2,
    transmit_dropped: 4,
};

fn view(owners: &[Workload], others: &[&str]) -> View {
    let mut scene = Scene::default();
    for (owner, nsid) in owners.iter().zip(0u32..) {
        let netns = NetnsId::Other { nsid, generation: 0 };
        let ownership = Arc::new(Ownership::alone(owner.clone(), Some(&format!("/docker/{}", owner.id))));
        let side = |netns, ifindex, role, device: &str| ShownSide {
            end: End { netns, ifindex },
            link: Some(Link { ifindex, name: name(device), ..Link::default() }),
            role,
            netns: "".into(),
            master: None,
            ownership: None,
            labels: None,
            hidden: false,
        };
        let port = side(NetnsId::Host, 10 + nsid, Role::Port, "veth1");
        let labels = Some(LabelSet::of(owner, "eth0".into(), String::new()));
        let interface = ShownSide {
            labels,
            ownership: Some(Arc::clone(&ownership)),
            ..side(netns, 2, Role::Interface, "eth0")
        };
        scene.pairs.push(Arc::new(ShownPair { sides: [port, interface], state: EndState::Paired }));
        let other = |(ifindex, device): (u32, &&str)| OtherLink {
            end: End { netns, ifindex },
            name: name(device),
            ownership: Arc::clone(&ownership),
        };
        scene.others.extend((3u32..).zip(others).map(other));
    }
    scene.pods = owners.iter().any(|owner| !owner.pod.is_empty());
    let counted = (Counters { receive_bytes: 77, ..PORT }, Errors { receive: 5, transmit: 6 });
    View {
        samples: vec![[PORT, Counters::default()]; scene.pairs.len()],
        workloads: Vec::new(),
        peaks: Vec::new(),
        rates: Vec::new(),
        networks: Default::default(),
        for_scrapes: ReadForScrapes { others: vec![counted; scene.others.len()], ..Default::default() },
        overflow: Default::default(),
        ticked: std::time::Duration::ZERO,
        scene: Arc::new(scene),
        ..View::default()
    }
}

fn container() -> Workload {
    Workload {
        id: "4a35".into(),
        image: "lab/busybox:1".into(),
        labels: [("app".to_owned(), "a\"b\\c\nd".to_owned())].into(),
        ..Workload::named(Runtime::Docker, "web")
    }
}

fn pod() -> Workload {
    Workload {
        runtime: Runtime::Cri,
        namespace: "shop".into(),
        pod: "web".into(),
        name: String::new(),
        image: "registry.k8s.io/pause:3.9".into(),
        ..container()
    }
}

fn encoded(view: &View) -> String {
    Tables::of_cadvisor(&view.scene).text(view, Format::Text, Duration::ZERO, "")
}

/// Returns the names of the labels of each line of a family.
fn labels<'a>(text: &'a str, family: &str) -> Vec<BTreeSet<&'a str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
    let names = |line: &'a str| line.split("=\"").filter_map(|part| part.rsplit([',', '{']).next());
    lines.map(|line| names(line).filter(|name| !name.contains(['"', '}'])).collect()).collect()
}

#[test]
fn families_help_and_labels_are_those_of_the_table() {
    for (owner, wanted) in [(container(), &LABELS_OF_CADVISOR[..]), (pod(), &LABELS_OF_KUBELET)] {
        let text = encoded(&view(&[owner], &[]));
        let heads: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
        assert_eq!(heads, CADVISOR);
        assert_eq!(text.lines().filter(|line| line.ends_with(" counter")).count(), CADVISOR.len(), "{text}");
        for (family, _) in CADVISOR {
            assert_eq!(labels(&text, family), [BTreeSet::from_iter(wanted.iter().copied())], "{text}");
        }
    }
}

#[test]
fn a_container_receives_what_its_port_transmits_and_drops_are_the_ports() {
    let text = encoded(&view(&[container()], &[]));
    let block = r#"{container_label_app="a\"b\\c\nd",id="/docker/4a35",image="lab/busybox:1",interface="eth0",name="web"}"#;
    for (family, value) in CADVISOR.map(|(family, _)| family).iter().zip([20, 0, 4, 2, 10, 0, 3, 1]) {
        let line = format!("{family}{block} {value}");
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

#[test]
fn the_names_of_compose_and_swarm_are_labels_whatever_labels_are_shown_otherwise() {
    let mut owner = Workload {
        compose_project: "shop".into(),
        compose_service: "web".into(),
        labels: [
            ("app", "web"),
            ("com.docker.swarm.service.name", "shop_web"),
            ("com.docker.swarm.task.id", "x7"),
            ("secret", "x"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..container()
    };
    for chosen in [&["app"][..], &["app", "com.docker.swarm.service.name", "com.docker.compose.project"]] {
        let labels = chosen.iter().map(|label| label.to_string()).collect();
        Filter { labels, ..Filter::default() }.strip_workload(&mut owner);
        let text = encoded(&view(std::slice::from_ref(&owner), &[]));
        let wanted = r#"{container_label_app="web",container_label_com_docker_compose_project="shop",container_label_com_docker_compose_service="web",container_label_com_docker_swarm_service_name="shop_web",id="#;
        assert!(text.contains(wanted), "{text}");
        assert!(!text.contains("secret") && !text.contains("task_id"), "{text}");
    }
}

#[test]
fn an_id_that_begins_above_the_exporters_own_cgroup_is_that_of_the_host() {
    let mut view = view(&[container()], &["eth1"]);
    let scene = Arc::make_mut(&mut view.scene);
    let cgroup = format!("/../docker-{}.scope", "4a35".repeat(16));
    let owner = Workload { id: "4a35".repeat(16), ..container() };
    scene.others[0].ownership = Arc::new(Ownership::alone(owner, Some(&cgroup)));
    let wanted = format!(r#"id="/docker/{}",image"#, "4a35".repeat(16));
    let text = encoded(&view);
    assert!(text.contains(&wanted) && !text.contains("/.."), "{text}");
}

#[test]
fn a_pod_is_its_sandbox_and_a_container_beside_it_has_the_same_labels() {
    let text = encoded(&view(&[container(), pod()], &[]));
    let pod = r#"container_network_receive_bytes_total{container="",namespace="shop",pod="web",id="/docker/4a35",image="registry.k8s.io/pause:3.9",interface="eth0",name="4a35"} 20"#;
    let beside = r#"container_network_receive_bytes_total{container="",namespace="",pod="","#;
    assert!(text.lines().any(|line| line == pod), "{text}");
    assert!(text.lines().any(|line| line.starts_with(beside)), "{text}");
}

#[test]
fn other_links_are_shown_as_they_count_and_those_that_cadvisor_leaves_out_are_not() {
    let text =
        encoded(&view(&[container()], &["eth1", "lo0", "docker0", "Docker1", "vethX", "nerdctl0", "v\"\\"]));
    let line = |device: &str, value: u64, family: &str| {
        let end = format!(r#"interface="{device}",name="web"}} {value}"#);
        text.lines().any(|line| line.starts_with(family) && line.ends_with(&end))
    };
    assert!(line("eth1", 77, "container_network_receive_bytes_total{"), "{text}");
    assert!(line("eth1", 5, "container_network_receive_errors_total{"), "{text}");
    assert!(line("eth1", 6, "container_network_transmit_errors_total{"), "{text}");
    assert!(line("eth1", 3, "container_network_receive_packets_dropped_total{"), "{text}");
    assert!(line(r#"v\"\\\\"#, 77, "container_network_receive_bytes_total{"), "{text}");
    let shown =
        text.lines().filter(|line| line.starts_with("container_network_receive_bytes_total{")).count();
    assert_eq!(shown, 3, "{text}");
}

#[test]
fn who_is_no_container_of_a_runtime_and_who_is_hidden_is_not_shown() {
    let strangers = [Runtime::Named, Runtime::Lxc, Runtime::Process, Runtime::Unknown];
    let strangers = strangers.map(|runtime| Workload { runtime, ..container() });
    assert!(!encoded(&view(&strangers, &[])).contains('{'));
    let mut hidden = view(&[container()], &[]);
    let scene = Arc::make_mut(&mut hidden.scene);
    Arc::make_mut(&mut scene.pairs[0]).sides[1].hidden = true;
    assert_eq!(encoded(&hidden), "");
}

#[test]
fn a_cgroup_and_an_image_from_hell_stay_in_their_quotes() {
    let mut view = view(&[Workload { image: "a\n} 1\n".into(), ..container() }], &["eth1"]);
    let scene = Arc::make_mut(&mut view.scene);
    let cgroup = format!("/docker/\"{}\\\n# HELP{}", "x/".repeat(200), "/y".repeat(2_000));
    let ownership = Ownership { cgroup, ..(*scene.others[0].ownership).clone() };
    scene.others[0].ownership = Arc::new(ownership);
    let text = encoded(&view);
    for line in text.lines() {
        let begins = ["# HELP container_network_", "# TYPE container_network_", "container_network_"];
        assert!(begins.iter().any(|begin| line.starts_with(begin)), "{line}");
    }
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 2 * CADVISOR.len());
    assert!(text.contains("x/\\\\\\n# HELP/y/y"), "escaped: {}", &text[..9_000.min(text.len())]);
    assert!(text.split("\",").all(|label| label.len() < 1_200), "bounded");
}

#[test]
fn the_interfaces_that_there_is_no_room_for_are_one_row() {
    let mut view = view(&[container()], &[]);
    view.overflow.containers = Some(Counters { receive_bytes: 5, ..Counters::default() });
    Arc::make_mut(&mut view.scene).overflow.containers = true;
    let text = encoded(&view);
    let rest = r#"container_network_receive_bytes_total{id="other",interface="other",name="other"} 5"#;
    assert!(text.lines().any(|line| line == rest), "{text}");
}

#[test]
fn what_the_model_counts_as_series_of_a_link_is_in_the_table() {
    assert_eq!(FAMILIES.len(), crate::model::series::OF_A_CADVISOR_LINK);
}
