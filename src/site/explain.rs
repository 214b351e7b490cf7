//! `/api/v1/explain`: what stops a packet between two ends, or everything that is wrong, read when a client
//! asks.

use super::api::{json_once, refusal};
use super::metrics::Refusal;
use crate::collector::Handle;
use crate::exposition::json::{ExplainQuery, ExplanationsDocument};
use crate::model::explain::Explained;
use crate::model::view::View;
use crate::server::body::Body;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// The number of requests about ends that may be under way or wait for the one that is.
const WAITING: usize = 16;

/// The time after which a refused client may ask again, in seconds.
const RETRY: HeaderValue = HeaderValue::from_static("2");

/// Reads what explains the ends of a query. The error is a sentence about an end that is not found, or that
/// means several things.
pub(crate) type ReadExplanations =
    Box<dyn FnMut(&View, &ExplainQuery) -> Result<Vec<Explained>, String> + Send>;

/// The reader of explanations. One request is answered at a time.
pub(crate) struct Explanations {
    read: Arc<Mutex<ReadExplanations>>,
    /// The permits of requests about ends: [`WAITING`] of them.
    permits: Arc<Semaphore>,
    /// The one permit of a request for everything, which reads every namespace.
    everything: Arc<Semaphore>,
}

impl Explanations {
    pub(crate) fn new(read: ReadExplanations) -> Explanations {
        Explanations {
            read: Arc::new(Mutex::new(read)),
            permits: Arc::new(Semaphore::new(WAITING)),
            everything: Arc::new(Semaphore::new(1)),
        }
    }

    /// Returns the permit for a request; `None` if too many of its sort are under way.
    fn permit(&self, query: &ExplainQuery) -> Option<OwnedSemaphorePermit> {
        let permits = if query.from.is_none() { &self.everything } else { &self.permits };
        Arc::clone(permits).try_acquire_owned().ok()
    }

    /// Answers a request for an explanation.
    pub(crate) async fn answer<B>(&self, collector: &Handle, request: &Request<B>) -> Response<Body> {
        let query = match ExplainQuery::parse(request.uri().query().unwrap_or_default()) {
            Ok(query) => query,
            Err(wrong) => return refusal(StatusCode::BAD_REQUEST, &wrong),
        };
        let Some(permit) = self.permit(&query) else { return busy() };
        let mut reader = Arc::clone(&self.read).lock_owned().await;
        let Some(snapshot) = collector.scrape().await else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::Stopped.to_string());
        };
        if snapshot.view.is_none() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::NotReady.to_string());
        }
        let read = move || {
            // A client that goes away ends its request, and not the reading.
            let _permit = permit;
            snapshot.view.as_ref().map(|view| reader(view, &query))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Some(Ok(explained))) => json_once(&ExplanationsDocument::of(&explained)),
            Ok(Some(Err(sentence))) => refusal(StatusCode::NOT_FOUND, &sentence),
            Ok(None) | Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::Stopped.to_string()),
        }
    }
}

fn busy() -> Response<Body> {
    let reason = "as many explanations as are made at a time are under way, try again later";
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, reason);
    response.headers_mut().insert(RETRY_AFTER, RETRY);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_for_everything_is_under_way_beside_those_about_ends() {
        let explanations = Explanations::new(Box::new(|_, _| Ok(Vec::new())));
        let [everything, ends] = ["", "from=web"].map(|query| ExplainQuery::parse(query).unwrap());
        let permit = explanations.permit(&everything);
        assert!(permit.is_some() && explanations.permit(&everything).is_none());
        let about_ends: Vec<_> = (0..WAITING).map(|_| explanations.permit(&ends)).collect();
        assert!(about_ends.iter().all(Option::is_some) && explanations.permit(&ends).is_none());
        drop((permit, about_ends));
        assert!(explanations.permit(&everything).is_some() && explanations.permit(&ends).is_some());
        assert!(busy().headers().contains_key(RETRY_AFTER));
    }
}
