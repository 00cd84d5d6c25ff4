//! From when and until when a token counts.

use std::time::Duration;

use crate::{
    UnixTime,
    tokens::claims::{ClaimError, Claims},
};

/// The times that a token states. What follows from them, and how far clocks may be apart, each kind of
/// token says for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    /// `iat` (RFC 7519 §4.1.6).
    pub(crate) issued_at: Option<UnixTime>,
    /// `nbf` (RFC 7519 §4.1.5).
    pub(crate) not_before: Option<UnixTime>,
    /// `exp` (RFC 7519 §4.1.4).
    pub(crate) expires_at: Option<UnixTime>,
}

impl Validity {
    /// Reads all three; each may be absent.
    ///
    /// # Errors
    /// When one of them is there and is no time.
    pub(crate) fn read(claims: Claims<'_>) -> Result<Self, ClaimError> {
        Ok(Self {
            issued_at: claims.optional_date("iat")?,
            not_before: claims.optional_date("nbf")?,
            expires_at: claims.optional_date("exp")?,
        })
    }

    /// `exp`, where it must be there.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn end(self) -> Result<UnixTime, ClaimError> {
        self.expires_at.ok_or(ClaimError::Missing("exp"))
    }

    /// `iat`, where it must be there.
    ///
    /// # Errors
    /// When it is missing.
    pub(crate) fn issue(self) -> Result<UnixTime, ClaimError> {
        self.issued_at.ok_or(ClaimError::Missing("iat"))
    }

    /// Whether `exp` has passed at `now`, even for a clock that is `skew` behind.
    pub(crate) fn has_ended(self, skew: Duration, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|end| now >= end + skew)
    }

    /// Whether `iat` or `nbf` is later than `latest`.
    pub(crate) fn begins_after(self, latest: UnixTime) -> bool {
        [self.issued_at, self.not_before].into_iter().flatten().any(|start| start > latest)
    }
}
