//! A request to the exporter of this host for its pairs, for the completions of a shell.

use super::dialer::begin_http;
use super::healthy::{Address, dial_exporter};
use crate::server::ListenAddress;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode};
use std::time::Duration;
use tokio::time::timeout;

/// The time limit of the whole request: a user waits for it with a key pressed.
const DEADLINE: Duration = Duration::from_millis(400);

/// The greatest length of an answer, in bytes.
const LONGEST_ANSWER: usize = 32 << 20;

/// Requests this path of the exporter at this address; `None` if no exporter answers it within 400 ms, in
/// plain HTTP and without a password.
pub(crate) async fn request_local(served: &ListenAddress, path: &str) -> Option<Bytes> {
    timeout(DEADLINE, request_first(served, path)).await.ok()?
}

async fn request_first(served: &ListenAddress, path: &str) -> Option<Bytes> {
    for address in Address::of(served) {
        let Ok(stream) = dial_exporter(&address).await else { continue };
        let mut sender = begin_http(stream).await.ok()?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = path.parse().ok()?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let response = sender.send_request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        return Some(Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.ok()?.to_bytes());
    }
    None
}
