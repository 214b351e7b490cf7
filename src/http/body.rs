//! What is sent: a page, or a text that readers share.

use super::encoding::Encoding;
use super::text::{GivenWay, Text};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// The bytes of an answer.
pub struct Body {
    rest: Rest,
    /// Bytes that are still to be sent.
    length: usize,
    /// A place among the scrapes at a time, until the last piece is taken.
    _permit: Option<OwnedSemaphorePermit>,
}

enum Rest {
    Page(Bytes),
    /// The pieces from this number on: the same memory for all who asked together.
    Shared {
        text: Arc<Text>,
        encoding: Encoding,
        next: usize,
    },
}

impl Body {
    /// A text that others may read too.
    pub(super) fn shared(
        text: Arc<Text>,
        encoding: Encoding,
        length: usize,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Body {
        Body { rest: Rest::Shared { text, encoding, next: 0 }, length, _permit: permit }
    }
}

impl From<String> for Body {
    fn from(page: String) -> Body {
        Body { length: page.len(), rest: Rest::Page(page.into()), _permit: None }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = GivenWay;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenWay>>> {
        let piece = match &mut self.rest {
            Rest::Page(page) => Ok(Some(std::mem::take(page)).filter(|page| !page.is_empty())),
            Rest::Shared { text, encoding, next } => {
                *next += 1;
                text.piece(*encoding, *next - 1)
            }
        };
        if let Ok(Some(piece)) = &piece {
            self.length = self.length.saturating_sub(piece.len());
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}
