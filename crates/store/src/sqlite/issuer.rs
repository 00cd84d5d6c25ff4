//! The issuer identifier of the last start.

use countersign_authority::ports::StoreError;

use super::{SqliteStore, rows};

impl SqliteStore {
    /// The issuer identifier that was kept last. `None` in a database that was made before issuers
    /// were kept, and in a new one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn issuer(&self) -> Result<Option<String>, StoreError> {
        self.read(|connection| {
            let select = "SELECT origin FROM issuer";
            Ok(rows::first(connection, select, [], |row| Ok(row.get(0)?))?)
        })
        .await
    }

    /// Keeps the issuer identifier.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_issuer(&self, origin: &str) -> Result<(), StoreError> {
        let origin = origin.to_owned();
        self.write(move |connection| {
            let upsert = "INSERT INTO issuer(id, origin) VALUES (1, ?)
                ON CONFLICT(id) DO UPDATE SET origin = excluded.origin";
            rows::execute(connection, upsert, [&origin])?;
            Ok(())
        })
        .await
    }
}
