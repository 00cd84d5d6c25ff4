//! Issues access tokens: RFC 9068 JWTs bound to a key by `cnf.jkt` (RFC 9449 §6.1).

use serde::Serialize;

use crate::{
    AccountId, AuthenticationClass, AuthenticationContext, AuthenticationMethods, Scopes, UnixTime,
    keys::{Algorithm, PrivateKey, SignError, Thumbprint},
    names::Username,
    tokens::jws,
};

/// The `typ` of an access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenClaims {
    /// `iss`: who issued it.
    pub issuer: String,
    /// `sub`: whom it speaks for.
    pub account_id: AccountId,
    /// `aud`: the resource servers that it is meant for; never empty.
    pub audience: Vec<String>,
    /// `client_id`: the credential that the account logged in with. A thumbprint can never be
    /// mistaken for an account id, which RFC 9068 §5 warns of.
    pub credential: Thumbprint,
    /// `name`: what the account is called, in the dialect that wants it there.
    pub name: Option<String>,
    /// `preferred_username`: what the account was called when the token was issued. Tokens from before
    /// there was this claim have none.
    pub username: Option<Username>,
    /// `cnf.jkt`: the key that must sign every request.
    pub bound_to: Thumbprint,
    /// `scope`.
    pub scopes: Scopes,
    /// `narrowed`: whether the client asked for fewer scopes than the account had. Such a token
    /// changes no credentials, whatever scopes the account has by then.
    pub narrowed: bool,
    /// `jti`.
    pub token_id: String,
    /// `auth_time`, `amr` and `acr`: the login that the token comes from. This server's tokens all
    /// name it.
    pub authentication: Option<AuthenticationContext>,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
}

/// Signs `claims` with the signing key `key`, whose thumbprint becomes the `kid`.
///
/// # Errors
/// When the key cannot sign with `algorithm`.
pub fn access_token(
    claims: &AccessTokenClaims,
    key: &PrivateKey,
    algorithm: Algorithm,
) -> Result<String, SignError> {
    jws::sign_typed(ACCESS_TOKEN_TYPE, key, algorithm, &Payload::new(claims))
}

/// The claims as they are written.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<AuthenticationClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<AuthenticationMethods>,
    aud: Audience<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    client_id: Thumbprint,
    cnf: Confirmation,
    exp: u64,
    iat: u64,
    iss: &'a str,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    narrowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    scope: &'a Scopes,
    sub: AccountId,
}

/// One audience is a string (RFC 7519 §4.1.3).
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Several(&'a [String]),
}

#[derive(Serialize)]
struct Confirmation {
    jkt: Thumbprint,
}

impl<'a> Payload<'a> {
    fn new(claims: &'a AccessTokenClaims) -> Self {
        let login = claims.authentication;
        Self {
            acr: login.and_then(|login| login.class),
            amr: login.map(|login| login.methods).filter(|methods| !methods.is_empty()),
            aud: match claims.audience.as_slice() {
                [one] => Audience::One(one),
                several => Audience::Several(several),
            },
            auth_time: login.map(|login| login.at.as_secs()),
            client_id: claims.credential,
            cnf: Confirmation { jkt: claims.bound_to },
            exp: claims.expires_at.as_secs(),
            iat: claims.issued_at.as_secs(),
            iss: &claims.issuer,
            jti: &claims.token_id,
            name: claims.name.as_deref(),
            narrowed: claims.narrowed,
            preferred_username: claims.username.as_ref().map(Username::as_str),
            scope: &claims.scopes,
            sub: claims.account_id,
        }
    }
}
