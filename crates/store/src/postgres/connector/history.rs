//! Which of several servers with one database is the one that counts.
//!
//! Whoever promotes a standby while the old primary stands still may get two servers that take writes: the old
//! one goes on when it can. It does not know of its successor, but it has a lower timeline.

use std::cmp::Ordering;

use parking_lot::Mutex;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::postgres::error::PostgresError;

/// Without parameters and in the simple protocol, as also a pooler passes it on.
const ASK: &str = "SELECT system_identifier::text,
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint::text
    FROM pg_control_system()";

/// What a server has written so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct History {
    /// The identifier of the cluster, which its copies share.
    system: String,
    /// One more after each promotion.
    timeline: u64,
}

impl History {
    /// Asks the server.
    pub(in crate::postgres) async fn of(client: &Client) -> Result<Self, PostgresError> {
        let rows = client.simple_query(ASK).await;
        let rows = rows.map_err(|error| PostgresError::of_statement(&error))?;
        let read = rows.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            let (system, timeline) = (row.get(0)?.to_owned(), row.get(1)?.parse().ok()?);
            Some(Self { system, timeline })
        });
        read.ok_or_else(|| PostgresError::Damaged { reason: "the timeline".to_owned() })
    }
}

/// What a history is to what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Admitted {
    /// The one that is known, or the first.
    Known,
    /// That of a server which has followed the one that was known.
    Newer,
}

/// The latest history that any connection has told of.
#[derive(Default)]
pub(in crate::postgres) struct Histories(Mutex<Option<History>>);

impl Histories {
    /// Takes note of what the server called `server` said.
    ///
    /// # Errors
    /// When it must not be used: another one has replaced it, or it is not the database that this process works
    /// on.
    pub(in crate::postgres) fn admit(
        &self,
        server: &str,
        history: &History,
    ) -> Result<Admitted, PostgresError> {
        let mut latest = self.0.lock();
        let Some(known) = latest.as_ref() else {
            *latest = Some(history.clone());
            return Ok(Admitted::Known);
        };
        if known.system != history.system {
            let reason = format!(
                "{server}: this is another database cluster ({}) than before ({}); restart this program if \
                 it is to work on that one",
                history.system, known.system
            );
            return Err(PostgresError::Refused { reason });
        }
        match history.timeline.cmp(&known.timeline) {
            Ordering::Equal => Ok(Admitted::Known),
            Ordering::Greater => {
                *latest = Some(history.clone());
                Ok(Admitted::Newer)
            }
            Ordering::Less => {
                let reason = format!(
                    "{server}: this server was replaced by another one: it must not serve any more (its \
                     timeline is {}, that of its successor {})",
                    history.timeline, known.timeline
                );
                Err(PostgresError::Refused { reason })
            }
        }
    }

    /// Whether no server is known that has replaced the one which said that.
    pub(in crate::postgres) fn is_latest(&self, history: &History) -> bool {
        self.0.lock().as_ref() == Some(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(system: &str, timeline: u64) -> History {
        History { system: system.to_owned(), timeline }
    }

    #[test]
    fn who_was_replaced_is_refused_and_who_follows_is_taken() {
        let histories = Histories::default();
        let (old, new) = (history("1", 9), history("1", 10));
        assert_eq!(histories.admit("a", &old).unwrap(), Admitted::Known);
        assert_eq!(histories.admit("a", &old).unwrap(), Admitted::Known);
        assert!(histories.is_latest(&old));
        assert_eq!(histories.admit("b", &new).unwrap(), Admitted::Newer);
        assert!(!histories.is_latest(&old) && histories.is_latest(&new));
        let refused = histories.admit("a", &old).unwrap_err().to_string();
        assert!(refused.contains("was replaced by another one"), "{refused}");
        let refused = histories.admit("c", &history("2", 11)).unwrap_err().to_string();
        assert!(refused.contains("another database cluster"), "{refused}");
        assert_eq!(histories.admit("b", &new).unwrap(), Admitted::Known);
    }
}
