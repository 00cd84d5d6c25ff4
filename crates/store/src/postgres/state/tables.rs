//! The tables.

use tokio_postgres::Client;

use crate::postgres::error::PostgresError;

const TABLES: &str = include_str!("../../../postgres-state/tables.sql");

/// Makes the tables where they are not there. Of several nodes that come to it at once, one does.
pub(super) async fn prepare(client: &Client) -> Result<(), PostgresError> {
    let failed = |error| PostgresError::of_statement(&error);
    if are_there(client).await.map_err(failed)? {
        return Ok(());
    }
    client
        .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        .await
        .map_err(failed)?;
    let turn = "SELECT pg_advisory_xact_lock(hashtext('countersign migrations'))";
    client.batch_execute(turn).await.map_err(failed)?;
    if !are_there(client).await.map_err(failed)? {
        client.batch_execute(TABLES).await.map_err(failed)?;
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

async fn are_there(client: &Client) -> Result<bool, tokio_postgres::Error> {
    // Not `to_regnamespace`: it may remember from before the turn that there is none.
    let select = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'countersign_state_1')";
    client.query_one(select, &[]).await?.try_get(0)
}
