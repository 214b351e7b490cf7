//! The health check of an exporter: one request, for the health check of a container.

use super::certificates::CertificateVerifier;
use super::dialer::{DialAddress, Stream, begin_http, dial};
use crate::server::ListenAddress;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, Error as TlsError};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The time limit of a request, from the dial to the head of the answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// The reason for which an exporter is not healthy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    /// The listen address resolves to no IP address.
    #[error("{0} resolves to no address")]
    NoAddress(ListenAddress),
    /// No connection could be opened: the exporter has not started yet, or it listens elsewhere.
    #[error("no exporter at {address}: {reason} (is it running? name its address with --web.listen-address)")]
    NotThere {
        address: Address,
        /// The operating system's error.
        reason: io::Error,
    },
    /// The server accepted the connection and did not answer in time.
    #[error("{address} did not answer within {DEADLINE:?}")]
    TooSlow { address: Address },
    /// The server speaks neither HTTP nor HTTPS.
    #[error("{address} does not speak HTTP: {reason}")]
    Garbage {
        address: Address,
        /// The error of the HTTP or TLS library.
        reason: Reason,
    },
    /// The server answered with a status that no healthy exporter sends.
    #[error("{address} answered {status}")]
    Refused {
        address: Address,
        /// The status of HTTP.
        status: StatusCode,
    },
}

/// The error of a library that does not understand an answer.
type Reason = Box<dyn Error + Send + Sync>;

/// The address that a request is sent to.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// An address of this host, most often loopback.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Checks the health of the exporter that serves on this address, by this path. An exporter that serves on
/// every address is asked over loopback, and one that serves TLS over TLS, with any certificate. An
/// exporter that demands a password or a client's certificate, or reports too many requests, is healthy.
///
/// # Errors
/// Fails if the answer is another, or if none comes within two seconds.
pub(crate) async fn check_health(served: &ListenAddress, path: &str) -> Result<(), Unhealthy> {
    let mut result = Err(Unhealthy::NoAddress(served.clone()));
    for address in Address::of(served) {
        result = match timeout(DEADLINE, check_address(&address, path)).await {
            Ok(answered) => answered,
            Err(_) => Err(Unhealthy::TooSlow { address }),
        };
        // The second candidate is for a host without IPv6.
        if !matches!(result, Err(Unhealthy::NotThere { .. })) {
            break;
        }
    }
    result
}

impl Address {
    /// Returns the addresses to dial for a listen address, in the order of the attempts.
    pub(super) fn of(served: &ListenAddress) -> Vec<Address> {
        match served {
            ListenAddress::Inet { candidates, .. } => {
                candidates.iter().map(|&candidate| Address::Tcp(dialled_address(candidate))).collect()
            }
            ListenAddress::Unix(path) => vec![Address::Unix(path.clone())],
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

async fn check_address(address: &Address, path: &str) -> Result<(), Unhealthy> {
    // The exporter answers plain HTTP on a TLS port with 400.
    let status = match status_in_plain(address, path).await? {
        StatusCode::BAD_REQUEST => status_over_tls(address, path).await?,
        status => Some(status),
    };
    match status {
        None | Some(StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) => Ok(()),
        Some(status) => Err(Unhealthy::Refused { address: address.clone(), status }),
    }
}

async fn status_in_plain(address: &Address, path: &str) -> Result<StatusCode, Unhealthy> {
    let stream = dial_exporter(address).await?;
    request(stream, path).await.map_err(|reason| garbage(address, reason))
}

/// Requests the path over TLS; returns `None` if the server demands a client's certificate.
async fn status_over_tls(address: &Address, path: &str) -> Result<Option<StatusCode>, Unhealthy> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|reason| garbage(address, reason))?
        // An exporter's certificate names its public host name, not loopback.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(CertificateVerifier::of_any(provider)))
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let answered =
        match TlsConnector::from(Arc::new(config)).connect(name, dial_exporter(address).await?).await {
            Ok(stream) => request(stream, path).await,
            Err(error) => Err(Reason::from(error)),
        };
    match answered {
        Ok(status) => Ok(Some(status)),
        Err(error) if demands_certificate(error.as_ref()) => Ok(None),
        Err(reason) => Err(garbage(address, reason)),
    }
}

fn garbage(address: &Address, reason: impl Into<Reason>) -> Unhealthy {
    Unhealthy::Garbage { address: address.clone(), reason: reason.into() }
}

/// Returns true if the error is the TLS alert that demands a client's certificate.
fn demands_certificate(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| cause_of(error)).any(|cause| {
        matches!(cause.downcast_ref(), Some(TlsError::AlertReceived(AlertDescription::CertificateRequired)))
    })
}

/// Returns the direct cause of an error. An I/O error's `source` would skip the error that it wraps.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|within| within as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// Opens a connection to the exporter at this address.
pub(super) async fn dial_exporter(address: &Address) -> Result<Box<dyn Stream>, Unhealthy> {
    let stream = match address {
        Address::Tcp(address) => dial(DialAddress::Tcp(&address.to_string())).await,
        Address::Unix(path) => dial(DialAddress::Unix(path)).await,
    };
    stream.map_err(|reason| Unhealthy::NotThere { address: address.clone(), reason })
}

async fn request(stream: impl Stream + 'static, path: &str) -> Result<StatusCode, Reason> {
    let mut sender = begin_http(stream).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse()?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    Ok(sender.send_request(request).await?.status())
}

/// Returns the address to dial for a listen address: loopback in place of all addresses.
fn dialled_address(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}
