//! The layers of the configuration, merged setting by setting. Each layer is checked by itself, so
//! that an error can name its place.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use toml::{Table, Value};

use super::{
    form::{Kind, Setting as _},
    settings::Settings,
};

const DEFAULT_FILE: &str = "countersign.toml";
const PREFIX: &str = "COUNTERSIGN_";

/// Variables with our prefix that are not settings of the server.
const NOT_SETTINGS: [&str; 14] = [
    "COUNTERSIGN_CONFIG",
    "COUNTERSIGN_KEYRING",
    "COUNTERSIGN_KEY_PASSPHRASE",
    "COUNTERSIGN_KEY_PASSPHRASE_FILE",
    "COUNTERSIGN_MASTER_KEY",
    "COUNTERSIGN_ONLINE_PASSWORD",
    "COUNTERSIGN_ONLINE_PASSWORD_FILE",
    "COUNTERSIGN_PASSPHRASE",
    "COUNTERSIGN_PASSPHRASE_FILE",
    "COUNTERSIGN_PASSWORD",
    "COUNTERSIGN_PASSWORD_FILE",
    "COUNTERSIGN_RECOVERY_CODE",
    "COUNTERSIGN_RECOVERY_CODE_FILE",
    "COUNTERSIGN_SERVER",
];

/// Pairs of settings that say the same in different ways.
const ALTERNATIVES: [(&str, &str); 3] = [
    ("database", "database_url"),
    ("database", "database_url_file"),
    ("database_url", "database_url_file"),
];

/// A short name for the setting that is used most.
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
    lay_over(&mut merged, environment.settings)?;
    check_each(&options)?;
    lay_over(&mut merged, options)?;
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
    let invalid = || format!("{} is not a valid configuration", path.display());
    let table: Table = toml::from_str(&text)
        .map_err(|error| without_secrets(error, &text))
        .with_context(invalid)?;
    check_alternatives(&table).with_context(invalid)?;
    // Parsed as settings from the text, because those errors show the place in the file.
    if let Err(error) = toml::from_str::<Settings>(&text) {
        check_each(&table).with_context(|| match error.span() {
            Some(place) => format!("{}, in line {}", invalid(), line_of(&text, place.start)),
            None => invalid(),
        })?;
        return Err(without_secrets(error, &text)).with_context(invalid);
    }
    Ok(table)
}

/// `error`, which shows the line of `text` that it is about, unless that line has a secret.
fn without_secrets(error: toml::de::Error, text: &str) -> anyhow::Error {
    let Some(place) = error.span() else { return anyhow::anyhow!("{}", error.message()) };
    let line = line_of(text, place.start);
    let is_secret = |line: &str| {
        let all = Settings::FORM.settings("");
        let mut secrets = all.iter().filter(|(_, kind)| matches!(kind, Kind::Secret));
        secrets.any(|(path, _)| line.contains(path.as_str()))
    };
    if text.lines().nth(line.saturating_sub(1)).is_some_and(is_secret) {
        return anyhow::anyhow!("line {line}: {}", error.message());
    }
    error.into()
}

/// The line in which the byte `at` of `text` is.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
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
        // Programs that fill in templates leave variables empty when they have no value for them.
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
        let parsed = parse(value, &path, kind).with_context(place)?;
        check_alone(&path, kind, &parsed).with_context(place)?;
        insert(&mut environment.settings, &path, parsed);
    }
    Ok(environment)
}

/// Refuses a value in `settings` that its setting cannot have, with the name of the setting.
fn check_each(settings: &Table) -> anyhow::Result<()> {
    for (path, kind) in Settings::FORM.settings("") {
        if let Some(value) = get(settings, &path) {
            check_alone(&path, kind, value)?;
        }
    }
    Ok(())
}

/// Refuses a value that the setting cannot have. Bounds are checked when all layers are merged.
fn check_alone(path: &str, kind: Kind, value: &Value) -> anyhow::Result<()> {
    // These two are valid only together: see `check_tls`.
    if path.starts_with("tls.") {
        return Ok(());
    }
    let mut alone = Table::new();
    insert(&mut alone, path, value.clone());
    let read: Result<Settings, toml::de::Error> = Value::Table(alone).try_into();
    read.map(drop).map_err(|error| anyhow::anyhow!(kind.refusal(path, value, error.message())))
}

/// A certificate needs a key, and a key needs a certificate.
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

/// The setting that a variable gives: its path in the file and its kind. The variable of
/// `tokens.lifetime` is `COUNTERSIGN_TOKENS_LIFETIME`.
fn setting_of(variable: &str) -> Option<(String, Kind)> {
    if variable == RATE_LIMITS_SWITCH {
        return Some(("rate_limits.enabled".to_owned(), Kind::Flag));
    }
    let name = variable.strip_prefix(PREFIX)?;
    let spelled = |path: &str| path.replace('.', "_").to_uppercase();
    Settings::FORM.settings("").into_iter().find(|(path, _)| spelled(path) == name)
}

fn parse(text: &str, path: &str, kind: Kind) -> anyhow::Result<Value> {
    Ok(match kind {
        Kind::Secret | Kind::Text => text.into(),
        Kind::Number(_) => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(error) => bail!(kind.refusal(path, &text.into(), &error.to_string())),
        },
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

fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, name)) => table.get(section)?.get(name),
    }
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

/// Lays a layer over those below it. Of two settings that say the same in different ways, the higher layer's
/// counts.
fn lay_over(merged: &mut Table, layer: Table) -> anyhow::Result<()> {
    check_alternatives(&layer)?;
    for (one, other) in ALTERNATIVES {
        for (given, below) in [(one, other), (other, one)] {
            if layer.contains_key(given) {
                merged.remove(below);
            }
        }
    }
    overlay(merged, layer);
    Ok(())
}

/// Refuses two ways to say the same in one layer: somebody who sets one would wonder why the other counts.
fn check_alternatives(layer: &Table) -> anyhow::Result<()> {
    for (one, other) in ALTERNATIVES {
        ensure!(
            !layer.contains_key(one) || !layer.contains_key(other),
            "{one} and {other} are both set, in one place: leave one out"
        );
    }
    Ok(())
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
mod tests;
