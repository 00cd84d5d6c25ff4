//! The store as a whole: what others changed in it, and whether it works.

use async_trait::async_trait;
use countersign_authority::ports::{
    ChangeCursor, ChangesSince, Retention, StoreCondition, StoreError, StoreUpkeep,
};
use countersign_protocol::UnixTime;

use super::{changes, engine::PostgresStore};
use crate::{engine::Engine as _, error::DbError, rows, rules::pruning::Pruning, sql::Alone};

#[async_trait]
impl StoreUpkeep for PostgresStore {
    async fn changes(&self, since: Option<ChangeCursor>) -> Result<ChangesSince, StoreError> {
        let asked = since.and_then(|cursor| self.cursors.position(cursor));
        let look = || {
            let asked = asked.clone();
            self.read_own(move |connection| changes::look(connection, asked.as_ref()))
        };
        let mut found = look().await?;
        if found.is_nameless() {
            self.write_what_may_be_lost([], changes::begin_epoch).await?;
            found = look().await?;
        }
        // After the look: whoever stood still meanwhile has to ask again.
        self.beats.confirm()?;
        Ok(self.cursors.answer(asked.as_ref(), found))
    }

    /// What a check writes may be as long as what a login writes, and takes new pages as that does.
    async fn check(&self) -> Result<(), StoreError> {
        let write = "INSERT INTO health AS h (id, checks, padding)
            VALUES (pg_backend_pid(), 1, decode(repeat('00', 8192), 'hex'))
            ON CONFLICT(id) DO UPDATE
                SET checks = h.checks + 1, at = excluded.at, padding = excluded.padding";
        self.write([], move |connection| rows::execute(connection, write, ())).await?;
        let read = "SELECT checks FROM health LIMIT 1";
        self.read_own(move |connection| rows::first(connection, read, (), |_| Ok(()))).await?;
        Ok(())
    }

    async fn clock(&self) -> Result<Option<UnixTime>, StoreError> {
        self.time().await.map(Some)
    }

    fn condition(&self) -> StoreCondition {
        StoreCondition {
            failed_writes: self.workers.failed_writes.count(),
            ..StoreCondition::default()
        }
    }

    /// PostgreSQL does that by itself.
    async fn tidy(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn prune(&self, now: UnixTime, retention: &Retention) -> Result<u64, StoreError> {
        let pruned = Pruning::of(&**self).run(now, retention).await?;
        while self.write([Alone::Upkeep], changes::forget).await? {}
        let checks = "DELETE FROM health WHERE at < now() - interval '1 day'";
        let checks = move |connection: &_| rows::execute(connection, checks, ());
        self.write([Alone::Upkeep], checks).await.map_err(|error: DbError| error)?;
        Ok(pruned)
    }
}
