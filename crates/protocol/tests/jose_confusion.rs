//! One kind of token must not pass for another (RFC 8725 §2.8, §3.11, §3.12).
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod nonces;
mod support;

use std::time::Duration;

use countersign_protocol::{
    AccountId, Scopes, UnixTime,
    digest::sha256,
    keys::{Algorithm, PrivateKey, Thumbprint},
    proofs::{
        dpop::{DpopError, DpopExpectations, NonceRule, PresentedProof, ProofWindow, TokenBinding},
        target_uri::TargetUri,
    },
    strict::base64url,
    tokens::{
        assertion::{AssertionError, AssertionExpectations, AssertionUse, PresentedAssertion},
        issue::{AccessTokenClaims, access_token},
        jws,
        verify::{AccessToken, AccessTokenError, AccessTokenExpectations},
    },
};
use serde_json::{Value, json};
use support::{ed25519, object};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const URI: &str = "https://auth.example/oauth/token";
const ACCESS_TOKEN: &str = "an.access.token";

/// Where a token can be presented.
#[derive(Debug)]
enum Place {
    AccessToken,
    Grant,
    ClientAuthentication,
    Proof,
}

const EVERYWHERE: [Place; 4] =
    [Place::AccessToken, Place::Grant, Place::ClientAuthentication, Place::Proof];

/// Why a token is refused somewhere.
#[derive(Debug, PartialEq)]
enum Refusal {
    AccessToken(AccessTokenError),
    Assertion(AssertionError),
    Proof(DpopError),
}

/// What every place says to a token by a key that it takes for the right one.
fn verdict(token: &str, key: &PrivateKey, issuer: &str, place: &Place) -> Result<(), Refusal> {
    let key = key.public_key();
    let (skew, max_lifetime) = (Duration::from_secs(5), Duration::from_mins(5));
    let assertion = |purpose| {
        let expected =
            AssertionExpectations { purpose, issuer, token_endpoint: URI, max_lifetime, skew };
        let presented = PresentedAssertion::parse(token).unwrap();
        presented.verify(key, &expected, NOW).map(drop).map_err(Refusal::Assertion)
    };
    match place {
        Place::AccessToken => {
            let expected = AccessTokenExpectations { issuer, audience: issuer, skew };
            let presented = AccessToken::parse(token).unwrap();
            presented.verify(key, &expected, NOW).map(drop).map_err(Refusal::AccessToken)
        }
        Place::Grant => assertion(AssertionUse::Grant),
        Place::ClientAuthentication => assertion(AssertionUse::ClientAuthentication),
        Place::Proof => {
            let nonces = nonces::nonces(max_lifetime);
            let ath = sha256(&[ACCESS_TOKEN.as_bytes()]);
            let expected = DpopExpectations {
                method: "POST",
                uri: &TargetUri::parse(URI).unwrap(),
                access_token: Some(TokenBinding { ath, jkt: key.thumbprint() }),
                nonce: NonceRule::IfPresent(&nonces),
                window: ProofWindow::default(),
            };
            PresentedProof::parse(token)
                .and_then(|proof| proof.verify(key, &expected, NOW))
                .map(drop)
                .map_err(Refusal::Proof)
        }
    }
}

/// The refusal of a token of another kind.
fn other_kind(place: &Place) -> Refusal {
    match place {
        Place::AccessToken => Refusal::AccessToken(AccessTokenError::Type),
        Place::Grant | Place::ClientAuthentication => Refusal::Assertion(AssertionError::Type),
        Place::Proof => Refusal::Proof(DpopError::Type),
    }
}

/// The worst case: one key for everything, and claims that satisfy every verifier at once. Then
/// `typ` is all that is left, and it must be enough.
#[test]
fn typ_alone_keeps_the_kinds_of_tokens_apart() {
    let key = ed25519(1);
    // An issuer that is called like an account, so that `iss` = `sub` fits everywhere.
    let issuer = account_id().to_string();
    let payload = object(json!({
        "iss": issuer,
        "sub": issuer,
        "aud": issuer,
        "client_id": thumbprint(1).to_string(),
        "cnf": { "jkt": thumbprint(1).to_string() },
        "jti": "a token",
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60,
        "htm": "POST",
        "htu": URI,
        "ath": base64url::encode(&sha256(&[ACCESS_TOKEN.as_bytes()])),
    }));
    let accepted = |typ: Option<&str>| {
        let mut header = object(json!({ "jwk": key.public_key().to_jwk() }));
        header.extend(typ.map(|typ| ("typ".to_owned(), Value::from(typ))));
        let token = jws::sign(&key, Algorithm::EdDsa, &header, &payload).unwrap();
        EVERYWHERE.map(|place| match verdict(&token, &key, &issuer, &place) {
            Ok(()) => true,
            Err(refusal) => {
                assert_eq!(refusal, other_kind(&place), "{typ:?} as {place:?}");
                false
            }
        })
    };
    for (typ, places) in [
        (Some("at+jwt"), [true, false, false, false]),
        (Some("application/at+jwt"), [true, false, false, false]),
        (Some("JWT"), [false, true, true, false]),
        (None, [false, true, true, false]),
        (Some("client-authentication+jwt"), [false, false, true, false]),
        (Some("dpop+jwt"), [false, false, false, true]),
        (Some("application/dpop+jwt"), [false, false, false, true]),
    ] {
        assert_eq!(accepted(typ), places, "{typ:?}");
    }
    for typ in [
        "logout+jwt",
        "dbsc+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "statuslist+jwt",
        "oauth-authz-req+jwt",
        "JOSE",
        "at+jwt+dpop+jwt",
        "",
    ] {
        assert_eq!(accepted(Some(typ)), [false; 4], "{typ:?}");
    }
}

#[test]
fn an_id_token_is_nothing_here() {
    // OpenID Connect Core §2, by the issuer's key.
    let payload = json!({
        "iss": ISSUER,
        "sub": account_id().to_string(),
        "aud": ISSUER,
        "exp": NOW.as_secs() + 60,
        "iat": NOW.as_secs(),
        "nonce": "n-0S6_WzA2Mj",
        "jti": "an ID token",
        "azp": ISSUER,
    });
    for header in [json!({}), json!({ "typ": "JWT" })] {
        let token =
            jws::sign(&issuer_key(), Algorithm::EdDsa, &object(header), &object(payload.clone()));
        let refusals = refusals(&token.unwrap(), &issuer_key());
        assert_eq!(refusals[0], Refusal::AccessToken(AccessTokenError::Type));
        assert_eq!(refusals[1], Refusal::Assertion(AssertionError::Issuer));
        assert_eq!(refusals[2], Refusal::Assertion(AssertionError::Issuer));
        assert_eq!(refusals[3], Refusal::Proof(DpopError::Type));
    }
}

#[test]
fn a_logout_token_is_nothing_here() {
    // OpenID Connect Back-Channel Logout §2.4.
    let payload = json!({
        "iss": ISSUER,
        "sub": account_id().to_string(),
        "aud": ISSUER,
        "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60,
        "jti": "a logout token",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let header = object(json!({ "typ": "logout+jwt" }));
    let token = jws::sign(&issuer_key(), Algorithm::EdDsa, &header, &object(payload)).unwrap();
    assert_eq!(refusals(&token, &issuer_key()), EVERYWHERE.map(|place| other_kind(&place)));
}

#[test]
fn an_access_token_is_an_access_token_only() {
    let token = access_token(&access_token_claims(), &issuer_key(), Algorithm::EdDsa).unwrap();
    let accepted = verdict(&token, &issuer_key(), ISSUER, &Place::AccessToken);
    assert_eq!(accepted, Ok(()));
    for place in [Place::Grant, Place::ClientAuthentication] {
        // Against the credential, which is what such an endpoint would look up.
        let refusal = verdict(&token, &credential_key(), ISSUER, &place);
        assert_eq!(refusal, Err(Refusal::Assertion(AssertionError::Signature)));
        let refusal = verdict(&token, &issuer_key(), ISSUER, &place);
        assert_eq!(refusal, Err(other_kind(&place)));
    }
    let refusal = verdict(&token, &issuer_key(), ISSUER, &Place::Proof);
    assert_eq!(refusal, Err(other_kind(&Place::Proof)));
}

#[test]
fn an_assertion_is_an_assertion_only() {
    let payload = json!({
        "iss": "alice",
        "sub": "alice",
        "aud": ISSUER,
        "exp": NOW.as_secs() + 60,
        "jti": "an assertion",
    });
    let token =
        jws::sign(&credential_key(), Algorithm::EdDsa, &object(json!({})), &object(payload))
            .unwrap();
    assert_eq!(verdict(&token, &credential_key(), ISSUER, &Place::Grant), Ok(()));
    let refusal = verdict(&token, &issuer_key(), ISSUER, &Place::AccessToken);
    assert_eq!(refusal, Err(Refusal::AccessToken(AccessTokenError::Signature)));
    for place in [Place::AccessToken, Place::Proof] {
        let refusal = verdict(&token, &credential_key(), ISSUER, &place);
        assert_eq!(refusal, Err(other_kind(&place)));
    }
}

#[test]
fn a_proof_is_a_proof_only() {
    let header = json!({ "typ": "dpop+jwt", "jwk": credential_key().public_key().to_jwk() });
    let payload = json!({
        "htm": "POST",
        "htu": URI,
        "iat": NOW.as_secs(),
        "jti": "a proof",
        "ath": base64url::encode(&sha256(&[ACCESS_TOKEN.as_bytes()])),
    });
    let token =
        jws::sign(&credential_key(), Algorithm::EdDsa, &object(header), &object(payload)).unwrap();
    assert_eq!(verdict(&token, &credential_key(), ISSUER, &Place::Proof), Ok(()));
    for place in [Place::AccessToken, Place::Grant, Place::ClientAuthentication] {
        let refusal = verdict(&token, &credential_key(), ISSUER, &place);
        assert_eq!(refusal, Err(other_kind(&place)));
    }
}

const ISSUER: &str = "https://auth.example";

fn refusals(token: &str, key: &PrivateKey) -> [Refusal; 4] {
    EVERYWHERE.map(|place| verdict(token, key, ISSUER, &place).unwrap_err())
}

fn issuer_key() -> PrivateKey {
    ed25519(1)
}

fn credential_key() -> PrivateKey {
    ed25519(2)
}

fn thumbprint(seed: u8) -> Thumbprint {
    ed25519(seed).public_key().thumbprint()
}

fn account_id() -> AccountId {
    AccountId::from_bytes([0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1])
}

fn access_token_claims() -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: ISSUER.to_owned(),
        account_id: account_id(),
        audience: vec![ISSUER.to_owned()],
        credential: thumbprint(2),
        name: None,
        username: None,
        bound_to: thumbprint(2),
        scopes: Scopes::none(),
        narrowed: false,
        token_id: "an access token".to_owned(),
        authentication: None,
        issued_at: NOW,
        expires_at: NOW + Duration::from_mins(1),
    }
}
