//! The token endpoint: the JWT bearer grant (RFC 7523) and the grant for passkeys, with DPoP (RFC 9449).

use std::net::IpAddr;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Method, header},
    response::IntoResponse,
};
use countersign_authority::{
    core::dpop::PresentedDpop,
    login::{jwt_bearer::TokenRequest, passkey::PasskeyTokenRequest},
    model::credential::InvalidRemember,
    tokens::issuance::Grant,
};
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
pub(super) const WEBAUTHN: &str = "urn:countersign:params:oauth:grant-type:webauthn";

#[derive(ToSchema)]
pub(crate) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`, or
    /// `urn:countersign:params:oauth:grant-type:webauthn` for a passkey.
    #[schema(value_type = String)]
    grant_type: Required,
    /// A JWT signed by a key of the account: `iss` = `sub` = username or account id, `aud` = this
    /// issuer or token endpoint, `exp` at most 5 minutes ahead, `jti`. With a passkey, base64url of its
    /// `AuthenticationResponseJSON`.
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
    /// With a passkey: whether the key of the proof may log in by itself from now on, as a browser that
    /// is remembered for as long as it is used (`browser`) or for some hours (`visit`). `none` when
    /// left out.
    remember: Option<String>,
    /// With `remember`: a name for the browser; after its program when left out.
    label: Option<String>,
}

endpoint_form!(TokenForm {
    grant_type: take_required,
    assertion: take_required,
    scope: take,
    resource: take_all,
    remember: take,
    label: take
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

/// Log in: exchange an assertion, or the answer of a passkey, for an access token that is bound to a key.
///
/// The `DPoP` header carries a proof by the asserting key, or by a session key that the assertion
/// names in `cnf.jkt`; with a passkey, by the key that its challenge was made for. The proof carries
/// the nonce of the last `DPoP-Nonce` header; without one the answer is `use_dpop_nonce`, and nothing
/// is used up.
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
    let grant_type = form.grant_type.as_deref().map_err(OAuthError::clone)?;
    let uri =
        app.authority.core.policy().origin.join(wire::path::TOKEN).map_err(OAuthError::internal)?;
    let fields = dpop_fields(&headers);
    let proof = PresentedDpop { fields: &fields, method: Method::POST.as_str(), uri: &uri };
    let asked = Asked { proof, address: client.0, user_agent: user_agent(&headers) };
    let grant = match grant_type {
        JWT_BEARER => by_assertion(&app, form, asked).await?,
        // In a box of its own, or every login would carry the room that it needs.
        WEBAUTHN => Box::pin(by_passkey(&app, form, asked)).await?,
        _ => {
            return Err(OAuthError::new("unsupported_grant_type")
                .description(format!("the grants are {JWT_BEARER} and {WEBAUTHN}")));
        }
    };
    let body = TokenBody {
        access_token: grant.access_token,
        token_type: "DPoP",
        expires_in: grant.expires_in.as_secs(),
        scope: (!grant.scopes.is_empty()).then(|| grant.scopes.to_string()),
    };
    let no_cache = [(header::PRAGMA, "no-cache")];
    Ok((Extension(grant.actor), no_cache, response::uncached_json(&body)))
}

/// What a request for a token says besides its form.
struct Asked<'a> {
    proof: PresentedDpop<'a>,
    address: IpAddr,
    user_agent: Option<&'a [u8]>,
}

async fn by_assertion(
    app: &App,
    form: TokenForm,
    Asked { proof, address, user_agent }: Asked<'_>,
) -> Result<Grant, OAuthError> {
    let request = TokenRequest {
        assertion: &form.assertion?,
        scope: form.scope.as_deref(),
        resources: &form.resource.iter().map(String::as_str).collect::<Vec<_>>(),
        client_id: form.client_id.as_deref(),
        client_assertion: form.client_assertion.as_deref(),
        proof,
        address,
        user_agent,
    };
    Ok(app.authority.login.login(request).await?)
}

async fn by_passkey(
    app: &App,
    form: TokenForm,
    Asked { proof, address, user_agent }: Asked<'_>,
) -> Result<Grant, OAuthError> {
    let invalid = |detail: String| OAuthError::new("invalid_request").description(detail);
    if form.client_assertion.is_some() {
        return Err(invalid("a passkey comes without client_assertion".to_owned()));
    }
    let remember = match form.remember.as_deref() {
        None | Some("none") => None,
        Some(text) => Some(
            text.parse().map_err(|error: InvalidRemember| invalid(format!("{error}, or none")))?,
        ),
    };
    let request = PasskeyTokenRequest {
        answer: &form.assertion?,
        scope: form.scope.as_deref(),
        resources: &form.resource.iter().map(String::as_str).collect::<Vec<_>>(),
        client_id: form.client_id.as_deref(),
        remember,
        label: form.label.as_deref(),
        proof,
        address,
        user_agent,
    };
    Ok(app.authority.login.login_with_passkey(request).await?)
}
