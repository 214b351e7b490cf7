//! A CRI server that is broken is one failed source with one line in the log; everything else goes on.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use lab::{Exporter, Exposition, Netns, NetnsFolder, empty_folder, wait_for};

/// What HTTP/2 says first (RFC 9113): empty SETTINGS.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame of HTTP/2: its length, type, flags and stream before it.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a good answer in HPACK: `:status: 200` and `content-type: application/grpc`, both without any table but the
/// static one.
fn headers(stream: u32) -> Vec<u8> {
    let name_and_value = [&[0x88, 0x0f, 0x10, 16][..], b"application/grpc"].concat();
    frame(1, 4, stream, &name_and_value)
}

/// The head of a message of gRPC with so many bytes.
fn head(length: u32) -> Vec<u8> {
    [&[0][..], &length.to_be_bytes()].concat()
}

/// Reads what the client says until it has asked its first question: a DATA frame that ends its stream.
fn read_question(stream: &mut UnixStream) -> std::io::Result<()> {
    stream.write_all(&SETTINGS)?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload)?;
        if head[3] == 0 && head[4] & 1 == 1 {
            return Ok(());
        }
    }
}

fn half_a_message(mut stream: UnixStream) -> std::io::Result<()> {
    read_question(&mut stream)?;
    stream.write_all(&headers(1))?;
    stream.write_all(&frame(0, 1, 1, &[head(1_000), vec![18, 200]].concat()))?;
    // A server that closes at once can be met by the client's own acknowledgement: then the client names that, a broken pipe.
    stream.shutdown(Shutdown::Write)?;
    hangs(stream)
}

fn hangs(mut stream: UnixStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn hundred_megabytes(mut stream: UnixStream) -> std::io::Result<()> {
    read_question(&mut stream)?;
    stream.write_all(&headers(1))?;
    stream.write_all(&frame(0, 0, 1, &head(100 << 20)))?;
    let blanks = frame(0, 0, 1, &[b' '; 16_384]);
    // More than the client has allowed by its windows, if it lets us.
    for _ in 0..(100 << 20) / 16_384 {
        stream.write_all(&blanks)?;
    }
    hangs(stream)
}

fn endless_headers(mut stream: UnixStream) -> std::io::Result<()> {
    read_question(&mut stream)?;
    let field = [&[0x00, 1][..], b"x", &[100], &[b'y'; 100]].concat();
    stream.write_all(&frame(1, 0, 1, &field))?;
    loop {
        stream.write_all(&frame(9, 0, 1, &field.repeat(100)))?;
    }
}

fn junk(mut stream: UnixStream) -> std::io::Result<()> {
    stream.write_all(&b"no such thing here\r\n".repeat(10_000))
}

fn assert_others_go_on_beside(answer: fn(UnixStream) -> std::io::Result<()>, words: &[&str]) {
    let socket = empty_folder("cri").join("c.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has had enough closes: that is what these tests are about.
            std::thread::spawn(move || answer(stream.unwrap()));
        }
    });
    let (host, web, folder) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    folder.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let [flag, path] = folder.arguments();
    let endpoint = socket.display().to_string();
    let exporter =
        Exporter::start(&host, &[flag, path, "--cri.endpoint", &endpoint, "--collector.interval", "100ms"]);
    let device = [("device", "veth-web"), ("container", "web")];
    // The kernel takes a link up when it comes to it.
    exporter.wait_for(Duration::from_secs(10), "the source has failed, and the device is up", |metrics| {
        let up = metrics.value("veth_device_up", &device) == Some(1.0);
        metrics.collector_success("cri").filter(|success| !success && up)
    });
    // Again and again, without another line.
    let mut scrapes = 0;
    wait_for(Duration::from_secs(20), "thirty scrapes over three seconds", || {
        let metrics: Exposition = exporter.metrics();
        assert_eq!(metrics.value("veth_device_up", &device), Some(1.0), "{}", metrics.text);
        assert_eq!(metrics.collector_success("cri"), Some(false), "{}", metrics.text);
        for others in ["links", "counters", "named"] {
            assert_eq!(metrics.collector_success(others), Some(true), "{others}: {}", metrics.text);
        }
        scrapes += 1;
        std::thread::sleep(Duration::from_millis(100));
        if scrapes > 30 { Ok(()) } else { Err(scrapes) }
    });
    let said: Vec<String> = exporter.remarks().into_iter().filter(|line| line.contains("cri")).collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    for word in words.iter().chain(&["level=warn", "collector=cri", "c.sock"]) {
        assert!(said[0].contains(word), "no {word} in {}", said[0]);
    }
    let memory = exporter.metrics().value("process_resident_memory_bytes", &[]).unwrap();
    assert!(memory < 64e6, "{memory} bytes");
}

#[test]
fn a_cri_server_that_answers_half_a_message_is_a_failed_source() {
    assert_others_go_on_beside(half_a_message, &["EOF"]);
}

#[test]
fn a_cri_server_that_hangs_is_a_failed_source() {
    assert_others_go_on_beside(hangs, &["did not answer within"]);
}

#[test]
fn a_cri_server_that_sends_a_hundred_megabytes_is_a_failed_source() {
    assert_others_go_on_beside(hundred_megabytes, &["more than 16777216 bytes"]);
}

#[test]
fn a_cri_server_that_sends_headers_without_end_is_a_failed_source() {
    assert_others_go_on_beside(endless_headers, &["failed"]);
}

#[test]
fn what_is_no_cri_server_at_all_is_a_failed_source() {
    assert_others_go_on_beside(junk, &["failed"]);
}

#[test]
fn an_endpoint_that_is_not_there_is_a_failed_source_only_if_the_user_named_it() {
    let (host, folder) = (Netns::quiet("host"), NetnsFolder::new());
    let [flag, path] = folder.arguments();
    let named = Exporter::start(&host, &[flag, path, "--cri.endpoint", "/nonexistent/c.sock"]);
    named.wait_for(Duration::from_secs(10), "the source has failed", |metrics| {
        metrics.collector_success("cri").filter(|success| !success)
    });
    // Also where this machine has a server of its own: /run is empty for this process.
    let hide = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"];
    let exporter = Exporter::start_through(&host, &hide, &[flag, path, "--collector.interval", "100ms"]);
    let mut scrapes = 0;
    wait_for(Duration::from_secs(20), "ten scrapes", || {
        let metrics = exporter.metrics();
        assert_eq!(metrics.collector_success("cri"), None, "{}", metrics.text);
        scrapes += 1;
        std::thread::sleep(Duration::from_millis(50));
        if scrapes > 10 { Ok(()) } else { Err(scrapes) }
    });
    assert!(!exporter.log().join("\n").contains("cri"), "{:#?}", exporter.log());
}
