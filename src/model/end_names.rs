//! The names of the workload behind a device, as a short text for other tools' output.

use super::text::misleads;

/// The longest text between brackets, in characters.
const LONGEST_BRACKETED: usize = 120;

/// The names that belong to a port of the host: those of the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndNames<'a> {
    /// The workload's name in one word; empty if none is known.
    pub workload: &'a str,
    /// The device's name in the workload; empty if it cannot be read.
    pub interface: &'a str,
    /// The network; empty if none is known.
    pub network: &'a str,
}

impl EndNames<'_> {
    /// Returns workload and interface for the brackets behind a device's name: at most 120 characters, in
    /// which none ends the line or the brackets. `None` without a workload.
    pub(crate) fn bracketed(&self) -> Option<String> {
        let words = [self.workload, self.interface].map(harmless);
        Some(joined(&words)).filter(|_| !self.workload.is_empty()).map(|text| cut(text, LONGEST_BRACKETED))
    }
}

/// Joins the words that are not empty with a blank between each two.
pub(super) fn joined(words: &[String]) -> String {
    let words = words.iter().filter(|word| !word.is_empty()).map(String::as_str);
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a text that changes nothing where it is put: what [misleads], blanks, quotation marks, backslashes
/// and brackets are written `_`.
pub(super) fn harmless(text: &str) -> String {
    let plain = |c: char| !misleads(c) && !c.is_whitespace() && !"\"'`\\[]".contains(c);
    text.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_behind_a_device_has_what_is_known() {
        for (workload, interface, wanted) in [
            ("web", "eth0", Some("web eth0")),
            ("shop/web-0", "eth0", Some("shop/web-0 eth0")),
            ("web", "", Some("web")),
            ("", "eth0", None),
            ("", "", None),
        ] {
            let names = EndNames { workload, interface, network: "shop_front" };
            assert_eq!(names.bracketed().as_deref(), wanted, "{workload} {interface}");
        }
    }

    #[test]
    fn no_name_ends_its_brackets_its_line_or_a_label() {
        for hostile in
            ["a] veth1[b", "a\nb", "a\"} 1\nb{c=\"", "a\\", "\u{202e}a", "\x1b[2J", "a'b`c", "a\u{a0}b"]
        {
            let names = EndNames { workload: hostile, interface: hostile, network: "" };
            let text = names.bracketed().unwrap();
            assert_eq!(text.matches(' ').count(), 1, "{text:?}");
            assert!(!text.chars().any(|c| misleads(c) || "[]\"\\'`".contains(c)), "{text:?}");
        }
        let long = "é".repeat(5000);
        let names = EndNames { workload: &long, interface: "eth0", network: "" };
        assert_eq!(names.bracketed().unwrap(), "é".repeat(LONGEST_BRACKETED));
    }
}
