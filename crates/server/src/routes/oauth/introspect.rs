//! Token introspection (RFC 7662).

use axum::{extract::State, response::Response};
use countersign_authority::{
    model::account::Username,
    tokens::standing::{Introspection, IssuedToken},
};
use countersign_protocol::{tokens::issue::AccessTokenClaims, wire};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::client::{ClientAuthorization, endpoint_form};
use crate::{
    http::{
        body::Required,
        oauth_error::{ClientScheme, OAuthError},
        response,
    },
    state::App,
};

#[derive(ToSchema)]
pub(crate) struct IntrospectForm {
    /// The token that the caller wants to know about.
    #[schema(value_type = String)]
    token: Required,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`
    #[schema(value_type = String)]
    client_assertion_type: Option<String>,
    /// A JWT signed by a key of the calling account: `iss` = `sub` = its name or id, `aud` = this
    /// issuer and nothing else, `exp`, `jti`.
    #[schema(value_type = String)]
    client_assertion: Option<String>,
    /// The calling account, by name or id, or its key. May be left out.
    client_id: Option<String>,
}

endpoint_form!(IntrospectForm { token: take_required });

/// Ask whether a token is good.
///
/// The caller authenticates itself by `private_key_jwt`. It may ask about tokens of its own account,
/// and about those of others with the scope `introspect`.
#[utoipa::path(
    post,
    path = wire::path::INTROSPECT,
    tag = "oauth",
    request_body(content = IntrospectForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "`{\"active\":false}`, or the token's claims with `active` true, `username`, `token_type` DPoP, `cnf`, and how the account logged in (`auth_time`, `amr`, `acr`), or `token_type` Bearer where it is bound to no key"),
        (status = 400, description = "invalid_request"),
        (status = 401, description = "invalid_client"),
    )
)]
pub(crate) async fn introspect(
    State(app): State<App>,
    ClientAuthorization { caller, form }: ClientAuthorization<IntrospectForm>,
) -> Result<Response, OAuthError> {
    let Some(caller) = caller else {
        return Err(OAuthError::invalid_client(ClientScheme::Bearer)
            .description("authenticate with client_assertion (private_key_jwt)"));
    };
    let introspection = app.authority.tokens.introspect(&form.token?, &caller).await?;
    Ok(response::uncached_json(&to_json(&introspection)))
}

fn to_json(introspection: &Introspection) -> Value {
    match introspection {
        Introspection::Active { token: IssuedToken::Bound(claims), username } => {
            bound(claims, username)
        }
        Introspection::Active { token: IssuedToken::Unbound(claims), username } => json!({
            "active": true,
            "iss": claims.issuer,
            "sub": claims.account_id,
            "username": username.as_str(),
            "token_type": "Bearer",
            "jti": claims.token_id,
            "iat": claims.issued_at.as_secs(),
            "exp": claims.expires_at.as_secs(),
        }),
        Introspection::Inactive => json!({ "active": false }),
    }
}

fn bound(claims: &AccessTokenClaims, username: &Username) -> Value {
    let mut answer = json!({
        "active": true,
        "iss": claims.issuer,
        "sub": claims.account_id,
        "aud": claims.audience,
        "client_id": claims.credential,
        "username": username.as_str(),
        "token_type": "DPoP",
        "jti": claims.token_id,
        "iat": claims.issued_at.as_secs(),
        "exp": claims.expires_at.as_secs(),
        "cnf": { "jkt": claims.bound_to },
    });
    if !claims.scopes.is_empty() {
        answer["scope"] = claims.scopes.to_string().into();
    }
    if let Some(login) = claims.authentication {
        answer["auth_time"] = login.at.as_secs().into();
        answer["amr"] = json!(login.methods);
        if let Some(class) = login.class {
            answer["acr"] = class.name().into();
        }
    }
    answer
}
