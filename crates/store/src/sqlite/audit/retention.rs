//! Which events of the audit trail go when there are too many: never those of whoever has few.

use std::collections::HashMap;

use countersign_authority::{
    audit::{Budget, EventKind},
    ports::{Retention, StoreError},
};
use rusqlite::{Connection, Row};

use crate::sqlite::{SqliteStore, error::DbError, rows};

/// How many rows of one owner one transaction removes.
const BATCH: u64 = 1000;
/// How many owners' rows one transaction removes.
const OWNERS: usize = 16;

/// The account that events are about, if they are about one.
type Owner = Option<Vec<u8>>;

impl SqliteStore {
    /// Removes refusals and logins beyond their numbers, the oldest of whoever has the most, and
    /// returns how many went.
    pub(super) async fn prune_surplus(&self, retention: &Retention) -> Result<u64, StoreError> {
        let refusals = self.refusals_by_owner(retention.max_refusals).await?;
        let refused = "account_id IS ? AND fold IS NOT NULL".to_owned();
        let pruned = self.prune_shares(refusals, retention.max_refusals, refused).await?;
        let others = self.others_by_owner(retention.max_events).await?;
        let logins = format!("account_id IS ? AND fold IS NULL AND kind IN ({})", login_kinds());
        Ok(pruned + self.prune_shares(others, retention.max_events, logins).await?)
    }

    /// How many refusals there are of each owner, if there are more than `max` in all.
    async fn refusals_by_owner(&self, max: u64) -> Result<Vec<(Owner, u64)>, StoreError> {
        self.read(move |connection| {
            let count = "SELECT count(*) FROM audit_events WHERE fold IS NOT NULL";
            if number(connection, count)? <= max {
                return Ok(Vec::new());
            }
            Ok(by_owner(connection, "fold IS NOT NULL")?)
        })
        .await
    }

    /// How many other events there are of each account, if there may be more than `max` in all.
    async fn others_by_owner(&self, max: u64) -> Result<Vec<(Owner, u64)>, StoreError> {
        self.read(move |connection| {
            // Numbers are never given twice, so they span at least as many as there are rows.
            let span = "SELECT coalesce((SELECT max(id) FROM audit_events)
                - (SELECT min(id) FROM audit_events) + 1, 0)";
            if number(connection, span)? <= max {
                return Ok(Vec::new());
            }
            let mut refusals: HashMap<_, _> =
                by_owner(connection, "fold IS NOT NULL")?.into_iter().collect();
            let all = by_owner(connection, "account_id IS NOT NULL")?.into_iter();
            Ok(all
                .map(|(owner, count)| {
                    let refused = refusals.remove(&owner).unwrap_or_default();
                    (owner, count.saturating_sub(refused))
                })
                .collect())
        })
        .await
    }

    /// Removes the oldest rows that meet `condition` of each owner that has more than its share of
    /// `max`.
    async fn prune_shares(
        &self,
        counts: Vec<(Owner, u64)>,
        max: u64,
        condition: String,
    ) -> Result<u64, StoreError> {
        let share = fair_share(counts.iter().map(|(_, count)| *count).collect(), max);
        let mut surplus: Vec<(Owner, u64)> = counts
            .into_iter()
            .filter_map(|(owner, count)| Some((owner, count.checked_sub(share)?)))
            .filter(|(_, surplus)| *surplus > 0)
            .collect();
        let delete = format!(
            "DELETE FROM audit_events WHERE id IN
             (SELECT id FROM audit_events WHERE {condition} ORDER BY id LIMIT ?)"
        );
        let mut pruned = 0;
        while !surplus.is_empty() {
            let some = surplus.split_off(surplus.len().saturating_sub(OWNERS));
            let delete = delete.clone();
            let (removed, left) =
                self.write(move |c| Ok::<_, StoreError>(remove(c, &delete, &some)?)).await?;
            pruned += removed;
            surplus.extend(left);
        }
        Ok(pruned)
    }
}

/// Removes a batch of rows of each owner. Returns how many went, and what is left to remove.
fn remove(
    connection: &Connection,
    delete: &str,
    owners: &[(Owner, u64)],
) -> Result<(u64, Vec<(Owner, u64)>), DbError> {
    let (mut pruned, mut left) = (0, Vec::new());
    for (owner, surplus) in owners {
        let removed = rows::execute(connection, delete, (owner, batch(*surplus)))?;
        pruned += removed as u64;
        // An owner may have fewer rows of this kind than it has too many.
        if removed as u64 == BATCH && *surplus > BATCH {
            left.push((owner.clone(), surplus - BATCH));
        }
    }
    Ok((pruned, left))
}

/// At most a batch, as SQLite counts.
fn batch(surplus: u64) -> i64 {
    i64::try_from(surplus.min(BATCH)).unwrap_or(i64::MAX)
}

/// How many each may keep, so that all together keep at most `max`: who has less keeps all, and what
/// it leaves is shared by the others.
fn fair_share(mut counts: Vec<u64>, max: u64) -> u64 {
    counts.sort_unstable();
    let (mut left, mut owners) = (max, counts.len() as u64);
    for count in counts {
        let share = left / owners;
        if count > share {
            return share;
        }
        left -= count;
        owners -= 1;
    }
    u64::MAX
}

fn by_owner(connection: &Connection, condition: &str) -> Result<Vec<(Owner, u64)>, DbError> {
    let select = format!(
        "SELECT account_id, count(*) FROM audit_events WHERE {condition} GROUP BY account_id"
    );
    let both = |row: &Row<'_>| Ok((row.get(0)?, count(row, 1)?));
    rows::all(connection, &select, [], both)
}

fn number(connection: &Connection, select: &str) -> Result<u64, DbError> {
    Ok(rows::first(connection, select, [], |row| count(row, 0))?.unwrap_or_default())
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, DbError> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

/// The kinds that count as logins, as SQL.
fn login_kinds() -> String {
    let logins = EventKind::ALL.iter().filter(|kind| kind.budget() == Budget::Logins);
    logins.map(|kind| format!("'{}'", kind.name())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_little_keeps_all_and_the_others_share_the_rest() {
        for (counts, max, share) in [
            (vec![], 0, u64::MAX),
            (vec![1, 2, 3], 6, u64::MAX),
            (vec![1, 2, 3], 5, 2),
            (vec![1_000_000, 3, 1], 100, 96),
            (vec![50, 50], 10, 5),
            (vec![5, 5, 5], 2, 0),
            (vec![7], 0, 0),
        ] {
            let kept: u64 = counts.iter().map(|count| *count.min(&share)).sum();
            assert_eq!(fair_share(counts, max), share);
            assert!(kept <= max);
        }
    }
}
