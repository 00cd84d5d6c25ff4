//! The layers of the configuration, merged name by name; each is checked by itself, so that an
//! error says where it stands.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use toml::{Table, Value};

use super::settings::Settings;

const DEFAULT_FILE: &str = "countersign.toml";
const PREFIX: &str = "COUNTERSIGN_";

/// Variables with our prefix that are no settings of the server.
const NOT_SETTINGS: [&str; 10] = [
    "COUNTERSIGN_CONFIG",
    "COUNTERSIGN_KEYRING",
    "COUNTERSIGN_KEY_PASSPHRASE",
    "COUNTERSIGN_KEY_PASSPHRASE_FILE",
    "COUNTERSIGN_MASTER_KEY",
    "COUNTERSIGN_PASSPHRASE",
    "COUNTERSIGN_PASSPHRASE_FILE",
    "COUNTERSIGN_PASSWORD",
    "COUNTERSIGN_PASSWORD_FILE",
    "COUNTERSIGN_SERVER",
];

/// How the text of a variable becomes a value.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    List,
    Number,
    Text,
}

/// Every setting that a variable can give: its path in the file and its kind. The variable of
/// `tokens.lifetime` is `COUNTERSIGN_TOKENS_LIFETIME`.
const VARIABLES: &[(&str, Kind)] = &[
    ("listen", Kind::Text),
    ("issuer", Kind::Text),
    ("data_dir", Kind::Text),
    ("database", Kind::Text),
    ("tls.cert", Kind::Text),
    ("tls.key", Kind::Text),
    ("insecure_http", Kind::Flag),
    ("trusted_proxies", Kind::List),
    ("forwarded_header", Kind::Text),
    ("allowed_hosts", Kind::List),
    ("actor", Kind::Text),
    ("reason", Kind::Text),
    ("enrolment", Kind::Text),
    ("default_scopes", Kind::Text),
    ("resources", Kind::List),
    ("log.format", Kind::Text),
    ("log.level", Kind::Text),
    ("tokens.lifetime", Kind::Number),
    ("tokens.nonce_lifetime", Kind::Number),
    ("tokens.proof_max_age", Kind::Number),
    ("signing_keys.algorithm", Kind::Text),
    ("signing_keys.active_days", Kind::Number),
    ("accounts.reserved_names", Kind::List),
    ("accounts.email_names", Kind::Text),
    ("accounts.unused_days", Kind::Number),
    ("limits.keys_per_account", Kind::Number),
    ("limits.max_rsa_bits", Kind::Number),
    ("limits.revoked_keys_per_account", Kind::Number),
    ("limits.body_bytes", Kind::Number),
    ("limits.concurrent_requests", Kind::Number),
    ("limits.connections", Kind::Number),
    ("limits.body_seconds", Kind::Number),
    ("limits.body_bytes_per_second", Kind::Number),
    ("limits.uploads", Kind::Number),
    ("limits.password_hashers", Kind::Number),
    ("limits.password_queue", Kind::Number),
    ("limits.key_pair_queue", Kind::Number),
    ("limits.client_share", Kind::Number),
    ("limits.replay_log_entries", Kind::Number),
    ("limits.rate_limit_clients", Kind::Number),
    ("limits.sessions", Kind::Number),
    ("limits.disk_reserve_bytes", Kind::Number),
    ("rate_limits.enabled", Kind::Flag),
    ("rate_limits.requests", Kind::Number),
    ("rate_limits.upkeep", Kind::Number),
    ("rate_limits.registrations", Kind::Number),
    ("rate_limits.registrations_per_day", Kind::Number),
    ("rate_limits.costly_registrations", Kind::Number),
    ("rate_limits.logins", Kind::Number),
    ("rate_limits.account", Kind::Number),
    ("rate_limits.key_changes_per_day", Kind::Number),
    ("rate_limits.key_changes_of_network_per_day", Kind::Number),
    ("audit.max_age_days", Kind::Number),
    ("audit.max_events", Kind::Number),
    ("audit.refusal_entries", Kind::Number),
    ("audit.key_use_entries", Kind::Number),
    ("metrics.allow", Kind::List),
    ("cors.origins", Kind::List),
    ("forward_auth.origins", Kind::List),
    ("self_signed.max_lifetime", Kind::Number),
    ("self_signed.reuse", Kind::Text),
    ("self_signed.require_audience", Kind::Flag),
    ("self_signed.require_body_hash", Kind::Flag),
    ("self_signed.md5_body_hash", Kind::Flag),
    ("signjwt.nonce_lifetime", Kind::Number),
    ("signjwt.session_lifetime", Kind::Number),
    ("dialects.auth_rate_limit", Kind::Flag),
    ("dialects.gradecoin", Kind::Flag),
    ("dialects.jwks_server", Kind::Flag),
    ("dialects.min_rsa_bits", Kind::Number),
    ("dialects.passwordless", Kind::Flag),
    ("dialects.self_signed", Kind::Flag),
    ("dialects.signjwt", Kind::Flag),
];

/// The short name of the switch that is wanted most.
const RATE_LIMITS_SWITCH: &str = "COUNTERSIGN_RATE_LIMITS";

/// Merges file, environment and command line.
pub(super) fn merge(
    file: Option<&Path>,
    variables: Vec<(OsString, OsString)>,
    options: Table,
) -> anyhow::Result<Settings> {
    let environment = from_environment(variables)?;
    let file = file.map(Path::to_owned).or_else(|| environment.config_file.clone());
    let mut merged = from_file(file.as_deref())?;
    overlay(&mut merged, environment.settings);
    overlay(&mut merged, options);
    check_tls(&merged)?;
    Value::Table(merged).try_into().map_err(|error: toml::de::Error| {
        anyhow::anyhow!("the configuration is not valid: {}", error.message())
    })
}

fn from_file(path: Option<&Path>) -> anyhow::Result<Table> {
    let (path, must_exist) = path.map_or((Path::new(DEFAULT_FILE), false), |path| (path, true));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return Ok(Table::new()),
        Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
    };
    // Read as settings first: those errors show the place in the file.
    toml::from_str::<Settings>(&text)
        .and_then(|_| toml::from_str(&text))
        .with_context(|| format!("{} is not a valid configuration", path.display()))
}

#[derive(Debug)]
struct Environment {
    settings: Table,
    config_file: Option<PathBuf>,
}

fn from_environment(variables: Vec<(OsString, OsString)>) -> anyhow::Result<Environment> {
    let mut environment = Environment { settings: Table::new(), config_file: None };
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        // What writes environments out of templates leaves variables empty that it has no value for.
        if value.is_empty() {
            continue;
        }
        if name == "COUNTERSIGN_CONFIG" {
            environment.config_file = Some(value.into());
            continue;
        }
        if NOT_SETTINGS.contains(&name) {
            continue;
        }
        let Some((path, kind)) = setting_of(name) else {
            if is_service_link(name, &value) {
                continue;
            }
            bail!("the environment variable {name} is not a setting of countersign");
        };
        let value = value.to_str().with_context(|| format!("{name} is not UTF-8"))?;
        let place = || format!("{name} is {value:?}");
        let parsed = parse(value, kind).with_context(place)?;
        check_alone(path, &parsed).with_context(place)?;
        insert(&mut environment.settings, path, parsed);
    }
    Ok(environment)
}

/// Whether the setting can have this value.
fn check_alone(path: &str, value: &Value) -> anyhow::Result<()> {
    // These two are good in a pair only: see `check_tls`.
    if path.starts_with("tls.") {
        return Ok(());
    }
    let mut alone = Table::new();
    insert(&mut alone, path, value.clone());
    let read: Result<Settings, toml::de::Error> = Value::Table(alone).try_into();
    read.map(drop).map_err(|error| anyhow::anyhow!("{}", error.message()))
}

/// A certificate without a key, or a key without a certificate, is no TLS.
fn check_tls(settings: &Table) -> anyhow::Result<()> {
    let Some(Value::Table(tls)) = settings.get("tls") else { return Ok(()) };
    for (given, missing) in [("cert", "key"), ("key", "cert")] {
        ensure!(
            !tls.contains_key(given) || tls.contains_key(missing),
            "tls.{given} is set, and tls.{missing} is not (COUNTERSIGN_TLS_CERT and \
             COUNTERSIGN_TLS_KEY): TLS needs both"
        );
    }
    Ok(())
}

/// Whether Kubernetes made this variable, for a service whose name begins with `countersign`: in each
/// pod it sets `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT…`, `NAME_PORT` with a URL, and
/// `NAME_PORT_8080_TCP…`.
fn is_service_link(variable: &str, value: &OsStr) -> bool {
    let parts: Vec<_> = variable.split('_').collect();
    let is_port = |three: &[&str]| match three {
        ["PORT", number, "TCP" | "UDP" | "SCTP"] => number.parse::<u16>().is_ok(),
        _ => false,
    };
    let is_url = value.to_str().is_some_and(|value| value.contains("://"));
    variable.ends_with("_SERVICE_HOST")
        || parts.windows(2).any(|two| two == ["SERVICE", "PORT"])
        || (variable.ends_with("_PORT") && is_url)
        || parts.windows(3).any(is_port)
}

fn setting_of(variable: &str) -> Option<(&'static str, Kind)> {
    if variable == RATE_LIMITS_SWITCH {
        return Some(("rate_limits.enabled", Kind::Flag));
    }
    let name = variable.strip_prefix(PREFIX)?;
    let spelled = |path: &str| path.replace('.', "_").to_uppercase();
    VARIABLES.iter().copied().find(|(path, _)| spelled(path) == name)
}

fn parse(text: &str, kind: Kind) -> anyhow::Result<Value> {
    Ok(match kind {
        Kind::Text => text.into(),
        Kind::Number => text.parse::<i64>().context("a whole number is needed")?.into(),
        Kind::Flag => match text {
            "on" | "true" | "1" => true.into(),
            "off" | "false" | "0" => false.into(),
            _ => bail!("on or off is needed, not {text:?}"),
        },
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(Value::from).collect::<Vec<_>>().into()
        }
    })
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, name)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), value);
            }
        }
    }
}

fn overlay(base: &mut Table, over: Table) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(base)), Value::Table(over)) => overlay(base, over),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    const PAGE: &str = include_str!("../../../../docs/configuration.md");

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
        let all = all_settings();
        assert!(all.len() > 60, "{all:?}");
        for path in &all {
            assert!(VARIABLES.iter().any(|(own, _)| own == path), "{path} has no variable");
        }
        for (path, _) in VARIABLES {
            assert!(all.iter().any(|own| own == path), "{path} is no setting");
            assert!(PAGE.contains(&format!("| `{path}` |")), "{path} is not documented");
        }
        for line in PAGE.lines() {
            let Some(path) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next())
            else {
                continue;
            };
            let is_setting =
                path.chars().all(|c| c.is_ascii_lowercase() || "._0123456789".contains(c));
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
                        let name =
                            code[start..].split(|c: char| !c.is_ascii_uppercase() && c != '_');
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
        for (path, kind) in VARIABLES {
            let name = format!("{PREFIX}{}", path.replace('.', "_").to_uppercase());
            let text = match (*path, kind) {
                ("listen", _) => "127.0.0.1:1",
                ("log.format", _) => "json",
                (_, Kind::Flag) => "on",
                (_, Kind::Number) => "1",
                (_, Kind::Text | Kind::List) => "a",
            };
            let both = [
                (name.as_str(), text),
                ("COUNTERSIGN_TLS_CERT", "a"),
                ("COUNTERSIGN_TLS_KEY", "b"),
            ];
            merge(Some(file("").path()), variables(&both), Table::new()).expect(path);
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
        let names = VARIABLES.iter().map(|(path, _)| path.replace('.', "_").to_uppercase());
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
        for (name, other) in
            [("COUNTERSIGN_TLS_CERT", "tls.key"), ("COUNTERSIGN_TLS_KEY", "tls.cert")]
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
}
