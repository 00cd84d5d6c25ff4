//! What CBOR says.

/// A value. Strings are not copied out of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer (major types 0 and 1): −2⁶⁴ to 2⁶⁴ − 1.
    Integer(i128),
    /// Bytes (major type 2).
    Bytes(&'a [u8]),
    /// A text (major type 3).
    Text(&'a str),
    /// An array (major type 4).
    Array(Vec<Self>),
    /// A map (major type 5).
    Map(Map<'a>),
    /// `true` or `false` (major type 7).
    Bool(bool),
    /// `null` (major type 7).
    Null,
}

/// The key of an entry of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// An integer.
    Integer(i128),
    /// A text.
    Text(&'a str),
}

/// A map in which no key comes twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<'a>(pub(super) Vec<(Key<'a>, Value<'a>)>);

impl<'a> Value<'a> {
    /// The integer that it is.
    pub const fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes that it is.
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text that it is.
    pub const fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The array that it is.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The map that it is.
    pub const fn as_map(&self) -> Option<&Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }
}

impl<'a> Map<'a> {
    /// The value of the entry with this text as its key.
    pub fn text(&self, key: &str) -> Option<&Value<'a>> {
        self.get(Key::Text(key))
    }

    /// The value of the entry with this integer as its key.
    pub fn integer(&self, key: i128) -> Option<&Value<'a>> {
        self.get(Key::Integer(key))
    }

    /// The keys, in the order of the bytes.
    pub fn keys(&self) -> impl Iterator<Item = Key<'a>> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, key: Key<'_>) -> Option<&Value<'a>> {
        self.0.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }
}
