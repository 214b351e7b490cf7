//! Content codings: the client's preference (RFC 9110, 12.5.3), and gzip itself.

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

/// Compresses a text at the fastest level: an exposition repeats itself so much that other levels gain
/// little. Returns the writer with the compressed bytes.
///
/// # Errors
/// Fails if the writer fails.
pub(crate) fn gzip<W: Write>(text: &[Bytes], into: W) -> io::Result<W> {
    let mut encoder = GzEncoder::new(into, Compression::fast());
    text.iter().try_for_each(|piece| encoder.write_all(piece))?;
    encoder.finish()
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

    /// A text that comes in two pieces.
    fn packed(text: &str) -> Vec<u8> {
        let (head, tail) = text.as_bytes().split_at(text.len() / 2);
        let pieces = [head, tail].map(Bytes::copy_from_slice);
        gzip(&pieces, Vec::new()).unwrap()
    }

    #[test]
    fn what_is_compressed_comes_back_as_it_was() {
        let line = "veth_device_receive_bytes_total{device=\"veth47c10e7\",container=\"ä\"} 48213\n";
        for text in [String::new(), line.to_owned(), line.repeat(10_000)] {
            let packed = packed(&text);
            let mut back = String::new();
            GzDecoder::new(&packed[..]).read_to_string(&mut back).unwrap();
            assert_eq!(back, text);
        }
        assert!(packed(&line.repeat(10_000)).len() < 80_000);
    }
}
