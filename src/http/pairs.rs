//! `/api/v1/pairs`: the pairs as JSON. docs/api.md describes it, and docs/api.schema.json says it to
//! programs.

mod query;
pub(super) mod row;

use super::body::Body;
use super::encoding::Encoding;
use super::metrics::{Kind, Metrics};
use crate::exposition::pieces::Pieces;
use crate::model::view::View;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Request, Response, StatusCode};
use row::{LabelTotals, PairRow};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use std::time::Duration;

pub(super) use query::Query;

/// Answers a request for the pairs.
pub(super) async fn answer<B>(metrics: &Metrics, request: &Request<B>) -> Response<Body> {
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(wrong) => return refusal(StatusCode::BAD_REQUEST, &wrong),
    };
    let ready = match metrics.compose(Kind::Pairs(query), Encoding::negotiate(request.headers())).await {
        Ok(ready) => ready,
        Err(reason) => return refusal(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string()),
    };
    // Weak: the compressed answer has the same.
    let tag = ready.tag().and_then(|tag| HeaderValue::from_str(&format!("W/\"{tag}\"")).ok());
    let unchanged = ready.tag().is_some_and(|tag| client_has(request.headers(), tag));
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

/// True if the client says that it has the answer with this tag (RFC 9110, 13.1.2).
pub(super) fn client_has(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|known| {
        let known = known.trim();
        let opaque = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || opaque.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"')) == Some(tag)
    })
}

fn json(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = json(Body::from(format!("{}\n", serde_json::json!({ "error": reason }))));
    *response.status_mut() = status;
    response
}

/// Writes the pairs that are asked for.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(super) fn write(
    view: &View,
    epoch: Duration,
    query: &Query,
    out: &mut Pieces,
) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, &PairsDocument::new(view, epoch, query))?;
    out.push("\n");
    Ok(())
}

/// All pairs as the API shows them, for what shows them without a request.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(crate) fn to_json(view: &View, epoch: Duration) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&PairsDocument::new(view, epoch, &Query::default()))
}

#[derive(Serialize)]
struct PairsDocument<'a> {
    matched: usize,
    summed: usize,
    pairs: Pairs<'a>,
}

impl<'a> PairsDocument<'a> {
    fn new(view: &'a View, epoch: Duration, query: &Query) -> PairsDocument<'a> {
        let totals = LabelTotals { view, epoch };
        let (matched, chosen) = query.choose(&totals);
        PairsDocument { matched, summed: view.scene.summed, pairs: Pairs { totals, chosen } }
    }
}

/// Each row is made when it is written.
struct Pairs<'a> {
    totals: LabelTotals<'a>,
    chosen: Vec<usize>,
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.chosen.len()))?;
        for &pair in &self.chosen {
            rows.serialize_element(&PairRow::new(&self.totals, pair))?;
        }
        rows.end()
    }
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
