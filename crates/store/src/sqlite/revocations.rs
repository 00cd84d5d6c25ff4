//! Tokens that were revoked before their time.

use async_trait::async_trait;
use countersign_authority::{
    audit::AuditEvent,
    ports::{RevocationStore, StoreError},
};
use countersign_protocol::UnixTime;

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
            if rows::execute(connection, insert, (jti, millis(expires_at)))? > 0 {
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
}
