//! Issues access tokens: RFC 9068 JWTs bound to a key by `cnf.jkt` (RFC 9449 §6.1).

use serde_json::{Map, Value, json};

use crate::{
    AccountId, Scopes, UnixTime,
    keys::{Algorithm, PrivateKey, SignError, Thumbprint},
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
    /// `name`: what the account is called, where the token is to say so.
    pub name: Option<String>,
    /// `cnf.jkt`: the key that must sign every request.
    pub bound_to: Thumbprint,
    /// `scope`.
    pub scopes: Scopes,
    /// `jti`.
    pub token_id: String,
    /// `iat` and `auth_time`: every token is the immediate result of a login.
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
    let mut header = Map::new();
    header.insert("typ".to_owned(), ACCESS_TOKEN_TYPE.into());
    header.insert("kid".to_owned(), key.public_key().thumbprint().to_string().into());
    jws::sign(key, algorithm, &header, &to_payload(claims))
}

fn to_payload(claims: &AccessTokenClaims) -> Map<String, Value> {
    let audience = match claims.audience.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    let members = [
        ("iss", json!(claims.issuer)),
        ("sub", json!(claims.account_id.to_string())),
        ("aud", audience),
        ("client_id", json!(claims.credential.to_string())),
        ("cnf", json!({ "jkt": claims.bound_to.to_string() })),
        ("jti", json!(claims.token_id)),
        ("iat", json!(claims.issued_at.as_secs())),
        ("auth_time", json!(claims.issued_at.as_secs())),
        ("exp", json!(claims.expires_at.as_secs())),
    ];
    let mut payload: Map<String, Value> =
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(name) = &claims.name {
        payload.insert("name".to_owned(), name.as_str().into());
    }
    if !claims.scopes.is_empty() {
        payload.insert("scope".to_owned(), claims.scopes.to_string().into());
    }
    payload
}
