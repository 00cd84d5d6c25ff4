//! A list of whom to invite: CSV (RFC 4180) with a header line and two columns, `User ID` and
//! `Password`.

use std::{collections::HashMap, fmt};

use countersign_authority::{account::Username, invitation::OneTimePassword};

/// The columns, as the header line must name them, in any case.
const COLUMNS: [&str; 2] = ["User ID", "Password"];
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

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads the whole list, or says what is wrong with every line that is wrong.
pub(super) fn read(text: &str) -> Result<Vec<Invited>, Vec<BadLine>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let bad = |line, reason: &str| BadLine { line, reason: reason.to_owned() };
    let header = lines.next();
    if !header.is_some_and(|(_, line)| is_header(line)) {
        let line = header.map_or(1, |(number, _)| number);
        return Err(vec![bad(line, "the header line `User ID, Password` is missing")]);
    }
    let (mut invited, mut wrong) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (line, text) in lines {
        match read_line(text) {
            Ok((username, password)) => match seen.insert(username.folded(), line) {
                Some(first) => {
                    wrong.push(bad(line, &format!("{username} is on line {first} already")));
                }
                None => invited.push(Invited { line, username, password }),
            },
            Err(reason) => wrong.push(BadLine { line, reason }),
        }
    }
    if wrong.is_empty() { Ok(invited) } else { Err(wrong) }
}

fn is_header(line: &str) -> bool {
    fields(line).is_ok_and(|[id, password]| {
        id.eq_ignore_ascii_case(COLUMNS[0]) && password.eq_ignore_ascii_case(COLUMNS[1])
    })
}

fn read_line(line: &str) -> Result<(Username, OneTimePassword), String> {
    let [id, password] = fields(line)?;
    let username = id.parse().map_err(|error| format!("User ID: {error}"))?;
    let password = OneTimePassword::parse(&password).map_err(|error| error.to_string())?;
    Ok((username, password))
}

/// The two fields of a line. Spaces around a field do not belong to it, unless they are quoted.
fn fields(line: &str) -> Result<[String; 2], &'static str> {
    let (first, rest) = field(line)?;
    let rest = rest.ok_or("there is one field; User ID and Password are needed")?;
    match field(rest)? {
        (second, None) => Ok([first, second]),
        (_, Some(_)) => Err("there are more than two fields; quote one that has a comma in it"),
    }
}

/// The first field of `text`, and what comes after the comma, if there is one.
fn field(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let Some(mut quoted) = text.trim_start().strip_prefix('"') else {
        let (field, rest) = text.split_once(',').map_or((text, None), |(f, rest)| (f, Some(rest)));
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
            let rest = rest.trim_start();
            let after = rest.strip_prefix(',');
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
        let invited = read(text).map_err(|wrong| format!("{wrong:?}")).unwrap();
        let plain = |invited: &Invited| {
            let password = invited.password.reveal().to_owned();
            (invited.line, invited.username.to_string(), password)
        };
        invited.iter().map(plain).collect()
    }

    fn bad(text: &str) -> Vec<String> {
        read(text).err().unwrap().iter().map(ToString::to_string).collect()
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
        for text in ["", "\n", "e1, 12345678\n", "Password, User ID\n", "User ID\n"] {
            assert!(bad(text)[0].ends_with("the header line `User ID, Password` is missing"));
        }
    }
}
