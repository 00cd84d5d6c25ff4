//! The key, the account and the server that a command acts with, from the keyring or from the
//! command line.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_client::{
    Client, Login, LoginRequest, Password, Renewal, SavedToken, TransportOptions,
    keyring::{Entry, Keyring},
};
use countersign_protocol::{
    keys::{KeyPolicy, PrivateKey},
    ports::Clock as _,
};
use countersign_system::SystemClock;

use super::{
    connection::{ServerOptions, explain_login, named_if_off, server_variable},
    dialects::switches::PASSWORDS,
    entry_choice::{Naming, Wanted, choose},
    key_file,
    keyring_file::KeyringOptions,
};
use crate::output;

/// A token that ends sooner than this is renewed, so that it outlives the request.
const LIFE_LEFT: Duration = Duration::from_secs(10);

/// The options of the commands that act for an account.
#[derive(Args)]
pub(super) struct ActorOptions {
    /// Log in with this key (PEM, DER, JWK or OpenSSH, - for standard input) in place of the keyring;
    /// the token is not kept
    #[arg(long, value_name = "FILE", requires = "username", conflicts_with = "entry")]
    key: Option<PathBuf>,

    /// The account that --key logs in to
    #[arg(long, value_name = "NAME", requires = "key")]
    username: Option<String>,

    #[command(flatten)]
    pub(super) places: Places,
}

/// The options that say where the keys and the server are.
#[derive(Args)]
pub(super) struct Places {
    #[command(flatten)]
    pub(super) server: ServerOptions,

    #[command(flatten)]
    pub(super) keyring: KeyringOptions,
}

impl ActorOptions {
    /// Whether the key is in a file, and the keyring is left alone.
    pub(super) const fn has_key_file(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the key is read from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.key.as_deref() == Some(Path::new("-"))
    }

    /// Gets the key and finds the server. If `entry` names no entry of the keyring, `url` may tell
    /// which one is meant.
    pub(super) async fn open(
        &self,
        entry: Naming<'_>,
        url: Option<&str>,
        limits: TransportOptions,
    ) -> anyhow::Result<Actor> {
        match (&self.key, &self.username) {
            (Some(key), Some(username)) => {
                Actor::from_key_file(&self.places, key, username, limits).await
            }
            _ => Actor::from_keyring(&self.places, entry, url, limits).await,
        }
    }
}

/// A key and the account that it logs in to.
pub(super) struct Actor {
    client: Client,
    key: Arc<PrivateKey>,
    subject: String,
    kept: Option<Kept>,
}

/// Where the key came from, and where the token is kept.
struct Kept {
    keyring: Keyring,
    entry: String,
}

impl Actor {
    /// Reads the key from a file.
    pub(super) async fn from_key_file(
        places: &Places,
        path: &Path,
        username: &str,
        limits: TransportOptions,
    ) -> anyhow::Result<Self> {
        let key = Arc::new(key_file::read(path)?);
        let client = places.server.connect(&places.server.address()?, limits).await?;
        Ok(Self { client, key, subject: username.to_owned(), kept: None })
    }

    /// Takes the key from the keyring.
    pub(super) async fn from_keyring(
        places: &Places,
        entry: Naming<'_>,
        url: Option<&str>,
        limits: TransportOptions,
    ) -> anyhow::Result<Self> {
        Self::of_entry(places.keyring.open()?, &places.server, entry, url, limits).await
    }

    /// Takes the key from a keyring that is open.
    pub(super) async fn of_entry(
        keyring: Keyring,
        server: &ServerOptions,
        entry: Naming<'_>,
        url: Option<&str>,
        limits: TransportOptions,
    ) -> anyhow::Result<Self> {
        let usual_server = server_variable()?;
        let wanted = Wanted {
            name: entry,
            server: server.given(),
            usual_server: usual_server.as_deref(),
            url,
        };
        let entry = choose(keyring.entries(), &wanted)?;
        let key = entry
            .private_key(&KeyPolicy::default())
            .with_context(|| format!("the entry {} is of no use", entry.name()))?;
        let client = server.connect(entry.url(), limits).await?;
        let subject = entry.account_id().unwrap_or(entry.username()).to_owned();
        let entry = entry.name().to_string();
        Ok(Self { client, key: Arc::new(key), subject, kept: Some(Kept { keyring, entry }) })
    }

    /// The issuer identifier of the server.
    pub(super) fn server(&self) -> &str {
        self.client.metadata().issuer()
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    pub(super) const fn key(&self) -> &Arc<PrivateKey> {
        &self.key
    }

    /// The account id or the username.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// The entry of the keyring, if the key is from there.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.kept.as_ref().and_then(Kept::entry)
    }

    /// The keyring, if the key is from there.
    pub(super) fn keyring(&mut self) -> Option<&mut Keyring> {
        self.kept.as_mut().map(|kept| &mut kept.keyring)
    }

    /// Gets a new token for `resource`, or else for the server itself: with the entry's password if
    /// it has one, else with the key.
    pub(super) async fn login(
        &self,
        scope: Option<&str>,
        resource: Option<&str>,
    ) -> anyhow::Result<Login> {
        if let Some(password) = self.entry().and_then(Entry::password) {
            ensure!(
                scope.is_none() && resource.is_none(),
                "a login by password gets a token for the server itself, with all scopes; for \
                 others, log in with a key: countersign keys add --new"
            );
            return self.login_with_password(&password).await;
        }
        let request = LoginRequest { subject: &self.subject, scope, resource, session_key: None };
        self.client.login(&self.key, &request).await.map_err(explain_login)
    }

    /// Gets a new token in exchange for a password.
    pub(super) async fn login_with_password(&self, password: &Password) -> anyhow::Result<Login> {
        let login = self.client.login_with_password(&self.key, &self.subject, password);
        login.await.map_err(|error| explain_login(named_if_off(PASSWORDS, error)))
    }

    /// Goes on with a token. When the server refuses it, the login is renewed as [`Self::login`] does it.
    pub(super) fn resume(&self, token: SavedToken) -> Login {
        let subject = self.subject.clone();
        let renewal = match self.entry().and_then(Entry::password) {
            Some(password) => Renewal::by_password(subject, password),
            None => Renewal::by_key(Arc::clone(&self.key), subject, token.scope.clone()),
        };
        self.client.resume(Arc::clone(&self.key), token).renewed_by(renewal)
    }

    /// Uses the token for `resource` in the keyring until it expires, then gets a new one for the
    /// same scopes. Only a new login changes the scopes.
    pub(super) async fn logged_in(&self, resource: Option<&str>) -> anyhow::Result<Login> {
        if let Some(login) = self.kept_login(resource) {
            return Ok(login);
        }
        let last = self.entry().and_then(|entry| kept_token(entry, resource));
        let scope = last.and_then(|token| token.scope);
        self.login(scope.as_deref(), resource).await
    }

    /// The login of the token for `resource` that the keyring has, if it lives.
    pub(super) fn kept_login(&self, resource: Option<&str>) -> Option<Login> {
        let needed_until = SystemClock::new().now() + LIFE_LEFT;
        let token = kept_token(self.entry()?, resource)?;
        (token.expires_at > needed_until).then(|| self.resume(token))
    }

    /// As [`Actor::keep`], at the end of a command. A failure is only remarked on: without the
    /// token, the next command is merely slower.
    pub(super) fn done(&mut self, login: &Login, account_id: Option<&str>) {
        if let Err(error) = self.keep(login, account_id) {
            output::remark(format!("the token is not kept: {error:#}"));
        }
    }

    /// Puts the token of `login`, and the account id if it is known, into the keyring.
    pub(super) fn keep(&mut self, login: &Login, account_id: Option<&str>) -> anyhow::Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let new = login.save();
        let resource = login.resource();
        let old = kept.entry().and_then(|entry| kept_token(entry, resource));
        let was_kept = old.as_ref().is_some_and(|old| is_same(old, &new));
        let account_id =
            account_id.filter(|_| kept.entry().is_some_and(|e| e.account_id().is_none()));
        // Nonces change with every answer. An old one costs at most a second request.
        if was_kept && account_id.is_none() && knows_origins(old.as_ref(), &new) {
            return Ok(());
        }
        kept.keyring.update(&kept.entry, |entry| {
            // Another command may have logged out, or in again, meanwhile.
            let current = kept_token(entry, resource);
            if !was_kept || current.is_some_and(|current| is_same(&current, &new)) {
                entry.set_token(&new);
            }
            if let Some(account_id) = account_id {
                entry.set_account_id(account_id);
            }
        })?;
        Ok(())
    }

    /// Puts the account id into the keyring, if it is missing there. A failure is only remarked on.
    pub(super) fn keep_account(&mut self, account_id: &str) {
        if let Some(kept) = &mut self.kept
            && kept.entry().is_some_and(|entry| entry.account_id().is_none())
            && let Err(error) =
                kept.keyring.update(&kept.entry, |entry| entry.set_account_id(account_id))
        {
            output::remark(format!("the account id is not kept: {error}"));
        }
    }

    /// Puts the password into the keyring. A failure is only remarked on.
    pub(super) fn keep_password(&mut self, password: &Password) {
        if let Some(kept) = &mut self.kept
            && let Err(error) =
                kept.keyring.update(&kept.entry, |entry| entry.set_password(password))
        {
            output::remark(format!("the password is not kept: {error}"));
        }
    }

    /// Takes the tokens out of the keyring.
    pub(super) fn forget_tokens(&mut self) -> anyhow::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.keyring.update(&kept.entry, Entry::forget_tokens)?;
        }
        Ok(())
    }
}

impl Kept {
    fn entry(&self) -> Option<&Entry> {
        self.keyring.get(&self.entry)
    }
}

fn kept_token(entry: &Entry, resource: Option<&str>) -> Option<SavedToken> {
    resource.map_or_else(|| entry.token(), |resource| entry.token_for(resource))
}

fn is_same(one: &SavedToken, other: &SavedToken) -> bool {
    one.token.expose() == other.token.expose()
}

fn knows_origins(old: Option<&SavedToken>, new: &SavedToken) -> bool {
    let knows =
        |origin: &str| old.is_some_and(|old| old.nonces.iter().any(|(known, _)| known == origin));
    new.nonces.iter().all(|(origin, _)| knows(origin))
}
