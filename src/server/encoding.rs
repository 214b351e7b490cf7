//! Content codings: the client's preference (RFC 9110, 12.5.3), and gzip itself.

use super::body::{CutOff, PieceSource};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};
use std::io::{self, Write};

/// The content coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No compression: the text as it is.
    Identity,
    /// Compression by gzip (RFC 1952).
    Gzip,
}

/// A client's preference for a coding or a format, in thousandths; 0 is a refusal.
pub(crate) type Quality = u16;

impl Encoding {
    /// Returns the coding that the client prefers; of two that it prefers equally, the smaller one. A client
    /// that refuses both gets the plain text, as one without the header.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Encoding {
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        Encoding::liked_best(values.filter_map(|value| value.to_str().ok()))
    }

    /// Returns the preferred coding by the values of the headers `Accept-Encoding`.
    pub fn liked_best<'a>(lines: impl IntoIterator<Item = &'a str>) -> Encoding {
        let [mut gzip, mut identity, mut any] = [None; 3];
        let members = lines.into_iter().flat_map(|line| line.split(','));
        for (coding, quality) in members.filter_map(preference) {
            let said: &mut Option<Quality> = match coding.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *said = Some(quality);
        }
        let gzip = gzip.or(any).unwrap_or(0);
        // Not listed, the plain text is allowed, and what was asked for is better.
        if gzip > 0 && gzip >= identity.unwrap_or(0) { Encoding::Gzip } else { Encoding::Identity }
    }
}

/// Parses one member of the list, `gzip;q=0.5`. A member that is not understood is left out.
fn preference(member: &str) -> Option<(&str, Quality)> {
    let (coding, parameter) = match member.split_once(';') {
        Some((coding, parameter)) => (coding, Some(parameter)),
        None => (member, None),
    };
    let quality = match parameter {
        None => 1000,
        Some(parameter) => {
            let (name, value) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            quality(value.trim())?
        }
    };
    Some((coding.trim(), quality))
}

/// Parses `0`, `0.123` or `1.000`: at most three digits behind the point, and at most 1.
pub(crate) fn quality(text: &str) -> Option<Quality> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let quality = format!("{whole}{part:0<3}").parse().ok()?;
    (quality <= 1000).then_some(quality)
}

/// Compresses a text at the fastest level: what the exporter sends repeats itself so much that other levels
/// gain little.
///
/// # Errors
/// None that are known of: memory can be written.
pub(crate) fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

/// A body that is compressed while it is sent.
pub(crate) struct Compressed<S> {
    source: S,
    /// `None` when all is compressed.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<S: PieceSource> Compressed<S> {
    /// A compressed piece is sent when it has this many bytes.
    const PIECE: usize = 32 << 10;

    pub(crate) fn new(source: S) -> Compressed<S> {
        Compressed { source, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }
}

impl<S: PieceSource> PieceSource for Compressed<S> {
    fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        while encoder.get_ref().len() < Self::PIECE {
            match self.source.next_piece()? {
                Some(piece) => encoder.write_all(&piece).map_err(CutOff::Unwritten)?,
                None => {
                    let rest = self.encoder.take().map(GzEncoder::finish);
                    return Ok(rest.transpose().map_err(CutOff::Unwritten)?.map(Bytes::from));
                }
            }
        }
        Ok(Some(std::mem::take(encoder.get_mut()).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use hyper::header::HeaderValue;
    use std::io::Read;

    fn negotiated(lines: &[&str]) -> Encoding {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        Encoding::negotiate(&headers)
    }

    #[test]
    fn a_client_gets_the_coding_that_it_likes_best() {
        use Encoding::{Gzip, Identity};
        for (lines, wanted) in [
            (&[][..], Identity),
            (&[""], Identity),
            (&["gzip"], Gzip),
            (&["GZip"], Gzip),
            (&["x-gzip"], Gzip),
            (&["deflate, gzip, br, zstd"], Gzip),
            (&["deflate, br"], Identity),
            (&["deflate", "gzip"], Gzip),
            (&["gzip;q=0"], Identity),
            (&["gzip;q=0.000"], Identity),
            (&["gzip; q=0.001"], Gzip),
            (&["gzip ; Q = 1.000"], Gzip),
            (&["gzip;q=0, *"], Identity),
            (&["*;q=0, gzip"], Gzip),
            (&["*"], Gzip),
            (&["*;q=0"], Identity),
            (&["identity;q=0"], Identity),
            (&["identity;q=0, *"], Gzip),
            (&["identity;q=0, gzip;q=0.001"], Gzip),
            (&["identity"], Identity),
            (&["identity, gzip"], Gzip),
            (&["identity, gzip;q=0.5"], Identity),
            (&["identity;q=0.2, *;q=0.5"], Gzip),
            (&["identity;q=0, gzip;q=0"], Identity),
            // What is not understood counts for nothing.
            (&["gzip;q=2"], Identity),
            (&["gzip;q=1.001"], Identity),
            (&["gzip;q=0.1234"], Identity),
            (&["gzip;q=-1"], Identity),
            (&["gzip;q="], Identity),
            (&["gzip;level=9"], Identity),
            (&["gzipped"], Identity),
            (&[",, ;q=1, gzip"], Gzip),
        ] {
            assert_eq!(negotiated(lines), wanted, "{lines:?}");
        }
    }

    #[test]
    fn a_line_that_is_not_text_counts_for_nothing() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_bytes(b"gzip\xff").unwrap());
        assert_eq!(Encoding::negotiate(&headers), Encoding::Identity);
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(Encoding::negotiate(&headers), Encoding::Gzip);
    }

    struct Pieces(std::vec::IntoIter<&'static [u8]>);

    impl PieceSource for Pieces {
        fn next_piece(&mut self) -> Result<Option<Bytes>, CutOff> {
            Ok(self.0.next().map(Bytes::from_static))
        }
    }

    #[test]
    fn what_is_compressed_comes_back_as_it_was_at_once_or_in_pieces() {
        let line = "veth_device_receive_bytes_total{device=\"veth47c10e7\",container=\"ä\"} 48213\n";
        let noise: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_769) >> 13) as u8).collect();
        for text in [Vec::new(), line.into(), line.repeat(10_000).into(), noise] {
            let text: &'static [u8] = text.leak();
            let pieces = text.chunks(64 << 10).collect::<Vec<_>>().into_iter();
            let mut compressed = Compressed::new(Pieces(pieces));
            let mut packed = Vec::new();
            while let Some(piece) = compressed.next_piece().unwrap() {
                assert!(!piece.is_empty());
                packed.extend_from_slice(&piece);
            }
            for packed in [packed, gzip(text).unwrap()] {
                let mut back = Vec::new();
                GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
                assert_eq!(back, text);
                assert!(text.len() != line.len() * 10_000 || packed.len() < 80_000);
            }
        }
    }
}
