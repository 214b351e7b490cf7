//! The dialer: every connection that the program opens, over TCP or a unix socket, with TLS or without.

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

/// An address to dial.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DialAddress<'a> {
    /// The path of a unix socket.
    Unix(&'a Path),
    /// `HOST:PORT`, with an IPv6 address in brackets.
    Tcp(&'a str),
}

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The number of names that are looked up at a time. The system's look-up cannot be cancelled, so a request
/// that times out leaves its look-up running.
static LOOK_UPS: Semaphore = Semaphore::const_new(2);

/// Opens a connection.
///
/// # Errors
/// Returns the system's error.
pub(crate) async fn dial(address: DialAddress<'_>) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        DialAddress::Unix(path) => dial_unix(path).await?.0,
        DialAddress::Tcp(address) => Box::new(TcpStream::connect(&*look_up(address).await?).await?),
    })
}

/// Opens a connection to a unix socket. Returns it with the id of the process that listens there, as seen
/// from here (SO_PEERCRED).
///
/// # Errors
/// Returns the system's error.
pub(crate) async fn dial_unix(path: &Path) -> io::Result<(Box<dyn Stream>, Option<i32>)> {
    let stream = UnixStream::connect(path).await?;
    let server = stream.peer_cred().ok().and_then(|peer| peer.pid());
    Ok((Box::new(stream), server))
}

/// Opens a connection, with TLS if there is a configuration of it; the server's certificate is for this name.
///
/// # Errors
/// Returns the system's error, or that of the TLS library within an [`io::Error`].
pub(crate) async fn dial_tls(
    address: DialAddress<'_>,
    tls: Option<&TlsConnector>,
    name: &str,
) -> io::Result<Box<dyn Stream>> {
    let stream = dial(address).await?;
    let Some(tls) = tls else { return Ok(stream) };
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// Begins HTTP/1.1 on a connection, which closes once the sender and the last answer's body are dropped. An
/// error of the connection reaches the pending request.
///
/// # Errors
/// Returns the error of the HTTP library.
pub(crate) async fn begin_http<B>(stream: impl Stream + 'static) -> hyper::Result<SendRequest<B>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a connection ended");
        }
    });
    Ok(sender)
}

/// Looks up the addresses of a `HOST:PORT`.
async fn look_up(address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    // The semaphore is never closed.
    let permit = LOOK_UPS.acquire().await.map_err(io::Error::other)?;
    let address = address.to_owned();
    let found = tokio::spawn(async move {
        let found = lookup_host(address).await.map(Iterator::collect);
        drop(permit);
        found
    });
    found.await.map_err(io::Error::other)?
}
