//! JSON (RFC 8259) without the freedoms that make two readers disagree.
//!
//! There is one reader. An [`Object`] leaves strings where they lie in the text; [`parse`] and
//! [`parse_object`] turn what was read into the values of `serde_json`.

mod object;
mod reader;

use serde_json::{Map, Value};

pub use self::object::{Member, Object};
pub use self::reader::{JsonError, MAX_DEPTH};
use self::reader::{Whole, read, to_map};

/// Parses one JSON text. The size limit is the caller's.
///
/// Integers outside the 64-bit range become floating-point numbers, as in every `Value`.
///
/// # Errors
/// [`JsonError`] for anything that is not UTF-8 JSON without a byte order mark, duplicate member
/// names (at any depth, escapes resolved), U+0000, nesting beyond [`MAX_DEPTH`] or trailing bytes.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    Ok(match read(text)? {
        Whole::Object(members) => Value::Object(to_map(members, text)),
        Whole::Other(node) => node.into_value(text),
    })
}

/// Parses one JSON text that must be an object. The size limit is the caller's.
///
/// # Errors
/// As [`parse`], and [`JsonError::NotAnObject`].
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    match read(text)? {
        Whole::Object(members) => Ok(to_map(members, text)),
        Whole::Other(_) => Err(JsonError::NotAnObject),
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
