use super::*;
use crate::exposition::telemetry::Telemetry;
use crate::model::ledger::{Flow, LabelSet, NetworkLabels, Traffic};
use crate::model::link::{Counters, End, Link, NetnsId};
use crate::model::pairing::{EndState, Role};
use crate::model::pools::{AddressPool, Subnet, SubnetGateway};
use crate::model::queues::{QueueCounters, QueueReading};
use crate::model::series;
use crate::model::view::{NetworkNumbers, Ownership, PoolLabels, ReportedNetworks, ShownPair, Status};
use crate::model::workload::{Network, Runtime};
use crate::testing::exposition::Tables;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

fn side(netns: NetnsId, ifindex: u32, device: &[u8], role: Role) -> ShownSide {
    let link =
        Link { ifindex, name: Name::from_bytes(device).unwrap(), mtu: 1500, up: true, ..Link::default() };
    ShownSide {
        end: End { netns, ifindex },
        link: Some(link),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    }
}

/// Returns a view with one container behind each of these devices.
fn view(devices: &[(&[u8], &str)]) -> View {
    let mut scene = Scene::default();
    for (nsid, (device, container)) in (0u32..).zip(devices) {
        let labels = LabelSet {
            namespace: String::new(),
            pod: String::new(),
            runtime: Runtime::Docker,
            container: (*container).to_owned(),
            interface: "eth0".into(),
            network: String::new(),
        };
        let owner = Workload::named(Runtime::Docker, *container);
        let inside = NetnsId::Other { nsid, generation: 0 };
        let interface = ShownSide {
            labels: Some(labels.clone()),
            ownership: Some(Arc::new(Ownership::alone(owner, None))),
            netns: format!("docker/{container}").into(),
            ..side(inside, 2, b"eth0", Role::Interface)
        };
        let port = side(NetnsId::Host, 10 + nsid, device, Role::Port);
        scene.pairs.push(Arc::new(ShownPair { sides: [port, interface], state: EndState::Paired }));
        scene.workloads.push(Arc::new(labels));
    }
    scene.networks.labels.push(Arc::new(NetworkLabels { runtime: Runtime::Docker, network: "front".into() }));
    scene.networks.begun = vec![Duration::ZERO];
    scene.begun.workloads = vec![Duration::from_millis(1_500); scene.workloads.len()];
    let counters = Counters { receive_bytes: 7, transmit_bytes: u64::MAX, ..Counters::default() };
    let traffic = Traffic { receive: Flow { bytes: u64::MAX, ..Flow::default() }, ..Traffic::default() };
    View {
        samples: vec![[counters, Counters::default()]; scene.pairs.len()],
        workloads: vec![traffic; scene.workloads.len()],
        networks: NetworkNumbers {
            traffic: vec![traffic],
            members: Arc::new(vec![devices.len() as u64]),
            used: Arc::default(),
        },
        peaks: vec![None; scene.workloads.len()],
        rates: vec![None; scene.pairs.len()],
        for_scrapes: Default::default(),
        overflow: Default::default(),
        ticked: Duration::ZERO,
        scene: Arc::new(scene),
        ..View::default()
    }
}

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn encoded(view: &View) -> String {
    Tables::of(&view.scene).text(view, Format::Text, EPOCH, "")
}

fn lines<'a>(text: &'a str, family: &str) -> Vec<&'a str> {
    let own = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(own).collect()
}

#[test]
fn a_family_is_one_block_with_its_help_and_type_and_whole_numbers() {
    let text = encoded(&view(&[(b"veth1", "web")]));
    let block: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("HELP veth_device_transmit_bytes_total"))
        .take(3)
        .collect();
    assert_eq!(
        block,
        [
            "# HELP veth_device_transmit_bytes_total Bytes that the port sent (tx_bytes): what its workload received.",
            "# TYPE veth_device_transmit_bytes_total counter",
            r#"veth_device_transmit_bytes_total{device="veth1",runtime="docker",container="web",interface="eth0"} 18446744073709551615"#,
        ]
    );
}

#[test]
fn in_openmetrics_a_family_is_called_as_its_type_demands_and_a_total_says_when_it_began() {
    let telemetry = Telemetry::new(&[("seccomp", "full")]).unwrap().gather(&Status::default(), None, None);
    let view = view(&[(b"veth1", "web"), (b"veth2", "db")]);
    let text = Tables::of(&view.scene).text(
        &view,
        Format::OpenMetrics,
        EPOCH,
        &own_text(&telemetry, Format::OpenMetrics),
    );
    let block = |name: &str| -> Vec<&str> {
        let head = format!("# HELP {name} ");
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&head)).skip(1);
        let first = lines.next().into_iter();
        first.chain(lines.take_while(|line| !line.starts_with("# HELP") && *line != "# EOF")).collect()
    };
    assert_eq!(
        block("veth_container_receive_bytes"),
        [
            "# TYPE veth_container_receive_bytes counter",
            "# UNIT veth_container_receive_bytes bytes",
            r#"veth_container_receive_bytes_total{runtime="docker",container="db",interface="eth0"} 18446744073709551615"#,
            r#"veth_container_receive_bytes_created{runtime="docker",container="db",interface="eth0"} 1700000001.500"#,
            r#"veth_container_receive_bytes_total{runtime="docker",container="web",interface="eth0"} 18446744073709551615"#,
            r#"veth_container_receive_bytes_created{runtime="docker",container="web",interface="eth0"} 1700000001.500"#,
        ]
    );
    assert_eq!(block("veth_device")[0], "# TYPE veth_device info");
    assert!(block("veth_device")[1].starts_with("veth_device_info{"), "{:?}", block("veth_device"));
    assert_eq!(block("veth_device_mtu_bytes")[1], "# UNIT veth_device_mtu_bytes bytes");
    assert_eq!(block("process_cpu_seconds")[1], "# UNIT process_cpu_seconds seconds");
    assert_eq!(block("veth_exporter_build")[0], "# TYPE veth_exporter_build info");
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    assert_eq!(text.matches("_created").count(), 6 * 2 + 6, "those of the ledger alone");
}

#[test]
fn rows_are_sorted_by_their_labels() {
    let text = encoded(&view(&[(b"veth2", "b"), (b"veth1", "c"), (b"veth3", "a")]));
    let devices = lines(&text, "veth_device_up");
    assert_eq!(devices.len(), 3);
    assert!(devices.is_sorted(), "{devices:?}");
}

#[test]
fn an_empty_label_is_left_out_and_a_block_without_labels_has_no_braces() {
    let text = encoded(&view(&[(b"veth1", "")]));
    assert_eq!(
        lines(&text, "veth_container_receive_bytes_total"),
        [r#"veth_container_receive_bytes_total{runtime="docker",interface="eth0"} 18446744073709551615"#]
    );
}

#[test]
fn names_from_hell_stay_inside_their_quotes() {
    let hell: [(&[u8], &str); 4] =
        [(b"v\xff\xfe", "a"), (b"a\"b", "b\nc"), (b"back\\slash", "\"}"), ("🦀".as_bytes(), "é\\")];
    let text = encoded(&view(&hell));
    assert_eq!(
        lines(&text, "veth_device_up"),
        [
            r#"veth_device_up{device="a\"b",runtime="docker",container="b\nc",interface="eth0"} 1"#,
            r#"veth_device_up{device="back\\\\slash",runtime="docker",container="\"}",interface="eth0"} 1"#,
            r#"veth_device_up{device="v\\xff\\xfe",runtime="docker",container="a",interface="eth0"} 1"#,
            r#"veth_device_up{device="🦀",runtime="docker",container="é\\",interface="eth0"} 1"#,
        ]
    );
}

#[test]
fn the_label_blocks_of_a_scene_serve_for_other_numbers() {
    let mut shown = view(&[(b"veth1", "web")]);
    let tables = Tables::of(&shown.scene);
    shown.samples[0][0].receive_bytes = 8;
    let again = tables.text(&shown, Format::Text, EPOCH, "");
    assert!(lines(&again, "veth_device_receive_bytes_total")[0].ends_with("\"eth0\"} 8"));
}

#[test]
fn the_exporters_own_metrics_need_no_view() {
    let telemetry = Telemetry::new(&[("seccomp", "full")]).unwrap();
    let status = Status { bad_messages: 3, ..Status::default() };
    let text = own_text(&telemetry.gather(&status, None, None), Format::Text);
    assert_eq!(lines(&text, "veth_exporter_bad_messages_total"), ["veth_exporter_bad_messages_total 3"]);
    assert_eq!(lines(&text, "veth_exporter_build_info").len(), 1);
    assert_eq!(lines(&text, "process_open_fds").len(), 1);
    assert!(!text.contains("veth_device"), "{text}");
}

proptest! {
    /// Any names of devices and containers: each line is one series, and no series appears twice.
    #[test]
    fn any_name_gives_a_valid_exposition(
        names in proptest::collection::btree_map(proptest::collection::vec(1u8.., 1..15), ".{0,20}", 1..6)
    ) {
        let devices: Vec<(&[u8], &str)> = names.iter().map(|(d, c)| (d.as_slice(), c.as_str())).collect();
        let text = encoded(&view(&devices));
        let rows = lines(&text, "veth_device_up");
        prop_assert_eq!(rows.len(), names.len());
        prop_assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), names.len());
        for row in rows {
            // Only label names are outside of quotes; each quote is closed.
            let (mut quoted, mut escaped) = (false, false);
            for c in row.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if quoted => escaped = true,
                    '"' => quoted = !quoted,
                    _ => prop_assert!(quoted || c.is_ascii_alphanumeric() || "_{}=, ".contains(c), "{}", row),
                }
            }
            prop_assert!(!quoted && row.ends_with("} 1"), "{}", row);
        }
    }
}

#[test]
fn where_there_are_pods_the_labels_that_name_one_are_written_even_if_empty() {
    let mut view = view(&[(b"veth0", "web"), (b"veth1", "")]);
    let scene = Arc::make_mut(&mut view.scene);
    Arc::make_mut(&mut scene.pairs[1]).sides[1].labels = None;
    let encode = |view: &View| encoded(view);
    let line =
        |text: &str, begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap().to_owned();
    let nobody = "veth_device_up{device=\"veth1\"";
    let web = "veth_device_up{device=\"veth0\"";
    let without = encode(&view);
    assert!(!without.contains("pod=") && !without.contains("namespace="), "{without}");
    Arc::make_mut(&mut view.scene).pods = true;
    let with = encode(&view);
    assert_eq!(line(&with, nobody), format!("{nobody},container=\"\",namespace=\"\",pod=\"\"}} 1"));
    let labels = ",runtime=\"docker\",container=\"web\",namespace=\"\",pod=\"\",interface=\"eth0\"} 1";
    assert_eq!(line(&with, web), format!("{web}{labels}"));
}

#[test]
fn a_hidden_device_has_no_series_and_its_container_has_all() {
    let mut view = view(&[(b"veth0", "web"), (b"veth1", "db")]);
    Arc::make_mut(&mut Arc::make_mut(&mut view.scene).pairs[0]).sides[0].hidden = true;
    let text = encoded(&view);
    assert!(!text.contains("veth0"), "{text}");
    assert_eq!(lines(&text, "veth_device_up").len(), 1);
    assert_eq!(lines(&text, "veth_container_receive_bytes_total").len(), 2);
}

#[test]
fn the_runtimes_labels_are_cleaned_as_prometheus_demands_and_hold_whatever_they_hold() {
    let told = [("a.b/c", "x\u{1b}[2J\r\n\"\\"), ("0é", "ü"), ("empty", "")];
    let labels = told.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let owner = Workload { labels, ..Workload::named(Runtime::Docker, "web") };
    let members = vec![Workload { name: "log".into(), ..owner.clone() }];
    let mut view = view(&[]);
    Arc::make_mut(&mut view.scene)
        .ownerships
        .push(Arc::new(Ownership { members, ..Ownership::alone(owner, None) }));
    let text = encoded(&view);
    let wanted = "label_0_=\"ü\",label_a_b_c=\"x\u{1b}[2J\r\\n\\\"\\\\\"} 1";
    let found: Vec<&str> = text.split_inclusive(" 1\n").filter(|line| line.contains(wanted)).collect();
    assert_eq!(found.len(), 2, "{text}");
}

#[test]
fn what_the_model_counts_as_series_of_a_port_a_label_set_and_a_network_is_in_the_table() {
    let of = |wanted: fn(&Series) -> bool| FAMILIES.iter().filter(|family| wanted(&family.series)).count();
    let counters = of(|series| matches!(series, Series::DeviceCounter(_)));
    let states =
        of(|series| matches!(series, Series::DeviceState(_) | Series::PeerState(_) | Series::DeviceInfo));
    assert_eq!(counters, series::COUNTERS_OF_A_PORT);
    assert_eq!((counters + states, states), (series::of_a_port(true), series::of_a_port(false)));
    assert_eq!(of(|series| matches!(series, Series::Workload(_) | Series::Peak(_))), series::OF_A_LABEL_SET);
    let pools = of(|series| matches!(series, Series::AddressesUsed | Series::AddressesSize));
    assert_eq!(pools, series::OF_A_POOL);
    let networks =
        of(|series| matches!(series, Series::Network(_) | Series::NetworkMembers | Series::NetworkInfo));
    assert_eq!(networks + pools, series::OF_A_NETWORK);
    // A workload has no state of a member, and a member no time of its start.
    let infos = of(|series| matches!(series, Series::WorkloadInfo | Series::Starts | Series::StartTime));
    assert_eq!(infos, series::OF_AN_INFO);
    assert_eq!(of(|series| matches!(series, Series::DeviceQueue(_))), series::OF_A_QUEUE);
}

#[test]
fn a_queue_is_shown_with_its_kind_where_it_was_read_and_only_of_visible_ports_on_the_host() {
    let mut view =
        view(&[(b"veth0", "a"), (b"veth1", "b"), (b"veth2", "c"), (b"veth3", "d"), (b"veth4", "e")]);
    let kinds = [b"tbf".as_slice(), b"noqueue", b"q\"\xff", b"htb", b"pfifo"];
    for (pair, kind) in Arc::make_mut(&mut view.scene).pairs.iter_mut().zip(kinds) {
        let port = &mut Arc::make_mut(pair).sides[0];
        port.link.as_mut().unwrap().qdisc = Name::from_bytes(kind).unwrap();
        port.hidden = kind == b"htb";
    }
    let read = |ifindex, kind: &[u8], drops| QueueReading {
        ifindex,
        kind: Name::from_bytes(kind).unwrap(),
        counters: QueueCounters { drops, overlimits: 2, backlog_bytes: 3, backlog_packets: 4 },
    };
    // veth4 has not been read since it has its queue.
    view.for_scrapes.queues = vec![read(10, b"tbf", u32::MAX), read(12, b"q\"\xff", 9), read(14, b"tbf", 1)];
    let text = encoded(&view);
    let labels = |device: &str, container: &str, kind: &str| {
        format!(
            r#"{{device="{device}",runtime="docker",container="{container}",interface="eth0",kind="{kind}"}}"#
        )
    };
    let (tbf, odd) = (labels("veth0", "a", "tbf"), labels("veth2", "c", r#"q\"\\xff"#));
    for (family, values) in [
        ("drops_total", [u32::MAX, 9]),
        ("overlimits_total", [2, 2]),
        ("backlog_bytes", [3, 3]),
        ("backlog_packets", [4, 4]),
    ] {
        let family = format!("veth_device_qdisc_{family}");
        let expected = [format!("{family}{tbf} {}", values[0]), format!("{family}{odd} {}", values[1])];
        assert_eq!(lines(&text, &family), expected);
    }
}

#[test]
fn the_ports_that_there_is_no_room_for_are_one_row_of_counters() {
    let mut view = view(&[(b"other", "other")]);
    let counters = Counters { receive_bytes: 5, ..Counters::default() };
    view.overflow.ports = Some(counters);
    Arc::make_mut(&mut view.scene).overflow.ports = true;
    let text = encoded(&view);
    let rest = r#"veth_device_receive_bytes_total{device="other",container="other",interface="other"} 5"#;
    assert_eq!(lines(&text, "veth_device_receive_bytes_total").len(), 2, "{text}");
    assert!(text.lines().any(|line| line == rest), "{text}");
    assert_eq!(lines(&text, "veth_device_mtu_bytes").len(), 1, "a sum of these would mean nothing");
}

#[test]
fn a_port_without_counters_has_its_state_and_the_mtu_of_a_peer_that_can_be_read() {
    let mut view = view(&[(b"veth1", "web"), (b"veth2", "db")]);
    let scene = Arc::make_mut(&mut view.scene);
    let [port, interface] = &mut Arc::make_mut(&mut scene.pairs[0]).sides;
    (port.link.as_mut().unwrap().mtu, interface.link.as_mut().unwrap().mtu) = (1_400, 9_000);
    Arc::make_mut(&mut scene.pairs[1]).sides[1].link = None;
    scene.overflow.ports = true;
    let text = |has_counters: bool| {
        let tables = Arc::new(VethTables::of(&view.scene).with_device_counters(has_counters));
        Tables::with(tables).text(&view, Format::Text, EPOCH, "")
    };
    let (all, state) = (text(true), text(false));
    for text in [&all, &state] {
        let labels = r#"{device="veth1",runtime="docker",container="web",interface="eth0"}"#;
        let lines = |family| lines(text, family);
        assert_eq!(lines("veth_device_peer_mtu_bytes"), [format!("veth_device_peer_mtu_bytes{labels} 9000")]);
        assert_eq!(lines("veth_device_mtu_bytes")[0], format!("veth_device_mtu_bytes{labels} 1400"));
        assert_eq!(lines("veth_device_info").len(), 2);
    }
    let counters = |text: &str| {
        text.lines()
            .filter(|line| line.contains("veth_device_receive_") || line.contains("veth_device_transmit_"))
            .count()
    };
    // A row for each port and one for the sum, and two lines of a head.
    assert_eq!((counters(&all), counters(&state)), (6 * (3 + 2), 0));
    let others = |text: &str| {
        let is_other =
            |line: &&str| !line.contains("veth_device_receive_") && !line.contains("veth_device_transmit_");
        text.lines().filter(is_other).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(others(&all), others(&state), "nothing else is left out");
}

#[test]
fn a_network_has_one_line_of_information_and_numbers_for_each_subnet() {
    let pool = |subnet: &str| AddressPool {
        subnet: Subnet::parse(subnet).unwrap(),
        range: None,
        gateway: SubnetGateway::First,
        auxiliary: Vec::new(),
    };
    let front = Network {
        name: "front".into(),
        id: "4a35".into(),
        driver: "bridge".into(),
        bridge: Name::from_bytes(b"br-front"),
        pools: vec![pool("10.0.0.0/29"), pool("10.1.0.0/30")],
        ipv6_subnets: vec!["fd00::/64".into()],
        ipv6: true,
        ..Network::default()
    };
    let bare = Network { name: "a\"b".into(), internal: true, ..Network::default() };
    let size = |index: usize| (front.pools[index].subnet, front.pools[index].size());
    let pools = [0, 1].map(|index| PoolLabels {
        network: 1,
        pool: index,
        subnet: size(index).0,
        size: size(index).1,
    });
    let networks = vec![(Runtime::Docker, bare), (Runtime::Docker, front.clone())];
    let mut view = view(&[(b"veth1", "web")]);
    view.networks.used = Arc::new(vec![Some(6), None]);
    view.networks.traffic[0].receive.dropped = 4;
    view.networks.traffic[0].transmit.dropped = 5;
    Arc::make_mut(&mut view.scene).networks.reported =
        Arc::new(ReportedNetworks { networks, pools: pools.into() });
    let text = encoded(&view);
    for (family, wanted) in [
        (
            "veth_network_info",
            &[
                r#"{runtime="docker",network="a\"b",internal="true",ipv6="false"} 1"#,
                concat!(
                    r#"{runtime="docker",network="front",network_id="4a35",driver="bridge",bridge="br-front","#,
                    r#"subnet="10.0.0.0/29,10.1.0.0/30",gateway="10.0.0.1,10.1.0.1",subnet_ipv6="fd00::/64","#,
                    r#"internal="false",ipv6="true"} 1"#
                ),
            ][..],
        ),
        ("veth_network_addresses_used", &[r#"{runtime="docker",network="front",subnet="10.0.0.0/29"} 6"#]),
        (
            "veth_network_addresses_size",
            &[
                r#"{runtime="docker",network="front",subnet="10.0.0.0/29"} 6"#,
                r#"{runtime="docker",network="front",subnet="10.1.0.0/30"} 2"#,
            ],
        ),
        ("veth_network_members", &[r#"{runtime="docker",network="front"} 1"#]),
        ("veth_network_receive_packets_dropped_total", &[r#"{runtime="docker",network="front"} 4"#]),
        ("veth_network_transmit_packets_dropped_total", &[r#"{runtime="docker",network="front"} 5"#]),
    ] {
        let wanted: Vec<String> = wanted.iter().map(|labels| format!("{family}{labels}")).collect();
        assert_eq!(lines(&text, family), wanted);
    }
}
