//! What works once and must stay used across restarts: assertions, and whatever else is recorded like
//! them.

use crate::sql::Connection;
use countersign_authority::ports::{RecordLoginError, ReplayError, ReplayLog};
use countersign_protocol::{
    ReplayEntry, SpentReceipt, UnixTime,
    ports::Recording,
    replay::{EpochId, FoundNew, LogEpoch, ReplayOwner},
};

use super::{
    Engine, Stored,
    rows::{self, millis},
};

/// Each entry costs a write. There are no shares: what may be recorded here is bounded elsewhere. It
/// forgets nothing before its time, so one epoch lasts as long as the installation.
impl<E: Engine> ReplayLog for Stored<E> {
    fn epoch(&self) -> LogEpoch {
        let id = EpochId::from_bytes(*self.installation().as_bytes());
        LogEpoch { id, since: UnixTime::EPOCH }
    }

    fn check_and_insert(
        &self,
        entry: ReplayEntry,
        found: FoundNew,
        _: ReplayOwner,
        _: UnixTime,
    ) -> Recording<'_> {
        Box::pin(async move {
            if found.epoch() != self.epoch().id {
                return Err(ReplayError::Forgot);
            }
            let spent = self.write([], move |connection| spend(connection, entry)).await;
            spent.map_err(|error| match error {
                RecordLoginError::AlreadyUsed => ReplayError::Used,
                RecordLoginError::Forgotten
                | RecordLoginError::NotLive
                | RecordLoginError::Store(_) => ReplayError::Unavailable(error.to_string().into()),
            })
        })
    }

    fn is_volatile(&self) -> bool {
        false
    }
}

/// Records the assertion as used, if it has not been, nor may have been.
pub(super) fn spend(
    connection: &Connection,
    assertion: ReplayEntry,
) -> Result<SpentReceipt, RecordLoginError> {
    let insert = "INSERT INTO used_assertions(digest, forget_at)
        SELECT ?1, ?2 WHERE ?2 > (SELECT assertions_until FROM forgotten WHERE id = 1)
        ON CONFLICT DO NOTHING";
    let values = (assertion.digest, millis(assertion.forget_at));
    if rows::execute(connection, insert, values)? > 0 {
        return Ok(SpentReceipt::recorded(assertion));
    }
    let select = "SELECT 1 FROM used_assertions WHERE digest = ?";
    let is_known = rows::first(connection, select, [assertion.digest], |_| Ok(()))?.is_some();
    Err(if is_known { RecordLoginError::AlreadyUsed } else { RecordLoginError::Forgotten })
}
