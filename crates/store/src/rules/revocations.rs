//! Revocations: tokens, keys and accounts that ended before their time.

use crate::sql::{Connection, Row};
use std::time::Duration;

use async_trait::async_trait;
use countersign_authority::{
    model::audit::AuditEvent,
    ports::{
        AskedRevocations, DisabledAccount, KEYS_OF_EACH_ACCOUNT, LONGEST_TOKEN, RevocationStore,
        Revocations, RevokedBefore, RevokedKey, RevokedToken, RevokedTokenList, ShutOut,
        StoreError,
    },
};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};

use super::{
    Engine, Stored, audit,
    error::DbError,
    rows::{self, Columns, millis},
};

#[async_trait]
impl<E: Engine> RevocationStore for Stored<E> {
    async fn revoke_token(&self, token: RevokedToken, event: AuditEvent) -> Result<(), StoreError> {
        self.write([], move |connection| {
            let insert = "INSERT INTO revoked_tokens(jti, account_id, issued_at, expires_at)
                VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let RevokedToken { token_id, account_id, issued_at, expires_at } = &token;
            let (issued_at, expires_at) = (millis(*issued_at), millis(*expires_at));
            let values = (token_id, account_id.as_bytes(), issued_at, expires_at);
            if rows::execute(connection, insert, values)? > 0 {
                audit::record(connection, &event)?;
            }
            Ok(())
        })
        .await
    }

    async fn revoked_tokens(
        &self,
        now: UnixTime,
        limit: u32,
    ) -> Result<RevokedTokenList, StoreError> {
        self.read_own(move |connection| {
            Ok(tokens(connection, TokensAsked { now, after: NEVER, limit })?)
        })
        .await
    }

    async fn revocations(&self, asked: AskedRevocations) -> Result<Revocations, StoreError> {
        self.read_own(move |connection| {
            let after = i64::try_from(asked.after).unwrap_or(i64::MAX);
            let AskedRevocations { now, token_limit: limit, .. } = asked;
            // Tokens of before they had a number have none, and are new to whoever knows of none.
            let after = if after == 0 { NEVER } else { after };
            let mut found = Revocations::default();
            connection.at_one_moment(&mut |moment| {
                let tokens = tokens(moment, TokensAsked { now, after, limit })?;
                let shut_out = shut_out(moment, asked.since, asked.limit)?;
                found = Revocations { sequence: sequence(moment)?, shut_out, tokens };
                Ok(())
            })?;
            Ok(found)
        })
        .await
    }
}

/// Less than each sequence number.
const NEVER: i64 = -1;

/// Which revoked tokens are read.
#[derive(Clone, Copy)]
struct TokensAsked {
    /// Those that would not have ended then,
    now: UnixTime,
    /// whose revocation came after that number,
    after: i64,
    /// at most so many one by one.
    limit: u32,
}

fn sequence(connection: &Connection) -> Result<u64, DbError> {
    let select = "SELECT sequence FROM revocations";
    let sequence = rows::first(connection, select, (), |row| {
        Columns::new(row, "revocations", 0)
            .read("sequence", |sequence: i64| u64::try_from(sequence).map_err(|_| "negative"))
    })?;
    Ok(sequence.unwrap_or_default())
}

fn tokens(connection: &Connection, asked: TokensAsked) -> Result<RevokedTokenList, DbError> {
    let TokensAsked { now, after, limit } = asked;
    // Few are new to a feed, and all are to a start.
    let select = if after == NEVER {
        "SELECT jti, account_id, issued_at, expires_at FROM revoked_tokens
            WHERE expires_at > ?1 AND account_id IS NOT NULL AND ?2 < 0
            ORDER BY expires_at DESC LIMIT ?3"
    } else {
        "SELECT jti, account_id, issued_at, expires_at FROM revoked_tokens
                INDEXED BY revoked_tokens_by_sequence
            WHERE sequence > ?2 AND expires_at > ?1 AND account_id IS NOT NULL
            ORDER BY expires_at DESC LIMIT ?3"
    };
    let tokens = rows::all(connection, select, (millis(now), after, limit), revoked_token)?;
    let others = others(connection, &tokens, asked)?;
    let select = "SELECT account_id, issued_at, expires_at FROM ended_tokens
        WHERE sequence > ?2 AND expires_at > ?1";
    let accounts = rows::all(connection, select, (millis(now), after), ended_tokens)?;
    Ok(RevokedTokenList { tokens, accounts, others })
}

fn shut_out(connection: &Connection, since: UnixTime, limit: u32) -> Result<ShutOut, DbError> {
    let keys = "SELECT thumbprint, revoked_at, account_id FROM
        (SELECT thumbprint, revoked_at, user_id, row_number() OVER
            (PARTITION BY user_id ORDER BY revoked_at DESC) AS place FROM
            (SELECT thumbprint, revoked_at, user_id FROM credentials WHERE revoked_at > ?1
             UNION ALL SELECT thumbprint, revoked_at, user_id FROM revoked_thumbprints
             WHERE revoked_at > ?1) AS revoked) AS placed
        JOIN accounts USING(user_id) WHERE place <= ?2
        ORDER BY place, revoked_at DESC LIMIT ?3";
    let values = (millis(since), KEYS_OF_EACH_ACCOUNT, limit);
    let keys = rows::all(connection, keys, values, revoked_key)?;
    let accounts = "SELECT account_id, disabled_at FROM accounts
        WHERE disabled_at > ? ORDER BY disabled_at DESC LIMIT ?";
    let accounts = rows::all(connection, accounts, (millis(since), limit), disabled_account)?;
    Ok(ShutOut { keys, accounts })
}

/// The last login of an account may be dated so much later than what ends its tokens: that began earlier, while a
/// new password was being hashed, or the node that it came to has a clock that is ahead.
const LOGINS_AHEAD: Duration = Duration::from_mins(1);

/// Ends the tokens of an account that were issued up to `at`, and those of its last login.
pub(super) fn end_tokens(
    connection: &Connection,
    account_id: AccountId,
    at: UnixTime,
) -> Result<(), DbError> {
    let select = "SELECT u.last_login FROM users AS u JOIN accounts AS a ON a.user_id = u.id
        WHERE a.account_id = ?";
    let last_login = rows::first(connection, select, [account_id.as_bytes()], |row| {
        Columns::new(row, "users", 0).optional_timestamp("last_login")
    })?;
    let last_login = last_login.flatten().unwrap_or(at);
    let at = last_login.min(at + LOGINS_AHEAD).max(at);
    let upsert = "INSERT INTO ended_tokens(account_id, issued_at, expires_at) VALUES (?, ?, ?)
        ON CONFLICT(account_id) DO UPDATE SET
            issued_at = CASE WHEN excluded.issued_at > ended_tokens.issued_at
                THEN excluded.issued_at ELSE ended_tokens.issued_at END,
            expires_at = CASE WHEN excluded.expires_at > ended_tokens.expires_at
                THEN excluded.expires_at ELSE ended_tokens.expires_at END";
    let values = (account_id.as_bytes(), millis(at), millis(at + LONGEST_TOKEN));
    rows::execute(connection, upsert, values).map(drop)
}

/// Whether the tokens of an account that were issued at `issued_at` have been ended.
pub(super) fn has_ended(
    connection: &Connection,
    account_id: AccountId,
    issued_at: UnixTime,
) -> Result<bool, DbError> {
    let select = "SELECT 1 FROM ended_tokens WHERE account_id = ? AND issued_at >= ?";
    let values = (account_id.as_bytes(), millis(issued_at));
    Ok(rows::first(connection, select, values, |_| Ok(()))?.is_some())
}

/// The times that cover revoked tokens missing from `tokens`: tokens beyond `limit`, and tokens
/// that an earlier version recorded without their account.
fn others(
    connection: &Connection,
    tokens: &[RevokedToken],
    TokensAsked { now, after, limit }: TokensAsked,
) -> Result<Option<RevokedBefore>, DbError> {
    let is_full = u32::try_from(tokens.len()).map_or(true, |count| count >= limit);
    let last = tokens.last().filter(|_| is_full).map_or(-1, |last| millis(last.expires_at));
    let select = if after == NEVER {
        "SELECT max(coalesce(issued_at, ?1)), max(expires_at) FROM revoked_tokens
            WHERE expires_at > ?1 AND (account_id IS NULL OR expires_at <= ?2) AND ?3 < 0"
    } else {
        "SELECT max(coalesce(issued_at, ?1)), max(expires_at) FROM revoked_tokens
                INDEXED BY revoked_tokens_by_sequence
            WHERE sequence > ?3 AND expires_at > ?1 AND (account_id IS NULL OR expires_at <= ?2)"
    };
    let times = rows::first(connection, select, (millis(now), last, after), |row| {
        Ok((row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?))
    })?;
    let time = |millis: Option<i64>| Some(UnixTime::from_millis(u64::try_from(millis?).ok()?));
    Ok(times.and_then(|(issued_at, expires_at)| {
        Some(RevokedBefore { issued_at: time(issued_at)?, expires_at: time(expires_at)? })
    }))
}

fn revoked_token(row: &Row<'_>) -> Result<RevokedToken, DbError> {
    let mut columns = Columns::new(row, "revoked_tokens", 0);
    Ok(RevokedToken {
        token_id: columns.plain("jti")?,
        account_id: AccountId::from_bytes(columns.bytes("account_id")?),
        issued_at: columns.time("issued_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

fn ended_tokens(row: &Row<'_>) -> Result<(AccountId, RevokedBefore), DbError> {
    let mut columns = Columns::new(row, "ended_tokens", 0);
    let account_id = AccountId::from_bytes(columns.bytes("account_id")?);
    let (issued_at, expires_at) = (columns.time("issued_at")?, columns.time("expires_at")?);
    Ok((account_id, RevokedBefore { issued_at, expires_at }))
}

fn revoked_key(row: &Row<'_>) -> Result<RevokedKey, DbError> {
    let mut columns = Columns::new(row, "credentials", 0);
    Ok(RevokedKey {
        thumbprint: Thumbprint::from_bytes(columns.bytes("thumbprint")?),
        revoked_at: columns.time("revoked_at")?,
        account_id: AccountId::from_bytes(columns.bytes("account_id")?),
    })
}

fn disabled_account(row: &Row<'_>) -> Result<DisabledAccount, DbError> {
    let mut columns = Columns::new(row, "accounts", 0);
    Ok(DisabledAccount {
        account_id: AccountId::from_bytes(columns.bytes("account_id")?),
        disabled_at: columns.time("disabled_at")?,
    })
}
