//! Requests that nobody means, by a small fuzzer with a fixed seed: brief, or a minute by VETH_LAB_LONG=1.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use super::curl::{curl, https};
use super::{Host, brief_or_long, memory};
use crate::certificates::Authority;
use lab::{Exporter, connect};

/// xorshift64: the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.below(from.len())]
    }
}

const METHODS: &[&[u8]] = &[b"GET", b"HEAD", b"POST", b"get", b"", b"PRI", b"OPTIONS", b"G\0T", b"CONNECT"];
const TARGETS: &[&[u8]] = &[
    b"/metrics",
    b"/",
    b"*",
    b"http://x/metrics",
    b"//",
    b"/%00",
    b"/metrics?a=b#c",
    b"",
    b"/\xff",
    b"x:1",
    b"/-/ready",
    b"/../metrics",
];
const VERSIONS: &[&[u8]] = &[b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9", b"", b"http/1.1"];
const HEADERS: &[&[u8]] = &[
    b"Host: x",
    b"Accept-Encoding: gzip;q=1e9, *;q=-1",
    b"Accept-Encoding: ,,,;;;q=",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Connection: close",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Authorization: Basic \xff\xff",
    b"Authorization: Basic YTpi",
    b" folded",
    b":",
    b"X",
    b"X:\0",
    b"Accept: application/openmetrics-text;version=\xff",
    b"Range: bytes=0-",
    b"Host: y",
];
const ENDS: &[&[u8]] = &[
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n",
    b"",
    b"\r\n\r\nhello",
    b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
];

fn request(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(dice.pick(METHODS));
    bytes.push(b' ');
    bytes.extend_from_slice(dice.pick(TARGETS));
    bytes.push(b' ');
    bytes.extend_from_slice(dice.pick(VERSIONS));
    for _ in 0..dice.below(6) {
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(dice.pick(HEADERS));
    }
    bytes.extend_from_slice(dice.pick(ENDS));
    for _ in 0..dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes[at] = dice.below(256) as u8,
            1 => _ = bytes.remove(at),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, dice.below(256) as u8),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

/// Sends it, and what comes must begin like an answer, if anything comes.
fn send(host: &Host, exporter: &Exporter, bytes: &[u8], seed: u64) {
    let mut stream = connect(&host.netns.path(), exporter.address()).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let begins = answer.is_empty() || answer.starts_with(b"HTTP/1.") || answer[0] == 21 || answer[0] == 22;
    assert!(
        begins,
        "seed {seed:#x}: {:?} is answered by {:?}",
        bytes.escape_ascii().to_string(),
        answer[..answer.len().min(200)].escape_ascii().to_string()
    );
}

fn fuzz(host: &Host, exporter: &Exporter, mut make: impl FnMut(&mut Dice) -> Vec<u8>, alive: impl Fn()) {
    let seed = 0x5eed_ca11_ab1e;
    let (mut dice, begin, mut count) = (Dice(seed), Instant::now(), 0);
    let mut before = 0;
    while begin.elapsed() < brief_or_long(4, 60) {
        let bytes = make(&mut dice);
        send(host, exporter, &bytes, seed);
        count += 1;
        if count % 200 == 0 {
            alive();
            // After the first of them everything is warm.
            before = if before == 0 { memory(exporter, "VmRSS") } else { before };
        }
    }
    assert!(count > 200, "only {count} requests");
    let grown = memory(exporter, "VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1_024, "{before} KiB before, and {grown} more after {count} requests");
    alive();
}

#[test]
fn malformed_requests_are_answered_or_cut_off_and_nothing_else_suffers() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    fuzz(&host, &exporter, request, || assert_eq!(exporter.get("/metrics").status, 200));
    let bad: Vec<String> = exporter
        .log()
        .into_iter()
        .filter(|line| line.contains("panic") || line.contains("level=error"))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn malformed_handshakes_are_cut_off_and_nothing_else_suffers() {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let exporter = host.serving("tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let records: &[&[u8]] = &[
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03",
        b"\x16\x03\x03\xff\xff",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x80\x2e\x01\x00\x02",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"SSH-2.0-x\r\n",
    ];
    let make = |dice: &mut Dice| {
        let mut bytes = dice.pick(records).to_vec();
        bytes.extend((0..dice.below(300)).map(|_| dice.below(256) as u8));
        if dice.below(4) == 0 { request(dice) } else { bytes }
    };
    fuzz(&host, &exporter, make, || {
        assert_eq!(curl(&host, &https(exporter.address(), "/metrics"), &["--cacert", "ca.pem"]).status, 200);
    });
}

#[test]
fn frames_of_http2_that_nobody_means_end_their_connection_and_nothing_else() {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let exporter = host.serving("tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let mut dice = Dice(0x5eed_f4a3);
    let begin = Instant::now();
    while begin.elapsed() < brief_or_long(3, 30) {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
        for _ in 0..dice.below(20) {
            let length = dice.below(40);
            bytes.extend([
                0,
                0,
                length as u8,
                dice.below(12) as u8,
                dice.below(64) as u8,
                0,
                0,
                0,
                dice.below(4) as u8,
            ]);
            bytes.extend((0..length).map(|_| dice.below(256) as u8));
        }
        let file = host.files.join("frames");
        std::fs::write(&file, &bytes).unwrap();
        let mut command = host.netns.command("timeout");
        let address = exporter.address().to_string();
        command.args(["0.3", "openssl", "s_client", "-quiet", "-alpn", "h2", "-connect", &address]);
        command
            .stdin(std::fs::File::open(&file).unwrap())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.status().unwrap();
        assert_eq!(
            curl(&host, &https(exporter.address(), "/-/healthy"), &["--cacert", "ca.pem"]).status,
            200
        );
    }
}
