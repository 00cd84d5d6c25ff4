//! Another token in place of one that is refused: the signing key of the server was withdrawn, its
//! database restored from a backup, the token revoked or past its end.

use std::{pin::Pin, sync::Arc, time::Duration};

use countersign_protocol::UnixTime;
use countersign_protocol::keys::PrivateKey;

use super::client::Client;
use super::error::ClientError;
use super::refusal::Refusal;
use crate::token::{AccessToken, IssuedToken};

/// So many logins in place of refused tokens are made within [`WINDOW`]. More than one, since requests
/// that are under way at the same time are refused together; and few, since an API that takes each
/// token once could use up the allowance of logins that the account has.
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
    pub(super) fn new(issued: IssuedToken) -> Self {
        let IssuedToken { token, expires_at, scope } = issued;
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
    pub(super) fn replace_by(&mut self, new: IssuedToken) {
        let IssuedToken { token, expires_at, scope } = new;
        (self.token, self.expires_at, self.scope) = (Arc::new(token), expires_at, scope);
        self.is_new = true;
        self.refused_login = None;
    }
}
