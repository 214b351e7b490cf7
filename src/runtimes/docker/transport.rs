//! Transport of requests to the engine, with a limit on the bytes of the answer.

use super::DockerHost;
use crate::client::{DialAddress, begin_http, dial};
use bollard::BollardRequest;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use serde::de::DeserializeOwned;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport to the engine that opens one connection for each request.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) host: DockerHost,
    /// The limit of the bytes that one connection may bring.
    pub(super) limit: Limit,
    /// The prefix of every path: `/v1.41`. Without a version an engine answers in the newest version it
    /// knows. bollard leaves the version out, because it joins its base address with an absolute path.
    pub(super) prefix: String,
}

/// A limit of bytes.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    /// The bytes left on one connection, from its beginning to its end.
    InAll(u64),
    /// The bytes left until the owner of the counter sets it anew.
    UntilNext(Arc<AtomicU64>),
}

impl Limit {
    /// Subtracts the bytes that were read.
    ///
    /// # Errors
    /// [`OverLimit`] if fewer were left.
    fn count_bytes(&mut self, read: u64) -> io::Result<()> {
        let left = match self {
            Limit::InAll(left) => {
                let enough = left.checked_sub(read);
                *left = enough.unwrap_or_default();
                enough
            }
            Limit::UntilNext(left) => {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(read)).ok()
            }
        };
        left.map(|_| ()).ok_or_else(|| io::Error::other(OverLimit))
    }
}

impl Transport {
    /// Sends one request. `IOError` means that the engine could not be dialled; a later failure of the
    /// stream is a `HyperResponseError`, here or in the body.
    pub(super) async fn send(
        self,
        mut request: BollardRequest,
    ) -> Result<Response<Incoming>, bollard::errors::Error> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // A server expects the origin form; hyper would write bollard's URI, scheme and host included.
        *request.uri_mut() = format!("{}{path}", self.prefix).parse::<Uri>()?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
        let stream = match &self.host {
            DockerHost::Unix(path) => dial(DialAddress::Unix(path)).await?,
            DockerHost::Tcp(address) => dial(DialAddress::Tcp(address)).await?,
        };
        let mut sender = begin_http(Limited { stream, limit: self.limit }).await?;
        Ok(sender.send_request(request).await?)
    }
}

impl Transport {
    /// Requests a document that this program reads itself.
    ///
    /// # Errors
    /// Fails as [`send`](Transport::send) does, if the engine refuses, and if the answer is another document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, bollard::errors::Error> {
        let mut request = BollardRequest::new(Either::Left(Full::default()));
        *request.uri_mut() = path.parse::<Uri>()?;
        let answer = self.clone().send(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        let message = String::from_utf8_lossy(&body).into_owned();
        Err(bollard::errors::Error::DockerResponseServerError { status_code: status.as_u16(), message })
    }
}

/// The error for an engine that sent more than its limit. It travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("more bytes than allowed")]
pub(super) struct OverLimit;

/// A stream that fails with [`OverLimit`] once more bytes were read than its limit: bollard collects bodies
/// of any length in memory.
struct Limited<S> {
    stream: S,
    limit: Limit,
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
        Poll::Ready(self.limit.count_bytes(read))
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
