//! Credentials: the keys that an account logs in with, one per device.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use countersign_protocol::{
    AccountId, UnixTime,
    keys::{PublicKey, Thumbprint},
    proofs::webauthn::Transport,
};
use thiserror::Error;

use super::{credential_kind::CredentialKind, user_agent::UserAgent};

/// A public key that an account logs in with.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The account that it belongs to.
    pub account_id: AccountId,
    /// The key itself; its thumbprint is the credential's identity.
    pub public_key: PublicKey,
    /// Where the private key is, which decides what the credential may do.
    pub kind: CredentialKind,
    /// Whether and when it ends by itself.
    pub expiry: Expiry,
    /// The owner's name for it, such as the device.
    pub label: Label,
    /// The credential that added it. None if it came with the registration or by the account's
    /// password, or was added before this was recorded.
    pub added_by: Option<Thumbprint>,
    /// When it was registered.
    pub created_at: UnixTime,
    /// When it last logged in.
    pub last_used_at: Option<UnixTime>,
    /// When it was revoked; a revoked key never comes back.
    pub revoked_at: Option<UnixTime>,
    /// The program that registered the key; for the key of a browser, the one that logged in last.
    pub user_agent: Option<UserAgent>,
    /// Where it was used last.
    pub last_address: Option<IpAddr>,
    /// Whether the account has shown that it possesses the key. Until then it only claims it, as
    /// others may too, and the key counts for this account alone.
    pub is_proven: bool,
}

impl Credential {
    /// A key that is registered at `now`, by no other key, and has not logged in yet.
    pub const fn new(
        account_id: AccountId,
        public_key: PublicKey,
        label: Label,
        now: UnixTime,
    ) -> Self {
        Self {
            account_id,
            public_key,
            kind: CredentialKind::Key,
            expiry: Expiry::Never,
            label,
            added_by: None,
            created_at: now,
            last_used_at: None,
            revoked_at: None,
            user_agent: None,
            last_address: None,
            is_proven: true,
        }
    }

    /// The same as the key of a browser that is remembered as `remember` says.
    pub fn in_browser(self, remember: Remember, lives: BrowserLives) -> Self {
        let expiry = remember.expiry(self.created_at, lives);
        Self { kind: CredentialKind::Browser, expiry, ..self }
    }

    /// Whether it may act at `now`: it is neither revoked nor expired.
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.revoked_at.is_none() && self.expires_at().is_none_or(|end| now < end)
    }

    /// When it ends by itself, if it does.
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expiry.at()
    }

    /// When it was used last, or added if it never was.
    pub fn last_seen_at(&self) -> UnixTime {
        self.last_used_at.unwrap_or(self.created_at)
    }

    /// The key's identity.
    pub fn thumbprint(&self) -> Thumbprint {
        self.public_key.thumbprint()
    }
}

/// Whether and when a credential ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It does not.
    Never,
    /// At that time.
    At(UnixTime),
    /// At that time, unless the credential logs in before: each login puts the end off.
    Idle(UnixTime),
}

impl Expiry {
    /// When, as things stand.
    pub const fn at(self) -> Option<UnixTime> {
        match self {
            Self::Never => None,
            Self::At(time) | Self::Idle(time) => Some(time),
        }
    }

    /// The same after a login at `now`.
    #[must_use]
    pub fn after_login(self, now: UnixTime, lives: BrowserLives) -> Self {
        match self {
            Self::Never | Self::At(_) => self,
            Self::Idle(_) => Self::Idle(now + lives.idle),
        }
    }
}

/// For how long a browser is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// For as long as it is used.
    Browser,
    /// For one visit.
    Visit,
}

impl Remember {
    /// Every way, by its stable name.
    const NAMES: [(Self, &str); 2] = [(Self::Browser, "browser"), (Self::Visit, "visit")];

    /// When a browser that logs in at `now` is forgotten.
    pub fn expiry(self, now: UnixTime, lives: BrowserLives) -> Expiry {
        match self {
            Self::Browser => Expiry::Idle(now + lives.idle),
            Self::Visit => Expiry::At(now + lives.visit),
        }
    }
}

impl FromStr for Remember {
    type Err = InvalidRemember;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::NAMES.into_iter().find(|(_, name)| *name == text);
        known.map(|(remember, _)| remember).ok_or(InvalidRemember)
    }
}

/// Not a way to remember a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("remember is one of browser, visit")]
pub struct InvalidRemember;

/// For how long browsers are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrowserLives {
    /// Since its last login, for one that is remembered for as long as it is used.
    pub idle: Duration,
    /// Since it was added, for one that is remembered for one visit.
    pub visit: Duration,
}

impl Default for BrowserLives {
    fn default() -> Self {
        Self { idle: Duration::from_hours(90 * 24), visit: Duration::from_hours(12) }
    }
}

/// A person's name for a key: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The longest label, in Unicode scalar values.
    pub const MAX_CHARS: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of a browser whose owner gave none: browser and system where they are known.
    pub fn of_browser(user_agent: Option<&UserAgent>) -> Self {
        Self(user_agent.and_then(UserAgent::in_words).unwrap_or_else(|| "browser".to_owned()))
    }

    /// The label of a passkey whose owner gave none, by the ways to reach its authenticator.
    pub fn of_passkey(transports: &[Transport]) -> Self {
        let by = |name: &str| transports.iter().any(|transport| transport.as_str() == name);
        let is_apart = (by("usb") || by("nfc")) && !by("internal") && !by("hybrid");
        Self(if is_apart { "security key" } else { "passkey" }.to_owned())
    }

    /// The label of a key whose owner gave none: its kind, such as `Ed25519 key`.
    pub fn of_kind(key: &PublicKey) -> Self {
        Self(format!("{} key", key.key_type().name()))
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().take(Self::MAX_CHARS + 1).count();
        let fits = (1..=Self::MAX_CHARS).contains(&length);
        let printable = !text.chars().any(misleads) && text.trim() == text;
        (fits && printable).then(|| Self(text.to_owned())).ok_or(InvalidLabel)
    }
}

/// Control characters, and those that change the direction or hide in a terminal or a page.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a label has 1 to 64 characters, no control or invisible characters, and no space at either end"
)]
pub struct InvalidLabel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_a_person_would_write() {
        for text in ["laptop", "Jürgens Handy", "CI runner #3", "钥匙"] {
            assert_eq!(text.parse::<Label>().unwrap().as_str(), text);
        }
        for text in ["", " laptop", "a\nb", "a\u{202e}b", "a\u{1b}[31m", &"x".repeat(65)] {
            assert_eq!(text.parse::<Label>(), Err(InvalidLabel), "{text:?}");
        }
    }
}
