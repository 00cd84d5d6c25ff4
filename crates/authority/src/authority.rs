//! The authority: the wings of one server over what they share.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    accounts::Accounts,
    core::{Core, session_sealers::SessionSealers},
    dialects::Dialects,
    health::Health,
    keys::{SigningKeyError, vault::Vault},
    login::Login,
    model::policy::Policy,
    online_keyring::OnlineKeyring,
    passkeys::{OpenPasskeysError, Passkeys},
    ports::{Ports, StoreError},
    tokens::Tokens,
};

/// All decisions of one server, each in its wing.
pub struct Authority {
    /// What the wings share.
    pub core: Arc<Core>,
    /// Accounts and their keys.
    pub accounts: Arc<Accounts>,
    /// Logins by key and by passkey.
    pub login: Arc<Login>,
    /// What browsers need to make and use passkeys.
    pub passkeys: Arc<Passkeys>,
    /// The sealed keyrings of accounts.
    pub online_keyring: Arc<OnlineKeyring>,
    /// Tokens that were issued.
    pub tokens: Arc<Tokens>,
    /// Whether the server can do its work.
    pub health: Health,
    /// The dialects.
    pub dialects: Dialects,
}

impl Authority {
    /// Loads what must be in memory: signing keys and revoked tokens.
    ///
    /// # Errors
    /// When the store fails or a signing key does not open.
    pub async fn start(policy: Policy, ports: Ports, vault: Vault) -> Result<Self, StartError> {
        let core = Arc::new(Core::open(policy, ports, vault).await?);
        let sessions = Arc::new(SessionSealers::new(&core.vault, &core.policy, core.epoch().id));
        let tokens = Arc::new(Tokens::new(Arc::clone(&core), Arc::clone(&sessions)));
        let passkeys = Arc::new(Passkeys::open(Arc::clone(&core)).await?);
        let shared = || (Arc::clone(&core), Arc::clone(&tokens), Arc::clone(&passkeys));
        let accounts = Arc::new(Accounts::new(shared()));
        let login = Arc::new(Login::new(shared()));
        let dialects = Dialects::new(&core, &accounts, &tokens, sessions);
        let online_keyring = Arc::new(OnlineKeyring::new(Arc::clone(&core), Arc::clone(&passkeys)));
        let health = Health::new(Arc::clone(&core));
        Ok(Self { core, accounts, login, passkeys, online_keyring, tokens, health, dialects })
    }
}

/// Why the authority does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The passkeys that there are were made for another relying party.
    #[error(transparent)]
    Passkeys(#[from] OpenPasskeysError),
    /// A signing key cannot be used.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
