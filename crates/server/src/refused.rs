//! What becomes of a request that the guard refused: a line in the metrics, the cause in the log,
//! and, where somebody used a genuine token wrongly, an entry in the audit trail.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use countersign_guard::{Refusal, Refused};
use countersign_protocol::proofs::dpop::DpopError;

use crate::{
    address::ClientAddress,
    app::App,
    problem::{Cause, Refusal as CountedRefusal},
};

pub(crate) async fn record(State(app): State<App>, request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ClientAddress>().copied();
    let mut response = next.run(request).await;
    let Some(Refused { refusal, token }) = response.extensions_mut().remove() else {
        return response;
    };
    response.extensions_mut().insert(CountedRefusal(refusal.reason()));
    if let Refusal::Unavailable(cause) = &refusal {
        response.extensions_mut().insert(Cause(cause.clone()));
    }
    if let (Some(token), Some(client), true) = (token, client, is_of_consequence(&refusal)) {
        let replayed = refusal == Refusal::Replayed;
        app.authority.note_refused_token(&token, replayed, &refusal.to_string(), client.0);
    }
    response
}

/// Whether the refusal says that a genuine token, or a proof for it, is in the wrong hands. A stale
/// nonce or a clock that is off says no such thing.
const fn is_of_consequence(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Replayed
        | Refusal::Revoked
        | Refusal::Proof(
            DpopError::AccessToken
            | DpopError::Absent
            | DpopError::Method
            | DpopError::OtherKey
            | DpopError::Signature
            | DpopError::Uri,
        ) => true,
        Refusal::Downgrade
        | Refusal::InsufficientScope(_)
        | Refusal::Malformed
        | Refusal::Missing
        | Refusal::Proof(
            DpopError::Claim(_)
            | DpopError::FromTheFuture
            | DpopError::Jws(_)
            | DpopError::Key(_)
            | DpopError::NoKey
            | DpopError::Nonce
            | DpopError::Several
            | DpopError::TooOld
            | DpopError::Type,
        )
        | Refusal::Token(_)
        | Refusal::TokenFormat(_)
        | Refusal::Unavailable(_)
        | Refusal::UnknownSigningKey => false,
    }
}
