//! Basic authentication, headers and the rate limit.

use std::process::Command;
use std::time::Instant;

use super::Host;
use super::curl::curl;
use lab::{Exporter, succeed};

/// A bcrypt hash by another implementation: libcrypt's.
pub(super) fn hash(password: &str, cost: u32) -> String {
    hash_as("2y", password, cost)
}

fn hash_as(version: &str, password: &str, cost: u32) -> String {
    let setting = format!("${version}${cost:02}$N9qo8uLOickgx2ZMRZoMye");
    succeed(Command::new("perl").args(["-e", "print crypt($ARGV[0], $ARGV[1])", password, &setting]))
}

fn status(host: &Host, exporter: &Exporter, user: &str) -> u16 {
    curl(host, &format!("http://{}/metrics", exporter.address()), &["-u", user]).status
}

#[test]
fn who_has_the_right_password_comes_in_and_nobody_else() {
    let host = Host::new();
    let long = "x".repeat(72);
    let exporter = host.serving(&format!(
        "basic_auth_users:\n  alice: {}\n  bob: {}\n  \"c d\": {}\n  émil: {}\n  long: {}\n  none: {}\n",
        hash_as("2y", "secret", 4),
        hash_as("2a", "pass:word", 5),
        hash_as("2b", "päss wörd", 4),
        hash("é", 4),
        hash(&long, 4),
        hash("", 4),
    ));
    let long = format!("long:{long}");
    for (user, wanted) in [
        ("alice:secret", 200),
        ("bob:pass:word", 200),
        ("c d:päss wörd", 200),
        ("émil:é", 200),
        (&long, 200),
        ("none:", 200),
        ("alice:Secret", 401),
        ("alice:", 401),
        ("alice:secret ", 401),
        ("alice:secret\0", 401),
        ("Alice:secret", 401),
        (":secret", 401),
        ("bob:pass", 401),
        ("mallory:secret", 401),
        ("none:x", 401),
    ] {
        // The second time from memory.
        for _ in 0..2 {
            if user.contains('\0') {
                let answer =
                    exporter.request("GET", "/metrics", &[("Authorization", "Basic YWxpY2U6c2VjcmV0AA==")]);
                assert_eq!(answer.status, wanted, "{user:?}");
            } else {
                assert_eq!(status(&host, &exporter, user), wanted, "{user}");
            }
        }
    }
    for path in ["/metrics", "/api/v1/pairs", "/", "/-/healthy", "/-/ready", "/nothing"] {
        let answer = exporter.get(path);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Basic")), "{path}");
        assert_eq!(answer.text(), "Unauthorized\n");
    }
    for header in
        ["", "Basic", "Basic ", "Basic !", "Bearer YWxpY2U6c2VjcmV0", "Basic YWxpY2U=", "Basic /////w=="]
    {
        let answer = exporter.request("GET", "/metrics", &[("Authorization", header)]);
        assert_eq!(answer.status, 401, "{header:?}");
    }
    let lower = exporter.request("GET", "/metrics", &[("Authorization", "basic YWxpY2U6c2VjcmV0")]);
    assert_eq!(lower.status, 200, "the scheme's name has no case");
}

/// CPU of the exporter so far, in ticks.
fn cpu(exporter: &Exporter) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", exporter.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_stranger_costs_what_a_user_costs_and_the_right_password_is_checked_once() {
    let host = Host::new();
    let exporter = host.serving(&format!("basic_auth_users:\n  alice: {}\n", hash("secret", 10)));
    let cost = |user: &str| {
        let before = cpu(&exporter);
        let wanted = if user == "alice:secret" { 200 } else { 401 };
        assert_eq!(status(&host, &exporter, user), wanted, "{user}");
        cpu(&exporter) - before
    };
    let [known, strange] = ["alice:wrong", "mallory:wrong"].map(cost);
    assert!(known >= 2, "{known} ticks: too little to compare");
    assert!(strange * 2 >= known && strange <= known * 2, "a stranger {strange} ticks, a user {known}");
    let first = cost("alice:secret");
    let again: u64 = (0..30).map(|_| cost("alice:secret")).sum();
    assert!(again < 10 * first.max(2), "30 more took {again} ticks, the first one {first}");
}

#[test]
fn whoever_knows_the_password_is_served_while_others_guess() {
    let host = Host::new();
    let exporter = host.serving(&format!("basic_auth_users:\n  alice: {}\n", hash("secret", 12)));
    assert_eq!(status(&host, &exporter, "alice:secret"), 200);
    let guesses: Vec<u16> = std::thread::scope(|scope| {
        let (host, exporter) = (&host, &exporter);
        let guessing: Vec<_> = (0..24)
            .map(|n| scope.spawn(move || status(host, exporter, &format!("alice:guess{n}"))))
            .collect();
        let begin = Instant::now();
        assert_eq!(status(host, exporter, "alice:secret"), 200);
        assert!(begin.elapsed().as_secs() < 5, "a known password waited {:?}", begin.elapsed());
        guessing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The rest waits in a queue that has an end.
    assert!(guesses.iter().all(|status| [401, 503, 0].contains(status)), "{guesses:?}");
    assert!(guesses.contains(&401), "{guesses:?}");
}

#[test]
fn the_headers_of_the_file_are_on_every_answer() {
    let host = Host::new();
    let exporter = host.serving(
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    X-XSS-Protection: \"\"\n    \
         Content-Security-Policy: default-src 'self'; img-src *\n",
    );
    for path in ["/", "/metrics", "/nothing", "/-/healthy"] {
        let answer = exporter.get(path);
        let headers = ["x-frame-options", "content-security-policy", "x-xss-protection"]
            .map(|name| answer.header(name));
        assert_eq!(headers, [Some("sameorigin"), Some("default-src 'self'; img-src *"), None], "{path}");
    }
}

#[test]
fn more_requests_than_the_rate_limit_allows_get_429() {
    let host = Host::new();
    let exporter = host.serving("rate_limit:\n  interval: 1h\n  burst: 5\n");
    let statuses: Vec<u16> = (0..8).map(|_| exporter.get("/-/healthy").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    assert_eq!(exporter.get("/metrics").text(), "Too Many Requests\n");
    let exporter = host.serving("rate_limit:\n  interval: 0s\n  burst: 1\n");
    assert!((0..8).all(|_| exporter.get("/-/healthy").status == 200), "an interval of nothing is no limit");
}
