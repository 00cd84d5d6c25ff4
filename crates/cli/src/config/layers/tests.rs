use super::{super::form::Bounds, *};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn an_option_beats_a_variable_and_a_variable_beats_the_file() {
    let file = file("enrolment = \"closed\"\n[tokens]\nlifetime = 60\nnonce_lifetime = 30\n");
    let environment =
        [("COUNTERSIGN_TOKENS_LIFETIME", "120"), ("COUNTERSIGN_ENROLMENT", "invited")];
    let mut options = Table::new();
    options.insert("enrolment".to_owned(), "open".into());
    let settings = merge(Some(file.path()), variables(&environment), options).unwrap();
    assert_eq!(settings.enrolment, "open");
    assert_eq!(settings.tokens.lifetime, 120);
    assert_eq!(settings.tokens.nonce_lifetime, 30);
    assert_eq!(settings.audit.max_age_days, 90, "the default");
}

/// The page that says that it lists every setting.
const PAGE: &str = include_str!("../../../../../docs/configuration.md");

/// The names that `section` of the file may have, as the error for an unknown one lists them.
fn fields_of(section: &str) -> Vec<String> {
    let text = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let error = toml::from_str::<Settings>(&format!("{text}no_such_name = 1\n")).unwrap_err();
    let listed = error.message().split_once("expected ").unwrap().1.to_owned();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every setting of the file, by its path.
fn all_settings() -> Vec<String> {
    let is_section = |name: &str| {
        let text = format!("[{name}]\n");
        toml::from_str::<Settings>(&text)
            .map_or_else(|error| error.message().contains("missing field"), |_| true)
    };
    let (sections, mut all): (Vec<_>, Vec<_>) =
        fields_of("").into_iter().partition(|name| is_section(name));
    for section in sections {
        all.extend(fields_of(&section).iter().map(|name| format!("{section}.{name}")));
    }
    all
}

#[test]
fn every_setting_has_a_variable_and_stands_on_the_page_of_settings() {
    let (all, variables) = (all_settings(), Settings::FORM.settings(""));
    assert!(all.len() > 60, "{all:?}");
    for path in &all {
        assert!(variables.iter().any(|(own, _)| own == path), "{path} has no variable");
    }
    for (path, _) in &variables {
        assert!(all.iter().any(|own| own == path), "{path} is no setting");
        assert!(PAGE.contains(&format!("| `{path}` |")), "{path} is not documented");
    }
    for line in PAGE.lines() {
        let Some(path) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let is_setting = path.chars().all(|c| c.is_ascii_lowercase() || "._0123456789".contains(c));
        assert!(!is_setting || all.iter().any(|own| own == path), "{path} does not exist");
    }
}

#[test]
fn the_file_on_the_page_of_settings_says_the_defaults_and_all_of_them() {
    let block = PAGE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let said: Settings = toml::from_str(block).unwrap();
    assert_eq!(format!("{said:?}"), format!("{:?}", Settings::default()));
    let table: Table = toml::from_str(block).unwrap();
    for path in all_settings() {
        let is_said = match path.split_once('.') {
            None => table.contains_key(&path),
            Some((section, name)) => {
                table.get(section).is_some_and(|section| section.get(name).is_some())
            }
        };
        let name = path.rsplit('.').next().unwrap();
        assert!(is_said || block.contains(&format!("# {name} = ")), "{path}");
    }
}

#[test]
fn every_variable_in_the_code_stands_on_the_page_of_settings() {
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let code = fs::read_to_string(&path).unwrap();
                let code = code.split("#[cfg(test)]").next().unwrap();
                let names = code.match_indices(PREFIX).map(|(start, _)| {
                    let name = code[start..].split(|c: char| !c.is_ascii_uppercase() && c != '_');
                    name.into_iter().next().unwrap().trim_end_matches('_').to_owned()
                });
                found.extend(names);
            }
        }
    }
    found.retain(|name| name.len() > PREFIX.len());
    assert!(found.len() > 10, "{found:?}");
    for name in found {
        let is_documented = PAGE.contains(&format!("`{name}`"));
        assert!(is_documented || setting_of(&name).is_some(), "{name} is not documented");
    }
}

#[test]
fn every_variable_names_a_setting_that_exists() {
    for (path, kind) in Settings::FORM.settings("") {
        let name = format!("{PREFIX}{}", path.replace('.', "_").to_uppercase());
        let text = match (&*path, kind) {
            ("listen", _) => "127.0.0.1:1",
            ("log.format", _) => "json",
            ("cluster.state", _) => "memory",
            (_, Kind::Flag) => "on",
            (_, Kind::Number(_)) => "1",
            (_, Kind::Secret | Kind::Text | Kind::List) => "a",
        };
        let both =
            [(name.as_str(), text), ("COUNTERSIGN_TLS_CERT", "a"), ("COUNTERSIGN_TLS_KEY", "b")];
        merge(Some(file("").path()), variables(&both), Table::new()).expect(&path);
    }
}

#[test]
fn of_a_database_and_another_the_one_that_is_said_nearer_counts() {
    let file = file("database = \"a.db\"");
    let url = [("COUNTERSIGN_DATABASE_URL", "postgres://db/auth")];
    let below = || merge(Some(file.path()), variables(&url), Table::new()).unwrap();
    assert!(below().database_url().unwrap().is_some());
    let option = Table::from_iter([("database".to_owned(), "b.db".into())]);
    let nearer = merge(Some(file.path()), variables(&url), option).unwrap();
    assert!(nearer.database_url().unwrap().is_none());
    assert_eq!(nearer.database, Path::new("b.db"));
}

#[test]
fn two_databases_in_one_place_are_refused() {
    let both = [
        ("COUNTERSIGN_DATABASE_URL", "postgres://alice:s3cret@db/auth"),
        ("COUNTERSIGN_DATABASE_URL_FILE", "/etc/url"),
    ];
    let error = merge(Some(file("").path()), variables(&both), Table::new()).unwrap_err();
    assert!(error.to_string().starts_with("database_url and database_url_file are both set"));
    let both = "database = \"a.db\"\ndatabase_url = \"postgres://alice:s3cret@db/auth\"";
    let error = merge(Some(file(both).path()), Vec::new(), Table::new()).unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains("database and database_url are both set"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn no_mistake_in_the_file_shows_the_url_of_the_database() {
    for line in [
        "database_url = postgres://alice:s3cret@db/auth",
        "database_url = [\"postgres://alice:s3cret@db/auth\"]",
        "database_url = { url = \"s3cret\" }",
        "database_url = \"postgres://alice:s3cret@db/auth",
    ] {
        let text = format!("listen = \"localhost:1\"\n{line}\n");
        let error = merge(Some(file(&text).path()), Vec::new(), Table::new()).unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains("line 2") || told.contains("database_url"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn the_switch_for_rate_limits_has_a_short_name() {
    let off = variables(&[("COUNTERSIGN_RATE_LIMITS", "off")]);
    let settings = merge(Some(file("").path()), off, Table::new()).unwrap();
    assert!(!settings.rate_limits.enabled);
}

#[test]
fn an_unknown_setting_is_an_error_that_names_it() {
    let error = merge(Some(file("enrollment = 1").path()), Vec::new(), Table::new());
    assert!(format!("{:#}", error.unwrap_err()).contains("enrollment"));
    let unknown = variables(&[("COUNTERSIGN_LISTN", "x")]);
    let error = merge(Some(file("").path()), unknown, Table::new());
    assert!(error.unwrap_err().to_string().contains("COUNTERSIGN_LISTN"));
}

#[test]
fn a_variable_that_is_empty_counts_as_absent() {
    let all = Settings::FORM.settings("");
    let names = all.iter().map(|(path, _)| path.replace('.', "_").to_uppercase());
    let others = ["CONFIG", "RATE_LIMITS", "MASTER_KEY"].map(str::to_owned);
    let empty = names.chain(others).map(|name| (format!("{PREFIX}{name}").into(), "".into()));
    let file = file("listen = \"127.0.0.1:7\"\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let settings = merge(Some(file.path()), empty.collect(), Table::new()).unwrap();
    assert_eq!(settings.listen.port(), 7, "the file holds");
    assert_eq!(settings.trusted_proxies, ["127.0.0.1"]);
    assert!(settings.tls.is_none());
    assert!(settings.issuer.is_none());
}

#[test]
fn the_variables_that_kubernetes_makes_for_services_are_ignored() {
    let links = variables(&[
        ("COUNTERSIGN_SERVICE_HOST", "10.43.0.9"),
        ("COUNTERSIGN_SERVICE_PORT", "8080"),
        ("COUNTERSIGN_SERVICE_PORT_HTTP", "8080"),
        ("COUNTERSIGN_PORT", "tcp://10.43.0.9:8080"),
        ("COUNTERSIGN_PORT_8080_TCP", "tcp://10.43.0.9:8080"),
        ("COUNTERSIGN_PORT_8080_TCP_PROTO", "tcp"),
        ("COUNTERSIGN_PORT_8080_TCP_PORT", "8080"),
        ("COUNTERSIGN_PORT_8080_TCP_ADDR", "10.43.0.9"),
        ("COUNTERSIGN_METRICS_PORT", "tcp://10.43.0.10:9090"),
    ]);
    merge(Some(file("").path()), links, Table::new()).unwrap();
    for (name, value) in [("COUNTERSIGN_PORT", "8080"), ("COUNTERSIGN_HOST", "10.43.0.9")] {
        let mistake = variables(&[(name, value)]);
        let error = merge(Some(file("").path()), mistake, Table::new()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn half_of_a_pair_for_tls_is_an_error_that_names_both_variables() {
    for (name, other) in [("COUNTERSIGN_TLS_CERT", "tls.key"), ("COUNTERSIGN_TLS_KEY", "tls.cert")]
    {
        let error = merge(Some(file("").path()), variables(&[(name, "a")]), Table::new());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(&format!("{other} is not")), "{error}");
    }
}

#[test]
fn variables_for_other_commands_and_programs_are_left_alone() {
    let others = variables(&[
        ("COUNTERSIGN_PASSPHRASE", "x"),
        ("COUNTERSIGN_PASSWORD", "x"),
        ("COUNTERSIGN_PASSWORD_FILE", "x"),
        ("COUNTERSIGN_ONLINE_PASSWORD", "x"),
        ("COUNTERSIGN_ONLINE_PASSWORD_FILE", "x"),
        ("COUNTERSIGN_RECOVERY_CODE", "x"),
        ("COUNTERSIGN_RECOVERY_CODE_FILE", "x"),
        ("PATH", "/bin"),
        ("NOT_MY_KEY", "k"),
    ]);
    merge(Some(file("").path()), others, Table::new()).unwrap();
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error_that_names_its_place() {
    for (name, value) in [
        ("COUNTERSIGN_TOKENS_LIFETIME", "long"),
        ("COUNTERSIGN_TOKENS_LIFETIME", "-1"),
        ("COUNTERSIGN_LISTEN", "nowhere"),
        ("COUNTERSIGN_LOG_FORMAT", "pretty"),
    ] {
        let wrong = variables(&[(name, value)]);
        let error = merge(Some(file("").path()), wrong, Table::new()).unwrap_err();
        assert!(format!("{error:#}").contains(&format!("{name} is {value:?}")), "{error:#}");
    }
    let error = merge(Some(file("listen = \"nowhere\"").path()), Vec::new(), Table::new());
    assert!(format!("{:#}", error.unwrap_err()).contains("line 1"));
    assert!(merge(Some(Path::new("no/such.toml")), Vec::new(), Table::new()).is_err());
}

#[test]
fn an_allowance_from_everywhere_is_no_less_than_the_one_of_each_network() {
    let tries = |each, all| {
        let text = format!(
            "[rate_limits]\nkeyring_tries = {each}\nkeyring_tries_from_everywhere = {all}\n"
        );
        let settings = merge(Some(file(&text).path()), Vec::new(), Table::new()).unwrap();
        settings.transport().map(drop)
    };
    tries(30, 30).unwrap();
    let error = tries(31, 30).unwrap_err().to_string();
    for named in ["rate_limits.keyring_tries (31", "rate_limits.keyring_tries_from_everywhere (30"]
    {
        assert!(error.contains(named), "{error}");
    }
}

/// The error of these layers: a file, variables and options.
fn error(text: &str, pairs: &[(&str, &str)], options: &str) -> String {
    let options = toml::from_str(options).unwrap();
    format!("{:#}", merge(Some(file(text).path()), variables(pairs), options).unwrap_err())
}

#[test]
fn a_value_of_another_type_is_refused_with_setting_bounds_and_unit() {
    let lifetime = "tokens.lifetime is a whole number, 10 to 86400 seconds, not \"15m\"";
    let of_variable = error("", &[("COUNTERSIGN_TOKENS_LIFETIME", "15m")], "");
    assert_eq!(of_variable, format!("COUNTERSIGN_TOKENS_LIFETIME is \"15m\": {lifetime}"));
    let of_file = error("enrolment = \"open\"\n[tokens]\nlifetime = \"15m\"", &[], "");
    assert!(of_file.ends_with(&format!("in line 3: {lifetime}")), "{of_file}");
    for (variable, value, told) in [
        ("RATE_LIMITS_REQUESTS", "1000000000000", "1 to 4294967295 a minute, not 1000000000000"),
        ("RATE_LIMITS_REQUESTS", "99999999999999999999", "1 to 4294967295 a minute, not \"999"),
        ("RATE_LIMITS_KEYRING_TRIES", "-1", "1 to 1000 an hour, not -1"),
        ("LIMITS_CLIENT_SHARE", "300", "1 to 100 percent, not 300"),
        ("LIMITS_BODY_BYTES", "64k", "1024 to 2097152 bytes, not \"64k\""),
        ("LIMITS_DISK_RESERVE_BYTES", "1.5", "0 to 9223372036854775807 bytes, not \"1.5\""),
    ] {
        let told_is = error("", &[(&format!("{PREFIX}{variable}"), value)], "");
        assert!(told_is.contains(told), "{told_is}");
    }
    let list = error("resources = \"https://a.example\"", &[], "");
    assert!(list.contains("resources is a list of texts, not \"https://a.example\""), "{list}");
    let flag = error("insecure_http = \"yes\"", &[], "");
    assert!(flag.contains("insecure_http is true or false, not \"yes\""), "{flag}");
}

#[test]
fn an_option_that_is_refused_is_named() {
    let told = error("", &[], "[log]\nformat = \"xml\"");
    assert!(told.starts_with("log.format cannot be \"xml\": "), "{told}");
    assert!(told.contains("`human` or `json`"), "{told}");
}

#[test]
fn no_rate_limit_is_zero() {
    for (path, kind) in Settings::FORM.settings("") {
        let (true, Kind::Number(_)) = (path.starts_with("rate_limits."), kind) else { continue };
        let mut table = Table::new();
        insert(&mut table, &path, 0.into());
        let settings: Settings = Value::Table(table).try_into().unwrap();
        let told = settings.check_bounds().unwrap_err().to_string();
        assert!(told.starts_with(&format!("{path} is 1 to ")), "{told}");
    }
}

/// A number as the page of settings writes it, with a space between groups of three digits from 10 000 on.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    let groups = rest.as_bytes().chunks(3).map(|group| str::from_utf8(group).unwrap());
    std::iter::once(first).chain(groups).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_settings_says_the_bounds_of_each_number() {
    assert_eq!([999, 3650, 86_400, 1_048_576].map(grouped), ["999", "3650", "86 400", "1 048 576"]);
    for (path, kind) in Settings::FORM.settings("") {
        let Kind::Number(Bounds { least, most }) = kind else { continue };
        let bounds = format!("{} to {}", grouped(least), grouped(most));
        let is_of_all = most == i64::from(u32::MAX) || most == i64::MAX;
        let line = PAGE.lines().find(|line| line.starts_with(&format!("| `{path}` |"))).unwrap();
        assert!(line.contains(&bounds) || is_of_all, "{path}: {bounds}");
    }
    assert!(PAGE.contains("Each number is 1 to 4 294 967 295 unless"));
}
