//! Statements, values and rows, as rusqlite has them.

use std::borrow::Cow;

use rusqlite::{
    Connection, Row, Statement, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    error::DbError,
    sql::{self, Alone, Bound, Cell, Cells, Each, Sql},
};

impl Sql for Connection {
    fn execute(&self, sql: &str, values: &[Bound<'_>]) -> Result<usize, DbError> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn query(&self, sql: &str, values: &[Bound<'_>], each: Each<'_>) -> Result<(), DbError> {
        let mut statement = self.prepare_cached(sql)?;
        hand_out(&mut statement, values, each)
    }

    /// One thread writes, so every change is alone.
    fn alone_with(&self, _: Alone) -> Result<(), DbError> {
        Ok(())
    }

    /// Within a transaction, all is of one moment already.
    fn at_one_moment(
        &self,
        queries: &mut dyn FnMut(&sql::Connection) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        let moment = self.unchecked_transaction()?;
        queries(&*moment)?;
        Ok(moment.finish()?)
    }
}

fn hand_out(
    statement: &mut Statement<'_>,
    values: &[Bound<'_>],
    each: Each<'_>,
) -> Result<(), DbError> {
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        if each(&sql::Row::new(row))?.is_break() {
            break;
        }
    }
    Ok(())
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match *self {
            Self::Int(number) => number.map(ValueRef::Integer),
            Self::Text(text) | Self::Timestamp(text) => {
                text.map(|text| ValueRef::Text(text.as_bytes()))
            }
            Self::Bytes(bytes) => bytes.map(ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

impl Cells for Row<'_> {
    fn cell(&self, index: usize) -> Result<Cell<'_>, DbError> {
        Ok(match self.get_ref(index)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Int(number),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .map_or(Cell::Other, |text| Cell::Text(Cow::Borrowed(text))),
            ValueRef::Blob(bytes) => Cell::Bytes(Cow::Borrowed(bytes)),
            ValueRef::Real(_) => Cell::Other,
        })
    }
}
