//! Values on their way to PostgreSQL and back.

use std::{borrow::Cow, error::Error, fmt};

use bytes::BytesMut;
use jiff::{SignedDuration, civil::DateTime};
use tokio_postgres::{
    Row,
    types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use crate::{
    error::DbError,
    rows,
    sql::{Bound, Cell, Cells},
};

/// A value for a parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a>(pub(super) Bound<'a>);

impl Value<'_> {
    /// The type by which the parameter is declared.
    pub(super) const fn sql_type(self) -> Type {
        match self.0 {
            Bound::Int(_) => Type::INT8,
            Bound::Text(_) => Type::TEXT,
            Bound::Bytes(_) => Type::BYTEA,
            Bound::Timestamp(_) => Type::TIMESTAMP,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Bound::Int(number) => number.to_sql(ty, out),
            Bound::Text(text) => text.to_sql(ty, out),
            Bound::Bytes(bytes) => bytes.to_sql(ty, out),
            Bound::Timestamp(None) => Ok(IsNull::Yes),
            Bound::Timestamp(Some(text)) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    /// A moment travels as the text that it is here already.
    fn encode_format(&self, _: &Type) -> Format {
        match self.0 {
            Bound::Timestamp(_) => Format::Text,
            Bound::Int(_) | Bound::Text(_) | Bound::Bytes(_) => Format::Binary,
        }
    }

    to_sql_checked!();
}

/// A value in a row, as the server sent it.
struct Sent<'a> {
    bytes: &'a [u8],
    sql_type: Type,
}

impl<'a> FromSql<'a> for Sent<'a> {
    fn from_sql(sql_type: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self { bytes, sql_type: sql_type.clone() })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of a result.
pub(super) struct Columns<'a>(pub(super) &'a Row);

impl Cells for Columns<'_> {
    fn cell(&self, index: usize) -> Result<Cell<'_>, DbError> {
        let corrupt = |error: &dyn fmt::Display| DbError::Corrupt {
            table: "a query",
            column: "a column",
            reason: error.to_string(),
        };
        let sent: Option<Sent<'_>> = self.0.try_get(index).map_err(|error| corrupt(&error))?;
        sent.map_or(Ok(Cell::Null), cell).map_err(|error| corrupt(&error))
    }
}

fn cell(Sent { bytes, sql_type }: Sent<'_>) -> Result<Cell<'_>, Box<dyn Error + Sync + Send>> {
    let ty = &sql_type;
    Ok(match sql_type {
        Type::BOOL => Cell::Int(bool::from_sql(ty, bytes)?.into()),
        Type::INT2 => Cell::Int(i16::from_sql(ty, bytes)?.into()),
        Type::INT4 => Cell::Int(i32::from_sql(ty, bytes)?.into()),
        Type::INT8 => Cell::Int(i64::from_sql(ty, bytes)?),
        Type::TEXT | Type::VARCHAR => Cell::Text(Cow::Borrowed(<&str>::from_sql(ty, bytes)?)),
        Type::BYTEA => Cell::Bytes(Cow::Borrowed(bytes)),
        Type::TIMESTAMP => timestamp(i64::from_be_bytes(bytes.try_into()?)),
        _ => Cell::Other,
    })
}

/// From where PostgreSQL counts.
const BEGINNING: DateTime = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);

/// A moment that the server counts in microseconds, as the table `users` holds it.
fn timestamp<'a>(micros: i64) -> Cell<'a> {
    match BEGINNING.checked_add(SignedDuration::from_micros(micros)) {
        Ok(moment) => Cell::Text(Cow::Owned(rows::as_timestamp(moment))),
        // Such as the infinite ones.
        Err(_) => Cell::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_the_form_of_the_table_users() {
        for (micros, text) in [
            (0, "2000-01-01 00:00:00"),
            (-1_000_000, "1999-12-31 23:59:59"),
            (-946_684_800_000_000, "1970-01-01 00:00:00"),
            (753_315_200_999_999, "2023-11-14 22:13:20"),
            (252_455_615_999_000_000, "9999-12-31 23:59:59"),
        ] {
            assert_eq!(timestamp(micros), Cell::Text(Cow::Borrowed(text)));
        }
        assert_eq!(timestamp(i64::MAX), Cell::Other);
        assert_eq!(timestamp(i64::MIN), Cell::Other);
    }
}
