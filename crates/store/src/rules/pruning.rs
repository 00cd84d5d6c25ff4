//! Removes what has outlived its use, a bounded number of rows at a time.

use crate::sql::{Connection, Param, Row};
use countersign_authority::ports::{Retention, StoreError};
use countersign_protocol::UnixTime;

use super::{
    Alone, Engine,
    rows::{self, millis, timestamp},
};

/// How many rows one transaction removes, so that others get their turn.
const PRUNE_BATCH: u32 = 1000;

/// The removal of what has outlived its use.
pub(crate) struct Pruning<'a, E>(pub(super) &'a E);

impl<'a, E: Engine> Pruning<'a, E> {
    /// From the database of `engine`.
    pub(crate) const fn of(engine: &'a E) -> Self {
        Self(engine)
    }

    /// Removes a bounded number of rows at a time, so it is not one transaction but many: an error
    /// may leave some of the work done.
    pub(crate) async fn run(
        &self,
        now: UnixTime,
        retention: &Retention,
    ) -> Result<u64, StoreError> {
        let mut pruned = self.prune_assertions(now).await?;
        for (table, key, ended) in [
            ("revoked_tokens", "jti", "expires_at <= ?"),
            ("ended_tokens", "account_id", "expires_at <= ?"),
            ("invitations", "code_hash", "expires_at <= ?"),
        ] {
            pruned += self.prune_table(table, key, ended, millis(now)).await?;
        }
        let oldest = now - retention.max_age;
        let logged = "request_timestamp < ?";
        pruned += self.prune_table("auth_logs", "id", logged, timestamp(oldest)).await?;
        let oldest = millis(oldest);
        if let Some(last) = self.last_surplus("auth_logs", retention.max_events).await? {
            pruned += self.prune_table("auth_logs", "id", "id <= ?", last).await?;
        }
        if let Some(first) = self.first_younger(oldest).await? {
            pruned += self.prune_table("audit_events", "id", "id < ?", first).await?;
        }
        Ok(pruned + self.prune_surplus(retention).await?)
    }

    /// Removes the rows of `table` for which `condition` holds with `bound`.
    async fn prune_table(
        &self,
        table: &'static str,
        key: &'static str,
        condition: &'static str,
        bound: impl Param + Clone + Send + Sync + 'static,
    ) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            let delete = format!(
                "DELETE FROM {table} WHERE {key} IN
                 (SELECT {key} FROM {table} WHERE {condition} LIMIT {PRUNE_BATCH})"
            );
            let bound = bound.clone();
            let work = move |c: &Connection| {
                Ok::<_, StoreError>(rows::execute(c, &delete, [bound.clone()])?)
            };
            let removed = self.0.write([Alone::Upkeep], work).await?;
            pruned += removed as u64;
            if removed < PRUNE_BATCH as usize {
                return Ok(pruned);
            }
        }
    }

    /// Removes the assertions that need not be remembered any more, and remembers up to when those
    /// lived, so that none of them is taken for a new one by a clock that is behind. Logins come far more often than
    /// this, so they are spared an index by time, and this reads all that are remembered, once.
    async fn prune_assertions(&self, now: UnixTime) -> Result<u64, StoreError> {
        let (mut pruned, mut after) = (0, Vec::new());
        loop {
            let ended = self
                .0
                .read_whole(move |connection| {
                    let select = "SELECT digest, forget_at FROM used_assertions
                        WHERE digest > ? AND forget_at <= ? ORDER BY digest LIMIT ?";
                    let values = (&after, millis(now), PRUNE_BATCH);
                    let ended = |row: &Row<'_>| Ok((row.get::<Vec<u8>>(0)?, row.get(1)?));
                    Ok::<_, StoreError>(rows::all(connection, select, values, ended)?)
                })
                .await?;
            let last_end: Option<i64> = ended.iter().map(|(_, forget_at)| *forget_at).max();
            let first_and_last = ended.first().cloned().zip(ended.last().cloned());
            let Some(((first, _), (last, _))) = first_and_last else { return Ok(pruned) };
            pruned += ended.len() as u64;
            let forget = "UPDATE forgotten SET assertions_until = ?1 WHERE assertions_until < ?1";
            // Whoever uses something up from here on knows that these may have been. Only then they go.
            self.0
                .write([Alone::Assertions], move |connection| {
                    Ok::<_, StoreError>(rows::execute(connection, forget, [last_end]).map(drop)?)
                })
                .await?;
            let delete = "DELETE FROM used_assertions
                WHERE digest >= ? AND digest <= ? AND forget_at <= ?";
            after = last.clone();
            self.0
                .write([Alone::Upkeep], move |connection| {
                    let values = (&first, &last, last_end);
                    Ok::<_, StoreError>(rows::execute(connection, delete, values).map(drop)?)
                })
                .await?;
        }
    }

    /// The first audit event that is not from before `oldest`, or the number after the last one.
    /// `None` when there are no events. They are numbered as they were written, so by age.
    async fn first_younger(&self, oldest: i64) -> Result<Option<i64>, StoreError> {
        let select = "SELECT coalesce(
            (SELECT id FROM audit_events WHERE at >= ? ORDER BY id LIMIT 1),
            (SELECT max(id) + 1 FROM audit_events))";
        self.0
            .read_whole(move |connection| {
                let first = |row: &Row<'_>| row.get::<Option<i64>>(0);
                Ok(rows::first(connection, select, [oldest], first)?.flatten())
            })
            .await
    }

    /// The newest of the rows of `table` that are too many, if there are more than `max`.
    async fn last_surplus(&self, table: &'static str, max: u64) -> Result<Option<i64>, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.0
            .read_whole(move |connection| {
                // Numbers are never given twice, so they span at least as many as there are rows.
                let span =
                    format!("SELECT (SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table})");
                let span = rows::first(connection, &span, (), |row| row.get::<Option<i64>>(0))?;
                if span.flatten().is_none_or(|span| span < max) {
                    return Ok(None);
                }
                let select = format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1 OFFSET ?");
                Ok(rows::first(connection, &select, [max], |row| row.get(0))?)
            })
            .await
    }
}
