//! What is sent: a page, a text that readers share, or a stream without an end.

use super::encoding::Encoding;
use super::text::{Evicted, Text};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

/// The bytes of an answer.
pub(super) struct Body {
    rest: BodySource,
    /// Bytes that are still to be sent.
    length: usize,
    /// A place among the scrapes at a time, until the last piece is taken.
    _permit: Option<OwnedSemaphorePermit>,
}

enum BodySource {
    Page(Bytes),
    /// The pieces from this number on: the same memory for all who asked together.
    Shared {
        text: Arc<Text>,
        encoding: Encoding,
        next: usize,
    },
    /// Whatever comes, until there is no sender any more.
    Stream(Receiver<Bytes>),
}

impl Body {
    /// A text that others may read too.
    pub(super) fn shared(
        text: Arc<Text>,
        encoding: Encoding,
        length: usize,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Body {
        Body { rest: BodySource::Shared { text, encoding, next: 0 }, length, _permit: permit }
    }

    /// What is sent as it comes; the place is kept until its end.
    pub(super) fn stream(frames: Receiver<Bytes>, permit: OwnedSemaphorePermit) -> Body {
        Body { rest: BodySource::Stream(frames), length: 0, _permit: Some(permit) }
    }

    /// True if it has no end.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.rest, BodySource::Stream(_))
    }
}

impl From<String> for Body {
    fn from(page: String) -> Body {
        Body::from(Bytes::from(page))
    }
}

impl From<Bytes> for Body {
    fn from(page: Bytes) -> Body {
        Body { length: page.len(), rest: BodySource::Page(page), _permit: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Evicted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Evicted>>> {
        let piece = match &mut self.rest {
            BodySource::Page(page) => Ok(Some(std::mem::take(page)).filter(|page| !page.is_empty())),
            BodySource::Shared { text, encoding, next } => {
                *next += 1;
                text.piece(*encoding, *next - 1)
            }
            BodySource::Stream(frames) => Ok(ready!(frames.poll_recv(context))),
        };
        if let Ok(Some(piece)) = &piece {
            self.length = self.length.saturating_sub(piece.len());
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0 && !self.is_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            BodySource::Stream(_) => SizeHint::default(),
            _ => SizeHint::with_exact(self.length as u64),
        }
    }
}
