//! Writes rows as JSON into memory, with the very bytes of `serde_json` and in less time: a key is the
//! name of a field and needs no escape, and a text is looked at once as a whole.

use serde::Serialize;
use serde::ser::{
    Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer,
};
use serde_json::Error;

/// Appends the JSON of a row.
///
/// # Errors
/// Fails if the row has something that rows do not have: an enumeration with values, or bytes.
pub(super) fn write_row(piece: &mut Vec<u8>, row: &impl Serialize) -> Result<(), Error> {
    row.serialize(JsonWriter(piece))
}

/// A serializer of the types that rows consist of.
struct JsonWriter<'a>(&'a mut Vec<u8>);

/// A sequence, a structure or a map that is being written.
struct JsonParts<'a> {
    piece: &'a mut Vec<u8>,
    /// The separator before the next element; empty before the first one.
    separator: &'static [u8],
    end: u8,
}

impl<'a> JsonWriter<'a> {
    fn begin(self, begin: u8, end: u8) -> JsonParts<'a> {
        self.0.push(begin);
        JsonParts { piece: self.0, separator: b"", end }
    }
}

impl JsonParts<'_> {
    fn separate(&mut self) {
        self.piece.extend_from_slice(std::mem::replace(&mut self.separator, b","));
    }

    fn finish(self) {
        self.piece.push(self.end);
    }
}

fn write_plain(piece: &mut Vec<u8>, text: &str) {
    piece.push(b'"');
    piece.extend_from_slice(text.as_bytes());
    piece.push(b'"');
}

/// Returns true if a text is written as it is (RFC 8259, 7).
fn is_plain(text: &str) -> bool {
    // Without an early end, so that many bytes are compared at a time.
    !text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

fn unsupported<T>(what: &str) -> Result<T, Error> {
    Err(Error::custom(format_args!("a row has no {what}")))
}

macro_rules! integers {
    ($($method:ident: $integer:ty,)*) => {$(
        fn $method(self, value: $integer) -> Result<(), Error> {
            self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            Ok(())
        }
    )*};
}

impl<'a> Serializer for JsonWriter<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = JsonParts<'a>;
    type SerializeTuple = JsonParts<'a>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = JsonParts<'a>;
    type SerializeStruct = JsonParts<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        match is_plain(value) {
            true => write_plain(self.0, value),
            false => serde_json::to_writer(self.0, value)?,
        }
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        unsupported("bytes")
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        unsupported(variant)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<JsonParts<'a>, Error> {
        Ok(self.begin(b'[', b']'))
    }

    fn serialize_tuple(self, _: usize) -> Result<JsonParts<'a>, Error> {
        Ok(self.begin(b'[', b']'))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Impossible<(), Error>, Error> {
        unsupported(name)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Error>, Error> {
        unsupported(variant)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<JsonParts<'a>, Error> {
        Ok(self.begin(b'{', b'}'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<JsonParts<'a>, Error> {
        Ok(self.begin(b'{', b'}'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Error>, Error> {
        unsupported(variant)
    }
}

impl SerializeSeq for JsonParts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(JsonWriter(self.piece))
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl SerializeTuple for JsonParts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStruct for JsonParts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.separate();
        write_plain(self.piece, key);
        self.piece.push(b':');
        value.serialize(JsonWriter(self.piece))
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

/// A structure with flattened fields is written as a map.
impl SerializeMap for JsonParts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        key.serialize(JsonWriter(self.piece))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.piece.push(b':');
        value.serialize(JsonWriter(self.piece))
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Serialize)]
    struct Inner<'a> {
        text: &'a str,
        number: Option<u64>,
    }

    #[derive(Serialize)]
    struct Outer<'a> {
        first: bool,
        #[serde(flatten)]
        inner: Inner<'a>,
        list: Vec<Inner<'a>>,
        pair: [Option<f64>; 2],
        signed: i32,
        empty: [u8; 0],
    }

    proptest! {
        #[test]
        fn a_row_has_the_bytes_that_serde_json_writes(
            texts in proptest::collection::vec("\\PC*|[ -~]*|[\\x00-\\x22\\x5c\\x7f]*", 0..4),
            numbers in proptest::collection::vec(proptest::option::of(any::<u64>()), 4),
            first: bool,
            signed: i32,
            real: f64,
        ) {
            let list = texts.iter().zip(&numbers).map(|(text, number)| Inner { text, number: *number });
            let text = texts.first().map_or("", |text| text);
            let inner = Inner { text, number: numbers[3] };
            let row = Outer { first, inner, list: list.collect(), pair: [Some(real), None], signed, empty: [] };
            let mut written = b"before".to_vec();
            write_row(&mut written, &row).unwrap();
            let expected = format!("before{}", serde_json::to_string(&row).unwrap());
            prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
        }
    }

    #[test]
    fn what_no_row_has_is_refused() {
        #[derive(Serialize)]
        enum Variants {
            Newtype(u8),
            Struct { field: u8 },
        }
        for row in [Variants::Newtype(1), Variants::Struct { field: 1 }] {
            assert!(write_row(&mut Vec::new(), &row).is_err());
        }
    }
}
