//! Which files are good, and what is said of those that are not: the cases that exporter-toolkit's own tests have, and more.

use super::Host;
use crate::certificates::Authority;
use lab::{Exporter, checkout, describe};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const HASH: &str = "$2y$10$N9qo8uLOickgx2ZMRZoMye7y6ZydGdLZn0h79aqy52Sg7bnV/o7l.";

fn host() -> Host {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost,IP:127.0.0.1");
    host
}

/// A file whose `tls_server_config` has a certificate and these further lines.
fn tls(lines: &[&str]) -> String {
    let mut text = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n".to_owned();
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn check(host: &Host, config: &str) -> (Option<i32>, String) {
    let file = host.file("web.yml", config);
    // From another folder: what the file names is meant from its own.
    let output =
        Exporter::command(&host.netns, &["check-web-config", &file]).current_dir("/").output().unwrap();
    (output.status.code(), describe(&output))
}

#[test]
fn good_files_are_taken() {
    let host = host();
    let inline = |name: &str| std::fs::read_to_string(host.files.join(name)).unwrap().replace('\n', "\n    ");
    let all_suites = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];
    for (what, config) in [
        ("an empty file", String::new()),
        ("only a comment", "# nothing\n".into()),
        (
            "keys without values",
            "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\nrate_limit:\n".into(),
        ),
        ("a certificate", tls(&[])),
        ("absolute paths", tls(&[]).replace("server.", &format!("{}/server.", host.files.display()))),
        (
            "certificate and key in the file",
            format!(
                "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
                inline("server.pem"),
                inline("server.key")
            ),
        ),
        ("no client certificate", tls(&["client_auth_type: NoClientCert"])),
        ("any client certificate", tls(&["client_auth_type: RequireAnyClientCert"])),
        ("its older name", tls(&["client_auth_type: RequireClientCert"])),
        ("a wish for a client certificate", tls(&["client_auth_type: RequestClientCert"])),
        ("verified if given", tls(&["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.pem"])),
        (
            "verified",
            tls(&["client_auth_type: \"RequireAndVerifyClientCert\"", "client_ca_file: \"ca.pem\""]),
        ),
        (
            "client CA in the file",
            format!(
                "{}  client_ca: |\n    {}\n",
                tls(&["client_auth_type: RequireAndVerifyClientCert"]),
                inline("ca.pem")
            ),
        ),
        (
            "names of clients",
            tls(&[
                "client_auth_type: RequireAndVerifyClientCert",
                "client_ca_file: ca.pem",
                "client_allowed_sans: [a, b]",
            ]),
        ),
        ("all suites", tls(&[&format!("cipher_suites: [{}]", all_suites.join(", "))])),
        ("the client's order", tls(&["prefer_server_cipher_suites: false"])),
        ("curves", tls(&["curve_preferences: [X25519, CurveP256, CurveP384]"])),
        ("TLS 1.2 alone", tls(&["min_version: TLS12", "max_version: TLS12"])),
        ("TLS 1.3 alone", tls(&["min_version: TLS13"])),
        (
            "a suite that HTTP/2 does not allow, without HTTP/2",
            tls(&["cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"])
                + "http_server_config: {http2: no}\n",
        ),
        (
            "headers",
            "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000\n    \
             X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: 1\n    \
             Content-Security-Policy: default-src 'self'\n"
                .into(),
        ),
        ("users", format!("basic_auth_users:\n  alice: {HASH}\n  bob: \"{}\"\n", HASH.replace("2y", "2a"))),
        ("a rate limit", "rate_limit:\n  interval: 1s\n  burst: 20\n".into()),
        ("no rate limit", "rate_limit: {interval: 0, burst: 20}\n".into()),
    ] {
        let (code, said) = check(&host, &config);
        assert_eq!(code, Some(0), "{what}: {said}\n{config}");
    }
}

#[test]
fn bad_files_are_refused_in_one_line_with_the_reason_and_the_place() {
    let host = host();
    host.file("empty.pem", "");
    host.file("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let sans = "client_allowed_sans requires";
    for (config, words) in [
        ("hkfjdghdfjhg\n".to_owned(), &["invalid type", "line 1"][..]),
        ("- a\n".into(), &["invalid type"]),
        ("a: b\n c: d\n".into(), &["line"]),
        ("\"\n".into(), &["line"]),
        ("tls_config: {}\n".into(), &["unknown field `tls_config`", "line 1"]),
        ("http_server_config: {}\ntls_config: {}\n".into(), &["unknown field `tls_config`", "line 2"]),
        (tls(&["cert_filse: x"]), &["tls_server_config", "unknown field `cert_filse`", "line 4"]),
        ("http_server_config: {http3: true}\n".into(), &["unknown field `http3`"]),
        ("http_server_config: {http2: perhaps}\n".into(), &["http2", "true or false", "line 1"]),
        ("rate_limit:\n  interval: 1s\n  bursts: 20\n".into(), &["unknown field `bursts`", "line 3"]),
        ("rate_limit:\n  interval: soon\n".into(), &["interval", "soon", "line 2"]),
        ("rate_limit:\n  interval: -1s\n".into(), &["interval", "line 2"]),
        ("rate_limit:\n  burst: -1\n".into(), &["burst", "line 2"]),
        (tls(&["cert_file: twice.pem"]), &["duplicate field `cert_file`"]),
        (
            "tls_server_config: {cert_file: \"\", key_file: server.key}\n".into(),
            &["missing one of cert or cert_file"],
        ),
        (
            "tls_server_config: {cert: \"\", key_file: server.key}\n".into(),
            &["missing one of cert or cert_file"],
        ),
        (
            "tls_server_config: {client_auth_type: RequireAnyClientCert}\n".into(),
            &["missing one of cert or cert_file"],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: \"\"}\n".into(),
            &["missing one of key or key_file"],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key: \"\"}\n".into(),
            &["missing one of key or key_file"],
        ),
        (
            "tls_server_config: {cert_file: nothing, key_file: server.key}\n".into(),
            &["cert_file", "nothing", "No such file"],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: nothing}\n".into(),
            &["key_file", "nothing", "No such file"],
        ),
        (
            "tls_server_config: {cert_file: server.key, key_file: server.key}\n".into(),
            &["server.key", "no certificate"],
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: server.pem}\n".into(),
            &["server.pem", "no private key"],
        ),
        ("tls_server_config: {cert_file: ca.pem, key_file: server.key}\n".into(), &["certificate and key"]),
        ("tls_server_config: {cert_file: junk.pem, key_file: server.key}\n".into(), &["certificate and key"]),
        (
            tls(&["client_ca_file: ca.pem"]),
            &["client CA's have been configured without a Client Auth Policy"],
        ),
        (
            tls(&["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: nothing"]),
            &["client_ca_file", "No such file"],
        ),
        (
            tls(&["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: empty.pem"]),
            &["client_ca_file or client_ca"],
        ),
        (
            tls(&["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: server.key"]),
            &["server.key", "no certificate"],
        ),
        (
            tls(&["client_auth_type: RequireAndVerifyClientCert", "client_ca: junk"]),
            &["client_ca", "no certificate"],
        ),
        (tls(&["client_auth_type: VerifyClientCertIfGiven"]), &["client_ca_file or client_ca"]),
        (tls(&["client_auth_type: x"]), &["invalid ClientAuth: x", "line 4"]),
        (tls(&["client_allowed_sans: [a]"]), &[sans]),
        (tls(&["client_auth_type: RequestClientCert", "client_allowed_sans: [a]"]), &[sans]),
        (
            tls(&["cipher_suites:", "- TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "- TLS_NONE"]),
            &["unknown cipher: TLS_NONE", "line 6"],
        ),
        (tls(&["curve_preferences: [CurveP257]"]), &["unknown curve: CurveP257", "line 4"]),
        (tls(&["min_version: TLS14"]), &["unknown TLS version: TLS14", "line 4"]),
        (tls(&["min_version: TLS13", "max_version: TLS12"]), &["min_version is above max_version"]),
        (
            tls(&["cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"]),
            &["HTTP/2 requires", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
        ),
        // What rustls has not: by name, with the reason.
        (tls(&["min_version: TLS10"]), &["TLS10 cannot be served", "below 1.2", "line 4"]),
        (tls(&["max_version: TLS11"]), &["TLS11 cannot be served", "below 1.2", "line 4"]),
        (
            tls(&["cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]"]),
            &["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA cannot", "CBC"],
        ),
        (
            tls(&["cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]"]),
            &["TLS_RSA_WITH_AES_128_GCM_SHA256 cannot", "forward secrecy"],
        ),
        (tls(&["curve_preferences: [CurveP521]"]), &["CurveP521 cannot be served"]),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: DENY\n".into(),
            &["invalid value for X-Frame-Options", "line 3"],
        ),
        (
            "http_server_config:\n  headers:\n    X-Content-Type-Options: sniff\n".into(),
            &["invalid value for X-Content-Type-Options"],
        ),
        (
            "http_server_config:\n  headers:\n    Server: mine\n".into(),
            &["HTTP header \"Server\" can not be configured", "line 3"],
        ),
        (
            "http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb\"\n".into(),
            &["X-XSS-Protection", "line 3"],
        ),
        (
            "basic_auth_users:\n  alice: secret\n".into(),
            &["\"alice\"", "too short to be a bcrypted password", "line 2"],
        ),
        (format!("basic_auth_users:\n  alice: {HASH}\n  alice: {HASH}\n"), &["\"alice\" is set twice"]),
        ("basic_auth_users: secret\n".into(), &["basic_auth_users", "a map"]),
        ("basic_auth_users: [alice]\n".into(), &["basic_auth_users", "a map"]),
    ] {
        let (code, said) = check(&host, &config);
        assert_eq!(code, Some(1), "{said}\n{config}");
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("veth-exporter:")).collect();
        assert!(lines.len() == 1 && lines[0].contains("web.yml: "), "{said}\n{config}");
        for word in words {
            assert!(lines[0].contains(word), "no {word} in: {said}\n{config}");
        }
        assert!(!said.contains("secret\""), "a password is shown: {said}");
    }
}

#[test]
fn a_file_that_is_not_there_or_has_no_end_is_refused_and_no_file_is_wrong_usage() {
    let host = host();
    let long = host.file("long", &"#".repeat((1 << 20) + 1));
    let pipe = host.files.join("pipe").display().to_string();
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    for (file, code, word) in [
        ("/nonexistent.yml", 1, "No such file"),
        ("/dev/zero", 1, "not a regular file"),
        ("/proc", 1, "not a regular file"),
        (&pipe, 1, "not a regular file"),
        (&long, 1, "1 MiB"),
    ] {
        let output = Exporter::command(&host.netns, &["check-web-config", file]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", describe(&output));
        assert!(
            describe(&output).contains(word) && describe(&output).contains(file),
            "{}",
            describe(&output)
        );
    }
    let output = Exporter::command(&host.netns, &["check-web-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}

#[test]
fn serve_does_not_start_with_a_bad_file_and_leaves_no_socket_behind() {
    let host = host();
    let file = host.file("web.yml", "tls_config: {}\n");
    let socket = host.files.join("socket");
    let [flag, path] = host.names.arguments();
    let address = format!("unix:{}", socket.display());
    let arguments = [flag, path, "--web.config.file", &file, "--web.listen-address", &address];
    let output = Exporter::command(&host.netns, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap();
    assert!(last.contains(&file) && last.contains("unknown field `tls_config`"), "{said}");
    assert!(!socket.exists());
}

#[test]
fn what_only_an_owner_may_read_is_refused_at_the_start_once_root_has_given_up_its_privileges() {
    let host = host();
    let file = host.file("web.yml", "");
    let output = std::process::Command::new("chown").args(["nobody", &file]).output().unwrap();
    assert!(output.status.success());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let [flag, path] = host.names.arguments();
    let arguments = [flag, path, "--web.config.file", &file, "--web.listen-address", "127.0.0.1:0"];
    let output = Exporter::command(&host.netns, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert!(describe(&output).contains("Permission denied"), "{}", describe(&output));
}

#[test]
fn the_examples_of_the_documentation_are_good() {
    let host = host();
    let folder = checkout().join("docs/examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("web-config") {
            // Beside the certificates that they name.
            let text = std::fs::read_to_string(&path).unwrap();
            let (code, said) = check(&host, &text);
            assert_eq!(code, Some(0), "{name}: {said}");
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} examples were found");
}
