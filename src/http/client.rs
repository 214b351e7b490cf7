//! What asks an exporter whether it is well: one request, as a container's health check makes it.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// From the first dial to the head of the answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why an exporter is not healthy, as far as it can be seen from here.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answers there: it has not started yet, or it listens elsewhere.
    #[error("no exporter at {address}: {reason}")]
    NotThere {
        /// Where it was asked.
        address: SocketAddr,
        /// The system's word for it.
        reason: io::Error,
    },
    /// Somebody takes the connection and does not answer in time.
    #[error("{address} did not answer within {DEADLINE:?}")]
    TooSlow {
        /// Who is slow.
        address: SocketAddr,
    },
    /// What answers there does not speak HTTP.
    #[error("{address} does not speak HTTP: {reason}")]
    Garbage {
        /// Who answered.
        address: SocketAddr,
        /// What was not understood.
        reason: hyper::Error,
    },
    /// Another answer than 200.
    #[error("{address} answered {status}")]
    Refused {
        /// Who answered.
        address: SocketAddr,
        /// The status of HTTP.
        status: StatusCode,
    },
}

/// Asks `/-/healthy` of who serves on this address; what serves on every address is asked over loopback.
///
/// # Errors
/// If the answer is not 200, or none comes within two seconds.
pub async fn check_health(served: SocketAddr) -> Result<(), Unhealthy> {
    let address = reachable(served);
    match timeout(DEADLINE, ask(address)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(Unhealthy::Refused { address, status }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Unhealthy::TooSlow { address }),
    }
}

async fn ask(address: SocketAddr) -> Result<StatusCode, Unhealthy> {
    let stream =
        TcpStream::connect(address).await.map_err(|reason| Unhealthy::NotThere { address, reason })?;
    let garbage = |reason| Unhealthy::Garbage { address, reason };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(garbage)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::from_static("/-/healthy");
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    // How the connection ended is in the answer too.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await.map_err(garbage)?.status())
}

fn reachable(served: SocketAddr) -> SocketAddr {
    let ip = match served.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, served.port())
}
