//! The story: Alice registers, logs in and calls; a thief steals her token and gets nowhere.

use anyhow::Context as _;
use countersign_client::{
    AccessToken,
    proof::{Assertion, Proof},
};
use countersign_protocol::{
    keys::{NewKey, PrivateKey},
    wire::path,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::stage::{Scene, Stage, say};

/// How many attempts with a stolen or dead token the story tells.
pub(super) const THIEVES: usize = 6;

/// A device of Alice's after the login: its key, its token, and the nonce for the next proof.
struct Device {
    key: PrivateKey,
    token: AccessToken,
    nonce: String,
}

impl Device {
    /// What a proof for a request with the token says.
    fn proves<'a>(&'a self, method: &'a str, path: &'a str) -> Proof<'a> {
        Proof { access_token: Some(&self.token), nonce: Some(&self.nonce), ..to(method, path) }
    }
}

pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    stage.heading("A server starts in a temporary directory")?;
    say(&format!("It listens on {}, with a fresh database and fresh keys.", stage.issuer))?;

    stage.heading("Alice makes a key on her laptop; the private half never leaves it")?;
    let laptop = PrivateKey::generate(NewKey::EcP256)?;
    say(&format!("P-256 key {}", laptop.public_key().thumbprint()))?;

    register(stage, &laptop).await?;
    stage.heading("She logs in: a signed assertion becomes a token that is bound to her key")?;
    let nonce = ask_for_nonce(stage, &laptop).await?;
    let mut laptop = log_in(stage, laptop, nonce).await?;
    let seen = call(stage, &mut laptop).await?;
    steal(stage, &laptop, &seen).await?;
    revoke(stage, laptop).await
}

async fn register(stage: &mut Stage, key: &PrivateKey) -> anyhow::Result<()> {
    stage.heading("She registers it. A proof signed by the key shows that it is hers")?;
    let proof = stage.proof(key, to("POST", path::ACCOUNTS))?;
    let body = json!({
        "username": "alice",
        "label": "laptop",
        "public_key": key.public_key().to_jwk(),
    });
    let scene = Scene {
        method: Method::POST,
        path: path::ACCOUNTS,
        proof: Some(("signed by Alice's key for this URL", &proof)),
        json: Some(body),
        ..Scene::default()
    };
    stage.play(scene, StatusCode::CREATED).await.map(drop)
}

async fn ask_for_nonce(stage: &Stage, key: &PrivateKey) -> anyhow::Result<String> {
    let proof = stage.proof(key, to("POST", path::TOKEN))?;
    let request = token_request(stage, key, "without the server's nonce", &proof)?;
    let refused = stage.play(request, StatusCode::BAD_REQUEST).await?;
    say("The server wants a proof made now, not in advance, and sends a nonce for it.")?;
    refused.nonce.context("there is no nonce")
}

async fn log_in(stage: &Stage, key: PrivateKey, nonce: String) -> anyhow::Result<Device> {
    let proof = stage.proof(&key, Proof { nonce: Some(&nonce), ..to("POST", path::TOKEN) })?;
    let request = token_request(stage, &key, "by the key to be bound, with the nonce", &proof)?;
    let granted = stage.play(request, StatusCode::OK).await?;
    Ok(Device { token: granted.access_token()?, key, nonce })
}

fn token_request<'a>(
    stage: &Stage,
    key: &PrivateKey,
    name: &'a str,
    proof: &'a str,
) -> anyhow::Result<Scene<'a>> {
    let assertion = Assertion { subject: "alice", audience: &stage.issuer, session_key: None };
    let assertion = assertion.sign(key, stage.now(), stage.random())?;
    Ok(Scene {
        method: Method::POST,
        path: path::TOKEN,
        proof: Some((name, proof)),
        form: vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", assertion),
        ],
        ..Scene::default()
    })
}

/// The honest call. Returns the used proof, as an eavesdropper would get it.
async fn call(stage: &mut Stage, device: &mut Device) -> anyhow::Result<String> {
    stage.heading(
        "She calls a protected resource, with the token and a proof for this one request",
    )?;
    let early = Proof { access_token: Some(&device.token), ..to("GET", path::WHOAMI) };
    let early = stage.proof(&device.key, early)?;
    let refused = stage.play(whoami(&device.token, "no nonce yet", &early), UNAUTHORIZED).await?;
    device.nonce = refused.nonce.context("there is no nonce")?;
    let proof = stage.proof(&device.key, device.proves("GET", path::WHOAMI))?;
    stage
        .play(whoami(&device.token, "by Alice's key, with the nonce", &proof), StatusCode::OK)
        .await?;
    Ok(proof)
}

const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

/// Five attempts. `seen` is a proof that was used.
async fn steal(stage: &mut Stage, laptop: &Device, seen: &str) -> anyhow::Result<()> {
    stage.heading("A thief steals the token and tries it as a bearer token")?;
    let alone = |scheme| Scene {
        path: path::WHOAMI,
        authorization: Some((scheme, &laptop.token)),
        ..Scene::default()
    };
    stage.refuse(alone("Bearer"), "invalid_token").await?;

    stage.heading("The thief tries it with the right scheme, but has no proof")?;
    stage.refuse(alone("DPoP"), "invalid_dpop_proof").await?;

    stage.heading("The thief makes a proof with a key of his own")?;
    let own = PrivateKey::generate(NewKey::EcP256)?;
    let proof = stage.proof(&own, laptop.proves("GET", path::WHOAMI))?;
    stage.refuse(whoami(&laptop.token, "by the thief's key", &proof), "invalid_token").await?;

    stage.heading("The thief has listened, and sends Alice's own proof once more")?;
    let again = whoami(&laptop.token, "Alice's, already used", seen);
    stage.refuse(again, "invalid_dpop_proof").await?;

    stage
        .heading("The thief holds back an unused proof of Alice's, and takes it to another URL")?;
    let unused = stage.proof(&laptop.key, laptop.proves("GET", path::WHOAMI))?;
    let elsewhere = Scene {
        path: path::KEYS,
        ..whoami(&laptop.token, "Alice's, unused, but for /v1/whoami", &unused)
    };
    stage.refuse(elsewhere, "invalid_dpop_proof").await
}

async fn revoke(stage: &mut Stage, laptop: Device) -> anyhow::Result<()> {
    stage.heading("Alice adds a second key, her phone, by a call with the first one")?;
    let phone = PrivateKey::generate(NewKey::Ed25519)?;
    let body = json!({
        "label": "phone",
        "public_key": phone.public_key().to_jwk(),
        "new_key_proof": stage.new_key_proof(&phone, path::KEYS, "alice")?,
    });
    // Such a proof must cover the body. Otherwise it could be used to add any key.
    let text = body.to_string();
    let covered = Proof { body: Some(text.as_bytes()), ..laptop.proves("POST", path::KEYS) };
    let proof = stage.proof(&laptop.key, covered)?;
    let add = Scene {
        method: Method::POST,
        path: path::KEYS,
        authorization: Some(("DPoP", &laptop.token)),
        proof: Some(("by the laptop's key; the phone's proof is in the body", &proof)),
        json: Some(body),
        ..Scene::default()
    };
    stage.play(add, StatusCode::CREATED).await?;
    say("Then the phone logs in, as the laptop did.")?;
    let nonce = ask_for_nonce(stage, &phone).await?;
    let mut phone = log_in(stage, phone, nonce).await?;
    // Nonces of resources and of the token endpoint differ, and the laptop has a fresh one.
    phone.nonce.clone_from(&laptop.nonce);

    stage.heading("The laptop is lost. From the phone, Alice revokes its key")?;
    let key = path::key(&laptop.key.public_key().thumbprint().to_string());
    let proof = stage.proof(&phone.key, phone.proves("DELETE", &key))?;
    let delete = Scene {
        method: Method::DELETE,
        path: &key,
        authorization: Some(("DPoP", &phone.token)),
        proof: Some(("by the phone's key", &proof)),
        ..Scene::default()
    };
    stage.play(delete, StatusCode::NO_CONTENT).await?;

    stage.heading("Whoever has the laptop, key and all, finds the token dead")?;
    let proof = stage.proof(&laptop.key, laptop.proves("GET", path::WHOAMI))?;
    let scene = whoami(&laptop.token, "a perfect proof by the laptop's key", &proof);
    stage.refuse(scene, "invalid_token").await
}

fn whoami<'a>(token: &'a AccessToken, name: &'a str, proof: &'a str) -> Scene<'a> {
    Scene {
        path: path::WHOAMI,
        authorization: Some(("DPoP", token)),
        proof: Some((name, proof)),
        ..Scene::default()
    }
}

/// What a proof for a request says that has no token.
const fn to<'a>(method: &'a str, path: &'a str) -> Proof<'a> {
    Proof { method, uri: path, access_token: None, nonce: None, body: None }
}
