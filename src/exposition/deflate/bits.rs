//! Bits in the order of RFC 1951: the lowest first.

/// Bits that are being written.
#[derive(Default)]
pub(in crate::exposition) struct Bits {
    bytes: Vec<u8>,
    /// The bits behind `bytes`, fewer than 32 between two calls.
    rest: u64,
    count: u32,
}

impl Bits {
    /// Adds the lowest `count` bits, at most 32; those above are 0.
    #[inline]
    pub(in crate::exposition) fn put(&mut self, bits: u32, count: u32) {
        self.rest |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.rest as u32).to_le_bytes());
            self.rest >>= 32;
            self.count -= 32;
        }
    }

    /// Adds all bits of another text.
    pub(in crate::exposition) fn append(&mut self, other: &Bits) {
        self.bytes.reserve(other.bytes.len() + 8);
        let (words, bytes) = other.bytes.as_chunks::<4>();
        words.iter().for_each(|word| self.put(u32::from_le_bytes(*word), 32));
        bytes.iter().for_each(|&byte| self.put(u32::from(byte), 8));
        self.put(other.rest as u32, other.count);
    }

    /// Fills the last byte with zeros.
    pub(in crate::exposition) fn align(&mut self) {
        while self.count > 0 {
            self.bytes.push(self.rest as u8);
            self.rest >>= 8;
            self.count = self.count.saturating_sub(8);
        }
    }

    /// Adds whole bytes; the bits before them are aligned.
    pub(in crate::exposition) fn put_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.put(u32::from(byte), 8));
    }

    /// Continues in the memory of `piece`, and leaves the whole bytes that were written there.
    pub(in crate::exposition) fn swap_bytes(&mut self, piece: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, piece);
    }

    /// Returns the number of whole bytes.
    pub(in crate::exposition) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(in crate::exposition) fn clear(&mut self) {
        self.bytes.clear();
        (self.rest, self.count) = (0, 0);
    }

    pub(in crate::exposition) fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_one_text_go_on_behind_those_of_another_wherever_it_ends() {
        for shift in 0..40 {
            let mut other = Bits::default();
            (0..11).for_each(|byte| other.put(byte * 23 % 256, 8));
            other.put(0b101, 3);
            let (mut together, mut apart) = (Bits::default(), Bits::default());
            for bits in [&mut together, &mut apart] {
                (0..shift).for_each(|bit| bits.put(bit & 1, 1));
            }
            together.append(&other);
            (0..11).for_each(|byte| apart.put(byte * 23 % 256, 8));
            apart.put(0b101, 3);
            together.align();
            apart.align();
            assert_eq!(together.bytes, apart.bytes, "{shift}");
        }
    }
}
