//! The one reader: it copies no string that lies in the text as it is.

use std::{cell::Cell, fmt, ops::Range};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use thiserror::Error as ThisError;

/// How deep arrays and objects may nest; the outermost one counts.
pub const MAX_DEPTH: usize = 16;

/// Among so few members, looking at each pair for the same name is the fastest.
const FEW: usize = 16;

/// Why a text is not strict JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
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

/// What was read.
pub(super) enum Whole {
    Object(Members),
    Other(Node),
}

/// The members of the outermost object, in their order.
pub(super) type Members = Vec<(Text, Node)>;

/// A string: its place in the text, or a copy of its own if it was written with escapes.
#[derive(Clone)]
pub(super) enum Text {
    Here(Range<usize>),
    Resolved(Box<str>),
}

/// A value within the text.
#[derive(Clone)]
pub(super) enum Node {
    Text(Text),
    Other(Value),
}

impl Text {
    /// The string, given the text that it was read from.
    pub(super) fn resolve<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::Here(place) => &text[place.clone()],
            Self::Resolved(own) => own,
        }
    }

    fn into_string(self, text: &str) -> String {
        match self {
            Self::Here(place) => text[place].to_owned(),
            Self::Resolved(own) => own.into(),
        }
    }
}

impl Node {
    /// The value, given the text that it was read from.
    pub(super) fn into_value(self, text: &str) -> Value {
        match self {
            Self::Text(own) => Value::String(own.into_string(text)),
            Self::Other(value) => value,
        }
    }
}

/// The members as a map, given the text that they were read from.
pub(super) fn to_map(
    members: impl IntoIterator<Item = (Text, Node)>,
    text: &str,
) -> Map<String, Value> {
    let entry = |(name, node): (Text, Node)| (name.into_string(text), node.into_value(text));
    members.into_iter().map(entry).collect()
}

/// Reads one JSON text.
///
/// # Errors
/// As [`parse`](super::parse).
pub(super) fn read(text: &str) -> Result<Whole, JsonError> {
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let refusal = Cell::new(None);
    let reader = Reader { text, depth: 0, refusal: &refusal };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let whole = if text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        deserializer.deserialize_map(Outermost(reader)).map(Whole::Object)
    } else {
        reader.deserialize(&mut deserializer).map(Whole::Other)
    };
    whole.and_then(|whole| deserializer.end().map(|()| whole)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        refusal.get().unwrap_or(JsonError::Syntax { line, column })
    })
}

/// Reads one value of `text` inside `depth` arrays and objects. `refusal` carries the reason past
/// serde's error type, which holds only text.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    depth: usize,
    refusal: &'a Cell<Option<JsonError>>,
}

impl Reader<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn refuse<E: Error>(self, reason: JsonError) -> E {
        self.refusal.set(Some(reason));
        E::custom(reason)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Other(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Other(Value::Number(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Other(Value::Number(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Node::Other(Value::Number(number)))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node, E> {
        StringReader(self).visit_borrowed_str(text).map(Node::Text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        StringReader(self).visit_str(text).map(Node::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element.into_value(self.text));
        }
        Ok(Node::Other(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key_seed(StringReader(inside))? {
            let value = members.next_value_seed(inside)?.into_value(self.text);
            if object.insert(name.into_string(self.text), value).is_some() {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
        }
        Ok(Node::Other(Value::Object(object)))
    }
}

/// Reads a name or a string.
struct StringReader<'a>(Reader<'a>);

impl<'de> DeserializeSeed<'de> for StringReader<'_> {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for StringReader<'_> {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON string")
    }

    /// A string that lies in the text as it is, and so without U+0000, which must be escaped.
    fn visit_borrowed_str<E: Error>(self, part: &'de str) -> Result<Text, E> {
        let start = part.as_ptr().addr() - self.0.text.as_ptr().addr();
        Ok(Text::Here(start..start + part.len()))
    }

    /// A string with escapes.
    fn visit_str<E: Error>(self, resolved: &str) -> Result<Text, E> {
        if resolved.contains('\0') {
            return Err(self.0.refuse(JsonError::Nul));
        }
        Ok(Text::Resolved(resolved.into()))
    }
}

/// Reads the outermost object, whose members stay as they were read.
struct Outermost<'a>(Reader<'a>);

impl<'de> Visitor<'de> for Outermost<'_> {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Members, A::Error> {
        let mut members = Vec::with_capacity(FEW / 2);
        let end = read_members(self.0.inside()?, access, &mut members);
        // First, because the second of the name came before whatever is wrong further on.
        if has_duplicates(&members, self.0.text) {
            return Err(self.0.refuse(JsonError::DuplicateMember));
        }
        end.map(|()| members)
    }
}

fn read_members<'de, A: MapAccess<'de>>(
    inside: Reader<'_>,
    mut access: A,
    members: &mut Members,
) -> Result<(), A::Error> {
    while let Some(name) = access.next_key_seed(StringReader(inside))? {
        members.push((name, access.next_value_seed(inside)?));
    }
    Ok(())
}

fn has_duplicates(members: &Members, text: &str) -> bool {
    let name = |at: usize| members[at].0.resolve(text);
    if members.len() > FEW {
        let mut names: Vec<&str> = (0..members.len()).map(name).collect();
        names.sort_unstable();
        return names.windows(2).any(|pair| pair[0] == pair[1]);
    }
    (1..members.len()).any(|at| (0..at).any(|before| name(before) == name(at)))
}
