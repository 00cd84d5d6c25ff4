//! The audit trail of one account, read in pages whose cost has a bound.

use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use crate::model::audit::{EventKind, RecordedEvent};

/// A question about the events of one account. Every condition that is set must hold.
#[derive(Clone, Debug)]
pub struct TrailQuery {
    /// The account that the events are about.
    pub account_id: AccountId,
    /// Only those about this key.
    pub key: Option<Thumbprint>,
    /// Only those of one of these kinds; of all kinds where there are none.
    pub kinds: Vec<EventKind>,
    /// Only those at or after this time.
    pub since: Option<UnixTime>,
    /// Only those with a smaller number: the next page.
    pub before: Option<u64>,
    /// At most this many events are returned. At least one.
    pub limit: u32,
    /// At most this many events are looked at, whichever of them fit. At least one.
    pub look_at: u32,
}

/// Events of one account, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailPage {
    /// The events that fit. There may be none although older ones fit.
    pub events: Vec<RecordedEvent>,
    /// Set if there are older events that were not looked at.
    pub older: Option<OlderEvents>,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderEvents {
    /// The number of the last event that was looked at: [`TrailQuery::before`] of the next page.
    pub before: u64,
    /// When that event happened.
    pub at: UnixTime,
}
