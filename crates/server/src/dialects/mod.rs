//! The dialects: wire formats of other systems, each in one file, over the one authority.
//!
//! A dialect is thin: it reads its own format, calls the authority, and writes its own format. It
//! can be switched off and is then absent. All of them share `POST /register`, whose bodies differ
//! by their members; see [`register`].

mod logout;
mod passwordless;
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
    /// The smallest modulus, in bits, of an RSA key that *passwordless* registers. Below 2048 such
    /// a key is good for nothing but this dialect's own proof.
    pub min_rsa_bits: u32,
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
            min_rsa_bits: 2048,
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
    if dialects.passwordless {
        routes = routes.merge(passwordless::routes()).merge(logout::routes());
    }
    routes
}
