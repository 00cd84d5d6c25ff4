//! Formats results: short, aligned, and safe to print.

use crate::output::misleads;

/// Lines of names and values, with the values below each other.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows = facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    table(rows.collect())
}

/// Rows with aligned columns, two spaces apart, without white space at the ends of lines.
pub(super) fn table(rows: Vec<Vec<String>>) -> String {
    let width = |text: &str| text.chars().count();
    let mut widths = Vec::new();
    for row in &rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(cell).max(*widest);
        }
    }
    let lines = rows.into_iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text by others, with every character replaced that could control a terminal or mislead a
/// reader.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A text as an argument in a command for a POSIX shell, such as `'my key'`.
pub(super) fn argument(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+,%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", printable(text).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["NAME", "SERVER", ""], ["zoë", "x", "last"], ["a-long-name", "", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(
            table(rows),
            "NAME         SERVER\n\
             zoë          x       last\n\
             a-long-name"
        );
        assert_eq!(table(Vec::new()), "");
    }

    #[test]
    fn an_argument_can_be_pasted_into_a_shell() {
        for plain in ["alice", "https://auth.example:8443", "bob+ci@example.org", "a/b-c_d.pem"] {
            assert_eq!(argument(plain), plain);
        }
        assert_eq!(argument(""), "''");
        assert_eq!(argument("my key"), "'my key'");
        assert_eq!(argument("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(argument("a\u{1b}\u{202e}b"), "'a\u{fffd}\u{fffd}b'");
    }

    #[test]
    fn nobody_else_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\r\u{202e}b"), "a\u{fffd}[31m\u{fffd}\u{fffd}b");
    }
}
