//! The JWT of a session: HS256 with a secret that only the server has.
//!
//! It names the account and the server, and nothing more. A request is proven by a signature over
//! the session's nonce and this text. [`offered_session`](super::offered_session) has the checks
//! that a client makes before it signs. It is kept strictly apart from [`Jws`](super::jws::Jws),
//! which knows no symmetric algorithm: there is no code that could take a public key for an HMAC
//! secret.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde::Serialize;
use thiserror::Error;

use crate::{
    UnixTime,
    envelope::aes_gcm::SealingKey,
    strict::{base64url, json::Object},
    tokens::{
        claims::{ClaimError, Claims},
        jws,
    },
};

/// A longer text is refused before anything else is looked at.
pub const MAX_LEN: usize = 2 * 1024;

/// The one header that a session has, encoded: `{"alg":"HS256","typ":"JWT"}`.
pub(super) const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Whether `text` has the form of a session: the one header, claims, and a MAC of 32 bytes. Only
/// its issuer can tell whether it really is one.
pub fn has_form(text: &str) -> bool {
    let is_base64url = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && part.bytes().all(known)
    };
    let parts = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.'));
    let parts = parts.filter(|_| text.len() <= MAX_LEN).and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(claims, mac)| {
        is_base64url(claims) && is_base64url(mac) && mac.len() == MAC_LEN
    })
}

/// The length of a MAC by HS256 in base64url.
const MAC_LEN: usize = 43;

/// Issues and verifies sessions.
pub struct SessionSealer {
    key: hmac::Key,
    issuer: String,
    lifetime: Duration,
}

/// What a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// `sub`: the account, as the client named it.
    pub subject: String,
    /// `jti`: the session.
    pub session_id: String,
    /// `nonce`: the first nonce of the session.
    pub nonce: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
}

impl SessionSealer {
    /// For the server with this issuer identifier. The secret is derived from `key`, and sessions
    /// live for `lifetime`.
    pub fn new(key: &SealingKey, issuer: &str, lifetime: Duration) -> Self {
        Self { key: key.hmac_key("session jwt"), issuer: issuer.to_owned(), lifetime }
    }

    /// A session of `subject` from `now` on.
    pub fn issue(&self, subject: &str, session_id: &str, nonce: &str, now: UnixTime) -> String {
        let payload = Payload {
            exp: (now + self.lifetime).as_secs(),
            iat: now.as_secs(),
            iss: &self.issuer,
            jti: session_id,
            nonce,
            sub: subject,
        };
        let input = payload.under_header();
        let mac = hmac::sign(&self.key, input.as_bytes());
        jws::with_signature(input, mac.as_ref())
    }

    /// Checks MAC, issuer and time. Nothing of `text` is parsed before its MAC is known to be right.
    ///
    /// # Errors
    /// When it was not issued here, or its time is over.
    pub fn verify(&self, text: &str, now: UnixTime) -> Result<SessionClaims, SessionError> {
        if text.len() > MAX_LEN {
            return Err(SessionError::Foreign);
        }
        let (signed, mac) = text.rsplit_once('.').ok_or(SessionError::Foreign)?;
        let payload = signed.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.'));
        let payload = payload.ok_or(SessionError::Foreign)?;
        let mac = base64url::decode(mac).map_err(|_| SessionError::Foreign)?;
        hmac::verify(&self.key, signed.as_bytes(), &mac).map_err(|_| SessionError::Foreign)?;
        let claims = self.read(&decode(payload).ok_or(SessionError::Foreign)?)?;
        if now >= claims.expires_at {
            return Err(SessionError::Expired);
        }
        Ok(claims)
    }

    fn read(&self, payload: &Object) -> Result<SessionClaims, SessionError> {
        let claims = Claims::new(payload);
        if claims.string("iss")? != self.issuer {
            return Err(SessionError::Foreign);
        }
        Ok(SessionClaims {
            subject: claims.string("sub")?.to_owned(),
            session_id: claims.string("jti")?.to_owned(),
            nonce: claims.string("nonce")?.to_owned(),
            issued_at: claims.date("iat")?,
            expires_at: claims.date("exp")?,
        })
    }
}

/// The claims as they are written.
#[derive(Serialize)]
struct Payload<'a> {
    exp: u64,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    nonce: &'a str,
    sub: &'a str,
}

impl Payload<'_> {
    #[expect(clippy::expect_used, reason = "texts and numbers have a form in JSON")]
    fn under_header(&self) -> String {
        jws::signing_input(HEADER.to_owned(), self).expect("the claims are an object")
    }
}

fn decode(segment: &str) -> Option<Object> {
    Object::parse(base64url::decode(segment).ok()?).ok()
}

/// Why a text is not a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// It has expired.
    #[error("the session has expired")]
    Expired,
    /// It was not issued by this server, or was altered.
    #[error("the JWT is not a session of this server")]
    Foreign,
}

impl From<ClaimError> for SessionError {
    fn from(_: ClaimError) -> Self {
        Self::Foreign
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        test_support::{NOW, ed25519, object},
        tokens::jws::{Jws, JwsError},
    };

    const ISSUER: &str = "https://auth.example";
    const LIFETIME: Duration = Duration::from_mins(30);

    fn sealer(byte: u8) -> SessionSealer {
        SessionSealer::new(&SealingKey::from_bytes(&[byte; 32]), ISSUER, LIFETIME)
    }

    fn session() -> String {
        sealer(1).issue("alice", "session 1", "AAAAAAAAAAAAAAAAAAAAAA", NOW)
    }

    #[test]
    fn a_session_says_whose_it_is_until_it_ends() {
        let claims = sealer(1).verify(&session(), NOW).unwrap();
        assert_eq!(claims.subject, "alice");
        assert_eq!(claims.session_id, "session 1");
        assert_eq!(claims.nonce, "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(claims.expires_at, NOW + LIFETIME);
        let last = NOW + LIFETIME - Duration::from_millis(1);
        assert!(sealer(1).verify(&session(), last).is_ok());
        assert_eq!(sealer(1).verify(&session(), NOW + LIFETIME), Err(SessionError::Expired));
    }

    #[test]
    fn members_are_written_in_alphabetical_order() {
        let text = session();
        let (_, claims) = text.rsplit_once('.').unwrap().0.split_once('.').unwrap();
        let expected = json!({
            "iss": ISSUER,
            "sub": "alice",
            "jti": "session 1",
            "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
            "iat": NOW.as_secs(),
            "exp": (NOW + LIFETIME).as_secs(),
        });
        assert_eq!(base64url::decode(claims).unwrap(), expected.to_string().as_bytes());
    }

    #[test]
    fn a_session_of_another_issuer_is_refused_even_if_the_secret_is_the_same() {
        let other = SealingKey::from_bytes(&[1; 32]);
        let other = SessionSealer::new(&other, "https://auth.example.org", LIFETIME);
        let text = other.issue("alice", "session 1", "AAAAAAAAAAAAAAAAAAAAAA", NOW);
        assert!(other.verify(&text, NOW).is_ok());
        assert_eq!(sealer(1).verify(&text, NOW), Err(SessionError::Foreign));
    }

    #[test]
    fn only_what_has_the_form_of_a_session_can_be_one() {
        let text = session();
        assert!(has_form(&text));
        let (signed, _) = text.rsplit_once('.').unwrap();
        for other in
            ["", "x", HEADER, signed, &text[1..], &format!("{text}A"), &format!("{text}.A")]
        {
            assert!(!has_form(other), "{other}");
        }
        assert!(!has_form(&text.replace('.', "..")));
        assert!(!has_form(&text.replacen("eyJ", "eyK", 1)));
    }

    #[test]
    fn the_header_is_that_of_an_ordinary_jwt() {
        let header = decode(HEADER).unwrap();
        assert_eq!(header.to_map(), object(json!({ "alg": "HS256", "typ": "JWT" })));
    }

    #[test]
    fn every_alteration_is_refused() {
        let text = session();
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(sealer(1).verify(&altered, NOW), Err(SessionError::Foreign), "{place}");
        }
        for text in ["", ".", "..", HEADER, &text[1..], &format!("{text}."), &format!("{text} ")] {
            assert_eq!(sealer(1).verify(text, NOW), Err(SessionError::Foreign), "{text}");
        }
        assert_eq!(sealer(2).verify(&text, NOW), Err(SessionError::Foreign));
    }

    #[test]
    fn no_other_kind_of_token_is_a_session_and_no_session_another_kind() {
        assert_eq!(Jws::parse(&session()).unwrap_err(), JwsError::Algorithm);
        let key = ed25519(1);
        let payload =
            object(json!({ "sub": "alice", "jti": "1", "nonce": "n", "iat": 0, "exp": 9 }));
        let signed = jws::sign(&key, key.algorithm(), &Map::new(), &payload).unwrap();
        assert_eq!(sealer(1).verify(&signed, NOW), Err(SessionError::Foreign));
    }
}
