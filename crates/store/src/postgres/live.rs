//! One open connection, and the statements that the server knows of it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Error, Row, Statement,
    types::{ToSql, Type},
};

use super::{translation::translate, values::Value};
use crate::sql::Bound;

/// The statements of this crate, with room for the combinations of audit filters.
const KNOWN_STATEMENTS: usize = 512;

/// An open connection.
pub(super) struct Live {
    client: Client,
    driver: JoinHandle<()>,
    pub(super) since: Since,
    /// Whether the server has warned of something.
    was_warned: Arc<AtomicBool>,
    is_prepared: bool,
    known: RefCell<HashMap<Box<str>, Known>>,
}

/// What was known when a connection was made, or last seen to answer. See
/// [`Connector`](super::connector::Connector).
pub(super) struct Since {
    pub(super) generation: u64,
    pub(super) doubts: Cell<u64>,
}

/// A statement of the rules.
#[derive(Clone)]
struct Known {
    /// As the server wants it.
    sql: Arc<str>,
    types: Arc<[Type]>,
    /// What the server has prepared.
    prepared: Option<Statement>,
}

impl Live {
    pub(super) fn new(
        client: Client,
        driver: JoinHandle<()>,
        since: Since,
        was_warned: Arc<AtomicBool>,
        is_prepared: bool,
    ) -> Self {
        Self { client, driver, since, was_warned, is_prepared, known: RefCell::default() }
    }

    /// Whether the server has closed it, as far as that has been noticed.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Closes it at once. The server undoes what was not committed.
    pub(super) async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        driver.abort();
        // Ends when the socket is closed.
        let _: Result<(), _> = driver.await;
    }

    /// Whether the server has warned of something since this was last asked.
    pub(super) fn take_warning(&self) -> bool {
        self.was_warned.swap(false, Relaxed)
    }

    /// Runs statements of this engine, without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.client.batch_execute(sql).await
    }

    /// Runs a statement of the rules and returns how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, values: &[Bound<'_>]) -> Result<u64, Error> {
        let values: Vec<_> = values.iter().copied().map(Value).collect();
        let known = self.known(sql, &values).await?;
        match known.prepared {
            Some(statement) => self.client.execute(&statement, &borrowed(&values)).await,
            None => self.client.execute_typed(&known.sql, &typed(&values)).await,
        }
    }

    /// All rows of a query of the rules.
    pub(super) async fn query(&self, sql: &str, values: &[Bound<'_>]) -> Result<Vec<Row>, Error> {
        let values: Vec<_> = values.iter().copied().map(Value).collect();
        let known = self.known(sql, &values).await?;
        match known.prepared {
            Some(statement) => self.client.query(&statement, &borrowed(&values)).await,
            None => self.client.query_typed(&known.sql, &typed(&values)).await,
        }
    }

    /// Translates and prepares a statement, once.
    async fn known(&self, sql: &str, values: &[Value<'_>]) -> Result<Known, Error> {
        let types = values.iter().map(|value| value.sql_type());
        if let Some(known) = self.known.borrow().get(sql)
            && known.types.iter().cloned().eq(types.clone())
        {
            return Ok(known.clone());
        }
        let (translated, types): (_, Arc<[Type]>) = (translate(sql), types.collect());
        let prepared = if self.is_prepared {
            Some(self.client.prepare_typed(&translated, &types).await?)
        } else {
            None
        };
        let known = Known { sql: translated.into(), types, prepared };
        let mut all = self.known.borrow_mut();
        if all.len() >= KNOWN_STATEMENTS {
            all.clear();
        }
        all.insert(sql.into(), known.clone());
        Ok(known)
    }
}

fn borrowed<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn typed<'a>(values: &'a [Value<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn ToSql + Sync), value.sql_type())).collect()
}
