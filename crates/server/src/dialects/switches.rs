//! Which dialects are spoken: a switch for each of them.

use serde::Deserialize;

/// Which dialects are spoken.
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialects {
    /// Whether a client address may try at most ten passwords of *jwks-server* in any one second.
    pub auth_rate_limit: bool,
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
            auth_rate_limit: true,
            gradecoin: true,
            jwks_server: true,
            min_rsa_bits: 2048,
            passwordless: true,
            self_signed: true,
            signjwt: true,
        }
    }
}
