//! Requests that are as they should be.

use countersign_protocol::{
    AuthenticationContext, Coverage, CoveredTarget, Principal, ProofKind, ProvenKey,
    tokens::issue::access_token,
};
use countersign_testkit::{
    keys::one_of_each_kind,
    samples::{NOW, account_id, scopes},
};
use http::{HeaderName, HeaderValue, Method};

use crate::world::{
    AUDIENCE, Client, PATH, TOKEN_LIFETIME, World, claims, client_key, credential, request,
};

#[tokio::test]
async fn a_good_request_yields_its_principal() {
    let (world, client) = (World::new(), Client::new());
    let principal = world.accepts(&client.request(&world)).await;
    assert_eq!(
        principal,
        Principal {
            account_id: account_id(1),
            username: Some("alice".parse().unwrap()),
            key: Some(ProvenKey {
                credential: credential(),
                thumbprint: client_key().public_key().thumbprint(),
            }),
            proof: ProofKind::Dpop,
            token_id: Some("token 1".to_owned()),
            scopes: scopes("read write"),
            narrowed: false,
            covers: Coverage { target: CoveredTarget::Request, body: None },
            authentication: Some(AuthenticationContext::by_key(NOW)),
            issued_at: Some(NOW),
            expires_at: NOW + TOKEN_LIFETIME,
        }
    );
    assert_eq!((world.standing.asked(), world.replay_log.asked()), (1, 1));
}

#[tokio::test]
async fn clients_may_use_every_kind_of_key() {
    let world = World::new();
    for key in one_of_each_kind() {
        let thumbprint = key.public_key().thumbprint();
        let client = Client::with_claims(key, |_| ());
        let principal = world.accepts(&client.request(&world)).await;
        assert_eq!(principal.key.unwrap().thumbprint, thumbprint);
    }
}

#[tokio::test]
async fn issuers_may_use_every_algorithm() {
    let world = World::new();
    for key in one_of_each_kind() {
        world.issuer_keys.publish(key.public_key());
        for algorithm in key.public_key().algorithms() {
            let mut claims = claims(client_key().public_key().thumbprint());
            claims.token_id = format!("{algorithm} {}", key.public_key().thumbprint());
            let token = access_token(&claims, &key, *algorithm).unwrap();
            let client = Client::with_token(client_key(), token);
            let request = client.altered_request(&world, |proof| {
                proof.set("jti", claims.token_id.as_str());
            });
            let principal = world.accepts(&request).await;
            assert_eq!(principal.token_id.as_ref(), Some(&claims.token_id));
        }
    }
}

#[tokio::test]
async fn names_of_scheme_and_fields_may_be_in_any_case() {
    let (world, client) = (World::new(), Client::new());
    for (authorization, dpop, scheme) in [
        ("Authorization", "DPoP", "DPoP"),
        ("AUTHORIZATION", "DPOP", "dpop"),
        ("authorization", "dpop", "DPOP"),
    ] {
        let proof = client.altered_proof(&world, |_| ());
        let mut request = request(PATH, &[]);
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let credentials = format!("{scheme} {}", client.token);
        request.headers.insert(name(authorization), value(&credentials));
        request.headers.insert(name(dpop), value(&proof));
        world.accepts(&request).await;
    }
}

#[tokio::test]
async fn every_method_can_be_proven() {
    let (world, client) = (World::new(), Client::new());
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let mut request = client.altered_request(&world, |proof| proof.set("htm", method));
        request.method = Method::from_bytes(method.as_bytes()).unwrap();
        world.accepts(&request).await;
    }
}

#[tokio::test]
async fn the_query_of_the_request_is_free() {
    let (world, client) = (World::new(), Client::new());
    for (uri, htu) in [
        (format!("{PATH}?a=1&b=%20"), format!("{AUDIENCE}{PATH}")),
        (PATH.to_owned(), format!("{AUDIENCE}{PATH}?a=1")),
        (format!("{PATH}?a=1"), format!("{AUDIENCE}{PATH}?b=2#c")),
        ("/v1/%74hings".to_owned(), format!("{AUDIENCE}{PATH}")),
        (PATH.to_owned(), format!("HTTPS://API.example:443/v2/..{PATH}")),
    ] {
        let mut request = client.altered_request(&world, |proof| proof.set("htu", htu.as_str()));
        request.uri = uri.parse().unwrap();
        world.accepts(&request).await;
    }
}

#[tokio::test]
async fn one_token_serves_many_requests() {
    let (world, client) = (World::new(), Client::new());
    for _ in 0..10 {
        world.accepts(&client.request(&world)).await;
    }
    assert_eq!(world.replay_log.asked(), 10);
}
