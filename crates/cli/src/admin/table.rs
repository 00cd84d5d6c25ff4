//! Tables for people.

use crate::output;

/// The text of an empty cell.
pub(super) const NOTHING: &str = "-";

/// Writes `rows` under `headings`, in aligned columns.
pub(super) fn print<const N: usize>(
    headings: [&str; N],
    rows: Vec<[String; N]>,
) -> anyhow::Result<()> {
    for line in lines(headings, rows) {
        output::line(line)?;
    }
    Ok(())
}

fn lines<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| visible(&cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let headings = headings.map(str::to_owned);
    std::iter::once(&headings).chain(&rows).map(|row| line(row, &widths)).collect()
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let padded: Vec<_> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

/// `text` without characters that could act on a terminal.
fn visible(text: &str) -> String {
    let replace = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["alice", "Jürgens Handy"], ["b", "\u{1b}[2J"]];
        let rows = rows.map(|row| row.map(str::to_owned)).to_vec();
        let expected = ["NAME   KEY", "alice  Jürgens Handy", "b      \u{fffd}[2J"];
        assert_eq!(lines(["NAME", "KEY"], rows), expected);
    }
}
