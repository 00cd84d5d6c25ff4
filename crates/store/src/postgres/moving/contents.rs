//! What is in a table, to be compared on both sides.

use std::fmt::Write as _;

use countersign_protocol::{digest::sha256, strict::hex};

use crate::sql::{Cell, Row};

/// How many rows there are, and what is in them, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) rows: u64,
    digest: [u8; 32],
}

impl Contents {
    /// Counts one more row, which is written as `line`. No two rows of a table are the same, since each has a
    /// key, so none makes up for another.
    pub(super) fn add(&mut self, line: &str) {
        self.rows += 1;
        let row = sha256(&[line.as_bytes()]);
        self.digest.iter_mut().zip(row).for_each(|(all, byte)| *all ^= byte);
    }
}

/// Appends a row of that many columns as `COPY` reads it (PostgreSQL, SQL command COPY, text format). Returns
/// the column that has a value which no table of ours can have, if one does.
pub(super) fn write_row(line: &mut String, row: &Row<'_>, columns: usize) -> Result<(), usize> {
    for column in 0..columns {
        if column > 0 {
            line.push('\t');
        }
        let cell = row.cell(column).unwrap_or(Cell::Other);
        if !write_cell(line, &cell) {
            return Err(column);
        }
    }
    line.push('\n');
    Ok(())
}

fn write_cell(line: &mut String, cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Null => line.push_str("\\N"),
        // Writing to a string cannot fail.
        Cell::Int(number) => drop(write!(line, "{number}")),
        // PostgreSQL has no text with this letter.
        Cell::Text(text) if text.contains('\0') => return false,
        Cell::Text(text) => text.chars().for_each(|letter| match letter {
            '\\' => line.push_str("\\\\"),
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            _ => line.push(letter),
        }),
        Cell::Bytes(bytes) => {
            line.push_str("\\\\x");
            line.push_str(&hex::encode(bytes));
        }
        Cell::Other => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cell: &Cell<'_>) -> Option<String> {
        let mut line = String::new();
        write_cell(&mut line, cell).then_some(line)
    }

    #[test]
    fn values_are_written_as_copy_reads_them() {
        assert_eq!(written(&Cell::Null).as_deref(), Some("\\N"));
        assert_eq!(written(&Cell::Int(-7)).as_deref(), Some("-7"));
        let text = Cell::Text("\\N\ta\r\nü".into());
        assert_eq!(written(&text).as_deref(), Some("\\\\N\\ta\\r\\nü"));
        let bytes = Cell::Bytes([0, 0xff].as_slice().into());
        assert_eq!(written(&bytes).as_deref(), Some("\\\\x00ff"));
        assert_eq!(written(&Cell::Other), None);
        assert_eq!(written(&Cell::Text("a\0b".into())), None);
    }

    #[test]
    fn contents_are_the_same_in_any_order_and_differ_by_any_row() {
        let of = |lines: &[&str]| {
            let mut contents = Contents::default();
            for line in lines {
                contents.add(line);
            }
            contents
        };
        assert_eq!(of(&["1\ta", "2\tb"]), of(&["2\tb", "1\ta"]));
        assert_ne!(of(&["1\ta", "2\tb"]), of(&["1\tb", "2\ta"]));
        assert_ne!(of(&["1\ta"]), of(&["1\ta", "2\tb"]));
    }
}
