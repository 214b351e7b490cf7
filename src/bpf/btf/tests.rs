//! The tests make type information, whole and broken.

use super::*;

/// The types and the names of type information that a test makes.
struct Made {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Made {
    fn new() -> Made {
        Made { types: Vec::new(), strings: vec![0] }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, name: &str, kind: u32, count: u32, target: u32, more: &[u32]) -> &mut Made {
        let name = self.name(name);
        let words = [name, kind << 24 | count, target];
        words.iter().chain(more).for_each(|word| self.types.extend(word.to_ne_bytes()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let lengths = [24, 0, self.types.len(), self.types.len(), self.strings.len()];
        lengths.iter().for_each(|length| bytes.extend((*length as u32).to_ne_bytes()));
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// Returns types of each kind: a wanted structure with a pointer, an anonymous union and a structure that is
/// not wanted, an enumeration, and what is not needed.
fn made() -> Made {
    let mut made = Made::new();
    let [a, b, c, first, second] = ["a", "b", "c", "SKB_DROP_REASON_ONE", "TWO"].map(|name| made.name(name));
    made.add("int", kind::INT, 0, 4, &[32]); // 1
    made.add("unwanted", kind::STRUCT, 1, 4, &[a, 1, 0]); // 2
    made.add("", kind::PTR, 0, 2, &[]); // 3
    made.add("", kind::UNION, 2, 8, &[a, 1, 0, b, 3, 0]); // 4
    made.add("wanted", kind::STRUCT, 3, 24, &[a, 3, 0, 0, 4, 64, c, 2, 128]); // 5
    made.add("reasons", kind::ENUM, 2, 4, &[first, 7, second, 0x1_0000]); // 6
    made.add("proto", kind::FUNC_PROTO, 1, 0, &[a, 1]); // 7
    made.add("array", kind::ARRAY, 0, 0, &[1, 1, 5]); // 8
    made.add("section", kind::DATASEC, 1, 4, &[7, 0, 4]); // 9
    made.add("wide", kind::ENUM64, 1, 8, &[first, 1, 0]); // 10
    made.add("tag", kind::DECL_TAG, 0, 5, &[0]); // 11
    made.add("alias", kind::TYPEDEF, 0, 5, &[]); // 12
    made.add("function", kind::FUNC, 0, 7, &[]); // 13
    made.add("late", kind::STRUCT, 1, 4, &[a, 1, 0]); // 14
    made
}

/// Returns the kinds of all types, with their names.
fn kinds(bytes: &[u8]) -> Vec<(u32, String)> {
    let types = KernelTypes::parse(bytes).unwrap();
    let name = |at: usize| String::from_utf8(types.name(types.word(at)).unwrap().to_vec()).unwrap();
    types.each().map(|(_, at)| (types.kind(at), name(at))).collect()
}

#[test]
fn an_enumeration_has_its_names_by_number() {
    let bytes = made().bytes();
    let types = KernelTypes::parse(&bytes).unwrap();
    let reasons = types.enumeration("reasons").unwrap();
    let wanted = BTreeMap::from([(7, "SKB_DROP_REASON_ONE".to_owned()), (0x1_0000, "TWO".to_owned())]);
    assert_eq!(reasons, wanted);
    assert_eq!(types.enumeration("wanted"), None, "a structure is no enumeration");
    assert_eq!(types.enumeration("none"), None);
}

#[test]
fn what_is_kept_keeps_its_number_and_the_rest_has_no_name() {
    let bytes = made().bytes();
    let kept = KernelTypes::parse(&bytes).unwrap().only(&["wanted", "function"]);
    let left = (kind::FWD, String::new());
    let named = |kind, name: &str| (kind, name.to_owned());
    let mut wanted = vec![left.clone(); 13];
    wanted[0] = named(kind::INT, "int");
    wanted[2] = named(kind::PTR, "");
    wanted[3] = named(kind::UNION, "");
    wanted[4] = named(kind::STRUCT, "wanted");
    wanted[12] = named(kind::FUNC, "function");
    assert_eq!(kinds(&kept), wanted);
    // The parser of the loader reads it as well.
    aya::Btf::parse(&kept, aya::Endianness::default()).unwrap();
}

#[test]
fn bytes_that_are_cut_or_changed_are_refused_or_read_and_never_more() {
    let bytes = made().bytes();
    for length in 0..bytes.len() {
        assert!(KernelTypes::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] = value;
            if let Ok(types) = KernelTypes::parse(&broken) {
                types.enumeration("reasons");
                types.only(&["wanted", "function", "alias", "array"]);
            }
        }
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let mut made = made();
    made.add("new", 25, 0, 0, &[]);
    let error = KernelTypes::parse(&made.bytes()).err();
    assert_eq!(error, Some(BtfError::Kind(15, 25)));
    assert_eq!(error.unwrap().to_string(), "type 15 is of the unknown kind 25");
}
