//! What asks an exporter whether it is well: one request, as a container's health check makes it.

use super::any_certificate::AcceptAnyCertificate;
use crate::server::ListenAddress;
use crate::site::Routes;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// From the first dial to the head of the answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why an exporter is not healthy, as far as it can be seen from here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    /// The name means no address.
    #[error("{0} means no address")]
    NoAddress(ListenAddress),
    /// Nobody answers there: it has not started yet, or it listens elsewhere.
    #[error("no exporter at {address}: {reason}")]
    NotThere {
        /// Where it was asked.
        address: Address,
        /// The system's word for it.
        reason: io::Error,
    },
    /// Somebody takes the connection and does not answer in time.
    #[error("{address} did not answer within {DEADLINE:?}")]
    TooSlow { address: Address },
    /// What answers there does not speak HTTP, in plain or over TLS.
    #[error("{address} does not speak HTTP: {reason}")]
    Garbage {
        address: Address,
        /// What was not understood.
        reason: Reason,
    },
    /// An answer that no exporter that is well gives.
    #[error("{address} answered {status}")]
    Refused {
        address: Address,
        /// The status of HTTP.
        status: StatusCode,
    },
}

/// What an answer is not understood for.
type Reason = Box<dyn Error + Send + Sync>;

/// Where an exporter is asked.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// Of the host, most often over loopback.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Asks for its health who serves on this address under these paths; what serves on every address is asked
/// over loopback, what speaks TLS over TLS, whatever its certificate is. That it wants a password or a
/// client's certificate, or has had too many requests, is an answer of an exporter that is well.
///
/// # Errors
/// If the answer is another, or none comes within two seconds.
pub(crate) async fn check_health(served: &ListenAddress, routes: &Routes) -> Result<(), Unhealthy> {
    let mut seen = Err(Unhealthy::NoAddress(served.clone()));
    for address in Address::of(served) {
        seen = match timeout(DEADLINE, ask(&address, &routes.health_path())).await {
            Ok(result) => result,
            Err(_) => Err(Unhealthy::TooSlow { address }),
        };
        // The second candidate is that of a host without IPv6.
        if !matches!(seen, Err(Unhealthy::NotThere { .. })) {
            break;
        }
    }
    seen
}

impl Address {
    fn of(served: &ListenAddress) -> Vec<Address> {
        match served {
            ListenAddress::Inet { candidates, .. } => {
                candidates.iter().map(|&candidate| Address::Tcp(reachable(candidate))).collect()
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

async fn ask(address: &Address, path: &str) -> Result<(), Unhealthy> {
    // Our server's answer to plain HTTP where TLS is spoken is 400.
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
    let stream = dial(address).await?;
    request(stream, path).await.map_err(|reason| garbage(address, reason))
}

/// `None` if the other end wants a certificate of its client.
async fn status_over_tls(address: &Address, path: &str) -> Result<Option<StatusCode>, Unhealthy> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|reason| garbage(address, reason))?
        // The certificate of an exporter is for the name by which others call it.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate::new(provider)))
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let answered = match TlsConnector::from(Arc::new(config)).connect(name, dial(address).await?).await {
        Ok(stream) => request(stream, path).await,
        Err(error) => Err(Reason::from(error)),
    };
    match answered {
        Ok(status) => Ok(Some(status)),
        Err(error) if wants_a_certificate(error.as_ref()) => Ok(None),
        Err(reason) => Err(garbage(address, reason)),
    }
}

fn garbage(address: &Address, reason: impl Into<Reason>) -> Unhealthy {
    Unhealthy::Garbage { address: address.clone(), reason: reason.into() }
}

/// By the alert that TLS has for it.
fn wants_a_certificate(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| cause_of(error)).any(|cause| {
        matches!(cause.downcast_ref(), Some(TlsError::AlertReceived(AlertDescription::CertificateRequired)))
    })
}

/// One step down; an I/O error's own source would be that of the error within it.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|within| within as &(dyn Error + 'static)),
        None => error.source(),
    }
}

async fn dial(address: &Address) -> Result<Box<dyn Stream>, Unhealthy> {
    let stream: io::Result<Box<dyn Stream>> = match address {
        Address::Tcp(address) => TcpStream::connect(address).await.map(|stream| Box::new(stream) as _),
        Address::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
    };
    stream.map_err(|reason| Unhealthy::NotThere { address: address.clone(), reason })
}

/// What an answer comes over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn request<S>(stream: S, path: &str) -> Result<StatusCode, Reason>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse()?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    // How the connection ended is in the answer too.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.status())
}

fn reachable(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}
