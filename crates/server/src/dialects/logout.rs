//! `POST /logout`: one path for two dialects, told apart by where the token is. *passwordless*
//! sends it in `Authorization`, *signjwt* in the body, signed like every request.

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use countersign_protocol::wire;
use http::{HeaderMap, header};
use utoipa::openapi::path::Operation;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{passwordless, signjwt, switches::Dialects};
use crate::{
    http::{
        address::ClientAddress,
        body::UntypedBody,
        problem::{Problem, ProblemType},
    },
    state::App,
};

pub(super) const PATH: &str = "/logout";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logout))
}

/// End a session or a token.
#[utoipa::path(
    post,
    path = PATH,
    tag = "dialects",
    request_body(content = Option<Value>, description = "Nothing, or the body of a protected request, whatever the Content-Type says"),
    responses(
        (status = 200, description = "The token is no longer good anywhere, or never was"),
        (status = 400, description = "invalid-json or invalid-request: the body is no signed message"),
        (status = 403, description = "forbidden: session, nonce or signature is not good"),
        (status = 401, description = "unauthenticated: there is no token"),
    )
)]
pub(crate) async fn logout(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    UntypedBody(body): UntypedBody,
) -> Response {
    if let Some(token) = token_in(&headers)
        && app.settings.dialects.passwordless
    {
        return passwordless::logout(app, client, token).await;
    }
    if !body.is_empty() && app.settings.dialects.signjwt {
        return signjwt::logout(app, client, &body).await;
    }
    let missing = Problem::new(ProblemType::Unauthenticated)
        .detail("send the token to end as Authorization: Bearer, or a signed message");
    // RFC 6750 §3: a challenge has at least one parameter.
    ([(header::WWW_AUTHENTICATE, "Bearer realm=\"countersign\"")], missing).into_response()
}

/// Describes in the OpenAPI document what is sent in the dialects that are spoken.
pub(super) fn describe(operation: &mut Operation, dialects: Dialects) {
    let forms = [
        (
            dialects.passwordless,
            "*passwordless* sends its token as `Authorization: Bearer`, or as everywhere else with the \
             scheme `DPoP`: who holds a token may end it, as in RFC 7009, so no proof is looked at, \
             and what is no token of this server has ended already.",
        ),
        (
            dialects.signjwt,
            "*signjwt* sends the body of a protected request, `{\"jwt\", \"signed_message\"}`.",
        ),
    ];
    let spoken = forms.into_iter().filter_map(|(spoken, form)| spoken.then_some(form));
    operation.description = Some(spoken.collect::<Vec<_>>().join(" "));
}

/// The token of the one `Authorization: Bearer` (RFC 6750 §2.1) or `DPoP` (RFC 9449 §7.1). A client
/// that sends it as it does everywhere may have it ended too: holding it is enough for that.
fn token_in(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    let is_known = [wire::scheme::BEARER, wire::scheme::DPOP]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| token.trim_start())
}
