//! `veth-exporter healthy`, as a container's health check runs it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lab::{Exporter, Netns, describe};

/// Its exit code, and its one line if it said something.
fn healthy(host: &Netns, address: &str) -> (Option<i32>, String) {
    let output = Exporter::command(host, &["healthy", "--web.listen-address", address]).output().unwrap();
    assert!(output.stdout.is_empty(), "{}", describe(&output));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() <= 1, "{said}");
    (output.status.code(), said)
}

#[test]
fn it_is_asked_where_it_serves_also_if_that_is_every_address() {
    let (host, names) = (Netns::quiet("host"), lab::NetnsFolder::new());
    let exporter = Exporter::start(&host, &names.arguments());
    let port = exporter.address().port();
    for address in [format!("127.0.0.1:{port}"), format!(":{port}"), format!("0.0.0.0:{port}")] {
        assert_eq!(healthy(&host, &address), (Some(0), String::new()), "{address}");
    }
}

#[test]
fn nobody_there_is_said_in_one_line() {
    let host = Netns::quiet("host");
    let (code, said) = healthy(&host, "127.0.0.1:9");
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "veth-exporter: no exporter at 127.0.0.1:9: Connection refused (os error 111) (is it running? name its address with --web.listen-address)\n"
    );
}

#[test]
fn who_does_not_answer_is_given_up_after_two_seconds() {
    let host = Netns::quiet("host");
    // Connections wait in its queue.
    let listener = host.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let begin = Instant::now();
    let (code, said) = healthy(&host, &address.to_string());
    assert_eq!((code, said), (Some(1), format!("veth-exporter: {address} did not answer within 2s\n")));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn another_answer_than_200_is_unhealthy() {
    let host = Netns::quiet("host");
    for (answer, words) in [
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "answered 503 Service Unavailable"),
        ("220 mail.example.com ESMTP\r\n", "does not speak HTTP"),
    ] {
        let listener = host.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0, "a request");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let (code, said) = healthy(&host, &address);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "no {words} in {said}");
    }
}
