//! A JSON object that is read where it lies.

use std::fmt;

use serde_json::{Map, Value};

use super::reader::{JsonError, Members, Node, Whole, read, to_map};

/// A JSON object, as strictly read as [`parse`](super::parse) says.
///
/// Strings are not copied out of the text. So all claims of a token together take two allocations,
/// where a map takes two for each claim.
#[derive(Clone)]
pub struct Object {
    text: String,
    members: Members,
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

impl Object {
    /// Parses one JSON text that must be an object. The size limit is the caller's.
    ///
    /// # Errors
    /// As [`parse`](super::parse), and [`JsonError::NotAnObject`].
    pub fn parse(text: Vec<u8>) -> Result<Self, JsonError> {
        let text = String::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        match read(&text)? {
            Whole::Object(members) => Ok(Self { text, members }),
            Whole::Other(_) => Err(JsonError::NotAnObject),
        }
    }

    /// The member `name`.
    pub fn get(&self, name: &str) -> Option<Member<'_>> {
        let (_, node) = self.members.iter().find(|(own, _)| own.resolve(&self.text) == name)?;
        Some(match node {
            Node::Text(text) => Member::Text(text.resolve(&self.text)),
            Node::Other(value) => Member::Other(value),
        })
    }

    /// Whether there is a member `name`.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members as a map.
    pub fn to_map(&self) -> Map<String, Value> {
        to_map(self.members.iter().cloned(), &self.text)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_map().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{
        super::{parse, parse_object},
        *,
    };

    /// What a text says that must be an object, whichever way it is asked.
    fn read_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
        let map = parse_object(text);
        let object = Object::parse(text.to_vec()).map(|object| object.to_map());
        assert_eq!(object, map, "{}", text.escape_ascii());
        let value = parse(text).and_then(|value| match value {
            Value::Object(members) => Ok(members),
            _ => Err(JsonError::NotAnObject),
        });
        assert_eq!(value, map, "{}", text.escape_ascii());
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
        for count in [2, 16, 17, 1000] {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            let text = format!("{{{}}}", members.join(","));
            assert_eq!(read_object(text.as_bytes()).unwrap().len(), count);
            for again in ["\"0\":1", "\"\\u0030\":1"] {
                let text = format!("{{{},{again}}}", members.join(","));
                let verdict = read_object(text.as_bytes());
                assert_eq!(verdict, Err(JsonError::DuplicateMember), "{count}");
            }
        }
    }

    #[test]
    fn a_name_twice_is_told_before_what_is_wrong_further_on() {
        for rest in ["", "x", ",", ",\"b\":[\"\\u0000\"]}", ",\"b\":01}", "} x"] {
            let text = format!("{{\"a\":1,\"a\":2{rest}");
            assert_eq!(read_object(text.as_bytes()), Err(JsonError::DuplicateMember), "{text}");
        }
        assert!(matches!(read_object(b"{\"a\":1,\"a\":"), Err(JsonError::Syntax { .. })));
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for text in ["[]", "1", "\"{}\"", "null"] {
            assert_eq!(read_object(text.as_bytes()), Err(JsonError::NotAnObject), "{text}");
        }
        for text in [
            "",
            "{",
            "{} x",
            "[",
            "[] x",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\u{0}\":1}",
            "{\"a\":1e999}",
            r#"{"a":"\ud800"}"#,
            "\u{c}{}",
        ] {
            let verdict = read_object(text.as_bytes());
            assert!(matches!(verdict, Err(JsonError::Syntax { .. })), "{text:?}: {verdict:?}");
        }
        for text in [r#"{"a\u0000":1}"#, r#"{"a":"\u0000"}"#, r#"{"a":["\u0000"]}"#] {
            assert_eq!(read_object(text.as_bytes()), Err(JsonError::Nul), "{text}");
        }
        let twice_inside = read_object(br#"{"a":{"b":1,"b":2}}"#);
        assert_eq!(twice_inside, Err(JsonError::DuplicateMember));
        assert_eq!(read_object("\u{feff}{}".as_bytes()), Err(JsonError::ByteOrderMark));
        assert_eq!(read_object(b"{\"a\":\"\xff\"}"), Err(JsonError::NotUtf8));
        assert!(read_object(deep(15).as_bytes()).is_ok());
        assert_eq!(read_object(deep(16).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(read_object(deep(1000).as_bytes()), Err(JsonError::TooDeep));
    }

    proptest! {
        #[test]
        fn an_object_is_what_serde_json_reads_or_refused(
            text in r#"\{?[\[\]{}:,"\\\\ua0-9e. -]{0,24}\}?"#,
        ) {
            if let Ok(members) = read_object(text.as_bytes()) {
                let other: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(other, Value::Object(members));
            }
        }

        #[test]
        fn an_object_is_refused_exactly_when_two_names_are_the_same(
            members in prop::collection::vec(("[a-c\"\\\\é]{0,2}", "[^\0]{0,6}"), 0..20),
        ) {
            let texts: Vec<String> =
                members.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
            let count = members.len();
            let expected: Map<String, Value> =
                members.into_iter().map(|(name, value)| (name, value.into())).collect();
            let verdict = read_object(format!("{{{}}}", texts.join(",")).as_bytes());
            if expected.len() == count {
                prop_assert_eq!(verdict, Ok(expected));
            } else {
                prop_assert_eq!(verdict, Err(JsonError::DuplicateMember));
            }
        }
    }
}
