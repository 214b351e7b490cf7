//! `/api/v1/pairs` and `/api/v1/events`: the pairs and the last events as JSON. docs/api.md describes them,
//! and docs/api.schema.json the pairs for programs.

use super::metrics::{Kind, Metrics, Refusal};
use crate::collector::Handle;
use crate::exposition::json::{Query, events_to_json};
use crate::server::Encoding;
use crate::server::body::Body;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;

/// Answers a request for the pairs.
pub(crate) async fn answer<B>(metrics: &Metrics, request: &Request<B>) -> Response<Body> {
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(wrong) => return refusal(StatusCode::BAD_REQUEST, &wrong),
    };
    let ready = match metrics.compose(Kind::Pairs(query), Encoding::negotiate(request.headers())).await {
        Ok(ready) => ready,
        Err(reason) => return refusal(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string()),
    };
    // Weak: the compressed answer has the same.
    let tag =
        ready.version.as_deref().and_then(|version| HeaderValue::from_str(&format!("W/\"{version}\"")).ok());
    let unchanged = ready.version.as_deref().is_some_and(|version| client_has(request.headers(), version));
    let compressed = ready.encoding == Encoding::Gzip;
    let mut response = match unchanged {
        true => Response::new(Body::from(String::new())),
        false => json(ready.into_body()),
    };
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    // Who keeps it asks whether it is still so.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(tag.map(|tag| (ETAG, tag)));
    if compressed && !unchanged {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Answers a request for the last events.
pub(crate) async fn answer_events<B>(collector: &Handle, request: &Request<B>) -> Response<Body> {
    if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        let wrong = format!("{query}: /api/v1/events takes no parameters");
        return refusal(StatusCode::BAD_REQUEST, &wrong);
    }
    let snapshot = collector.scrape().await.ok_or(Refusal::Stopped);
    let text = snapshot.and_then(|snapshot| {
        let view = snapshot.view.as_ref().ok_or(Refusal::NotReady)?;
        Ok(events_to_json(view, snapshot.epoch))
    });
    match text {
        Ok(Ok(text)) => {
            let mut response = json(Body::from(Bytes::from(text)));
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Ok(Err(error)) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(reason) => refusal(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string()),
    }
}

/// True if the client says that it has the answer with this tag (RFC 9110, 13.1.2).
pub(crate) fn client_has(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|known| {
        let known = known.trim();
        let opaque = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || opaque.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"')) == Some(tag)
    })
}

pub(super) fn json(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns a document that is made for one request, and that no cache may keep.
pub(super) fn json_once(document: &impl Serialize) -> Response<Body> {
    let mut text = match serde_json::to_vec(document) {
        Ok(text) => text,
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    text.push(b'\n');
    let mut response = json(Body::from(Bytes::from(text)));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = json(Body::from(format!("{}\n", serde_json::json!({ "error": reason }))));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_an_answer_if_it_names_its_tag_or_any() {
        for (header, has) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", W/\"abc\"", true),
            ("*", true),
            ("abc", false),
            ("\"ab\"", false),
            ("w/\"abc\"", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(header));
            assert_eq!(client_has(&headers, "abc"), has, "{header}");
        }
    }
}
