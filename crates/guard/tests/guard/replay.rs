//! One proof, one request: RFC 9449 §11.1.

use std::{net::IpAddr, sync::Arc, sync::atomic::Ordering::SeqCst, time::Duration};

use countersign_guard::{ClientAddress, Refusal};
use countersign_protocol::{proofs::dpop::DpopError, replay::ReplayOwner};
use countersign_testkit::{
    keys::ed25519,
    samples::{NOW, account_id},
};
use http::StatusCode;
use tokio::sync::Barrier;

use crate::world::{Client, INVALID_PROOF, MILLISECOND, PATH, Proof, USE_NONCE, World, request};

/// Fails unless the request is refused as a replay.
async fn is_replayed(world: &World, parts: &http::request::Parts) {
    let refused = world.guard.verify(parts).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::Replayed);
    let challenge = refused.refusal.challenge();
    assert_eq!((challenge.status, challenge.error), INVALID_PROOF);
    assert_eq!(refused.token.unwrap().token_id, "token 1", "for the audit trail");
}

#[tokio::test]
async fn a_proof_works_once() {
    let (world, client) = (World::new(), Client::new());
    let request = client.request(&world);
    world.accepts(&request).await;
    is_replayed(&world, &request).await;
    is_replayed(&world, &request).await;
    world.accepts(&client.request(&world)).await;
}

#[tokio::test]
async fn a_proof_whose_log_has_forgotten_meanwhile_must_be_made_again_with_a_fresh_nonce() {
    let (world, client) = (World::new(), Client::new());
    world.replay_log.forgets.store(true, SeqCst);
    let refused = world.guard.verify(&client.request(&world)).await.unwrap_err();
    assert_eq!(refused.refusal, DpopError::Nonce.into());
    let challenge = refused.refusal.challenge();
    assert_eq!((challenge.status, challenge.error), USE_NONCE);
    world.replay_log.forgets.store(false, SeqCst);
    world.accepts(&client.request(&world)).await;
}

#[tokio::test]
async fn a_used_up_share_of_the_log_is_told_to_who_holds_it_and_uses_nothing_up() {
    let (world, client) = (World::new(), Client::new());
    let request = client.request(&world);
    world.replay_log.share_used_up.store(true, SeqCst);
    let refused = world.guard.verify(&request).await.unwrap_err();
    assert_eq!(
        refused.refusal.to_string(),
        "this account holds its whole share of the replay log, 50 entries, until some of them end"
    );
    let answer = world.guard.answer(&refused);
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "16");
    assert!(!answer.headers().contains_key("www-authenticate"), "other credentials do not help");
    assert!(answer.body().contains("/problems/rate-limited"), "{}", answer.body());
    world.replay_log.share_used_up.store(false, SeqCst);
    world.accepts(&request).await;
}

#[tokio::test]
async fn a_request_counts_against_its_account_and_the_network_that_it_comes_from() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let mut request = client.request(&world);
    let address = IpAddr::from([192, 0, 2, 1]);
    request.extensions.insert(ClientAddress(address));
    world.accepts(&request).await;
    let owners =
        [ReplayOwner::Account(account_id(1)), ReplayOwner::Both(account_id(1), address.into())];
    assert_eq!(*world.replay_log.owners.lock().unwrap(), owners);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_concurrent_uses_of_one_proof_one_succeeds() {
    for _ in 0..20 {
        let (world, client) = (World::new(), Client::new());
        let request = Arc::new(client.request(&world));
        let start = Arc::new(Barrier::new(20));
        let uses = [(); 20].map(|()| {
            let (guard, request, start) =
                (world.guard.clone(), Arc::clone(&request), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                guard.verify(&request).await.map_err(|refused| refused.refusal)
            })
        });
        let mut principals = 0;
        for one in uses {
            match one.await.unwrap() {
                Ok(_) => principals += 1,
                Err(refusal) => assert_eq!(refusal, Refusal::Replayed),
            }
        }
        assert_eq!(principals, 1);
        assert_eq!(world.replay_log.asked(), 20);
    }
}

#[tokio::test]
async fn another_spelling_of_the_request_is_the_same_use() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    world.accepts(&client.request_with(&proof)).await;
    for uri in ["/v1/things?again=1", "/v1/%74hings"] {
        let mut again = client.request_with(&proof);
        again.uri = uri.parse().unwrap();
        is_replayed(&world, &again).await;
    }
    let respelt = |proof: &mut Proof| {
        proof.set("jti", "proof 0");
        proof.set("htu", "HTTPS://API.EXAMPLE:443/v1/things?x");
        proof.set("extra", "so that the text is another one");
    };
    is_replayed(&world, &client.altered_request(&world, respelt)).await;
}

#[tokio::test]
async fn one_clients_jti_does_not_burn_anothers() {
    let world = World::new();
    for number in 10..13 {
        let client = Client::with_claims(ed25519(number), |_| ());
        let same_jti = client.altered_request(&world, |proof| proof.set("jti", "1"));
        world.accepts(&same_jti).await;
    }
}

#[tokio::test]
async fn one_jti_may_serve_other_uris_and_methods() {
    let (world, client) = (World::new(), Client::new());
    let same_jti = |uri: &str, method: http::Method| {
        let proof = client.altered_proof(&world, |proof| {
            proof.set("jti", "1");
            proof.set("htm", method.as_str());
            proof.set("htu", format!("https://api.example{uri}"));
        });
        let authorization = format!("DPoP {}", client.token);
        let mut request = request(uri, &[("authorization", &authorization), ("dpop", &proof)]);
        request.method = method;
        request
    };
    world.accepts(&same_jti(PATH, http::Method::GET)).await;
    world.accepts(&same_jti(PATH, http::Method::POST)).await;
    world.accepts(&same_jti("/v1/other", http::Method::GET)).await;
    is_replayed(&world, &same_jti(PATH, http::Method::GET)).await;
}

#[tokio::test]
async fn a_proof_from_the_future_is_remembered_for_longer() {
    // A log that forgot it a window after its first use would let it in again.
    let (world, client) = (World::new(), Client::new());
    let ahead = client.altered_request(&world, |proof| proof.set("iat", NOW.as_secs() + 15));
    world.accepts(&ahead).await;
    world.clock.set(NOW + Duration::from_secs(15 + 61) - MILLISECOND);
    is_replayed(&world, &ahead).await;
}

#[tokio::test]
async fn a_refused_proof_is_not_used_up() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    // At the wrong door, with the wrong token, too early: none of them spends it.
    let mut wrong = client.request_with(&proof);
    wrong.uri = "/v1/other".parse().unwrap();
    assert!(world.verify(&wrong).await.is_err());
    let mut wrong = client.request_with(&proof);
    wrong.method = http::Method::PUT;
    assert!(world.verify(&wrong).await.is_err());
    world.standing.away.store(true, SeqCst);
    assert!(world.verify(&client.request_with(&proof)).await.is_err());
    world.standing.away.store(false, SeqCst);
    world.clock.set(NOW - Duration::from_secs(16));
    assert!(world.verify(&client.request_with(&proof)).await.is_err());
    world.clock.set(NOW);
    assert_eq!(world.replay_log.asked(), 0);
    world.accepts(&client.request_with(&proof)).await;
}

#[tokio::test]
async fn a_receipt_for_something_else_opens_nothing() {
    let (world, client) = (World::new(), Client::new());
    world.replay_log.broken.store(true, SeqCst);
    is_replayed(&world, &client.request(&world)).await;
}
