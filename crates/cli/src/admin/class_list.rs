//! Lists of people to invite. A list with passwords is CSV (RFC 4180), as spreadsheets of any
//! country write it, with a header line that names the columns `User ID` and `Password`. A list
//! without passwords has one username on each line, or is CSV with a header line that names the
//! column.

mod fields;

use std::{collections::HashMap, fmt, iter::Peekable};

use countersign_authority::model::{
    account::{InvalidUsername, Username},
    invitation::OneTimePassword,
};

use self::fields::fields;

/// The columns and their possible names in the header line, in any case. Moodle writes the second
/// name of the first column.
const USER_ID: [&str; 2] = ["User ID", "username"];
const PASSWORD: [&str; 1] = ["Password"];
/// Other words, in any case and with any separators, by which lists without passwords call their only
/// column. Somebody may be called so, so none is taken for a header.
const LIKE_USER_ID: [&str; 8] =
    ["account", "accounts", "login", "name", "names", "user", "users", "usernames"];
/// The separators of fields: a comma, a tab, or a semicolon in countries that write the comma in
/// decimal fractions.
const SEPARATORS: [char; 3] = [',', ';', '\t'];
/// The byte order mark that spreadsheets put before UTF-8 text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Who is invited, and on which line.
pub(super) struct Invited {
    pub(super) line: usize,
    pub(super) username: Username,
    pub(super) password: OneTimePassword,
}

/// What is wrong with a line. It never quotes a field that may be a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl BadLine {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads the whole list, or says what is wrong with every line that is wrong.
pub(super) fn read(list: &[u8]) -> Result<Vec<Invited>, Vec<BadLine>> {
    let (separators, mut lines) = separators(lines(list)?);
    let (line, header) = lines.next().unwrap_or((1, ""));
    let header =
        Header::find(header, &separators).map_err(|reason| vec![BadLine::new(line, reason)])?;
    let people = lines.map(|(line, text)| (line, header.read(text)));
    let named = people.map(|(line, person)| {
        (line, person.map(|(username, password)| (username.clone(), (username, password))))
    });
    let invited = once_each(named)?;
    let invited = invited.into_iter().map(|(line, (username, password))| Invited {
        line,
        username,
        password,
    });
    Ok(invited.collect())
}

/// Reads a list of usernames, one a line, or says what is wrong with every line that is wrong.
pub(super) fn read_names(list: &[u8]) -> Result<Vec<(usize, Username)>, Vec<BadLine>> {
    let (separators, mut lines) = separators(lines(list)?);
    let header = lines.peek().and_then(|(_, line)| NameColumn::find(line, &separators));
    if header.is_some() {
        lines.next();
    }
    if header.is_none()
        && let Some((line, word)) = lines.peek().filter(|(_, line)| is_like_header(line))
    {
        return Err(vec![BadLine::new(*line, like_header(word))]);
    }
    let names = lines.map(|(line, text)| {
        let name = header.as_ref().map_or_else(|| bare_name(text), |header| header.read(text));
        (line, name.map(|name| (name.clone(), name)))
    });
    let names = once_each(names)?;
    if names.is_empty() {
        return Err(vec![BadLine::new(1, "there is no username")]);
    }
    Ok(names)
}

/// Whether the first line may be meant as a header.
fn is_like_header(line: &str) -> bool {
    let word: String = line.chars().filter(char::is_ascii_alphabetic).collect();
    let word = word.to_ascii_lowercase();
    LIKE_USER_ID.contains(&&*word) || word == "username" || word == "userid"
}

fn like_header(line: &str) -> String {
    format!(
        "{:?} looks like a header, which is called `username` here: change it, or leave it out. If somebody \
         is called so, write a line `username` above it",
        line.trim()
    )
}

/// The name on a line without other fields. Separators at its end are empty cells.
fn bare_name(line: &str) -> Result<Username, String> {
    let name = line.trim_end_matches(|c: char| c.is_whitespace() || SEPARATORS.contains(&c)).trim();
    if name.contains(SEPARATORS) {
        return Err(
            "one name a line is needed, and no columns; or else a first line that names the \
                    columns, one of them `username`"
                .to_owned(),
        );
    }
    name.parse().map_err(|error: InvalidUsername| error.to_string())
}

/// The lines that are not empty, with their numbers. A row of empty cells counts as empty.
fn lines(list: &[u8]) -> Result<impl Iterator<Item = (usize, &str)>, Vec<BadLine>> {
    let text = str::from_utf8(list).map_err(|error| vec![not_utf8(list, error.valid_up_to())])?;
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    Ok((1..).zip(text.lines()).filter(|(_, line)| !is_blank(line)))
}

/// Whether a line has nothing in it, not even in the cells of a spreadsheet.
fn is_blank(line: &str) -> bool {
    line.replace("\"\"", "").chars().all(|c| c.is_whitespace() || SEPARATORS.contains(&c))
}

fn not_utf8(list: &[u8], valid: usize) -> BadLine {
    if list.starts_with(b"\xff\xfe") || list.starts_with(b"\xfe\xff") {
        return BadLine::new(1, "this is UTF-16: save the list as UTF-8");
    }
    let line = list[..valid].split(|byte| *byte == b'\n').count();
    let reason = "not valid UTF-8: save the list as UTF-8 (in Excel: CSV UTF-8), or convert it: iconv \
                  -f latin1 -t utf-8";
    BadLine::new(line, reason)
}

/// The valid lines. A username that appears twice is an error.
fn once_each<T>(
    lines: impl Iterator<Item = (usize, Result<(Username, T), String>)>,
) -> Result<Vec<(usize, T)>, Vec<BadLine>> {
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (line, read) in lines {
        match read {
            Ok((username, content)) => match seen.insert(username.folded(), line) {
                Some(first) => {
                    let reason = format!("{username} is on line {first} already");
                    wrong.push(BadLine::new(line, reason));
                }
                None => right.push((line, content)),
            },
            Err(reason) => wrong.push(BadLine::new(line, reason)),
        }
    }
    if wrong.is_empty() { Ok(right) } else { Err(wrong) }
}

/// What may separate fields, and the lines after the one that says so, if there is one.
fn separators<'a>(
    lines: impl Iterator<Item = (usize, &'a str)>,
) -> (Vec<char>, Peekable<impl Iterator<Item = (usize, &'a str)>>) {
    let mut lines = lines.peekable();
    match lines.peek().and_then(|(_, line)| named_separator(line)) {
        Some(named) => {
            lines.next();
            (vec![named], lines)
        }
        None => (SEPARATORS.to_vec(), lines),
    }
}

/// The separator in a line `sep=;`, which tells Excel what to use.
fn named_separator(line: &str) -> Option<char> {
    let mut named = line.trim_end_matches(['\r', '\n']).strip_prefix("sep=")?.chars();
    let separator = named.next().filter(|separator| SEPARATORS.contains(separator))?;
    named.next().is_none().then_some(separator)
}

/// The column of usernames in a list without passwords.
struct NameColumn {
    separator: char,
    place: usize,
    columns: usize,
}

impl NameColumn {
    /// Reads the header line, if this is one.
    fn find(line: &str, separators: &[char]) -> Option<Self> {
        separators.iter().find_map(|separator| {
            let fields = fields(line, *separator).ok()?;
            let place = place_of(&USER_ID, &fields)?;
            Some(Self { separator: *separator, place, columns: fields.len() })
        })
    }

    fn read(&self, line: &str) -> Result<Username, String> {
        let fields = fields(line, self.separator)?;
        if fields.iter().skip(self.columns).any(|field| !field.is_empty()) {
            return Err("there are more fields than columns in the header".to_owned());
        }
        let name = fields.get(self.place).ok_or("there are fewer fields than the header names")?;
        name.parse().map_err(|error: InvalidUsername| error.to_string())
    }
}

/// Which column has one of `names`, in any case.
fn place_of(names: &[&str], header: &[String]) -> Option<usize> {
    header.iter().position(|field| names.iter().any(|name| name.eq_ignore_ascii_case(field)))
}

/// The content of the header line.
struct Header {
    separator: char,
    columns: usize,
    user_id: usize,
    password: usize,
}

impl Header {
    /// Reads the header line with the first separator that fits.
    fn find(line: &str, separators: &[char]) -> Result<Self, String> {
        let found = |separator: &char| {
            let fields = fields(line, *separator).ok()?;
            let user_id = place_of(&USER_ID, &fields)?;
            let password = place_of(&PASSWORD, &fields)?;
            Some(Self { separator: *separator, columns: fields.len(), user_id, password })
        };
        separators.iter().find_map(found).ok_or_else(|| {
            "the header line `User ID, Password` is missing. It names the columns, of which there may \
             be others too, with commas, semicolons or tabs between them"
                .to_owned()
        })
    }

    fn read(&self, line: &str) -> Result<(Username, OneTimePassword), String> {
        let fields = fields(line, self.separator)?;
        if fields.len() > self.columns {
            return Err(format!(
                "there are {} fields, and {} columns in the header: quote a field that has a {} in it",
                fields.len(),
                self.columns,
                self.separator_name()
            ));
        }
        let field = |place: usize| {
            fields.get(place).ok_or_else(|| {
                format!(
                    "there are no more fields than {}, with a {} between them; User ID and Password \
                     are needed",
                    fields.len(),
                    self.separator_name()
                )
            })
        };
        let username = field(self.user_id)?.parse().map_err(|error| format!("User ID: {error}"))?;
        let password =
            OneTimePassword::parse(field(self.password)?).map_err(|error| error.to_string())?;
        Ok((username, password))
    }

    const fn separator_name(&self) -> &'static str {
        match self.separator {
            ',' => "comma",
            ';' => "semicolon",
            _ => "tab",
        }
    }
}

#[cfg(test)]
mod tests;
