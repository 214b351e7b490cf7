//! The rule that makes a text from outside harmless: a name, a label, a reason.
//!
//! A character that a screen obeys, or shows otherwise than a reader expects, is written as text: `\x1b`,
//! `\u{202e}`. `list`, `find`, `top` and the log follow the rule by this module, the page by `harmless` in
//! its format.js; both are tested against text/vectors.json. The metrics and the API keep every name as it
//! is, in their own escaping.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// The most characters of a text of another program in a line of the log.
const LONGEST_LINE: usize = 500;

/// Returns true for a character that a terminal obeys or that misleads a reader: controls, marks of
/// direction, characters without a shape, and those that join or change their neighbours: no two terminals
/// agree on their width.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Returns a text as a terminal may show it: each character that [misleads] is written `\xNN` or `\u{N}`, in
/// hexadecimal digits.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // A string takes what is written to it.
        let _ = match u32::from(c) {
            code if misleads(c) && code <= 0xff => write!(out, "\\x{code:02x}"),
            code if misleads(c) => write!(out, "\\u{{{code:x}}}"),
            _ => out.write_char(c),
        };
    }
    out
}

/// Returns a text as a string of JSON, in which each character that [misleads] is an escape of JSON's: a
/// reader of the log undoes them.
pub(crate) fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // A string takes what is written to it.
            c if misleads(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns a text of another program, fit for a line of the log: control characters are blanks, and it has
/// at most 500 characters.
pub(crate) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect()
}

/// Bytes of a name, shown as text: a byte that is not UTF-8 or belongs to a control character is written
/// `\xNN`, and a backslash is doubled, so that two different names never look the same.
pub struct Readable<'a>(pub &'a [u8]);

impl<'a> Readable<'a> {
    /// Returns the text; the bytes themselves if they are plain.
    pub fn text(self) -> Cow<'a, str> {
        match std::str::from_utf8(self.0) {
            Ok(plain) if !plain.contains(|c: char| c == '\\' || c.is_control()) => Cow::Borrowed(plain),
            _ => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for part in chunk.valid().split_inclusive(|c: char| c == '\\' || c.is_control()) {
                let plain = part.trim_end_matches(|c: char| c == '\\' || c.is_control());
                f.write_str(plain)?;
                match &part.as_bytes()[plain.len()..] {
                    b"\\" => f.write_str("\\\\")?,
                    control => control.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Quotes a word for a shell, by `$'...'` of bash if the word needs it.
pub(crate) fn quoted(word: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_.:@%+-/".contains(b);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let mut text = String::from("$'");
    for &b in word {
        match b {
            b'\'' | b'\\' => text.extend(['\\', char::from(b)]),
            b' '..=b'~' => text.push(char::from(b)),
            _ => text.push_str(&format!("\\x{b:02x}")),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Vec<[String; 2]> {
        let vectors: Vec<Value> = serde_json::from_str(include_str!("text/vectors.json")).unwrap();
        let text = |vector: &Value, key: &str| vector[key].as_str().unwrap().to_owned();
        vectors.iter().map(|vector| [text(vector, "text"), text(vector, "terminal")]).collect()
    }

    #[test]
    fn a_terminal_is_shown_what_the_vectors_say() {
        assert!(vectors().len() >= 20);
        for [text, terminal] in vectors() {
            assert_eq!(printable(&text), terminal);
            assert_eq!(printable(&terminal), terminal, "nothing is left that misleads");
        }
    }

    #[test]
    fn a_string_of_the_log_is_read_back_as_it_was_and_misleads_nobody() {
        for [text, _] in vectors() {
            let written = json_string(&text);
            assert!(!written.chars().any(misleads), "{written}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }

    #[test]
    fn what_goes_to_a_log_is_one_line_and_ends() {
        assert_eq!(one_line(" no\r\nsuch\x1b[2J\u{85}key\n"), "no  such [2J key");
        assert_eq!(one_line(&"é".repeat(100_000)), "é".repeat(LONGEST_LINE));
    }

    #[test]
    fn a_word_for_a_shell_is_plain_or_safely_quoted() {
        assert_eq!(quoted(b"veth0"), "veth0");
        assert_eq!(quoted(b"a b'c\\"), r"$'a b\'c\\'");
        assert_eq!(quoted(b"v\xff\n"), r"$'v\xff\x0a'");
        assert_eq!(quoted(b""), "$''");
    }
}
