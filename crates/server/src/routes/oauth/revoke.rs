//! Token revocation (RFC 7009).

use axum::{Extension, extract::State};
use countersign_authority::RevokingClient;
use countersign_protocol::wire;
use http::StatusCode;
use utoipa::ToSchema;

use super::client::ClientForm;
use crate::{
    http::{address::ClientAddress, oauth_error::OAuthError},
    state::App,
};

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that the endpoint reads")]
pub(crate) struct RevokeForm {
    /// The token to end.
    token: String,
    /// The account of the token, by name or id, or the key that it was issued to. May be left out.
    client_id: Option<String>,
    /// A JWT that authenticates the client, as for introspection. May be left out.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, with `client_assertion` only.
    client_assertion_type: Option<String>,
}

/// End a token before its time.
///
/// Whoever holds a token may end it. A caller that authenticates itself by `private_key_jwt` may
/// end only tokens of its own account.
#[utoipa::path(
    post,
    path = wire::path::REVOKE,
    tag = "oauth",
    request_body(content = RevokeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is no longer good, or never was"),
        (status = 400, description = "invalid_request, unauthorized_client or unsupported_token_type"),
        (status = 401, description = "invalid_client"),
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    form: ClientForm,
) -> Result<StatusCode, OAuthError> {
    let caller = form.caller(&app, client).await?;
    let token = form.required("token")?;
    let by = RevokingClient { caller: caller.as_ref(), client_id: form.client_id() };
    app.authority.tokens.revoke_token(token, by, client.0).await?;
    Ok(StatusCode::OK)
}
