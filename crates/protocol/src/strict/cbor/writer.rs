//! What the reader reads, for tests.

use super::value::{Key, Map, Value};

/// A map with these entries, a key twice included.
pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (Key<'a>, Value<'a>)>) -> Value<'a> {
    Value::Map(Map(entries.into_iter().collect()))
}

/// The one spelling of `value` that is read.
pub(crate) fn write(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    append(value, &mut out);
    out
}

fn append(value: &Value<'_>, out: &mut Vec<u8>) {
    let mut head = |major: u8, number: u64| {
        let major = major << 5;
        let bytes = number.to_be_bytes();
        match number {
            0..24 => out.push(major + bytes[7]),
            24..0x100 => out.extend([major + 24, bytes[7]]),
            0x100..0x1_0000 => out.extend([&[major + 25], &bytes[6..]].concat()),
            0x1_0000..0x1_0000_0000 => out.extend([&[major + 26], &bytes[4..]].concat()),
            _ => out.extend([&[major + 27], &bytes[..]].concat()),
        }
    };
    let length = |length: usize| u64::try_from(length).unwrap();
    match value {
        Value::Integer(number) => match u64::try_from(*number) {
            Ok(number) => head(0, number),
            Err(_) => head(1, u64::try_from(-1 - number).unwrap()),
        },
        Value::Bytes(bytes) => {
            head(2, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
        Value::Text(text) => {
            head(3, length(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(elements) => {
            head(4, length(elements.len()));
            for element in elements {
                append(element, out);
            }
        }
        Value::Map(Map(entries)) => {
            head(5, length(entries.len()));
            for (key, value) in entries {
                let key = match key {
                    Key::Integer(number) => Value::Integer(*number),
                    Key::Text(text) => Value::Text(text),
                };
                append(&key, out);
                append(value, out);
            }
        }
        Value::Bool(value) => head(7, if *value { 21 } else { 20 }),
        Value::Null => head(7, 22),
    }
}
