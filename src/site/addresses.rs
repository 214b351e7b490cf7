//! `/api/v1/addresses`: the IP addresses in one namespace, read from the kernel when a client asks.
//!
//! No event of the kernel reports an address inside a container, so the exporter does not keep addresses.

use super::api::{json_once, refusal};
use super::metrics::Refusal;
use crate::collector::Handle;
use crate::model::host::LookFailure;
use crate::model::link::IpAddress;
use crate::model::view::{Scene, ShownSide};
use crate::server::body::Body;
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the addresses of the host (`None`) or of the namespace with this nsid.
pub(crate) type ReadAddresses = Box<dyn FnMut(Option<u32>) -> Result<Vec<IpAddress>, LookFailure> + Send>;

/// The reader of addresses. One namespace is read at a time.
#[derive(Clone)]
pub(crate) struct Addresses(Arc<Mutex<ReadAddresses>>);

#[derive(Serialize)]
struct AddressesDocument {
    /// `None` if the exporter may not read the namespace.
    addresses: Option<Vec<AddressRow>>,
}

#[derive(Serialize)]
struct AddressRow {
    /// The ifindex of the interface, unique within the namespace.
    ifindex: u32,
    address: String,
    /// The length of the prefix, bits.
    prefix: u8,
}

impl Addresses {
    pub(crate) fn new(read: ReadAddresses) -> Addresses {
        Addresses(Arc::new(Mutex::new(read)))
    }

    /// Answers a request for the addresses of the namespace of an end that is shown.
    pub(crate) async fn answer<B>(&self, collector: &Handle, request: &Request<B>) -> Response<Body> {
        let nsid = match nsid(request.uri().query().unwrap_or_default()) {
            Ok(nsid) => nsid,
            Err(wrong) => return refusal(StatusCode::BAD_REQUEST, &wrong),
        };
        let Some(snapshot) = collector.scrape().await else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::Stopped.to_string());
        };
        let Some(view) = &snapshot.view else {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::NotReady.to_string());
        };
        if !shows(&view.scene, nsid) {
            return document(Some(Vec::new()));
        }
        let reader = Arc::clone(&self.0);
        let read = move || reader.lock().unwrap_or_else(PoisonError::into_inner)(nsid);
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(addresses)) => document(Some(addresses)),
            Ok(Err(LookFailure::Gone)) => document(Some(Vec::new())),
            Ok(Err(LookFailure::Denied)) => document(None),
            Ok(Err(reason)) => refusal(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string()),
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, &Refusal::Stopped.to_string()),
        }
    }
}

/// Reads the parameter: `nsid=N`, or `nsid=host`.
fn nsid(query: &str) -> Result<Option<u32>, String> {
    match query.strip_prefix("nsid=") {
        Some("host") => Ok(None),
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().map(Some).map_err(|_| format!("nsid={number}: not a number of a namespace"))
        }
        _ => Err(format!("{query:?}: the parameter is nsid=NUMBER, as in /api/v1/pairs, or nsid=host")),
    }
}

/// Returns true if an end is shown in this namespace: the addresses of hidden ends stay hidden.
fn shows(scene: &Scene, nsid: Option<u32>) -> bool {
    let is_here = |side: &ShownSide| !side.hidden && side.end.netns.nsid() == nsid;
    scene.pairs.iter().any(|pair| pair.sides.iter().any(is_here))
}

fn document(addresses: Option<Vec<IpAddress>>) -> Response<Body> {
    let row = |IpAddress { ifindex, address, prefix }: IpAddress| AddressRow {
        ifindex,
        address: address.to_string(),
        prefix,
    };
    let rows = addresses.map(|addresses| addresses.into_iter().map(row).collect());
    json_once(&AddressesDocument { addresses: rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_a_number_or_the_host() {
        for (query, wanted) in
            [("nsid=host", Some(None)), ("nsid=0", Some(Some(0))), ("nsid=41", Some(Some(41)))]
        {
            assert_eq!(nsid(query).ok(), wanted, "{query}");
        }
        for query in
            ["", "nsid=", "nsid=-1", "nsid=4294967296", "nsid=1&nsid=2", "netns=1", "nsid=%31", "nsid=+1"]
        {
            assert!(nsid(query).is_err(), "{query}");
        }
    }
}
