//! What an account reads about itself: its keys, and what happened to it.

use countersign_protocol::{
    CoveredTarget, Principal, ProofKind, UnixTime, keys::Thumbprint, shares::NoPlace,
};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    model::{
        audit::EventKind,
        credential::Credential,
        trail::{TrailPage, TrailQuery},
    },
    ports::StoreError,
};

/// How many of an account's events are looked at for one page, whichever of them are asked for: a bound of
/// the work that a request can cause.
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
    /// The account reads its events too often at once.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
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

    /// A page of the principal's own audit trail, newest first. At most [`LOOKED_AT`] events are looked at
    /// for it. The events of an account are read in turns with those of others, a few at once.
    ///
    /// # Errors
    /// When the proof was not made for this server, the account has too many such requests under way, or the
    /// store fails.
    pub async fn own_events(
        &self,
        principal: &Principal,
        OwnEvents { before, key, since, kinds }: OwnEvents,
        limit: u32,
    ) -> Result<TrailPage, OwnRecordsError> {
        check_made_for_server(principal)?;
        let account_id = principal.account_id;
        let look_at = LOOKED_AT;
        let query = TrailQuery { account_id, key, kinds, since, before, limit, look_at };
        let _turn = self.trail_turns.take(account_id).await?;
        Ok(self.core.ports.store.trail_page(&query).await?)
    }
}
