//! Tests of the table, the search and the order on rows that are made by hand.

use super::*;
use crate::exposition::json::row::CounterRow;
use std::net::IpAddr;

type Row = ListRow<'static>;

fn workload(container: &str) -> WorkloadRow<'static> {
    WorkloadRow {
        runtime: "docker".into(),
        container: container.to_owned().into(),
        id: format!("{:0<64}", "abcdef012345").into(),
        image: "shop/web:3".into(),
        compose_project: "shop".into(),
        compose_service: "front".into(),
        ..WorkloadRow::default()
    }
}

fn row(index: usize, container: &str) -> Row {
    let up = |place: PlaceRow<'static>| PlaceRow { up: Some(true), mtu: Some(1500), ..place };
    let port = up(PlaceRow {
        role: "port".into(),
        ifindex: 10 + index as u32,
        name: Some(format!("veth{index}").into()),
        address: Some("1a:09:2a:94:14:3e".into()),
        bridge: Some("br-1".into()),
        master: Some("br-1".into()),
        ..PlaceRow::default()
    });
    let interface = up(PlaceRow {
        role: "interface".into(),
        netns: format!("docker/{container}").into(),
        nsid: Some(index as u32),
        ifindex: 2,
        name: Some("eth0".into()),
        workload: Some(workload(container)),
        network: "shop_back".into(),
        ..PlaceRow::default()
    });
    let counters =
        CounterRow { receive_bytes: 1_234_567, transmit_bytes: 50 + index as u64, ..CounterRow::default() };
    let end = |place| EndRow { place, ..EndRow::default() };
    let ends = vec![EndRow { counters: Some(counters), ..end(port) }, end(interface)];
    let addresses = [
        IpAddress { ifindex: 2, address: "fe80::1".parse::<IpAddr>().unwrap(), prefix: 64 },
        ip("10.1.0.2"),
        ip("fd00::2"),
    ];
    ListRow::new(index, PairRow { state: "paired".into(), ends }, |nsid| match nsid {
        Some(_) => Box::leak(Box::new(addresses)),
        None => &[],
    })
}

fn ip(text: &str) -> IpAddress {
    IpAddress { ifindex: 2, address: text.parse().unwrap(), prefix: 24 }
}

fn lines(rows: &[Row], style: TableStyle) -> Vec<String> {
    table(rows, style).lines().map(str::to_owned).collect()
}

#[test]
fn a_line_has_the_pair_its_workload_and_numbers_for_a_person() {
    let mut row = row(0, "web");
    row.pair.ends[1].place.members = ["a", "b", "c", "d"].map(workload).into();
    let shown = lines(&[row.clone()], TableStyle::default());
    assert_eq!(
        shown,
        [
            "DEVICE    BRIDGE  PEER    WORKLOAD                       NETWORK    IP           RECEIVED     SENT  STATE",
            "10:veth0  br-1    2:eth0  docker/web + a,b,c and 1 more  shop_back  10.1.0.2 +1      50 B  1.23 MB  up",
        ]
    );
    let exact = lines(&[row], TableStyle { bytes: true, no_header: true, columns: None });
    assert_eq!(exact.len(), 1);
    assert!(exact[0].contains(" 1234567 ") && !exact[0].contains("MB"), "{exact:?}");
}

#[test]
fn the_state_is_what_is_wrong() {
    let mut shown = row(0, "web");
    let state = |row: &Row| state::text(&row.pair);
    assert_eq!(state(&shown), "up");
    shown.pair.ends[1].place.mtu = Some(9000);
    assert_eq!(state(&shown), "mtu 1500 and 9000");
    shown.pair.ends[0].place.up = Some(false);
    assert_eq!(state(&shown), "down, mtu 1500 and 9000");
    shown.pair.state = "peer_hidden".into();
    (shown.pair.ends[1].place.up, shown.pair.ends[1].place.mtu) = (None, None);
    assert_eq!(state(&shown), "peer hidden, down");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_name_is_cut_elsewhere() {
    let long = "x".repeat(203);
    let rows = [row(0, &long), row(1, "web")];
    let style = TableStyle { columns: Some(100), ..TableStyle::default() };
    let shown = lines(&rows, style);
    assert!(shown.iter().all(|line| layout::width(line) <= 100), "{shown:#?}");
    assert!(shown[1].contains('…') && shown[2].contains("docker/web "), "{shown:#?}");
    // The workload is there also where bridge and peer have no room.
    let narrow = lines(&rows, TableStyle { columns: Some(80), ..style });
    assert!(narrow.iter().all(|line| layout::width(line) <= 80), "{narrow:#?}");
    let headings: Vec<&str> = narrow[0].split_whitespace().collect();
    assert_eq!(headings, ["DEVICE", "WORKLOAD", "NETWORK", "IP", "RECEIVED", "SENT", "STATE"]);
    assert!(narrow[2].contains("docker/web ") && narrow[2].contains("10.1.0.2"), "{narrow:#?}");
    let tiny = lines(&rows, TableStyle { columns: Some(20), ..style });
    assert!(!tiny[0].contains("IP") && tiny[2].contains("web"), "{tiny:#?}");
    // A name is bounded by the label's rule, and by no terminal.
    let whole = table(&rows, TableStyle::default());
    assert!(!whole.contains('…') && whole.contains(&rows[0].workload().unwrap().title()), "{whole}");
}

#[test]
fn names_that_a_terminal_would_obey_are_text_in_every_format() {
    let nasty = "a\u{202e}b\u{1b}[2J\tc\nd\u{200f}";
    let mut shown = row(0, nasty);
    shown.pair.ends[0].place.name = Some(nasty.into());
    shown.pair.ends[1].place.network = "<b onclick=x>&lt;".into();
    shown.pair.ends[1].place.members = vec![workload(nasty)];
    let rows = [shown];
    for text in [table(&rows, TableStyle::default()), tsv(&rows, false)] {
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.chars().any(|c| "\u{202e}\u{1b}\u{200f}".contains(c)), "{text:?}");
        assert!(text.contains("\\u{202e}") && text.contains("<b onclick=x>"), "{text}");
    }
    assert_eq!(tsv(&rows, true).matches('\t').count(), 13);
}

#[test]
fn a_line_between_tabs_has_every_field_exact() {
    let mut row = row(3, "web");
    row.pair.ends[1].place.members = vec![workload("log")];
    let text = tsv(&[row], false);
    let [names, values] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let fields: Vec<(&str, &str)> = names.split('\t').zip(values.split('\t')).collect();
    for wanted in [
        ("ifindex", "13"),
        ("device", "veth3"),
        ("netns", ""),
        ("peer", "eth0"),
        ("workload", "docker/web"),
        ("members", "log"),
        ("ip", "10.1.0.2/24,fd00::2/24,fe80::1/64"),
        ("receive_bytes", "53"),
        ("transmit_bytes", "1234567"),
        ("state", "up"),
    ] {
        assert!(fields.contains(&wanted), "{wanted:?} in {fields:?}");
    }
}

#[test]
fn a_search_looks_where_the_page_looks_and_wants_every_word() {
    let mut searched = row(0, "web");
    searched.pair.ends[1].place.members =
        vec![WorkloadRow { image: "img/log:1".into(), ..workload("logger") }];
    for found in [
        "WEB",
        "docker",
        "docker/web",
        "shop_back",
        "veth0",
        "eth0",
        "1A:09",
        "abcdef012345",
        "shop/web:3",
        "shop",
        "front",
        "logger",
        "img/log",
        "br-1",
        "ifindex 10",
        "10.1.0.2",
        "web logger shop",
        "",
    ] {
        assert!(SearchTerms::new([found]).fit(&searched), "{found}");
    }
    for lost in ["wep", "web nothing", "podman", "veth\u{0}"] {
        assert!(!SearchTerms::new([lost]).fit(&searched), "{lost}");
    }
    assert_eq!(SearchTerms::new(["a  b", "C"]), SearchTerms::new(["a", "b", "c"]));
}

#[test]
fn rows_are_sorted_by_a_field_and_those_without_a_value_come_last() {
    let mut rows = vec![row(0, "b"), row(1, "a"), row(2, "c")];
    rows[2].pair.ends[0].counters = None;
    rows[2].pair.ends[1].place.workload = None;
    for (field, wanted) in [
        ("workload", [1, 0, 2]),
        ("-workload", [0, 1, 2]),
        ("receive", [0, 1, 2]),
        ("-receive", [1, 0, 2]),
        ("-device", [2, 1, 0]),
    ] {
        let mut sorted = rows.clone();
        ListSort::read(field).unwrap().apply(&mut sorted);
        let order: Vec<usize> = sorted.iter().map(|row| row.index).collect();
        assert_eq!(order, wanted, "{field}");
    }
    let mut rows = vec![row(0, "up"), row(1, "down")];
    rows[1].pair.ends[0].place.up = Some(false);
    ListSort::read("state").unwrap().apply(&mut rows);
    assert_eq!(rows[0].index, 1, "what is wrong comes first");
    assert!(ListSort::read("speed").is_err() && ListSort::read("--receive").is_err());
}
