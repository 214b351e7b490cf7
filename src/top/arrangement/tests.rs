use super::*;
use crate::exposition::json::PairsAnswer;
use crate::exposition::json::container::VethlessRow;
use crate::exposition::json::row::PairRow;
use crate::top::tests::{bridge_pair, down, dropping, member, pair_of};

fn pair(container: &str, ifindex: u32, receive: u64, project: &str, network: &str) -> PairRow<'static> {
    let mut pair = dropping(pair_of(container, ifindex, receive, 1), 2);
    if let Some(workload) = &mut pair.ends[1].place.workload {
        workload.compose_project = project.to_owned().into();
    }
    pair.ends[1].place.network = network.to_owned().into();
    pair
}

fn report() -> HostReport {
    let mut report = HostReport::default();
    let without = |name: &str, state: &'static str, owner: &'static str| VethlessRow {
        workload: member(name),
        state: state.into(),
        owner: owner.into(),
        ..VethlessRow::default()
    };
    report.take_answer(PairsAnswer {
        pairs: vec![
            pair("web", 1, 50, "shop", "front"),
            pair("web", 2, 7, "shop", "back"),
            pair("db", 3, 60, "shop", "back"),
            pair("vpn", 4, 900, "media", "front"),
            bridge_pair(),
        ],
        workloads: vec![without("torrent", "running", "docker/vpn"), without("job", "stopped", "")],
        problems: vec![down("web", 2)],
        ..PairsAnswer::default()
    });
    report
}

fn wishes(group: GroupBy) -> ListWishes {
    ListWishes {
        words: Vec::new(),
        sort: (Column::Busy, true),
        group,
        folded: BTreeSet::new(),
        vethless: false,
    }
}

fn shown(wishes: &ListWishes) -> Vec<String> {
    let report = report();
    let arranged = Arrangement::new(&report, wishes);
    let line = |line: &ListLine| match *line {
        ListLine::Row(row) => report.rows[row].device.clone(),
        ListLine::Group(group) => {
            let RowGroup { name, sums, .. } = &arranged.groups[group];
            format!("{name} {:?}", sums.map(|sum| sum.map_or(-1, u64::cast_signed)))
        }
        ListLine::Vethless => "without".to_owned(),
        ListLine::Workload(index) => report.workloads[index].0.workload.container.to_string(),
    };
    arranged.lines.iter().map(line).collect()
}

#[test]
fn rows_with_a_problem_are_first_whatever_the_order() {
    for column in Column::ALL {
        for falling in [true, false] {
            let wishes = ListWishes { sort: (column, falling), ..wishes(GroupBy::Nothing) };
            assert_eq!(shown(&wishes)[0], "veth2", "{column:?} {falling}");
        }
    }
    assert_eq!(
        shown(&wishes(GroupBy::Nothing)),
        ["veth2", "veth4", "veth3", "veth1", "veth90 veth91", "without"]
    );
}

#[test]
fn groups_have_their_sums_and_the_worst_is_first() {
    assert_eq!(
        shown(&wishes(GroupBy::Project)),
        [
            "shop [117, 3, 6, 6000]",
            "veth2",
            "veth3",
            "veth1",
            "media [900, 1, 2, 2000]",
            "veth4",
            " [-1, -1, -1, -1]",
            "veth90 veth91",
            "without"
        ]
    );
    let by_network = shown(&wishes(GroupBy::Network));
    assert_eq!(by_network[..3], ["back [67, 2, 4, 4000]", "veth2", "veth3"]);
    assert!(by_network.contains(&"br-front [-1, -1, -1, -1]".to_owned()), "{by_network:?}");
    let by_workload = shown(&wishes(GroupBy::Workload));
    assert_eq!(by_workload[..3], ["docker/web [57, 2, 4, 4000]", "veth2", "veth1"]);
    let folded =
        ListWishes { folded: BTreeSet::from(["shop".to_owned(), String::new()]), ..wishes(GroupBy::Project) };
    assert_eq!(
        shown(&folded),
        ["shop [117, 3, 6, 6000]", "media [900, 1, 2, 2000]", "veth4", " [-1, -1, -1, -1]", "without"]
    );
}

#[test]
fn workloads_without_a_veth_are_last_and_the_filter_applies_to_them() {
    let listed = |words: &[&str]| {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        shown(&ListWishes { words, vethless: true, ..wishes(GroupBy::Nothing) })
    };
    assert_eq!(listed(&[])[5..], ["without", "torrent", "job"]);
    assert_eq!(listed(&["torrent"]), ["without", "torrent"]);
    assert_eq!(listed(&["vpn"]), ["veth4", "without", "torrent"], "by the owner too");
    assert_eq!(listed(&["stopped", "docker/job"]), ["without", "job"]);
    assert_eq!(listed(&["veth1"]), ["veth1"]);
}

#[test]
fn the_runtime_is_left_out_if_there_is_one_alone() {
    let mut report = report();
    let wishes = wishes(GroupBy::Nothing);
    let arranged = Arrangement::new(&report, &wishes);
    assert_eq!((arranged.runtime.as_deref(), arranged.needs.name), (Some("docker"), 3));
    report.workloads[0].0.workload.runtime = "podman".into();
    let arranged = Arrangement::new(&report, &wishes);
    assert_eq!((arranged.runtime, arranged.needs.name), (None, "docker/web".len()));
}
