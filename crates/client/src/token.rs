//! Access tokens as a client holds them.

use countersign_protocol::UnixTime;
use zeroize::Zeroizing;

/// An access token: what goes after `Authorization: DPoP`. Wiped when dropped.
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// The longest token that is accepted, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Takes over `text`, which must have the form `token68` (RFC 9110 §11.2).
    ///
    /// # Errors
    /// When `text` is empty, too long, or has characters that could break out of a header.
    pub fn new(text: String) -> Result<Self, AccessTokenError> {
        let text = Zeroizing::new(text);
        let body = text.trim_end_matches('=');
        let is_token68 = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        };
        if body.is_empty() || text.len() > Self::MAX_BYTES || !body.bytes().all(is_token68) {
            return Err(AccessTokenError);
        }
        Ok(Self(text))
    }

    /// The token itself, for the header of a request to the server that it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second holder of the same token. Not `Clone`, so that every copy is a visible decision.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A token as a server issues it.
pub(crate) struct IssuedToken {
    pub(crate) token: AccessToken,
    pub(crate) expires_at: UnixTime,
    /// The granted scopes, separated by spaces, where the server named them.
    pub(crate) scope: Option<String>,
}

/// A text that cannot be an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an access token: it is empty, too long, or has characters that no token has")]
pub struct AccessTokenError;

/// What is worth keeping of a login between two runs of a program.
///
/// It is of use only together with the private key that the token is bound to.
pub struct SavedToken {
    /// The access token.
    pub token: AccessToken,
    /// From this moment on, servers refuse it.
    pub expires_at: UnixTime,
    /// The newest DPoP nonce that each origin supplied (RFC 9449 §9): pairs of origin and nonce.
    pub nonces: Vec<(String, String)>,
    /// The resource server that the token was asked for (RFC 8707); none for the server that issued
    /// it.
    pub resource: Option<String>,
    /// The scopes that were asked for, separated by single spaces; none for all that the account
    /// has. A renewal asks for the same scopes and no more.
    pub scope: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_token68_is_a_token() {
        for good in ["a", "eyJ.eyJ.c2ln", "a-._~+/==", &"x".repeat(AccessToken::MAX_BYTES)] {
            assert!(AccessToken::new(good.to_owned()).is_ok());
        }
        for bad in
            ["", "=", "a=b", "a b", "a\r\nX: y", "ä", &"x".repeat(AccessToken::MAX_BYTES + 1)]
        {
            assert!(AccessToken::new(bad.to_owned()).is_err(), "{bad:.40}");
        }
    }
}
