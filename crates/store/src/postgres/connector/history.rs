//! Which of several servers with one database is the one that counts.
//!
//! Whoever promotes a standby while the old primary stands still may get two servers that take writes: the old
//! one goes on when it can. It does not know of its successor, but it has a lower timeline. Of two standbys that
//! were both promoted, each may have the same timeline. So the first that works on a timeline gives it a name.

use std::{cmp::Ordering, collections::BTreeMap, str::FromStr};

use parking_lot::Mutex;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::postgres::error::PostgresError;

/// Without parameters and in the simple protocol, as also a pooler passes it on. A standby says up to where it
/// has certainly followed.
const ASK: &str = "SELECT system_identifier::text,
    CASE WHEN pg_is_in_recovery() THEN (
        SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)::text
        FROM pg_control_checkpoint() AS c, pg_control_recovery() AS r)
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint::text END,
    current_setting('transaction_read_only'), to_regclass('timeline_names')::text
    FROM pg_control_system()";
const NAMES: &str = "SELECT timeline::text, name::text FROM timeline_names";
const BEATS: &str = "SELECT node_id, beat::text FROM nodes";

/// What a server has written so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct History {
    /// The identifier of the cluster, which its copies share.
    system: String,
    /// One more after each promotion.
    timeline: u64,
    /// The names of the timelines that led there, and its own. None while there are no tables.
    names: BTreeMap<u64, String>,
}

/// What a server says of itself.
pub(in crate::postgres) struct Said {
    pub(in crate::postgres) history: History,
    /// Whether it takes writes, as no standby does.
    pub(in crate::postgres) takes_writes: bool,
    /// The number of the last heartbeat that it has kept of each node. None while there are no tables.
    beats: BTreeMap<String, i64>,
    /// The last heartbeat of this node that was known to be kept before the server was asked.
    pub(super) must_have: Option<Beat>,
}

/// The name of a node, and the number of a heartbeat.
type Beat = (String, i64);

impl Said {
    /// Asks the server, and gives its timeline a name if it takes writes and has none yet.
    pub(in crate::postgres) async fn by(client: &Client) -> Result<Self, PostgresError> {
        let damaged = || PostgresError::Damaged { reason: "the timeline".to_owned() };
        let rows = query(client, ASK).await?;
        let row = rows.first().ok_or_else(damaged)?;
        let text = |column| row.get(column).ok_or_else(damaged);
        let (system, takes_writes) = (text(0)?.to_owned(), text(2)? == "off");
        let timeline = text(1)?.parse().map_err(|_| damaged())?;
        let has_tables = row.get(3).is_some();
        let (mut names, mut beats) = (BTreeMap::new(), BTreeMap::new());
        if has_tables {
            names = pairs(client, NAMES).await?;
            beats = pairs(client, BEATS).await?;
            if takes_writes && !names.contains_key(&timeline) {
                query(client, &give_name(timeline)).await?;
                names = pairs(client, NAMES).await?;
            }
        }
        let history = History { system, timeline, names };
        Ok(Self { history, takes_writes, beats, must_have: None })
    }
}

/// The name is for this server and those that follow it: no standby is waited for, because a replaced primary
/// would wait for ever.
fn give_name(timeline: u64) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = local;
        INSERT INTO timeline_names(timeline) VALUES ({timeline}) ON CONFLICT DO NOTHING; COMMIT"
    )
}

/// What a query says of each of the things that it names first.
async fn pairs<K: FromStr + Ord, V: FromStr>(
    client: &Client,
    sql: &str,
) -> Result<BTreeMap<K, V>, PostgresError> {
    let rows = query(client, sql).await?;
    let pair = |row: &SimpleQueryRow| Some((row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?));
    Ok(rows.iter().filter_map(pair).collect())
}

async fn query(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, PostgresError> {
    let messages = client.simple_query(sql).await;
    let messages = messages.map_err(|error| PostgresError::of_statement(&error))?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(rows.collect())
}

impl History {
    /// Whether what leads there has the same names as what leads to `other`, as far as both have any.
    fn agrees(&self, other: &Self) -> bool {
        let is_same =
            |(timeline, name)| other.names.get(timeline).is_none_or(|other| other == name);
        self.names.iter().all(is_same)
    }

    /// Whether it goes on from where `known` is. What has names lacks none of those before.
    fn follows(&self, known: &Self) -> bool {
        let is_lost = known.names.contains_key(&known.timeline)
            && !self.names.is_empty()
            && !self.names.contains_key(&known.timeline);
        !is_lost && self.agrees(known)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.system == other.system && self.timeline == other.timeline && self.agrees(other)
    }
}

/// A history that is known.
struct Known {
    history: History,
    /// Whether a server that takes writes has told of it, and not only a standby.
    is_reached: bool,
}

/// The latest history that any server has told of, and what it must have.
#[derive(Default)]
pub(in crate::postgres) struct Histories {
    latest: Mutex<Option<Known>>,
    /// The last heartbeat of this node that was kept.
    kept: Mutex<Option<Beat>>,
}

impl Histories {
    /// Whether any server has told of one.
    pub(in crate::postgres) fn are_known(&self) -> bool {
        self.latest.lock().is_some()
    }

    /// The heartbeat number `beat` of the node `node` was kept.
    pub(super) fn note_beat(&self, node: &str, beat: i64) {
        *self.kept.lock() = Some((node.to_owned(), beat));
    }

    /// The last heartbeat that was kept.
    pub(super) fn last_beat(&self) -> Option<Beat> {
        self.kept.lock().clone()
    }

    /// Whether a server lacks a heartbeat that was kept, and so what was kept before it. One that is the same as
    /// before must have what was kept when it was asked: the disk of another moment may have been put back.
    fn lacks_beats(&self, said: &Said, is_other: bool) -> bool {
        let kept = if is_other { self.last_beat() } else { said.must_have.clone() };
        kept.is_some_and(|(node, beat)| {
            // A node that was silent for a day is forgotten by others, whose heartbeats are later.
            let has = said.beats.get(&node).or_else(|| said.beats.values().max());
            has.is_none_or(|has| *has < beat)
        })
    }

    /// Takes note of what the server called `server` said, which is to be used if it takes writes.
    ///
    /// # Errors
    /// When it must not be used: it is a standby, another one has replaced it, or it is not the database that
    /// this process works on.
    pub(in crate::postgres) fn admit(
        &self,
        server: &str,
        said: &Said,
    ) -> Result<(), PostgresError> {
        let mut latest = self.latest.lock();
        let Said { history, takes_writes, .. } = said;
        let mut judged = judge(server, history, latest.as_ref().map(|known| &known.history));
        let is_new = matches!(judged, Ok(Ordering::Greater));
        if let Some(known) = latest.as_ref()
            && self.lacks_beats(said, is_new || !known.is_reached)
        {
            judged = judged.and(Err(lacking(server, history, known.history.timeline)));
        }
        if !takes_writes {
            // It may be far behind, or follow one that nobody uses: only that others were replaced counts.
            if matches!(judged, Ok(Ordering::Greater)) {
                let names = latest.as_ref().map(|_| history.names.clone()).unwrap_or_default();
                let history = History { names, ..history.clone() };
                *latest = Some(Known { history, is_reached: false });
            }
            return Err(PostgresError::TakesNoWrites { server: server.to_owned() });
        }
        judged?;
        if is_new && latest.is_some() {
            tracing::warn!(server, "another database server has replaced the old one");
        }
        let knows_all = |known: &Known| {
            !is_new && known.is_reached && known.history.names.len() >= history.names.len()
        };
        if !latest.as_ref().is_some_and(knows_all) {
            *latest = Some(Known { history: history.clone(), is_reached: true });
        }
        Ok(())
    }

    /// Whether no server is known that has replaced the one which said that.
    pub(in crate::postgres) fn is_latest(&self, history: &History) -> bool {
        self.latest.lock().as_ref().is_some_and(|known| known.history.is_same(history))
    }
}

/// What `history` is to what is known: the same, or later.
fn judge(
    server: &str,
    history: &History,
    known: Option<&History>,
) -> Result<Ordering, PostgresError> {
    let Some(known) = known else { return Ok(Ordering::Greater) };
    if known.system != history.system {
        let reason = format!(
            "{server}: this is another database cluster ({}) than before ({}); restart this program if \
             it is to work on that one",
            history.system, known.system
        );
        return Err(PostgresError::Refused { reason });
    }
    match history.timeline.cmp(&known.timeline) {
        Ordering::Equal if history.agrees(known) => Ok(Ordering::Equal),
        Ordering::Greater if history.follows(known) => Ok(Ordering::Greater),
        Ordering::Equal | Ordering::Greater => Err(lacking(server, history, known.timeline)),
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

fn lacking(server: &str, history: &History, known: u64) -> PostgresError {
    PostgresError::Lacking { server: server.to_owned(), timeline: history.timeline, known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(system: &str, timeline: u64, names: &[(u64, &str)]) -> Said {
        let names = names.iter().map(|(timeline, name)| (*timeline, (*name).to_owned())).collect();
        let history = History { system: system.to_owned(), timeline, names };
        Said { history, takes_writes: true, beats: BTreeMap::new(), must_have: None }
    }

    fn standby(system: &str, timeline: u64, names: &[(u64, &str)]) -> Said {
        Said { takes_writes: false, ..said(system, timeline, names) }
    }

    #[test]
    fn who_was_replaced_is_refused_and_who_follows_is_taken() {
        let histories = Histories::default();
        let (old, new) = (said("1", 9, &[]), said("1", 10, &[]));
        histories.admit("a", &old).unwrap();
        histories.admit("a", &old).unwrap();
        assert!(histories.is_latest(&old.history));
        histories.admit("b", &new).unwrap();
        assert!(!histories.is_latest(&old.history) && histories.is_latest(&new.history));
        let refused = histories.admit("a", &old).unwrap_err().to_string();
        assert!(refused.contains("was replaced by another one"), "{refused}");
        let refused = histories.admit("c", &said("2", 11, &[])).unwrap_err().to_string();
        assert!(refused.contains("another database cluster"), "{refused}");
        histories.admit("b", &new).unwrap();
    }

    #[test]
    fn a_standby_tells_that_its_primary_has_replaced_another_and_nothing_else() {
        let (histories, old) = (Histories::default(), said("1", 2, &[(2, "x")]));
        histories.admit("b", &standby("1", 3, &[(2, "y")])).unwrap_err();
        let refused = histories.admit("a", &old).unwrap_err().to_string();
        assert!(refused.contains("was replaced by another one"), "{refused}");
        histories.admit("c", &said("1", 3, &[(2, "x"), (3, "z")])).unwrap();
        let histories = Histories::default();
        histories.admit("a", &old).unwrap();
        for other in [
            standby("1", 1, &[]),
            standby("1", 2, &[(2, "y")]),
            standby("1", 3, &[(1, "w")]),
            standby("2", 3, &[]),
        ] {
            let refused = histories.admit("b", &other).unwrap_err();
            assert!(matches!(refused, PostgresError::TakesNoWrites { .. }), "{refused}");
            assert!(histories.is_latest(&old.history));
        }
        histories.admit("b", &standby("1", 3, &[(2, "x")])).unwrap_err();
        assert!(!histories.is_latest(&old.history));
        histories.admit("a", &old).unwrap_err();
        histories.admit("c", &said("1", 3, &[(2, "x"), (3, "z")])).unwrap();
    }

    /// As of a snapshot of its disk that was put back.
    #[test]
    fn a_server_that_has_lost_what_it_had_kept_is_refused() {
        let histories = Histories::default();
        let same = |beat, must_have: Option<i64>| Said {
            beats: BTreeMap::from([("n".to_owned(), beat)]),
            must_have: must_have.map(|beat| ("n".to_owned(), beat)),
            ..said("1", 1, &[(1, "w")])
        };
        histories.admit("a", &same(4, None)).unwrap();
        histories.note_beat("n", 5);
        assert_eq!(histories.last_beat(), Some(("n".to_owned(), 5)));
        histories.admit("a", &same(5, Some(5))).unwrap();
        // Asked before the last one was kept.
        histories.admit("a", &same(4, Some(4))).unwrap();
        let of_other = |beat| BTreeMap::from([("o".to_owned(), beat)]);
        histories.admit("a", &Said { beats: of_other(6), ..same(0, Some(5)) }).unwrap();
        for lost in [
            same(4, Some(5)),
            Said { beats: BTreeMap::new(), ..same(0, Some(5)) },
            Said { beats: of_other(4), ..same(0, Some(5)) },
        ] {
            let refused = histories.admit("a", &lost).unwrap_err();
            assert!(matches!(refused, PostgresError::Lacking { .. }), "{refused}");
        }
    }

    #[test]
    fn of_two_branches_the_one_that_is_known_goes_on() {
        let histories = Histories::default();
        // Before the tables are made, nothing has a name.
        histories.admit("a", &said("1", 2, &[])).unwrap();
        let known = said("1", 2, &[(1, "w"), (2, "x")]);
        histories.admit("a", &known).unwrap();
        for rival in [said("1", 2, &[(1, "w"), (2, "y")]), said("1", 3, &[(1, "w"), (3, "y")])] {
            let refused = histories.admit("b", &rival).unwrap_err();
            assert!(matches!(refused, PostgresError::Lacking { .. }), "{refused}");
            assert!(histories.is_latest(&known.history) && !histories.is_latest(&rival.history));
        }
        histories.admit("b", &said("1", 3, &[(1, "w"), (2, "x"), (3, "y")])).unwrap();
    }
}
