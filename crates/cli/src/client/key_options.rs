//! The key that `register` and `recover` make known to the server, and where it is kept.

use std::path::PathBuf;

use clap::Args;
use countersign_client::keyring::{EntryName, Keyring};
use countersign_protocol::keys::PrivateKey;

use super::{
    enrolment::{Enrolment, Plan, parse_name},
    key_file::{self, KeyType},
};

#[derive(Args)]
pub(super) struct KeyOptions {
    /// The kind of key to make [default: p256, which every server and library knows]
    #[arg(long, value_name = "TYPE", value_enum)]
    key_type: Option<KeyType>,

    /// Let this private key in (PEM, DER, JWK or OpenSSH, - for standard input) in place of a new one
    #[arg(long, value_name = "FILE", conflicts_with = "key_type")]
    pub(super) key: Option<PathBuf>,

    /// Leave the keyring alone: the key stays in its file only
    #[arg(long, requires = "key", conflicts_with = "entry")]
    pub(super) no_keyring: bool,

    /// What to call the key in the keyring [default: NAME]
    #[arg(long = "as", value_name = "ENTRY")]
    pub(super) entry: Option<String>,
}

impl KeyOptions {
    /// Refuses a name that no entry can have. `username` is the name where none is given.
    pub(super) fn check_name(&self, username: &str) -> anyhow::Result<EntryName> {
        parse_name(self.entry.as_deref().unwrap_or(username))
    }

    /// The key that is given in place of a new one.
    pub(super) fn read(&self) -> anyhow::Result<Option<PrivateKey>> {
        self.key.as_deref().map(key_file::read).transpose()
    }

    /// Puts the `given` key, or a new one, into the keyring, for the account `username` at `server`.
    pub(super) fn begin<'a>(
        &self,
        keyring: &'a mut Keyring,
        server: &str,
        username: &str,
        given: Option<PrivateKey>,
        usual: KeyType,
    ) -> anyhow::Result<Enrolment<'a>> {
        let entry = self.entry.as_deref();
        let plan = Plan { server, username, entry, default_entry: username };
        Enrolment::begin(keyring, &plan, given, self.key_type.unwrap_or(usual))
    }
}
