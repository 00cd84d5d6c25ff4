//! The tables.

use tokio_postgres::Client;

use crate::postgres::error::PostgresError;

const TABLES: &str = include_str!("../../../postgres-state/tables.sql");

/// Waits for the turn to make them. The deadlines of requests, which are those of the session, are shorter than another
/// node may take to make the tables; how long the whole connection may take bounds this.
const TURN: &str = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '30s';
    SELECT pg_advisory_xact_lock(hashtext('countersign migrations'))";

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
    client.batch_execute(TURN).await.map_err(failed)?;
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
