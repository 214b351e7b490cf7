//! Answers that are damaged: an entry or a field costs only what it would have told.

use super::*;

/// The entry of the container `web` in the list.
fn web() -> &'static str {
    CONTAINERS.lines().find(|line| line.contains("\"/web\"")).unwrap().trim_matches(['[', ']', ','])
}

/// Refreshes from this list, once the list of the fixtures is known or not. Returns the names of owners.
async fn names_after(first: bool, list: &str) -> Result<Vec<String>, String> {
    let lists = Arc::new(Mutex::new(CONTAINERS.to_owned()));
    let lab = listing({
        let lists = lists.clone();
        move || ok(lists.lock().unwrap().clone())
    });
    let mut docker = lab.docker();
    if !first {
        docker.refresh().await.unwrap();
    }
    *lists.lock().unwrap() = list.to_owned();
    let claims = docker.refresh().await.map_err(|error| error.to_string())?;
    Ok(claims.claims.into_iter().map(|claim| claim.owner.name).collect())
}

#[tokio::test]
async fn a_damaged_list_costs_what_is_damaged_and_not_the_rest() {
    let all = ["alone", "frozen", "linked", "plain", "web"];
    let but_web = &all[..4];
    let id = web().split('"').nth(3).unwrap();
    let replaced = |before: &str, after: &str| {
        assert!(web().contains(before), "{before}");
        CONTAINERS.replace(web(), &web().replace(before, after))
    };
    let with = |entry: &str| CONTAINERS.replacen('[', &format!("[{entry},"), 1);
    let short = &id[..12];
    // The damage, and the names of owners afterwards.
    let called = |name: &'static str| [&all[..4], &[name]].concat();
    for (list, wanted) in [
        (CONTAINERS.to_owned(), all.to_vec()),
        // Words of enumerations that are not known.
        (replaced(r#""State":"running""#, r#""State":"confused""#), all.to_vec()),
        (CONTAINERS.replace(r#""State":"running""#, r#""State":"dormant""#), all.to_vec()),
        (replaced(r#""State":"running""#, r#""State":7"#), all.to_vec()),
        // An entry that is none, or has no id.
        (with("7"), all.to_vec()),
        (with("null"), all.to_vec()),
        (with("[]"), all.to_vec()),
        (with("{}"), all.to_vec()),
        (with(r#"{"Id":5,"Names":["/x"]}"#), all.to_vec()),
        (with(r#"{"Id":"","Names":["/x"]}"#), all.to_vec()),
        (with(r#"{"Id":null}"#), all.to_vec()),
        // The same entry twice.
        (with(web()), all.to_vec()),
        // Names.
        (replaced(r#"["/web"]"#, r#"["/a/b","/web"]"#), all.to_vec()),
        (replaced(r#"["/web"]"#, r#"[7,"/web"]"#), all.to_vec()),
        // Fields of another type.
        (replaced(r#""Image":"lab/busybox:1""#, r#""Image":7"#), all.to_vec()),
        (replaced(r#""NetworkSettings":{"#, r#""NetworkSettings":[],"x":{"#), all.to_vec()),
        (replaced(r#""MacAddress":"02:42:"#, r#""MacAddress":7,"x":"02:42:"#), all.to_vec()),
        (
            replaced(r#""com.docker.compose.project":"shop""#, r#""com.docker.compose.project":7"#),
            all.to_vec(),
        ),
    ] {
        for first in [true, false] {
            assert_eq!(
                names_after(first, &list).await.as_deref(),
                Ok(&wanted.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..]),
                "{first}: {list}"
            );
        }
    }
    for names in ["null", "[]", "7", r#""/web""#, "[7]", r#"[""]"#, r#"["/"]"#, r#"["web"]"#] {
        let names = names_after(true, &replaced(r#"["/web"]"#, names)).await.unwrap();
        assert_eq!((names.len(), names.contains(&short.to_owned())), (5, true), "{names:?}");
    }
    let long = "n".repeat(200);
    for name in ["w\\u0007\\u001b[2J", &long, "\\u0000", "\\ud83e\\udd80"] {
        let names = names_after(true, &replaced(r#""/web""#, &format!(r#""/{name}""#))).await.unwrap();
        let wanted: String = serde_json::from_str(&format!(r#""{name}""#)).unwrap();
        assert!(names.contains(&wanted), "{names:?}");
    }
    // The list ends before the entry of web, or within it. What it has not told stays as it was.
    let at = CONTAINERS.find(web()).unwrap();
    for cut in [&CONTAINERS[..at], &CONTAINERS[..at + 100], &CONTAINERS.replace(web(), &web()[1..])] {
        let names = names_after(true, cut).await.unwrap();
        assert!(!names.is_empty() && !names.contains(&"web".to_owned()), "{names:?}");
        assert_eq!(names_after(false, cut).await.unwrap(), called("web"), "{cut}");
    }
    assert_eq!(but_web.len(), 4);
}

#[tokio::test]
async fn a_damaged_list_of_networks_takes_no_name_along() {
    let full = NETWORKS.to_owned();
    let replaced = |before: &str, after: &str| {
        assert!(full.contains(before), "{before}");
        full.replacen(before, after, 1)
    };
    for (networks, wanted) in [
        (full.clone(), 3),
        ("{}".to_owned(), 0),
        ("<html>".to_owned(), 0),
        ("null".to_owned(), 0),
        ("[]".to_owned(), 0),
        ("[7]".to_owned(), 0),
        (replaced("[", "[7,"), 3),
        (replaced(r#""Name":"shop_front""#, r#""Name":7"#), 2),
        (replaced(r#""Driver":"bridge""#, r#""Driver":"quantum""#), 3),
        (replaced(r#""Scope":"local""#, r#""Scope":7"#), 3),
    ] {
        let answer = networks.clone();
        let lab = Lab::engine(move |path| match path {
            "/v1.41/networks" => ok(answer.clone()),
            _ => fixture(path),
        });
        let claims = lab.docker().refresh().await.unwrap();
        assert_eq!((claims.claims.len(), claims.networks.len()), (5, wanted), "{networks}");
    }
}

#[tokio::test]
async fn networks_that_fail_or_hang_take_no_name_along() {
    for trouble in [|| Answer::Json(500, String::new()), || Answer::Raw(b""), || Answer::Silence] {
        let lab = Lab::engine(move |path| match path {
            "/v1.41/networks" => trouble(),
            _ => fixture(path),
        });
        let claims = lab.docker().refresh().await.unwrap();
        assert_eq!((claims.claims.len(), claims.networks.len()), (5, 0));
    }
}

#[tokio::test]
async fn a_damaged_inspection_costs_what_is_damaged() {
    let id = "5f9ceb1c3b4c6d6cd5b13d9908e0858735a91b8c36294f2d2c0d01fdfbf3d829";
    let line = inspect(&format!("/v1.41/containers/{id}/json")).unwrap();
    // The damage, and whether web is still located.
    for (before, after, located) in [
        (r#""Status":"running""#, r#""Status":"dormant""#, true),
        (r#""Status":"running""#, r#""Status":7"#, true),
        (r#""Pid":6998"#, r#""Pid":"6998""#, false),
        (r#""Pid":6998"#, r#""Pid":-1"#, false),
        (r#""Pid":6998"#, r#""Pid":99999999999"#, false),
        (r#""Pid":6998"#, r#""Pid":6998.5"#, false),
        (r#""SandboxKey":""#, r#""SandboxKey":7,"x":""#, true),
        (r#""StartedAt":""#, r#""StartedAt":7,"x":""#, true),
        (r#""NetworkMode":""#, r#""NetworkMode":7,"x":""#, true),
        (r#""MacAddress":""#, r#""MacAddress":7,"x":""#, true),
    ] {
        assert!(line.contains(before), "{before}: {line}");
        let damaged = line.replace(before, after);
        let lab = Lab::engine(move |path| match path {
            _ if path.starts_with("/v1.41/containers/5f9ceb1c3b4c") => ok(damaged.clone()),
            _ => fixture(path),
        });
        let claims = lab.docker().refresh().await.unwrap();
        assert_eq!(names(&claims.claims).contains(&"web"), located, "{after}");
        assert!(names(&claims.claims).contains(&"plain"), "{after}");
    }
}

#[tokio::test]
async fn two_containers_that_claim_one_process_are_two_claims() {
    let lab = Lab::engine(|path| match path {
        _ if path.starts_with("/v1.41/containers/5f9ceb1c3b4c") => {
            ok(inspect(path).unwrap().replace(r#""Pid":6998"#, r#""Pid":4711"#))
        }
        _ => match inspect(path) {
            Some(text) if text.contains(r#""Name":"/plain""#) => {
                let pid = text.split(r#""Pid":"#).nth(1).unwrap().split(',').next().unwrap();
                ok(text.replace(&format!(r#""Pid":{pid}"#), r#""Pid":4711"#))
            }
            _ => fixture(path),
        },
    });
    let claims = lab.docker().refresh().await.unwrap();
    for name in ["plain", "web"] {
        assert_eq!(claim(&claims, name).locator, Locator::Pid(4711));
    }
}

#[tokio::test]
async fn the_image_is_the_one_that_a_container_was_created_from_wherever_its_name_has_gone() {
    // After `docker pull`, the list has the id of the old image.
    let list = CONTAINERS.replace(r#""Image":"lab/busybox:1""#, r#""Image":"sha256:d2b6ddd11702""#);
    let lab = listing(move || ok(list.clone()));
    let claims = lab.docker().refresh().await.unwrap();
    let web = claim(&claims, "web");
    assert_eq!(web.owner.image, "lab/busybox:1");
    assert!(web.members.iter().all(|member| member.image == "lab/busybox:1"), "{web:?}");
    // An engine that does not tell it.
    let lab = Lab::engine(|path| match inspect(path) {
        Some(text) => ok(text.replace(r#""Image":"lab/busybox:1""#, r#""Image":null"#)),
        None => fixture(path),
    });
    let claims = lab.docker().refresh().await.unwrap();
    assert_eq!(claim(&claims, "web").owner.image, "lab/busybox:1");
}

/// The answer of Podman 5.8, shortened: the pod kp of `podman kube play`, with its infra container.
const PODS: &str = r#"[
    {"Id":"f00dfeed0001","Names":["732d7ff29fa7-infra"],"Image":"localhost/podman-pause:5.8","Labels":null,
     "Networks":["podman-default-kube-network"],"Pid":4711,"StartedAt":1,"Pod":"732d7ff29fa7","PodName":"kp","IsInfra":true,"State":"running"},
    {"Id":"f00dfeed0002","Names":["kp-web"],"Image":"shop/web:1","Labels":{"a":"b"},"Networks":[],"Pid":4712,"StartedAt":1,
     "Pod":"732d7ff29fa7","PodName":"kp","IsInfra":false,"State":"running"},
    {"Id":"f00dfeed0003","Names":["alone"],"Image":"shop/web:1","Networks":["podman"],"Pid":4713,"StartedAt":1,
     "Pod":"","PodName":"","IsInfra":false,"State":"a word of Podman 7"}]"#;

#[test]
fn podmans_own_api_is_asked_in_version_4_or_in_the_oldest_that_a_newer_engine_takes() {
    for (oldest, prefix) in [
        ("", "/v4.0.0"),
        ("3.1.0", "/v4.0.0"),
        ("4.0.0", "/v4.0.0"),
        ("6.0.1", "/v6.0.1"),
        ("10.0", "/v10.0.0"),
        ("next/../..", "/v4.0.0"),
    ] {
        assert_eq!(podman::prefix(oldest), prefix, "{oldest}");
    }
}

#[tokio::test]
async fn a_pod_of_podman_owns_its_namespace_and_its_containers_are_members() {
    let lab = Lab::engine(|path| match path {
        "/version" => ok(PODMAN),
        _ if path.starts_with("/v4.0.0/libpod/containers/json") => ok(PODS),
        "/v4.0.0/libpod/networks/json" => ok("[]"),
        "/v1.41/containers/f00dfeed0002/json" => {
            ok(r#"{"State":{"Pid":4712},"HostConfig":{"NetworkMode":"container:f00dfeed0001"}}"#)
        }
        "/v1.41/containers/f00dfeed0003/json" => ok(r#"{"State":{"Pid":4713},"HostConfig":{}}"#),
        _ => ok(r#"{"State":{"Pid":4711},"HostConfig":{"NetworkMode":"bridge"}}"#),
    });
    let [_, podman] = EngineAddress::both(None, Some(DockerHost::Unix(lab.socket())));
    let claims = Docker::new(podman.unwrap()).refresh().await.unwrap().claims;
    let shown: Vec<[&str; 3]> = claims
        .iter()
        .flat_map(|claim| [&claim.owner].into_iter().chain(&claim.members))
        .map(|workload| [workload.pod.as_str(), workload.name.as_str(), workload.namespace.as_str()])
        .collect();
    assert_eq!(shown, [["kp", "", ""], ["kp", "kp-web", ""], ["", "alone", ""]]);
    assert_eq!((claims[0].owner.title().as_str(), claims[0].owner.own_image()), ("kp", ""));
}
