//! A session as its client gets it: what must be known of it before anything is signed.
//!
//! A client signs the text of a nonce and the text of a session's JWT. The server chose both. An
//! attacker who answers in the server's place would choose a text that is worth something
//! elsewhere. So both texts must have a form that means nothing in any other protocol, and the JWT
//! must name the server and the account.

use thiserror::Error;

use super::{
    claims::{ClaimError, Claims},
    session::{HEADER, MAX_LEN},
};
use crate::{
    UnixTime,
    strict::{base64url, json::Object},
};

/// The bytes of a nonce.
const NONCE: usize = 16;
/// The bytes of a MAC by HS256.
const MAC: usize = 32;

/// Whose session a client has asked for.
#[derive(Clone, Copy, Debug)]
pub struct SessionExpectations<'a> {
    /// The issuer identifier of the server that the client talks to.
    pub issuer: &'a str,
    /// The account that it has asked a session for, as it named it.
    pub subject: &'a str,
}

/// A nonce and the JWT of a session that are fit to be signed.
///
/// The nonce is 16 bytes in base64url, the JWT has the one header that a session has, claims, and
/// a MAC of 32 bytes. So the text of both together is the signing input of no JWS (RFC 7515 §5.1):
/// that has one dot, and this has two. Nor is it one whose payload is not encoded (RFC 7797) and
/// may have dots in it: what stands before the first dot decodes to a control character in its
/// seventeenth byte, which no JSON object has.
///
/// Whether the MAC is right only the server knows. It does not matter to the client: the claims
/// name this server and this account, so a signature is of no use to any other.
#[derive(Clone, Copy, Debug)]
pub struct OfferedSession<'a> {
    nonce: &'a str,
    jwt: &'a str,
}

impl<'a> OfferedSession<'a> {
    /// Checks the form of both texts, and that the session is the one that was asked for.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn parse(
        nonce: &'a str,
        jwt: &'a str,
        expected: &SessionExpectations<'_>,
        now: UnixTime,
    ) -> Result<Self, UnfitSession> {
        if !encodes::<NONCE>(nonce) {
            return Err(UnfitSession::Nonce);
        }
        let claims = payload(jwt).ok_or(UnfitSession::Form)?;
        check(Claims::new(&claims), expected, now)?;
        Ok(Self { nonce, jwt })
    }

    /// The nonce.
    pub const fn nonce(&self) -> &'a str {
        self.nonce
    }

    /// The JWT: base64url and two dots.
    pub const fn jwt(&self) -> &'a str {
        self.jwt
    }
}

/// The claims of a text that has the form of a session.
fn payload(jwt: &str) -> Option<Object> {
    let jwt = Some(jwt).filter(|jwt| jwt.len() <= MAX_LEN)?;
    let (claims, mac) = jwt.strip_prefix(HEADER)?.strip_prefix('.')?.split_once('.')?;
    let claims = encodes::<MAC>(mac).then(|| base64url::decode(claims).ok())??;
    Object::parse(claims).ok()
}

fn check(
    claims: Claims<'_>,
    expected: &SessionExpectations<'_>,
    now: UnixTime,
) -> Result<(), UnfitSession> {
    let issuer = claims.optional_string("iss")?.ok_or(UnfitSession::NoIssuer)?;
    if issuer != expected.issuer {
        return Err(UnfitSession::Issuer(issuer.to_owned()));
    }
    // Usernames do not differ by case.
    if !claims.string("sub")?.eq_ignore_ascii_case(expected.subject) {
        return Err(UnfitSession::Subject);
    }
    if now >= claims.date("exp")? {
        return Err(UnfitSession::Expired);
    }
    Ok(())
}

/// Whether `text` is the base64url of that many bytes.
fn encodes<const BYTES: usize>(text: &str) -> bool {
    base64url::decode(text).is_ok_and(|bytes| bytes.len() == BYTES)
}

/// Why a client does not sign what a server sent as nonce and session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnfitSession {
    /// Its end lies in the past.
    #[error("the session has expired, by the clock of this machine")]
    Expired,
    /// It is no JWT of a session.
    #[error("the JWT does not have the form of a session")]
    Form,
    /// It is the session of another server.
    #[error("the session belongs to {0:?}")]
    Issuer(String),
    /// It does not say of which server it is; older servers left that out.
    #[error("the session does not say which server it belongs to: it lacks iss")]
    NoIssuer,
    /// It is not a nonce.
    #[error("the nonce is not 16 bytes in base64url")]
    Nonce,
    /// It is a session of another account.
    #[error("the session is for another account than the one that was asked for")]
    Subject,
}

impl From<ClaimError> for UnfitSession {
    fn from(_: ClaimError) -> Self {
        Self::Form
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        envelope::aes_gcm::SealingKey,
        strict::json::parse_object,
        test_support::{NOW, ed25519, object},
        tokens::{jws, session::SessionSealer},
    };

    const ISSUER: &str = "https://auth.example";
    const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const LIFETIME: Duration = Duration::from_mins(30);
    const EXPECTED: SessionExpectations<'_> =
        SessionExpectations { issuer: ISSUER, subject: "alice" };

    fn issued() -> String {
        let key = SealingKey::from_bytes(&[1; 32]);
        SessionSealer::new(&key, ISSUER, LIFETIME).issue("alice", "session 1", NONCE, NOW)
    }

    /// A text with the header of a session, other claims, and a MAC of as many bytes as `mac`.
    fn made_up(claims: &str, mac: &[u8]) -> String {
        format!("{HEADER}.{}.{}", base64url::encode(claims.as_bytes()), base64url::encode(mac))
    }

    /// The same with the claims of a good session, but for `changes`; null removes a claim.
    fn changed(changes: Value) -> String {
        let mut claims = object(json!({ "iss": ISSUER, "sub": "alice", "exp": NOW.as_secs() + 1 }));
        claims.extend(object(changes));
        claims.retain(|_, value| !value.is_null());
        made_up(&Value::Object(claims).to_string(), &[7; MAC])
    }

    fn verdict(nonce: &str, jwt: &str) -> Result<(), UnfitSession> {
        OfferedSession::parse(nonce, jwt, &EXPECTED, NOW).map(drop)
    }

    #[test]
    fn what_the_server_issues_is_fit_until_it_expires() {
        let jwt = issued();
        let session = OfferedSession::parse(NONCE, &jwt, &EXPECTED, NOW).unwrap();
        assert_eq!((session.nonce(), session.jwt()), (NONCE, &*jwt));
        let at = |now| OfferedSession::parse(NONCE, &jwt, &EXPECTED, now).map(drop);
        assert_eq!(at(NOW + LIFETIME - Duration::from_millis(1)), Ok(()));
        assert_eq!(at(NOW + LIFETIME), Err(UnfitSession::Expired));
        let expected = SessionExpectations { subject: "Alice", ..EXPECTED };
        assert!(OfferedSession::parse(NONCE, &jwt, &expected, NOW).is_ok());
    }

    #[test]
    fn a_session_of_another_server_or_account_is_not_signed() {
        assert_eq!(verdict(NONCE, &changed(json!({}))), Ok(()));
        let other = "https://auth.example.evil";
        for issuer in [other, "https://auth.example/", "HTTPS://auth.example", "auth.example"] {
            let refused = verdict(NONCE, &changed(json!({ "iss": issuer })));
            assert_eq!(refused, Err(UnfitSession::Issuer(issuer.to_owned())));
        }
        for (changes, refusal) in [
            (json!({ "iss": null }), UnfitSession::NoIssuer),
            (json!({ "iss": [ISSUER] }), UnfitSession::Form),
            (json!({ "sub": "bob" }), UnfitSession::Subject),
            (json!({ "sub": null }), UnfitSession::Form),
            (json!({ "exp": null }), UnfitSession::Form),
            (json!({ "exp": NOW.as_secs() }), UnfitSession::Expired),
        ] {
            assert_eq!(verdict(NONCE, &changed(changes.clone())), Err(refusal), "{changes}");
        }
    }

    #[test]
    fn two_issuers_in_one_session_are_none() {
        let claims =
            format!(r#"{{"iss":"https://real","iss":"{ISSUER}","sub":"alice","exp":9e9}}"#);
        assert_eq!(verdict(NONCE, &made_up(&claims, &[7; MAC])), Err(UnfitSession::Form));
    }

    #[test]
    fn a_nonce_is_sixteen_bytes_in_canonical_base64url() {
        let jwt = issued();
        assert_eq!(verdict("-_AAAAAAAAAAAAAAAAAAAA", &jwt), Ok(()));
        for bad in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            // Stray bits.
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "+/AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAA.AAAAAAAAAAA",
            "AAAAAAAAAA AAAAAAAAAAA",
            "eyJhbGciOiJFUzI1NiJ9.e",
            "ÄÄÄÄÄÄÄÄÄÄÄ",
        ] {
            assert_eq!(verdict(bad, &jwt), Err(UnfitSession::Nonce), "{bad}");
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_session_is_not_signed() {
        let (good, claims) = (issued(), json!({ "iss": ISSUER, "sub": "alice", "exp": 9e9 }));
        let claims = claims.to_string();
        let key = ed25519(1);
        let header = object(json!({ "typ": "JWT" }));
        let payload = object(serde_json::from_str(&claims).unwrap());
        let jws = jws::sign(&key, key.algorithm(), &header, &payload).unwrap();
        let (signed, _) = jws.rsplit_once('.').unwrap();
        for bad in [
            "",
            ".",
            "..",
            HEADER,
            &jws,
            signed,
            // The rest of a signing input whose beginning was sent as the nonce.
            &signed[22..],
            &good[1..],
            good.rsplit_once('.').unwrap().0,
            &format!("{good}.e30"),
            &format!("{good} "),
            &format!("{HEADER}..{}", base64url::encode(&[7; MAC])),
            &made_up(&claims, &[7; MAC - 1]),
            &made_up(&claims, &[7; MAC + 1]),
            &made_up(&claims, &[]),
            &made_up("[]", &[7; MAC]),
            &made_up("", &[7; MAC]),
            &made_up(&format!("{claims} x"), &[7; MAC]),
            &changed(json!({ "padding": "x".repeat(MAX_LEN) })),
        ] {
            assert_eq!(verdict(NONCE, bad), Err(UnfitSession::Form), "{bad}");
        }
    }

    #[test]
    fn what_is_signed_can_be_the_signing_input_of_no_jws() {
        for nonce in [[0; 16], [255; 16], *b"{\"alg\":\"ES256\",\"", *br#"{"b64":false,"a""#] {
            let (nonce, jwt) = (base64url::encode(&nonce), issued());
            let session = OfferedSession::parse(&nonce, &jwt, &EXPECTED, NOW).unwrap();
            let text = format!("{}{}", session.nonce(), session.jwt());
            assert_eq!(text.matches('.').count(), 2);
            // An unencoded payload would begin after the first dot.
            let header = text.split('.').next().unwrap();
            assert!(base64url::decode(header).is_err(), "it is not even canonical");
            let whole = &header[..header.len() - 2];
            let decoded = base64url::decode(whole).unwrap();
            assert_eq!(decoded[16], 0x07, "a control character");
            assert!(parse_object(&decoded).is_err());
        }
    }
}
