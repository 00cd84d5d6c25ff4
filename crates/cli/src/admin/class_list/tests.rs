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
    for like in ["name", "Names", "user_name", "user-id", "Usernames"] {
        let wrong = read_names(format!("{like}\nalice\n").as_bytes()).err().unwrap();
        let told = wrong[0].to_string();
        assert!(told.starts_with(&format!("line 1: {like:?} looks like a header")), "{told}");
        let named = format!("username\n{like}\nalice\n");
        assert!(read_names(named.as_bytes()).is_ok(), "{named}");
        assert!(read_names(format!("alice\n{like}\n").as_bytes()).is_ok(), "not the first line");
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
