//! What clients and administrators send to the web server.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use veth_exporter::testing::collector::{self, Sources};
use veth_exporter::testing::exposition::format::Format;
use veth_exporter::testing::http::{
    About, Encoding, Gate, ListenAddress, Listener, LiveReaders, MetricsOptions, Routes, Site, WebConfig,
    accept, serve,
};
use veth_exporter::testing::kernel::{
    Events, FinalSampler, OwnNsid, Resolver, Sampler, TableReader, TcpReader,
};
use veth_exporter::testing::model::host::{Config, Learning};
use veth_exporter::testing::runtimes::process::Processes;

use super::{ALWAYS, in_memory_of, parts, scratch};

// ---------------------------------------------------------------- requests

/// Whoever is served gets an answer in this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so long without a byte it is an answer without end, or the request has none.
const SILENCE: Duration = Duration::from_millis(20);

/// In the head of a stream of events.
const EVENTS: &[u8] = b"content-type: text/event-stream";

/// How often the server's collector ticks: a stream whose client is gone ends with the next tick.
const TICK: Duration = Duration::from_secs(1);

/// The bytes of a client, to a server that serves what there is on this host: what comes back are answers of HTTP/1.1, and the
/// server closes when the client does.
pub fn requests(input: &[u8]) {
    let mut stream = UnixStream::connect(server()).expect("it listens");
    stream.set_read_timeout(Some(SILENCE)).expect("a time");
    // A server that has had enough closes, and what it has said is still there.
    let _ = stream.write_all(input);
    let _ = stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answers = Vec::new();
    let mut buffer = [0; 16 << 10];
    let begin = Instant::now();
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answers.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => _ = stream.shutdown(Shutdown::Write),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
        // It has no end, and what is asked behind it is not looked at: who has enough closes.
        if answers.windows(EVENTS.len()).any(|window| window == EVENTS) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "the connection stays: {}", answers.escape_ascii());
    }
    let mut rest = &answers[..];
    while !rest.is_empty() {
        rest = answer(rest).unwrap_or_else(|wrong| panic!("{wrong}: {}", rest.escape_ascii()));
    }
}

/// Reads one answer, and gives what follows it. The last one may be cut off.
fn answer(text: &[u8]) -> Result<&[u8], String> {
    let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(&[]) };
    let (head, body) = (&text[..end], &text[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| "a head that is not UTF-8")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)));
    let status: u16 = status.and_then(|status| status.parse().ok()).ok_or("no status line")?;
    if ![100, 200, 302, 304, 400, 404, 405, 413, 414, 431, 501, 503].contains(&status) {
        return Err(format!("status {status}"));
    }
    let mut length = 0;
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("not a header: {line:?}"))?;
        match name {
            "content-length" => length = value.parse().map_err(|_| format!("length {value:?}"))?,
            // HEAD is answered without the chunks.
            "transfer-encoding" if !body.starts_with(b"HTTP/1.") => return chunks(body),
            _ => {}
        }
    }
    // That to HEAD, or 304: no body of ours begins like this.
    let bare = body.starts_with(b"HTTP/1.");
    Ok(if bare { body } else { body.get(length..).unwrap_or_default() })
}

/// Reads a body in chunks to its end.
fn chunks(mut rest: &[u8]) -> Result<&[u8], String> {
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(&[]) };
        let length =
            std::str::from_utf8(&rest[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let length = length.ok_or("not a chunk's length")?;
        let Some(behind) = rest.get(end + 2 + length..) else { return Ok(&[]) };
        rest = match behind.strip_prefix(b"\r\n") {
            Some(behind) => behind,
            None if behind.len() < 2 => return Ok(&[]),
            None => return Err("a chunk that does not end".into()),
        };
        if length == 0 {
            return Ok(rest);
        }
    }
}

/// The socket of a server that goes on until the process ends.
fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let path = scratch().join("web.sock");
        let listener = Listener::bind(&ListenAddress::Unix(path.clone())).expect("a listener");
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (handle, _exits) = collector::start(config(), TICK, kernel(), []).expect("a collector");
                let about = About::new(TICK, Vec::new(), Default::default());
                let gate = Arc::new(Gate::new(WebConfig::default()).expect("a gate"));
                let limits = MetricsOptions { max_requests: 8, created: true, device_counters: true };
                let routes = Routes::new(None, None, "/metrics");
                let readers = LiveReaders::default();
                let site = Site::new(handle, routes, limits, gate, about, readers, &[]).expect("a site");
                serve(site, vec![listener], std::future::pending()).await.expect("it serves");
            });
        });
        path
    })
}

fn kernel() -> Sources {
    let own = OwnNsid::default();
    let (events, waker) = Events::open(own.clone()).expect("events");
    let resolver = || Resolver::open(own.clone()).expect("a socket");
    let table = TableReader::new(Path::new("/proc"));
    Sources {
        events,
        waker,
        resolver: resolver(),
        surveyor: resolver(),
        locator: resolver(),
        tcp: TcpReader::new(resolver(), Path::new("/proc")),
        sampler: Sampler::open().expect("a socket"),
        final_sampler: FinalSampler::new(table.clone(), Sampler::open().expect("a socket")),
        table,
        netns_folder: None,
        processes: Processes::new(Path::new("/proc")),
        drops: None,
        wants_own_netns: true,
    }
}

fn config() -> Config {
    Config {
        processes: false,
        retention: Duration::from_secs(300),
        hold_back: Duration::from_secs(1),
        leaving: Duration::from_secs(2),
        peak_window: Duration::from_secs(60),
        learning: Learning::Events,
        gather: Duration::from_millis(2),
        resync: Duration::from_secs(3_600),
        pods: false,
        filter: Default::default(),
        limits: Default::default(),
        sockets: Default::default(),
    }
}

// ---------------------------------------------------------------- Accept and Accept-Encoding

/// Two parts: lines of Accept and Accept-Encoding as they are, and bytes of which lines are made that mean something.
pub fn accept(input: &[u8]) {
    let [lines, made] = parts(input);
    let lines: Vec<&str> = std::str::from_utf8(lines).unwrap_or_default().split('\n').collect();
    in_memory_of(ALWAYS + 256 * input.len(), || {
        let (format, encoding) =
            (accept::negotiate(lines.iter().copied()), Encoding::liked_best(lines.iter().copied()));
        // Lines mean the same as one line with commas (RFC 9110, 5.3); a quoted string may not end within its line.
        let joined = lines.join(", ");
        if !joined.contains('"') {
            assert_eq!(accept::negotiate([&joined[..]]), format, "{joined:?}");
        }
        assert_eq!(Encoding::liked_best([&joined[..]]), encoding, "{joined:?}");
    });
    formats(made);
    encodings(made);
}

/// Media ranges: how they are written, how close they are to the text format and to OpenMetrics.
const RANGES: &[(&str, Option<u8>, Option<u8>)] = &[
    ("*/*", Some(0), Some(0)),
    ("text/*", Some(1), None),
    ("application/*", None, Some(1)),
    ("text/plain", Some(2), None),
    ("Text/Plain;Version=0.0.4", Some(3), None),
    ("text/plain; version=\"0.0.4\"; charset=utf-8", Some(4), None),
    ("text/plain;version=1.0.0", None, None),
    ("text/html;x=\"a,text/plain;q=1\\\",\"", None, None),
    ("application/openmetrics-text", None, Some(2)),
    ("application/openmetrics-text;escaping=allow-utf-8", None, Some(2)),
    ("application/openmetrics-text;version=1.0.0", None, Some(3)),
    ("application/openmetrics-text; version=0.0.1", None, None),
    ("application/OpenMetrics-text;charset=\"UTF-8\" ;version=1.0.0", None, Some(4)),
];

/// Qualities, in thousandths, as they may be written.
const QUALITIES: &[(&str, u16)] = &[
    ("", 1000),
    (";q=0", 0),
    ("; q=0.000", 0),
    (" ;Q=0.", 0),
    (";q=0.001", 1),
    (";q=0.5", 500),
    (";q=0.50 ", 500),
    ("; q=0.75;ext=1", 750),
    (";q=1.000", 1000),
];

/// No format is chosen that the client refuses or likes less, unless it refuses both.
fn formats(made: &[u8]) {
    let mut line = String::new();
    let (mut text, mut open_metrics) = ((0, 0), (0, 0));
    for pair in made.chunks_exact(2) {
        let (range, as_text, as_open_metrics) = RANGES[usize::from(pair[0]) % RANGES.len()];
        let (written, quality) = QUALITIES[usize::from(pair[1]) % QUALITIES.len()];
        line.push_str(if pair[1] < 128 { range } else { range.trim() });
        line.push_str(written);
        line.push_str(if pair[0] < 128 { "," } else { " ,\t" });
        for (best, closeness) in [(&mut text, as_text), (&mut open_metrics, as_open_metrics)] {
            // What describes it most closely counts.
            if let Some(closeness) = closeness {
                *best = (*best).max((closeness + 1, quality));
            }
        }
    }
    let (text, open_metrics) = (text.1, open_metrics.1);
    let (chosen, other) = match accept::negotiate([&line[..]]) {
        Format::Text => (text, open_metrics),
        Format::OpenMetrics => (open_metrics, text),
    };
    assert!(chosen >= other, "{line:?}: {chosen} is chosen, and there is {other}");
}

/// No coding is chosen that the client refuses, unless it refuses both.
fn encodings(made: &[u8]) {
    let mut line = String::new();
    let [mut gzip, mut identity, mut any] = [None; 3];
    for pair in made.chunks_exact(2) {
        let (coding, said) = match pair[0] % 4 {
            0 => ("gzip", &mut gzip),
            1 => ("IDENTITY", &mut identity),
            2 => ("*", &mut any),
            _ => ("x-gzip", &mut gzip),
        };
        // Extensions are no part of it.
        let (written, quality) = QUALITIES[usize::from(pair[1]) % QUALITIES.len()];
        if !written.contains("ext") {
            line = format!("{line}{coding}{written}, ");
            *said = Some(quality);
        }
    }
    let (gzip, plain) = (gzip.or(any).unwrap_or(0), identity.or(any).unwrap_or(1));
    let (chosen, other) = match Encoding::liked_best([&line[..]]) {
        Encoding::Gzip => (gzip, plain),
        Encoding::Identity => (plain, gzip),
    };
    assert!(chosen > 0 || other == 0, "{line:?}: what is refused is chosen");
}

// ---------------------------------------------------------------- the web configuration

/// A file for --web.config.file; or, behind a first line `password`, a password that somebody forgot to hash.
pub fn config_file(input: &[u8]) {
    let password = input.strip_prefix(b"password\n").and_then(|rest| std::str::from_utf8(rest).ok());
    let text = match password {
        Some(password) => {
            format!("basic_auth_users:\n  alice: {}\n", serde_json::json!(password)).into_bytes()
        }
        None => input.to_vec(),
    };
    let path = scratch().join("web.yml");
    fs::write(&path, &text).expect("a file");
    let loaded = in_memory_of(ALWAYS + 1_024 * input.len(), || WebConfig::load(&path));
    if let Err(error) = loaded {
        let said = error.to_string();
        let reason = said.strip_prefix(&format!("{}: ", path.display())).expect("it names the file");
        assert!(!reason.is_empty() && !said.contains(char::is_control), "{said:?}");
        assert!(said.len() < 2_048, "a line of {} bytes: {said}", said.len());
        if let Some(password) = password.filter(|password| password.len() >= 8) {
            assert!(!said.contains(password), "{said}");
        }
    }
}
