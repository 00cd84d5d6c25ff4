//! One open connection, and the statements that the server knows of it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, CopyInSink, Error, Row, RowStream, Statement,
    types::{ToSql, Type},
};

use super::{connector::History, translation::translate, values::Value};
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
    /// Which server it is to.
    pub(super) server: usize,
    pub(super) generation: u64,
    /// What its server had written.
    pub(super) history: History,
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

    /// Returns when the server has answered all that it was asked, or the connection has ended.
    pub(super) async fn settled(&self) {
        let _: Result<(), _> = self.batch("").await;
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

    /// Begins to copy rows into a table.
    pub(super) async fn copy_in(&self, sql: &str) -> Result<CopyInSink<Bytes>, Error> {
        self.client.copy_in(sql).await
    }

    /// The rows of a query of this engine, one by one.
    pub(super) async fn stream(&self, sql: &str) -> Result<RowStream, Error> {
        self.client.query_raw(sql, std::iter::empty::<&str>()).await
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

    /// Sees that a statement of the rules can be run without another round trip.
    pub(super) async fn prepare(&self, sql: &str, values: &[Bound<'_>]) -> Result<(), Error> {
        let values: Vec<_> = values.iter().copied().map(Value).collect();
        self.known(sql, &values).await.map(drop)
    }

    /// A query of this engine, which needs no translation, ready to be run without another round trip.
    pub(super) async fn native<'a>(
        &'a self,
        sql: &'a str,
        params: &'a [(&'a (dyn ToSql + Sync), Type)],
    ) -> Result<Native<'a>, Error> {
        let types = params.iter().map(|(_, sql_type)| sql_type.clone());
        let known = self.remembered(sql, types, str::to_owned).await?;
        Ok(Native { client: &self.client, sql, params, prepared: known.prepared })
    }

    /// Translates and prepares a statement, once.
    async fn known(&self, sql: &str, values: &[Value<'_>]) -> Result<Known, Error> {
        self.remembered(sql, values.iter().map(|value| value.sql_type()), translate).await
    }

    async fn remembered(
        &self,
        sql: &str,
        types: impl Iterator<Item = Type> + Clone,
        translate: impl FnOnce(&str) -> String,
    ) -> Result<Known, Error> {
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

/// A query that is ready.
pub(super) struct Native<'a> {
    client: &'a Client,
    sql: &'a str,
    params: &'a [(&'a (dyn ToSql + Sync), Type)],
    prepared: Option<Statement>,
}

impl Native<'_> {
    /// All of its rows.
    pub(super) async fn query(&self) -> Result<Vec<Row>, Error> {
        let Some(statement) = &self.prepared else {
            return self.client.query_typed(self.sql, self.params).await;
        };
        let values: Vec<_> = self.params.iter().map(|(value, _)| *value).collect();
        self.client.query(statement, &values).await
    }
}

fn borrowed<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn typed<'a>(values: &'a [Value<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn ToSql + Sync), value.sql_type())).collect()
}
