//! Token revocation (RFC 7009).

use axum::{Extension, extract::State};
use countersign_authority::tokens::standing::RevokingClient;
use countersign_protocol::wire;
use http::StatusCode;
use utoipa::ToSchema;

use super::client::{ClientAuthorization, endpoint_form};
use crate::{
    http::{address::ClientAddress, body::Required, oauth_error::OAuthError},
    state::App,
};

#[derive(ToSchema)]
pub(crate) struct RevokeForm {
    /// The token to end.
    #[schema(value_type = String)]
    token: Required,
    /// The account of the token, by name or id, or the key that it was issued to. May be left out.
    client_id: Option<String>,
    /// A JWT that authenticates the client, as for introspection. May be left out.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, with `client_assertion` only.
    client_assertion_type: Option<String>,
}

endpoint_form!(RevokeForm { token: take_required });

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
    ClientAuthorization { caller, form }: ClientAuthorization<RevokeForm>,
) -> Result<StatusCode, OAuthError> {
    let by = RevokingClient { caller: caller.as_ref(), client_id: form.client_id.as_deref() };
    app.authority.tokens.revoke_token(&form.token?, by, client.0).await?;
    Ok(StatusCode::OK)
}
