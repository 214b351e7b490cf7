//! Transport of requests to the engine, with a limit on the bytes of the answer.

use super::DockerHost;
use super::activation::SocketListener;
use bollard::BollardRequest;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::sync::Semaphore;

/// A transport to the engine that opens one connection for each request.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) host: DockerHost,
    /// The limit of the bytes that one connection may bring.
    pub(super) limit: u64,
    /// The process that listens at the host, as of the last dial.
    pub(super) listener: SocketListener,
}

/// The number of names that are looked up at a time. The system's look-up cannot be cancelled, so a request
/// that times out leaves its look-up running.
static LOOK_UPS: Semaphore = Semaphore::const_new(2);

impl Transport {
    /// Sends a request for this path. `IOError` means that the engine could not be dialled; a later failure
    /// of the stream is a `HyperResponseError`, here or in the body.
    pub(super) async fn get(self, path: &str) -> Result<Response<Incoming>, bollard::errors::Error> {
        let mut request = BollardRequest::new(Either::Left(Full::default()));
        // A server expects the origin form.
        *request.uri_mut() = path.parse::<Uri>()?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
        match &self.host {
            DockerHost::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                self.listener.record(path, stream.peer_cred().ok().and_then(|peer| peer.pid()));
                exchange(Limited { stream, left: self.limit }, request).await
            }
            DockerHost::Tcp(address) => {
                let addresses = look_up(address).await?;
                let stream = TcpStream::connect(&*addresses).await?;
                exchange(Limited { stream, left: self.limit }, request).await
            }
        }
    }
}

/// Looks up the addresses of a `host:port`.
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

async fn exchange<S>(stream: S, request: BollardRequest) -> Result<Response<Incoming>, bollard::errors::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the response: the connection closes once the sender and the body are dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "connection to the engine ended");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// The error for an engine that sent more than its limit. It travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("more bytes than allowed")]
pub(super) struct OverLimit;

/// A stream that fails with [`OverLimit`] once more bytes were read than its limit: a body is collected in
/// memory.
struct Limited<S> {
    stream: S,
    /// The bytes that may still arrive.
    left: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Limited<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        let left = self.left.checked_sub(read);
        self.left = left.unwrap_or_default();
        Poll::Ready(left.map(|_| ()).ok_or_else(|| io::Error::other(OverLimit)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Limited<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
