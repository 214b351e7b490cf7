//! The filter that puts a name behind each device in the output of another program.
//!
//! Every byte passes at once and unchanged; a name comes behind the last byte of its word. The filter keeps
//! the present word, of which no device's name is longer than 15 bytes, and nothing else: a line without an
//! end takes no memory.

/// The longest name of a device, in bytes (IFNAMSIZ of linux/if.h, without the terminating NUL).
const LONGEST_DEVICE: usize = 15;

/// The beginnings of the names that runtimes give to ports: Docker, Podman and CNI plugins; Calico; LXC and
/// Cilium; systemd-nspawn.
const GENERATED: [&[u8]; 5] = [b"veth", b"cali", b"lxc", b"ve-", b"vb-"];

/// Returns true for a word that may be the name of a port which a runtime has made.
pub(crate) fn may_be_port(word: &[u8]) -> bool {
    GENERATED.iter().any(|start| word.starts_with(start) && word.len() > start.len())
}

/// The position in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct NameFilter {
    /// The beginning of the present word.
    word: [u8; LONGEST_DEVICE],
    /// The length of the present word; of a longer one than any device's name, one more than that.
    length: usize,
    /// The position in a sequence that sets the terminal's color.
    sequence: Sequence,
}

/// The position in a control sequence, in which no word is (ECMA-48: ESC, a final byte; ESC, `[`, parameters,
/// a final byte).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sequence {
    #[default]
    Outside,
    Escaped,
    Parameters,
}

impl NameFilter {
    /// Appends a part of the stream to `out`, with the text that `name` returns for it in brackets behind
    /// each whole word. The last word of the part has its name once its end is seen.
    pub(crate) fn pass<T: AsRef<str>>(
        &mut self,
        part: &[u8],
        mut name: impl FnMut(&[u8]) -> Option<T>,
        out: &mut Vec<u8>,
    ) {
        for &byte in part {
            if self.is_in_word(byte) {
                if let Some(slot) = self.word.get_mut(self.length) {
                    *slot = byte;
                }
                self.length = (self.length + 1).min(LONGEST_DEVICE + 1);
            } else {
                self.finish(&mut name, out);
            }
            out.push(byte);
        }
    }

    /// Ends the present word, as the end of the stream does.
    pub(crate) fn finish<T: AsRef<str>>(
        &mut self,
        mut name: impl FnMut(&[u8]) -> Option<T>,
        out: &mut Vec<u8>,
    ) {
        let word = self.word.get(..self.length).filter(|word| !word.is_empty());
        self.length = 0;
        if let Some(text) = word.and_then(&mut name) {
            out.push(b'[');
            out.extend_from_slice(text.as_ref().as_bytes());
            out.push(b']');
        }
    }

    /// Returns true if the next byte belongs to a word: a letter, a digit, `_`, `-` or `.` outside of a
    /// control sequence. Any other byte ends a word, such as the `@` and the `:` of `ip link`.
    fn is_in_word(&mut self, byte: u8) -> bool {
        let (next, in_text) = match (self.sequence, byte) {
            (_, 0x1b) => (Sequence::Escaped, false),
            (Sequence::Escaped, b'[') => (Sequence::Parameters, false),
            (Sequence::Escaped, 0x20..=0x2f) => (Sequence::Escaped, false),
            (Sequence::Escaped, 0x30..=0x7e) => (Sequence::Outside, false),
            (Sequence::Parameters, 0x20..=0x3f) => (Sequence::Parameters, false),
            (Sequence::Parameters, 0x40..=0x7e) => (Sequence::Outside, false),
            _ => (Sequence::Outside, true),
        };
        self.sequence = next;
        in_text && (byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    }
}

#[cfg(test)]
mod tests;
