use proptest::prelude::*;

use super::{writer::write, *};
use crate::test_support::unhex;

fn bytes(digits: &str) -> Vec<u8> {
    unhex(&digits.replace(' ', ""))
}

fn refuses(digits: &str, error: CborError) {
    assert_eq!(parse(&bytes(digits)), Err(error), "{digits}");
}

#[test]
fn the_examples_of_rfc_8949_that_ctap2_allows() {
    for (digits, value) in [
        ("00", Value::Integer(0)),
        ("17", Value::Integer(23)),
        ("1818", Value::Integer(24)),
        ("1903e8", Value::Integer(1000)),
        ("1a000f4240", Value::Integer(1_000_000)),
        ("1bffffffffffffffff", Value::Integer(u64::MAX.into())),
        ("20", Value::Integer(-1)),
        ("3903e7", Value::Integer(-1000)),
        ("3bffffffffffffffff", Value::Integer(-1 - i128::from(u64::MAX))),
        ("f4", Value::Bool(false)),
        ("f5", Value::Bool(true)),
        ("f6", Value::Null),
        ("40", Value::Bytes(b"")),
        ("4401020304", Value::Bytes(&[1, 2, 3, 4])),
        ("60", Value::Text("")),
        ("62c3bc", Value::Text("ü")),
        ("80", Value::Array(vec![])),
        ("820103", Value::Array(vec![Value::Integer(1), Value::Integer(3)])),
        ("a0", Value::Map(Map(vec![]))),
    ] {
        assert_eq!(parse(&bytes(digits)), Ok(value), "{digits}");
    }
}

#[test]
fn entries_are_found_by_their_keys_in_whatever_order_they_stand() {
    let text = bytes("a4 6161 01 03 6162 20 82 f4 f6 0a a0");
    let Ok(Value::Map(map)) = parse(&text) else { panic!("a map") };
    assert_eq!(map.text("a").and_then(Value::as_integer), Some(1));
    assert_eq!(map.integer(3).and_then(Value::as_text), Some("b"));
    assert_eq!(map.integer(-1).and_then(Value::as_array).map(<[_]>::len), Some(2));
    assert!(map.integer(10).and_then(Value::as_map).is_some_and(Map::is_empty));
    assert_eq!(map.text("b"), None);
    assert_eq!(map.keys().count(), 4);
}

#[test]
fn a_key_twice_is_refused_wherever_it_stands() {
    refuses("a2 01 02 01 03", CborError::DuplicateKey);
    refuses("a3 6161 00 01 00 6161 01", CborError::DuplicateKey);
    refuses("81 a1 00 a2 20 f6 20 f6", CborError::DuplicateKey);
    assert!(parse(&bytes("a2 01 00 20 00")).is_ok());
}

#[test]
fn what_other_readers_tolerate() {
    for (digits, error) in [
        ("", CborError::EndOfBytes),
        ("18", CborError::EndOfBytes),
        ("42 00", CborError::EndOfBytes),
        ("5b ffffffffffffffff 00", CborError::EndOfBytes),
        ("9b ffffffffffffffff 00", CborError::EndOfBytes),
        ("bb ffffffffffffffff 00", CborError::EndOfBytes),
        ("00 00", CborError::TrailingBytes(1)),
        ("a0 f6f6", CborError::TrailingBytes(2)),
        ("1817", CborError::NotShortest),
        ("1900ff", CborError::NotShortest),
        ("1a0000ffff", CborError::NotShortest),
        ("1b00000000ffffffff", CborError::NotShortest),
        ("5801 00", CborError::NotShortest),
        ("b800", CborError::NotShortest),
        ("5f 4100 ff", CborError::IndefiniteLength),
        ("7f 6161 ff", CborError::IndefiniteLength),
        ("9f ff", CborError::IndefiniteLength),
        ("bf ff", CborError::IndefiniteLength),
        ("ff", CborError::IndefiniteLength),
        ("1c", CborError::Reserved(0x1c)),
        ("62 c328", CborError::NotUtf8),
        ("c0 00", CborError::Tag),
        ("d81e 80", CborError::Tag),
        ("f7", CborError::UnsupportedSimple),
        ("e0", CborError::UnsupportedSimple),
        ("f814", CborError::UnsupportedSimple),
        ("f8ff", CborError::UnsupportedSimple),
        ("f90000", CborError::UnsupportedSimple),
        ("fb3ff199999999999a", CborError::UnsupportedSimple),
        ("a1 40 00", CborError::KeyType),
        ("a1 80 00", CborError::KeyType),
        ("a1 f5 00", CborError::KeyType),
    ] {
        refuses(digits, error);
    }
}

#[test]
fn nesting() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(CborError::TooDeep));
    assert_eq!(parse(&nested(1_000_000)), Err(CborError::TooDeep));
    assert_eq!(parse(&[0xa1, 0x00].repeat(1_000_000)), Err(CborError::TooDeep));
}

proptest! {
    /// There is one spelling: what is read is written back byte for byte.
    #[test]
    fn one_spelling_only(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
        if let Ok((value, rest)) = parse_first(&bytes) {
            prop_assert_eq!([&write(&value), rest].concat(), bytes);
        }
    }

    /// The same for bytes that are more often CBOR.
    #[test]
    fn one_spelling_only_of_likely_bytes(
        bytes in prop::collection::vec(prop::sample::select(&b"\x00\x01\x18\x19\x20\x40\x41\x58\x60\x61\x80\x81\x82\xa0\xa1\xa2\xf4\xf6"[..]), 0..24),
    ) {
        if let Ok(value) = parse(&bytes) {
            prop_assert_eq!(write(&value), bytes);
        }
    }
}
