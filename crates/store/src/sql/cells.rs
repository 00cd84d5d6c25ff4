//! Values in the rows of a query.

use std::borrow::Cow;

use thiserror::Error;

use crate::error::DbError;

/// A row, while the query hands it out.
pub(crate) struct Row<'a>(&'a dyn Cells);

/// A row of one engine.
pub(crate) trait Cells {
    /// The value in the column at `index`.
    fn cell(&self, index: usize) -> Result<Cell<'_>, DbError>;
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// Nothing.
    Null,
    /// A whole number, or a truth: 0 or 1.
    Int(i64),
    /// Text, or a moment in the form of the table `users`.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// What no table of ours has.
    Other,
}

impl<'a> Row<'a> {
    /// A row of one engine.
    pub(crate) fn new(cells: &'a dyn Cells) -> Self {
        Self(cells)
    }

    /// The value in the column at `index`.
    pub(crate) fn get<T: FromCell>(&self, index: usize) -> Result<T, DbError> {
        T::from_cell(self.0.cell(index)?).map_err(|error| DbError::Corrupt {
            table: "a query",
            column: "a column",
            reason: error.to_string(),
        })
    }

    /// The value in the column at `index`, as it is.
    pub(crate) fn cell(&self, index: usize) -> Result<Cell<'_>, DbError> {
        self.0.cell(index)
    }
}

/// A value has another type than it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{found} instead of {wanted}")]
pub(crate) struct WrongType {
    wanted: &'static str,
    found: &'static str,
}

/// What can be the value of a cell.
pub(crate) trait FromCell: Sized {
    /// The value.
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType>;
}

impl Cell<'_> {
    const fn instead_of(&self, wanted: &'static str) -> WrongType {
        let found = match self {
            Self::Null => "nothing",
            Self::Int(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Other => "something else",
        };
        WrongType { wanted, found }
    }
}

impl FromCell for i64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Int(number) => Ok(number),
            other => Err(other.instead_of("a number")),
        }
    }
}

impl FromCell for u32 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Int(number) if let Ok(number) = Self::try_from(number) => Ok(number),
            other => Err(other.instead_of("a small number")),
        }
    }
}

impl FromCell for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Int(0) => Ok(false),
            Cell::Int(1) => Ok(true),
            other => Err(other.instead_of("a truth")),
        }
    }
}

impl FromCell for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Text(text) => Ok(text.into_owned()),
            other => Err(other.instead_of("text")),
        }
    }
}

impl FromCell for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Bytes(bytes) => Ok(bytes.into_owned()),
            other => Err(other.instead_of("bytes")),
        }
    }
}

impl<const N: usize> FromCell for [u8; N] {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match &cell {
            Cell::Bytes(bytes) => {
                (&**bytes).try_into().map_err(|_| cell.instead_of("bytes of another number"))
            }
            other => Err(other.instead_of("bytes")),
        }
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, WrongType> {
        match cell {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}
