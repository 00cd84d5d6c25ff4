//! Gets another token in place of a refused one. Tokens are refused when they have expired or were
//! revoked, when the server's signing key was withdrawn, when its database was restored from a backup,
//! or by a resource that wants a more recent login.

use std::{pin::Pin, sync::Arc, time::Duration};

use countersign_protocol::UnixTime;
use countersign_protocol::keys::PrivateKey;

use super::client::Client;
use super::error::ClientError;
use super::refusal::Refusal;
use crate::token::{AccessToken, IssuedToken};

/// At most this many logins within [`WINDOW`] replace refused tokens. More than one, because
/// requests that are under way at the same time are refused together. Few, because an API that
/// accepts each token only once could use up the account's allowance of logins.
const MOST: u8 = 4;
const WINDOW: Duration = Duration::from_secs(10);

/// How a login is renewed: see the constructors.
pub struct Renewal(Box<dyn Renew>);

/// A way to log in, with all that it needs.
pub(super) trait Renew: Send + Sync {
    /// Logs in, for a token that is bound to `bound_to`.
    fn renew<'a>(
        &'a self,
        client: &'a Client,
        bound_to: &'a Arc<PrivateKey>,
        resource: Option<&'a str>,
    ) -> Renewed<'a>;
}

/// A login that is under way.
pub(super) type Renewed<'a> =
    Pin<Box<dyn Future<Output = Result<IssuedToken, ClientError>> + Send + 'a>>;

impl Renewal {
    /// By this way.
    pub(super) fn by(way: impl Renew + 'static) -> Self {
        Self(Box::new(way))
    }

    /// Logs in, for a token that is bound to `bound_to`.
    pub(super) async fn log_in(
        &self,
        client: &Client,
        bound_to: &Arc<PrivateKey>,
        resource: Option<&str>,
    ) -> Result<IssuedToken, ClientError> {
        self.0.renew(client, bound_to, resource).await
    }
}

/// The token that a login has at present.
pub(super) struct Current {
    pub(super) token: Arc<AccessToken>,
    pub(super) expires_at: UnixTime,
    pub(super) scope: Option<String>,
    /// How to log in again. None if the caller gave nothing, and after a logout.
    pub(super) renewal: Option<Arc<Renewal>>,
    /// Whether the token replaced a refused one and no server has accepted it yet.
    pub(super) is_new: bool,
    /// Why a refused token could not be replaced.
    pub(super) refused_login: Option<Refusal>,
    /// When the first counted renewal began, and how many there have been since.
    renewals: (UnixTime, u8),
}

impl Current {
    pub(super) fn new(issued: IssuedToken) -> Self {
        let IssuedToken { token, expires_at, scope } = issued;
        let (token, renewals) = (Arc::new(token), (UnixTime::EPOCH, 0));
        let (renewal, refused_login) = (None, None);
        Self { token, expires_at, scope, renewal, is_new: false, refused_login, renewals }
    }

    /// Counts a renewal that begins at `now`, unless there were too many lately.
    pub(super) fn count_renewal(&mut self, now: UnixTime) -> bool {
        let (since, count) = self.renewals;
        // After the clock was set back, counting starts again too.
        let is_over = now < since || now >= since + WINDOW;
        self.renewals = match (is_over, count) {
            (true, _) => (now, 1),
            (false, MOST..) => return false,
            (false, _) => (since, count.saturating_add(1)),
        };
        true
    }

    /// Takes over the token of a new login, unless the session was ended meanwhile.
    pub(super) fn replace_by(&mut self, new: IssuedToken) {
        let IssuedToken { token, expires_at, scope } = new;
        (self.token, self.expires_at, self.scope) = (Arc::new(token), expires_at, scope);
        self.is_new = true;
        self.refused_login = None;
    }
}
