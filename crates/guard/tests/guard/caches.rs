//! What the guard remembers must not make it accept more.

use countersign_guard::Refusal;
use countersign_protocol::{
    keys::Algorithm,
    proofs::dpop::DpopError,
    tokens::{jws, verify::AccessTokenError},
};
use countersign_testkit::{
    keys::{RSA_2048_PEM, ed25519, from_pem},
    samples::NOW,
};
use serde_json::{Value, json};

use crate::world::{
    Client, INVALID_PROOF, INVALID_TOKEN, MILLISECOND, NONCE_LIFETIME, TOKEN_LIFETIME, World,
    client_key, issuer_key,
};

#[tokio::test]
async fn a_token_is_verified_once() {
    let (world, client) = (World::new(), Client::new());
    for _ in 0..5 {
        world.accepts(&client.request(&world)).await;
    }
    assert_eq!(world.issuer_keys.asked(), 1);
    assert_eq!(world.standing.asked(), 5, "whether it was revoked is asked each time");
}

#[tokio::test]
async fn a_known_token_still_expires() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let end = NOW + TOKEN_LIFETIME + std::time::Duration::from_secs(5);
    world.clock.set(end - MILLISECOND);
    world.accepts(&client.request(&world)).await;
    world.clock.set(end);
    let expired = AccessTokenError::Expired.into();
    world.refuses(&client.request(&world), expired, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_known_token_is_not_valid_before_its_time() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.clock.set(NOW - NONCE_LIFETIME);
    let early = AccessTokenError::NotYetValid.into();
    world.refuses(&client.request(&world), early, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_known_token_can_be_revoked() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.standing.revoke("token 1");
    world.refuses(&client.request(&world), Refusal::Revoked, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_known_token_needs_its_proof_all_the_same() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let thief = Client::with_token(ed25519(66), client.token.clone());
    world.refuses(&thief.request(&world), DpopError::OtherKey.into(), INVALID_TOKEN).await;
}

#[tokio::test]
async fn tokens_verify_anew_when_a_key_of_the_issuer_is_withdrawn() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.issuer_keys.withdraw_all();
    world.refuses(&client.request(&world), Refusal::UnknownSigningKey, INVALID_TOKEN).await;
    world.issuer_keys.publish(issuer_key().public_key());
    world.accepts(&client.request(&world)).await;
    assert_eq!(world.issuer_keys.asked(), 3);
}

#[tokio::test]
async fn clones_of_a_guard_share_what_they_know() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    world.guard.clone().verify(&client.request(&world)).await.unwrap();
    assert_eq!(world.issuer_keys.asked(), 1);
}

#[tokio::test]
async fn another_text_with_the_same_claims_is_another_token() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let (input, _) = client.token.rsplit_once('.').unwrap();
    let forged = Client::with_token(client_key(), format!("{input}.{}", "A".repeat(86)));
    let refusal = AccessTokenError::Signature.into();
    world.refuses(&forged.request(&world), refusal, INVALID_TOKEN).await;
}

#[tokio::test]
async fn a_refused_token_is_not_remembered() {
    let world = World::new();
    let client = Client::with_claims(client_key(), |claims| claims.issuer.push('/'));
    for asked in 1..4 {
        let refusal = AccessTokenError::Issuer.into();
        world.refuses(&client.request(&world), refusal, INVALID_TOKEN).await;
        assert_eq!(world.issuer_keys.asked(), asked);
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let world = World::with_policy(|policy| policy.cache_capacity = 8);
    let clients: Vec<_> = (100..200)
        .map(|number| {
            Client::with_claims(ed25519(number), |claims| claims.token_id = number.to_string())
        })
        .collect();
    for client in clients.iter().chain(&clients) {
        world.accepts(&client.request(&world)).await;
    }
    let forgotten = world.issuer_keys.asked() - clients.len();
    assert!(forgotten >= clients.len() - 16, "only {forgotten} of 100 were forgotten");
}

#[tokio::test]
async fn the_alg_of_a_jwk_counts_for_a_known_key_too() {
    let (world, key) = (World::new(), from_pem(RSA_2048_PEM));
    let client = Client::with_claims(key, |_| ());
    let request = |jwk_alg: Option<&str>, algorithm| {
        let mut proof = client.proof(&world);
        let jwk = proof.header.get_mut("jwk").and_then(Value::as_object_mut).unwrap();
        jwk.extend(jwk_alg.map(|alg| ("alg".to_owned(), json!(alg))));
        let signed = jws::sign(&client.key, algorithm, &proof.header, &proof.payload).unwrap();
        client.request_with(&signed)
    };
    for _ in 0..2 {
        // The first round parses the key with a restriction, the second knows it.
        world.accepts(&request(Some("RS256"), Algorithm::Rs256)).await;
        world.accepts(&request(Some("PS256"), Algorithm::Ps256)).await;
        world.accepts(&request(None, Algorithm::Rs256)).await;
        world.accepts(&request(None, Algorithm::Ps256)).await;
        for (jwk_alg, algorithm) in [("PS256", Algorithm::Rs256), ("RS256", Algorithm::Ps256)] {
            let misused = request(Some(jwk_alg), algorithm);
            world.refuses(&misused, DpopError::Signature.into(), INVALID_PROOF).await;
        }
    }
}

#[tokio::test]
async fn a_known_key_must_be_spelt_properly_all_the_same() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let with_member = client.altered_request(&world, |proof| {
        let jwk = proof.header.get_mut("jwk").and_then(Value::as_object_mut).unwrap();
        jwk.insert("use".to_owned(), json!("enc"));
    });
    let refusal = DpopError::Key(countersign_protocol::keys::KeyError::InvalidUse).into();
    world.refuses(&with_member, refusal, INVALID_PROOF).await;
}
