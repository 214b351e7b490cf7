//! `veth-exporter healthy`: it finds the exporter however that is served.

use super::Host;
use crate::certificates::Authority;
use lab::{Exporter, describe};

/// Its exit code, and what it said.
fn healthy(host: &Host, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Exporter::command(&host.netns, &[&["healthy"], arguments].concat()).output().unwrap();
    assert!(output.stdout.is_empty(), "{}", describe(&output));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn healthy_at(host: &Host, exporter: &Exporter) -> (Option<i32>, String) {
    healthy(host, &["--web.listen-address", &exporter.address().to_string()])
}

const WELL: (Option<i32>, String) = (Some(0), String::new());

#[test]
fn it_asks_a_unix_socket() {
    let host = Host::new();
    let address = format!("unix:{}", host.files.join("s").display());
    let nobody = format!(
        "veth-exporter: no exporter at {address}: No such file or directory (os error 2) (is it running? name its address with --web.listen-address)\n"
    );
    assert_eq!(healthy(&host, &["--web.listen-address", &address]), (Some(1), nobody));
    let _exporter = host.exporter(&["--web.listen-address", &address]);
    assert_eq!(healthy(&host, &["--web.listen-address", &address]), WELL);
}

#[test]
fn it_asks_below_the_prefix_that_the_exporter_has() {
    let host = Host::new();
    let url = ["--web.external-url", "https://proxy.example/veth/"];
    let exporter = host.exporter(&url);
    let address = exporter.address().to_string();
    let not_found = format!("veth-exporter: {address} answered 404 Not Found\n");
    assert_eq!(healthy_at(&host, &exporter), (Some(1), not_found));
    for flags in [url, ["--web.route-prefix", "veth"]] {
        assert_eq!(healthy(&host, &[&["--web.listen-address", &address], &flags[..]].concat()), WELL);
    }
}

#[test]
fn it_asks_over_tls_who_speaks_tls_whatever_the_name_in_the_certificate() {
    let host = Host::new();
    let authority = Authority::new(&host.files, "ca");
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    for version in ["min_version: TLS13", "max_version: TLS12"] {
        authority.issue("server", "DNS:exporter.example");
        assert_eq!(healthy_at(&host, &host.serving(&format!("{tls}  {version}\n"))), WELL, "{version}");
        authority.issue_expired("server", "DNS:exporter.example");
        assert_eq!(healthy_at(&host, &host.serving(&format!("{tls}  {version}\n"))), WELL, "{version}");
    }
}

#[test]
fn who_wants_a_password_or_a_clients_certificate_is_well() {
    let host = Host::new();
    let authority = Authority::new(&host.files, "ca");
    authority.issue("server", "DNS:localhost");
    let users = format!("basic_auth_users:\n  alice: {}\n", super::passwords::hash("secret", 4));
    assert_eq!(healthy_at(&host, &host.serving(&users)), WELL);
    let mutual = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: ca.pem\n  \
                  client_auth_type: RequireAndVerifyClientCert\n";
    for version in ["min_version: TLS13", "max_version: TLS12"] {
        let exporter = host.serving(&format!("{mutual}  {version}\n"));
        assert_eq!(healthy_at(&host, &exporter), WELL, "{version}");
    }
}

#[test]
fn who_has_had_too_many_requests_is_well() {
    let host = Host::new();
    let exporter = host.serving("rate_limit:\n  interval: 1h\n  burst: 1\n");
    assert_eq!(exporter.get("/metrics").status, 200);
    assert_eq!(exporter.get("/metrics").status, 429);
    assert_eq!(healthy_at(&host, &exporter), WELL);
}
