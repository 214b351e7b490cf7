//! A body that many readers share, given out in pieces.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// One piece. A reader that is slow holds its place (`permit`) until it has taken the last one.
const PIECE: usize = 64 * 1024;

/// The bytes of an answer; the same allocation for all who asked together.
pub struct Body {
    rest: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// A body that holds its place among the requests at a time until it is sent.
    pub fn limited(bytes: Bytes, permit: Option<OwnedSemaphorePermit>) -> Body {
        Body { rest: bytes, _permit: permit }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body { rest: text.into(), _permit: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
