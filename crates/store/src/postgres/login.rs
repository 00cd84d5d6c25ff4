//! Ordinary logins, which are most of what is ever written: all that wait, in one statement, one round trip
//! and one commit.
//!
//! The statement does what `rules/logins.rs` says, in the case that nothing but the login is new: the key is
//! live and proven, the assertion was not used, and the client is in the network where it was before. In every
//! other case it changes nothing, and the rules decide.

mod columns;

use std::{collections::HashSet, time::Duration};

use countersign_authority::ports::{LoginRecord, RecordedLogin};
use countersign_protocol::{Scopes, SpentReceipt};
use tokio::sync::oneshot;

use self::columns::Logins;
use super::{
    failed_writes::FailedWrites,
    failure::{Class, Failure},
    session::Session,
};
use crate::{
    error::{DbError, Unavailable},
    rows::Columns,
    sql::Row,
    threads::Queue,
};

/// How many logins are recorded together at most.
const TOGETHER: usize = 128;
/// How often a statement is run at most, if others get in its way.
const ATTEMPTS: u32 = 4;

/// The rows of keys and users are locked, so of a login and a revocation the second sees what the first did. A row
/// that somebody else has locked makes its login no ordinary one: the statement waits for no row, so it is never
/// one of several that wait for each other, and nobody who keeps changing his own account delays the logins of
/// others. What is used up decides about the rest. Each key is looked up by itself: a join could be planned as a
/// walk through all keys while there are few.
const LOG_IN: &str = "WITH asked AS (
        SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bytea[],
            $7::bigint[], $8::bytea[], $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::text[],
            $14::text[], $15::text[])
        AS t(number, thumbprint, account_id, at, network, digest, forget_at, last_address, last_login,
            kind, about_account, about_key, address, detail, facts)
    ), found AS MATERIALIZED (
        SELECT q.*, k.user_id FROM asked AS q
        CROSS JOIN LATERAL (SELECT user_id FROM credentials WHERE thumbprint = q.thumbprint LIMIT 1) AS k
    ), signer AS MATERIALIZED (
        SELECT f.*, s.scopes FROM found AS f
        CROSS JOIN LATERAL (
            SELECT a.scopes FROM credentials AS c
            JOIN users AS u ON u.id = c.user_id
            JOIN accounts AS a ON a.user_id = c.user_id
            WHERE c.thumbprint = f.thumbprint AND c.user_id = f.user_id
                AND a.account_id = f.account_id AND a.status = 'active' AND c.revoked_at IS NULL
                AND (c.expires_at IS NULL OR c.expires_at > f.at)
                AND (c.last_address IS NULL OR f.network IS NULL
                    OR substring(c.last_address FROM 1 FOR length(f.network)) = f.network)
            FOR NO KEY UPDATE OF c, u SKIP LOCKED
        ) AS s
    ), spent AS (
        INSERT INTO used_assertions(digest, forget_at) SELECT digest, forget_at FROM signer
        WHERE forget_at > (SELECT assertions_until FROM forgotten WHERE id = 1)
        ON CONFLICT DO NOTHING RETURNING digest
    ), done AS (
        SELECT signer.* FROM signer JOIN spent USING (digest)
    ), credential AS (
        UPDATE credentials SET last_used_at = done.at,
            last_address = coalesce(done.last_address, credentials.last_address)
        FROM done WHERE credentials.thumbprint = done.thumbprint
    ), last_login AS (
        UPDATE users SET last_login = greatest(users.last_login, CAST(done.last_login AS TIMESTAMP))
        FROM done WHERE users.id = done.user_id
    ), event AS (
        INSERT INTO audit_events(at, kind, account_id, thumbprint, address, detail, facts)
        SELECT at, kind, about_account, about_key, address, detail, facts FROM done ORDER BY number
    )
    SELECT number, scopes FROM done";

/// A login to be recorded, if it is an ordinary one.
pub(super) struct Ordinary {
    login: LoginRecord,
    reply: oneshot::Sender<Answer>,
}

/// What became of a login. `None` if it is no ordinary one.
pub(super) type Answer = Result<Option<RecordedLogin>, Unavailable>;

impl Ordinary {
    /// Something to be queued, and where the answer comes. `None` if it shows that the login is no ordinary one.
    pub(super) fn new(login: &LoginRecord) -> Option<(Self, oneshot::Receiver<Answer>)> {
        if !columns::may_be_ordinary(login) {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        Some((Self { login: login.clone(), reply }, answer))
    }

    fn answer(self, answer: Answer) {
        // Whoever has gone away needs no answer.
        let _: Result<_, _> = self.reply.send(answer);
    }
}

/// Records the logins that wait in `queue`, until that is closed.
pub(super) fn serve(
    session: &Session,
    queue: &Queue<Ordinary>,
    patience: Duration,
    failed: &FailedWrites,
) {
    while let Some(first) = queue.next() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Some(next) = queue.next_waiting()
        {
            batch.push(next);
        }
        batch.retain(|waiting| !waiting.reply.is_closed());
        let mut digests = HashSet::new();
        // Of two with one assertion, the rules refuse one.
        let (batch, twice): (Vec<_>, _) =
            batch.into_iter().partition(|waiting| digests.insert(waiting.login.assertion.digest));
        for waiting in twice {
            waiting.answer(Ok(None));
        }
        record(session, batch, patience, failed);
    }
}

fn record(session: &Session, batch: Vec<Ordinary>, patience: Duration, failed: &FailedWrites) {
    if batch.is_empty() {
        return;
    }
    session.allow(patience);
    let logins: Vec<_> = batch.iter().map(|waiting| &waiting.login).collect();
    let mut scopes = match recorded(session, &logins) {
        Ok(scopes) => scopes,
        Err(failure) => {
            failed.failed(&failure, session.now());
            let failure = Unavailable::from(failure);
            for waiting in batch {
                waiting.answer(Err(failure.clone()));
            }
            return;
        }
    };
    failed.kept(|| session.now());
    for (number, waiting) in batch.into_iter().enumerate() {
        let receipt = SpentReceipt::recorded(waiting.login.assertion);
        let scopes = scopes.get_mut(number).and_then(Option::take);
        waiting.answer(Ok(scopes.map(|scopes| RecordedLogin { receipt, scopes })));
    }
}

/// The scopes of the account of each login that was an ordinary one.
fn recorded(session: &Session, logins: &[&LoginRecord]) -> Result<Vec<Option<Scopes>>, Failure> {
    let columns = Logins::of(logins);
    let mut attempts = 0;
    loop {
        session.be_ready()?;
        let mut scopes = vec![None; logins.len()];
        let done = session.at_once(LOG_IN, &columns.params(), &mut |row| read(row, &mut scopes));
        attempts += 1;
        match (done, session.take_trouble()) {
            (Ok(()), _) => return Ok(scopes),
            (Err(_), Some(Class::Contended)) if attempts < ATTEMPTS => {}
            (Err(failure), _) => return Err(failure),
        }
    }
}

fn read(row: &Row<'_>, scopes: &mut [Option<Scopes>]) -> Result<(), DbError> {
    let number: i64 = row.get(0)?;
    let place = usize::try_from(number).ok().and_then(|number| scopes.get_mut(number));
    if let Some(place) = place {
        *place = Some(Columns::new(row, "accounts", 1).parse("scopes")?);
    }
    Ok(())
}
