//! TLS as curl, openssl and Prometheus see it.

use std::time::Duration;

use serde_json::Value;

use super::Host;
use super::curl::{curl, https};
use crate::certificates::{Authority, self_signed};
use lab::{Exporter, Prometheus, describe, wait_for};

/// A host with an authority and the server's certificate of it.
fn host() -> (Host, Authority) {
    let host = Host::new();
    let authority = Authority::new(&host.files, "ca");
    authority.issue("server", "DNS:localhost,IP:127.0.0.1");
    (host, authority)
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[test]
fn curl_reads_the_metrics_over_each_version_of_tls_and_http() {
    let (host, _) = host();
    let exporter = host.serving(TLS);
    for (arguments, version) in [
        (&["--tlsv1.3"][..], "2"),
        (&["--tls-max", "1.2"], "2"),
        (&["--http1.1"], "1.1"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
        (&["--no-alpn"], "1.1"),
        (&["--compressed"], "2"),
        (&["--head"], "2"),
    ] {
        let answer = curl(
            &host,
            &https(exporter.address(), "/metrics"),
            &[&["--cacert", "ca.pem"], arguments].concat(),
        );
        assert_eq!((answer.status, answer.version.as_str()), (200, version), "{arguments:?}: {answer:?}");
        let shown = answer.body.contains("veth_exporter_build_info{");
        assert_eq!(shown, arguments != ["--head"], "{arguments:?}: {answer:?}");
    }
    let old =
        curl(&host, &https(exporter.address(), "/metrics"), &["--cacert", "ca.pem", "--tls-max", "1.1"]);
    assert_eq!((old.code, old.status), (35, 0), "TLS 1.1 is not spoken: {old:?}");
    let stranger = curl(&host, &https(exporter.address(), "/metrics"), &[]);
    assert_eq!(stranger.code, 60, "an authority that curl does not know: {stranger:?}");
}

#[test]
fn a_client_without_tls_is_told_so() {
    let (host, _) = host();
    let exporter = host.serving(TLS);
    let answer = curl(&host, &format!("http://{}/metrics", exporter.address()), &["--http0.9"]);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("Client sent an HTTP request to an HTTPS server."), "{answer:?}");
}

#[test]
fn http2_can_be_switched_off() {
    let (host, _) = host();
    let exporter = host.serving(&format!("{TLS}http_server_config: {{http2: false}}\n"));
    let answer = curl(&host, &https(exporter.address(), "/metrics"), &["--cacert", "ca.pem", "--http2"]);
    assert_eq!((answer.status, answer.version.as_str()), (200, "1.1"), "{answer:?}");
}

/// What `openssl s_client` says of a handshake with these arguments.
fn handshake(host: &Host, exporter: &Exporter, arguments: &[&str]) -> String {
    let mut command = host.netns.command("openssl");
    let address = exporter.address().to_string();
    command.current_dir(&host.files).args(["s_client", "-CAfile", "ca.pem", "-connect", &address]);
    describe(&command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap())
}

#[test]
fn versions_suites_and_curves_are_those_that_the_file_allows() {
    let (host, authority) = host();
    authority.issue_rsa("server", "DNS:localhost,IP:127.0.0.1");
    let [gcm128, gcm256] = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"];
    let suites =
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n";
    let [both, reversed] = [format!("{gcm128}:{gcm256}"), format!("{gcm256}:{gcm128}")];
    let http1 = "http_server_config: {http2: false}\n";
    for (lines, arguments, wanted) in [
        ("  min_version: TLS13\n".to_owned(), &["-tls1_2"][..], None),
        ("  min_version: TLS13\n".to_owned(), &["-tls1_3"], Some("TLSv1.3")),
        ("  max_version: TLS12\n".to_owned(), &["-tls1_3"], None),
        ("  max_version: TLS12\n".to_owned(), &[], Some("TLSv1.2")),
        (suites.to_owned(), &["-tls1_2", "-cipher", &both], Some(gcm256)),
        (suites.to_owned(), &["-tls1_2", "-cipher", &reversed], Some(gcm256)),
        (
            format!("{suites}  prefer_server_cipher_suites: false\n"),
            &["-tls1_2", "-cipher", &both],
            Some(gcm128),
        ),
        (suites.to_owned(), &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"], None),
        (suites.to_owned(), &["-tls1_3"], Some("TLS_AES_256_GCM_SHA384")),
        (
            format!("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n{http1}"),
            &["-tls1_2"],
            Some(gcm256),
        ),
        (String::new(), &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], None),
        (
            "  curve_preferences: [CurveP384]\n".to_owned(),
            &["-groups", "P-384"],
            Some("ECDH, secp384r1, 384 bits"),
        ),
        ("  curve_preferences: [CurveP384]\n".to_owned(), &["-groups", "X25519"], None),
        ("  curve_preferences: [X25519]\n".to_owned(), &[], Some("X25519")),
    ] {
        let exporter = host.serving(&format!("{TLS}{lines}"));
        let said = handshake(&host, &exporter, arguments);
        let good = said.contains("Verify return code: 0 (ok)") && !said.contains("Cipher is (NONE)");
        assert_eq!(good, wanted.is_some(), "{lines} {arguments:?}: {said}");
        assert!(
            wanted.is_none_or(|word| said.contains(word)),
            "{lines} {arguments:?}: {wanted:?} not in {said}"
        );
    }
}

#[test]
fn an_expired_certificate_is_said_in_the_log_and_refused_by_curl() {
    let (host, authority) = host();
    authority.issue_expired("server", "DNS:localhost");
    let exporter = host.serving(TLS);
    assert!(exporter.log().iter().any(|line| line.contains("level=warn") && line.contains("has expired")));
    let answer = curl(&host, &https(exporter.address(), "/metrics"), &["--cacert", "ca.pem"]);
    assert!(answer.code == 60 && answer.error.contains("expired"), "{answer:?}");
}

#[test]
fn each_way_to_ask_clients_for_a_certificate_lets_in_whom_it_should() {
    let (host, authority) = host();
    authority.issue(
        "client",
        "DNS:prometheus.example,IP:10.1.2.3,email:ops@example,URI:spiffe://example/prometheus",
    );
    authority.issue_expired("late", "DNS:prometheus.example");
    Authority::new(&host.files, "other").issue("foreign", "DNS:prometheus.example");
    self_signed(&host.files, "self");
    let with_authority = |kind: &str| format!("  client_auth_type: {kind}\n  client_ca_file: ca.pem\n");
    let names = |sans: &str| {
        format!("{}  client_allowed_sans: [{sans}]\n", with_authority("RequireAndVerifyClientCert"))
    };
    let [all, none] = [&["", "client", "foreign", "late", "self"][..], &[]];
    for (lines, let_in) in [
        ("  client_auth_type: NoClientCert\n".to_owned(), all),
        ("  client_auth_type: RequestClientCert\n".to_owned(), all),
        ("  client_auth_type: RequireAnyClientCert\n".to_owned(), &all[1..]),
        (with_authority("VerifyClientCertIfGiven"), &["", "client"]),
        (with_authority("RequireAndVerifyClientCert"), &["client"]),
        (with_authority("RequireAndVerifyClientCert").replace("ca.pem", "self.pem"), &["self"]),
        (names("nobody, prometheus.example"), &["client"]),
        (names("10.1.2.3"), &["client"]),
        (names("ops@example"), &["client"]),
        (names("\"spiffe://example/prometheus\""), &["client"]),
        (names("example, client, \"*.example\""), none),
        (
            "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [prometheus.example]\n".into(),
            &["client", "foreign", "late"],
        ),
    ] {
        let exporter = host.serving(&format!("{TLS}{lines}"));
        for client in all {
            let mut arguments = vec!["--cacert".to_owned(), "ca.pem".to_owned()];
            if !client.is_empty() {
                arguments.extend([
                    "--cert".into(),
                    format!("{client}.pem"),
                    "--key".into(),
                    format!("{client}.key"),
                ]);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let answer = curl(&host, &https(exporter.address(), "/-/healthy"), &arguments);
            let wanted = if let_in.contains(client) { 200 } else { 0 };
            assert_eq!(answer.status, wanted, "{client:?} with\n{lines}{answer:?}");
        }
    }
}

#[test]
fn prometheus_scrapes_over_mutual_tls_with_a_password_and_refuses_an_expired_certificate() {
    let (host, authority) = host();
    authority.issue("client", "DNS:prometheus");
    let users = format!("basic_auth_users:\n  alice: {}\n", super::passwords::hash("secret", 4));
    let tls =
        format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n{users}");
    let exporter = host.serving(&tls);
    let folder = host.files.display();
    let job = format!(
        "scheme: https, tls_config: {{ca_file: {folder}/ca.pem, cert_file: {folder}/client.pem, key_file: {folder}/client.key, \
         server_name: localhost}}, basic_auth: {{username: alice, password: secret}}, static_configs: [{{targets: ['{}']}}]",
        exporter.address()
    );
    let prometheus = Prometheus::start_with(&host.netns, 1, &job);
    let limit = Duration::from_secs(10);
    wait_for(limit, "it is up, with all that is there", || {
        let found = prometheus.query("veth_exporter_build_info and on() (up == 1)");
        if found.as_array().is_some_and(|list| list.len() == 1) { Ok(()) } else { Err(found) }
    });
    // The next handshake meets a certificate whose time is over.
    authority.issue_expired("server", "DNS:localhost");
    let expired =
        |target: &Value| target["lastError"].as_str().is_some_and(|error| error.contains("expired"));
    wait_for(limit, "the log says it", || {
        let log = exporter.log();
        if log.iter().any(|line| line.contains("has expired")) { Ok(()) } else { Err(log.join("\n")) }
    });
    drop(prometheus);
    let prometheus = Prometheus::start_with(&host.netns, 1, &job);
    wait_for(limit, "Prometheus refuses it", || {
        let targets = prometheus.targets();
        if expired(&targets[0]) { Ok(()) } else { Err(targets) }
    });
}
