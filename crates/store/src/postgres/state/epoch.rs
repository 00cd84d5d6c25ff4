//! The epoch that the tables are in, as far as is known.

use countersign_protocol::{
    UnixTime,
    replay::{EpochId, LogEpoch},
};
use parking_lot::RwLock;

use tokio_postgres::Row;

use super::away::{Away, column};

/// The epoch that was heard of last.
pub(super) struct KnownEpoch(RwLock<LogEpoch>);

impl KnownEpoch {
    pub(super) const fn new(epoch: LogEpoch) -> Self {
        Self(RwLock::new(epoch))
    }

    pub(super) fn get(&self) -> LogEpoch {
        *self.0.read()
    }

    /// Takes over what the database says.
    pub(super) fn take_over(&self, epoch: LogEpoch) {
        let mut known = self.0.write();
        if known.id != epoch.id {
            tracing::warn!(
                "the short-lived state begins anew: what was handed out before counts no longer"
            );
            *known = epoch;
        }
    }
}

/// The name of an epoch as the database has it.
pub(super) fn epoch_id(bytes: &[u8]) -> Result<EpochId, Away> {
    bytes.try_into().map(EpochId::from_bytes).map_err(|_| Away::Damaged)
}

/// An epoch as the database tells it: its name, and since when in milliseconds.
pub(super) fn read(row: &Row) -> Result<LogEpoch, Away> {
    let (id, since): (&[u8], i64) = (column(row, 0)?, column(row, 1)?);
    let since = u64::try_from(since).map_err(|_| Away::Damaged)?;
    Ok(LogEpoch { id: epoch_id(id)?, since: UnixTime::from_millis(since) })
}
