//! Tokens that are bound to no key: refused, unless the policy says that they count.

use countersign_guard::{LoginLack, Proofs, Refusal, Requirements};
use countersign_protocol::{
    Coverage, Principal, ProofKind, Scopes,
    keys::Algorithm,
    tokens::{unbound::UnboundClaims, verify::AccessTokenError},
};
use countersign_testkit::{
    keys::ed25519,
    samples::{NOW, account_id},
};
use http::request::Parts;

use crate::world::{Client, ISSUER, PATH, TOKEN_LIFETIME, World, issuer_key, request};

fn accepting_bearer() -> World {
    World::accepting(Proofs { bearer: true, ..Proofs::default() }, |_| ())
}

fn claims() -> UnboundClaims {
    UnboundClaims {
        issuer: ISSUER.to_owned(),
        account_id: account_id(1),
        name: "alice".to_owned(),
        token_id: "token 1".to_owned(),
        issued_at: NOW,
        expires_at: NOW + TOKEN_LIFETIME,
    }
}

fn signed(claims: &UnboundClaims) -> String {
    claims.sign(&issuer_key(), Algorithm::EdDsa).unwrap()
}

fn bearing(token: &str) -> Parts {
    request(PATH, &[("authorization", &format!("Bearer {token}"))])
}

#[tokio::test]
async fn by_default_an_unbound_token_is_worth_nothing() {
    let refused = World::new().verify(&bearing(&signed(&claims()))).await;
    assert_eq!(refused, Err(Refusal::Downgrade));
}

#[tokio::test]
async fn where_they_count_an_unbound_token_proves_no_key() {
    let world = accepting_bearer();
    let principal = world.accepts(&bearing(&signed(&claims()))).await;
    assert_eq!(
        principal,
        Principal {
            account_id: account_id(1),
            username: Some("alice".parse().unwrap()),
            key: None,
            proof: ProofKind::Bearer,
            token_id: Some("token 1".to_owned()),
            scopes: Scopes::none(),
            narrowed: false,
            covers: Coverage::NOTHING,
            authentication: None,
            issued_at: Some(NOW),
            expires_at: NOW + TOKEN_LIFETIME,
        }
    );
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_even_where_those_count() {
    let world = accepting_bearer();
    let client = Client::new();
    assert_eq!(world.verify(&bearing(&client.token)).await, Err(Refusal::Downgrade));
    world.accepts(&client.request(&world)).await;
}

#[tokio::test]
async fn a_revoked_expired_or_foreign_one_is_refused() {
    let world = accepting_bearer();
    world.standing.revoke("token 1");
    let token = signed(&claims());
    assert_eq!(world.verify(&bearing(&token)).await, Err(Refusal::Revoked));

    let world = accepting_bearer();
    world.clock.advance(TOKEN_LIFETIME * 2);
    let expired = Refusal::Token(AccessTokenError::Expired);
    assert_eq!(world.verify(&bearing(&token)).await, Err(expired));

    let forged = claims().sign(&ed25519(9), Algorithm::EdDsa).unwrap();
    let refused = accepting_bearer().verify(&bearing(&forged)).await;
    assert_eq!(refused, Err(Refusal::UnknownSigningKey));
    let foreign = UnboundClaims { issuer: "https://other.example".to_owned(), ..claims() };
    let refused = accepting_bearer().verify(&bearing(&signed(&foreign))).await;
    assert_eq!(refused, Err(Refusal::Downgrade), "not one of the issuer's at all");
}

#[tokio::test]
async fn an_unbound_token_has_no_scope() {
    let world = accepting_bearer();
    let parts = bearing(&signed(&claims()));
    let required = Requirements::scopes("read".parse().unwrap());
    let request = countersign_guard::Request { required: &required, ..(&parts).into() };
    let refused = world.guard.verify_request(request).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::InsufficientScope("read".parse().unwrap()));
    assert_eq!(refused.proof, ProofKind::Bearer);
}

#[tokio::test]
async fn an_unbound_token_says_nothing_about_a_login() {
    let world = accepting_bearer();
    let parts = bearing(&signed(&claims()));
    let required = Requirements::none().max_age(TOKEN_LIFETIME);
    let request = countersign_guard::Request { required: &required, ..(&parts).into() };
    let refused = world.guard.verify_request(request).await.unwrap_err();
    let Refusal::InsufficientLogin(error) = refused.refusal.clone() else { panic!("{refused:?}") };
    assert_eq!(error.lack, LoginLack::Unknown);
    let challenges = world.guard.challenges(&refused);
    let [challenge] = challenges.as_slice() else { panic!("{challenges:?}") };
    let challenge = challenge.to_str().unwrap();
    assert!(challenge.starts_with("DPoP "), "the scheme that can say it: {challenge}");
    assert!(challenge.ends_with(", max_age=\"300\""), "{challenge}");
    assert!(challenge.contains("present the access token with a DPoP proof"), "{challenge}");
}

#[tokio::test]
async fn challenges_and_metadata_say_what_counts() {
    let metadata = "https://api.example/.well-known/oauth-protected-resource";
    let proofs = Proofs { bearer: true, ..Proofs::default() };
    let world = World::accepting(proofs, |policy| policy.metadata_url = Some(metadata.to_owned()));
    let refused = world.guard.verify(&request(PATH, &[])).await.unwrap_err();
    let challenges = world.guard.challenges(&refused);
    let challenges: Vec<&str> = challenges.iter().map(|value| value.to_str().unwrap()).collect();
    let named = format!("resource_metadata=\"{metadata}\"");
    assert_eq!(
        challenges,
        [
            format!("DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\", {named}"),
            format!("Bearer realm=\"countersign\", {named}"),
        ]
    );

    let document = world.guard.metadata(&["read"]);
    assert_eq!(document["resource"], "https://api.example");
    assert_eq!(document["authorization_servers"][0], ISSUER);
    assert_eq!(document["dpop_bound_access_tokens_required"], false);
    assert_eq!(document["scopes_supported"][0], "read");
    let strict = World::new().guard.metadata(&[]);
    assert_eq!(strict["dpop_bound_access_tokens_required"], true);
    assert!(strict.get("scopes_supported").is_none());
}
