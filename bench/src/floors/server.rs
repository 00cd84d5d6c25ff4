//! The server of the floors.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::RsaParameters,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RsaPssSaltLength,
    },
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
    serve::ListenerExt as _,
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::scheme::Scheme;

static PS256_MAX_SALT: RsaParameters =
    RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

/// What the floors know beforehand.
#[derive(Default)]
struct Primed {
    keys: HashMap<String, Arc<ParsedPublicKey>>,
    nonces: HashMap<String, String>,
    answer: Bytes,
}

#[derive(Clone)]
struct Floors {
    primed: Arc<RwLock<Primed>>,
    signing_key: Arc<EcdsaKeyPair>,
}

impl Floors {
    fn primed(&self) -> RwLockReadGuard<'_, Primed> {
        self.primed.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what [`Floor::prime`](super::Floor::prime) sends.
fn read_prime(body: &[u8]) -> Option<Primed> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let scheme = Scheme::from_name(body["scheme"].as_str()?)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key = |value: &Value| {
        let der = BASE64_STANDARD.decode(value.as_str()?).ok()?;
        parse_key(scheme, &der).map(Arc::new)
    };
    let keys: Vec<_> = body["keys"].as_array()?.iter().map(key).collect::<Option<_>>()?;
    let found_by = |(name, index): (&String, &Value)| {
        let key = keys.get(usize::try_from(index.as_u64()?).ok()?)?;
        Some((name.clone(), Arc::clone(key)))
    };
    let nonce = |(name, value): (&String, &Value)| Some((name.clone(), text(value)?));
    Some(Primed {
        keys: body["found_by"].as_object()?.iter().map(found_by).collect::<Option<_>>()?,
        nonces: body["nonces"].as_object()?.iter().map(nonce).collect::<Option<_>>()?,
        answer: text(&body["answer"])?.into(),
    })
}

/// A key of `scheme` out of its SPKI DER.
fn parse_key(scheme: Scheme, spki: &[u8]) -> Option<ParsedPublicKey> {
    let key = match scheme {
        Scheme::Ed25519 => ParsedPublicKey::new(&ED25519, spki),
        Scheme::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, spki),
        Scheme::Ps256 => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, spki),
        Scheme::Ps256MaxSalt => ParsedPublicKey::new(&PS256_MAX_SALT, spki),
    };
    key.ok()
}

/// Serves the floors on `address` until the process is ended.
#[expect(clippy::print_stderr, reason = "says that it listens, as the product does")]
pub(crate) fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let signing_key = Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?);
    let floors = Floors { primed: Arc::default(), signing_key };
    let router = Router::new()
        .route("/bare", post(bare))
        .route("/.well-known/jwks.json", get(static_body))
        .route("/v1/whoami", get(whoami))
        .route("/protected", post(protected))
        .route("/oauth/token", post(token))
        .route("/prime", put(prime).layer(DefaultBodyLimit::disable()))
        .with_state(floors);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        eprintln!("listening on http://{address}");
        axum::serve(listener, router).await?;
        Ok(())
    })
}

async fn prime(State(floors): State<Floors>, body: Bytes) -> StatusCode {
    let Some(primed) = read_prime(&body) else { return StatusCode::BAD_REQUEST };
    *floors.primed.write().unwrap_or_else(PoisonError::into_inner) = primed;
    StatusCode::NO_CONTENT
}

/// *Bare axum, POST*: reads the body and answers.
async fn bare(State(floors): State<Floors>, _body: Bytes) -> Response {
    answer(&floors.primed())
}

/// *Bare axum, GET*: answers.
async fn static_body(State(floors): State<Floors>) -> Response {
    answer(&floors.primed())
}

/// *axum + cached token + one verification*: finds the token's key in a map, and verifies the
/// signature of the `DPoP` header over its first two segments. Looks at nothing else.
async fn whoami(State(floors): State<Floors>, headers: HeaderMap) -> Response {
    let primed = floors.primed();
    let holds = (|| {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("DPoP ")?;
        let key = primed.keys.get(token)?;
        verify_jws(key, headers.get("dpop")?.to_str().ok()?)
    })();
    answer_if(holds, &primed)
}

/// The same for *signjwt*: finds key and nonce of the session in maps, and verifies the signature
/// over nonce ‖ JWT.
async fn protected(State(floors): State<Floors>, body: Bytes) -> Response {
    let primed = floors.primed();
    let holds = (|| {
        let body: Value = serde_json::from_slice(&body).ok()?;
        let jwt = body["jwt"].as_str()?;
        let message = format!("{}{jwt}", primed.nonces.get(jwt)?);
        let signature = BASE64_STANDARD.decode(body["signed_message"].as_str()?).ok()?;
        primed.keys.get(jwt)?.verify_sig(message.as_bytes(), &signature).ok()
    })();
    answer_if(holds, &primed)
}

/// *Two verifications + one signature + bare axum*: verifies the signatures of proof and assertion
/// with keys that it finds by their header segments, and signs (ES256) what has the size of an
/// access token.
async fn token(State(floors): State<Floors>, headers: HeaderMap, body: Bytes) -> Response {
    let primed = floors.primed();
    let issued = (|| {
        let proof = headers.get("dpop")?.to_str().ok()?;
        verify_jws(primed.keys.get(proof.split('.').next()?)?, proof)?;
        let body = std::str::from_utf8(&body).ok()?;
        let assertion = body.split('&').find_map(|pair| pair.strip_prefix("assertion="))?;
        verify_jws(primed.keys.get(assertion.split('.').next()?)?, assertion)?;
        // The first two thirds of the primed answer stand for header and claims.
        let input = primed.answer.get(..primed.answer.len() * 2 / 3)?;
        let signature = floors.signing_key.sign(&SystemRandom::new(), input).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        let token = format!("{}.{signature}", std::str::from_utf8(input).ok()?);
        Some(json!({ "access_token": token, "token_type": "DPoP", "expires_in": 900 }))
    })();
    match issued {
        Some(body) => axum::Json(body).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// Verifies a compact JWS.
fn verify_jws(key: &ParsedPublicKey, jws: &str) -> Option<()> {
    let (input, signature) = jws.rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    key.verify_sig(input.as_bytes(), &signature).ok()
}

fn answer_if(holds: Option<()>, primed: &Primed) -> Response {
    match holds {
        Some(()) => answer(primed),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn answer(primed: &Primed) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], primed.answer.clone()).into_response()
}
