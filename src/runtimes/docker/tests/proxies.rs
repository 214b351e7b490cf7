//! An engine behind a socket proxy: what is refused costs only what it would have told.

use super::*;
use crate::model::lack::LackReason;

/// The kinds of proxies, by the requests that they refuse.
#[derive(Clone, Copy, Debug)]
enum Proxy {
    /// Refuses a call with this status, with a version or without one.
    Refuses(&'static str, u16),
    /// Refuses two calls.
    RefusesBoth(&'static str, &'static str),
    /// Refuses every path without a version.
    Versioned,
    /// Refuses every path without a version, and that of the version.
    VersionedWithout(&'static str),
}

impl Proxy {
    /// Returns the status of the refusal; `None` if the request passes.
    fn refuses(self, path: &str) -> Option<u16> {
        let bare = path.split('?').next().unwrap_or_default();
        let unversioned = match bare.strip_prefix("/v") {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                rest.find('/').map_or("", |at| &rest[at..])
            }
            _ => bare,
        };
        let call = match unversioned {
            "/containers/json" => "containers",
            path if path.starts_with("/containers/") => "inspect",
            path if path.starts_with("/networks/") => "network",
            path => path.trim_start_matches('/'),
        };
        let bare = unversioned == bare;
        match self {
            Proxy::Refuses(refused, status) => (call == refused).then_some(status),
            Proxy::RefusesBoth(one, two) => (call == one || call == two).then_some(403),
            Proxy::Versioned => bare.then_some(403),
            Proxy::VersionedWithout(refused) => (bare || call == refused).then_some(403),
        }
    }
}

/// An engine of the fixtures behind a proxy. It refuses versions that are newer than its own.
fn behind(proxy: Proxy) -> Lab {
    Lab::engine(move |path| {
        if let Some(status) = proxy.refuses(path) {
            return Answer::Json(status, "<html>Forbidden</html>".into());
        }
        let newest = format!("/v{}/", *bollard::API_DEFAULT_VERSION);
        match path {
            "/v1.41/version" => ok(VERSION),
            _ if path.starts_with(&newest) => {
                let message = "client version is too new. Maximum supported API version is 1.41";
                Answer::Json(400, format!(r#"{{"message":"{message}"}}"#))
            }
            _ if path.starts_with("/v1.41/containers/json?limit") => ok("[]"),
            _ => fixture(path),
        }
    })
}

/// The knowledge of an engine behind a proxy.
#[derive(Debug, PartialEq)]
struct Known {
    /// The names of the containers, and the networks of the one called web.
    names: usize,
    of_web: usize,
    /// The networks, with their bridges.
    networks: usize,
    /// The lacks that the source reports: the call and the setting.
    lacks: Vec<&'static str>,
}

#[tokio::test]
async fn what_a_proxy_refuses_costs_only_what_it_would_have_told() {
    let all = |lacks: &[&'static str]| Ok(Known { names: 5, of_web: 2, networks: 3, lacks: lacks.to_vec() });
    let no_bridges =
        |lacks: &[&'static str]| Ok(Known { names: 5, of_web: 2, networks: 0, lacks: lacks.to_vec() });
    for (proxy, wanted) in [
        (Proxy::Refuses("nothing", 403), all(&[])),
        (Proxy::Refuses("info", 403), all(&[])),
        (Proxy::Refuses("_ping", 403), all(&[])),
        (Proxy::Refuses("events", 403), all(&[])),
        (Proxy::Refuses("network", 403), all(&[])),
        (Proxy::Refuses("version", 403), all(&["GET /version (VERSION=1)"])),
        (Proxy::Refuses("version", 404), all(&["GET /version (VERSION=1)"])),
        (Proxy::Refuses("networks", 403), no_bridges(&["GET /networks (NETWORKS=1)"])),
        (Proxy::Refuses("networks", 401), no_bridges(&["GET /networks (NETWORKS=1)"])),
        (Proxy::Refuses("networks", 404), no_bridges(&["GET /networks (NETWORKS=1)"])),
        (Proxy::Refuses("networks", 405), no_bridges(&["GET /networks (NETWORKS=1)"])),
        (
            Proxy::RefusesBoth("networks", "version"),
            no_bridges(&["GET /networks (NETWORKS=1)", "GET /version (VERSION=1)"]),
        ),
        (Proxy::Refuses("inspect", 403), all(&["GET /containers/ID/json (CONTAINERS=1)"])),
        (
            Proxy::Refuses("containers", 403),
            Err("refused GET /containers/json (CONTAINERS=1) with status 403"),
        ),
        (
            Proxy::RefusesBoth("containers", "version"),
            Err("refused GET /containers/json (CONTAINERS=1) with status 403"),
        ),
        (Proxy::Versioned, all(&[])),
        (Proxy::VersionedWithout("version"), all(&["GET /version (VERSION=1)"])),
        (Proxy::VersionedWithout("networks"), no_bridges(&["GET /networks (NETWORKS=1)"])),
    ] {
        let lab = behind(proxy);
        let mut docker = lab.docker();
        let answer = docker.refresh().await;
        match (answer, wanted) {
            (Ok(claims), Ok(wanted)) => {
                assert_eq!(known(&claims, &wanted), wanted, "{proxy:?} {:?}", lab.take_asked());
                // Asked again, the engine says the same.
                assert_eq!(docker.refresh().await.as_ref(), Ok(&claims), "{proxy:?}");
            }
            (Err(error), Err(wanted)) => {
                assert!(matches!(error, Error::Refused(_)), "{proxy:?}: {error:?}");
                says(&error, wanted);
            }
            (answer, wanted) => panic!("{proxy:?}: {answer:?}; wanted: {wanted:?}"),
        }
    }
}

/// An engine of years to come: it takes no version that is known here, and its answers have what no version has yet.
fn of_the_future(version_is_refused: bool) -> Lab {
    Lab::engine(move |path| {
        if version_is_refused && path.ends_with("/version") {
            return Answer::Json(403, "<html>Forbidden</html>".into());
        }
        if path == "/version" {
            return ok(VERSION
                .replace(r#""ApiVersion":"1.41""#, r#""ApiVersion":"1.99""#)
                .replace(r#""MinAPIVersion":"1.12""#, r#""MinAPIVersion":"1.90""#));
        }
        match path.strip_prefix("/v1.90/") {
            Some(rest) if rest.starts_with("containers/json?limit") => ok("[]"),
            Some(rest) => fixture(&format!("/v1.41/{rest}")),
            None => {
                let message = "client version 1.53 is too old. Minimum supported API version is 1.90, \
                    please upgrade your client to a newer version";
                Answer::Json(400, format!(r#"{{"message":"{message}"}}"#))
            }
        }
    })
}

#[tokio::test]
async fn an_engine_that_takes_no_version_that_is_known_here_is_asked_in_the_oldest_that_it_takes() {
    for refused in [false, true] {
        let lab = of_the_future(refused);
        let claims = lab.docker().refresh().await.unwrap();
        let lacks = if refused { vec!["GET /version (VERSION=1)"] } else { vec![] };
        let wanted = Known { names: 5, of_web: 2, networks: 3, lacks };
        assert_eq!(known(&claims, &wanted), wanted, "{:?}", lab.take_asked());
    }
}

#[test]
fn the_version_that_is_agreed_on_is_one_that_both_know_if_there_is_one() {
    let newest = bollard::API_DEFAULT_VERSION.to_string();
    for (own, oldest, wanted) in [
        ("1.41", "1.12", "1.41"),
        ("1.41", "", "1.41"),
        ("1.99", "1.24", newest.as_str()),
        ("1.99", "1.90", "1.90"),
        ("2.3", "2.0", "2.0"),
    ] {
        assert_eq!(agreed(own, oldest).unwrap().to_string(), wanted, "{own} and {oldest}");
    }
    assert!(agreed("", "1.24").is_none());
}

/// Sums an answer up; a lack counts if its message has what is wanted of it.
fn known(claims: &Claims, wanted: &Known) -> Known {
    let of_web = claims.claims.iter().find(|claim| claim.owner.name == "web");
    assert_eq!(claims.limits.len(), wanted.lacks.len(), "{:?}", claims.limits);
    let lacks = claims.limits.iter().zip(&wanted.lacks).filter(|(lack, wanted)| {
        lack.reason == LackReason::CallRefused && lack.what.contains(*wanted) && !lack.what.contains('\n')
    });
    Known {
        names: claims.claims.len(),
        of_web: of_web.map_or(0, |claim| claim.endpoints.len()),
        networks: claims.networks.len(),
        lacks: lacks.map(|(_, wanted)| *wanted).collect(),
    }
}

#[tokio::test]
async fn an_inspection_that_is_refused_is_asked_for_once_a_list_and_no_more_are() {
    let lab = behind(Proxy::Refuses("inspect", 403));
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    let inspections = lab.take_asked().into_iter().filter(|path| path.ends_with("/json")).count();
    assert!((1..=INSPECTIONS).contains(&inspections), "{inspections}");
    assert!(docker.is_complete(), "nothing is gained by asking again soon");
}

#[tokio::test]
async fn what_a_proxy_allows_after_all_is_no_limit_any_more() {
    let refuses = Arc::new(Mutex::new(true));
    let lab = Lab::engine({
        let refuses = refuses.clone();
        move |path| match path {
            "/v1.41/networks" if *refuses.lock().unwrap() => Answer::Json(403, String::new()),
            _ => fixture(path),
        }
    });
    let mut docker = lab.docker();
    assert_eq!(docker.refresh().await.unwrap().limits.len(), 1);
    *refuses.lock().unwrap() = false;
    let claims = docker.refresh().await.unwrap();
    assert_eq!((claims.limits.len(), claims.networks.len()), (0, 3));
}

#[tokio::test]
async fn refused_events_are_a_limit_of_the_next_list() {
    let lab = behind(Proxy::Refuses("events", 403));
    let mut docker = lab.docker();
    docker.refresh().await.unwrap();
    let mut watch = DockerWatch::begin(docker.address().clone()).await.unwrap();
    assert!(matches!(watch.subscribed().await, Err(Error::Refused(_))));
    let limits = docker.refresh().await.unwrap().limits;
    let [limit] = limits.as_slice() else { panic!("{limits:?}") };
    assert!(limit.what.contains("GET /events (EVENTS=1) with status 403"), "{limit:?}");
}
