//! Deflate (RFC 1951) for rows that are known to resemble each other.
//!
//! A general compressor searches the text for matches. Here the difference between a label block and the
//! previous one is found once for a scene, and a row becomes matches at the distance of the row before it.
//! One Huffman code, made from the scene's own statistics, serves all rows.

mod bits;
mod crc;
mod huffman;

pub(super) use bits::Bits;
pub(super) use crc::JoinedCrc;
pub(super) use huffman::{Coded, Codes, SymbolCounts};

use super::text::{Columns, SectionText};

/// The greatest distance of a match.
const WINDOW: usize = 32 << 10;

/// The shortest match that is worth its code.
const SHORTEST: usize = 4;

/// Blocks longer than this are not compared.
const COMPARED: usize = 16 << 10;

/// The receiver of the symbols of a text.
pub(super) trait Symbols {
    fn literal(&mut self, byte: u8);

    /// A match of 3 to 258 bytes, at a distance of at most [`WINDOW`].
    fn copy(&mut self, length: usize, distance: usize);
}

/// A part of a label block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockPart {
    /// Bytes that are also in the previous block, `shift` bytes further in front if that is positive.
    Same {
        length: u16,
        shift: i16,
    },
    New {
        length: u16,
    },
}

/// The difference of each label block of a table from the previous one.
#[derive(Default)]
pub(super) struct Differences {
    parts: Vec<BlockPart>,
    /// The end of each block's parts.
    ends: Vec<usize>,
}

impl BlockPart {
    fn length(self) -> u16 {
        match self {
            BlockPart::Same { length, .. } | BlockPart::New { length } => length,
        }
    }
}

impl Differences {
    /// Compares each block with the previous one.
    pub(super) fn of<'a>(blocks: impl Iterator<Item = &'a str>) -> Differences {
        let mut differences = Differences::default();
        let mut previous: &[u8] = b"";
        for block in blocks {
            let block = block.as_bytes();
            compare(previous, block, &mut differences.parts);
            differences.ends.push(differences.parts.len());
            previous = block;
        }
        differences.parts.shrink_to_fit();
        differences
    }

    fn parts(&self, row: usize) -> &[BlockPart] {
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.parts[begin..self.ends[row]]
    }
}

/// Adds the parts of `block`. What is equal stands in the same order, and not far from the same position:
/// labels are in a fixed order.
fn compare(previous: &[u8], block: &[u8], parts: &mut Vec<BlockPart>) {
    if previous.len().max(block.len()) > COMPARED {
        let pieces = block.chunks(COMPARED);
        parts.extend(pieces.map(|piece| BlockPart::New { length: piece.len() as u16 }));
        return;
    }
    // The positions in the block and in the previous one.
    let (mut at, mut from) = (0, 0);
    let mut new = 0;
    while at < block.len() {
        let (length, begin) = best_match(previous, from, &block[at..]);
        if length < SHORTEST {
            (new, at, from) = (new + 1, at + 1, from + 1);
            continue;
        }
        if new > 0 {
            parts.push(BlockPart::New { length: new });
        }
        // Both are shorter than 32 KiB.
        parts.push(BlockPart::Same { length: length as u16, shift: (at as isize - begin as isize) as i16 });
        (new, at, from) = (0, at + length, begin + length);
    }
    if new > 0 {
        parts.push(BlockPart::New { length: new });
    }
}

/// Returns the length and the position of the longest part near `from` that `rest` begins with.
fn best_match(previous: &[u8], from: usize, rest: &[u8]) -> (usize, usize) {
    /// The distances at which a match is searched, before and behind.
    const NEAR: (usize, usize) = (2, 24);
    /// A match in place of this length is taken without a search for a longer one.
    const ENOUGH: usize = 12;
    let matching = |begin: usize| {
        let pairs = previous.get(begin..).unwrap_or_default().iter().zip(rest);
        pairs.take_while(|(old, new)| old == new).count()
    };
    let in_place = (matching(from), from);
    if in_place.0 >= ENOUGH {
        return in_place;
    }
    let near = from.saturating_sub(NEAR.0)..previous.len().min(from + NEAR.1);
    let found = near.map(|begin| (matching(begin), begin));
    found.fold(in_place, |best, found| if found.0 > best.0 { found } else { best })
}

/// Joins matches that go on at the same distance.
struct Joined<'a, S> {
    symbols: &'a mut S,
    length: usize,
    distance: usize,
}

impl<S: Symbols> Joined<'_, S> {
    fn flush(&mut self) {
        /// The lengths that a match may have.
        const LENGTHS: (usize, usize) = (3, 258);
        while self.length > 0 {
            let now = match self.length {
                rest if rest <= LENGTHS.1 => rest,
                // What is left for the next one is no shorter than a match may be.
                rest => LENGTHS.1.min(rest - LENGTHS.0),
            };
            self.symbols.copy(now, self.distance);
            self.length -= now;
        }
    }

    fn literals(&mut self, bytes: &[u8]) {
        self.flush();
        bytes.iter().for_each(|&byte| self.symbols.literal(byte));
    }

    /// Adds bytes that also stand at this distance.
    fn copy(&mut self, bytes: &[u8], distance: usize) {
        if self.length > 0 && self.distance == distance {
            self.length += bytes.len();
        } else if bytes.len() < SHORTEST || distance > WINDOW {
            self.literals(bytes);
        } else {
            self.flush();
            (self.length, self.distance) = (bytes.len(), distance);
        }
    }
}

/// Turns the text of a section into symbols. In the whole text a line feed stands in front of the section's
/// rows.
pub(super) fn pack(section: &SectionText, columns: Columns<'_>, symbols: &mut impl Symbols) {
    let SectionText { bytes, head, lines } = section;
    let names = [Some(columns.name), columns.created];
    let in_row = names.iter().flatten().count();
    let differences = columns.table.differences();
    let mut joined = Joined { symbols, length: 0, distance: 0 };
    joined.literals(&bytes[..*head]);
    let begin = |line: usize| line.checked_sub(1).map_or(*head, |before| lines[before].1);
    for (line, &(row, end)) in lines.iter().enumerate() {
        let (start, end) = (begin(line), end - 1);
        // With the end of the line before it.
        let first = start.saturating_sub(usize::from(line > 0));
        // The same line of the row before this one.
        let Some(before) = line.checked_sub(in_row) else {
            joined.literals(&bytes[first..end]);
            continue;
        };
        let name = names[line % in_row].unwrap_or_default().len();
        let block = start + name..start + name + columns.table.block(row).len();
        let back = start - begin(before);
        joined.copy(&bytes[first..block.start], back);
        if lines[before].0 + 1 != row {
            joined.literals(&bytes[block.start..end]);
            continue;
        }
        let mut at = block.start;
        for part in differences.parts(row) {
            let next = at + usize::from(part.length());
            match *part {
                BlockPart::Same { shift, .. } => {
                    joined.copy(&bytes[at..next], (back as isize + isize::from(shift)) as usize);
                }
                BlockPart::New { .. } => joined.literals(&bytes[at..next]),
            }
            at = next;
        }
        let old = begin(before) + name + columns.table.block(row - 1).len()..lines[before].1 - 1;
        if bytes[old.clone()] == bytes[at..end] {
            joined.copy(&bytes[at..end], at - old.start);
        } else {
            joined.literals(&bytes[at..end]);
        }
    }
    if !lines.is_empty() {
        joined.literals(b"\n");
    }
    joined.flush();
}
