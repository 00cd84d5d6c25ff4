//! The fields of a line of CSV (RFC 4180).
//!
//! Own code: a reader such as that of the crate `csv` takes a wrong quotation mark for a part of the
//! text, and so would make a password of it that nobody knows. Here each is an error.

/// The fields of a line. Spaces around a field do not belong to it, unless they are quoted.
pub(super) fn fields(line: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, more) = field(text, separator)?;
        fields.push(field);
        rest = more;
    }
    Ok(fields)
}

/// The first field of `text`, and the rest after the separator, if there is one.
fn field(text: &str, separator: char) -> Result<(String, Option<&str>), &'static str> {
    let blank = |c: char| c.is_whitespace() && c != separator;
    let Some(mut quoted) = text.trim_start_matches(blank).strip_prefix('"') else {
        let (field, rest) =
            text.split_once(separator).map_or((text, None), |(f, rest)| (f, Some(rest)));
        if field.contains('"') {
            return Err("there is a quotation mark inside a field that is not quoted");
        }
        return Ok((field.trim().to_owned(), rest));
    };
    let mut field = String::new();
    loop {
        let (part, rest) = quoted.split_once('"').ok_or("a quotation mark is not closed")?;
        field.push_str(part);
        let Some(more) = rest.strip_prefix('"') else {
            let rest = rest.trim_start_matches(blank);
            let after = rest.strip_prefix(separator);
            let ends = after.is_some() || rest.is_empty();
            return ends
                .then_some((field, after))
                .ok_or("something follows the closing quotation mark");
        };
        field.push('"');
        quoted = more;
    }
}
