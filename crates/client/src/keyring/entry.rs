//! One key in a keyring, with all that is needed to use it.

use std::fmt;
use std::str::FromStr;

use countersign_protocol::UnixTime;
use countersign_protocol::keys::{KeyError, KeyPolicy, PrivateKey, PublicKey};
use countersign_protocol::strict::base64;
use zeroize::Zeroizing;

use super::record::{Record, ResourceToken, to_pairs, to_seen};
use crate::password::Password;
use crate::token::{AccessToken, SavedToken};

/// The name under which a keyring holds an entry: 1 to 64 characters, none of them a control
/// character, no white space at either end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(String);

impl EntryName {
    /// The greatest number of characters.
    pub const MAX_CHARS: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with a number behind it, such as `alice-2`; a long name loses its end.
    pub fn numbered(&self, number: u64) -> Self {
        let end = format!("-{number}");
        let room = Self::MAX_CHARS.saturating_sub(end.chars().count());
        Self(self.0.chars().take(room).collect::<String>() + &end)
    }
}

impl FromStr for EntryName {
    type Err = EntryNameError;

    fn from_str(text: &str) -> Result<Self, EntryNameError> {
        let chars = text.chars().count();
        if chars == 0
            || chars > Self::MAX_CHARS
            || text.trim() != text
            || text.contains(char::is_control)
        {
            return Err(EntryNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot name an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {} characters, no control characters, and no white space at its ends",
    EntryName::MAX_CHARS
)]
pub struct EntryNameError;

/// A key of the user's, the account that it logs in to, and the token last received for it.
///
/// The private key leaves it only as a parsed [`PrivateKey`].
pub struct Entry {
    name: EntryName,
    record: Record,
}

impl Entry {
    /// How many tokens for resource servers are kept.
    pub const MAX_RESOURCE_TOKENS: usize = 8;

    /// An entry for `key`, which logs in as `username` at the server with the issuer `url`.
    pub fn new(
        name: EntryName,
        url: &str,
        username: &str,
        key: &PrivateKey,
        created_at: UnixTime,
    ) -> Self {
        let record = Record {
            name: name.as_str().to_owned(),
            url: url.to_owned(),
            username: username.to_owned(),
            account_id: None,
            client_side_private_key: Zeroizing::new(base64::encode(&key.to_pkcs8_der())),
            client_side_public_key: base64::encode(&key.public_key().to_spki_der()),
            server_side_public_key: None,
            password: None,
            jwt_token: None,
            jwt_token_expires_at: None,
            dpop_nonces: Vec::new(),
            asked_scope: None,
            resource_tokens: Vec::new(),
            created_at: created_at.as_secs(),
        };
        Self { name, record }
    }

    /// The name, unique in the keyring.
    pub fn name(&self) -> &EntryName {
        &self.name
    }

    /// The issuer identifier of the server.
    pub fn url(&self) -> &str {
        &self.record.url
    }

    /// The username of the account.
    pub fn username(&self) -> &str {
        &self.record.username
    }

    /// The account id that the server gave, if it is known.
    pub fn account_id(&self) -> Option<&str> {
        self.record.account_id.as_deref()
    }

    /// When the entry was made, in whole seconds.
    pub fn created_at(&self) -> UnixTime {
        UnixTime::from_secs(self.record.created_at)
    }

    /// The private key.
    ///
    /// # Errors
    /// When `policy` refuses the key, or it is not the private half of the public key beside it.
    pub fn private_key(&self, policy: &KeyPolicy) -> Result<PrivateKey, EntryKeyError> {
        let der = Zeroizing::new(
            base64::decode(&self.record.client_side_private_key)
                .map_err(|_| EntryKeyError::Encoding)?,
        );
        let key = PrivateKey::from_pkcs8_der(&der, policy).map_err(EntryKeyError::Key)?;
        if key.public_key().thumbprint() != self.public_key(policy)?.thumbprint() {
            return Err(EntryKeyError::Mismatch);
        }
        Ok(key)
    }

    /// The public key.
    ///
    /// # Errors
    /// When `policy` refuses the key.
    pub fn public_key(&self, policy: &KeyPolicy) -> Result<PublicKey, EntryKeyError> {
        parse_spki(&self.record.client_side_public_key, policy)
    }

    /// The key by which the server proves itself to this user, where the server has one.
    ///
    /// # Errors
    /// When `policy` refuses the key.
    pub fn server_side_public_key(
        &self,
        policy: &KeyPolicy,
    ) -> Result<Option<PublicKey>, EntryKeyError> {
        self.record.server_side_public_key.as_ref().map(|key| parse_spki(key, policy)).transpose()
    }

    /// The account's password, if it has one. Tokens are then bound to the key of this entry, which
    /// need not be a key of the account.
    pub fn password(&self) -> Option<Password> {
        Password::new(self.record.password.clone()?).ok()
    }

    /// The token last received for the server itself, with the nonces that came with it.
    pub fn token(&self) -> Option<SavedToken> {
        let token = AccessToken::new(self.record.jwt_token.as_ref()?.to_string()).ok()?;
        let expires_at = UnixTime::from_secs(self.record.jwt_token_expires_at?);
        let nonces = to_pairs(&self.record.dpop_nonces);
        let scope = self.record.asked_scope.clone();
        Some(SavedToken { token, expires_at, nonces, resource: None, scope })
    }

    /// The token last received for `resource` (RFC 8707), with the nonces that came with it.
    pub fn token_for(&self, resource: &str) -> Option<SavedToken> {
        let mut kept = self.record.resource_tokens.iter();
        kept.find(|kept| kept.resource == resource)?.to_saved()
    }

    /// Every token that is kept.
    pub fn tokens(&self) -> impl Iterator<Item = SavedToken> {
        let elsewhere = self.record.resource_tokens.iter().filter_map(ResourceToken::to_saved);
        self.token().into_iter().chain(elsewhere)
    }

    /// Records another issuer identifier of the server, and forgets the tokens, which are of the one
    /// before.
    pub fn set_url(&mut self, issuer: &str) {
        self.forget_tokens();
        issuer.clone_into(&mut self.record.url);
    }

    /// Records the account id.
    pub fn set_account_id(&mut self, account_id: &str) {
        self.record.account_id = Some(account_id.to_owned());
    }

    /// Records the key by which the server proves itself to this user.
    pub fn set_server_side_public_key(&mut self, key: &PublicKey) {
        self.record.server_side_public_key = Some(base64::encode(&key.to_spki_der()));
    }

    /// Records the password of the account.
    pub fn set_password(&mut self, password: &Password) {
        self.record.password = Some(Zeroizing::new(password.expose().to_owned()));
    }

    /// Records a token in place of the last one for the same resource. At most
    /// [`Self::MAX_RESOURCE_TOKENS`] tokens for resource servers are kept: the latest.
    pub fn set_token(&mut self, saved: &SavedToken) {
        let text = Zeroizing::new(saved.token.expose().to_owned());
        let (expires_at, nonces) = (saved.expires_at.as_secs(), to_seen(&saved.nonces));
        let Some(resource) = &saved.resource else {
            self.record.jwt_token = Some(text);
            self.record.jwt_token_expires_at = Some(expires_at);
            self.record.dpop_nonces = nonces;
            self.record.asked_scope.clone_from(&saved.scope);
            return;
        };
        let kept = &mut self.record.resource_tokens;
        kept.retain(|kept| kept.resource != *resource);
        kept.push(ResourceToken {
            resource: resource.clone(),
            jwt_token: text,
            jwt_token_expires_at: expires_at,
            dpop_nonces: nonces,
            asked_scope: saved.scope.clone(),
        });
        let surplus = kept.len().saturating_sub(Self::MAX_RESOURCE_TOKENS);
        kept.drain(..surplus);
    }

    /// Forgets every token.
    pub fn forget_tokens(&mut self) {
        self.record.jwt_token = None;
        self.record.jwt_token_expires_at = None;
        self.record.dpop_nonces = Vec::new();
        self.record.asked_scope = None;
        self.record.resource_tokens = Vec::new();
    }

    pub(super) fn rename(&mut self, name: EntryName) {
        name.as_str().clone_into(&mut self.record.name);
        self.name = name;
    }

    /// Whether it is the same key for the same account, under whatever name.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let (one, other) = (&self.record, &other.record);
        (&one.url, &one.username, &one.client_side_public_key)
            == (&other.url, &other.username, &other.client_side_public_key)
    }

    /// Whether both have one private key.
    pub(super) fn has_private_key_of(&self, other: &Self) -> bool {
        self.record.client_side_private_key == other.record.client_side_private_key
    }

    /// Whether both say something, and not the same.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            matches!((one, other), (Some(one), Some(other)) if one != other)
        }

        if !self.has_private_key_of(other) {
            return true;
        }
        let (one, other) = (&self.record, &other.record);
        differ(one.account_id.as_ref(), other.account_id.as_ref())
            || differ(one.password.as_ref(), other.password.as_ref())
            || differ(one.server_side_public_key.as_ref(), other.server_side_public_key.as_ref())
    }

    /// Takes over what this entry does not know. Returns whether there was something.
    pub(super) fn learn_from(&mut self, other: &Self) -> bool {
        fn learn<T: Clone>(known: &mut Option<T>, said: Option<&T>) -> bool {
            let lacks = known.is_none() && said.is_some();
            if lacks {
                *known = said.cloned();
            }
            lacks
        }

        let (record, other) = (&mut self.record, &other.record);
        let account_id = learn(&mut record.account_id, other.account_id.as_ref());
        let password = learn(&mut record.password, other.password.as_ref());
        let key = learn(&mut record.server_side_public_key, other.server_side_public_key.as_ref());
        account_id || password || key
    }

    /// A second entry with the same key, without tokens. Not `Clone`, so that every copy is a visible
    /// decision.
    pub(super) fn without_tokens(&self) -> Self {
        let Record { name, url, username, account_id, .. } = &self.record;
        let record = Record {
            name: name.clone(),
            url: url.clone(),
            username: username.clone(),
            account_id: account_id.clone(),
            client_side_private_key: self.record.client_side_private_key.clone(),
            client_side_public_key: self.record.client_side_public_key.clone(),
            server_side_public_key: self.record.server_side_public_key.clone(),
            password: self.record.password.clone(),
            jwt_token: None,
            jwt_token_expires_at: None,
            dpop_nonces: Vec::new(),
            asked_scope: None,
            resource_tokens: Vec::new(),
            created_at: self.record.created_at,
        };
        Self { name: self.name.clone(), record }
    }

    pub(super) fn from_record(record: Record) -> Result<Self, EntryNameError> {
        Ok(Self { name: record.name.parse()?, record })
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }
}

/// Why the key of an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EntryKeyError {
    /// The text of the key is not base64.
    #[error("the key in the keyring is not base64")]
    Encoding,
    /// The key cannot be parsed, or the policy refuses it.
    #[error("the key in the keyring cannot be used: {0}")]
    Key(#[source] KeyError),
    /// Private and public key are not two halves of one pair.
    #[error("the private key in the keyring does not belong to the public key beside it")]
    Mismatch,
}

fn parse_spki(text: &str, policy: &KeyPolicy) -> Result<PublicKey, EntryKeyError> {
    let der = base64::decode(text).map_err(|_| EntryKeyError::Encoding)?;
    PublicKey::from_spki_der(&der, policy).map_err(EntryKeyError::Key)
}
