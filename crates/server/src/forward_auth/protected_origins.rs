//! The origins behind proxies that ask this server whether a request may pass.

use countersign_guard::Guard;
use countersign_protocol::proofs::target_uri::TargetUri;

use crate::forward_auth::forwarded::{ForwardedError, Place, parse_authority};

/// Every protected origin with its guard. The guards are like the guard of the server's own
/// resources, but each has its own origin and audience: a token or a proof for one opens no other.
#[derive(Clone, Default)]
pub(crate) struct ProtectedOrigins(Vec<ProtectedOrigin>);

#[derive(Clone)]
struct ProtectedOrigin {
    origin: TargetUri,
    guard: Guard,
}

impl ProtectedOrigins {
    /// These origins, each with the guard that `guard_of` makes for it.
    pub(crate) fn new(origins: &[TargetUri], guard_of: impl Fn(&TargetUri) -> Guard) -> Self {
        let protect = |origin: &TargetUri| ProtectedOrigin {
            origin: origin.clone(),
            guard: guard_of(origin),
        };
        Self(origins.iter().map(protect).collect())
    }

    /// Whether nothing is protected.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The guard of the origin that a proxy names. The name only chooses among the configured
    /// origins.
    ///
    /// # Errors
    /// When it is not a protected origin, or it is unclear which one.
    pub(crate) fn guard_of(&self, place: &Place) -> Result<&Guard, ForwardedError> {
        let is_meant = |protected: &&ProtectedOrigin| match place {
            Place::Origin(origin) => origin.origin() == protected.origin.origin(),
            Place::Authority(authority) => is_at(&protected.origin, authority),
            Place::Unsaid => true,
        };
        let mut meant = self.0.iter().filter(is_meant);
        match (meant.next(), meant.next(), place) {
            (Some(protected), None, _) => Ok(&protected.guard),
            (Some(_), Some(_), _) | (None, _, Place::Unsaid) => Err(ForwardedError::OriginUnsaid),
            (None, _, Place::Origin(origin)) => {
                Err(ForwardedError::UnknownOrigin(origin.origin().to_owned()))
            }
            (None, _, Place::Authority(authority)) => {
                Err(ForwardedError::UnknownOrigin(authority.clone()))
            }
        }
    }
}

fn is_at(origin: &TargetUri, authority: &str) -> bool {
    let scheme = origin.origin().split("://").next().unwrap_or_default();
    parse_authority(scheme, authority).is_some_and(|named| named.origin() == origin.origin())
}
