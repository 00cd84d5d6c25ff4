//! What an account reads about itself: its keys, and what happened to it.

use countersign_protocol::{CoveredTarget, Principal, ProofKind, UnixTime, keys::Thumbprint};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    model::{
        audit::{AuditFilter, EventKind, RecordedEvent},
        credential::Credential,
    },
    ports::StoreError,
};

/// How many of an account's events are looked at for those of one key or time: a bound of the work that
/// a request can cause.
pub const LOOKED_AT: u32 = 10_000;

/// Which of one's own events to read.
#[derive(Clone, Debug, Default)]
pub struct OwnEvents {
    /// Only those with a smaller number: the next page.
    pub before: Option<u64>,
    /// Only those about this key.
    pub key: Option<Thumbprint>,
    /// Only those at or after this time.
    pub since: Option<UnixTime>,
    /// Only those of one of these kinds; of all kinds where there are none.
    pub kinds: Vec<EventKind>,
}

/// Why an account is not shown its own keys or events.
#[derive(Debug, Error)]
pub enum OwnRecordsError {
    /// The self-signed JWT is for any server.
    #[error("the JWT works at any server: sign one with aud, this server alone")]
    NoAudience,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses a JWT that names no server. Its client signed it for an API, perhaps, which received it and
/// brings it here. With a hash of the body it covers neither method nor URL, so that would be another
/// request than the one that was signed.
pub(crate) fn check_made_for_server(principal: &Principal) -> Result<(), OwnRecordsError> {
    match (principal.proof, principal.covers.target) {
        (ProofKind::SelfSigned, CoveredTarget::Anywhere) => Err(OwnRecordsError::NoAudience),
        (ProofKind::SelfSigned, CoveredTarget::Server | CoveredTarget::Request)
        | (ProofKind::Dpop | ProofKind::SignedMessage | ProofKind::Bearer, _) => Ok(()),
    }
}

impl Accounts {
    /// The keys of the principal's account: the live ones, and those that were revoked last, oldest
    /// first.
    ///
    /// # Errors
    /// When the proof was not made for this server, or the store fails.
    pub async fn own_keys(
        &self,
        principal: &Principal,
    ) -> Result<Vec<Credential>, OwnRecordsError> {
        check_made_for_server(principal)?;
        Ok(self.core.ports.store.credentials_of(principal.account_id).await?)
    }

    /// The principal's own audit trail, newest first. With a filter besides `before`, only the newest
    /// [`LOOKED_AT`] events are looked at, unless it is by kinds, without logins: those are found however
    /// many others there are.
    ///
    /// # Errors
    /// When the proof was not made for this server, or the store fails.
    pub async fn own_events(
        &self,
        principal: &Principal,
        OwnEvents { before, key, since, kinds }: OwnEvents,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, OwnRecordsError> {
        check_made_for_server(principal)?;
        let are_few = !kinds.is_empty() && !kinds.contains(&EventKind::LoginSucceeded);
        let is_filtered = key.is_some() || since.is_some() || !kinds.is_empty();
        let among_newest = (is_filtered && !are_few).then_some(LOOKED_AT);
        let account_id = Some(principal.account_id);
        let filter = AuditFilter {
            account_id,
            before,
            thumbprint: key,
            since,
            kinds,
            among_newest,
            ..AuditFilter::default()
        };
        Ok(self.core.ports.store.events(&filter, limit).await?)
    }
}
