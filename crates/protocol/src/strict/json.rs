//! JSON (RFC 8259) without the freedoms that make two readers disagree.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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
