//! An API that takes the signed transactions of *gradecoin*'s clients, behind the guard.
//!
//! `POST /transaction` puts one into the pool, `GET /transaction` lists the pool. Who pays is who has
//! signed: the guard has seen to that before [`take`] is called.

use std::{
    env,
    error::Error,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use countersign_remote::{
    ResourceServer,
    guard::{Refused, SelfSignedPolicy},
    protocol::{names::Fingerprint, proofs::body_hash::BodyHashes},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

/// How many transactions wait at most.
const MAX_PENDING: usize = 1000;

/// The transactions that wait for a block.
type Pool = Arc<Mutex<Vec<Transaction>>>;

/// What a client sends.
#[derive(Clone, Serialize, Deserialize)]
struct Transaction {
    source: String,
    target: String,
    amount: NonZeroU64,
    timestamp: String,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "says where it listens")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let issuer = setting("ISSUER", "http://localhost:8080");
    let origin = setting("ORIGIN", "http://127.0.0.1:8000");

    let guard = ResourceServer::new(&issuer, &origin)?
        .accept_dpop(false)
        .accept_signed_bodies(SelfSignedPolicy {
            body_hashes: BodyHashes::Sha256OrMd5,
            other_names: true,
            source_is_signer: true,
            ..SelfSignedPolicy::default()
        })
        .start()?;
    let take = post(take).layer(guard.layer()).layer(map_response(in_the_words_of_the_protocol));
    let app = Router::new()
        .route("/transaction", take.get(list))
        .route("/open", get(|| async { "open to all" }))
        .with_state(Pool::default());

    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:8000")).await?;
    println!("listening on {}, for {origin}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// Takes a transaction, whatever its `Content-Type`: the clients send none.
async fn take(State(pool): State<Pool>, body: Bytes) -> Response {
    let transaction: Transaction = match serde_json::from_slice(&body) {
        Ok(transaction) => transaction,
        Err(error) => return answer(StatusCode::BAD_REQUEST, "Error", &error.to_string()),
    };
    if transaction.target.parse::<Fingerprint>().is_err() {
        return answer(StatusCode::BAD_REQUEST, "Error", "target must be a fingerprint");
    }
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() == MAX_PENDING {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "Error", "too many transactions wait");
    }
    pool.push(transaction);
    answer(StatusCode::CREATED, "Success", "Transaction accepted")
}

async fn list(State(pool): State<Pool>) -> Json<Vec<Transaction>> {
    Json(pool.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Gives the guard's refusals the form of all other answers, and leaves status and challenges.
async fn in_the_words_of_the_protocol(response: Response) -> Response {
    let Some(refused) = response.extensions().get::<Refused>() else { return response };
    let body = json!({ "res": "Error", "message": refused.refusal.to_string() }).to_string();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, body.into())
}

fn answer(status: StatusCode, result: &str, message: &str) -> Response {
    (status, Json(json!({ "res": result, "message": message }))).into_response()
}
