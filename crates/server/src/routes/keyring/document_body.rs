//! Keyrings in answers.

use axum::response::Response;
use countersign_authority::model::keyring::{KeyringDocument, Revision};
use countersign_protocol::{AccountId, strict::base64url};
use http::header::ETAG;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::{
    preconditions::entity_tag,
    problem::{Problem, ProblemType},
    response,
};

#[derive(Serialize, ToSchema)]
pub(crate) struct OpenedBody {
    /// The id of the account whose keyring it is.
    #[schema(example = "K7gNU3sdo-OL0wNhqoVWhg")]
    account_id: String,
    /// The number of the content.
    #[schema(example = 7)]
    revision: u64,
    /// The document, version 2 of `countersign-keyring`, sealed as it was stored.
    document: Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionBody {
    /// The number of the new content.
    #[schema(example = 7)]
    revision: u64,
}

/// The answer with a keyring of `account`.
pub(super) fn opened(
    account: AccountId,
    (revision, document): (Revision, KeyringDocument),
) -> Response {
    let account_id = account.to_string();
    let body = OpenedBody { account_id, revision: revision.0, document: document.to_members() };
    tagged(revision, &body)
}

/// The answer to a change.
pub(super) fn changed(revision: Revision) -> Response {
    tagged(revision, &RevisionBody { revision: revision.0 })
}

/// An answer about the keyring of that revision.
pub(super) fn tagged(revision: Revision, body: &impl Serialize) -> Response {
    let mut answer = response::uncached_json(body);
    answer.headers_mut().insert(ETAG, entity_tag(revision));
    answer
}

/// The bytes of a member.
pub(super) fn bytes(member: &'static str, text: &str) -> Result<Vec<u8>, Problem> {
    base64url::decode(text).map_err(|error| {
        Problem::new(ProblemType::InvalidRequest).detail(format!("{member}: {error}"))
    })
}
