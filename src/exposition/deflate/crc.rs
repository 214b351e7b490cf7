//! The CRC-32 of a text from those of its parts.

use flate2::Crc;

/// CRC-32's polynomial, the highest power in the lowest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The CRC-32 and the length of a text.
#[derive(Clone, Copy, Default)]
pub(in crate::exposition) struct JoinedCrc {
    crc: u32,
    length: u64,
    /// The factor that moves another CRC in front of this text: x to the power of its bits.
    factor: u32,
}

impl JoinedCrc {
    /// Returns the CRC of a text. `last` is that of a similar text: one of the same length saves work.
    pub(in crate::exposition) fn of(text: &[u8], last: JoinedCrc) -> JoinedCrc {
        let mut crc = Crc::new();
        crc.update(text);
        let length = text.len() as u64;
        let factor = if last.is_known() && last.length == length { last.factor } else { power(8 * length) };
        JoinedCrc { crc: crc.sum(), length, factor }
    }

    /// Returns true if this is the CRC of a text.
    pub(in crate::exposition) fn is_known(self) -> bool {
        self.factor != 0
    }

    /// Adds a text at the end.
    pub(in crate::exposition) fn append(&mut self, next: JoinedCrc) {
        self.crc = multiply(self.crc, next.factor) ^ next.crc;
        self.length += next.length;
    }

    /// Returns the end of a gzip (RFC 1952): the CRC and the length modulo 2^32.
    pub(in crate::exposition) fn trailer(self) -> [u8; 8] {
        let halves = u64::from(self.length as u32) << 32 | u64::from(self.crc);
        halves.to_le_bytes()
    }
}

/// Returns x to this power.
fn power(mut exponent: u64) -> u32 {
    // 1 and x.
    let (mut result, mut square) = (1 << 31, 1 << 30);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, square);
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    result
}

/// Returns the product of two polynomials, modulo CRC-32's.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for power in (0..32).rev() {
        product ^= b & 0u32.wrapping_sub(a >> power & 1);
        b = (b >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(b & 1));
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_a_text_is_that_of_its_parts() {
        let text: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) / 7) as u8).collect();
        for cuts in [[0, 0], [1, 1], [7, 50_000], [99_999, 100_000]] {
            let parts = [&text[..cuts[0]], &text[cuts[0]..cuts[1]], &text[cuts[1]..]];
            let mut joined = JoinedCrc::default();
            let mut last = JoinedCrc::default();
            for part in parts {
                last = JoinedCrc::of(part, last);
                joined.append(last);
            }
            let mut whole = Crc::new();
            whole.update(&text);
            let trailer = [whole.sum().to_le_bytes(), (text.len() as u32).to_le_bytes()].concat();
            assert_eq!(joined.trailer()[..], trailer, "{cuts:?}");
        }
    }
}
