//! The native HTTP surface: one file for each endpoint.

mod accounts;
mod client;
mod events;
mod forward_auth;
mod health;
mod introspect;
mod jwks;
mod keys;
mod metadata;
pub(crate) mod openapi;
mod page;
mod recover;
mod revocations;
mod revoke;
mod token;
mod whoami;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{forward_auth::is_asked_at as is_asked_by_proxies, jwks::JwksAnswer};
use crate::app::App;

/// The protected resources: every request must be proven.
pub(crate) fn protected() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(whoami::whoami))
        .routes(routes!(keys::list_keys, keys::add_key))
        .routes(routes!(keys::rename_key, keys::revoke_key))
        .routes(routes!(events::events))
}

/// The endpoints where a client proves a key without a token.
pub(crate) fn with_token_endpoint_nonce() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(recover::recover))
        .routes(routes!(token::token))
}

/// For those who run the server. These answer outside of all limits, so that an overloaded server
/// can still be watched.
pub(crate) fn unlimited() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::metrics))
        .routes(routes!(health::ready))
}

/// What proxies ask before they let a request pass.
pub(crate) fn for_proxies() -> OpenApiRouter<App> {
    forward_auth::routes()
}

/// What guards elsewhere fetch for all of their requests. It has an allowance of its own.
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
        .routes(routes!(page::page))
}
