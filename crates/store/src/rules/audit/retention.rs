//! Which audit events are removed when there are too many. An account with few events loses none.

use crate::sql::{Connection, Row};
use countersign_authority::{
    model::audit::{Budget, EventKind},
    ports::{Retention, StoreError},
};

use super::kinds;
use crate::rules::{Alone, Engine, error::DbError, pruning::Pruning, rows};

/// How many rows of one group one transaction removes.
const BATCH: u64 = 1000;
/// How many groups' rows one transaction removes.
const GROUPS: usize = 16;

/// The account that events are about, if they are about one.
type Owner = Option<Vec<u8>>;

/// Events of one kind about one account. Each such group has a share of its own.
#[derive(Clone)]
struct Group {
    owner: Owner,
    kind: String,
    count: u64,
}

/// An upper bound on the number of events: a number is never used twice, so the span of numbers is
/// at least the number of rows.
const SPAN: &str = "SELECT coalesce((SELECT max(id) FROM audit_events)
    - (SELECT min(id) FROM audit_events) + 1, 0)";

impl<E: Engine> Pruning<'_, E> {
    /// Removes logins and counted refusals beyond their maximum, the oldest events of the largest
    /// groups first. Returns how many it removed.
    pub(in crate::rules) async fn prune_surplus(
        &self,
        retention: &Retention,
    ) -> Result<u64, StoreError> {
        let Retention { max_events, max_refusals, max_uses, .. } = *retention;
        Ok(self.prune_budget(Budget::Refusals, max_refusals).await?
            + self.prune_budget(Budget::Tries, max_refusals).await?
            + self.prune_budget(Budget::Uses, max_uses).await?
            + self.prune_budget(Budget::Logins, max_events).await?)
    }

    /// Removes the oldest events of each group that has more than its share of `max`. If there are
    /// more groups than `max`, removes the oldest of all events too.
    async fn prune_budget(&self, budget: Budget, max: u64) -> Result<u64, StoreError> {
        let is_folded = budget.told_together_for().is_some();
        let condition = if is_folded { "fold IS NOT NULL" } else { "fold IS NULL" };
        let kinds = kinds(EventKind::ALL.iter().copied().filter(|kind| kind.budget() == budget));
        let of_budget = format!("kind IN ({kinds}) AND {condition}");
        let all = of_budget.clone();
        let groups = self.0.read_whole(move |connection| {
            // Logins have no index of their own, so they are counted only when they may be too
            // many.
            let at_most = if is_folded {
                format!("SELECT count(*) FROM audit_events WHERE {of_budget}")
            } else {
                SPAN.to_owned()
            };
            if number(connection, &at_most)? <= max {
                return Ok::<_, StoreError>(Vec::new());
            }
            Ok(groups(connection, &of_budget)?)
        });
        let groups = groups.await?;
        let too_many_groups = (groups.len() as u64).saturating_sub(max);
        let share = fair_share(groups.iter().map(|group| group.count).collect(), max);
        let delete = format!(
            "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events
             WHERE kind = ? AND account_id IS NOT DISTINCT FROM ? AND {condition} ORDER BY id LIMIT ?)"
        );
        let surplus =
            |group: Group| Some(Group { count: group.count.checked_sub(share)?, ..group });
        let mut surplus: Vec<Group> = groups.into_iter().filter_map(surplus).collect();
        surplus.retain(|group| group.count > 0);
        let mut pruned = 0;
        while !surplus.is_empty() {
            let some = surplus.split_off(surplus.len().saturating_sub(GROUPS));
            let delete = delete.clone();
            let (removed, left) = self
                .0
                .write([Alone::Upkeep], move |c| Ok::<_, StoreError>(remove(c, &delete, &some)?))
                .await?;
            pruned += removed;
            surplus.extend(left);
        }
        Ok(pruned + self.prune_oldest(&all, too_many_groups).await?)
    }

    /// Removes the `count` oldest events for which `condition` holds.
    async fn prune_oldest(&self, condition: &str, count: u64) -> Result<u64, StoreError> {
        let delete = format!(
            "DELETE FROM audit_events WHERE id IN
             (SELECT id FROM audit_events WHERE {condition} ORDER BY id LIMIT ?)"
        );
        let mut left = count;
        while left > 0 {
            let (delete, some) = (delete.clone(), batch(left));
            let removed = self
                .0
                .write([Alone::Upkeep], move |c| {
                    Ok::<_, StoreError>(rows::execute(c, &delete, [some])? as u64)
                })
                .await?;
            left = left.saturating_sub(removed);
            if removed < BATCH {
                break;
            }
        }
        Ok(count - left)
    }
}

/// Removes a batch of rows of each group. Returns how many it removed, and which groups still have
/// rows to remove.
fn remove(
    connection: &Connection,
    delete: &str,
    groups: &[Group],
) -> Result<(u64, Vec<Group>), DbError> {
    let (mut pruned, mut left) = (0, Vec::new());
    for group in groups {
        let values = (&group.kind, &group.owner, batch(group.count));
        let removed = rows::execute(connection, delete, values)? as u64;
        pruned += removed;
        // Somebody else may have removed some meanwhile.
        if removed == BATCH && group.count > BATCH {
            left.push(Group { count: group.count - BATCH, ..group.clone() });
        }
    }
    Ok((pruned, left))
}

/// At most a batch, as SQLite counts.
fn batch(surplus: u64) -> i64 {
    i64::try_from(surplus.min(BATCH)).unwrap_or(i64::MAX)
}

/// How many rows each group may keep, so that all groups together keep at most `max`. A group with
/// fewer rows keeps them all, and the other groups share what it leaves over. Each group keeps at
/// least one row, however many groups there are, so that a flood of groups never erases all that is
/// known of one.
fn fair_share(mut counts: Vec<u64>, max: u64) -> u64 {
    counts.sort_unstable();
    let (mut left, mut owners) = (max, counts.len() as u64);
    for count in counts {
        let share = left / owners;
        if count > share {
            return share.max(1);
        }
        left -= count;
        owners -= 1;
    }
    u64::MAX
}

fn groups(connection: &Connection, condition: &str) -> Result<Vec<Group>, DbError> {
    let select = format!(
        "SELECT kind, account_id, count(*) FROM audit_events WHERE {condition}
         GROUP BY kind, account_id"
    );
    let group =
        |row: &Row<'_>| Ok(Group { kind: row.get(0)?, owner: row.get(1)?, count: count(row, 2)? });
    rows::all(connection, &select, (), group)
}

fn number(connection: &Connection, select: &str) -> Result<u64, DbError> {
    Ok(rows::first(connection, select, (), |row| count(row, 0))?.unwrap_or_default())
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, DbError> {
    Ok(u64::try_from(row.get::<i64>(column)?).unwrap_or_default())
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
            (vec![5, 5, 5], 2, 1),
            (vec![1, 1, 1], 2, 1),
            (vec![7], 0, 1),
        ] {
            let kept: u64 = counts.iter().map(|count| *count.min(&share)).sum();
            assert!(kept <= max.max(counts.len() as u64));
            assert_eq!(fair_share(counts, max), share);
        }
    }
}
