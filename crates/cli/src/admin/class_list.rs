//! Lists of whom to invite. With passwords: CSV (RFC 4180), as spreadsheets write it in any country, with
//! a header line that names the columns `User ID` and `Password`. Without: one username a line, or CSV with
//! a header line that names the column.

use std::{collections::HashMap, fmt};

use countersign_authority::{
    account::{InvalidUsername, Username},
    invitation::OneTimePassword,
};

/// The columns that are read, by the names that the header line may give them, in any case. Moodle
/// writes the second one of the first.
const USER_ID: [&str; 2] = ["User ID", "username"];
const PASSWORD: [&str; 1] = ["Password"];
/// What separates fields: a comma, or a semicolon where the comma stands in decimal fractions, or tabs.
const SEPARATORS: [char; 3] = [',', ';', '\t'];
/// What spreadsheets put before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Who is invited, and on which line.
pub(super) struct Invited {
    pub(super) line: usize,
    pub(super) username: Username,
    pub(super) password: OneTimePassword,
}

/// What is wrong with a line. It never repeats what may be a password.
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
    let mut lines = lines(list)?.peekable();
    let named = lines.next_if(|(_, line)| named_separator(line).is_some());
    let named = named.and_then(|(_, line)| named_separator(line));
    let header = lines.next();
    let line = header.map_or(1, |(number, _)| number);
    let header = Header::find(header.map_or("", |(_, text)| text), named)
        .map_err(|reason| vec![BadLine::new(line, reason)])?;
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
    let mut lines = lines(list)?.peekable();
    let named = lines.next_if(|(_, line)| named_separator(line).is_some());
    let named = named.and_then(|(_, line)| named_separator(line));
    let header = lines.peek().and_then(|(_, line)| NameColumn::find(line, named));
    if header.is_some() {
        lines.next();
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

/// The name on a line of its own. Separators at its end are empty cells.
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

/// The lines that are not empty, as rows of empty cells are too, with their numbers.
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

/// What is right on each line, in which no username may come twice.
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

/// The separator of a line `sep=;`, with which Excel is told it.
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
    fn find(line: &str, named: Option<char>) -> Option<Self> {
        let separators = named.as_ref().map_or(&SEPARATORS[..], std::slice::from_ref);
        separators.iter().find_map(|separator| {
            let fields = fields(line, *separator).ok()?;
            let is_name = |field: &String| USER_ID.iter().any(|n| n.eq_ignore_ascii_case(field));
            let place = fields.iter().position(is_name)?;
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

/// What the header line says.
struct Header {
    separator: char,
    columns: usize,
    user_id: usize,
    password: usize,
}

impl Header {
    /// Reads the header line with the separator that was named, or the one that fits.
    fn find(line: &str, named: Option<char>) -> Result<Self, String> {
        let found = |separator: &char| {
            let fields = fields(line, *separator).ok()?;
            let place = |names: &[&str]| {
                let is_one = |field: &String| names.iter().any(|n| n.eq_ignore_ascii_case(field));
                fields.iter().position(is_one)
            };
            let (user_id, password) = (place(&USER_ID)?, place(&PASSWORD)?);
            Some(Self { separator: *separator, columns: fields.len(), user_id, password })
        };
        let separators = named.as_ref().map_or(&SEPARATORS[..], std::slice::from_ref);
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

/// The fields of a line. Spaces around a field do not belong to it, unless they are quoted.
fn fields(line: &str, separator: char) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, more) = field(text, separator)?;
        fields.push(field);
        rest = more;
    }
    Ok(fields)
}

/// The first field of `text`, and what comes after the separator, if there is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<(usize, String, String)> {
        let invited = read(text.as_bytes()).map_err(|wrong| format!("{wrong:?}")).unwrap();
        let plain = |invited: &Invited| {
            let password = invited.password.reveal().to_owned();
            (invited.line, invited.username.to_string(), password)
        };
        invited.iter().map(plain).collect()
    }

    fn bad(text: &str) -> Vec<String> {
        read(text.as_bytes()).err().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_of_every_kind_are_read() {
        let expected = vec![
            (2, "e123456".to_owned(), "F7oGM2K9Q1vZxLp".to_owned()),
            (3, "e222222".to_owned(), "a,b\"c d".to_owned() + "efgh"),
        ];
        for text in [
            "User ID, Password\ne123456, F7oGM2K9Q1vZxLp\ne222222, \"a,b\"\"c defgh\"\n",
            "\u{feff}User ID,Password\r\ne123456,F7oGM2K9Q1vZxLp\r\ne222222,\"a,b\"\"c defgh\"",
            "\"user id\" , \"password\"\n\"e123456\",\"F7oGM2K9Q1vZxLp\" \n e222222 ,\"a,b\"\"c defgh\"\n\n",
        ] {
            assert_eq!(good(text), expected, "{text:?}");
        }
        assert_eq!(good("User ID, Password\n"), []);
        assert_eq!(good("User ID,Password\n\n\ne1,12345678")[0].0, 4);
    }

    #[test]
    fn every_bad_line_is_reported_with_its_number_and_no_password() {
        let text = "User ID, Password\n\
            e1, secret-number-1\n\
            e 2, secret-number-2\n\
            e3, short\n\
            e4\n\
            e5, secret-number-5, more\n\
            E1, secret-number-6\n\
            e7, \"secret-number-7\n\
            e8, secret\"number-8\n\
            e9, \"secret-number-9\" x\n\
            , secret-number-10\n";
        let wrong = bad(text);
        let lines: Vec<&str> = wrong.iter().map(|line| line.split(':').next().unwrap()).collect();
        let expected: Vec<String> = (3..=11).map(|number| format!("line {number}")).collect();
        assert_eq!(lines, expected);
        assert!(wrong[4].contains("E1 is on line 2 already"), "{wrong:?}");
        assert!(!wrong.concat().contains("secret"), "{wrong:?}");
    }

    #[test]
    fn a_list_needs_its_header() {
        for text in ["", "\n", "e1, 12345678\n", "User ID\n", "sep=;\nUser ID,Password\n"] {
            let wrong = &bad(text)[0];
            assert!(wrong.contains("the header line `User ID, Password` is missing"), "{wrong}");
        }
        assert!(bad("sep=;\n\nUser ID,Password\n")[0].starts_with("line 3:"));
    }

    #[test]
    fn lists_are_read_as_spreadsheets_of_every_country_write_them() {
        let expected = [(2, "e123456".to_owned(), "F7oGM2K9Q1vZxLp".to_owned())];
        for text in [
            "User ID;Password\r\ne123456;F7oGM2K9Q1vZxLp\r\n",
            "\u{feff}User ID;Password\r\ne123456;F7oGM2K9Q1vZxLp\r\n",
            "User ID\tPassword\ne123456\tF7oGM2K9Q1vZxLp\n",
            "User ID,Password,First name,E-mail\ne123456,F7oGM2K9Q1vZxLp,Ada,ada@example.org\n",
            "First name,Password,User ID\nAda,F7oGM2K9Q1vZxLp,e123456\n",
            "username,password,firstname,lastname,email\ne123456,F7oGM2K9Q1vZxLp,Ada,L,a@b.org\n",
            "username;password;firstname\ne123456;F7oGM2K9Q1vZxLp\n",
            "\"User ID\";\"Password\"\n\"e123456\";\"F7oGM2K9Q1vZxLp\"\n",
        ] {
            assert_eq!(good(text), expected, "{text:?}");
        }
        for (text, password) in [
            ("sep=;\r\nUser ID;Password\r\ne1;comma,inside\r\n", "comma,inside"),
            ("sep=\t\nUser ID\tPassword\ne1\tsemi;colon\n", "semi;colon"),
        ] {
            assert_eq!(good(text), [(3, "e1".to_owned(), password.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_reported_with_its_line() {
        let wrong = |list: &[u8]| read(list).err().unwrap()[0].to_string();
        let latin = wrong(b"User ID,Password\ne1,12345678\ne2,M\xfcller12\n");
        assert!(latin.starts_with("line 3: not valid UTF-8"), "{latin}");
        assert!(wrong(b"\xff\xfeU\0s\0").starts_with("line 1: this is UTF-16"));
    }

    #[test]
    fn a_list_of_names_has_one_on_each_line() {
        let names = read_names(b"\xef\xbb\xbfalice\r\n\n bob \ncarol").unwrap();
        let names: Vec<_> = names.iter().map(|(line, name)| (*line, name.as_str())).collect();
        assert_eq!(names, [(1, "alice"), (3, "bob"), (4, "carol")]);
        let wrong = read_names(b"alice\nALICE\na b\n").err().unwrap();
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        assert_eq!(wrong[0], "line 2: ALICE is on line 1 already");
        assert!(wrong[1].starts_with("line 3: a username consists of"), "{wrong:?}");
        assert!(read_names(b"\n").is_err());
    }

    #[test]
    fn a_header_of_a_list_of_names_is_no_name() {
        for list in [
            "Username\nalice\nbob\n",
            "user id\r\nalice\r\nbob\r\n",
            "username,code,expires\nalice,csi_1,2026-01-01T00:00:00Z\nbob,csi_2,2026-01-01T00:00:00Z\n",
            "sep=;\nFirst name;Username\nAda;alice\nBob;bob\n;\n",
        ] {
            let names = read_names(list.as_bytes()).map_err(|wrong| format!("{wrong:?}")).unwrap();
            let names: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
            assert_eq!(names, ["alice", "bob"], "{list:?}");
        }
        let wrong = read_names(b"eve,Eve Smith\n").err().unwrap();
        assert!(wrong[0].to_string().contains("one name a line is needed, and no columns"));
    }

    #[test]
    fn empty_rows_of_a_spreadsheet_are_skipped() {
        assert_eq!(good("User ID;Password\ne1;12345678\n;\n\"\";\"\"\n")[0].1, "e1");
        assert_eq!(good("User ID,Password\ne1,12345678\n,\n , \n").len(), 1);
        assert_eq!(read_names(b"alice;\n;\n;;\n").unwrap().len(), 1);
    }
}
