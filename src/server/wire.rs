//! The stream and the body of a connection, which report their progress to the table of connections.

use super::body::{Body, CutOff};
use super::connections::{Connection, OngoingAnswer};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The bytes that HTTP/2 gets at a time, as a copy: it keeps them until its client makes room, and a slice of
/// a shared text would keep all of the text.
const HTTP2_PIECE: usize = 16 * 1024;

/// A stream that reports its reads and writes to the table of connections.
pub(crate) struct TrackedStream<S> {
    stream: S,
    connection: Arc<Connection>,
    /// True for HTTP/1.1, where the bytes between two answers are the next request's head.
    reads_heads: bool,
}

/// A stream of which the first byte was read already, and is read again.
pub(crate) struct Rewound<S> {
    first: Option<u8>,
    stream: S,
}

/// A body that reports to the table of connections when all of it is written.
pub(crate) struct TrackedBody {
    /// `None` when it is written.
    body: Option<Body>,
    answer: OngoingAnswer,
    /// For HTTP/2: the rest of the piece that is being copied.
    copied: Option<Bytes>,
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Reads the first byte; `None` if there is none.
    pub(crate) async fn new(mut stream: S) -> io::Result<Rewound<S>> {
        let mut first = [0];
        let length = stream.read(&mut first).await?;
        Ok(Rewound { first: (length > 0).then_some(first[0]), stream })
    }

    pub(crate) fn first(&self) -> Option<u8> {
        self.first
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> TrackedStream<S> {
    pub(crate) fn http1(stream: S, connection: Arc<Connection>) -> TrackedStream<S> {
        TrackedStream { stream, connection, reads_heads: true }
    }

    pub(crate) fn http2(stream: S, connection: Arc<Connection>) -> TrackedStream<S> {
        TrackedStream { stream, connection, reads_heads: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.reads_heads && buffer.filled().len() > before {
            self.connection.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.has_written();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.has_written();
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes only when it has nothing left to write.
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.connection.has_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl TrackedBody {
    pub(crate) fn http1(body: Body, answer: OngoingAnswer) -> TrackedBody {
        TrackedBody { body: Some(body), answer, copied: None }
    }

    pub(crate) fn http2(body: Body, answer: OngoingAnswer) -> TrackedBody {
        TrackedBody { body: Some(body), answer, copied: Some(Bytes::new()) }
    }

    /// Drops the body before a byte of it is sent.
    pub(crate) fn leave_out(&mut self) {
        self.body = None;
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let TrackedBody { body: Some(body), copied, .. } = &mut *self else { return Poll::Ready(None) };
        let Some(rest) = copied else { return Pin::new(body).poll_frame(context) };
        if rest.is_empty() {
            match ready!(Pin::new(body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(piece)) => *rest = piece,
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
        let piece = rest.split_to(rest.len().min(HTTP2_PIECE));
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
            && self.copied.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.copied.as_ref().map_or(0, |rest| rest.len() as u64);
        match self.body.as_ref().map_or(Some(0), |body| body.size_hint().exact()) {
            Some(length) => SizeHint::with_exact(length + rest),
            None => SizeHint::default(),
        }
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.answer.is_written(body);
        }
    }
}
