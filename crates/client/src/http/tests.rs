//! A client against a server that answers well, badly, or wants a nonce.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{KeyPolicy, NewKey, PrivateKey, PublicKey};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use self::server::{Answer, Asked, Server, claims, json as answer_json};
use super::*;
use crate::testing::{CountingRandom, FixedClock, NOW};
use crate::token::{AccessToken, SavedToken};

mod carrier;
mod gradecoin;
mod jwks_server;
mod login;
mod online_keyring;
mod passwordless;
mod renewal;
mod requests;
mod rogue;
mod server;
mod tls;
mod trust;

fn key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate(NewKey::Ed25519).unwrap())
}

fn metadata(origin: &str) -> Value {
    json!({
        "issuer": origin,
        "token_endpoint": format!("{origin}/oauth/token"),
        "revocation_endpoint": format!("{origin}/oauth/revoke"),
        "jwks_uri": format!("{origin}/.well-known/jwks.json"),
        "response_types_supported": [],
    })
}

/// A server with metadata whose other answers are `answer`.
fn authority(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |origin, asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server" => answer_json(200, &metadata(origin)),
        _ => answer(asked),
    })
}

fn transport() -> Transport {
    let options = TransportOptions { max_response_bytes: 10_000, ..TransportOptions::default() };
    Transport::new(options).unwrap()
}

async fn discover(issuer: &str) -> Result<Client, ClientError> {
    let random = Arc::new(CountingRandom::default());
    Client::discover(issuer, transport(), Arc::new(FixedClock), random).await
}

async fn client(server: &Server) -> Client {
    discover(&server.origin()).await.unwrap()
}

/// A login with the token `aaa.bbb` that knows no nonce.
async fn logged_in(server: &Server) -> Login {
    client(server).await.resume(key(), saved(&[]))
}

fn saved(nonces: &[(String, &str)]) -> SavedToken {
    SavedToken {
        token: AccessToken::new("aaa.bbb".to_owned()).unwrap(),
        expires_at: NOW + Duration::from_mins(5),
        nonces: nonces
            .iter()
            .map(|(origin, nonce)| (origin.clone(), (*nonce).to_owned()))
            .collect(),
        resource: None,
        scope: None,
    }
}

fn request(subject: &str) -> LoginRequest<'_> {
    LoginRequest { subject, scope: None, resource: None, session_key: None }
}

fn problem(status: u16, kind: &str, title: &str) -> Answer {
    let kind = countersign_protocol::problem::type_uri(kind);
    let body = json!({ "type": kind, "title": title, "status": status });
    Answer(status, vec![("content-type", "application/problem+json".to_owned())], body.to_string())
}

/// What RFC 9449 §9 has a resource say to a proof without the nonce.
fn resource_wants_nonce(nonce: &str) -> Answer {
    problem(401, "unauthenticated", "The request must prove who makes it.")
        .with("www-authenticate", "DPoP error=\"use_dpop_nonce\", algs=\"EdDSA ES256\"")
        .with("dpop-nonce", nonce)
}

/// The key that a proof carries.
fn key_in(proof: &str) -> PublicKey {
    let header = proof.split('.').next().unwrap();
    let header = countersign_protocol::strict::base64url::decode(header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    PublicKey::from_jwk(header["jwk"].as_object().unwrap(), &KeyPolicy::default()).unwrap()
}
