//! Reads registered claims (RFC 7519 §4.1) with their types; a wrong type is never an absent claim.

use serde_json::Value;
use thiserror::Error;

use crate::{
    UnixTime,
    keys::Thumbprint,
    strict::json::{Member, Object},
};

/// A longer string in a claim is refused.
const MAX_STRING: usize = 512;
/// An array with more members than this is refused.
const MAX_MEMBERS: usize = 16;

/// A reader over the payload of a token.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a>(&'a Object);

impl<'a> Claims<'a> {
    /// Reads from `payload`.
    pub const fn new(payload: &'a Object) -> Self {
        Self(payload)
    }

    /// Whether there is a claim of that name, whatever it is.
    pub fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A claim that must be there and be a non-empty string of at most 512 bytes.
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn string(self, name: &'static str) -> Result<&'a str, ClaimError> {
        self.string_up_to(MAX_STRING, name)
    }

    /// The same with another limit: at most `max_len` bytes.
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn string_up_to(self, max_len: usize, name: &'static str) -> Result<&'a str, ClaimError> {
        self.optional_string_up_to(max_len, name)?.ok_or(ClaimError::Missing(name))
    }

    /// The same for a claim that may be absent.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn optional_string(self, name: &'static str) -> Result<Option<&'a str>, ClaimError> {
        self.optional_string_up_to(MAX_STRING, name)
    }

    /// Whether a claim is there but says nothing: null or an empty string.
    pub fn is_blank(self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| {
            value.as_str() == Some("") || matches!(value, Member::Other(Value::Null))
        })
    }

    /// A `NumericDate` that must be there (RFC 7519 §2): from 1970 to 9999; fractions are cut off.
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn date(self, name: &'static str) -> Result<UnixTime, ClaimError> {
        self.optional_date(name)?.ok_or(ClaimError::Missing(name))
    }

    /// The same for a claim that may be absent.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn optional_date(self, name: &'static str) -> Result<Option<UnixTime>, ClaimError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let Member::Other(Value::Number(number)) = value else {
            return Err(ClaimError::Malformed(name));
        };
        let secs = number.as_u64().or_else(|| number.as_f64().and_then(whole_seconds));
        secs.filter(|secs| *secs <= UnixTime::MAX_SECS)
            .map(|secs| Some(UnixTime::from_secs(secs)))
            .ok_or(ClaimError::Malformed(name))
    }

    /// `aud`: a string or a non-empty array of strings (RFC 7519 §4.1.3).
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn audience(self) -> Result<Vec<&'a str>, ClaimError> {
        const NAME: &str = "aud";
        match self.0.get(NAME) {
            None => Err(ClaimError::Missing(NAME)),
            Some(Member::Other(Value::Array(list))) if (1..=MAX_MEMBERS).contains(&list.len()) => {
                list.iter().map(|item| item.as_str().ok_or(ClaimError::Malformed(NAME))).collect()
            }
            Some(_) => Ok(vec![self.string(NAME)?]),
        }
    }

    /// An array of at most 16 strings; of none where there is no such claim.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn strings(self, name: &'static str) -> Result<impl Iterator<Item = &'a str>, ClaimError> {
        let list: &[Value] = match self.0.get(name) {
            None => &[],
            Some(Member::Other(Value::Array(list))) if list.len() <= MAX_MEMBERS => list,
            Some(_) => return Err(ClaimError::Malformed(name)),
        };
        let all_are_strings = list.iter().all(Value::is_string);
        all_are_strings
            .then(|| list.iter().filter_map(Value::as_str))
            .ok_or(ClaimError::Malformed(name))
    }

    /// `cnf.jkt`, the thumbprint of the key that the token is bound to (RFC 9449 §6.1).
    ///
    /// A `cnf` without a `jkt`, or with a further method that would go unchecked, is malformed:
    /// a binding that is not understood must not turn into no binding.
    ///
    /// # Errors
    /// When `cnf` is there and is not exactly `{"jkt": thumbprint}`.
    pub fn optional_jkt(self) -> Result<Option<Thumbprint>, ClaimError> {
        const NAME: &str = "cnf";
        let Some(value) = self.0.get(NAME) else { return Ok(None) };
        let Member::Other(Value::Object(cnf)) = value else {
            return Err(ClaimError::Malformed(NAME));
        };
        let jkt = Some(cnf)
            .filter(|cnf| cnf.len() == 1)
            .and_then(|cnf| cnf.get("jkt"))
            .and_then(Value::as_str);
        let thumbprint = jkt.and_then(|jkt| jkt.parse().ok());
        thumbprint.map(Some).ok_or(ClaimError::Malformed(NAME))
    }

    fn optional_string_up_to(
        self,
        max_len: usize,
        name: &'static str,
    ) -> Result<Option<&'a str>, ClaimError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let text = value.as_str().ok_or(ClaimError::Malformed(name))?;
        if text.len() > max_len {
            return Err(ClaimError::TooLong { name, bytes: text.len(), max: max_len });
        }
        (!text.is_empty()).then_some(Some(text)).ok_or(ClaimError::Malformed(name))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked just before, and the fraction is meant to go"
)]
fn whole_seconds(number: f64) -> Option<u64> {
    const LIMIT: f64 = 253_402_300_800.0;
    (0.0..LIMIT).contains(&number).then_some(number as u64)
}

/// Why the claims of a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// A claim has the wrong type, or its value is out of range.
    #[error("the claim {0} is malformed")]
    Malformed(&'static str),
    /// A claim is not there.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// A claim is a longer text than it may be.
    #[error("the claim {name} has {bytes} bytes; at most {max} are accepted")]
    TooLong {
        /// The claim.
        name: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_support::members;

    fn read<T>(payload: &Value, read: impl FnOnce(Claims<'_>) -> T) -> T {
        read(Claims::new(&members(payload)))
    }

    #[test]
    fn a_date_is_a_number_of_seconds_in_range() {
        let date = |value| read(&json!({ "exp": value }), |claims| claims.date("exp"));
        assert_eq!(date(json!(1_700_000_000)), Ok(UnixTime::from_secs(1_700_000_000)));
        assert_eq!(date(json!(1_700_000_000.9)), Ok(UnixTime::from_secs(1_700_000_000)));
        assert_eq!(date(json!(253_402_300_799_u64)), Ok(UnixTime::from_secs(UnixTime::MAX_SECS)));
        for wrong in [
            json!("9999999999"),
            json!(1e300),
            json!(-1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(253_402_300_800_u64),
            json!(null),
            json!(true),
            json!([1_700_000_000]),
        ] {
            assert_eq!(date(wrong.clone()), Err(ClaimError::Malformed("exp")), "{wrong}");
        }
        assert_eq!(read(&json!({}), |claims| claims.date("exp")), Err(ClaimError::Missing("exp")));
    }

    #[test]
    fn a_wrongly_typed_optional_claim_is_not_an_absent_one() {
        let result = read(&json!({ "nbf": "0" }), |claims| claims.optional_date("nbf"));
        assert_eq!(result, Err(ClaimError::Malformed("nbf")));
        let result = read(&json!({ "jti": 7 }), |claims| claims.optional_string("jti").map(drop));
        assert_eq!(result, Err(ClaimError::Malformed("jti")));
    }

    #[test]
    fn an_audience_is_a_string_or_some_strings() {
        let audience = |value| {
            read(&json!({ "aud": value }), |claims| {
                claims.audience().map(|list| list.into_iter().map(str::to_owned).collect())
            })
        };
        assert_eq!(audience(json!("a")), Ok(vec!["a".to_owned()]));
        assert_eq!(audience(json!(["a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for wrong in [json!([]), json!({"a": 1}), json!([["a"]]), json!([1]), json!(""), json!(1)] {
            assert_eq!(audience(wrong.clone()), Err(ClaimError::Malformed("aud")), "{wrong}");
        }
    }

    #[test]
    fn strings_are_an_array_of_nothing_else() {
        let strings = |payload| {
            read(&payload, |claims| {
                claims.strings("amr").map(|list| list.map(str::to_owned).collect::<Vec<_>>())
            })
        };
        assert_eq!(strings(json!({})), Ok(vec![]));
        assert_eq!(strings(json!({ "amr": [] })), Ok(vec![]));
        assert_eq!(strings(json!({ "amr": ["a", "b"] })), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for wrong in [json!("a"), json!(null), json!({}), json!(["a", 1]), json!(vec!["a"; 17])] {
            let result = strings(json!({ "amr": wrong }));
            assert_eq!(result, Err(ClaimError::Malformed("amr")), "{wrong}");
        }
    }

    #[test]
    fn a_confirmation_that_is_not_understood_is_refused() {
        let jkt = |cnf| Claims::new(&members(&json!({ "cnf": cnf }))).optional_jkt();
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(jkt(json!({ "jkt": thumbprint })), Ok(Some(thumbprint.parse().unwrap())));
        for wrong in [
            json!({}),
            json!({ "x5t#S256": thumbprint }),
            json!({ "jkt": thumbprint, "x5t#S256": thumbprint }),
            json!({ "jkt": "short" }),
            json!(thumbprint),
            json!(null),
        ] {
            assert_eq!(jkt(wrong.clone()), Err(ClaimError::Malformed("cnf")), "{wrong}");
        }
    }
}
