//! The token endpoint: the JWT bearer grant (RFC 7523) with DPoP (RFC 9449).

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, header},
    response::IntoResponse,
};
use countersign_authority::{core::dpop::PresentedDpop, login::jwt_bearer::TokenRequest};
use countersign_protocol::wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{ClientForm, endpoint_form};
use crate::{
    http::{
        address::ClientAddress,
        body::{Required, dpop_fields, user_agent},
        oauth_error::OAuthError,
        response,
    },
    state::App,
};

pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[derive(ToSchema)]
pub(crate) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`
    #[schema(value_type = String)]
    grant_type: Required,
    /// A JWT signed by a key of the account: `iss` = `sub` = username or account id, `aud` = this
    /// issuer or token endpoint, `exp` at most 5 minutes ahead, `jti`.
    #[schema(value_type = String)]
    assertion: Required,
    /// Scopes separated by spaces; all of the account's when left out.
    scope: Option<String>,
    /// The resource server that the token is for (RFC 8707); this server when left out.
    #[schema(value_type = Option<String>)]
    resource: Vec<String>,
    /// The account of the assertion, by name or id, or its key; needed for nothing.
    client_id: Option<String>,
    /// A JWT that authenticates the client (`private_key_jwt`); needed for nothing, since the
    /// assertion does. It must be by the same account.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, with `client_assertion` only.
    client_assertion_type: Option<String>,
}

endpoint_form!(TokenForm {
    grant_type: take_required,
    assertion: take_required,
    scope: take,
    resource: take_all
});

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBody {
    /// An RFC 9068 JWT, bound to the key of the proof by `cnf.jkt`.
    access_token: String,
    /// Always `DPoP`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Log in: exchange an assertion for an access token that is bound to a key.
///
/// The `DPoP` header carries a proof by the asserting key, or by a session key that the assertion
/// names in `cnf.jkt`. The proof carries the nonce of the last `DPoP-Nonce` header; without one the
/// answer is `use_dpop_nonce`, and nothing is used up.
#[utoipa::path(
    post,
    path = wire::path::TOKEN,
    tag = "oauth",
    params(("DPoP" = String, Header, description = "A DPoP proof by the key that the token will be bound to")),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenBody),
        (status = 400, description = "invalid_request, invalid_grant, invalid_scope, invalid_target, unsupported_grant_type, invalid_dpop_proof or use_dpop_nonce"),
        (status = 401, description = "invalid_client: a client_assertion that is not good, or another way to authenticate"),
    )
)]
pub(crate) async fn token(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    ClientForm(form): ClientForm<TokenForm>,
) -> Result<impl IntoResponse, OAuthError> {
    if form.grant_type? != JWT_BEARER {
        return Err(OAuthError::new("unsupported_grant_type")
            .description(format!("the one grant is {JWT_BEARER}")));
    }
    let uri =
        app.authority.core.policy().origin.join(wire::path::TOKEN).map_err(OAuthError::internal)?;
    let grant = app
        .authority
        .login
        .login(TokenRequest {
            assertion: &form.assertion?,
            scope: form.scope.as_deref(),
            resources: &form.resource.iter().map(String::as_str).collect::<Vec<_>>(),
            client_id: form.client_id.as_deref(),
            client_assertion: form.client_assertion.as_deref(),
            proof: PresentedDpop {
                fields: &dpop_fields(&headers),
                method: Method::POST.as_str(),
                uri: &uri,
            },
            address: client.0,
            user_agent: user_agent(&headers),
        })
        .await?;
    let body = TokenBody {
        access_token: grant.access_token,
        token_type: "DPoP",
        expires_in: grant.expires_in.as_secs(),
        scope: (!grant.scopes.is_empty()).then(|| grant.scopes.to_string()),
    };
    let no_cache = [(header::PRAGMA, "no-cache")];
    Ok((Extension(grant.actor), no_cache, response::uncached_json(&body)))
}
