//! JSON (RFC 8259) without the freedoms that make two readers disagree.

mod object;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use self::object::{Member, Object};

/// How deep arrays and objects may nest; the outermost one counts.
pub const MAX_DEPTH: usize = 16;

/// Why a text is not strict JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It starts with a byte order mark (RFC 8259 §8.1).
    #[error("the JSON starts with a byte order mark")]
    ByteOrderMark,
    /// A member name appears twice in one object, perhaps spelled with different escapes.
    #[error("a member name appears twice in one JSON object")]
    DuplicateMember,
    /// A member name or string contains U+0000, which databases and C programs cut or refuse.
    #[error("a JSON string contains a NUL character")]
    Nul,
    /// It is JSON, but not an object.
    #[error("the JSON is not an object")]
    NotAnObject,
    /// It is not UTF-8.
    #[error("the JSON is not UTF-8")]
    NotUtf8,
    /// It does not follow the grammar.
    #[error("invalid JSON at line {line}, column {column}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
    },
    /// Arrays and objects nest deeper than [`MAX_DEPTH`].
    #[error("the JSON nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Parses one JSON text. The size limit is the caller's.
///
/// Integers outside the 64-bit range become floating-point numbers, as in every `Value`.
///
/// # Errors
/// [`JsonError`] for anything that is not UTF-8 JSON without a byte order mark, duplicate member
/// names (at any depth, escapes resolved), U+0000, nesting beyond [`MAX_DEPTH`] or trailing bytes.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let refusal = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    StrictValue { depth: 0, refusal: &refusal }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            refusal.get().unwrap_or(JsonError::Syntax { line, column })
        })
}

/// Parses one JSON text that must be an object. The size limit is the caller's.
///
/// # Errors
/// As [`parse`], and [`JsonError::NotAnObject`].
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(text)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// The same text without the white space that stands between its tokens, which means nothing
/// (RFC 8259 §2). Members keep their order, and numbers and strings their spelling.
///
/// # Errors
/// As [`parse`].
pub fn without_white_space(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    parse(text)?;
    let (mut in_string, mut escaped) = (false, false);
    let mut compact = Vec::with_capacity(text.len());
    for &byte in text {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            compact.push(byte);
        }
        (in_string, escaped) = match (byte, in_string) {
            (b'"', _) => (!in_string || escaped, false),
            (b'\\', true) => (true, !escaped),
            _ => (in_string, false),
        };
    }
    Ok(compact)
}

/// Reads one value inside `depth` arrays and objects. `refusal` carries the reason past serde's
/// error type, which holds only text.
#[derive(Clone, Copy)]
struct StrictValue<'a> {
    depth: usize,
    refusal: &'a Cell<Option<JsonError>>,
}

impl StrictValue<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn checked<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.refuse(JsonError::Nul)) } else { Ok(()) }
    }

    fn refuse<E: serde::de::Error>(self, reason: JsonError) -> E {
        self.refusal.set(Some(reason));
        E::custom(reason)
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.checked(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.checked(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.checked(&name)?;
            let value = members.next_value_seed(inside)?;
            if object.insert(name, value).is_some() {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refuses(text: &str, error: JsonError) {
        assert_eq!(parse(text.as_bytes()), Err(error), "{text:?}");
    }

    fn refuses_syntax(text: &str) {
        let result = parse(text.as_bytes());
        assert!(matches!(result, Err(JsonError::Syntax { .. })), "{text:?}: {result:?}");
    }

    #[test]
    fn white_space_goes_where_it_means_nothing_and_nowhere_else() {
        for (text, compact) in [
            (r#" { "a" : [ 1 , 2 ] , "b" : null } "#, r#"{"a":[1,2],"b":null}"#),
            ("{\r\n\t\"a b\":\" c \"}", "{\"a b\":\" c \"}"),
            (r#"["\" ", "\\" , "\\\" "]"#, r#"["\" ","\\","\\\" "]"#),
            (r#""é ü""#, r#""é ü""#),
            ("1.50 ", "1.50"),
        ] {
            assert_eq!(without_white_space(text.as_bytes()).unwrap(), compact.as_bytes());
            assert_eq!(parse(text.as_bytes()), parse(compact.as_bytes()));
        }
        for no_json in ["", "{", "1 2", r#"{"a":1,"a":1}"#] {
            assert!(without_white_space(no_json.as_bytes()).is_err(), "{no_json}");
        }
    }

    #[test]
    fn duplicate_members_at_any_depth_and_in_any_spelling() {
        refuses(r#"{"a":1,"a":1}"#, JsonError::DuplicateMember);
        refuses(r#"{"a":1,"\u0061":2}"#, JsonError::DuplicateMember);
        refuses(r#"{"é":1,"\u00e9":2}"#, JsonError::DuplicateMember);
        refuses(r#"{"\ud83d\ude00":1,"😀":2}"#, JsonError::DuplicateMember);
        refuses(r#"[{"x":{"a":null,"b":0,"a":null}}]"#, JsonError::DuplicateMember);
        assert!(parse(r#"{"a":{"a":1},"A":2}"#.as_bytes()).is_ok());
    }

    #[test]
    fn nesting() {
        let nested = |depth: usize| format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        refuses(&nested(MAX_DEPTH + 1), JsonError::TooDeep);
        refuses(&"[".repeat(1_000_000), JsonError::TooDeep);
        refuses(&"{\"a\":".repeat(1_000_000), JsonError::TooDeep);
    }

    #[test]
    fn bytes_that_are_not_plain_utf8() {
        refuses("\u{feff}{}", JsonError::ByteOrderMark);
        for bytes in [b"\"\xff\"".as_slice(), b"\"\xed\xa0\x80\"", b"\"\xc0\x80\"", b"{\0}\0"] {
            assert!(parse(bytes).is_err());
        }
        assert_eq!(parse(b"\"\xff\""), Err(JsonError::NotUtf8));
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(parse(&utf16).is_err());
    }

    #[test]
    fn nul_in_names_and_strings() {
        refuses(r#"{"a\u0000":1}"#, JsonError::Nul);
        refuses(r#"["\u0000"]"#, JsonError::Nul);
        refuses_syntax("\"\0\"");
        refuses_syntax("{}\0");
    }

    #[test]
    fn what_other_readers_tolerate() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{},",
            "[1,]",
            r#"{"a":1,}"#,
            "{a:1}",
            "{'a':1}",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "01",
            "+1",
            "1.",
            ".5",
            "0x1",
            "-",
            "nul",
            "// c\n{}",
            "/**/{}",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#"{"\ud800":1}"#,
            r#""\x41""#,
            "\"a\nb\"",
            "\"a\tb\"",
            "\u{a0}{}",
        ] {
            refuses_syntax(text);
        }
    }

    #[test]
    fn objects_only_where_objects_are_wanted() {
        for text in ["[]", "1", "\"{}\"", "null"] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError::NotAnObject));
        }
        assert!(parse_object(b" {\n} ").unwrap().is_empty());
    }

    #[test]
    fn errors_say_where() {
        let error = parse(b"{\n\"a\" 1}").unwrap_err();
        assert_eq!(error.to_string(), "invalid JSON at line 2, column 5");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| json!(f64::from(number) / 8.0)),
            "[^\0]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[^\0]{0,8}", inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn round_trip(value in values()) {
            prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn never_more_lenient_than_serde_json(text in r#"[\[\]{}:,"\\\\ua0-9e. -]{0,24}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            }
        }
    }
}
