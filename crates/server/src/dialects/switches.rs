//! Which dialects are spoken: a switch for each of them.

/// Which dialects are spoken.
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
