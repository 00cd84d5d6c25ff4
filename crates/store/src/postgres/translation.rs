//! From the SQL of the rules to that of PostgreSQL.
//!
//! The rules write SQL that both engines understand, apart from a few words: parameters, and advice to
//! SQLite's planner, which PostgreSQL neither needs nor takes.

/// `sql` as PostgreSQL wants it: parameters are numbered, `CROSS JOIN` is a join like others, and no index
/// is named. What is quoted or a comment stays as it is.
pub(super) fn translate(sql: &str) -> String {
    let mut translated = String::with_capacity(sql.len() + 16);
    let (mut rest, mut highest) = (sql, 0);
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => quoted(rest, first),
            '-' if rest.starts_with("--") => until(rest, "\n"),
            '/' if rest.starts_with("/*") => until(rest, "*/"),
            '?' => {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let number = rest[1..=digits].parse().unwrap_or(highest + 1);
                highest = highest.max(number);
                translated.push('$');
                translated += &number.to_string();
                rest = &rest[1 + digits..];
                continue;
            }
            first if is_of_word(first) => {
                let (kept, after) = word(rest);
                translated += kept;
                rest = after;
                continue;
            }
            first => first.len_utf8(),
        };
        translated += &rest[..end];
        rest = &rest[end..];
    }
    translated
}

const fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// What is written in place of the word at the beginning of `text`, and the text that follows.
fn word(text: &str) -> (&str, &str) {
    let (word, after) = next_word(text);
    match word {
        "CROSS" if next_word(after.trim_start()).0 == "JOIN" => ("", after.trim_start()),
        "INDEXED" => match next_word(after.trim_start()) {
            ("BY", name) => ("", next_word(name.trim_start()).1),
            _ => (word, after),
        },
        _ => (word, after),
    }
}

fn next_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character| !is_of_word(character)).unwrap_or(text.len()))
}

/// Where the quotation at the beginning of `text` ends. A doubled quote within it begins another one.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |length| length + 2)
}

/// Where the comment at the beginning of `text` ends.
fn until(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |start| start + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_in_their_order() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("a = ?2 AND b = ?1 AND c = ?2", "a = $2 AND b = $1 AND c = $2"),
            ("(?12, ?1)", "($12, $1)"),
            // As SQLite numbers them.
            ("a = ?3 AND b = ?", "a = $3 AND b = $4"),
        ] {
            assert_eq!(translate(sql), expected);
        }
    }

    #[test]
    fn advice_to_the_planner_is_left_out() {
        for (sql, expected) in [
            ("FROM a CROSS JOIN b ON a.x = b.x", "FROM a JOIN b ON a.x = b.x"),
            ("FROM a CROSS\n    JOIN b", "FROM a JOIN b"),
            ("FROM a INDEXED BY a_by_x WHERE x = ?", "FROM a  WHERE x = $1"),
            ("FROM a\n INDEXED BY a_by_x\n WHERE x", "FROM a\n \n WHERE x"),
            (
                "SELECT CROSSING, INDEXED, A_CROSS JOIN b",
                "SELECT CROSSING, INDEXED, A_CROSS JOIN b",
            ),
        ] {
            assert_eq!(translate(sql), expected);
        }
    }

    #[test]
    fn what_is_quoted_or_a_comment_stays() {
        for sql in [
            "SELECT '?', 'it''s ? CROSS JOIN', \"?\"",
            "SELECT 1 -- why? INDEXED BY x\n",
            "SELECT /* ? */ 1",
            "SELECT 'ü' || 'é?'",
            "SELECT 'unclosed ?",
            "SELECT 1 -- unclosed ?",
            "SELECT 1 /* unclosed ?",
        ] {
            assert_eq!(translate(sql), sql);
        }
        assert_eq!(translate("SELECT '?' || ? -- ?\n|| ?"), "SELECT '?' || $1 -- ?\n|| $2");
        assert_eq!(translate("é = ?"), "é = $1");
    }
}
