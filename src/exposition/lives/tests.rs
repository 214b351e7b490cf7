use super::*;
use crate::exposition::format::Format;
use crate::model::problems::{ProblemCounts, Severity, Subject};
use crate::model::view::{BesideTraffic, Condition, TotalsBegun, View};
use crate::model::workload::Started;
use crate::testing::exposition::Tables;
use std::time::Duration;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn name(container: &str) -> Arc<WorkloadName> {
    Arc::new(WorkloadName::of(&Workload::named(Runtime::Docker, container)))
}

/// A view with two containers of one name, a member of one of them, a member that is stranded, and a workload
/// that is gone.
fn view() -> View {
    let owner = |started: &str, members| Ownership {
        started: Started::parse(started),
        members,
        ..Ownership::alone(
            Workload { id: started.to_owned(), ..Workload::named(Runtime::Docker, "web") },
            None,
        )
    };
    let member = |name: &str| Workload::named(Runtime::Docker, name);
    let scene = Scene {
        ownerships: vec![
            Arc::new(owner("2026-11-26T15:07:32.9Z", vec![member("log"), member("lost")])),
            Arc::new(owner("2026-11-26T15:07:40Z", Vec::new())),
            Arc::new(Ownership::alone(Workload::named(Runtime::Named, "shed"), None)),
        ],
        beside: BesideTraffic {
            starts: vec![name("gone"), name("web")],
            stranded: vec![member("lost")],
            ..BesideTraffic::default()
        },
        begun: TotalsBegun { starts: [1, 2].map(Duration::from_secs).into(), ..TotalsBegun::default() },
        ..Scene::default()
    };
    let condition = Condition { starts: Arc::new(vec![7, 0]), ..Condition::default() };
    View { scene: Arc::new(scene), condition, ..View::default() }
}

fn rows(text: &str, family: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix(family)).map(str::to_owned).collect()
}

#[test]
fn a_workload_has_its_starts_the_time_of_the_last_one_and_a_member_whether_it_is_stranded() {
    let view = view();
    let text = Tables::of(&view.scene).text(&view, Format::Text, EPOCH, "");
    assert_eq!(
        rows(&text, "veth_container_starts_total{runtime=\"docker\","),
        ["container=\"gone\"} 7", "container=\"web\"} 0"]
    );
    assert_eq!(
        rows(&text, "veth_container_start_time_seconds{"),
        ["runtime=\"docker\",container=\"web\"} 1795705660"],
        "the later one of two containers, and none of a namespace"
    );
    assert_eq!(
        rows(&text, "veth_container_stale_member{runtime=\"docker\","),
        ["container=\"log\"} 0", "container=\"lost\"} 1"]
    );
    let text = Tables::of(&view.scene).text(&view, Format::OpenMetrics, EPOCH, "");
    assert_eq!(
        rows(&text, "veth_container_starts_created{runtime=\"docker\","),
        ["container=\"gone\"} 1700000001.000", "container=\"web\"} 1700000002.000"]
    );
}

#[test]
fn the_labels_of_pods_are_there_even_if_they_are_empty() {
    let mut view = view();
    Arc::make_mut(&mut view.scene).pods = true;
    let text = Tables::of(&view.scene).text(&view, Format::Text, EPOCH, "");
    for family in ["starts_total", "start_time_seconds", "stale_member"] {
        let rows = rows(&text, &format!("veth_container_{family}{{"));
        assert!(rows.iter().all(|row| row.contains("namespace=\"\",pod=\"\"}")), "{rows:?}");
    }
    let problem = problem(ProblemKind::Drops, &Workload::named(Runtime::Docker, "web"));
    let family = container_problems(&[problem], true).unwrap();
    assert_eq!(family.get_metric()[0].get_label().len(), 5);
}

fn problem(kind: ProblemKind, workload: &Workload) -> Problem {
    Problem {
        kind,
        severity: Severity::Notice,
        subject: Subject::workload(workload),
        since: Duration::ZERO,
        text: String::new(),
        remedy: String::new(),
    }
}

#[test]
fn the_problems_of_a_workload_are_counted_by_kind_and_those_of_no_workload_are_left_out() {
    let pod = Workload { namespace: "shop".into(), pod: "web".into(), ..Workload::named(Runtime::Cri, "") };
    let web = Workload::named(Runtime::Docker, "web");
    let no_workload = Problem { subject: Subject::default(), ..problem(ProblemKind::Source, &web) };
    let problems = [
        problem(ProblemKind::Drops, &web),
        problem(ProblemKind::CrashLoop, &web),
        problem(ProblemKind::Drops, &web),
        problem(ProblemKind::MtuMismatch, &pod),
        no_workload.clone(),
    ];
    let family = container_problems(&problems, false).unwrap();
    let text = crate::exposition::encode::own_text(&[family], Format::Text);
    assert_eq!(
        rows(&text, "veth_container_problems"),
        [
            "{runtime=\"cri\",namespace=\"shop\",pod=\"web\",kind=\"mtu_mismatch\"} 1",
            "{runtime=\"docker\",container=\"web\",kind=\"crash_loop\"} 1",
            "{runtime=\"docker\",container=\"web\",kind=\"drops\"} 2",
        ]
    );
    assert!(container_problems(&[no_workload], false).is_none());
    let mut numbers = ProblemCounts::default();
    numbers[ProblemKind::Drops as usize] = 2;
    let text = crate::exposition::encode::own_text(&[super::problems(&numbers)], Format::Text);
    let counts = rows(&text, "veth_exporter_problems{kind=");
    assert_eq!(counts.len(), ProblemKind::ALL.len());
    assert!(counts.is_sorted() && counts.contains(&"\"drops\"} 2".to_owned()), "{counts:?}");
    assert!(counts.contains(&"\"link_down\"} 0".to_owned()), "{counts:?}");
}
