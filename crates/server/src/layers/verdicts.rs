//! What becomes of the guard's verdict. Of a request that it refused: a line in the metrics, the
//! cause in the log, and, where somebody used a genuine token wrongly, an entry in the audit trail. Of
//! one that it accepted: that the key was used.

use axum::response::Response;
use countersign_guard::{Refusal, Refused, SignedMessageError, Signer};
use countersign_protocol::{
    Actor,
    proofs::{dpop::DpopError, self_signed::SelfSignedError},
};

use crate::{
    http::{
        address::ClientAddress,
        refusal::{Cause, RefusalReason},
    },
    state::App,
};

/// Records it, if `response` is the answer to a request of `client` that a guard has decided about.
pub(crate) fn record(app: &App, client: Option<ClientAddress>, mut response: Response) -> Response {
    if let (Some(actor), Some(client)) = (response.extensions().get::<Actor>(), client) {
        app.authority.core.note_key_use(actor, client.0);
        return response;
    }
    let Some(Refused { refusal, signer, .. }) = response.extensions_mut().remove() else {
        return response;
    };
    response.extensions_mut().insert(RefusalReason(refusal.reason()));
    if let Refusal::Unavailable(cause) = &refusal {
        response.extensions_mut().insert(Cause(cause.clone()));
    }
    if let Some(Signer { account_id, key }) = signer {
        let key = Some(key);
        response.extensions_mut().insert(Actor { account_id, username: None, key, proof: None });
    }
    if let (Some(signer), Some(client), true) = (signer, client, is_of_consequence(&refusal)) {
        let replayed = matches!(refusal, Refusal::JwtUsed | Refusal::Replayed);
        let who = (signer.account_id, signer.key);
        app.authority.tokens.note_refused_request(who, replayed, &refusal.to_string(), client.0);
    }
    response
}

/// Whether the refusal says that a genuine token, or a proof for it, is in the wrong hands. A stale
/// nonce or a clock that is off says no such thing.
const fn is_of_consequence(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::JwtUsed
        | Refusal::Replayed
        | Refusal::Revoked
        | Refusal::Proof(
            DpopError::AccessToken
            | DpopError::Absent
            | DpopError::Method
            | DpopError::OtherKey
            | DpopError::Signature
            | DpopError::Uri,
        ) => true,
        // Nobody is known to have signed anything, or the owner needs only try again.
        Refusal::BeforeStart
        | Refusal::Body(_)
        | Refusal::Downgrade
        | Refusal::InsufficientScope(_)
        | Refusal::JustStarted
        | Refusal::MadeAhead { .. }
        | Refusal::StartedLately { .. }
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
            | DpopError::RequestUri
            | DpopError::TooOld
            | DpopError::Type,
        )
        | Refusal::SelfSigned(
            SelfSignedError::AccessToken
            | SelfSignedError::Assertion
            | SelfSignedError::Audience
            | SelfSignedError::BodyHash
            | SelfSignedError::BodyUnseen
            | SelfSignedError::Claim(_)
            | SelfSignedError::Expired
            | SelfSignedError::Issuer
            | SelfSignedError::Jws(_)
            | SelfSignedError::Md5
            | SelfSignedError::NoAccount
            | SelfSignedError::NotYetValid
            | SelfSignedError::Signature
            | SelfSignedError::Source
            | SelfSignedError::TooLongLived { .. }
            | SelfSignedError::TooOld { .. }
            | SelfSignedError::TwoAccounts
            | SelfSignedError::Type,
        )
        | Refusal::SignedMessage(
            SignedMessageError::Absent
            | SignedMessageError::Malformed
            | SignedMessageError::Refused,
        )
        | Refusal::ShareUsedUp(_)
        | Refusal::Token(_)
        | Refusal::TokenFormat(_)
        | Refusal::Unavailable(_)
        | Refusal::UnknownSigningKey => false,
    }
}
