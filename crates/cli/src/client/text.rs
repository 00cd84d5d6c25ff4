//! Formats results: short, aligned, and safe to print.

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
    let misleads = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
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
    fn nobody_else_steers_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\r\u{202e}b"), "a\u{fffd}[31m\u{fffd}\u{fffd}b");
    }
}
