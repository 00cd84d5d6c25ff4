//! What the answers of several dialects have in common.

use countersign_protocol::{
    UnixTime,
    keys::PrivateKey,
    strict::{base64url, json},
};
use serde_json::Value;

use crate::{
    http::{error::ClientError, login::WhoAmI, target::Target},
    token::{AccessToken, IssuedToken},
};

/// The id of a new account, from the answer to its first signed request.
pub(super) fn registered_id(
    target: &Target,
    who: Result<WhoAmI, ClientError>,
) -> Result<String, ClientError> {
    let reason = |error| format!("the account is registered, but the key does not work: {error}");
    who.map(|who| who.account_id).map_err(|error| target.unexpected(reason(error)))
}

/// Reads the token in an answer. Resource servers verify its claims; the client only looks when it
/// expires and whether it is bound to `key`.
pub(super) fn read_bound_token(
    target: &Target,
    token: String,
    key: &PrivateKey,
) -> Result<IssuedToken, ClientError> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|payload| json::parse_object(&base64url::decode(payload).ok()?).ok());
    let claims = claims.ok_or_else(|| target.unexpected("the token is not a JWT"))?;
    let bound_to = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
    if bound_to != Some(&key.public_key().thumbprint().to_string()) {
        return Err(target.unexpected("the token is not bound to the key"));
    }
    let expires_at = claims.get("exp").and_then(Value::as_u64);
    let expires_at = expires_at.ok_or_else(|| target.unexpected("the token has no end"))?;
    let token = AccessToken::new(token).map_err(|error| target.unexpected(error))?;
    Ok(IssuedToken { token, expires_at: UnixTime::from_secs(expires_at), scope: None })
}
