//! Sealed registration: an invited client sends the one-time password and a public key, sealed for
//! the server.
//!
//! The seal authenticates nothing. Somebody who has seen a sealed registration could alter it bit
//! by bit and learn its content from the answers, if these told apart texts that open from texts
//! that do not. So everything that can be wrong before the invitation is known to be valid gets the
//! same refusal at the same cost: an invitation is looked up even for a text that does not open.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_protocol::{
    AccountId, ClientNetwork, UnixTime,
    digest::sha256,
    envelope::aes_cbc_oaep::SealedObject,
    keys::{KeyError, PublicKey, Thumbprint},
    ports::random_bytes,
    strict::{base64url, pem},
};
use thiserror::Error;
use tokio::{sync::OnceCell, time::sleep};
use zeroize::Zeroizing;

use crate::{
    accounts::{
        Accounts,
        enrolment::{ClaimedKey, Factor},
    },
    core::Core,
    keys::registration_key::{RegistrationKey, RegistrationKeyError},
    model::{
        account::{Fingerprint, Username},
        audit::{AuditEvent, EventKind, Means},
        invitation::{CodeHash, Invitation},
        limits::{LimitKey, NotAdmitted},
        policy::Enrolment,
    },
    ports::{CreateAccountError, StoreError},
};

/// The members of what is sealed.
const MEMBERS: [&str; 3] = ["student_id", "passwd", "public_key"];

/// How long a client waits that tries a name at which very many guess.
const MANY_GUESSES: Duration = Duration::from_secs(1);

/// Sealed registration.
pub struct Gradecoin {
    core: Arc<Core>,
    accounts: Arc<Accounts>,
    /// Opened, or made, when it is first wanted.
    registration_key: OnceCell<RegistrationKey>,
}

/// A sealed request for an account.
#[derive(Clone, Copy, Debug)]
pub struct SealedRegistration<'a> {
    /// An object with the members `student_id`, `passwd` and `public_key` (PEM).
    pub sealed: SealedObject<'a>,
    /// The client's address.
    pub address: IpAddr,
}

/// The result of a sealed registration.
#[derive(Clone, Debug)]
pub struct SealedRegistered {
    /// The new account's id.
    pub account_id: AccountId,
    /// Its key.
    pub thumbprint: Thumbprint,
    /// Its other name: the fingerprint of the key's text as it was sent.
    pub fingerprint: Fingerprint,
}

/// The content that a client has sealed, or a stand-in for it.
struct Opened {
    is_real: bool,
    name: Zeroizing<String>,
    password: Zeroizing<String>,
    public_key: Zeroizing<String>,
}

impl Gradecoin {
    /// Over what the wings share.
    pub(crate) fn new(core: Arc<Core>, accounts: Arc<Accounts>) -> Self {
        Self { core, accounts, registration_key: OnceCell::new() }
    }

    /// The public key for which clients seal registrations, as SPKI in PEM. The first call makes
    /// the key pair.
    ///
    /// # Errors
    /// When the key pair does not open, or the store fails.
    pub async fn registration_key_pem(&self) -> Result<&str, RegistrationKeyError> {
        Ok(self.registration_key().await?.public_pem())
    }

    /// Registers an account for a user who was invited with a one-time password.
    ///
    /// The password proves who the user is, but not that the key is theirs. So until the key has
    /// signed something, anybody who registers it with a proof takes it over.
    ///
    /// # Errors
    /// The first rule that does not hold; the password is not used up then. Failed attempts, and
    /// only these, count against the allowances of the client's network, and of the name that was
    /// tried from there. So somebody who guesses at a name shuts out nobody from another network.
    /// Many guesses from many networks only make everybody who tries that name wait a moment.
    pub async fn register_sealed(
        &self,
        registration: SealedRegistration<'_>,
    ) -> Result<SealedRegistered, SealedRegistrationError> {
        let now = self.core.now();
        let address = registration.address;
        // Not by day: only the invited make the database grow here, and strangers could use that up.
        let client = LimitKey::Network(address.into());
        self.core.take(|limits| &limits.registrations, client).await?;
        if self.core.policy.enrolment == Enrolment::Closed {
            return Err(SealedRegistrationError::Closed);
        }
        self.core.take(|limits| &limits.guesses_from_address, client).await?;
        let result = self.try_register_sealed(&registration, now).await;
        if matches!(result, Err(SealedRegistrationError::Refused)) {
            let event = AuditEvent::new(now, EventKind::RegistrationRefused);
            self.core.pending_events.note(event.from(address).detail("sealed"));
        } else {
            self.core.give_back(|limits| &limits.guesses_from_address, client).await;
        }
        result
    }

    async fn try_register_sealed(
        &self,
        registration: &SealedRegistration<'_>,
        now: UnixTime,
    ) -> Result<SealedRegistered, SealedRegistrationError> {
        let key = self.registration_key().await?;
        let opened = self.open(key, &registration.sealed);
        let (code_hash, username) = self.invited(key, &opened, registration.address, now).await?;
        let public_key = self.pem_key(&opened.public_key)?;
        let fingerprint = Fingerprint::of(&opened.public_key);
        let thumbprint = public_key.thumbprint();
        let detail = format!("by one-time password, invitation {}", code_hash.short());
        let (invitation, address) = (Some(code_hash), registration.address);
        let admitted = self.accounts.admitted(username, invitation, address, now);
        let account_id = admitted.account_id;
        let (key, alias) = (public_key, Some(fingerprint));
        let means = Means::OneTimePassword;
        let factor = ClaimedKey { alias, means, detail, ..ClaimedKey::unproven(key) };
        self.accounts.enrol(admitted, Factor::ClaimedKey(factor)).await?;
        Ok(SealedRegistered { account_id, thumbprint, fingerprint })
    }

    async fn registration_key(&self) -> Result<&RegistrationKey, RegistrationKeyError> {
        let open = || {
            RegistrationKey::open(
                &*self.core.ports.store,
                &self.core.vault,
                &*self.core.ports.random,
            )
        };
        self.registration_key.get_or_try_init(open).await
    }

    fn open(&self, key: &RegistrationKey, sealed: &SealedObject<'_>) -> Opened {
        let random = &*self.core.ports.random;
        match key.opening.open(sealed, MEMBERS, random_bytes(random)) {
            Ok([name, password, public_key]) => {
                Opened { is_real: true, name, password, public_key }
            }
            Err(_) => Opened {
                is_real: false,
                name: Zeroizing::new(base64url::encode(&random_bytes::<16>(random))),
                password: Zeroizing::new(base64url::encode(&random_bytes::<16>(random))),
                public_key: Zeroizing::default(),
            },
        }
    }

    /// The unused invitation that name and password are of, and the name as it was invited.
    async fn invited(
        &self,
        key: &RegistrationKey,
        opened: &Opened,
        address: IpAddr,
        now: UnixTime,
    ) -> Result<(CodeHash, Username), SealedRegistrationError> {
        let name = opened.name.to_ascii_lowercase();
        let everywhere = LimitKey::Name(sha256(&[name.as_bytes()]));
        let network = ClientNetwork::from(address).to_string();
        let here = LimitKey::NameAt(sha256(&[network.as_bytes(), b"\0", name.as_bytes()]));
        let taken = self.core.take(|limits| &limits.guesses_at_name, here).await;
        let admitted = NotAdmitted::is_within(taken)?;
        let from_everywhere =
            self.core.take(|limits| &limits.guesses_at_name_from_everywhere, everywhere).await;
        if !NotAdmitted::is_within(from_everywhere)? {
            sleep(MANY_GUESSES).await;
        }
        let code_hash = key.hash(&name, &opened.password);
        let invitation = self.core.ports.store.invitation(&code_hash).await?;
        let invitation = invitation.filter(|invitation| invitation.is_usable(now));
        let username = invitation.and_then(|Invitation { username, .. }| username);
        match username {
            Some(username) if opened.is_real && admitted => {
                self.core.give_back(|limits| &limits.guesses_at_name, here).await;
                self.core
                    .give_back(|limits| &limits.guesses_at_name_from_everywhere, everywhere)
                    .await;
                Ok((code_hash, username))
            }
            _ => Err(SealedRegistrationError::Refused),
        }
    }

    /// The key of a PEM text. No other form will do, because the fingerprint is made from the text.
    fn pem_key(&self, text: &str) -> Result<PublicKey, KeyError> {
        pem::decode(text.trim_ascii())?;
        PublicKey::parse(text, &self.core.policy.sealed_keys())
    }
}

/// Why a sealed registration is refused.
#[derive(Debug, Error)]
pub enum SealedRegistrationError {
    /// Nobody may register.
    #[error("registration is closed on this server")]
    Closed,
    /// The key is not acceptable. The password was right and remains good.
    #[error("public_key: {0}")]
    Key(#[from] KeyError),
    /// The key belongs to an account already. The password was right and remains good.
    #[error("the key is registered already")]
    KeyTaken,
    /// There were too many attempts from that address.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// It does not open, or there is no unused invitation for name and password, or there were too
    /// many wrong ones.
    #[error(
        "this does not open with the key of /gradecoin.pub (RSA-OAEP with SHA-256, and SHA-256 for \
         MGF1 too; AES-128-CBC with PKCS#7 padding; all in base64 with padding, not base64url; \
         line breaks do no harm), or holds other members than student_id, passwd and public_key; \
         or these are no student id and one-time password that still work; or there \
         were too many attempts: then wait a minute"
    )]
    Refused,
    /// The server has no key to open it with.
    #[error(transparent)]
    RegistrationKey(#[from] RegistrationKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An account has the name. The password was right and remains good.
    #[error("there is an account of that name already")]
    UsernameTaken,
}

impl From<CreateAccountError> for SealedRegistrationError {
    fn from(error: CreateAccountError) -> Self {
        match error {
            // Another request with the same password was faster. There is no passkey in it.
            CreateAccountError::ChallengeUsed | CreateAccountError::InvitationUnusable => {
                Self::Refused
            }
            CreateAccountError::KeyTaken => Self::KeyTaken,
            CreateAccountError::Store(error) => Self::Store(error),
            CreateAccountError::UsernameTaken => Self::UsernameTaken,
        }
    }
}
