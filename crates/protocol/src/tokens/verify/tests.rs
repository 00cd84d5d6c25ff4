//! RFC 9068 §4, one rule after the other, and what RFC 9449 §6 adds: the key that a token is
//! bound to.

mod claims;
mod time;

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    PasskeyStorage,
    keys::Algorithm,
    test_support::{NOW, ec_p256, ed25519, every_algorithm, object, rsa},
    tokens::{issue, jws},
};

const ISSUER: &str = "https://auth.example";
const AUDIENCE: &str = "https://api.example";
const SKEW: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_mins(5);

const EXPECTED: AccessTokenExpectations<'static> =
    AccessTokenExpectations { issuer: ISSUER, audience: AUDIENCE, skew: SKEW };

/// A token before it is signed, to be altered.
#[derive(Clone)]
struct Draft {
    header: Map<String, Value>,
    payload: Map<String, Value>,
}

impl Draft {
    /// A token that is accepted at [`NOW`].
    fn good() -> Self {
        let header = json!({ "typ": "at+jwt" });
        let payload = json!({
            "iss": ISSUER,
            "sub": account_id().to_string(),
            "aud": AUDIENCE,
            "client_id": credential().to_string(),
            "cnf": { "jkt": bound_to().to_string() },
            "scope": "read write",
            "jti": "token 1",
            "iat": NOW.as_secs(),
            "exp": (NOW + LIFETIME).as_secs(),
        });
        Self { header: object(header), payload: object(payload) }
    }

    fn set(&mut self, claim: &str, value: Value) {
        self.payload.insert(claim.to_owned(), value);
    }

    fn remove(&mut self, claim: &str) {
        self.payload.remove(claim).unwrap();
    }

    fn verify(&self, now: UnixTime) -> Result<AccessTokenClaims, AccessTokenError> {
        let key = ed25519(1);
        let token = jws::sign(&key, Algorithm::EdDsa, &self.header, &self.payload).unwrap();
        verify(&token, key.public_key(), now)
    }
}

/// The verdict about a good token with one alteration.
fn altered(alter: impl FnOnce(&mut Draft)) -> Result<AccessTokenClaims, AccessTokenError> {
    let mut draft = Draft::good();
    assert_eq!(draft.verify(NOW), Ok(claims()));
    alter(&mut draft);
    draft.verify(NOW)
}

/// The verdict about a good token with another value for one claim.
fn with(claim: &str, value: Value) -> Result<AccessTokenClaims, AccessTokenError> {
    altered(|draft| draft.set(claim, value))
}

fn verify(
    token: &str,
    key: &PublicKey,
    now: UnixTime,
) -> Result<AccessTokenClaims, AccessTokenError> {
    AccessToken::parse(token).unwrap().verify(key, &EXPECTED, now)
}

fn account_id() -> AccountId {
    AccountId::from_bytes([0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1])
}

fn credential() -> Thumbprint {
    ed25519(2).public_key().thumbprint()
}

fn bound_to() -> Thumbprint {
    ed25519(3).public_key().thumbprint()
}

fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        issuer: ISSUER.to_owned(),
        account_id: account_id(),
        audience: vec![AUDIENCE.to_owned()],
        credential: credential(),
        name: None,
        username: None,
        bound_to: bound_to(),
        scopes: "read write".parse().unwrap(),
        narrowed: false,
        token_id: "token 1".to_owned(),
        authentication: None,
        issued_at: NOW,
        expires_at: NOW + LIFETIME,
    }
}

#[test]
fn what_was_issued_is_accepted_with_every_algorithm() {
    for (algorithm, key) in every_algorithm() {
        let token = issue::access_token(&claims(), &key, algorithm).unwrap();
        let parsed = AccessToken::parse(&token).unwrap();
        assert_eq!(parsed.kid(), Some(key.public_key().thumbprint()));
        assert_eq!(verify(&token, key.public_key(), NOW), Ok(claims()), "{algorithm}");
    }
}

#[test]
fn several_audiences_and_no_scope_survive_issuing() {
    let key = ed25519(1);
    let audience = vec!["https://other.example".to_owned(), AUDIENCE.to_owned()];
    let claims = AccessTokenClaims { audience, scopes: Scopes::none(), ..claims() };
    let token = issue::access_token(&claims, &key, Algorithm::EdDsa).unwrap();
    assert_eq!(verify(&token, key.public_key(), NOW), Ok(claims));
}

#[test]
fn a_token_may_say_what_the_account_is_called() {
    let key = ed25519(1);
    let username = Some("alice".parse().unwrap());
    let claims = AccessTokenClaims { name: Some("alice".to_owned()), username, ..claims() };
    let token = issue::access_token(&claims, &key, Algorithm::EdDsa).unwrap();
    let jws = jws::Jws::parse(&token).unwrap().verify(key.public_key()).unwrap();
    let payload = jws.payload().to_map();
    assert_eq!(
        (&payload["name"], &payload["preferred_username"]),
        (&json!("alice"), &json!("alice"))
    );
    assert_eq!(verify(&token, key.public_key(), NOW), Ok(claims));
}

#[test]
fn a_username_that_is_none_is_left_out_and_refuses_nothing() {
    for name in ["", "a b", &"x".repeat(65), "01234567-89ab-7000-8000-000000000000"] {
        let mut draft = Draft::good();
        draft.set("preferred_username", json!(name));
        assert_eq!(draft.verify(NOW).map(|claims| claims.username), Ok(None), "{name:?}");
    }
}

#[test]
fn every_kind_of_login_survives_issuing_and_later_use() {
    let key = ed25519(1);
    let at = NOW - Duration::from_mins(7);
    for login in [
        AuthenticationContext::by_key(at),
        AuthenticationContext::by_password(at),
        AuthenticationContext::by_passkey(at, PasskeyStorage::OneDevice),
        AuthenticationContext::by_passkey(at, PasskeyStorage::Synced),
    ] {
        let claims = AccessTokenClaims { authentication: Some(login), ..claims() };
        let token = issue::access_token(&claims, &key, Algorithm::EdDsa).unwrap();
        assert_eq!(verify(&token, key.public_key(), NOW + LIFETIME), Ok(claims));
    }
}

#[test]
fn unknown_classes_and_methods_vouch_for_nothing() {
    let login = |acr: Value, amr: Value| {
        let mut draft = Draft::good();
        draft.set("auth_time", json!(NOW.as_secs()));
        draft.set("acr", acr);
        draft.set("amr", amr);
        draft.verify(NOW).map(|claims| claims.authentication)
    };
    let nothing =
        AuthenticationContext { at: NOW, methods: AuthenticationMethods::default(), class: None };
    assert_eq!(login(json!("phrh"), json!(["face", "PWD"])), Ok(Some(nothing)));
    let by_key = AuthenticationContext::by_key(NOW);
    assert_eq!(login(json!("urn:mace:silver"), json!(["iris", "pop"])), Ok(Some(by_key)));
    let malformed = |name| Err(AccessTokenError::Claim(ClaimError::Malformed(name)));
    assert_eq!(login(json!(["phr"]), json!([])), malformed("acr"));
    assert_eq!(login(json!("phr"), json!("pop")), malformed("amr"));
    assert_eq!(login(json!("phr"), json!(["pop", 1])), malformed("amr"));
}

#[test]
fn a_class_without_the_time_of_the_login_is_none() {
    let mut draft = Draft::good();
    draft.set("acr", json!("phr"));
    assert_eq!(draft.verify(NOW).map(|claims| claims.authentication), Ok(None));
}

#[test]
fn an_issued_token_says_what_rfc_9068_demands() {
    let key = ed25519(1);
    let authentication = Some(AuthenticationContext::by_passkey(NOW, PasskeyStorage::Synced));
    let claims = AccessTokenClaims { authentication, ..claims() };
    let token = issue::access_token(&claims, &key, Algorithm::EdDsa).unwrap();
    let jws = jws::Jws::parse(&token).unwrap().verify(key.public_key()).unwrap();
    let header = json!({
        "alg": "EdDSA",
        "kid": key.public_key().thumbprint().to_string(),
        "typ": "at+jwt",
    });
    assert_eq!(jws.header(), &object(header));
    let mut payload = Draft::good().payload;
    payload.insert("auth_time".to_owned(), json!(NOW.as_secs()));
    payload.insert("acr".to_owned(), json!("phr"));
    payload.insert("amr".to_owned(), json!(["pop", "user", "swk"]));
    assert_eq!(jws.payload().to_map(), payload);
}

#[test]
fn typ_must_be_at_jwt() {
    let typ = |typ: &str| altered(|draft| drop(draft.header.insert("typ".to_owned(), typ.into())));
    for accepted in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"] {
        assert_eq!(typ(accepted), Ok(claims()), "{accepted}");
    }
    for refused in [
        "JWT",
        "jwt",
        "",
        "at",
        "at+jwt ",
        "at+jwt;v=1",
        "text/at+jwt",
        "application/application/at+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "id_token",
    ] {
        assert_eq!(typ(refused), Err(AccessTokenError::Type), "{refused:?}");
    }
}

#[test]
fn a_missing_typ_is_refused() {
    let verdict = altered(|draft| drop(draft.header.remove("typ")));
    assert_eq!(verdict, Err(AccessTokenError::Type));
}

#[test]
fn only_the_issuers_key_verifies() {
    let token = issue::access_token(&claims(), &ed25519(1), Algorithm::EdDsa).unwrap();
    assert_eq!(verify(&token, ed25519(1).public_key(), NOW), Ok(claims()));
    // The key that the token is bound to and the credential are not the issuer.
    for key in [ed25519(2), ed25519(3), ec_p256(), rsa()] {
        let verdict = verify(&token, key.public_key(), NOW);
        assert_eq!(verdict, Err(AccessTokenError::Signature));
    }
}

#[test]
fn the_algorithm_cannot_be_swapped_under_one_key() {
    let key = rsa();
    for (signed, claimed) in
        [(Algorithm::Rs256, Algorithm::Ps256), (Algorithm::Ps256, Algorithm::Rs256)]
    {
        let token = issue::access_token(&claims(), &key, signed).unwrap();
        assert_eq!(verify(&token, key.public_key(), NOW), Ok(claims()));
        let other = issue::access_token(&claims(), &key, claimed).unwrap();
        let (header, _) = other.split_once('.').unwrap();
        let (_, rest) = token.split_once('.').unwrap();
        let verdict = verify(&format!("{header}.{rest}"), key.public_key(), NOW);
        assert_eq!(verdict, Err(AccessTokenError::Signature), "{signed} as {claimed}");
    }
}

#[test]
fn the_signature_is_checked_before_what_it_signs() {
    let mut draft = Draft::good();
    draft.header.clear();
    draft.payload.clear();
    let token = jws::sign(&ed25519(9), Algorithm::EdDsa, &draft.header, &draft.payload).unwrap();
    let verdict = verify(&token, ed25519(1).public_key(), NOW);
    assert_eq!(verdict, Err(AccessTokenError::Signature));
}

#[test]
fn further_claims_and_parameters_are_ignored() {
    let verdict = altered(|draft| {
        draft.set("roles", json!(["admin"]));
        draft.set("nonce", json!(7));
        draft.header.insert("x-extra".to_owned(), json!({ "a": [] }));
    });
    assert_eq!(verdict, Ok(claims()));
}

#[test]
fn the_issuer_itself_ignores_the_audience_and_nothing_else() {
    let verdict = |alter: fn(&mut Draft), key: &PublicKey, now| {
        let mut draft = Draft::good();
        draft.set("aud", json!("https://other.example"));
        alter(&mut draft);
        let token =
            jws::sign(&ed25519(1), Algorithm::EdDsa, &draft.header, &draft.payload).unwrap();
        let parsed = AccessToken::parse(&token).unwrap();
        parsed.verify_as_issuer(key, ISSUER, SKEW, now).map(drop)
    };
    let (own, key) = (ed25519(1), ed25519(2));
    let (own, other) = (own.public_key(), key.public_key());
    assert_eq!(verdict(|_| (), own, NOW), Ok(()));
    assert_eq!(verdict(|_| (), other, NOW), Err(AccessTokenError::Signature));
    assert_eq!(verdict(|draft| draft.header.clear(), own, NOW), Err(AccessTokenError::Type));
    let unbound = verdict(|draft| draft.remove("cnf"), own, NOW);
    assert_eq!(unbound, Err(AccessTokenError::Unbound));
    let foreign = verdict(|draft| draft.set("iss", json!("https://other.example")), own, NOW);
    assert_eq!(foreign, Err(AccessTokenError::Issuer));
    let unaddressed = verdict(|draft| draft.remove("aud"), own, NOW);
    assert_eq!(unaddressed, Err(ClaimError::Missing("aud").into()));
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(verdict(|_| (), own, end), Err(AccessTokenError::Expired));
    assert_eq!(verdict(|_| (), own, UnixTime::EPOCH), Err(AccessTokenError::NotYetValid));
}
