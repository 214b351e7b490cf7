//! A small HTTP/1.1 client for servers inside a network namespace: one request, one connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::within_netns;

/// An answer, with its body as it came (a compressed one stays compressed), freed from chunks.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|error| panic!("the body is not UTF-8: {error}"))
    }
}

/// Connects to an address inside a network namespace.
pub fn connect(netns: &Path, address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = within_netns(netns, || TcpStream::connect_timeout(&address, Duration::from_secs(5)))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Gets a path once, as [`request`] does.
pub fn get(netns: &Path, address: SocketAddr, target: &str) -> Result<Response, String> {
    request(netns, address, "GET", target, &[])
}

/// Asks once. `Err` is what kept the answer from being whole and well-formed.
pub fn request(
    netns: &Path,
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Response, String> {
    let mut stream =
        connect(netns, address).map_err(|error| format!("no connection to {address}: {error}"))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).map_err(|error| format!("request: {error}"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|error| format!("answer: {error}"))?;
    parse(&answer, method == "HEAD")
}

/// Reads an answer that came whole; `Err` says what is wrong with it.
pub fn parse(answer: &[u8], without_body: bool) -> Result<Response, String> {
    let end = find(answer, b"\r\n\r\n").ok_or("an answer without the end of its head")?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|error| format!("head: {error}"))?;
    let rest = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|line| line.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("not a status line: {first}"))?;
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("not a header: {line}"))?;
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let mut response = Response { status, headers, body: rest.to_vec() };
    if without_body {
        return Ok(response);
    }
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = join_chunks(rest)?;
    } else if let Some(length) = response.header("content-length")
        && length != rest.len().to_string()
    {
        return Err(format!("content-length is {length}, and {} bytes came", rest.len()));
    }
    Ok(response)
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or("a chunk without a length")?;
        let length = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .ok_or("a chunk's length that is no hexadecimal number")?;
        let chunk = rest.get(end + 2..end + 2 + length).ok_or("a chunk that ends too early")?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest[end + 2 + length..].strip_prefix(b"\r\n").ok_or("a chunk longer than its length")?;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
