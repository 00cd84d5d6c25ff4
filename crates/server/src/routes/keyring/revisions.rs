//! Earlier contents of one's online keyring.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use countersign_authority::{
    model::keyring::{KeptRevision, Revision},
    online_keyring::changing::RestoreKeyring,
};
use countersign_protocol::{Principal, wire};
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::document_body::{RevisionBody, changed};
use crate::{
    http::{
        body::RawBody,
        change_request::ChangeRequest,
        preconditions::replaced_revision,
        problem::{Problem, ProblemType},
    },
    state::App,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionsBody {
    /// The newest first.
    revisions: Vec<KeptRevisionBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct KeptRevisionBody {
    #[schema(example = 6)]
    revision: u64,
    /// Since when it was the content.
    updated_at: u64,
    /// Until when it was the content.
    replaced_at: u64,
    /// The length of the ciphertext in bytes.
    size: u64,
}

impl From<KeptRevision> for KeptRevisionBody {
    fn from(kept: KeptRevision) -> Self {
        let KeptRevision { revision: Revision(revision), updated_at, replaced_at, size } = kept;
        let (updated_at, replaced_at) = (updated_at.as_secs(), replaced_at.as_secs());
        Self { revision, updated_at, replaced_at, size }
    }
}

/// The earlier contents that are kept.
#[utoipa::path(
    get,
    path = wire::path::KEYRING_REVISIONS,
    tag = "keyring",
    security(("dpop" = [])),
    responses(
        (status = 200, body = RevisionsBody),
        (status = 403, description = "step-up-needed: a JWT without `aud`"),
        (status = 404, description = "no-keyring"),
    )
)]
pub(crate) async fn revisions(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<RevisionsBody>, Problem> {
    let kept = app.authority.online_keyring.revisions(&principal).await?;
    let revisions = kept.into_iter().map(KeptRevisionBody::from).collect();
    Ok(Json(RevisionsBody { revisions }))
}

/// Make an earlier content the content again, under a new number. There must be no body.
///
/// What was the content is kept among the earlier ones, if there is room for it. No other earlier content
/// goes that was replaced in the last 30 days (configurable).
#[utoipa::path(
    post,
    path = wire::path::KEYRING_RESTORE,
    tag = "keyring",
    security(("dpop" = [])),
    params(
        ("revision" = u64, Path, description = "The number of the earlier content"),
        ("If-Match" = String, Header, description = "The `ETag` of the keyring whose content that one replaces"),
        ("Passkey-Assertion" = Option<String>, Header, description = "The answer of a passkey that allows this request"),
    ),
    responses(
        (status = 200, body = RevisionBody, description = "With `ETag`"),
        (status = 400, description = "invalid-request: there is a body, or `If-Match` is no `ETag`"),
        (status = 403, description = "step-up-needed"),
        (status = 404, description = "no-keyring, or not-found: that revision is not kept"),
        (status = 412, description = "keyring-changed; `ETag` says what is there"),
        (status = 428, description = "precondition-required"),
    )
)]
pub(crate) async fn restore(
    State(app): State<App>,
    revision: Result<Path<u64>, PathRejection>,
    request: ChangeRequest,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, Problem> {
    let unknown = |_| Problem::new(ProblemType::NotFound).detail("no such revision");
    let Path(revision) = revision.map_err(unknown)?;
    let replaces = replaced_revision(&headers)?;
    let restoration = RestoreKeyring { revision: Revision(revision), replaces };
    let accounts = &app.authority.accounts;
    let change = accounts.step_up(request.with_body(&body), restoration).await?;
    Ok(changed(app.authority.online_keyring.restore(change).await?))
}
