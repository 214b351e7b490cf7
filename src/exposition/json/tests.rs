use super::*;
use crate::model::ledger::{Flow, LabelSet, Traffic};
use crate::model::link::{Counters, End, Link, Mac, Name, NetnsId};
use crate::model::pairing::{EndState, Role};
use crate::model::peak::Rates;
use crate::model::periods::{ByPeriod, ByteSums, Period};
use crate::model::view::{Ownership, PairTotal, Scene, ShownPair, ShownSide, TotalsBegun};
use crate::model::workload::{Runtime, Workload};
use serde_json::{Value, json};
use std::sync::Arc;

const EPOCH: Duration = Duration::from_secs(1_000);

fn side(netns: NetnsId, ifindex: u32, name: &str, role: Role) -> ShownSide {
    let name = Name::from_bytes(name.as_bytes()).unwrap();
    let address = Some(Mac([2, 0x42, 0xac, 0x12, 0, ifindex as u8]));
    ShownSide {
        end: End { netns, ifindex },
        link: Some(Link { ifindex, name, address, ..Link::default() }),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    }
}

/// Returns the pair of the host's port with this number and a container.
fn pair(number: u32, container: &str) -> ShownPair {
    let owner = Workload { id: "81686e7a420d".repeat(5), ..Workload::named(Runtime::Docker, container) };
    let interface = ShownSide {
        labels: Some(LabelSet::of(&owner, "eth0".into(), "front".into())),
        ownership: Some(Arc::new(Ownership::alone(owner, None))),
        ..side(NetnsId::Other { nsid: number, generation: 0 }, 2, "eth0", Role::Interface)
    };
    let port = side(NetnsId::Host, 10 + number, &format!("veth{number}"), Role::Port);
    ShownPair { sides: [port, interface], state: EndState::Paired }
}

/// Returns a view in which the port of the pair with the index `n` has sent and received 100 times as many
/// bytes as its number, and has a rate of `n` bytes a second; 10 per second were the peak of each label set.
fn view(containers: &[&str]) -> View {
    let pairs: Vec<ShownPair> = (1..).zip(containers).map(|(number, name)| pair(number, name)).collect();
    let labels = |pair: &ShownPair| pair.sides[1].labels.clone().unwrap();
    let mut workloads: Vec<LabelSet> = pairs.iter().map(labels).collect();
    workloads.sort();
    workloads.dedup();
    let total = |own: &ShownPair| PairTotal {
        index: workloads.binary_search(&labels(own)).unwrap() as u32,
        shared: pairs.iter().filter(|pair| labels(pair) == labels(own)).count() > 1,
    };
    let counted =
        |n: u64| Counters { receive_bytes: 200 * n, transmit_bytes: 100 * n, ..Counters::default() };
    let flow = Flow { bytes: 7_000, ..Flow::default() };
    View {
        samples: (1..).zip(&pairs).map(|(n, _)| [counted(n), Counters::default()]).collect(),
        rates: (1..)
            .zip(&pairs)
            .map(|(n, _)| Some(Rates { transmit_bytes: n, ..Rates::default() }))
            .collect(),
        workloads: vec![Traffic { receive: flow, ..Traffic::default() }; workloads.len()],
        peaks: vec![Some(Rates { receive_bytes: 10, ..Rates::default() }); workloads.len()],
        networks: Default::default(),
        for_scrapes: Default::default(),
        overflow: Default::default(),
        ticked: Duration::from_secs(1),
        scene: Arc::new(Scene {
            pair_totals: pairs.iter().map(|pair| [None, Some(total(pair))]).collect(),
            begun: TotalsBegun {
                workloads: vec![Duration::from_millis(500); workloads.len()],
                ..TotalsBegun::default()
            },
            workloads: workloads.into_iter().map(Arc::new).collect(),
            pairs: pairs.into_iter().map(Arc::new).collect(),
            ..Scene::default()
        }),
        ..View::default()
    }
}

fn document(view: &View, query: &str) -> Value {
    serde_json::from_slice(&to_json(view, EPOCH, HostRow::default(), &Query::parse(query).unwrap()).unwrap())
        .unwrap()
}

#[test]
fn a_total_has_its_parts_of_today_and_of_this_month_each_with_when_it_is_counted_from() {
    let mut view = view(&["web"]);
    let mut scene = Scene::clone(&view.scene);
    let period = |start| Period {
        start: EPOCH + Duration::from_secs(start),
        since: EPOCH + Duration::from_secs(start),
    };
    // The totals have begun in this month and before this day.
    scene.begun.periods = Some(ByPeriod { today: period(60), month: period(0) });
    let base = |receive, transmit| ByteSums { receive, transmit };
    scene.begun.bases = vec![ByPeriod { today: base(6_400, 0), month: base(0, 0) }];
    view.scene = Arc::new(scene);
    let since = |seconds: f64| EPOCH.as_secs_f64() + seconds;
    assert_eq!(
        document(&view, "")["pairs"][0]["ends"][1]["totals"]["periods"],
        json!({
            "today": { "since": since(60.0), "receive_bytes": 600, "transmit_bytes": 0 },
            "month": { "since": since(0.5), "receive_bytes": 7_000, "transmit_bytes": 0 },
        })
    );
    // `top` reads what the exporter writes.
    let text = to_json(&view, EPOCH, HostRow::default(), &Query::default()).unwrap();
    let answer = PairsAnswer::read(&text).unwrap();
    let periods = answer.pairs[0].ends[1].totals.clone().unwrap().periods.unwrap();
    assert_eq!((periods.today.receive_bytes, periods.month.receive_bytes), (600, 7_000));
}

#[test]
fn of_four_pairs_with_one_label_set_each_has_its_own_rates_and_none_their_totals_and_peaks() {
    let view = view(&["twin", "twin", "twin", "twin", "alone"]);
    let document = document(&view, "");
    for number in 0..5 {
        let end = &document["pairs"][number]["ends"][1];
        assert_eq!(end["rates"]["receive_bytes_per_second"], number + 1, "{end:#}");
        let shared = number < 4;
        assert_eq!(end["shared"], shared, "{end:#}");
        assert_eq!((end["totals"].is_null(), end["peaks"].is_null()), (shared, shared), "{end:#}");
    }
    let alone = &document["pairs"][4]["ends"][1];
    assert_eq!(
        (&alone["totals"]["since"], &alone["totals"]["receive_bytes"]),
        (&json!(1_000.5), &json!(7_000))
    );
    assert_eq!(alone["peaks"]["receive_bytes_per_second"], 10);
    let ports = |query: &str| {
        let document = self::document(&view, query);
        let name = |pair: &Value| pair["ends"][0]["name"].as_str().unwrap().to_owned();
        document["pairs"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(ports("sort=-receive&limit=2"), ["veth5", "veth4"], "each by its own rate");
    assert_eq!(ports("sort=receive_total&limit=1"), ["veth5"], "no total is sorted by twice");
    assert_eq!(ports("sort=receive_peak&limit=1"), ["veth5"]);
}

#[test]
fn what_was_read_once_has_the_counters_of_interfaces_and_nothing_over_time() {
    let mut view = view(&["web"]);
    view.samples[0][1] = Counters { receive_bytes: 100, ..Counters::default() };
    view.rates = vec![None];
    let document: Value = serde_json::from_str(&to_pretty_json(&view, &[0]).unwrap()).unwrap();
    let end = &document["pairs"][0]["ends"][1];
    assert_eq!(end["counters"]["receive_bytes"], 100, "{end:#}");
    assert_eq!([&end["totals"], &end["rates"], &end["peaks"]], [&Value::Null; 3], "{end:#}");
    let running = self::document(&view, "");
    assert!(running["pairs"][0]["ends"][1]["counters"].is_null(), "{running:#}");
    let keys = |end: &Value| end.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(end), keys(&running["pairs"][0]["ends"][1]));
}

#[test]
fn a_document_longer_than_a_piece_is_the_one_that_is_written_at_once() {
    let names: Vec<String> = (0..300).map(|number| format!("web-{number}")).collect();
    let mut view = view(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let single = Arc::new(side(NetnsId::Host, 30, "lonely", Role::Port));
    Arc::make_mut(&mut view.scene).single = vec![(single, EndState::PeerMissing); 300];
    let mut pieces = document(&view, "");
    // A single reading has no host.
    pieces.as_object_mut().unwrap().remove("host").unwrap();
    assert!(serde_json::to_string(&pieces).unwrap().len() > 2 * PIECE);
    let rows = RowSource::running(&view, EPOCH);
    assert_eq!(
        pieces,
        serde_json::to_value(PairsDocument::new(rows, &(0..600).collect::<Vec<_>>())).unwrap()
    );
}

#[test]
fn ends_without_a_pair_are_beside_the_pairs_unless_they_are_hidden_or_not_asked_for() {
    let mut view = view(&["web"]);
    let mut hidden = side(NetnsId::Host, 31, "secret", Role::Port);
    hidden.hidden = true;
    let single = [side(NetnsId::Host, 30, "lonely", Role::Port), hidden];
    Arc::make_mut(&mut view.scene).single =
        single.into_iter().map(|side| (Arc::new(side), EndState::PeerMissing)).collect();
    for (query, wanted) in
        [("", 1), ("device=lonely", 1), ("device=veth1", 0), ("device=secret", 0), ("limit=0", 0)]
    {
        let document = document(&view, query);
        let unpaired = document["unpaired"].as_array().unwrap();
        assert_eq!(unpaired.len(), wanted, "{query}: {document:#}");
        for row in unpaired {
            assert_eq!(row["state"], "peer_missing");
            assert_eq!(
                (row["ends"].as_array().unwrap().len(), &row["ends"][0]["name"]),
                (1, &json!("lonely"))
            );
        }
    }
    assert_eq!(document(&view, "")["matched"], 1, "pairs alone are counted");
}

#[test]
fn a_row_that_is_read_is_the_row_that_was_written() {
    let view = view(&["web", "d\"b\\"]);
    let answer =
        PairsAnswer::read(&to_json(&view, EPOCH, HostRow::default(), &Query::default()).unwrap()).unwrap();
    let rows = RowSource::running(&view, EPOCH);
    assert_eq!(answer.pairs, [rows.pair(0), rows.pair(1)]);
}

#[test]
fn what_another_version_adds_or_leaves_out_is_no_error() {
    let answer = PairsAnswer::read(
        br#"{"matched":1,"new":[],"pairs":[{"state":"paired","since":7,
             "ends":[{"role":"port","ifindex":3,"totals":null,"colour":"red"},{"role":"interface","netns":"docker/web"}]}]}"#,
    )
    .unwrap();
    let [port, interface] = &answer.pairs[0].ends;
    assert_eq!((port.place.ifindex, &*interface.place.netns), (3, "docker/web"));
}

#[test]
fn what_is_no_answer_is_refused_with_the_place() {
    for bad in
        ["", "<html>", "[]", r#"{"pairs":[{"state":"paired","ends":[]}]}"#, r#"{"pairs":[{"state":1}]}"#]
    {
        let error = PairsAnswer::read(bad.as_bytes()).unwrap_err();
        assert!(error.contains("/api/v1/pairs") && error.contains("line 1"), "{bad}: {error}");
    }
    assert!(PairsAnswer::read(&b"[".repeat(100_000)).is_err());
}
