//! From a running exporter: by TCP, TLS and unix sockets; one that is not there, slow, or something else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::Host;
use super::terminal::Terminal;
use crate::certificates::{Authority, self_signed_for};
use lab::{Exporter, describe, empty_folder, succeed};

fn quit(mut terminal: Terminal) {
    terminal.press("q");
    assert_eq!(terminal.ended_and_restored().code(), Some(0));
}

#[test]
fn an_exporter_that_comes_and_goes_is_followed_and_old_numbers_are_called_stale() {
    let host = Host::new();
    let socket = format!("unix:{}", empty_folder("s").join("s").display());
    let terminal = host.top_of(&socket, &["--interval", "200ms"]);
    terminal.wait_for_text("cannot connect: No such file");
    terminal.wait_for_text("trying again");
    let mut exporter = host.exporter(&["--web.listen-address", &socket]);
    terminal.wait_for_text("vethweb");
    terminal.wait_until_gone("trying again");
    exporter.process().signal(Signal::SIGSTOP);
    terminal.wait_for_text("STALE");
    terminal.wait_for_text("no answer within 5s; trying again");
    terminal.wait_for_text("vethweb");
    exporter.process().signal(Signal::SIGCONT);
    terminal.wait_until_gone("STALE");
    exporter.stop();
    terminal.wait_for_text("STALE");
    let _next = host.exporter(&["--web.listen-address", &socket]);
    terminal.wait_until_gone("STALE");
    terminal.wait_for_text("vethweb");
    quit(terminal);
}

#[test]
fn nobody_at_a_port_is_said_and_q_still_quits() {
    let host = Host::new();
    // A port that was free a moment ago.
    let free = host.netns.within(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let terminal = host.top_of(&format!("http://{free}"), &[]);
    terminal.wait_for_text("cannot connect: Connection refused");
    quit(terminal);
    let terminal = host.top_of("http://no-such-host.invalid", &[]);
    terminal.wait_for_text("cannot connect: ");
    quit(terminal);
}

/// Answers each request with these bytes, until it is asked no more.
fn answers(host: &Host, answer: &'static [u8]) -> String {
    let listener = host.netns.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A client that has gone is no failure.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    format!("http://{address}")
}

#[test]
fn what_is_no_exporter_is_said_and_obeyed_by_nobody() {
    let host = Host::new();
    for (answer, said) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"[..],
            "not an answer of /api/v1/pairs: expected value at line 1",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", "no HTTP answer"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found: it has no /api/v1/pairs"),
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 24\r\n\r\n{\"error\":\"a\\u001b]0;b\"} ",
            r"503 Service Unavailable: a\x1b]0;b",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"pairs\":", "no whole answer"),
    ] {
        let terminal = host.top_of(&answers(&host, answer), &[]);
        terminal.wait_for_text(said);
        quit(terminal);
    }
}

/// A bcrypt hash by another implementation: libcrypt's.
fn hash(password: &str) -> String {
    let setting = "$2y$04$N9qo8uLOickgx2ZMRZoMye";
    succeed(Command::new("perl").args(["-e", "print crypt($ARGV[0], $ARGV[1])", password, setting]))
}

fn written(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn tls_and_passwords_are_as_the_flags_say() {
    let host = Host::new();
    let folder = empty_folder("tls");
    Authority::new(&folder, "ca").issue("server", "IP:127.0.0.1");
    Authority::new(&folder, "other");
    let config = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\nbasic_auth_users:\n  alice: {}\n",
        hash("p@ss")
    );
    let exporter = host.exporter(&["--web.config.file", &written(&folder, "web.yml", &config)]);
    let (file, address) = (|name: &str| folder.join(name).display().to_string(), exporter.address());
    let password = written(&folder, "password", "p@ss\n");
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let plain = format!("https://{address}");
    let named = format!("https://alice:p%40ss@{address}");
    let right: [(&str, &[&str]); 3] = [
        (&named, &["--url.ca-file", &ca]),
        (&named, &["--url.insecure-skip-verify"]),
        (&plain, &["--url.ca-file", &ca, "--url.user", "alice", "--url.password-file", &password]),
    ];
    for (url, flags) in right {
        let terminal = host.top_of(url, flags);
        terminal.wait_for_text("vethweb");
        assert!(!terminal.text().contains("alice:") && !terminal.text().contains("p%40ss"));
        quit(terminal);
    }
    let wrong: [(&str, &[&str], &str); 4] = [
        (&plain, &["--url.ca-file", &ca], "401 Unauthorized: it demands a user and a password"),
        (&named, &["--url.ca-file", &other], "cannot connect: invalid peer certificate"),
        (&named, &[], "name its authority with --url.ca-file"),
        (&format!("http://alice:p%40ss@{address}"), &[], "Client sent an HTTP request to an HTTPS server"),
    ];
    for (url, flags, said) in wrong {
        let terminal = host.top_of(url, flags);
        terminal.wait_for_text(said);
        quit(terminal);
    }
}

#[test]
fn a_certificate_that_an_exporter_has_signed_itself_is_believed_if_it_is_named_and_fits() {
    let host = Host::new();
    let folder = empty_folder("own");
    self_signed_for(&folder, "own", "IP:127.0.0.1", 2);
    self_signed_for(&folder, "elsewhere", "IP:127.0.0.9", 2);
    self_signed_for(&folder, "stranger", "IP:127.0.0.1", 2);
    let serve = |name: &str| {
        let config = format!("tls_server_config:\n  cert_file: {name}.pem\n  key_file: {name}.key\n");
        host.exporter(&["--web.config.file", &written(&folder, &format!("{name}.yml"), &config)])
    };
    let file = |name: &str| folder.join(format!("{name}.pem")).display().to_string();
    let own = serve("own");
    let elsewhere = serve("elsewhere");
    let plain = host.exporter(&[]);
    let cases = [
        (&own, "own", "vethweb"),
        (&own, "stranger", "name the certificate with --url.ca-file"),
        (&elsewhere, "elsewhere", "cannot connect: invalid peer certificate: certificate not valid for name"),
        (&plain, "own", "perhaps it serves plain HTTP: use http://"),
    ];
    for (exporter, named, said) in cases {
        let terminal =
            host.top_of(&format!("https://{}", exporter.address()), &["--url.ca-file", &file(named)]);
        terminal.wait_for_text(said);
        quit(terminal);
    }
}

#[test]
fn files_that_are_no_good_are_named_before_anything_is_shown() {
    let host = Host::new();
    let folder = empty_folder("bad");
    let empty = written(&folder, "empty.pem", "");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--url", "https://h", "--url.ca-file", "/no/such"], 1, "cannot read /no/such: No such file"),
        (&["--url", "https://h", "--url.ca-file", &empty], 1, "the file contains no certificate"),
        (&["--url", "http://h", "--url.password-file", &empty], 1, "a password without a user"),
        (&["--url", "ftp://localhost"], 2, "not a URL such as"),
        (&["--url", "/run/veth.sock"], 2, "unix:PATH"),
        (&["--url.ca-file", &empty], 2, "--url"),
    ];
    for (flags, code, said) in cases {
        let words = [&["top"], flags].concat();
        let mut terminal = Terminal::start(&host.netns, Exporter::binary(), &words, &[], (30, 120));
        assert_eq!(terminal.ended_and_restored().code(), Some(code), "{flags:?}\n{}", terminal.text());
        terminal.wait_for_text(said);
    }
    // With a flag of the wrong kind there is no terminal needed to say so.
    let output = Exporter::command(&host.netns, &["top", "--interval", "1ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
}

#[test]
fn a_url_without_its_scheme_is_that_of_a_plain_exporter() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let terminal = host.top_of(&exporter.address().to_string(), &[]);
    terminal.wait_for_text(&format!("http://{}", exporter.address()));
    terminal.wait_for_text("vethweb");
    quit(terminal);
}
