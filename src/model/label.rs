//! The bound on the length of a label's value, from any source.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The greatest length of a value, bytes.
pub(crate) const LONGEST: usize = 1024;

/// The number of hexadecimal digits after the `~` of a shortened value: they distinguish long values.
const DIGITS: usize = 16;

/// Shortens a value that is too long, and appends `~` and a hash of the whole value.
pub(crate) fn bound(value: &mut String) {
    if value.len() <= LONGEST {
        return;
    }
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let mut end = LONGEST - DIGITS - 1;
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.truncate(end);
    value.push_str(&format!("~{:016x}", hasher.finish()));
    value.shrink_to_fit();
}

/// Returns a copy of a value, shortened as by [`bound`].
pub(crate) fn bounded(value: &str) -> String {
    let mut value = value.to_owned();
    bound(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_of_the_longest_length_stays_as_it_is() {
        let value = "x".repeat(LONGEST);
        assert_eq!(bounded(&value), value);
    }

    #[test]
    fn two_long_values_that_differ_at_their_ends_stay_two() {
        let [a, b] = ["a", "b"].map(|end| bounded(&format!("{}{end}", "é".repeat(10_000))));
        assert_ne!(a, b);
        assert!(a.starts_with("éééé") && a.len() <= LONGEST && a.len() > LONGEST - 8, "{}", a.len());
        assert_eq!(a, bounded(&a));
    }

    proptest! {
        #[test]
        fn no_value_is_longer_and_none_is_cut_within_a_character(value in "\\PC{0,2000}") {
            let cut = bounded(&value);
            prop_assert!(cut.len() <= LONGEST);
            let same = cut.chars().zip(value.chars()).take_while(|(a, b)| a == b).count();
            prop_assert!(value.len() <= LONGEST || same > 200);
        }
    }
}
