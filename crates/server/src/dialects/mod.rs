//! The dialects: wire formats of other systems, each in one file, over the one authority.
//!
//! A dialect is thin: it reads its own format, calls the authority, and writes its own format. It
//! can be switched off and is then absent. All of them share `POST /register`, whose bodies differ
//! by their members; see [`register`].

pub(crate) mod register;

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Which dialects are spoken.
#[expect(clippy::struct_excessive_bools, reason = "five independent switches")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialects {
    /// *gradecoin*: sealed registration behind a one-time password.
    pub gradecoin: bool,
    /// *jwks-server*: passwords, and tokens signed with RS256.
    pub jwks_server: bool,
    /// *passwordless*: mutual challenge and response.
    pub passwordless: bool,
    /// *self-signed*: JWTs that the client signs itself, accepted by every protected resource.
    pub self_signed: bool,
    /// *signjwt*: nonce and JWT, signed with RSA-PSS for each request.
    pub signjwt: bool,
}

impl Default for Dialects {
    fn default() -> Self {
        Self {
            gradecoin: true,
            jwks_server: true,
            passwordless: true,
            self_signed: true,
            signjwt: true,
        }
    }
}

/// The routes of those dialects that are spoken.
pub(crate) fn routes(dialects: Dialects) -> OpenApiRouter<App> {
    let mut routes = OpenApiRouter::new();
    if !register::shapes(dialects).is_empty() {
        routes = routes.merge(register::routes());
    }
    routes
}
