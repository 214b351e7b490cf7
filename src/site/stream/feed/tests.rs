use super::*;
use crate::model::ledger::{LabelSet, Traffic};
use crate::model::link::Counters;
use crate::model::link::{Link, Name, NetnsId};
use crate::model::pairing::EndState;
use crate::model::problems::{ProblemKind, Severity};
use crate::model::view::PairTotal;
use crate::model::view::{Ownership, ShownSide, Status};
use crate::model::workload::{Runtime, Workload};
use serde_json::{Value, json};

fn side(netns: NetnsId, ifindex: u32, name: &str, role: Role) -> ShownSide {
    let name = Name::from_bytes(name.as_bytes()).unwrap();
    ShownSide {
        end: End { netns, ifindex },
        link: Some(Link { ifindex, name, ..Link::default() }),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    }
}

/// A pair from a port of the host to a container in the namespace of this number.
fn pair(nsid: u32, container: &str) -> ShownPair {
    let owner = Workload::named(Runtime::Docker, container);
    let interface = ShownSide {
        labels: Some(LabelSet::of(&owner, "eth0".into(), String::new())),
        ownership: Some(Arc::new(Ownership::alone(owner, None))),
        ..side(NetnsId::Other { nsid, generation: 0 }, 2, "eth0", Role::Interface)
    };
    let port = side(NetnsId::Host, 10 + nsid, &format!("veth{nsid}"), Role::Port);
    ShownPair { sides: [port, interface], state: EndState::Paired }
}

/// Returns a second of the exporter's life: these pairs, with the bytes that each port has sent in the last
/// tick, ten in a packet.
fn snapshot(second: u64, pairs: &[(ShownPair, u64)]) -> Snapshot {
    let labels = |(pair, _): &(ShownPair, u64)| pair.sides[1].labels.clone().unwrap();
    let mut workloads: Vec<LabelSet> =
        pairs.iter().filter_map(|(pair, _)| pair.sides[1].labels.clone()).collect();
    workloads.sort();
    workloads.dedup();
    let sent = |bytes: u64| Rates { transmit_bytes: bytes, transmit_packets: bytes / 10, ..Rates::default() };
    let total = |own: &(ShownPair, u64)| PairTotal {
        index: workloads.binary_search(&labels(own)).unwrap() as u32,
        shared: pairs.iter().filter(|pair| labels(pair) == labels(own)).count() > 1,
    };
    let view = View {
        samples: vec![[Counters::default(); 2]; pairs.len()],
        rates: pairs.iter().map(|(_, bytes)| Some(sent(*bytes))).collect(),
        workloads: vec![Traffic::default(); workloads.len()],
        peaks: vec![Some(Rates { receive_bytes: 900, ..Rates::default() }); workloads.len()],
        networks: Default::default(),
        for_scrapes: Default::default(),
        overflow: Default::default(),
        ticked: Duration::from_secs(second),
        scene: Arc::new(Scene {
            pair_totals: pairs.iter().map(|pair| [None, Some(total(pair))]).collect(),
            pairs: pairs.iter().map(|(pair, _)| pair.clone().into()).collect(),
            workloads: workloads.into_iter().map(Arc::new).collect(),
            ..Scene::default()
        }),
        ..View::default()
    };
    Snapshot { view: Some(view), status: Status::default(), epoch: Duration::from_secs(1_000), state: None }
}

fn feed(first: &Snapshot) -> Feed {
    let about = About::new(Duration::from_secs(1), vec!["CAP_NET_ADMIN"], HostRow::default());
    Feed::new(Arc::new(about), Ids::default(), first).unwrap()
}

fn told(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_tick_tells_only_of_what_is_other_than_before() {
    let pairs = |web, db| [(pair(1, "web"), web), (pair(2, "db"), db)];
    let mut feed = feed(&snapshot(1, &pairs(50, 0)));
    let state = told(&feed.state(&Histories::new()));
    assert_eq!(state["rates"], json!([[1, 50, 0, 5, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]]));
    assert_eq!(state["peaks"], json!([[1, 900, 0, 0, 0], [2, 900, 0, 0, 0]]));
    assert_eq!(state["lacks"], json!(["CAP_NET_ADMIN"]));
    let news = told(&feed.tick(&snapshot(2, &pairs(500, 0))).unwrap());
    assert_eq!(news, json!({ "time": 1_002.0, "rates": [[1, 500, 0, 50, 0, 0, 0]] }));
    assert!(feed.tick(&snapshot(2, &pairs(500, 0))).is_none(), "no tick is told twice");
    let news = told(&feed.tick(&snapshot(3, &pairs(500, 0))).unwrap());
    assert_eq!(news["rates"], json!([]), "500 bytes in one second again");
    assert_eq!(
        told(&feed.state(&Histories::new()))["rates"],
        json!([[1, 500, 0, 50, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0]])
    );
}

#[test]
fn pairs_appear_change_and_vanish_under_their_numbers() {
    let mut feed = feed(&snapshot(1, &[(pair(1, "web"), 0), (pair(2, "db"), 0)]));
    let news = told(&feed.tick(&snapshot(2, &[(pair(2, "data"), 0), (pair(3, "late"), 0)])).unwrap());
    assert_eq!(news["vanished"], json!([1]));
    let ids =
        |what: &str| news[what].as_array().unwrap().iter().map(|pair| pair["id"].clone()).collect::<Vec<_>>();
    assert_eq!((ids("changed"), ids("appeared")), (vec![json!(2)], vec![json!(3)]));
    assert_eq!(news["changed"][0]["ends"][1]["workload"]["container"], "data");
    // A number is never given again, also when nobody has listened meanwhile.
    let about = Arc::clone(&feed.about);
    let again = Feed::new(about, feed.into_ids(), &snapshot(9, &[(pair(1, "web"), 0), (pair(2, "data"), 0)]));
    let ids: Vec<u64> = again.unwrap().pairs.iter().map(|told| told.id).collect();
    assert_eq!(ids, [4, 2]);
}

#[test]
fn four_pairs_that_share_their_labels_have_rates_of_their_own_and_no_peaks() {
    let pairs = |sent: [u64; 4]| [1, 2, 3, 4].map(|nsid| (pair(nsid, "twin"), sent[nsid as usize - 1]));
    let mut feed = feed(&snapshot(1, &pairs([0, 0, 0, 10])));
    let state = told(&feed.state(&Histories::new()));
    assert_eq!(
        state["rates"],
        json!([[1, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0], [4, 10, 0, 1, 0, 0, 0]])
    );
    assert_eq!(state["peaks"], Value::Null, "the peaks are those of all four together");
    let news = told(&feed.tick(&snapshot(2, &pairs([100, 40, 0, 10]))).unwrap());
    assert_eq!(news["rates"], json!([[1, 100, 0, 10, 0, 0, 0], [2, 40, 0, 4, 0, 0, 0]]));
}

#[test]
fn peaks_go_when_another_pair_comes_to_share_the_labels_and_come_back_after_it() {
    let one = [(pair(1, "twin"), 0)];
    let two = [(pair(1, "twin"), 0), (pair(2, "twin"), 0)];
    let mut feed = feed(&snapshot(1, &one));
    let news = told(&feed.tick(&snapshot(2, &two)).unwrap());
    assert_eq!(news["peaks"], json!([[1, null, null, null, null]]));
    let news = told(&feed.tick(&snapshot(3, &one)).unwrap());
    assert_eq!(news["peaks"], json!([[1, 900, 0, 0, 0]]));
}

#[test]
fn of_a_hidden_end_no_name_is_told() {
    let mut hidden = pair(1, "secret");
    hidden.sides[1].hidden = true;
    let state = feed(&snapshot(1, &[(hidden, 0)])).state(&Histories::new());
    assert!(!state.contains("secret") && !state.contains("eth0") && state.contains("veth1"), "{state}");
    assert_eq!(told(&state)["appeared"][0]["ends"][1]["netns"], "nsid-1");
}

#[test]
fn a_problem_comes_with_the_pairs_that_it_is_about_and_goes_as_a_whole_list() {
    let mut pairs = [(pair(1, "web"), 0), (pair(2, "db"), 0), (pair(3, "web"), 0)];
    let mut shared = (*pairs[1].0.sides[1].ownership.clone().unwrap()).clone();
    shared.members.push(Workload::named(Runtime::Docker, "dump"));
    pairs[1].0.sides[1].ownership = Some(Arc::new(shared));
    let problem = |subject: Subject| Problem {
        kind: ProblemKind::LinkDown,
        severity: Severity::Critical,
        subject,
        since: Duration::from_secs(5),
        text: "wrong".into(),
        remedy: "mend it".into(),
    };
    let with = |second: u64, pairs: &[(ShownPair, u64)], problems: Vec<Problem>| {
        let mut snapshot = snapshot(second, pairs);
        snapshot.view.as_mut().unwrap().condition.problems = Arc::new(problems);
        snapshot
    };
    let of_pair = problem(Subject::pair(&pairs[1].0));
    let of_workload = problem(Subject::workload(&Workload::named(Runtime::Docker, "web")));
    let of_member = problem(Subject::workload(&Workload::named(Runtime::Docker, "dump")));
    let of_source = problem(Subject { source: Some(Source::Cri), ..Subject::default() });
    let mut feed = feed(&with(1, &pairs, vec![of_pair.clone()]));
    let state = told(&feed.state(&Histories::new()));
    let subject = json!({
        "runtime": "docker", "workload": "db", "device": "veth2", "netns": "", "interface": "eth0", "collector": "",
    });
    let expected = json!([{
        "kind": "link_down", "severity": "critical", "subject": subject, "pairs": [2], "since": 1005.0,
        "text": "wrong", "remedy": "mend it",
    }]);
    assert_eq!(state["problems"], expected);
    let ids = |news: Value| {
        let rows = news["problems"].as_array().unwrap().clone();
        rows.iter().map(|row| row["pairs"].clone()).collect::<Vec<_>>()
    };
    let all = vec![of_pair.clone(), of_workload, of_member, of_source];
    let news = told(&feed.tick(&with(2, &pairs, all.clone())).unwrap());
    assert_eq!(ids(news), [json!([2]), json!([1, 3]), json!([2]), Value::Null]);
    let news = told(&feed.tick(&with(3, &pairs, all.clone())).unwrap());
    assert_eq!(news.get("problems"), None, "the same as before");
    let news = told(&feed.tick(&with(4, &pairs[..2], all)).unwrap());
    assert_eq!(ids(news), [json!([2]), json!([1]), json!([2]), Value::Null], "a pair has gone");
    let news = told(&feed.tick(&with(5, &pairs[..2], Vec::new())).unwrap());
    assert_eq!(news["problems"], json!([]));
}

#[test]
fn dropped_packets_are_told_in_the_direction_of_the_workload() {
    let pairs = [(pair(1, "web"), 50), (pair(2, "db"), 0)];
    let mut dropping = snapshot(1, &pairs);
    // The port is the first side: it sends what the container is to receive.
    dropping.view.as_mut().unwrap().dropping = vec![(1, DropRates { receive: 2, transmit: 30 })];
    let mut feed = feed(&dropping);
    assert_eq!(
        told(&feed.state(&Histories::new()))["rates"],
        json!([[1, 50, 0, 5, 0, 0, 0], [2, 0, 0, 0, 0, 30, 2]])
    );
    let news = told(&feed.tick(&snapshot(2, &pairs)).unwrap());
    assert_eq!(news["rates"], json!([[2, 0, 0, 0, 0, 0, 0]]));
}

#[test]
fn the_history_of_a_workload_is_told_with_its_pair_if_no_other_pair_has_its_labels() {
    let pairs = [(pair(1, "web"), 0), (pair(2, "twin"), 0), (pair(3, "twin"), 0), (pair(4, "quiet"), 0)];
    let feed = feed(&snapshot(1, &pairs));
    let labels = |pair: &ShownPair| Arc::new(pair.sides[1].labels.clone().unwrap());
    let steps = HistorySteps { ticks: [vec![0, 80], vec![1, 255]], half_minutes: [vec![], vec![]] };
    let of = |pair: usize| (labels(&pairs[pair].0), steps.clone());
    let state = told(&feed.state(&vec![of(0), of(1)]));
    let expected = json!([{ "pair": 1, "ticks": ["AFA=", "Af8="], "half_minutes": ["", ""] }]);
    assert_eq!(state["history"], expected);
}
