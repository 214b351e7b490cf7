//! The stream and the page behind TLS, passwords, HTTP/2 and prefixes, as curl sees them.

use super::Host;
use super::curl::{curl, https};
use super::passwords::hash;
use crate::certificates::Authority;
use lab::wait_for;
use std::time::Duration;

#[test]
fn a_stream_goes_over_tls_http2_and_gzip_to_whoever_has_the_password() {
    let host = Host::new();
    host.netns.veth("left", &host.netns, "right");
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let exporter = host.serving(&format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users:\n  alice: {}\n",
        hash("secret", 4)
    ));
    exporter_is_ready(&host, &https(exporter.address(), "/-/ready"));
    let url = https(exporter.address(), "/api/v1/stream");
    let refused = curl(&host, &url, &["--cacert", "ca.pem"]);
    assert_eq!(refused.status, 401, "{refused:?}");
    for version in ["--http1.1", "--http2"] {
        for coding in ["identity", "gzip"] {
            let arguments = ["--cacert", "ca.pem", "-u", "alice:secret", "-N", "-m", "4", version];
            let header = format!("Accept-Encoding: {coding}");
            let file = format!("stream{version}-{coding}");
            let answer = curl(&host, &url, &[&arguments[..], &["-H", &header, "-o", &file]].concat());
            // It goes on until curl's time is over.
            assert_eq!((answer.code, answer.status), (28, 200), "{answer:?}");
            let got = std::fs::read(host.files.join(&file)).unwrap();
            let text = if coding == "gzip" {
                assert!(answer.head.contains("content-encoding: gzip"), "{answer:?}");
                // It has no end, which gzip minds, and prints what there is all the same.
                let output = host
                    .netns
                    .command("sh")
                    .current_dir(&host.files)
                    .args(["-c", &format!("gzip -dc < '{file}'")])
                    .output();
                output.unwrap().stdout
            } else {
                got
            };
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with("event: state\n"), "{version} {coding}: {text}");
            assert!(text.matches("event: tick\n").count() >= 2, "{version} {coding}: {text}");
        }
    }
    let head = curl(&host, &url, &["--cacert", "ca.pem", "-u", "alice:secret", "-I"]);
    assert!(head.status == 200 && head.head.contains("content-type: text/event-stream"), "{head:?}");
}

fn exporter_is_ready(host: &Host, url: &str) {
    wait_for(Duration::from_secs(10), "it is ready", || {
        let answer = curl(host, url, &["--cacert", "ca.pem", "-u", "alice:secret"]);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn the_page_and_its_files_are_below_the_prefix_compressed_and_strict() {
    let host = Host::new();
    let exporter = host.exporter(&["--web.external-url", "https://proxy.example/veth/"]);
    let page = exporter.get("/veth/");
    let policy = page.header("content-security-policy").unwrap().to_owned();
    for wanted in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"] {
        assert!(policy.contains(wanted) && !policy.contains("unsafe"), "{policy}");
    }
    let files: Vec<&str> =
        page.text().split("/veth/page/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let path = format!("/veth/page/{file}");
        let plain = exporter.get(&path);
        let packed = exporter.request("GET", &path, &[("Accept-Encoding", "gzip")]);
        assert_eq!(
            (plain.status, packed.status, packed.header("content-encoding")),
            (200, 200, Some("gzip")),
            "{file}"
        );
        assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
        assert!(packed.body.len() < plain.body.len(), "{file}");
        let tag = plain.header("etag").unwrap();
        assert_eq!(tag, packed.header("etag").unwrap());
        let again = exporter.request("GET", &path, &[("If-None-Match", tag)]);
        assert!(again.status == 304 && again.body.is_empty(), "{again:?}");
    }
    for nowhere in ["/page/main.js", "/veth/page/", "/veth/page/../main.js", "/veth/page/none.js"] {
        assert_eq!(exporter.get(nowhere).status, 404, "{nowhere}");
    }
    assert_eq!(exporter.request("POST", "/veth/api/v1/stream", &[]).status, 405);
}
