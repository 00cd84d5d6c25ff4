//! Proofs that are refused, and what does not sway the guard.

use std::time::Duration;

use countersign_guard::Refusal;
use countersign_protocol::{
    challenges::sealed::Nonces as _,
    keys::{KeyError, KeyPolicy},
    proofs::dpop::DpopError,
    tokens::{claims::ClaimError, jws::JwsError},
};
use countersign_testkit::{
    keys::{RSA_2048_PEM, ed25519, from_pem, rsa_1024_public},
    samples::NOW,
};
use http::{HeaderValue, Method, Uri};
use serde_json::{Value, json};

use crate::world::{
    AUDIENCE, Client, INVALID_PROOF, INVALID_TOKEN, MILLISECOND, NONCE_LIFETIME, PATH, Proof, Told,
    USE_NONCE, World, nonces, request,
};

/// Fails unless a good proof is accepted, and refused for that reason with one alteration.
async fn refuses(alter: impl FnOnce(&mut Proof), error: impl Into<DpopError>, told: Told) {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let request = client.altered_request(&world, alter);
    let refused = world.refuses(&request, Refusal::Proof(error.into()), told).await;
    let token = refused.token.unwrap();
    assert_eq!(token.token_id, "token 1", "the audit trail learns whose token it was");
}

#[tokio::test]
async fn a_stolen_token_alone_is_refused() {
    let (world, client) = (World::new(), Client::new());
    let authorization = format!("DPoP {}", client.token);
    let bare = request(PATH, &[("authorization", &authorization)]);
    world.refuses(&bare, DpopError::Absent.into(), INVALID_PROOF).await;
}

#[tokio::test]
async fn a_stolen_token_with_the_thiefs_own_proof_is_refused() {
    let (world, victim) = (World::new(), Client::new());
    let thief = Client::with_token(ed25519(66), victim.token.clone());
    world.refuses(&thief.request(&world), DpopError::OtherKey.into(), INVALID_TOKEN).await;
}

#[tokio::test]
async fn of_a_foreign_key_nothing_is_looked_at_but_its_thumbprint() {
    let (world, victim) = (World::new(), Client::new());
    let thief = Client::with_token(ed25519(66), victim.token.clone());
    let weak = Value::Object(rsa_1024_public().to_jwk());
    for request in [
        thief.altered_request(&world, |proof| proof.payload.clear()),
        thief.altered_request(&world, |proof| proof.set("ath", "of another token")),
        thief.altered_request(&world, |proof| proof.set("iat", 0)),
        thief.altered_request(&world, |proof| drop(proof.header.insert("jwk".to_owned(), weak))),
    ] {
        world.refuses(&request, DpopError::OtherKey.into(), INVALID_TOKEN).await;
    }
}

#[tokio::test]
async fn a_proof_with_the_victims_key_must_be_signed_by_it() {
    let (world, victim) = (World::new(), Client::new());
    let proof = victim.proof(&world).sign(&ed25519(66));
    let request = victim.request_with(&proof);
    world.refuses(&request, DpopError::Signature.into(), INVALID_PROOF).await;
}

#[tokio::test]
async fn a_stolen_proof_is_for_one_token() {
    let (world, client) = (World::new(), Client::new());
    let other = Client::with_claims(crate::world::client_key(), |claims| {
        claims.token_id = "token 2".to_owned();
    });
    let request = other.request_with(&client.altered_proof(&world, |_| ()));
    world.refuses(&request, DpopError::AccessToken.into(), INVALID_PROOF).await;
}

#[tokio::test]
async fn two_proofs_are_refused() {
    let (world, client) = (World::new(), Client::new());
    let [one, other] = [(); 2].map(|()| client.altered_proof(&world, |_| ()));
    for pair in [[&one, &other], [&one, &one]] {
        let mut request = client.request_with(pair[0]);
        request.headers.append("dpop", HeaderValue::from_str(pair[1]).unwrap());
        world.refuses(&request, DpopError::Several.into(), INVALID_PROOF).await;
    }
    for joined in [format!("{one},{other}"), format!("{one}, {other}")] {
        let refusal = DpopError::Jws(JwsError::NotCompact).into();
        world.refuses(&client.request_with(&joined), refusal, INVALID_PROOF).await;
    }
    world.accepts(&client.request_with(&one)).await;
}

#[tokio::test]
async fn a_proof_that_is_no_jwt_is_refused() {
    let (world, client) = (World::new(), Client::new());
    for (text, error) in [
        ("", JwsError::NotCompact),
        ("proof", JwsError::NotCompact),
        ("a.b.c", JwsError::Header),
        ("eyJhbGciOiJub25lIn0.e30.", JwsError::Algorithm),
    ] {
        let refusal = DpopError::Jws(error).into();
        world.refuses(&client.request_with(text), refusal, INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn another_typ_is_refused() {
    let alter = |proof: &mut Proof| drop(proof.header.insert("typ".to_owned(), json!("JWT")));
    refuses(alter, DpopError::Type, INVALID_PROOF).await;
}

#[tokio::test]
async fn a_proof_without_a_key_is_refused() {
    let alter = |proof: &mut Proof| drop(proof.header.remove("jwk"));
    refuses(alter, DpopError::NoKey, INVALID_PROOF).await;
}

#[tokio::test]
async fn a_proof_with_a_private_key_is_refused() {
    let alter = |proof: &mut Proof| {
        let jwk = proof.header.get_mut("jwk").and_then(Value::as_object_mut).unwrap();
        jwk.insert("d".to_owned(), json!("AAAA"));
    };
    refuses(alter, KeyError::PrivateMember("d"), INVALID_PROOF).await;
}

#[tokio::test]
async fn a_key_below_the_policy_is_refused() {
    let rsa = || Client::with_claims(from_pem(RSA_2048_PEM), |_| ());
    let world = World::new();
    world.accepts(&rsa().request(&world)).await;
    let strict = World::with_policy(|policy| {
        policy.keys = KeyPolicy { min_rsa_bits: 3072, ..KeyPolicy::default() };
    });
    let refusal = DpopError::Key(KeyError::RsaTooSmall { bits: 2048, min: 3072 }).into();
    strict.refuses(&rsa().request(&strict), refusal, INVALID_PROOF).await;
}

#[tokio::test]
async fn a_weak_key_is_refused_even_where_a_token_is_bound_to_it() {
    let world = World::new();
    let weak = rsa_1024_public();
    let client = Client::with_claims(from_pem(RSA_2048_PEM), |claims| {
        claims.bound_to = weak.thumbprint();
    });
    let request = client.altered_request(&world, |proof| {
        proof.header.insert("jwk".to_owned(), Value::Object(weak.to_jwk()));
    });
    let refusal = DpopError::Key(KeyError::RsaTooSmall { bits: 1024, min: 2048 }).into();
    world.refuses(&request, refusal, INVALID_PROOF).await;
}

#[tokio::test]
async fn a_claim_that_is_missing_is_refused() {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        refuses(|proof| proof.remove(claim), ClaimError::Missing(claim), INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn another_method_is_refused() {
    refuses(|proof| proof.set("htm", "POST"), DpopError::Method, INVALID_PROOF).await;
    let (world, client) = (World::new(), Client::new());
    let mut request = client.request(&world);
    request.method = Method::DELETE;
    world.refuses(&request, DpopError::Method.into(), INVALID_PROOF).await;
}

#[tokio::test]
async fn another_uri_is_refused() {
    refuses(|proof| proof.set("htu", AUDIENCE), DpopError::Uri, INVALID_PROOF).await;
    let (world, client) = (World::new(), Client::new());
    for uri in ["/", "/v1/other", "/v1/things/", "//v1/things", "/v1%2Fthings", "/v1/things/1"] {
        let mut request = client.request(&world);
        request.uri = uri.parse().unwrap();
        world.refuses(&request, DpopError::Uri.into(), INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn a_request_target_without_a_path_is_refused() {
    let (world, client) = (World::new(), Client::new());
    for uri in [Uri::from_static("*"), Uri::from_static("api.example:443")] {
        let mut request = client.altered_request(&world, |proof| proof.set("htu", AUDIENCE));
        request.uri = uri;
        world.refuses(&request, DpopError::RequestUri.into(), INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn what_the_request_says_about_its_origin_does_not_count() {
    let fields = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/prefix"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/v1/other"),
        ("x-rewrite-url", "/v1/other"),
        ("x-http-method-override", "DELETE"),
    ];
    let (world, client) = (World::new(), Client::new());
    for (name, value) in fields {
        let mut genuine = client.request(&world);
        genuine.headers.insert(name, HeaderValue::from_static(value));
        world.accepts(&genuine).await;
    }
    for htu in [
        "https://evil.example/v1/things",
        "http://api.example/v1/things",
        "https://api.example:8443/v1/things",
        "https://api.example/prefix/v1/things",
        "https://api.example/v1/other",
    ] {
        let mut misled = client.altered_request(&world, |proof| proof.set("htu", htu));
        for (name, value) in fields {
            misled.headers.insert(name, HeaderValue::from_static(value));
        }
        world.refuses(&misled, DpopError::Uri.into(), INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn an_absolute_request_target_counts_by_its_path_only() {
    let (world, client) = (World::new(), Client::new());
    let absolute: Uri = "http://evil.example/v1/things".parse().unwrap();
    let mut genuine = client.request(&world);
    genuine.uri = absolute.clone();
    world.accepts(&genuine).await;
    let htu = absolute.to_string();
    let mut misled = client.altered_request(&world, |proof| proof.set("htu", htu));
    misled.uri = absolute;
    world.refuses(&misled, DpopError::Uri.into(), INVALID_PROOF).await;
}

#[tokio::test]
async fn an_old_proof_is_refused() {
    let (world, client) = (World::new(), Client::new());
    let old = |proof: &mut Proof| proof.set("iat", NOW.as_secs() - 61);
    refuses(old, DpopError::TooOld, INVALID_PROOF).await;
    let proof = client.altered_proof(&world, |_| ());
    let end = NOW + Duration::from_secs(61);
    world.clock.set(end);
    let request = client.request_with(&proof);
    world.refuses(&request, DpopError::TooOld.into(), INVALID_PROOF).await;
    world.clock.set(end - MILLISECOND);
    world.accepts(&request).await;
}

#[tokio::test]
async fn a_proof_from_the_future_is_refused() {
    let ahead = |proof: &mut Proof| proof.set("iat", NOW.as_secs() + 16);
    refuses(ahead, DpopError::FromTheFuture, INVALID_PROOF).await;
    let (world, client) = (World::new(), Client::new());
    let a_little = client.altered_request(&world, |proof| proof.set("iat", NOW.as_secs() + 15));
    world.accepts(&a_little).await;
}

#[tokio::test]
async fn a_proof_without_a_nonce_is_told_to_use_one() {
    refuses(|proof| proof.remove("nonce"), DpopError::Nonce, USE_NONCE).await;
}

#[tokio::test]
async fn a_foreign_nonce_is_refused() {
    let foreign = nonces(8).issue(NOW);
    refuses(|proof| proof.set("nonce", foreign), DpopError::Nonce, USE_NONCE).await;
    refuses(|proof| proof.set("nonce", "made up"), DpopError::Nonce, USE_NONCE).await;
}

#[tokio::test]
async fn an_expired_nonce_is_refused_and_a_fresh_one_helps() {
    let (world, client) = (World::new(), Client::new());
    let nonce = world.guard.fresh_nonce();
    let end = NOW + NONCE_LIFETIME;
    world.clock.set(end - MILLISECOND);
    let with = |nonce: String| client.altered_request(&world, |proof| proof.set("nonce", nonce));
    world.accepts(&with(nonce.clone())).await;
    world.clock.set(end);
    world.refuses(&with(nonce), DpopError::Nonce.into(), USE_NONCE).await;
    world.accepts(&with(world.guard.fresh_nonce())).await;
}

#[tokio::test]
async fn a_request_with_dot_segments_is_for_no_proof() {
    let (world, client) = (World::new(), Client::new());
    for uri in ["/v2/../v1/things", "/v1/./things", "/v2/%2e%2E/v1/things"] {
        let mut request = client.altered_request(&world, |_| ());
        request.uri = uri.parse().unwrap();
        world.refuses(&request, DpopError::RequestUri.into(), INVALID_PROOF).await;
    }
}

#[tokio::test]
async fn an_empty_nonce_or_null_asks_for_one() {
    refuses(|proof| proof.set("nonce", ""), DpopError::Nonce, USE_NONCE).await;
    refuses(|proof| proof.set("nonce", json!(null)), DpopError::Nonce, USE_NONCE).await;
}

#[tokio::test]
async fn a_nonce_of_another_type_is_refused() {
    let alter = |proof: &mut Proof| proof.set("nonce", 7);
    refuses(alter, ClaimError::Malformed("nonce"), INVALID_PROOF).await;
}
