//! `POST /logout`: one path for two dialects, told apart by where the token is. *passwordless*
//! sends it as `Authorization: Bearer`.

use axum::{Extension, extract::State, response::Response};
use http::{HeaderMap, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::passwordless;
use crate::{
    address::ClientAddress,
    app::App,
    problem::{Problem, ProblemBody, ProblemType},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logout))
}

/// End a session or a token.
///
/// *passwordless* sends its token as `Authorization: Bearer`: who holds a token may end it, as in
/// RFC 7009, and what is no token of this server has ended already.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "dialects",
    responses(
        (status = 200, description = "The token is no longer good anywhere, or never was"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "unauthenticated: there is no token"),
    )
)]
pub(crate) async fn logout(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = bearer(&headers)
        && app.settings.dialects.passwordless
    {
        return Ok(passwordless::logout(app, client, token).await);
    }
    Err(Problem::new(ProblemType::Unauthenticated)
        .detail("send the token to end as Authorization: Bearer"))
}

/// The token of the one `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start())
}
