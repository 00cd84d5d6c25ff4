//! What a resource requires of a principal besides a proof: scopes, and a login (RFC 9470).

use std::{fmt, time::Duration};

use countersign_protocol::{AuthenticationClass, AuthenticationContext, Scopes, UnixTime};
use thiserror::Error;

/// What a resource requires of a principal. By default nothing but a proof.
///
/// ```
/// use std::time::Duration;
/// use countersign_guard::Requirements;
/// use countersign_protocol::{AuthenticationClass, Scopes};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let payments = Requirements::scopes("payments".parse()?)
///     .acr(AuthenticationClass::PhishingResistant)
///     .max_age(Duration::from_mins(5));
/// # assert_eq!(payments.scopes, "payments".parse::<Scopes>()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The scopes that the principal must have, all of them.
    pub scopes: Scopes,
    /// How the principal must have logged in.
    pub login: LoginRequirements,
}

impl Requirements {
    /// Nothing but a proof.
    pub const fn none() -> Self {
        Self::scopes(Scopes::none())
    }

    /// All of the scopes `scopes`.
    pub const fn scopes(scopes: Scopes) -> Self {
        Self { scopes, login: LoginRequirements::NONE }
    }

    /// Also a login of the class `acr`.
    pub const fn acr(mut self, acr: AuthenticationClass) -> Self {
        self.login.acr = Some(acr);
        self
    }

    /// Also a login that is at most `max_age` old. The guard's skew is added to it.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.login.max_age = Some(max_age);
        self
    }
}

impl From<Scopes> for Requirements {
    fn from(scopes: Scopes) -> Self {
        Self::scopes(scopes)
    }
}

/// How a principal must have logged in (RFC 9470 §3). By default in any way, at any time.
///
/// Only access tokens say how an account logged in. What requires a login therefore refuses
/// self-signed JWTs, signed messages, and tokens that are bound to no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginRequirements {
    /// `acr_values`: the class that the login must have.
    pub acr: Option<AuthenticationClass>,
    /// `max_age`: how old the login may be. The guard's skew is added to it.
    pub max_age: Option<Duration>,
}

impl LoginRequirements {
    /// Any login.
    pub const NONE: Self = Self { acr: None, max_age: None };

    /// Whether any login will do, or none.
    pub const fn is_none(&self) -> bool {
        self.acr.is_none() && self.max_age.is_none()
    }

    /// What both require.
    pub(crate) fn and(self, other: Self) -> Self {
        let max_age = match (self.max_age, other.max_age) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        Self { acr: self.acr.or(other.acr), max_age }
    }

    /// Sees that `login` is as required, at `now` on a clock that may be `skew` off.
    pub(crate) fn check(
        self,
        login: Option<AuthenticationContext>,
        skew: Duration,
        now: UnixTime,
    ) -> Result<(), InsufficientLogin> {
        if self.is_none() {
            return Ok(());
        }
        let insufficient = |lack| Err(InsufficientLogin { required: self, lack });
        let Some(login) = login else { return insufficient(LoginLack::Unknown) };
        if let Some(acr) = self.acr
            && login.class != Some(acr)
        {
            return insufficient(LoginLack::Class(acr));
        }
        let Some(max_age) = self.max_age else { return Ok(()) };
        if login.at > now + skew {
            return insufficient(LoginLack::Ahead { by: login.at.since(now) });
        }
        let age = now.since(login.at);
        if age > max_age.saturating_add(skew) {
            return insufficient(LoginLack::Old { age, max_age });
        }
        Ok(())
    }
}

/// The principal has not logged in as the resource requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{lack}")]
pub struct InsufficientLogin {
    /// Everything that is required of the login.
    pub required: LoginRequirements,
    /// What the login lacks.
    pub lack: LoginLack,
}

/// What a login lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginLack {
    /// The proof does not say how the account logged in.
    Unknown,
    /// It is not of this class.
    Class(AuthenticationClass),
    /// It is too long ago.
    Old {
        /// How long ago it is.
        age: Duration,
        /// How long ago it may be.
        max_age: Duration,
    },
    /// It lies in the future.
    Ahead {
        /// How far.
        by: Duration,
    },
}

impl fmt::Display for LoginLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "this proof does not say how the account logged in: log in, and present the access \
                 token with a DPoP proof",
            ),
            Self::Class(AuthenticationClass::PhishingResistant) => f.write_str(
                "the token is not from a login with a passkey (acr phr): log in with a passkey",
            ),
            Self::Old { age, max_age } => write!(
                f,
                "the login was {} s ago, and may be at most {} s ago: log in again",
                age.as_secs(),
                max_age.as_secs()
            ),
            Self::Ahead { by } => write!(
                f,
                "the login is {} s ahead of this server's clock: log in again",
                by.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::PasskeyStorage;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const SKEW: Duration = Duration::from_secs(5);
    const MINUTE: Duration = Duration::from_mins(1);

    fn lack(required: &Requirements, login: Option<AuthenticationContext>) -> Option<LoginLack> {
        required.login.check(login, SKEW, NOW).err().map(|error| error.lack)
    }

    #[test]
    fn nothing_is_asked_of_a_login_by_default() {
        let required = Requirements::none();
        let passkey = AuthenticationContext::by_passkey(NOW, PasskeyStorage::Synced);
        let future = AuthenticationContext::by_key(NOW + Duration::from_hours(1));
        for login in [None, Some(AuthenticationContext::by_key(UnixTime::EPOCH)), Some(passkey)] {
            assert_eq!(lack(&required, login), None);
        }
        assert_eq!(lack(&required, Some(future)), None);
    }

    #[test]
    fn a_class_is_that_of_a_passkey_alone() {
        let acr = AuthenticationClass::PhishingResistant;
        let required = Requirements::none().acr(acr);
        for storage in [PasskeyStorage::OneDevice, PasskeyStorage::Synced] {
            let login = AuthenticationContext::by_passkey(UnixTime::EPOCH, storage);
            assert_eq!(lack(&required, Some(login)), None);
        }
        for login in [AuthenticationContext::by_key(NOW), AuthenticationContext::by_password(NOW)] {
            assert_eq!(lack(&required, Some(login)), Some(LoginLack::Class(acr)));
        }
        assert_eq!(lack(&required, None), Some(LoginLack::Unknown));
    }

    #[test]
    fn an_age_is_bounded_on_both_sides_give_or_take_the_skew() {
        let required = Requirements::none().max_age(MINUTE);
        let lack = |at| lack(&required, Some(AuthenticationContext::by_key(at)));
        let millisecond = Duration::from_millis(1);
        let oldest = NOW - MINUTE - SKEW;
        assert_eq!(lack(oldest), None);
        let age = MINUTE + SKEW + millisecond;
        assert_eq!(lack(oldest - millisecond), Some(LoginLack::Old { age, max_age: MINUTE }));
        assert_eq!(lack(NOW + SKEW), None);
        let by = SKEW + millisecond;
        assert_eq!(lack(NOW + SKEW + millisecond), Some(LoginLack::Ahead { by }));
        assert_eq!(required.login.check(None, SKEW, NOW).unwrap_err().lack, LoginLack::Unknown);
    }

    #[test]
    fn no_age_overflows() {
        let required = Requirements::none().max_age(Duration::MAX);
        assert_eq!(lack(&required, Some(AuthenticationContext::by_key(UnixTime::EPOCH))), None);
    }

    #[test]
    fn of_two_requirements_the_stricter_counts() {
        let acr = Requirements::none().acr(AuthenticationClass::PhishingResistant).login;
        let minute = Requirements::none().max_age(MINUTE).login;
        let hour = Requirements::none().max_age(60 * MINUTE).login;
        assert_eq!(LoginRequirements::NONE.and(LoginRequirements::NONE), LoginRequirements::NONE);
        for (one, another) in [(minute, hour), (hour, minute)] {
            assert_eq!(one.and(another), minute);
            assert_eq!(one.and(acr).and(another).acr, acr.acr);
            assert_eq!(acr.and(one).max_age, one.max_age);
        }
    }
}
