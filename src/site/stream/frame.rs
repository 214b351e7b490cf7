//! A text of the stream, formatted and compressed once for all clients.

use crate::server::Encoding;
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use std::sync::OnceLock;

/// The header of a gzip stream (RFC 1952): deflate, no name, no time, an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// The time after which a disconnected client connects again, in milliseconds.
const RETRY: u32 = 2_000;

/// One event, or a heartbeat.
pub(super) struct Frame {
    plain: Bytes,
    /// The compressed text; `None` if the compression failed. It refers to no earlier text, so that clients
    /// that connected at different times can share it.
    deflated: OnceLock<Option<Bytes>>,
}

/// Returns the bytes that precede the first text.
pub(super) fn opening(encoding: Encoding) -> Option<Bytes> {
    match encoding {
        Encoding::Gzip => Some(Bytes::from_static(&GZIP_HEADER)),
        Encoding::Identity => None,
    }
}

impl Frame {
    /// Formats an event. The data must not contain a line end.
    pub(super) fn event(name: &str, id: &str, data: &str) -> Frame {
        let retry = if name == "state" { format!("retry: {RETRY}\n") } else { String::new() };
        Frame::new(format!("event: {name}\nid: {id}\n{retry}data: {data}\n\n"))
    }

    /// Returns a comment line, which shows clients that the exporter is still there.
    pub(super) fn heartbeat() -> Frame {
        Frame::new(":\n\n".to_owned())
    }

    fn new(plain: String) -> Frame {
        Frame { plain: plain.into(), deflated: OnceLock::new() }
    }

    /// Returns the text in this encoding; `None` if it cannot be compressed.
    pub(super) fn encoded(&self, encoding: Encoding) -> Option<Bytes> {
        match encoding {
            Encoding::Identity => Some(self.plain.clone()),
            Encoding::Gzip => self.deflated.get_or_init(|| deflate(&self.plain)).clone(),
        }
    }
}

/// Compresses the text to deflate blocks that end at a byte boundary and refer to nothing before them
/// (zlib's Z_FULL_FLUSH).
fn deflate(plain: &[u8]) -> Option<Bytes> {
    let mut compress = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(plain.len() / 4 + 64);
    loop {
        let taken = usize::try_from(compress.total_in()).ok()?;
        let done = compress.compress_vec(plain.get(taken..)?, &mut out, FlushCompress::Full);
        done.inspect_err(|error| tracing::error!(%error, "cannot compress the stream")).ok()?;
        // The output is complete once it leaves some of the buffer free.
        if out.len() < out.capacity() {
            return Some(out.into());
        }
        out.reserve(out.capacity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn texts_that_were_compressed_one_by_one_are_one_stream() {
        let frames = ["a".repeat(100_000), "{\"tick\":2}".to_owned(), String::new(), "b\"}{".repeat(7)];
        for first in 0..frames.len() {
            // Who comes later reads the same bytes.
            let mut sent = opening(Encoding::Gzip).unwrap().to_vec();
            let mut wanted = String::new();
            for data in &frames[first..] {
                let frame = Frame::event("tick", "1-2", data);
                sent.extend(frame.encoded(Encoding::Gzip).unwrap());
                wanted += std::str::from_utf8(&frame.encoded(Encoding::Identity).unwrap()).unwrap();
            }
            let mut read = vec![0; wanted.len()];
            GzDecoder::new(&sent[..]).read_exact(&mut read).unwrap();
            assert_eq!(String::from_utf8(read).unwrap(), wanted);
        }
    }

    #[test]
    fn a_text_that_does_not_get_shorter_is_whole() {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(33 + (state >> 33) as u8 % 90)
        };
        let data: String = (0..200_000).map(|_| noise()).collect();
        let frame = Frame::event("tick", "1-2", &data);
        let sent = [&GZIP_HEADER[..], &frame.encoded(Encoding::Gzip).unwrap()].concat();
        let mut read = vec![0; frame.plain.len()];
        GzDecoder::new(&sent[..]).read_exact(&mut read).unwrap();
        assert!(read == frame.plain);
    }
}
