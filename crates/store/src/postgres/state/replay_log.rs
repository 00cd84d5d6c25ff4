//! Used proofs.

use std::{hash::RandomState, sync::Arc};

use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    ports::{Recording, ReplayError, ReplayLog},
    replay::{EpochId, FoundNew, LogEpoch, NotRecorded, ReplayOwner, ReplayShares},
};
use tokio_postgres::{Row, types::ToSql};

use super::{
    away::{Away, column},
    engine::Engine,
    epoch::epoch_id,
    link::Link,
    options::StateOptions,
};
use crate::rows::millis;

/// The used proofs of all nodes, as rows.
///
/// One statement inserts the row and compares the epoch. Without an answer nobody knows whether it did, so the
/// proof is refused, and the request is not repeated: it would find its own row.
///
/// *Shares.* Each node counts what it has recorded itself, so the table holds as many rows as all nodes may
/// together.
///
/// *Failure direction.* It refuses whenever it cannot tell: when there is no answer in time, when there is no
/// room, and when the row may have been removed because another clock was ahead.
pub(super) struct PostgresReplayLog {
    engine: Arc<Engine>,
    shares: Arc<ReplayShares>,
}

/// What the database knows of a use.
struct Known {
    epoch: EpochId,
    /// Whether it would still know it.
    is_remembered: bool,
    /// Whether there was a row, or whether there is one now that was not there before.
    is_there: bool,
}

/// How much of a digest is kept: what two entries share in one pair of 2¹²⁸.
const KEY_LEN: usize = 16;

impl PostgresReplayLog {
    pub(super) fn new(engine: Arc<Engine>, options: &StateOptions) -> Self {
        let StateOptions { used_proofs, used_proofs_share, .. } = *options;
        let shares = ReplayShares::new(used_proofs, used_proofs_share, RandomState::new());
        Self { engine, shares: Arc::new(shares) }
    }

    async fn record(
        &self,
        entry: ReplayEntry,
        expected: EpochId,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<SpentReceipt, ReplayError> {
        if expected != self.epoch().id {
            return Err(ReplayError::Forgot);
        }
        let place = match self.shares.take(owner, entry.forget_at, now) {
            Ok(place) => place,
            Err(no_place) => return Err(self.why_not(entry, expected, no_place).await),
        };
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let (digest, forget_at) = (&entry.digest[..KEY_LEN], millis(entry.forget_at));
            let parameters: [&(dyn ToSql + Sync); 3] =
                [&digest, &forget_at, &&expected.as_bytes()[..]];
            link.client.query_opt(&link.statements.record, &parameters).await
        });
        let known = match asked.await {
            Ok(row) => row.as_ref().map(Known::read).transpose()?,
            Err(away) => {
                if away.is_unsent() {
                    place.give_back();
                }
                return Err(away.into());
            }
        };
        match self.in_epoch(known, expected).await {
            Ok(Known { is_there: true, .. }) => Ok(SpentReceipt::recorded(entry)),
            not_recorded => {
                place.give_back();
                Err(not_recorded.err().unwrap_or(ReplayError::Used))
            }
        }
    }

    /// Without a place for it: whether it was used before, which says more.
    async fn why_not(
        &self,
        entry: ReplayEntry,
        expected: EpochId,
        no_place: NotRecorded,
    ) -> ReplayError {
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let (digest, forget_at) = (&entry.digest[..KEY_LEN], millis(entry.forget_at));
            link.client.query_opt(&link.statements.look, &[&digest, &forget_at]).await
        });
        let known = match asked.await.and_then(|row| row.as_ref().map(Known::read).transpose()) {
            Ok(known) => self.in_epoch(known, expected).await,
            Err(away) => Err(away.into()),
        };
        match known {
            Ok(Known { is_there: true, .. }) => ReplayError::Used,
            Ok(_) => no_place.into(),
            Err(error) => error,
        }
    }

    /// What is known, if it is so in the epoch that was expected. Otherwise the present epoch is known after it.
    async fn in_epoch(
        &self,
        known: Option<Known>,
        expected: EpochId,
    ) -> Result<Known, ReplayError> {
        match known {
            Some(known) if known.epoch == expected && known.is_remembered => Ok(known),
            Some(known) if known.epoch == expected => {
                // If the clock was set back, another one begins.
                self.engine.links.ask_epoch().await?;
                Err(NotRecorded::Forgotten.into())
            }
            Some(_) | None => {
                self.engine.links.ask_epoch().await?;
                Err(ReplayError::Forgot)
            }
        }
    }
}

impl Known {
    fn read(row: &Row) -> Result<Self, Away> {
        let epoch = epoch_id(column(row, 0)?)?;
        Ok(Self { epoch, is_remembered: column(row, 1)?, is_there: column(row, 2)? })
    }
}

impl ReplayLog for PostgresReplayLog {
    fn epoch(&self) -> LogEpoch {
        self.engine.links.epoch.get()
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Recording<'_> {
        Box::pin(self.record(entry, found.epoch(), owner, now))
    }

    /// What is forgotten here goes by the clock of the database too, and is known as forgotten.
    fn clock_was_set_back(&self, now: UnixTime) {
        self.shares.clock_was_set_back(now);
    }
}
