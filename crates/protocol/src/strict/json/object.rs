//! A JSON object that is read where it lies.

use std::{cell::Cell, fmt, ops::Range};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{JsonError, StrictValue, parse_object};

/// Among so few members, looking at each pair for the same name is the fastest.
const FEW: usize = 16;

/// A JSON object, as strictly read as [`parse_object`] does.
///
/// Strings stay in the text, where they lie as they are. So it takes two allocations for all of a
/// token's claims, where a map takes two for each of them.
#[derive(Clone)]
pub struct Object {
    text: String,
    members: Vec<(Text, Node)>,
}

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Member<'a> {
    /// A string.
    Text(&'a str),
    /// Anything else.
    Other(&'a Value),
}

impl<'a> Member<'a> {
    /// The string that it is.
    pub const fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    /// The array that it is.
    pub const fn as_array(self) -> Option<&'a Vec<Value>> {
        match self {
            Self::Other(Value::Array(elements)) => Some(elements),
            Self::Other(_) | Self::Text(_) => None,
        }
    }
}

/// A string: where it lies in the text, or itself where it was spelt with escapes.
#[derive(Clone)]
enum Text {
    Here(Range<usize>),
    Resolved(Box<str>),
}

#[derive(Clone)]
enum Node {
    Text(Text),
    Other(Value),
}

impl Object {
    /// Parses one JSON text that must be an object. The size limit is the caller's.
    ///
    /// # Errors
    /// As [`parse_object`].
    pub fn parse(text: Vec<u8>) -> Result<Self, JsonError> {
        let text = String::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        // What is wrong with a text, the other reader says.
        let refusal =
            |text: &str| parse_object(text.as_bytes()).err().unwrap_or(JsonError::NotAnObject);
        let Ok(members) = read(&text) else { return Err(refusal(&text)) };
        let object = Self { text, members };
        if object.has_duplicates() { Err(JsonError::DuplicateMember) } else { Ok(object) }
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<Member<'_>> {
        let (_, node) = self.members.iter().find(|(own, _)| self.resolve(own) == name)?;
        Some(self.member(node))
    }

    /// Whether there is a member `name`.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members as a map.
    pub fn to_map(&self) -> Map<String, Value> {
        let entry = |(name, node): &(Text, Node)| {
            let value = match self.member(node) {
                Member::Text(text) => Value::from(text),
                Member::Other(value) => value.clone(),
            };
            (self.resolve(name).to_owned(), value)
        };
        self.members.iter().map(entry).collect()
    }

    fn member<'a>(&'a self, node: &'a Node) -> Member<'a> {
        match node {
            Node::Text(text) => Member::Text(self.resolve(text)),
            Node::Other(value) => Member::Other(value),
        }
    }

    fn resolve<'a>(&'a self, text: &'a Text) -> &'a str {
        match text {
            Text::Here(place) => &self.text[place.clone()],
            Text::Resolved(text) => text,
        }
    }

    fn has_duplicates(&self) -> bool {
        let mut names: Vec<&str> = Vec::new();
        if self.members.len() > FEW {
            names.extend(self.members.iter().map(|(name, _)| self.resolve(name)));
            names.sort_unstable();
            return names.windows(2).any(|pair| pair[0] == pair[1]);
        }
        let name = |at: usize| self.resolve(&self.members[at].0);
        (1..self.members.len()).any(|at| (0..at).any(|before| name(before) == name(at)))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_map().fmt(formatter)
    }
}

fn read(text: &str) -> serde_json::Result<Vec<(Text, Node)>> {
    let refusal = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let inner = StrictValue { depth: 1, refusal: &refusal };
    let members = deserializer.deserialize_map(Members(Reader { text, inner }))?;
    deserializer.end().map(|()| members)
}

/// Reads from `text`; what is inside of arrays and objects by `inner`.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    inner: StrictValue<'a>,
}

impl Reader<'_> {
    /// A string that lies in the text as it is.
    fn here(self, part: &str) -> Text {
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        Text::Here(start..start + part.len())
    }

    /// A string with escapes.
    fn resolved<E: Error>(self, text: &str) -> Result<Text, E> {
        self.inner.checked(text)?;
        Ok(Text::Resolved(text.into()))
    }
}

/// Visits the object.
struct Members<'a>(Reader<'a>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(Text, Node)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(FEW / 2);
        while let Some(name) = access.next_key_seed(Content(self.0))? {
            let Node::Text(name) = name else { return Err(A::Error::custom("not a name")) };
            members.push((name, access.next_value_seed(Content(self.0))?));
        }
        Ok(members)
    }
}

/// Visits a name or a value.
struct Content<'a>(Reader<'a>);

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.inner.expecting(formatter)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node, E> {
        Ok(Node::Text(self.0.here(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.0.resolved(text).map(Node::Text)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.0.inner.visit_unit().map(Node::Other)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.0.inner.visit_bool(value).map(Node::Other)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.0.inner.visit_i64(value).map(Node::Other)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.0.inner.visit_u64(value).map(Node::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.0.inner.visit_f64(value).map(Node::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Node, A::Error> {
        self.0.inner.visit_seq(elements).map(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Node, A::Error> {
        self.0.inner.visit_map(members).map(Node::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What both readers say about a text, which must be the same.
    fn read_by_both(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
        let object = Object::parse(text.to_vec());
        let map = parse_object(text);
        assert_eq!(object.map(|object| object.to_map()), map, "{}", text.escape_ascii());
        map
    }

    #[test]
    fn members_are_found_by_their_names() {
        let text = r#"{"a":"one","\u0062":"t\u0077o","c":[{"d":null}],"é":1}"#;
        let object = Object::parse(text.into()).unwrap();
        assert_eq!(object.get("a"), Some(Member::Text("one")));
        assert_eq!(object.get("b").and_then(Member::as_str), Some("two"));
        assert_eq!(object.get("c"), Some(Member::Other(&json!([{ "d": null }]))));
        assert_eq!(object.get("é"), Some(Member::Other(&json!(1))));
        assert_eq!(object.get("d"), None);
        assert!(object.contains_key("c") && !object.contains_key("A"));
    }

    #[test]
    fn a_name_twice_is_refused_among_few_and_among_many() {
        for count in [2, FEW, FEW + 1, 1000] {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            let text = format!("{{{}}}", members.join(","));
            assert_eq!(read_by_both(text.as_bytes()).unwrap().len(), count);
            for again in ["\"0\":1", "\"\\u0030\":1"] {
                let text = format!("{{{},{again}}}", members.join(","));
                let verdict = read_by_both(text.as_bytes());
                assert_eq!(verdict, Err(JsonError::DuplicateMember), "{count}");
            }
        }
    }

    #[test]
    fn every_refusal_is_that_of_the_other_reader() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            "",
            "{",
            "{} x",
            "[]",
            "1",
            "\"{}\"",
            "null",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\u{0}\":1}",
            r#"{"a\u0000":1}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":["\u0000"]}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            "\u{feff}{}",
            "{\"a\":1e999}",
            r#"{"a":"\ud800"}"#,
            &deep(15),
            &deep(16),
            &deep(1000),
        ] {
            let _ = read_by_both(text.as_bytes());
        }
        assert!(read_by_both(deep(15).as_bytes()).is_ok());
        assert_eq!(read_by_both(deep(16).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(read_by_both(b"{\"a\":\"\xff\"}"), Err(JsonError::NotUtf8));
        assert_eq!(read_by_both(br#"{"a":"\u0000"}"#), Err(JsonError::Nul));
    }

    proptest! {
        #[test]
        fn both_readers_agree(text in r#"\{?[\[\]{}:,"\\\\ua0-9e. -]{0,24}\}?"#) {
            let _ = read_by_both(text.as_bytes());
        }

        #[test]
        fn both_readers_agree_on_objects(
            members in prop::collection::vec(("[a-c\"\\\\é]{0,2}", "[^\0]{0,6}"), 0..20),
        ) {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
            let _ = read_by_both(format!("{{{}}}", members.join(",")).as_bytes());
        }
    }
}
