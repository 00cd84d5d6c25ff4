//! What a challenge for a step-up says of the request that it is made for.

use crate::digest::sha256;

/// The conditions under which a request is done (RFC 9110 §13.1): the values of its header fields,
/// without the white space around them. Of several fields of one name, the values follow each other
/// with a comma and a space between them (§5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
}

/// A request that a passkey is to allow: the digest of its method, its path, its conditions and its
/// body. No other header field changes what a request does to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// The digest of a request. `path` begins with a slash and has no query; `body_sha256` is the
    /// SHA-256 of the body, which is empty where there is none.
    pub fn of(
        method: &str,
        path: &str,
        conditions: Conditions<'_>,
        body_sha256: Option<[u8; 32]>,
    ) -> Self {
        let body = body_sha256.unwrap_or_else(|| sha256(&[]));
        // Neither a method nor a path nor the value of a field has a zero byte in it, and the body's
        // digest is of one length.
        let mut parts = vec![method.as_bytes(), b"\0", path.as_bytes(), b"\0", &body[..]];
        let Conditions { if_match, if_none_match } = conditions;
        for (name, value) in [(&b"if-match\0"[..], if_match), (b"if-none-match\0", if_none_match)] {
            if let Some(value) = value {
                parts.extend([name, value, b"\0"]);
            }
        }
        Self(sha256(&parts))
    }

    /// From the bytes that [`Self::as_bytes`] gives.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_and_an_empty_body_are_the_same() {
        let of = |body| RequestDigest::of("DELETE", "/v1/keys/x", Conditions::default(), body);
        assert_eq!(of(None), of(Some(sha256(&[]))));
    }

    #[test]
    fn a_request_of_one_condition_is_another_under_every_other() {
        let of = |if_match, if_none_match| {
            let conditions = Conditions { if_match, if_none_match };
            RequestDigest::of("PUT", "/v1/keyring", conditions, None)
        };
        let all: [RequestDigest; 7] = [
            of(None, None),
            of(Some(b"\"7\""), None),
            of(Some(b"\"8\""), None),
            of(Some(b""), None),
            of(None, Some(b"*")),
            of(None, Some(b"\"7\"")),
            of(Some(b"\"7\""), Some(b"*")),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
    }

    /// A change of it makes every challenge that is on its way void.
    #[test]
    fn the_digest_is_over_method_path_body_and_conditions() {
        let conditions = Conditions { if_match: Some(b"\"7\""), if_none_match: None };
        let digest = RequestDigest::of("PUT", "/v1/keyring", conditions, None);
        let expected = sha256(&[b"PUT\0/v1/keyring\0", &sha256(&[]), b"if-match\0\"7\"\0"]);
        assert_eq!(digest, RequestDigest(expected));
    }
}
