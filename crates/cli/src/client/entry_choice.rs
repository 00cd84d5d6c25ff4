//! Chooses the entry of the keyring.

use anyhow::{anyhow, bail};
use clap::Args;
use countersign_client::keyring::Entry;

use super::{
    connection::{same_origin, same_server},
    text,
};

/// The entry, for commands whose one argument it is; `--as`, which all commands know, will do too.
#[derive(Args)]
#[group(id = "entry", multiple = false)]
pub(super) struct EntryOptions {
    /// The entry of the keyring [default: the only one that fits]
    #[arg(value_name = "ENTRY")]
    argument: Option<String>,

    /// The same, as other commands write it
    #[arg(long = "as", value_name = "ENTRY")]
    option: Option<String>,
}

impl EntryOptions {
    pub(super) fn name(&self) -> Option<&str> {
        self.argument.as_deref().or(self.option.as_deref())
    }

    pub(super) fn naming(&self) -> Naming<'_> {
        Naming::Argument(self.name())
    }
}

/// How a command takes the name of an entry, and the name that was given.
#[derive(Clone, Copy)]
pub(super) enum Naming<'a> {
    /// As an argument of its own.
    Argument(Option<&'a str>),
    /// With `--as`.
    Option(Option<&'a str>),
}

/// What the user said about the entry, from the most to the least specific.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its name.
    pub(super) name: Naming<'a>,
    /// The server, by option.
    pub(super) server: Option<&'a str>,
    /// The server, by environment.
    pub(super) usual_server: Option<&'a str>,
    /// The URL that a request shall go to.
    pub(super) url: Option<&'a str>,
}

/// The one entry that fits.
pub(super) fn choose<'a>(entries: &'a [Entry], wanted: &Wanted<'_>) -> anyhow::Result<&'a Entry> {
    let (Naming::Argument(name) | Naming::Option(name)) = wanted.name;
    if let Some(name) = name {
        return by_name(entries, name, wanted.server);
    }
    let server = wanted.server.or(wanted.usual_server);
    let fitting: Vec<&Entry> = match (server, wanted.url) {
        (Some(server), _) => only(entries, |entry| same_server(entry.url(), server)),
        (None, Some(url)) => {
            let local = only(entries, |entry| same_origin(url, entry.url()));
            // The URL of a resource server says nothing about who issues the token.
            if local.is_empty() { entries.iter().collect() } else { local }
        }
        (None, None) => entries.iter().collect(),
    };
    match fitting[..] {
        [entry] => Ok(entry),
        [] => match server {
            Some(server) if !entries.is_empty() => bail!(
                "the keyring has no entry for {server}{}; it has:\n{}",
                if server.contains("://") { "" } else { ", which lacks https:// or http://" },
                list(entries.iter().collect())
            ),
            _ => bail!("the keyring has no entries; `countersign register NAME` makes one"),
        },
        [first, ..] => {
            let option = if let Naming::Option(_) = wanted.name { "--as " } else { "" };
            let example = format!("{option}{}", text::argument(first.name().as_str()));
            bail!(
                "several entries of the keyring fit; name one, such as `{example}`:\n{}",
                list(fitting)
            )
        }
    }
}

fn by_name<'a>(
    entries: &'a [Entry],
    name: &str,
    server: Option<&str>,
) -> anyhow::Result<&'a Entry> {
    let found = entries.iter().find(|entry| entry.name().as_str() == name);
    let entry = found.ok_or_else(|| unknown(entries, name))?;
    match server {
        Some(server) if !same_server(entry.url(), server) => {
            bail!("the entry {name} is for {}, not for {server}", entry.url())
        }
        _ => Ok(entry),
    }
}

/// The error for a name that no entry has.
pub(super) fn unknown(entries: &[Entry], name: &str) -> anyhow::Error {
    // Most likely an unset variable in a script.
    let name = if name.is_empty() { "\"\"".to_owned() } else { text::printable(name) };
    if entries.is_empty() {
        return anyhow!("the keyring has no entry {name}, nor any other");
    }
    anyhow!("the keyring has no entry {name}; it has:\n{}", list(entries.iter().collect()))
}

fn only(entries: &[Entry], fits: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
    entries.iter().filter(|entry| fits(entry)).collect()
}

fn list(entries: Vec<&Entry>) -> String {
    let rows = entries.into_iter().map(|entry| {
        let account = format!("{} at {}", entry.username(), entry.url());
        vec![String::new(), entry.name().to_string(), account]
    });
    text::table(rows.collect())
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{
        UnixTime,
        keys::{NewKey, PrivateKey},
    };

    use super::*;

    const NOTHING: Wanted<'_> =
        Wanted { name: Naming::Option(None), server: None, usual_server: None, url: None };

    fn entries(names: &[(&str, &str)]) -> Vec<Entry> {
        let key = PrivateKey::generate(NewKey::Ed25519).unwrap();
        let entry = |&(name, url): &(&str, &str)| {
            Entry::new(name.parse().unwrap(), url, "user", &key, UnixTime::EPOCH)
        };
        names.iter().map(entry).collect()
    }

    fn chosen(wanted: Wanted<'_>) -> Result<String, String> {
        let entries = entries(&[
            ("work", "https://auth.example"),
            ("home", "http://127.0.0.1:8080"),
            ("spare", "http://127.0.0.1:8080"),
        ]);
        choose(&entries, &wanted)
            .map(|entry| entry.name().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_decides_unless_the_command_line_contradicts_it() {
        let home = Wanted { name: Naming::Argument(Some("home")), ..NOTHING };
        assert_eq!(chosen(home).unwrap(), "home");
        let elsewhere = Wanted { usual_server: Some("https://auth.example"), ..home };
        assert_eq!(chosen(elsewhere).unwrap(), "home");
        let contradiction = Wanted { server: Some("https://auth.example"), ..home };
        assert_eq!(
            chosen(contradiction).unwrap_err(),
            "the entry home is for http://127.0.0.1:8080, not for https://auth.example"
        );
        let unknown = Naming::Option(Some("hom"));
        let unknown = chosen(Wanted { name: unknown, ..NOTHING }).unwrap_err();
        assert!(unknown.starts_with("the keyring has no entry hom; it has:\n  work "), "{unknown}");
    }

    #[test]
    fn the_only_entry_of_a_server_needs_no_name() {
        let at = |server| Wanted { server: Some(server), ..NOTHING };
        assert_eq!(chosen(at("https://auth.example/")).unwrap(), "work");
        let usual = Wanted { usual_server: Some("https://auth.example"), ..NOTHING };
        assert_eq!(chosen(usual).unwrap(), "work");
        let several = chosen(at("http://127.0.0.1:8080")).unwrap_err();
        assert_eq!(
            several,
            "several entries of the keyring fit; name one, such as `--as home`:\n  \
             home   user at http://127.0.0.1:8080\n  \
             spare  user at http://127.0.0.1:8080"
        );
        assert!(chosen(at("https://other.example")).unwrap_err().contains("no entry for https://"));
        let argument = Wanted { name: Naming::Argument(None), ..NOTHING };
        assert!(chosen(argument).unwrap_err().contains("such as `work`:"));
    }

    #[test]
    fn the_url_of_a_request_tells_the_server() {
        let to = |url| Wanted { url: Some(url), ..NOTHING };
        assert_eq!(chosen(to("https://auth.example/v1/whoami?x")).unwrap(), "work");
        assert!(chosen(to("https://api.example/")).unwrap_err().starts_with("several"));
        let one = entries(&[("work", "https://auth.example")]);
        assert!(choose(&one, &to("https://api.example/")).is_ok());
    }

    #[test]
    fn an_empty_keyring_says_how_to_begin() {
        for server in [None, Some("https://auth.example")] {
            let error = choose(&[], &Wanted { server, ..NOTHING }).err().unwrap();
            assert!(error.to_string().contains("register NAME"), "{error}");
        }
    }
}
