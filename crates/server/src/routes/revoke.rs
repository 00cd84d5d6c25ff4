//! Token revocation (RFC 7009).

use axum::{Extension, extract::State};
use http::StatusCode;
use utoipa::ToSchema;

use super::introspect::authenticate;
use crate::{
    address::ClientAddress,
    app::App,
    body::OAuthForm,
    problem::{OAuthError, OAuthErrorBody},
};

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that the endpoint reads")]
pub(crate) struct RevokeForm {
    /// The token to end.
    token: String,
}

/// End a token before its time.
///
/// Whoever holds a token may end it. A caller that authenticates itself by `private_key_jwt` may
/// end only tokens of its own account.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    tag = "oauth",
    request_body(content = RevokeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is no longer good, or never was"),
        (status = 400, body = OAuthErrorBody, description = "invalid_request, unauthorized_client or unsupported_token_type"),
        (status = 401, body = OAuthErrorBody, description = "invalid_client"),
    )
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    form: OAuthForm,
) -> Result<StatusCode, OAuthError> {
    let caller = authenticate(&app, client, &form).await?;
    let token = form.required("token")?;
    app.authority.revoke_token(token, caller.as_ref(), client.0).await?;
    Ok(StatusCode::OK)
}
