//! Tokens that are refused: RFC 9068 §4, RFC 6750 §3.1.

use std::time::Duration;

use countersign_guard::Refusal;
use countersign_protocol::{
    UnixTime,
    keys::Algorithm,
    strict::{base64url, json::parse_object},
    tokens::{
        claims::ClaimError,
        issue::AccessTokenClaims,
        jws::{self, JwsError},
        verify::AccessTokenError,
    },
};
use countersign_testkit::{
    keys::ed25519,
    samples::{NOW, account_id},
};
use serde_json::json;

use crate::world::{
    AUDIENCE, Client, INVALID_TOKEN, ISSUER, MILLISECOND, TOKEN_LIFETIME, World, claims,
    client_key, credential, issue, issuer_key, object,
};

const SKEW: Duration = Duration::from_secs(5);

/// Fails unless a good token is accepted and the altered one is refused.
async fn refuses(alter: impl FnOnce(&mut AccessTokenClaims), refusal: impl Into<Refusal>) {
    let world = World::new();
    world.accepts(&Client::new().request(&world)).await;
    let client = Client::with_claims(client_key(), alter);
    let refused = world.refuses(&client.request(&world), refusal.into(), INVALID_TOKEN).await;
    assert!(refused.token.is_none(), "a token that does not verify is nobody's");
}

/// Fails unless a request with this text for a token is refused.
async fn refuses_text(token: String, refusal: impl Into<Refusal>) {
    let world = World::new();
    let client = Client::with_token(client_key(), token);
    world.refuses(&client.request(&world), refusal.into(), INVALID_TOKEN).await;
    assert_eq!(world.standing.asked(), 0);
}

#[tokio::test]
async fn another_issuer_is_refused() {
    refuses(|claims| claims.issuer.push('/'), AccessTokenError::Issuer).await;
}

#[tokio::test]
async fn another_audience_is_refused() {
    let other = vec!["https://other.example".to_owned()];
    let told = AccessTokenError::Audience { expected: AUDIENCE.to_owned() };
    refuses(|claims| claims.audience = other, told).await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let alter = |claims: &mut AccessTokenClaims| {
        claims.issued_at = NOW - TOKEN_LIFETIME;
        claims.expires_at = NOW - SKEW;
    };
    refuses(alter, AccessTokenError::Expired).await;
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let alter = |claims: &mut AccessTokenClaims| {
        claims.issued_at = NOW + SKEW + Duration::from_secs(1);
    };
    refuses(alter, AccessTokenError::NotYetValid).await;
}

#[tokio::test]
async fn a_token_lives_to_the_millisecond() {
    let (world, client) = (World::new(), Client::new());
    let end = NOW + TOKEN_LIFETIME + SKEW;
    world.clock.set(end - MILLISECOND);
    world.accepts(&client.request(&world)).await;
    world.clock.set(end);
    let expired = AccessTokenError::Expired.into();
    world.refuses(&client.request(&world), expired, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_malformed_claim_is_refused() {
    let malformed = AccessTokenError::Claim(ClaimError::Malformed("jti"));
    refuses(|claims| claims.token_id.clear(), malformed).await;
}

#[tokio::test]
async fn an_unbound_token_is_refused() {
    let payload = json!({
        "iss": ISSUER,
        "sub": account_id(1).to_string(),
        "aud": AUDIENCE,
        "client_id": credential().to_string(),
        "jti": "token 1",
        "iat": NOW.as_secs(),
        "exp": (NOW + TOKEN_LIFETIME).as_secs(),
    });
    let kid = issuer_key().public_key().thumbprint().to_string();
    let header = object(json!({ "typ": "at+jwt", "kid": kid }));
    let mut payload = object(payload);
    let token = jws::sign(&issuer_key(), Algorithm::EdDsa, &header, &payload).unwrap();
    refuses_text(token, AccessTokenError::Unbound).await;

    let thumbprint = client_key().public_key().thumbprint().to_string();
    payload.insert("cnf".to_owned(), json!({ "x5t#S256": thumbprint }));
    let token = jws::sign(&issuer_key(), Algorithm::EdDsa, &header, &payload).unwrap();
    refuses_text(token, AccessTokenError::Claim(ClaimError::Malformed("cnf"))).await;
}

#[tokio::test]
async fn another_kind_of_token_is_refused() {
    let kid = issuer_key().public_key().thumbprint().to_string();
    for typ in ["JWT", "dpop+jwt", "logout+jwt"] {
        let header = object(json!({ "typ": typ, "kid": kid }));
        let token = jws::sign(&issuer_key(), Algorithm::EdDsa, &header, &object(json!({})));
        refuses_text(token.unwrap(), AccessTokenError::Type).await;
    }
}

#[tokio::test]
async fn a_forged_signature_is_refused() {
    let good = Client::new().token;
    let other = Client::with_claims(client_key(), |claims| claims.token_id.push('2')).token;
    let (input, _) = good.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    refuses_text(format!("{input}.{signature}"), AccessTokenError::Signature).await;
    refuses_text(format!("{input}."), AccessTokenError::Signature).await;
}

#[tokio::test]
async fn a_token_by_an_unknown_key_is_refused() {
    let claims = claims(client_key().public_key().thumbprint());
    // By itself the thief's token is perfect, down to the thumbprint of his key.
    refuses_text(issue(&claims, &ed25519(66)), Refusal::UnknownSigningKey).await;
    refuses_text(issue(&claims, &client_key()), Refusal::UnknownSigningKey).await;
}

#[tokio::test]
async fn a_token_that_names_a_known_key_must_be_by_it() {
    let world = World::new();
    let kid = issuer_key().public_key().thumbprint().to_string();
    let header = object(json!({
        "typ": "at+jwt",
        "kid": kid,
        "jwk": ed25519(66).public_key().to_jwk(),
    }));
    let genuine = Client::new();
    let (_, rest) = genuine.token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let payload = parse_object(&base64url::decode(payload).unwrap()).unwrap();
    let forged = jws::sign(&ed25519(66), Algorithm::EdDsa, &header, &payload).unwrap();
    let client = Client::with_token(client_key(), forged);
    let refusal = AccessTokenError::Signature.into();
    world.refuses(&client.request(&world), refusal, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_token_without_a_usable_kid_is_refused() {
    for header in [
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "at+jwt", "kid": "" }),
        json!({ "typ": "at+jwt", "kid": "../../etc/passwd" }),
        json!({ "typ": "at+jwt", "kid": "1" }),
    ] {
        let token = jws::sign(&issuer_key(), Algorithm::EdDsa, &object(header), &object(json!({})));
        refuses_text(token.unwrap(), Refusal::UnknownSigningKey).await;
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let good = Client::new().token;
    let (_, rest) = good.split_once('.').unwrap();
    for (text, error) in [
        ("opaque".to_owned(), JwsError::NotCompact),
        (format!("{good}.x"), JwsError::NotCompact),
        (format!("{good}="), JwsError::Signature),
        (format!("x{good}"), JwsError::Header),
        (format!("eyJhbGciOiJub25lIn0.{rest}"), JwsError::Algorithm),
        (format!("eyJhbGciOiJIUzI1NiJ9.{rest}"), JwsError::Algorithm),
        ("a".repeat(8193), JwsError::TooLong),
    ] {
        refuses_text(text, error).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.standing.revoke("another token");
    world.accepts(&client.request(&world)).await;
    world.standing.revoke("token 1");
    let request = client.request(&world);
    let refused = world.refuses(&request, Refusal::Revoked, INVALID_TOKEN).await;
    assert_eq!(refused.token.unwrap().token_id, "token 1", "for the audit trail");
}

#[tokio::test]
async fn the_clock_is_the_guards_own() {
    let (world, client) = (World::new(), Client::new());
    world.clock.set(UnixTime::EPOCH);
    let refusal = AccessTokenError::NotYetValid.into();
    world.refuses(&client.request(&world), refusal, INVALID_TOKEN).await;
}
