//! Huffman codes of RFC 1951, made once for many texts.

use super::Symbols;
use super::bits::Bits;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const LITERALS: usize = 286;
const DISTANCES: usize = 30;

/// The symbol that ends a block.
const END: usize = 256;

/// The base of each symbol from 257 on: a match's length.
const LENGTHS: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];

/// The order in which the lengths of the codes of code lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A code with the bits that follow it, the first bit lowest, and their number.
type Code = (u32, u32);

/// Returns the symbol of a match's length, from 257 on, and the bits behind it.
fn length_symbol(length: usize) -> (usize, Code) {
    let index = LENGTHS.partition_point(|&base| base <= length) - 1;
    let extra = if index < 8 || index == 28 { 0 } else { index as u32 / 4 - 1 };
    (257 + index, ((length - LENGTHS[index]) as u32, extra))
}

/// Returns the symbol of a match's distance, and the bits behind it.
#[inline]
fn distance_symbol(distance: usize) -> (usize, Code) {
    let below = distance as u32 - 1;
    if below < 4 {
        return (below as usize, (0, 0));
    }
    let extra = below.ilog2() - 1;
    ((2 * extra + (below >> extra)) as usize, (below & ((1 << extra) - 1), extra))
}

/// The number of uses of each symbol.
pub(in crate::exposition) struct SymbolCounts {
    literals: [u64; LITERALS],
    distances: [u64; DISTANCES],
}

impl Default for SymbolCounts {
    /// Each symbol once: what is not in the texts that were counted may be in another.
    fn default() -> SymbolCounts {
        SymbolCounts { literals: [1; LITERALS], distances: [1; DISTANCES] }
    }
}

impl Symbols for SymbolCounts {
    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
    }

    fn copy(&mut self, length: usize, distance: usize) {
        self.literals[length_symbol(length).0] += 1;
        self.distances[distance_symbol(distance).0] += 1;
    }
}

/// The codes of a block, and the block's header.
pub(in crate::exposition) struct Codes {
    literals: Vec<Code>,
    /// The code of each match length, with the bits behind it.
    lengths: Vec<Code>,
    distances: Vec<Code>,
    header: Bits,
}

impl Codes {
    /// Makes codes that are short for what is frequent.
    pub(in crate::exposition) fn of(counts: &SymbolCounts) -> Codes {
        let literal_lengths = code_lengths(&counts.literals, 15);
        let distance_lengths = code_lengths(&counts.distances, 15);
        let literals = canonical(&literal_lengths);
        let of_length = |length: usize| {
            let (symbol, (extra, bits)) = length_symbol(length);
            let (code, count) = literals[symbol];
            (code | extra << count, count + bits)
        };
        let lengths = (0..=258).map(|length| if length < 3 { (0, 0) } else { of_length(length) }).collect();
        let distances = canonical(&distance_lengths);
        let header = header(&[literal_lengths, distance_lengths].concat());
        Codes { literals, lengths, distances, header }
    }

    /// Begins the one and last block of a text.
    pub(in crate::exposition) fn begin(&self, bits: &mut Bits) {
        bits.append(&self.header);
    }

    pub(in crate::exposition) fn end(&self, bits: &mut Bits) {
        let (code, count) = self.literals[END];
        bits.put(code, count);
    }
}

/// A writer of symbols by their codes.
pub(in crate::exposition) struct Coded<'a> {
    pub bits: &'a mut Bits,
    pub codes: &'a Codes,
}

impl Symbols for Coded<'_> {
    #[inline]
    fn literal(&mut self, byte: u8) {
        let (code, count) = self.codes.literals[usize::from(byte)];
        self.bits.put(code, count);
    }

    #[inline]
    fn copy(&mut self, length: usize, distance: usize) {
        let (code, count) = self.codes.lengths[length];
        self.bits.put(code, count);
        let (symbol, (extra, more)) = distance_symbol(distance);
        let (code, count) = self.codes.distances[symbol];
        self.bits.put(code | extra << count, count + more);
    }
}

/// Returns the header of the one and last block: its kind, and the lengths of all codes one by one.
fn header(lengths: &[u32]) -> Bits {
    let mut counts = [0; ORDER.len()];
    lengths.iter().for_each(|&length| counts[length as usize] += 1);
    let of_lengths = code_lengths(&counts, 7);
    let codes = canonical(&of_lengths);
    let mut bits = Bits::default();
    // The last block, with codes of its own.
    bits.put(0b101, 3);
    bits.put(LITERALS as u32 - 257, 5);
    bits.put(DISTANCES as u32 - 1, 5);
    bits.put(ORDER.len() as u32 - 4, 4);
    ORDER.iter().for_each(|&length| bits.put(of_lengths[length], 3));
    for &length in lengths {
        let (code, count) = codes[length as usize];
        bits.put(code, count);
    }
    bits
}

/// Returns the length of each symbol's code, at most `longest`; 0 for what is never used. The codes are
/// the best ones, or nearly so where these would be too long.
fn code_lengths(counts: &[u64], longest: u32) -> Vec<u32> {
    let mut counts = counts.to_vec();
    loop {
        let lengths = best_lengths(&counts);
        if lengths.iter().all(|&length| length <= longest) {
            return lengths;
        }
        // What is rare becomes less rare.
        counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = *count / 2 + 1);
    }
}

fn best_lengths(counts: &[u64]) -> Vec<u32> {
    let used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let mut heap: BinaryHeap<_> = used.map(|(symbol, &count)| Reverse((count, symbol))).collect();
    // A symbol's or a node's parent; nodes are behind the symbols.
    let mut parents = vec![0; counts.len()];
    let mut root = heap.peek().map(|&Reverse((_, symbol))| symbol);
    while let (Some(Reverse(first)), Some(Reverse(second))) = (heap.pop(), heap.peek().copied()) {
        heap.pop();
        let node = parents.len();
        parents.push(0);
        parents[first.1] = node;
        parents[second.1] = node;
        root = Some(node);
        heap.push(Reverse((first.0 + second.0, node)));
    }
    // A single symbol is the root, and has a code of one bit all the same.
    let root = root.unwrap_or_default();
    let depth = |symbol: usize| {
        let ancestors = std::iter::successors(Some(symbol), |&node| (node != root).then(|| parents[node]));
        (ancestors.count() as u32 - 1).max(1)
    };
    (0..counts.len()).map(|symbol| if counts[symbol] == 0 { 0 } else { depth(symbol) }).collect()
}

/// Returns the codes that follow from their lengths (RFC 1951, 3.2.2).
fn canonical(lengths: &[u32]) -> Vec<Code> {
    let mut next = [0u32; 17];
    for length in 1..16 {
        let shorter = lengths.iter().filter(|&&other| other != 0 && other == length).count() as u32;
        next[length as usize + 1] = (next[length as usize] + shorter) << 1;
    }
    let code = |&length: &u32| match length {
        0 => (0, 0),
        _ => {
            let code = next[length as usize];
            next[length as usize] += 1;
            (code.reverse_bits() >> (32 - length), length)
        }
    };
    lengths.iter().map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_distances_have_the_symbols_of_the_rfc() {
        for (length, symbol, extra) in [
            (3, 257, 0),
            (10, 264, 0),
            (11, 265, 1),
            (18, 268, 1),
            (19, 269, 2),
            (257, 284, 5),
            (258, 285, 0),
        ] {
            let (found, (_, bits)) = length_symbol(length);
            assert_eq!((found, bits), (symbol, extra), "{length}");
        }
        for (distance, symbol, extra, value) in [
            (1, 0, 0, 0),
            (4, 3, 0, 0),
            (5, 4, 1, 0),
            (6, 4, 1, 1),
            (7, 5, 1, 0),
            (9, 6, 2, 0),
            (12, 6, 2, 3),
            (13, 7, 2, 0),
            (24_577, 29, 13, 0),
            (32_768, 29, 13, 8_191),
        ] {
            assert_eq!(distance_symbol(distance), (symbol, (value, extra)), "{distance}");
        }
    }

    #[test]
    fn codes_fill_their_space_and_are_never_too_long() {
        let fibonacci = std::iter::successors(Some((1u64, 1u64)), |&(a, b)| Some((b, a + b)));
        let steep: Vec<u64> = fibonacci.take(60).map(|(a, _)| a).collect();
        for (counts, longest) in [(&steep[..], 15), (&[1; 286], 15), (&[1, 1000, 0, 3], 7), (&steep[..19], 7)]
        {
            let lengths = code_lengths(counts, longest);
            let used: f64 =
                lengths.iter().filter(|&&length| length > 0).map(|&l| 0.5f64.powi(l as i32)).sum();
            assert_eq!(used, 1.0, "{lengths:?}");
            assert!(lengths.iter().zip(counts).all(|(&length, &count)| (length == 0) == (count == 0)));
            assert!(lengths.iter().all(|&length| length <= longest), "{lengths:?}");
        }
    }
}
