//! Every kind of proof, far from the issuer.

use std::time::Duration;

use countersign_guard::SelfSignedPolicy;
use countersign_protocol::{
    ProofKind, ProvenKey, keys::Algorithm, names::Fingerprint, proofs::body_hash::BodyHashes,
    proofs::self_signed::SelfSignedError, strict::base64, tokens::claims::ClaimError,
    tokens::unbound::UnboundClaims,
};
use countersign_testkit::{
    keys::ed25519,
    samples::{account_id, scopes},
};
use serde_json::json;

use super::{
    caller::{Caller, request},
    issuer::{SESSION, issuer_key},
    *,
};

/// A service and an account that signs its own JWTs, some time after the start.
async fn accepting_self_signed() -> (World, Caller) {
    accepting(SelfSignedPolicy::default()).await
}

async fn accepting(policy: SelfSignedPolicy) -> (World, Caller) {
    settled(|server| server.accept_self_signed(policy)).await
}

async fn settled(accept: impl FnOnce(ResourceServer) -> ResourceServer) -> (World, Caller) {
    let world = World::with(accept).await;
    world.clock.advance(Duration::from_secs(20));
    let key = ed25519(2).public_key().clone();
    world.issuer.state.accounts.lock().insert("alice".to_owned(), vec![key]);
    let caller = Caller::new(&world);
    (world, caller)
}

#[tokio::test]
async fn a_bound_token_is_verified_without_asking_anybody() {
    let world = World::new().await;
    let caller = Caller::new(&world);
    let before = world.issuer.asked("jwks");
    let request = caller.request(&world);
    let principal = world.verify(&request).await.unwrap();
    assert_eq!(principal.account_id, account_id(1));
    assert_eq!(world.verify(&request).await, Err(Refusal::Replayed));
    assert_eq!(world.issuer.asked("jwks"), before);
    let metadata = world.remote.metadata();
    assert_eq!(metadata["resource"], ORIGIN);
    assert_eq!(metadata["authorization_servers"][0], world.issuer.origin.as_str());
}

#[tokio::test]
async fn self_signed_jwts_are_verified_with_the_keys_of_their_account() {
    let (world, caller) = accepting_self_signed().await;
    for _ in 0..3 {
        let principal = world.verify(&caller.self_signed(&world, "alice")).await.unwrap();
        assert_eq!(principal.key, Some(ProvenKey::of(caller.key.public_key().thumbprint())));
        assert!(principal.scopes.contains("read"));
    }
    assert_eq!(world.issuer.asked("account"), 1, "the keys are kept");
    let jwt = caller.self_signed(&world, "alice");
    world.verify(&jwt).await.unwrap();
    assert_eq!(world.verify(&jwt).await, Err(Refusal::JwtUsed));

    // Or a list that is on its way would be too old when it arrives, which is an answer and no outage.
    world.refresh().await.unwrap();
    world.issuer.set_away(true);
    world.clock.advance(Duration::from_mins(5));
    world.verify(&caller.self_signed(&world, "alice")).await.unwrap();
}

#[tokio::test]
async fn an_account_is_named_by_its_fingerprint_and_by_nobody_who_poses_as_it() {
    let (world, caller) = accepting_self_signed().await;
    let fingerprint = Fingerprint::of("her key");
    let key = caller.key.public_key().clone();
    world.issuer.state.accounts.lock().insert(fingerprint.to_string(), vec![key]);
    let jwt = caller.self_signed(&world, &fingerprint.to_string());
    // The issuer answers with an account whose username is that text.
    let refused = world.verify(&jwt).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");

    *world.issuer.state.fingerprint.lock() = Some(fingerprint);
    let principal = world.verify(&jwt).await.unwrap();
    assert_eq!(principal.account_id, account_id(1));
}

#[tokio::test]
async fn self_signed_jwts_must_be_for_this_service() {
    let (world, caller) = accepting_self_signed().await;
    for (claims, refusal) in [
        (json!({ "sub": "alice" }), SelfSignedError::Claim(ClaimError::Missing("aud"))),
        (
            json!({ "sub": "alice", "aud": "https://other" }),
            SelfSignedError::Audience { expected: ORIGIN.to_owned() },
        ),
    ] {
        let jwt = caller.self_signed_with(&world, &claims);
        assert_eq!(world.verify(&jwt).await, Err(refusal.into()), "{claims}");
    }
}

#[tokio::test]
async fn signed_bodies_need_no_audience_and_nothing_else_may_lack_it() {
    // Whatever the policy says of both.
    for policy in [
        SelfSignedPolicy::default(),
        SelfSignedPolicy { require_audience: true, ..SelfSignedPolicy::default() },
    ] {
        let (world, caller) = settled(|server| server.accept_signed_bodies(policy)).await;
        let verdict = async |claims: serde_json::Value, body: &[u8]| {
            let parts = caller.self_signed_with(&world, &claims);
            let body = Some(body);
            let request = countersign_guard::Request { body, ..(&parts).into() };
            let verified = world.remote.guard().verify_request(request).await;
            verified.map(drop).map_err(|refused| refused.refusal)
        };
        let tha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(verdict(json!({ "sub": "alice", "tha": tha }), b"abc").await, Ok(()));
        let named = json!({ "sub": "alice", "tha": tha, "aud": ORIGIN });
        assert_eq!(verdict(named, b"abc").await, Ok(()));
        let other = json!({ "sub": "alice", "tha": tha, "aud": "https://other" });
        let told = SelfSignedError::Audience { expected: ORIGIN.to_owned() };
        assert_eq!(verdict(other, b"abc").await, Err(told.into()));
        let altered = json!({ "sub": "alice", "tha": tha });
        assert_eq!(verdict(altered, b"abd").await, Err(SelfSignedError::BodyHash.into()));
        let bare = json!({ "sub": "alice", "aud": ORIGIN });
        let missing = SelfSignedError::Claim(ClaimError::Missing("tha"));
        assert_eq!(verdict(bare, b"abc").await, Err(missing.into()));
    }
}

#[tokio::test]
async fn md5_counts_for_accounts_with_a_fingerprint_only() {
    let policy =
        SelfSignedPolicy { body_hashes: BodyHashes::Sha256OrMd5, ..SelfSignedPolicy::default() };
    for (fingerprint, verdict) in
        [(None, Err(SelfSignedError::Md5)), (Some(Fingerprint::of("her key")), Ok(()))]
    {
        let (world, caller) = accepting(policy).await;
        *world.issuer.state.fingerprint.lock() = fingerprint;
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let claims = json!({ "sub": "alice", "aud": ORIGIN, "tha": md5 });
        let parts = caller.self_signed_with(&world, &claims);
        let request = countersign_guard::Request { body: Some(b"abc"), ..(&parts).into() };
        let verified = world.remote.guard().verify_request(request).await;
        let verified = verified.map(drop).map_err(|refused| refused.refusal);
        assert_eq!(verified, verdict.map_err(Refusal::SelfSigned));
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_signs_nothing_although_it_is_kept() {
    let (world, caller) = accepting_self_signed().await;
    world.verify(&caller.self_signed(&world, "alice")).await.unwrap();
    world.issuer.state.list.lock().keys.push(caller.key.public_key().thumbprint());
    world.refresh().await.unwrap();
    let refused = world.verify(&caller.self_signed(&world, "alice")).await;
    assert_eq!(refused, Err(Refusal::Revoked));
}

#[tokio::test]
async fn keys_that_were_fetched_before_a_moment_of_their_account_are_fetched_anew() {
    let moments: [fn(&World); 2] = [
        |world| world.issuer.state.list.lock().accounts_before.push((account_id(1), NOW)),
        |world| world.issuer.state.list.lock().keys_before = Some(NOW),
    ];
    for revoke in moments {
        let (world, caller) = accepting_self_signed().await;
        world.verify(&caller.self_signed(&world, "alice")).await.unwrap();
        // Revoked together with many others: the feed does not list this key.
        world.issuer.state.accounts.lock().insert("alice".to_owned(), Vec::new());
        revoke(&world);
        world.clock.advance(Duration::from_secs(1));
        world.refresh().await.unwrap();
        let refused = world.verify(&caller.self_signed(&world, "alice")).await;
        assert_eq!(refused, Err(Refusal::SelfSigned(SelfSignedError::Signature)));
        assert_eq!(world.issuer.asked("account"), 2);
        world.refresh().await.unwrap();
        let _refused = world.verify(&caller.self_signed(&world, "alice")).await;
        assert_eq!(world.issuer.asked("account"), 2, "once for each moment");
    }
}

#[tokio::test]
async fn an_account_that_is_unknown_is_refused_like_a_wrong_signature_and_asked_for_seldom() {
    let (world, caller) = accepting_self_signed().await;
    for _ in 0..5 {
        let refused = world.verify(&caller.self_signed(&world, "bob")).await;
        assert_eq!(refused, Err(Refusal::SelfSigned(SelfSignedError::Signature)));
    }
    assert_eq!(world.issuer.asked("account"), 1);
    let refused = world.verify(&caller.self_signed(&world, &"x".repeat(200))).await;
    assert_eq!(refused, Err(Refusal::SelfSigned(SelfSignedError::Signature)));
    assert_eq!(world.issuer.asked("account"), 1, "nobody is called that");
}

#[tokio::test]
async fn a_jwt_that_a_restart_could_not_tell_from_a_used_one_is_refused() {
    let world = World::with(|server| server.accept_self_signed(SelfSignedPolicy::default())).await;
    let key = ed25519(2).public_key().clone();
    world.issuer.state.accounts.lock().insert("alice".to_owned(), vec![key]);
    let caller = Caller::new(&world);
    let refused = world.verify(&caller.self_signed(&world, "alice")).await;
    assert!(matches!(refused, Err(Refusal::StartedLately { .. })), "{refused:?}");
}

#[tokio::test]
async fn signed_messages_are_put_to_the_issuer() {
    let world = World::with(ResourceServer::accept_signed_messages).await;
    let authorization = format!("SignJWT {SESSION}");
    let signed = |signature: &[u8]| {
        let signature = base64::encode(signature);
        request(&[("authorization", &authorization), ("signed-message", &signature)])
    };
    let parts = signed(&[0; 64]);
    let required = scopes("read").into();
    let request = countersign_guard::Request { required: &required, ..(&parts).into() };
    let verified = world.remote.guard().verify_request(request).await.unwrap();
    assert_eq!(verified.principal.proof, ProofKind::SignedMessage);
    assert_eq!(verified.session_nonce.as_deref(), Some("next"));
    let forged = signed(&[1; 64]);
    for _ in 0..3 {
        let refused = world.verify(&forged).await;
        assert!(matches!(refused, Err(Refusal::SignedMessage(_))));
    }
    assert_eq!(world.issuer.asked("whoami"), 2, "what was refused stays refused");
    world.issuer.set_away(true);
    assert!(matches!(world.verify(&parts).await, Err(Refusal::Unavailable(_))));
}

#[tokio::test]
async fn what_cannot_be_a_message_of_a_session_is_refused_without_asking() {
    let world = World::with(ResourceServer::accept_signed_messages).await;
    for (jwt, signature) in [
        ("x", &[0; 64][..]),
        ("eyJhbGciOiJSUzI1NiJ9.e30.AAAA", &[0; 64]),
        (SESSION, &[0; 63]),
        (SESSION, &[0; 1025]),
    ] {
        let authorization = format!("SignJWT {jwt}");
        let signature = base64::encode(signature);
        let parts = request(&[("authorization", &authorization), ("signed-message", &signature)]);
        let refused = world.verify(&parts).await;
        assert!(matches!(refused, Err(Refusal::SignedMessage(_))), "{refused:?}");
    }
    assert_eq!(world.issuer.asked("whoami"), 0);
}

#[tokio::test]
async fn unbound_tokens_count_only_where_they_were_asked_for() {
    let unbound = |world: &World| {
        let claims = UnboundClaims {
            issuer: world.issuer.origin.clone(),
            account_id: account_id(1),
            name: "alice".to_owned(),
            token_id: "token 1".to_owned(),
            issued_at: NOW,
            expires_at: NOW + Duration::from_mins(5),
        };
        let token = claims.sign(&issuer_key(), Algorithm::EdDsa).unwrap();
        request(&[("authorization", &format!("Bearer {token}"))])
    };
    let strict = World::new().await;
    assert_eq!(strict.verify(&unbound(&strict)).await, Err(Refusal::Downgrade));

    let world = World::with(ResourceServer::accept_bearer).await;
    let token = unbound(&world);
    assert_eq!(world.verify(&token).await.unwrap().proof, ProofKind::Bearer);
    world.issuer.state.list.lock().accounts.push(account_id(1));
    world.refresh().await.unwrap();
    assert_eq!(world.verify(&token).await, Err(Refusal::Revoked));
}
