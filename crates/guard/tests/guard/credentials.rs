//! What the `Authorization` header may hold: RFC 9449 §7.1 and §7.2.

use countersign_guard::{AuditKind, Refusal};
use http::{HeaderValue, StatusCode, header::AUTHORIZATION};

use crate::world::{Client, INVALID_REQUEST, INVALID_TOKEN, PATH, World, request};

const MISSING: (StatusCode, Option<&str>) = (StatusCode::UNAUTHORIZED, None);

#[tokio::test]
async fn a_request_without_credentials_is_told_how_to_authenticate() {
    let (world, client) = (World::new(), Client::new());
    world.accepts(&client.request(&world)).await;
    let refused = world.refuses(&request(PATH, &[]), Refusal::Missing, MISSING).await;
    let header = refused.refusal.www_authenticate().unwrap();
    assert_eq!(header, "DPoP algs=\"EdDSA Ed25519 ES256 ES384 PS256 RS256\"");
    assert!(refused.token.is_none());
}

#[tokio::test]
async fn a_proof_alone_is_no_credential() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    world.refuses(&request(PATH, &[("dpop", &proof)]), Refusal::Missing, MISSING).await;
}

#[tokio::test]
async fn other_schemes_are_no_credentials_here() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    // A scheme ends with a space (RFC 9110 §11.4), so the last one is an unknown one, too.
    for scheme in ["Basic", "Token", "DPoPX", "XDPoP", "JWT", "Negotiate", "DPoP\t"] {
        let authorization = format!("{scheme} {}", client.token);
        let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
        world.refuses(&request(PATH, &fields), Refusal::Missing, MISSING).await;
    }
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let authorization = format!("{scheme} {}", client.token);
        let bare = request(PATH, &[("authorization", &authorization)]);
        let refused = world.refuses(&bare, Refusal::Downgrade, INVALID_TOKEN).await;
        // Whose token is in whose hands, for the trail.
        assert_eq!(refused.refusal.audit_kind(), Some(AuditKind::NoProof));
        assert!(refused.signer.is_some() && refused.token.is_some());
        let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
        world.refuses(&request(PATH, &fields), Refusal::Downgrade, INVALID_TOKEN).await;
    }
    world.accepts(&client.request_with(&proof)).await;
}

#[tokio::test]
async fn no_bearer_token_is_even_looked_at() {
    let world = World::new();
    for token in ["x", "a.b.c", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"] {
        let bearer = request(PATH, &[("authorization", &format!("Bearer {token}"))]);
        let refused = world.refuses(&bearer, Refusal::Downgrade, INVALID_TOKEN).await;
        assert!(refused.signer.is_none());
    }
    assert_eq!(world.issuer_keys.asked(), 0);
}

#[tokio::test]
async fn a_token_elsewhere_in_the_request_is_not_seen() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    let in_query = request(&format!("{PATH}?access_token={}", client.token), &[("dpop", &proof)]);
    world.refuses(&in_query, Refusal::Missing, MISSING).await;
    for field in ["proxy-authorization", "x-authorization", "cookie"] {
        let fields = [(field, &*format!("DPoP {}", client.token)), ("dpop", &proof)];
        world.refuses(&request(PATH, &fields), Refusal::Missing, MISSING).await;
    }
}

#[tokio::test]
async fn two_authorization_fields_are_refused() {
    let (world, client) = (World::new(), Client::new());
    let proof = client.altered_proof(&world, |_| ());
    let good = format!("DPoP {}", client.token);
    for other in [&good, &format!("Bearer {}", client.token), "Basic YTpi", ""] {
        for pair in [[&good, other], [other, &good]] {
            let mut request = request(PATH, &[("dpop", &proof)]);
            for value in pair {
                request.headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            world.refuses(&request, Refusal::Malformed, INVALID_REQUEST).await;
        }
    }
    world.accepts(&client.request_with(&proof)).await;
}

#[tokio::test]
async fn credentials_that_are_not_one_token_are_refused() {
    let (world, client) = (World::new(), Client::new());
    let token = &client.token;
    for authorization in [
        "DPoP".to_owned(),
        "DPoP ".to_owned(),
        "DPoP =".to_owned(),
        format!("DPoP {token},{token}"),
        format!("DPoP {token}, Bearer {token}"),
        format!("DPoP {token} {token}"),
        format!("DPoP \"{token}\""),
        format!("DPoP token={token}"),
        format!("Bearer {token} {token}"),
        "Bearer".to_owned(),
    ] {
        let proof = client.altered_proof(&world, |_| ());
        let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
        let malformed = request(PATH, &fields);
        world.refuses(&malformed, Refusal::Malformed, INVALID_REQUEST).await;
    }
}

#[tokio::test]
async fn credentials_that_are_not_ascii_are_refused() {
    let (world, client) = (World::new(), Client::new());
    let mut request = client.request(&world);
    for bytes in [&b"DPoP \xff"[..], b"DPoP caf\xc3\xa9"] {
        request.headers.insert(AUTHORIZATION, HeaderValue::from_bytes(bytes).unwrap());
        world.refuses(&request, Refusal::Malformed, INVALID_REQUEST).await;
    }
}
