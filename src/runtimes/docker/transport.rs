//! Transport of requests to the engine, with a limit on the bytes of the answer.

use super::DockerHost;
use super::activation::SocketListener;
use crate::client::{DialAddress, begin_http, dial, dial_unix};
use bollard::BollardRequest;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport to the engine that opens one connection for each request.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) host: DockerHost,
    /// The limit of the bytes that one connection may bring.
    pub(super) limit: u64,
    /// The process that listens at the host, as of the last dial.
    pub(super) listener: SocketListener,
}

impl Transport {
    /// Sends a request for this path. `IOError` means that the engine could not be dialled; a later failure
    /// of the stream is a `HyperResponseError`, here or in the body.
    pub(super) async fn get(self, path: &str) -> Result<Response<Incoming>, bollard::errors::Error> {
        let mut request = BollardRequest::new(Either::Left(Full::default()));
        // A server expects the origin form.
        *request.uri_mut() = path.parse::<Uri>()?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
        let (stream, server) = match &self.host {
            DockerHost::Unix(path) => dial_unix(path).await?,
            DockerHost::Tcp(address) => (dial(DialAddress::Tcp(address)).await?, None),
        };
        if let DockerHost::Unix(path) = &self.host {
            self.listener.record(path, server);
        }
        let mut sender = begin_http(Limited { stream, left: self.limit }).await?;
        Ok(sender.send_request(request).await?)
    }
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
