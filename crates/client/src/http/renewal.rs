//! Another token in place of one that is refused: the signing key of the server was withdrawn, its
//! database restored from a backup, the token revoked or past its end.

use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, PublicKey};

use super::{Client, ClientError, Login, Session};
use crate::password::Password;
use crate::token::AccessToken;

/// How a session logs in again.
pub enum Renewal {
    /// With a key of the account.
    Key {
        /// The key. The session's own, unless that is a session key.
        key: Arc<PrivateKey>,
        /// The account id or the username.
        subject: String,
        /// The scopes to ask for, separated by single spaces.
        scope: Option<String>,
    },
    /// With a password, in the *jwks-server* dialect.
    Password {
        /// The account id or the username.
        account: String,
        /// The password.
        password: Password,
    },
    /// With the session's own key, in the *passwordless* dialect.
    Passwordless {
        /// The account id or the username.
        account: String,
        /// The key by which the server proves itself.
        server_key: PublicKey,
    },
}

impl Renewal {
    /// Logs in, for tokens that are bound to `bound_to`.
    pub(super) async fn log_in(
        &self,
        client: &Client,
        bound_to: &Arc<PrivateKey>,
        resource: Option<&str>,
    ) -> Result<Session, ClientError> {
        match self {
            Self::Key { key, subject, scope } => {
                let is_own = Arc::ptr_eq(key, bound_to);
                let session_key = (!is_own).then(|| Arc::clone(bound_to));
                let login = Login { subject, scope: scope.as_deref(), resource, session_key };
                client.login(key, &login).await
            }
            Self::Password { account, password } => {
                client.login_with_password(bound_to, account, password).await
            }
            Self::Passwordless { account, server_key } => {
                client.login_passwordless(bound_to, account, server_key).await
            }
        }
    }
}

/// The token that a session has at present.
pub(super) struct Current {
    pub(super) token: Arc<AccessToken>,
    pub(super) expires_at: UnixTime,
    pub(super) scope: Option<String>,
    /// None where nobody said how, and after a logout.
    pub(super) renewal: Option<Arc<Renewal>>,
    /// Whether it took the place of a refused token, and nobody has accepted it yet.
    pub(super) is_new: bool,
}

impl Current {
    pub(super) fn new(token: AccessToken, expires_at: UnixTime, scope: Option<String>) -> Self {
        Self { token: Arc::new(token), expires_at, scope, renewal: None, is_new: false }
    }

    /// Takes the token of a new login. One that was ended meanwhile stays so.
    pub(super) fn replace_by(&mut self, new: Self) {
        let Self { token, expires_at, scope, .. } = new;
        (self.token, self.expires_at, self.scope, self.is_new) = (token, expires_at, scope, true);
    }
}
