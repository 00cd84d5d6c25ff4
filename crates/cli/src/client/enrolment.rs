//! Registers a key without losing it: the key is put into the keyring before the server gets it,
//! and marked as registered afterwards. After an interruption the command can be repeated.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use countersign_client::{
    Client, ClientError, LoginRequest, Password,
    keyring::{Entry, EntryName, Keyring},
};
use countersign_protocol::{
    keys::{KeyPolicy, PrivateKey, PublicKey, Thumbprint},
    ports::Clock as _,
};
use countersign_system::SystemClock;
use http::StatusCode;

use super::{
    connection::{explain_login, same_server},
    key_file::KeyType,
    text::argument,
};
use crate::output;

/// The account and the names of a key.
pub(super) struct Plan<'a> {
    /// The issuer identifier of the server.
    pub(super) server: &'a str,
    pub(super) username: &'a str,
    /// The name in the keyring that the user wants.
    pub(super) entry: Option<&'a str>,
    /// The name in the keyring otherwise, unless it is taken.
    pub(super) default_entry: &'a str,
}

/// The server's answer about a key that it has now.
pub(super) struct Accepted {
    pub(super) account_id: String,
    /// The key by which the server proves itself to this account, if it gave one.
    pub(super) server_key: Option<PublicKey>,
    /// The password of the account, if it has one.
    pub(super) password: Option<Password>,
}

impl Accepted {
    /// Nothing but an account.
    pub(super) const fn account(account_id: String) -> Self {
        Self { account_id, server_key: None, password: None }
    }
}

/// A key in the keyring that the server may not know yet.
pub(super) struct Enrolment<'a> {
    keyring: &'a mut Keyring,
    entry: EntryName,
    key: Arc<PrivateKey>,
    /// Whether this run put it there.
    is_new: bool,
    /// Whether the server may know it already.
    may_be_known: bool,
}

impl<'a> Enrolment<'a> {
    /// Goes on with what an earlier run left for the same account, or puts a key into the keyring:
    /// the `given` one or a new one.
    pub(super) fn begin(
        keyring: &'a mut Keyring,
        plan: &Plan<'_>,
        given: Option<PrivateKey>,
        key_type: KeyType,
    ) -> anyhow::Result<Self> {
        let thumbprint = given.as_ref().map(|key| key.public_key().thumbprint());
        if let Some(entry) = left_over(keyring.entries(), plan, thumbprint) {
            let name = entry.name().clone();
            let key = entry
                .private_key(&KeyPolicy::default())
                .with_context(|| format!("the entry {name} is of no use"))?;
            output::remark(format!("going on with the key of the entry {name}"));
            return Ok(Self {
                keyring,
                entry: name,
                key: Arc::new(key),
                is_new: false,
                may_be_known: true,
            });
        }
        refuse_known(keyring.entries(), plan, thumbprint)?;
        let name = plan.name(keyring)?;
        let may_be_known = given.is_some();
        let key = Arc::new(given.map_or_else(|| key_type.generate(), Ok)?);
        let now = SystemClock::new().now();
        keyring.add(Entry::new(name.clone(), plan.server, plan.username, &key, now))?;
        Ok(Self { keyring, entry: name, key, is_new: true, may_be_known })
    }

    pub(super) const fn key(&self) -> &Arc<PrivateKey> {
        &self.key
    }

    /// The password that an earlier run left in the entry.
    pub(super) fn password(&self) -> Option<Password> {
        self.keyring.get(self.entry.as_str()).and_then(Entry::password)
    }

    /// Puts the password of the account into the entry, because it is kept nowhere else.
    pub(super) fn keep_password(&mut self, password: &Password) -> anyhow::Result<()> {
        self.keyring
            .update(self.entry.as_str(), |entry| entry.set_password(password))
            .context("the account is registered, but the keyring cannot keep its password")
    }

    /// The name of the entry.
    pub(super) const fn entry(&self) -> &EntryName {
        &self.entry
    }

    /// Acts on the server's answer: marks the entry with the account id, removes it, or, if it is
    /// unknown whether the server has the key, leaves it for another attempt.
    pub(super) async fn conclude(
        self,
        client: &Client,
        username: &str,
        outcome: Result<Accepted, ClientError>,
    ) -> anyhow::Result<Enrolled> {
        let (accepted, was_known) = match outcome {
            Ok(accepted) => (accepted, false),
            Err(error) if error.leaves_open() => {
                let error = explain_login(error);
                return Err(anyhow!(
                    "{error}\n  it is not known whether the server has the key now; the keyring \
                     keeps it as {}: run the same command again",
                    self.entry
                ));
            }
            Err(error) => match self.account_behind(client, username, &error).await {
                Some(account_id) => (Accepted::account(account_id), true),
                None => return Err(self.give_up(error)),
            },
        };
        let Accepted { account_id, server_key, password } = accepted;
        let mark = |entry: &mut Entry| {
            entry.set_account_id(&account_id);
            if let Some(key) = &server_key {
                entry.set_server_side_public_key(key);
            }
            if let Some(password) = &password {
                entry.set_password(password);
            }
        };
        self.keyring
            .update(self.entry.as_str(), mark)
            .context("the key is registered, but the keyring cannot be changed")?;
        Ok(Enrolled { entry: self.entry, key: self.key, account_id, was_known })
    }

    /// The account, when the server refused only because it has this key for it already.
    async fn account_behind(
        &self,
        client: &Client,
        username: &str,
        error: &ClientError,
    ) -> Option<String> {
        if !self.may_be_known || !is_taken(error) {
            return None;
        }
        account_of(client, &self.key, username).await
    }

    /// Whether an earlier run has put the key there.
    pub(super) const fn is_left_over(&self) -> bool {
        !self.is_new
    }

    fn give_up(self, error: ClientError) -> anyhow::Error {
        self.abandon(explain_login(error))
    }

    /// Undoes [`Self::begin`] because of `error`.
    pub(super) fn abandon(self, error: anyhow::Error) -> anyhow::Error {
        if !self.is_new {
            return anyhow!("{error}\n  the keyring still has the key, as {}", self.entry);
        }
        match self.keyring.remove(self.entry.as_str()) {
            Ok(()) => error,
            Err(left) => {
                anyhow!("{error}\n  the entry {} stays in the keyring: {left}", self.entry)
            }
        }
    }
}

/// A key that the server has.
pub(super) struct Enrolled {
    pub(super) entry: EntryName,
    pub(super) key: Arc<PrivateKey>,
    pub(super) account_id: String,
    /// Whether it had the key before.
    pub(super) was_known: bool,
}

impl Plan<'_> {
    fn name(&self, keyring: &Keyring) -> anyhow::Result<EntryName> {
        if let Some(name) = self.entry {
            return parse_name(name);
        }
        let mut name = self.default_entry.to_owned();
        let mut number = 1;
        while keyring.get(&name).is_some() {
            number += 1;
            name = format!("{}-{number}", self.default_entry);
        }
        parse_name(&name)
    }
}

/// A name for an entry, with the reason when it cannot be one.
pub(super) fn parse_name(name: &str) -> anyhow::Result<EntryName> {
    name.parse().with_context(|| format!("{name:?} cannot name an entry of the keyring"))
}

/// A one-time code, without the white space and line breaks that copying puts around it.
pub(super) fn parse_code(text: &str) -> Result<String, &'static str> {
    let code = text.trim();
    if code.is_empty() { Err("the code is empty") } else { Ok(code.to_owned()) }
}

/// The command `whoami`, with the name of the entry if there are several.
pub(super) fn whoami(keyring: &Keyring, entry: &EntryName) -> String {
    if keyring.entries().len() == 1 {
        "countersign whoami".to_owned()
    } else {
        format!("countersign whoami {}", argument(entry.as_str()))
    }
}

/// The entry of this account that is not marked as registered.
fn left_over<'a>(
    entries: &'a [Entry],
    plan: &Plan<'_>,
    key: Option<Thumbprint>,
) -> Option<&'a Entry> {
    entries.iter().find(|entry| {
        entry.account_id().is_none()
            && is_account(entry, plan.server, plan.username)
            && plan.entry.is_none_or(|name| entry.name().as_str() == name)
            && key.is_none_or(|key| holds(entry, key))
    })
}

/// Refuses a key that an entry of this account has.
fn refuse_known(entries: &[Entry], plan: &Plan<'_>, key: Option<Thumbprint>) -> anyhow::Result<()> {
    let known = entries.iter().find(|entry| {
        is_account(entry, plan.server, plan.username) && key.is_some_and(|key| holds(entry, key))
    });
    match known {
        Some(entry) => bail!("the keyring has this key already, as {}", entry.name()),
        None => Ok(()),
    }
}

/// Whether it is the key of the entry.
pub(super) fn holds(entry: &Entry, key: Thumbprint) -> bool {
    let own = entry.public_key(&KeyPolicy::default());
    own.is_ok_and(|own| own.thumbprint() == key)
}

/// Whether an entry is for this account. As on the server, usernames that differ only in case are
/// equal.
pub(super) fn is_account(entry: &Entry, server: &str, username: &str) -> bool {
    entry.username().eq_ignore_ascii_case(username) && same_server(entry.url(), server)
}

/// What the server says of a key that no keyring keeps.
pub(super) enum InFile<T> {
    /// It is the account's from now on.
    New(T),
    /// It is that already, for instance because the answer of an earlier run was lost.
    Known { account_id: String },
}

impl<T> InFile<T> {
    /// Acts on the server's answer about `key`; `explain` adds advice to errors.
    pub(super) async fn conclude(
        (client, key): (&Client, &Arc<PrivateKey>),
        username: &str,
        outcome: Result<T, ClientError>,
        explain: impl FnOnce(ClientError) -> anyhow::Error,
    ) -> anyhow::Result<Self> {
        let error = match outcome {
            Ok(new) => return Ok(Self::New(new)),
            Err(error) => error,
        };
        if error.leaves_open() {
            let error = explain(error);
            return Err(anyhow!(
                "{error}\n  it is not known whether the server has the key now: run the same command again"
            ));
        }
        if is_taken(&error)
            && let Some(account_id) = account_of(client, key, username).await
        {
            return Ok(Self::Known { account_id });
        }
        Err(explain(error))
    }
}

/// The id of the account with that username, if the key logs in to it.
async fn account_of(client: &Client, key: &Arc<PrivateKey>, username: &str) -> Option<String> {
    let request =
        LoginRequest { subject: username, scope: None, resource: None, session_key: None };
    let login = client.login(key, &request).await.ok()?;
    login.whoami().await.ok().map(|who| who.account_id)
}

/// Whether the server may have refused because it has the account, or the key, already. A dialect may give no
/// code, and say no more of a password that was used up than of a wrong one.
fn is_taken(error: &ClientError) -> bool {
    let ClientError::Refused(refusal) = error else { return false };
    match refusal.code.as_deref() {
        Some(code) => {
            matches!(code, "enrolment-code" | "key-taken" | "recovery-code" | "username-taken")
        }
        None => refusal.status == StatusCode::BAD_REQUEST,
    }
}
