//! What the rules of a store need of a database: statements with values, and rows.
//!
//! Statements are written once, in the part of SQL that SQLite and PostgreSQL have in common. Parameters
//! are `?`, or `?1` where one is used twice. Where PostgreSQL wants another word, its engine puts it
//! there.

mod cells;
mod params;

use std::ops::ControlFlow;

use countersign_protocol::{AccountId, keys::Thumbprint};

pub(crate) use self::{
    cells::{Cell, Cells, FromCell, Row},
    params::{Bound, Param, Params, Value},
};
use crate::error::DbError;

/// A connection, on the thread that has it. A job gets one within a transaction.
pub(crate) type Connection = dyn Sql;

/// What is done with each row of a query. It may say that it has seen enough.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, DbError>;

/// A connection of one engine.
pub(crate) trait Sql {
    /// Runs one statement and returns how many rows it changed.
    fn execute(&self, sql: &str, values: &[Bound<'_>]) -> Result<usize, DbError>;

    /// Hands out the rows of a query.
    fn query(&self, sql: &str, values: &[Bound<'_>], each: Each<'_>) -> Result<(), DbError>;

    /// Waits, within a change, until it has `alone` for itself.
    fn alone_with(&self, alone: Alone) -> Result<(), DbError>;

    /// Runs queries that all see one moment.
    fn at_one_moment(
        &self,
        queries: &mut dyn FnMut(&Connection) -> Result<(), DbError>,
    ) -> Result<(), DbError>;
}

/// What a change must have for itself. Of two changes that name the same, the second begins when the first
/// is durable, and sees what it did. An engine with one writer gives that to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// What belongs to the account: its keys, its status, its secrets.
    Account(AccountId),
    /// Whose the key is.
    Key(Thumbprint),
    /// Which addresses accounts with passwords have.
    Addresses,
    /// Which accounts have a code that lets somebody back in.
    Recoveries,
    /// How many bytes all keyrings have together.
    Keyrings,
    /// Which rows have outlived their use.
    Upkeep,
    /// Which events of the trail are counted together. Two that count the same events in another order would
    /// wait for each other.
    Trail,
    /// What has been used up: nothing is, meanwhile.
    Assertions,
}
