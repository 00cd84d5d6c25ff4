//! What was revoked before its time.

use async_trait::async_trait;
use countersign_authority::{
    audit::AuditEvent,
    ports::{RevocationStore, ShutOut, StoreError},
};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};
use rusqlite::Row;

use super::{
    SqliteStore, audit,
    rows::{self, Columns, millis},
};

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn revoke_token(
        &self,
        jti: &str,
        expires_at: UnixTime,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let jti = jti.to_owned();
        self.write(move |connection| {
            let insert = "INSERT INTO revoked_tokens(jti, expires_at) VALUES (?, ?)
                ON CONFLICT DO NOTHING";
            if rows::execute(connection, insert, (&jti, millis(expires_at)))? > 0 {
                audit::record(connection, &event)?;
            }
            Ok(())
        })
        .await
    }

    async fn revoked_tokens(&self, now: UnixTime) -> Result<Vec<(String, UnixTime)>, StoreError> {
        self.read(move |connection| {
            let select = "SELECT jti, expires_at FROM revoked_tokens WHERE expires_at > ?";
            Ok(rows::all(connection, select, [millis(now)], |row| {
                let mut columns = Columns::new(row, "revoked_tokens", 0);
                Ok((columns.plain("jti")?, columns.time("expires_at")?))
            })?)
        })
        .await
    }

    async fn shut_out(&self, since: UnixTime, limit: u32) -> Result<ShutOut, StoreError> {
        self.read(move |connection| {
            let keys = "SELECT thumbprint, revoked_at FROM credentials WHERE revoked_at > ?1
                UNION ALL SELECT thumbprint, revoked_at FROM revoked_thumbprints
                WHERE revoked_at > ?1 ORDER BY revoked_at LIMIT ?2";
            let key = |row: &Row<'_>| Columns::new(row, "credentials", 0).bytes("thumbprint");
            let keys = rows::all(connection, keys, (millis(since), limit), key)?;
            let accounts = "SELECT account_id FROM accounts WHERE disabled_at > ?
                ORDER BY disabled_at LIMIT ?";
            let id = |row: &Row<'_>| Columns::new(row, "accounts", 0).bytes("account_id");
            let accounts = rows::all(connection, accounts, (millis(since), limit), id)?;
            Ok(ShutOut {
                keys: keys.into_iter().map(Thumbprint::from_bytes).collect(),
                accounts: accounts.into_iter().map(AccountId::from_bytes).collect(),
            })
        })
        .await
    }
}
