//! Ways to log in other than the standard one.

mod gradecoin;
mod jwks_server;
mod passwordless;
mod self_signed;
mod signjwt;

use countersign_protocol::{
    UnixTime,
    keys::PrivateKey,
    strict::{base64url, json},
};
use serde_json::Value;

pub use self::gradecoin::gradecoin_fingerprint;
pub use self::passwordless::PasswordlessAccount;
pub use self::signjwt::SessionRecipients;
use super::{
    Client, ClientError, Response, WhoAmI,
    client::unexpected,
    target::Target,
    transport::{MAX_API_ANSWER, Message},
};
use crate::token::{AccessToken, SavedToken};

impl Client {
    /// Sends a message as it is, and gets a short answer.
    async fn ask(&self, target: &Target, message: Message) -> Result<Response, ClientError> {
        self.transport().send_to(target, message, MAX_API_ANSWER).await
    }
}

/// The id of an account that is registered, from the answer to its first signed request.
fn registered_id(target: &Target, who: Result<WhoAmI, ClientError>) -> Result<String, ClientError> {
    let reason = |error| format!("the account is registered, but the key does not work: {error}");
    who.map(|who| who.account_id).map_err(|error| unexpected(target, &reason(error)))
}

/// Reads a token of an answer. Its claims are for the resource servers to verify; what the client
/// wants to know is when it ends, and that it is bound to `key`.
fn read_bound_token(
    target: &Target,
    token: String,
    key: &PrivateKey,
) -> Result<SavedToken, ClientError> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|payload| json::parse_object(&base64url::decode(payload).ok()?).ok());
    let claims = claims.ok_or_else(|| unexpected(target, "the token is not a JWT"))?;
    let bound_to = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
    if bound_to != Some(&key.public_key().thumbprint().to_string()) {
        return Err(unexpected(target, "the token is not bound to the key"));
    }
    let expires_at = claims.get("exp").and_then(Value::as_u64);
    let expires_at = expires_at.ok_or_else(|| unexpected(target, "the token has no end"))?;
    let token = AccessToken::new(token).map_err(|error| unexpected(target, &error.to_string()))?;
    Ok(SavedToken {
        token,
        expires_at: UnixTime::from_secs(expires_at),
        nonces: Vec::new(),
        resource: None,
        scope: None,
    })
}
