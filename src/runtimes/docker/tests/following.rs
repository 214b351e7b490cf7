//! Engines whose events are followed, and engines that are slow.

use super::super::watch::News;
use super::*;
use crate::model::workload::{LifeAction, LifeChange};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that sends these bytes of events, and then ends the stream.
fn telling(events: &'static [u8]) -> Lab {
    Lab::engine(move |path| match path {
        _ if path.starts_with("/v1.41/events") => Answer::Raw(events),
        _ if path.starts_with("/v1.41/networks/") => ok(
            r#"{"Name":"front","Id":"494109dfb4a7aaaa","Driver":"bridge","Containers":{"c1":{"Name":"web","MacAddress":"02:42:ac:12:00:02"}}}"#,
        ),
        _ => fixture(path),
    })
}

/// Returns the joint effect of all events until the stream has ended.
async fn all_news(lab: &Lab) -> (News, DockerWatch) {
    let mut watch = DockerWatch::begin(lab.docker().address().clone()).await.unwrap();
    let mut all = News::default();
    while let Some(mut news) = timeout(PATIENCE, watch.news()).await.unwrap() {
        all.expected |= news.expected;
        all.containers |= news.containers;
        all.networks |= news.networks;
        all.dying.append(&mut news.dying);
        all.lives.append(&mut news.lives);
    }
    (all, watch)
}

#[tokio::test]
async fn starts_and_ends_are_told_by_docker_and_by_podman_in_their_order() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let event = |action: &str, attributes: &str| {
        format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"c1","Attributes":{{{attributes}}}}}}}"#
        ) + "\n"
    };
    let named = r#""name":"web","image":"i","com.docker.compose.project":"shop""#;
    let events = [
        event("start", named),
        event("kill", &format!(r#"{named},"signal":"1""#)),
        event("kill", &format!(r#"{named},"signal":"15""#)),
        event("die", &format!(r#"{named},"exitCode":"137""#)),
        event("died", &format!(r#"{named},"containerExitCode":"3""#)),
        event("die", r#""exitCode":"none""#),
        event("destroy", named),
        event("remove", named),
        event("exec_die", named),
    ];
    let bytes: &'static [u8] = Vec::leak((HEAD.to_owned() + &events.concat()).into_bytes());
    let (news, _) = all_news(&telling(bytes)).await;
    let told: Vec<(&str, &str, LifeAction)> = news
        .lives
        .iter()
        .map(|LifeChange { workload, action }| {
            assert_eq!(workload.id, "c1");
            (workload.name.as_str(), workload.compose_project.as_str(), *action)
        })
        .collect();
    let ended = |exit_code| LifeAction::Ended { exit_code };
    assert_eq!(
        told,
        [
            ("web", "shop", LifeAction::Started),
            ("web", "shop", LifeAction::StopRequested),
            ("web", "shop", ended(Some(137))),
            ("web", "shop", ended(Some(3))),
            ("c1", "", ended(None)),
            ("web", "shop", LifeAction::Removed),
            ("web", "shop", LifeAction::Removed),
        ]
    );
}

#[tokio::test]
async fn an_event_of_a_kind_that_is_not_known_is_news_and_a_damaged_one_leaves_the_others() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let create = r#"{"Type":"container","Action":"create","Actor":{"ID":"c1","Attributes":{"name":"web","image":"i"}}}"#;
    let die = r#"{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{}}}"#;
    // The events, whether containers and networks may have changed, and how many containers are known and die.
    for (events, containers, networks, known, dying) in [
        (String::new(), false, false, 0, 0),
        (format!("{create}\n{die}\n"), true, false, 1, 1),
        (format!("{create}\r\n\r\n{die}\n"), true, false, 1, 1),
        (r#"{"Type":"hologram","Action":"project"}"#.to_owned() + "\n", true, false, 0, 0),
        (
            r#"{"Type":"container","Action":"transcend","Actor":{"ID":"c1"}}"#.to_owned() + "\n",
            true,
            false,
            0,
            0,
        ),
        (
            r#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"c1"}}"#.to_owned() + "\n",
            false,
            false,
            0,
            0,
        ),
        (r#"{"Type":"container","Action":"health_status: healthy"}"#.to_owned() + "\n", false, false, 0, 0),
        (r#"{"Type":"network","Action":"create","Actor":{"ID":"n"}}"#.to_owned() + "\n", false, true, 0, 0),
        (r#"{"Type":7,"Action":[],"Actor":"c1"}"#.to_owned() + "\n", true, false, 0, 0),
        (format!("garbage\n{create}\n"), true, true, 1, 0),
        (format!("{}\n{create}\n", "[".repeat(10_000)), true, true, 1, 0),
        (format!("{create}\n{{\"Type\":"), false, false, 1, 0),
        (r#"{"Type":"container","Action":"create","Actor":{"ID":""}}"#.to_owned() + "\n", false, false, 0, 0),
        (
            r#"{"Type":"container","Action":"create","Actor":{"ID":"c","Attributes":{"name":7}}}"#.to_owned()
                + "\n",
            false,
            false,
            1,
            0,
        ),
    ] {
        let bytes: &'static [u8] = Vec::leak((HEAD.to_owned() + &events).into_bytes());
        let (news, watch) = all_news(&telling(bytes)).await;
        assert_eq!(
            (news.containers, news.networks, watch.containers().len(), news.dying.len()),
            (containers, networks, known, dying),
            "{events:.200}"
        );
    }
}

#[tokio::test]
async fn an_event_without_an_end_stops_at_the_limit() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/events") => Answer::Endless,
        _ => fixture(path),
    });
    all_news(&lab).await;
    closes_all(&lab).await;
}

#[tokio::test]
async fn the_name_of_podmans_infra_container_is_not_taken_from_an_event() {
    for (name, infra) in [
        ("732d7ff29fa7-infra", true),
        ("732d7ff29fa7-infra2", false),
        ("my-infra", false),
        ("732d7ff29fa-infra", false),
        ("732d7ff29fzz-infra", false),
        ("infra", false),
    ] {
        assert_eq!(podman::is_infra(name), infra, "{name}");
    }
}

/// The events of Podman 5.8, shortened: a container of a pod, and one by itself.
#[tokio::test]
async fn a_container_of_podmans_pods_names_no_namespace_before_the_list_has_told_the_pods_name() {
    const EVENTS: &str = concat!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        r#"{"Type":"container","Action":"create","Actor":{"ID":"c1","Attributes":{"image":"i","name":"one","podId":"67682d14d7fe"}}}"#,
        "\n",
        r#"{"Type":"container","Action":"create","Actor":{"ID":"c2","Attributes":{"image":"i","name":"solo","podId":""}}}"#,
        "\n",
    );
    let lab = Lab::engine(|path| match path {
        "/version" => ok(PODMAN),
        _ => Answer::Raw(EVENTS.as_bytes()),
    });
    let [_, podman] = EngineAddress::both(None, Some(DockerHost::Unix(lab.socket())));
    let mut watch = DockerWatch::begin(podman.unwrap()).await.unwrap();
    while timeout(PATIENCE, watch.news()).await.unwrap().is_some() {}
    let known = watch.containers();
    assert_eq!(known.iter().map(|workload| workload.name.as_str()).collect::<Vec<_>>(), ["solo"]);
    assert!(known[0].labels.is_empty(), "the pod's id is no label: {:?}", known[0].labels);
}

/// Answers after this time.
fn slow(by: Duration) -> Lab {
    Lab::engine(move |path| {
        thread::sleep(by);
        fixture(path)
    })
}

#[tokio::test]
async fn an_engine_that_takes_its_time_for_each_answer_loses_no_name() {
    // Longer than a refresh waits for inspections.
    let lab = slow(Duration::from_millis(400));
    let mut docker = lab.docker();
    docker.inspection = Duration::from_millis(100);
    let mut claims = docker.refresh().await.unwrap().claims;
    assert!(claims.is_empty() && docker.is_complete(), "{claims:?}");
    while claims.len() < 5 {
        timeout(PATIENCE, docker.inspected_later()).await.expect("inspections go on");
        docker.inspect_for(Duration::ZERO).await;
        claims = docker.claims().claims;
    }
    assert_eq!(names(&claims), ["alone", "frozen", "linked", "plain", "web"]);
    assert_eq!(lab.take_asked().len(), 1 + 2 + 8, "nothing is asked for twice");
}

#[tokio::test]
async fn a_container_whose_inspection_fails_is_asked_about_again_at_the_next_refresh() {
    let broken = Arc::new(Mutex::new(true));
    let lab = Lab::engine({
        let broken = broken.clone();
        move |path| match path {
            _ if path.starts_with("/v1.41/containers/47a3528f8f2e") && *broken.lock().unwrap() => {
                Answer::Json(500, String::new())
            }
            _ => fixture(path),
        }
    });
    let mut docker = lab.docker();
    assert_eq!(docker.refresh().await.unwrap().claims.len(), 4);
    assert!(!docker.is_complete());
    *broken.lock().unwrap() = false;
    assert_eq!(docker.refresh().await.unwrap().claims.len(), 5);
    assert!(docker.is_complete());
}

#[tokio::test]
async fn every_request_is_counted_by_its_call() {
    let lab = Lab::engine(fixture);
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    docker.refresh_lists(false).await.unwrap();
    let totals: Vec<(&str, u64)> = docker.address().calls().totals().into_iter().collect();
    assert_eq!(totals, [("containers", 2), ("inspect", 8), ("networks", 1), ("version", 1)]);
}
