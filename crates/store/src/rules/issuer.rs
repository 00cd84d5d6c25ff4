//! The issuer identifier of the last start.

use async_trait::async_trait;
use countersign_authority::ports::{IssuerStore, StoreError};

use super::{Engine, Stored, rows};

#[async_trait]
impl<E: Engine> IssuerStore for Stored<E> {
    async fn issuer(&self) -> Result<Option<String>, StoreError> {
        self.read(|connection| {
            let select = "SELECT origin FROM issuer";
            Ok(rows::first(connection, select, (), |row| row.get(0))?)
        })
        .await
    }

    async fn keep_issuer(&self, origin: &str) -> Result<(), StoreError> {
        let origin = origin.to_owned();
        self.write([], move |connection| {
            let upsert = "INSERT INTO issuer(id, origin) VALUES (1, ?)
                ON CONFLICT(id) DO UPDATE SET origin = excluded.origin";
            rows::execute(connection, upsert, [&origin])?;
            Ok(())
        })
        .await
    }
}
