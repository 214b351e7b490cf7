//! Slow and greedy clients: each is limited, and scrapes go on meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::curl::{curl, https};
use super::{Host, memory};
use crate::certificates::Authority;
use lab::{Exporter, connect, succeed, wait_for};

/// A host whose metrics are more than what its sockets hold: pairs with both ends here, and small buffers.
fn large() -> Host {
    let host = Host::new();
    succeed(host.netns.command("sysctl").args([
        "-qw",
        "net.ipv4.tcp_wmem=4096 16384 65536",
        "net.ipv4.tcp_rmem=4096 16384 65536",
    ]));
    let pairs: String = (0..700).map(|n| format!("link add a{n} type veth peer name b{n}\n")).collect();
    let batch = host.file("pairs", &pairs);
    host.netns.ip(["-batch", &batch]);
    host
}

/// Waits until the exposition is large, and says how long it is.
fn wait_until_large(exporter: &Exporter) -> usize {
    wait_for(Duration::from_secs(20), "all pairs are there", || {
        let length = exporter.get("/metrics").body.len();
        if length > 600_000 { Ok(length) } else { Err(length) }
    })
}

fn client(host: &Host, address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = connect(&host.netns.path(), address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Whether the other end has closed or reset it, without taking a byte that may still be there.
fn is_cut(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let cut = stream.take_error().unwrap().is_some() || matches!(stream.peek(&mut [0]), Ok(0));
    // A reset is told at the next write, where unread bytes hide it from a read.
    let told = (&*stream).write(b"x").is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
    cut || told
}

fn has_nothing_to_read(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    !stream.peek(&mut [0]).is_ok_and(|length| length > 0)
}

/// Descriptors of connections: 128 at a time, and some for those of a moment. The exporter's own come on top: how many they are
/// depends on the engines of the machine, and is counted before.
const ROOM: usize = 128 + 16;

fn descriptors(exporter: &Exporter) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", exporter.pid())).unwrap().count()
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn eight_clients_that_never_read_lose_their_places_to_a_scrape() {
    let host = large();
    let exporter = host.exporter(&["--web.max-requests", "8"]);
    wait_until_large(&exporter);
    let begin = Instant::now();
    let slow: Vec<TcpStream> = (0..8).map(|_| client(&host, exporter.address(), GET)).collect();
    wait_for(Duration::from_secs(20), "all are being answered", || {
        let waiting = slow.iter().filter(|stream| has_nothing_to_read(stream)).count();
        if waiting == 0 { Ok(()) } else { Err(format!("{waiting} have nothing yet")) }
    });
    // Sooner than they are cut off for good.
    wait_for(Duration::from_secs(20), "a scrape gets the place of one of them", || {
        match exporter.get("/metrics").status {
            200 => Ok(()),
            status => Err(format!("status {status} after {:?}", begin.elapsed())),
        }
    });
    assert!(begin.elapsed() < Duration::from_secs(28), "only after {:?}", begin.elapsed());
    assert_eq!(exporter.get("/metrics").status, 200, "and the next one");
    // Nobody else wants the places of the others, and they are not kept for ever all the same.
    wait_for(Duration::from_secs(40), "all are cut off", || {
        let left = slow.iter().filter(|stream| !is_cut(stream)).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left after {:?}", begin.elapsed())) }
    });
}

#[test]
fn a_client_that_reads_drop_by_drop_is_cut_off_too() {
    let host = large();
    let exporter = host.exporter(&[]);
    wait_until_large(&exporter);
    let mut slow = client(&host, exporter.address(), GET);
    slow.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let begin = Instant::now();
    let mut drop = [0; 512];
    // Some kilobytes a second: there is always progress.
    while begin.elapsed() < Duration::from_secs(45) {
        std::thread::sleep(Duration::from_millis(100));
        match slow.read(&mut drop) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if is_cut(&slow) {
            break;
        }
        slow.set_nonblocking(false).unwrap();
    }
    let took = begin.elapsed();
    assert!((25..42).contains(&took.as_secs()), "cut off after {took:?}");
    assert_eq!(exporter.get("/metrics").status, 200);
}

#[test]
fn clients_of_http2_that_make_no_room_for_their_answers_do_not_stop_a_scrape() {
    let host = large();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let file = host.file("web.yml", "tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let exporter = host.exporter(&["--web.config.file", &file, "--web.max-requests", "4"]);
    let url = https(exporter.address(), "/metrics");
    let arguments = ["--cacert", "ca.pem", "--http2", "--output", "/dev/null"];
    wait_for(Duration::from_secs(20), "it serves", || {
        let answer = curl(&host, &url, &arguments);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    let begin = Instant::now();
    let slow: Vec<_> = (0..4)
        .map(|n| {
            let mut command = host.netns.command("curl");
            command.current_dir(&host.files).args(["-sN", "--cacert", "ca.pem", "--limit-rate", "1k"]);
            command.args(["--output", &format!("slow{n}"), &url]);
            lab::Process::start("curl", &mut command)
        })
        .collect();
    wait_for(Duration::from_secs(20), "all are being answered", || {
        let length =
            |n: usize| std::fs::metadata(host.files.join(format!("slow{n}"))).map_or(0, |file| file.len());
        let lengths: Vec<u64> = (0..slow.len()).map(length).collect();
        if lengths.iter().all(|length| *length > 0) { Ok(()) } else { Err(format!("{lengths:?}")) }
    });
    wait_for(Duration::from_secs(20), "a scrape gets the place of one of them", || {
        let answer = curl(&host, &url, &arguments);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    assert!(begin.elapsed() < Duration::from_secs(28), "only after {:?}", begin.elapsed());
    drop(slow);
}

#[test]
fn a_thousand_idle_connections_hold_neither_memory_nor_a_scrape() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    exporter.metrics();
    let before = memory(&exporter, "VmRSS");
    let (own, mut most) = (descriptors(&exporter), 0);
    let half = "GET /metrics HTTP/1.1\r\nHo";
    let whole = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut idle = Vec::new();
    for n in 0..1_000 {
        let stream = connect(&host.netns.path(), exporter.address());
        // One whose place was given away before its request came has had its turn.
        let mut stream = stream.unwrap();
        let _ = stream.write_all(["", half, whole][n % 3].as_bytes());
        idle.push(stream);
        // At every moment, not only once it is quiet: a limit that holds afterwards is none.
        most = most.max(descriptors(&exporter));
        if n % 100 == 99 {
            assert_eq!(exporter.get("/metrics").status, 200, "with {n} idle connections");
        }
    }
    assert!(most < own + ROOM, "{own} descriptors were open before, and up to {most} with the connections");
    let grown = memory(&exporter, "VmRSS").saturating_sub(before);
    assert!(grown < 12 * 1_024, "{before} KiB before, and {grown} more");
}

#[test]
fn requests_without_end_on_one_connection_do_not_stop_a_scrape() {
    let host = large();
    let exporter = host.exporter(&[]);
    wait_until_large(&exporter);
    let before = memory(&exporter, "VmRSS");
    // One reads what it asks for, the other never does.
    let reader = client(&host, exporter.address(), "");
    let deaf = client(&host, exporter.address(), "");
    let many = GET.repeat(200);
    let end = Instant::now() + Duration::from_secs(4);
    let asking = |mut stream: TcpStream| {
        let many = many.clone();
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        move || {
            let mut sent = 0;
            while Instant::now() < end {
                sent += stream.write(many.as_bytes()).unwrap_or(0);
            }
            sent
        }
    };
    std::thread::scope(|scope| {
        let mut answers = reader.try_clone().unwrap();
        scope.spawn(asking(reader));
        let deaf = scope.spawn(asking(deaf));
        let reading = scope.spawn(move || {
            let (mut buffer, mut sum) = (vec![0; 65_536], 0);
            while Instant::now() < end {
                sum += answers.read(&mut buffer).unwrap();
            }
            sum
        });
        while Instant::now() < end {
            assert_eq!(exporter.get("/metrics").status, 200);
        }
        assert!(reading.join().unwrap() > 600_000, "the one that reads is answered");
        let taken = deaf.join().unwrap();
        assert!(taken < 2_000_000, "{taken} bytes of requests were taken from one that reads no answer");
    });
    let grown = memory(&exporter, "VmRSS").saturating_sub(before);
    assert!(grown < 24 * 1_024, "{before} KiB before, and {grown} more");
}

/// Clients that send this again and again, read nothing, and come again when they are cut off; meanwhile scrapes, of which the
/// longest took so long.
fn longest_scrape_beside(host: &Host, exporter: &Exporter, requests: &[String]) -> Duration {
    let end = Instant::now() + Duration::from_secs(8);
    let ask = |request: &String| {
        let stream = client(host, exporter.address(), request);
        stream.set_nonblocking(true).unwrap();
        stream
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut streams: Vec<TcpStream> = requests.iter().map(ask).collect();
            while Instant::now() < end {
                for (stream, request) in streams.iter_mut().zip(requests) {
                    match stream.write(request.as_bytes()) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Ok(_) if !is_cut(stream) => {}
                        _ => *stream = ask(request),
                    }
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let begin = Instant::now();
            assert_eq!(exporter.get("/metrics").status, 200);
            longest = longest.max(begin.elapsed());
        }
        longest
    })
}

#[test]
fn more_clients_than_there_is_room_for_that_ask_without_end_and_read_nothing_do_not_stop_a_scrape() {
    let host = large();
    let exporter = host.exporter(&[]);
    wait_until_large(&exporter);
    let own = descriptors(&exporter);
    let many = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let longest = longest_scrape_beside(&host, &exporter, &vec![many; 140]);
    assert!(longest < Duration::from_secs(6), "a scrape took {longest:?}");
    let open = descriptors(&exporter);
    assert!(open < own + ROOM, "{own} descriptors were open before, and {open} with the connections");
}

#[test]
fn clients_of_the_api_that_never_read_do_not_hold_a_scrape_up() {
    let host = large();
    let exporter = host.exporter(&[]);
    wait_until_large(&exporter);
    // No two of them share a text.
    let requests: Vec<String> =
        (0..7).map(|n| GET.replace("/metrics", &format!("/api/v1/pairs?limit={}", 700 + n))).collect();
    let longest = longest_scrape_beside(&host, &exporter, &requests);
    assert!(longest < Duration::from_secs(3), "a scrape took {longest:?}");
}

#[test]
fn heads_that_are_too_large_get_431_and_do_not_grow_memory() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    let before = memory(&exporter, "VmRSS");
    let status = |head: &str| {
        let mut stream = client(&host, exporter.address(), "");
        // It may be cut off while it still sends.
        let _ = stream.write_all(head.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    let long = |bytes: usize| {
        format!("GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: {}\r\nConnection: close\r\n\r\n", "x".repeat(bytes))
    };
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(status(&long(8_000)), "HTTP/1.1 200 OK");
    let refused = "HTTP/1.1 431 Request Header Fields Too Large";
    assert_eq!(status(&long(20_000)), refused);
    assert_eq!(status(&long(60_000)), refused);
    assert_eq!(status(&format!("GET /-/healthy HTTP/1.1\r\nHost: x\r\n{many}\r\n")), refused);
    let path = status(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(60_000)));
    assert!(path.contains("431") || path.contains("414"), "{path}");
    for _ in 0..50 {
        status(&long(4_000_000));
        assert_eq!(exporter.get("/-/healthy").status, 200);
    }
    let grown = memory(&exporter, "VmRSS").saturating_sub(before);
    assert!(grown < 8 * 1_024, "{before} KiB before, and {grown} more");
}

#[test]
fn a_handshake_that_never_ends_is_cut_off_while_others_are_served() {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let exporter = host.serving("tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    // Nothing, and the beginning of a ClientHello.
    let silent = client(&host, exporter.address(), "");
    let mut half = client(&host, exporter.address(), "");
    half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
    let begin = Instant::now();
    for stream in [&silent, &half] {
        stream.set_read_timeout(Some(Duration::from_secs(14))).unwrap();
    }
    assert_eq!(curl(&host, &https(exporter.address(), "/metrics"), &["--cacert", "ca.pem"]).status, 200);
    assert_eq!((&silent).read(&mut [0; 100]).unwrap_or(0), 0);
    assert_eq!((&half).read(&mut [0; 100]).unwrap_or(0), 0);
    let took = begin.elapsed();
    assert!((9..14).contains(&took.as_secs()), "cut off after {took:?}");
}

#[test]
fn a_connection_is_kept_from_one_scrape_to_the_next() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let mut stream = client(&host, exporter.address(), "");
    // Longer than a head may take.
    for pause in [0, 13] {
        std::thread::sleep(Duration::from_secs(pause));
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 1_024];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"), "after {pause} s: {length} bytes");
    }
}

#[test]
fn a_connection_of_http2_is_kept_from_one_scrape_to_the_next() {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let exporter = host.serving("tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let url = https(exporter.address(), "/metrics");
    // One every 15 s, longer than a head may take; curl prints how many connections it made for each.
    let mut command = host.netns.command("curl");
    command.current_dir(&host.files).args([
        "-sS",
        "--cacert",
        "ca.pem",
        "--rate",
        "4/m",
        "-w",
        "%{http_version} %{num_connects}\n",
    ]);
    let said = succeed(command.args(["-o", "/dev/null", &url, "-o", "/dev/null", &url]));
    assert_eq!(said, "2 1\n2 0\n");
}
