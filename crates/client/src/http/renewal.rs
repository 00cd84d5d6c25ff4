//! Another token in place of one that is refused: the signing key of the server was withdrawn, its
//! database restored from a backup, the token revoked or past its end.

use std::{sync::Arc, time::Duration};

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{PrivateKey, PublicKey};

use super::{Client, ClientError, Login, Refusal, Session};
use crate::password::Password;
use crate::token::AccessToken;

/// So many logins in place of refused tokens are made within [`WINDOW`]. More than one, since requests
/// that are under way at the same time are refused together; and few, since an API that takes each
/// token once could use up the allowance of logins that the account has.
const MOST: u8 = 4;
const WINDOW: Duration = Duration::from_secs(10);

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
    /// Why there was none in its place, since it is refused.
    pub(super) refused_login: Option<Refusal>,
    /// When the first of the renewals that are counted began, and how many there are.
    renewals: (UnixTime, u8),
}

impl Current {
    pub(super) fn new(token: AccessToken, expires_at: UnixTime, scope: Option<String>) -> Self {
        let (token, renewals) = (Arc::new(token), (UnixTime::EPOCH, 0));
        let (renewal, refused_login) = (None, None);
        Self { token, expires_at, scope, renewal, is_new: false, refused_login, renewals }
    }

    /// Counts a renewal that begins at `now`, unless there were too many lately.
    pub(super) fn count_renewal(&mut self, now: UnixTime) -> bool {
        let (since, count) = self.renewals;
        // A clock that was set back begins anew as well.
        let is_over = now < since || now >= since + WINDOW;
        self.renewals = match (is_over, count) {
            (true, _) => (now, 1),
            (false, MOST..) => return false,
            (false, _) => (since, count.saturating_add(1)),
        };
        true
    }

    /// Takes the token of a new login. One that was ended meanwhile stays so.
    pub(super) fn replace_by(&mut self, new: Self) {
        let Self { token, expires_at, scope, .. } = new;
        (self.token, self.expires_at, self.scope, self.is_new) = (token, expires_at, scope, true);
        self.refused_login = None;
    }
}
