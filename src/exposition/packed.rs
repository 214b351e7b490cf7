//! An exposition as gzip (RFC 1952), written piece by piece. A section in which no value has changed is not
//! compressed again.

use super::deflate::{Bits, Coded, Codes, JoinedCrc, SymbolCounts, Symbols, pack};
use super::pieces::PIECE;
use super::tables::Values;
use super::text::{Position, SceneText, Section, SectionText};
use crate::model::view::View;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Deflate, without a name, a time or a system; the fastest level.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A piece is finished when there is room for less than this; a section rarely takes more.
const MARGIN: usize = 8 << 10;

/// The codes are made from one section of so many.
const COUNTED: usize = 8;

/// The compressed sections of one [`SceneText`], shared by its readers.
#[derive(Default)]
pub(crate) struct PackedText(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    codes: Option<Codes>,
    sections: Vec<KeptSection>,
    /// Memory for the text of a section.
    text: SectionText,
}

/// A section as it was last compressed.
#[derive(Default)]
struct KeptSection {
    values: Values,
    /// True if the family's head is part of it.
    headed: bool,
    bits: Bits,
    crc: JoinedCrc,
}

/// The progress of a reader of a compressed exposition.
#[derive(Default)]
pub(crate) struct PackedCursor {
    position: Position,
    /// The index of the next section.
    section: usize,
    bits: Bits,
    crc: JoinedCrc,
    values: Values,
    progress: Progress,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Progress {
    #[default]
    Header,
    Sections,
    End,
}

impl PackedText {
    /// Writes further sections, and behind them the exporter's `own` families and the format's end, until
    /// the piece is full. Returns false when all is written.
    pub(crate) fn write_piece(
        &self,
        text: &SceneText,
        cursor: &mut PackedCursor,
        view: &View,
        own: &str,
        piece: &mut Vec<u8>,
    ) -> bool {
        let mut kept = self.kept();
        let Kept { codes, sections, text: memory } = &mut *kept;
        let codes = codes.get_or_insert_with(|| codes_of(text, view));
        cursor.bits.swap_bytes(piece);
        let more = cursor.write(text, view, own, codes, sections, memory);
        cursor.bits.swap_bytes(piece);
        more
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PackedCursor {
    fn write(
        &mut self,
        text: &SceneText,
        view: &View,
        own: &str,
        codes: &Codes,
        kept: &mut Vec<KeptSection>,
        memory: &mut SectionText,
    ) -> bool {
        if self.progress == Progress::Header {
            self.bits.put_bytes(&HEADER);
            codes.begin(&mut self.bits);
            self.progress = Progress::Sections;
        }
        while self.progress == Progress::Sections {
            if self.bits.len() + MARGIN > PIECE {
                return true;
            }
            let Some(section) = text.section(&mut self.position, &view.scene) else {
                self.progress = Progress::End;
                break;
            };
            if kept.len() == self.section {
                kept.push(KeptSection::default());
            }
            let last = &mut kept[self.section];
            self.section += 1;
            text.read_values(&mut self.position, &section, view, &mut self.values);
            last.renew(text, &section, &self.values, view, codes, memory);
            self.bits.append(&last.bits);
            self.crc.append(last.crc);
        }
        let mut coded = Coded { bits: &mut self.bits, codes };
        own.bytes().for_each(|byte| coded.literal(byte));
        self.crc.append(JoinedCrc::of(own.as_bytes(), JoinedCrc::default()));
        codes.end(&mut self.bits);
        self.bits.align();
        self.bits.put_bytes(&self.crc.trailer());
        self.bits.align();
        false
    }
}

impl KeptSection {
    /// Compresses the section unless it is as it was.
    fn renew(
        &mut self,
        text: &SceneText,
        section: &Section<'_>,
        values: &Values,
        view: &View,
        codes: &Codes,
        memory: &mut SectionText,
    ) {
        let headed = !section.head.is_empty();
        if self.crc.is_known() && self.headed == headed && self.values == *values {
            return;
        }
        memory.write(text, section, values, view);
        self.bits.clear();
        pack(memory, section.columns, &mut Coded { bits: &mut self.bits, codes });
        self.bits.shrink_to_fit();
        self.crc = JoinedCrc::of(&memory.bytes, self.crc);
        self.headed = headed;
        self.values.numbers.clone_from(&values.numbers);
        self.values.absent = values.absent;
    }
}

impl SectionText {
    fn write(&mut self, text: &SceneText, section: &Section<'_>, values: &Values, view: &View) {
        let SectionText { bytes, head, lines } = self;
        bytes.clear();
        lines.clear();
        text.write_section(section, values, &view.scene, bytes, |row, end| lines.push((row, end)));
        *head = if lines.is_empty() { 0 } else { section.head.len() };
    }
}

/// Returns codes for what one section of [`COUNTED`] consists of.
fn codes_of(text: &SceneText, view: &View) -> Codes {
    let (mut counts, mut position, mut values) =
        (SymbolCounts::default(), Position::default(), Values::default());
    let mut memory = SectionText::default();
    let mut number = 0;
    while let Some(section) = text.section(&mut position, &view.scene) {
        text.read_values(&mut position, &section, view, &mut values);
        if number % COUNTED == 0 {
            memory.write(text, &section, &values, view);
            pack(&memory, section.columns, &mut counts);
        }
        number += 1;
    }
    Codes::of(&counts)
}

#[cfg(test)]
mod tests;
