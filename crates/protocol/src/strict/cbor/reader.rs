//! The one reader of CBOR.

use thiserror::Error;

use super::value::{Key, Map, Value};

/// Arrays and maps may be nested this deep. CTAP2 allows four levels; an attestation statement of
/// the form `compound` takes five.
pub const MAX_DEPTH: usize = 8;

/// What is left of the bytes.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::EndOfBytes)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CborError::EndOfBytes)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The major type and the argument of the next item (RFC 8949 §3).
    fn head(&mut self) -> Result<(u8, Argument), CborError> {
        let first = self.take(1)?[0];
        let (major, information) = (first >> 5, first & 0b1_1111);
        Ok((
            major,
            match information {
                0..=23 => Argument::Number(information.into()),
                24..=27 => self.wide(1 << (information - 24))?,
                31 => return Err(CborError::IndefiniteLength),
                _ => return Err(CborError::Reserved(first)),
            },
        ))
    }

    /// An argument that fills `width` bytes after the first one.
    fn wide(&mut self, width: u64) -> Result<Argument, CborError> {
        let bytes = self.take(width)?;
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let shortest = match width {
            1 => number >= 24,
            2 => number > u8::MAX.into(),
            4 => number > u16::MAX.into(),
            _ => number > u32::MAX.into(),
        };
        Ok(if shortest { Argument::Number(number) } else { Argument::Longer })
    }
}

/// The argument of an item.
enum Argument {
    /// In as few bytes as possible.
    Number(u64),
    /// In more bytes than necessary; floating-point numbers look like this too.
    Longer,
}

/// Reads the next value, which lies within `depth` arrays and maps.
pub(super) fn read<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Value<'a>, CborError> {
    let (major, argument) = reader.head()?;
    match major {
        6 => return Err(CborError::Tag),
        7 => return simple(&argument),
        4 | 5 if depth == MAX_DEPTH => return Err(CborError::TooDeep),
        _ => {}
    }
    let Argument::Number(number) = argument else { return Err(CborError::NotShortest) };
    Ok(match major {
        0 => Value::Integer(number.into()),
        1 => Value::Integer(-1 - i128::from(number)),
        2 => Value::Bytes(reader.take(number)?),
        3 => {
            let text = std::str::from_utf8(reader.take(number)?);
            Value::Text(text.map_err(|_| CborError::NotUtf8)?)
        }
        4 => Value::Array(elements(reader, number, depth + 1)?),
        _ => Value::Map(map(reader, number, depth + 1)?),
    })
}

/// A value of major type 7 (RFC 8949 §3.3).
const fn simple(argument: &Argument) -> Result<Value<'static>, CborError> {
    match argument {
        Argument::Number(20) => Ok(Value::Bool(false)),
        Argument::Number(21) => Ok(Value::Bool(true)),
        Argument::Number(22) => Ok(Value::Null),
        Argument::Number(_) | Argument::Longer => Err(CborError::UnsupportedSimple),
    }
}

/// The memory grows with what was read and not with `count`, which a peer can state as it likes.
fn elements<'a>(
    reader: &mut Reader<'a>,
    count: u64,
    depth: usize,
) -> Result<Vec<Value<'a>>, CborError> {
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(read(reader, depth)?);
    }
    Ok(elements)
}

fn map<'a>(reader: &mut Reader<'a>, count: u64, depth: usize) -> Result<Map<'a>, CborError> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let key = match read(reader, depth)? {
            Value::Integer(number) => Key::Integer(number),
            Value::Text(text) => Key::Text(text),
            Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Bool(_) | Value::Null => {
                return Err(CborError::KeyType);
            }
        };
        entries.push((key, read(reader, depth)?));
    }
    let mut keys: Vec<Key<'a>> = entries.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(CborError::DuplicateKey);
    }
    Ok(Map(entries))
}

/// Why bytes are not CBOR as it is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CborError {
    /// A map has the same key twice.
    #[error("a key comes twice in a map of the CBOR")]
    DuplicateKey,
    /// The bytes end within a value.
    #[error("the CBOR ends within a value")]
    EndOfBytes,
    /// A length is not stated at the beginning.
    #[error("the CBOR has a string, array or map of indefinite length")]
    IndefiniteLength,
    /// The key of a map is neither an integer nor a text.
    #[error("a key in a map of the CBOR is neither an integer nor a text")]
    KeyType,
    /// An integer or a length takes more bytes than necessary.
    #[error("an integer or a length in the CBOR takes more bytes than necessary")]
    NotShortest,
    /// A text is not UTF-8.
    #[error("a text in the CBOR is not UTF-8")]
    NotUtf8,
    /// A first byte that means nothing.
    #[error("the CBOR has the byte 0x{0:02x} where a value begins, which is reserved")]
    Reserved(u8),
    /// A tag.
    #[error("the CBOR has a tag")]
    Tag,
    /// Too many arrays and maps within each other.
    #[error("the CBOR is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// There is more than the value.
    #[error("{0} bytes follow the CBOR")]
    TrailingBytes(usize),
    /// A floating-point number, `undefined` or another simple value.
    #[error("the CBOR has a simple value other than true, false and null")]
    UnsupportedSimple,
}
