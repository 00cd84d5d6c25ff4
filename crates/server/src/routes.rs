//! The native HTTP surface: one file for each endpoint.

mod api;
mod keyring;
mod oauth;
mod ops;
mod passkeys;
pub(crate) mod web;

use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    api::{accounts, events, keys, recover, revocations, whoami},
    keyring::{content, open, own, revisions, slots},
    oauth::{introspect, jwks, metadata, revoke, token},
    ops::{health, metrics},
    passkeys::{adding, options, related_origins},
    web::page,
};
use crate::state::App;

/// The protected resources: every request must be proven.
pub(crate) fn protected() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(whoami::whoami))
        .routes(routes!(keys::list_keys, keys::add_key))
        .routes(routes!(keys::rename_key, keys::revoke_key))
        .routes(routes!(adding::add_passkey))
        .routes(routes!(options::options_to_add))
        .routes(routes!(options::options_to_step_up))
        .routes(routes!(events::events))
        .routes(routes!(slots::offer_slot))
        .routes(routes!(revisions::revisions))
        .routes(routes!(revisions::restore))
        .routes(routes!(open::open_by_passkey))
}

/// The protected resources that take large bodies.
pub(crate) fn keyrings() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own::keyring, own::store_keyring, own::delete_keyring))
        .routes(routes!(content::change_content))
}

/// The endpoints where a client proves a key without a token, and the one that it asks before.
pub(crate) fn with_token_endpoint_nonce() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(recover::recover))
        .routes(routes!(options::options))
        .routes(routes!(open::open))
        .routes(routes!(open::finish))
        .routes(routes!(token::token))
}

/// For those who run the server. These answer outside of all limits, so that an overloaded server
/// can still be watched.
pub(crate) fn unlimited() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::ready))
}

/// Data that guards elsewhere fetch for all their requests. It has an allowance of its own.
pub(crate) fn upkeep() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(jwks::jwks))
        .routes(routes!(metadata::metadata))
        .routes(routes!(revocations::revocations))
}

/// The endpoints that need no proof, or check it themselves.
pub(crate) fn public() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accounts::account_jwks))
        .routes(routes!(introspect::introspect))
        .routes(routes!(revoke::revoke))
        .routes(routes!(related_origins::related_origins))
        .routes(routes!(page::page))
}
