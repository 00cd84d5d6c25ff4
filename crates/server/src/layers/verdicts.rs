//! Records the guard's decision. For a refused request: a count in the metrics, the cause in the
//! log, and, if somebody misused a genuine token, an entry in the audit trail. For an accepted
//! request: the use of the key, and whose request it is, before anything is done for it. A client that
//! leaves before the answer hides nothing by that.

use axum::response::Response;
use countersign_authority::{Authority, model::audit::Reason};
use countersign_guard::{AuditKind, Refused, Signer};
use countersign_protocol::{Actor, Principal};
use http::Extensions;

use crate::{
    http::{
        address::ClientAddress,
        refusal::{Cause, RefusalReason},
    },
    layers::access_log::Line,
    state::App,
};

/// Records that a request with these extensions was accepted, as soon as that is known.
pub(crate) fn record_accepted(
    authority: &Authority,
    extensions: &Extensions,
    principal: &Principal,
) {
    let actor = Actor::from(principal);
    if let Some(line) = extensions.get::<Line>() {
        line.proven_by(&actor);
    }
    if let Some(ClientAddress(client)) = extensions.get() {
        authority.core.note_key_use(&actor, *client);
    }
}

/// Records a refusal, if `response` is one by a guard to a request of `client`.
pub(crate) fn record_refused(
    app: &App,
    client: Option<ClientAddress>,
    mut response: Response,
) -> Response {
    let Some(Refused { refusal, signer, .. }) = response.extensions_mut().remove() else {
        return response;
    };
    response.extensions_mut().insert(RefusalReason(refusal.reason()));
    if let Some(cause) = refusal.cause() {
        response.extensions_mut().insert(Cause(cause.to_owned()));
    }
    if let Some(Signer { account_id, key }) = signer {
        let key = Some(key);
        response.extensions_mut().insert(Actor { account_id, username: None, key, proof: None });
    }
    if let (Some(signer), Some(client), Some(kind)) = (signer, client, refusal.audit_kind()) {
        let who = (signer.account_id, signer.key);
        let why = (reason_of(kind), refusal.to_string());
        app.authority.tokens.note_refused_request(who, (why.0, &why.1), client.0);
    }
    response
}

/// What the audit trail calls it.
const fn reason_of(kind: AuditKind) -> Reason {
    match kind {
        AuditKind::NoProof => Reason::NoProof,
        AuditKind::OtherKey => Reason::OtherKey,
        AuditKind::OtherRequest => Reason::OtherRequest,
        AuditKind::OtherToken => Reason::OtherToken,
        AuditKind::Replayed => Reason::UsedBefore,
        AuditKind::Revoked => Reason::TokenEnded,
        AuditKind::Signature => Reason::Signature,
    }
}
