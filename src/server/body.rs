//! The bytes of an answer: a page, pieces that are made while they are sent, or a stream without an end.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

/// The bytes of an answer.
pub(crate) struct Body {
    source: BodySource,
    /// The number of bytes that are still to be sent; `None` if it is not known.
    length: Option<usize>,
    /// The permit for the answer; it is free again when the last piece has been taken.
    _permit: Option<OwnedSemaphorePermit>,
}

enum BodySource {
    Page(Bytes),
    Pieces(Box<dyn PieceSource>),
    /// Pieces until the sender is dropped.
    Stream(Receiver<Bytes>),
}

/// A body that is made piece by piece, each when the socket has room for it.
pub(crate) trait PieceSource: Send {
    /// Returns the next piece; `None` after the last.
    ///
    /// # Errors
    /// Fails if the source was taken away from this reader, or cannot go on.
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff>;
}

/// The reason for which a body ends before its end. The client sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutOff {
    /// The reader was too slow.
    #[error("read too slowly: the answer has given way to a newer one")]
    Evicted,
    #[error("cannot write the answer: {0}")]
    Unwritten(#[source] io::Error),
}

impl Body {
    /// Returns a body of these pieces. `length` is the number of their bytes, if it is known.
    pub(crate) fn pieces(
        source: impl PieceSource + 'static,
        length: Option<usize>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Body {
        Body { source: BodySource::Pieces(Box::new(source)), length, _permit: permit }
    }

    /// Returns a body of frames that are sent as they come; it keeps the permit until its end.
    pub(crate) fn stream(frames: Receiver<Bytes>, permit: OwnedSemaphorePermit) -> Body {
        Body { source: BodySource::Stream(frames), length: None, _permit: Some(permit) }
    }

    /// Returns true if the body has no end.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.source, BodySource::Stream(_))
    }
}

impl From<String> for Body {
    fn from(page: String) -> Body {
        Body::from(Bytes::from(page))
    }
}

impl From<Bytes> for Body {
    fn from(page: Bytes) -> Body {
        Body { length: Some(page.len()), source: BodySource::Page(page), _permit: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let piece = match &mut self.source {
            BodySource::Page(page) => Ok(Some(std::mem::take(page)).filter(|page| !page.is_empty())),
            BodySource::Pieces(source) => source.next_piece(),
            BodySource::Stream(frames) => Ok(ready!(frames.poll_recv(context))),
        };
        if let (Ok(Some(piece)), Some(length)) = (&piece, &mut self.length) {
            *length = length.saturating_sub(piece.len());
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length as u64))
    }
}

/// Returns an answer with a message as plain text.
pub(crate) fn text(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(message.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
