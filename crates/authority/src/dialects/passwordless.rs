//! Mutual challenge and response: the server proves itself to the account before the account
//! proves itself to the server.
//!
//! Each account that registers for it gets a key pair of the server's, made for it alone. What the
//! server signs with it is a number; whoever can read the number knows the server, and whoever
//! signs it in turn with a key of the account is logged in.

use std::{net::IpAddr, pin::pin, sync::Arc};

use countersign_protocol::{
    AccountId, AuthenticationContext, UnixTime, Unspent,
    challenges::mutual::{MutualChallenges, Number, Proposal},
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyPolicy, decoy},
    ports::random_bytes,
};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    core::{Core, credential_cache::KnownCredential, effort::Effort},
    dialects::passwordless::server_keys::{ServerKeyError, ServerKeys},
    keys::SigningKeyError,
    model::{
        account::{Account, AccountName, AccountStatus},
        audit::{AuditEvent, EventKind, Reason},
        credential::Credential,
        credential_kind::Act,
        limits::NotAdmitted,
    },
    ports::{LoginRecord, RecordLoginError, StoreError},
    tokens::{
        Tokens,
        issuance::{Binding, Grant, Issuance, SignedWith},
    },
};

pub mod registration;
pub mod server_keys;

mod pretence;

/// Stands for every account that does not exist.
const NOBODY: AccountId = AccountId::from_bytes([0; 16]);

/// Mutual challenge and response.
pub struct Passwordless {
    core: Arc<Core>,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
    challenges: MutualChallenges,
    server_keys: ServerKeys,
    /// Decides how challenges for unknown accounts look.
    pretence: SealingKey,
}

/// A proposal: the number of a challenge, signed.
#[derive(Clone, Copy)]
pub struct MutualLogin<'a> {
    /// The id or the username of the account.
    pub name: &'a str,
    /// What the client made of the number.
    pub proposal: &'a [u8],
    /// The number, where the client says it: a signature of its hash does not tell it.
    pub number: Option<&'a Number>,
    /// The client's address.
    pub address: IpAddr,
}

impl Passwordless {
    /// Over what the wings share.
    pub(crate) fn new(core: Arc<Core>, accounts: Arc<Accounts>, tokens: Arc<Tokens>) -> Self {
        let key = core.vault.key("mutual challenges");
        Self {
            challenges: MutualChallenges::new(key),
            server_keys: ServerKeys::new(&core.vault, core.policy.mutual),
            pretence: core.vault.key("mutual challenges for nobody"),
            core,
            accounts,
            tokens,
        }
    }

    /// Keeps key pairs ready for new accounts, for as long as it is polled.
    pub(crate) async fn keep_ready(&self) {
        self.server_keys.keep_ready().await;
    }

    /// A challenge for the account of that name or id: a number under the server's private key for
    /// that account. For an account that does not exist, or has no such key, a challenge that looks
    /// and costs the same.
    ///
    /// # Errors
    /// When there were too many, or the store fails.
    pub async fn mutual_challenge(
        &self,
        name: &str,
        address: IpAddr,
    ) -> Result<Vec<u8>, ChallengeError> {
        let now = self.core.now();
        self.core.admit_login(address).await?;
        let random = &*self.core.ports.random;
        let found = self.account_named(name).await?.map(|account| account.id);
        let account = found.unwrap_or(NOBODY);
        let sealed = self.core.ports.store.server_key(account).await?;
        let Self { challenges, server_keys, pretence, .. } = self;
        let number = challenges.issue(account, random_bytes(random), self.core.epoch().id, now);
        if found.is_some() {
            let recent = &self.core.ports.state.recent_numbers;
            recent.remember(account, address.into(), number.clone(), now).await;
        }
        let key = match &sealed {
            Some(sealed) => server_keys.open(account, sealed)?,
            None => server_keys.stand_in(address.into(), random).await?,
        };
        let block = key.encrypt(number.as_str().as_bytes()).map_err(ServerKeyError::Raw)?;
        if sealed.is_some() {
            return Ok(block);
        }
        // An account looks the same by whichever of its names it is asked for.
        let name = found.map_or_else(|| name.to_ascii_lowercase(), |id| id.to_string());
        Ok(pretence::pretend(pretence, &name, random))
    }

    /// Logs in with a proposal. The token is bound to the key that signed it.
    ///
    /// # Errors
    /// The first rule that does not hold; unknown accounts and wrong proposals are one and the same
    /// refusal.
    pub async fn login_mutually(&self, login: MutualLogin<'_>) -> Result<Grant, MutualLoginError> {
        let now = self.core.now();
        self.core.admit_login(login.address).await?;
        let account = self.account_named(login.name).await?;
        let Some(account) = account else {
            stand_in_for_a_verification(Proposal::new(login.proposal));
            return Err(MutualLoginError::Refused);
        };
        let found = self.find_signer(login, account.id, now).await?;
        let (known, number) = found.ok_or(MutualLoginError::Refused)?;
        let credential = &known.credential;
        let result = self.grant_mutually(&account, credential, number, login.address, now).await;
        if let Err(error) = &result
            && let Some((kind, reason)) = error.event()
        {
            let event = AuditEvent::new(now, kind).account(account.id);
            let event = event.key(credential.thumbprint()).from(login.address);
            self.core.pending_events.note(event.because(reason).detail(error.to_string()));
        }
        result
    }

    /// Which key of `account` signed a number that was made for it and may still come back.
    async fn find_signer(
        &self,
        login: MutualLogin<'_>,
        account: AccountId,
        now: UnixTime,
    ) -> Result<Option<(Arc<KnownCredential>, Unspent<Number>)>, MutualLoginError> {
        let mut effort = Effort::new(&self.core, login.address);
        let proposal = Proposal::new(login.proposal);
        let mut live =
            self.core.credentials.of_account(account, self.core.up_to_date().await?, now).await?;
        live.retain(|known| known.may(Act::LogInMutually));
        let live = live.iter().filter(|known| proposal.may_be_by(&known.credential.public_key));
        let epoch = self.core.epoch().id;
        let recognise = |number: &Number| self.challenges.recognise(number, account, epoch, now);
        if login.number.is_none() {
            // A number that was signed in the raw form is in the proposal.
            let policy = self.mutual_key_policy();
            for known in live.clone() {
                let key = &known.credential.public_key;
                let is_good = key.rsa_bits().is_some() && key.meets(&policy).is_ok();
                if is_good
                    && let Some(_turn) = effort.afford(key, 1).await?
                    && let Some(number) = proposal.recover(key)
                {
                    return Ok(recognise(&number).map(|number| (Arc::clone(known), number)));
                }
            }
        }
        // One that was signed as a hash is the one that the client names, or must be among those
        // that were asked for from the same network.
        let numbers = if let Some(number) = login.number {
            vec![number.clone()]
        } else {
            self.core.ports.state.recent_numbers.recent(account, login.address.into()).await
        };
        for number in numbers {
            let Some(unspent) = recognise(&number) else { continue };
            for known in live.clone() {
                let key = &known.credential.public_key;
                if self.core.policy.admits(key)
                    && let Some(_turn) = effort.afford(key, Proposal::forms(key)).await?
                    && proposal.signs(&number, key)
                {
                    return Ok(Some((Arc::clone(known), unspent)));
                }
            }
        }
        if effort.is_unspent() {
            stand_in_for_a_verification(proposal);
        }
        Ok(None)
    }

    /// Which keys are good for mutual challenge and response.
    fn mutual_key_policy(&self) -> KeyPolicy {
        KeyPolicy {
            min_rsa_bits: self.core.policy.mutual.min_rsa_bits,
            ..self.core.policy.keys.clone()
        }
    }

    async fn grant_mutually(
        &self,
        account: &Account,
        credential: &Credential,
        number: Unspent<Number>,
        address: IpAddr,
        now: UnixTime,
    ) -> Result<Grant, MutualLoginError> {
        if credential.revoked_at.is_some() {
            return Err(MutualLoginError::Revoked);
        }
        if account.status != AccountStatus::Active {
            return Err(MutualLoginError::Disabled);
        }
        let login = pin!(async {
            self.core.ensure_signing_keys(now).await?;
            let thumbprint = credential.thumbprint();
            let event = AuditEvent::new(now, EventKind::LoginSucceeded);
            let record = LoginRecord {
                account_id: account.id,
                thumbprint,
                assertion: number.entry(),
                event: event.account(account.id).key(thumbprint).from(address),
                renewal: None,
            };
            let recorded = self.core.ports.store.record_login(record).await?;
            number.redeem(&recorded.receipt).ok_or(MutualLoginError::Used)?;
            let (binding, with) = (Some(Binding::to(thumbprint)), SignedWith::AccessTokenKey);
            let who = (account, AuthenticationContext::by_key(now));
            Ok(self.tokens.issue(Issuance::at_home(who, binding, with, &self.core), now)?)
        });
        self.core.counted_login(account.id, login).await
    }

    async fn account_named(&self, name: &str) -> Result<Option<Account>, StoreError> {
        // What is no name at all is looked up too, so that it costs what an unknown name costs.
        let name = name.parse().unwrap_or(AccountName::Id(NOBODY));
        self.core.ports.store.account(&name).await
    }
}

/// The work of a verification, for an account or a key that is not there.
fn stand_in_for_a_verification(proposal: Proposal<'_>) {
    let _ = proposal.recover(decoy(Algorithm::Rs256));
}

/// Why there is no challenge.
#[derive(Debug, Error)]
pub enum ChallengeError {
    /// There were too many.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The key pair for the account cannot be used.
    #[error(transparent)]
    ServerKey(#[from] ServerKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a proposal is refused.
#[derive(Debug, Error)]
pub enum MutualLoginError {
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// There were too many attempts.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// It is not the number of a fresh challenge for that account, signed by a key of that account.
    #[error("the proposal is not a fresh number of the named account, signed by its key")]
    Refused,
    /// The key is revoked.
    #[error("the key is revoked")]
    Revoked,
    /// No token could be signed.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The number was used before.
    #[error("the number was used before")]
    Used,
}

impl MutualLoginError {
    /// What the audit trail calls it, and why, if it is of consequence: the number was signed by a
    /// key of the account.
    const fn event(&self) -> Option<(EventKind, Reason)> {
        match self {
            Self::Used => Some((EventKind::ProofReplayed, Reason::UsedBefore)),
            Self::Disabled => Some((EventKind::LoginRefused, Reason::AccountDisabled)),
            Self::Revoked => Some((EventKind::LoginRefused, Reason::KeyRevoked)),
            Self::NotAdmitted(_) | Self::Refused | Self::SigningKey(_) | Self::Store(_) => None,
        }
    }
}

impl From<RecordLoginError> for MutualLoginError {
    fn from(error: RecordLoginError) -> Self {
        match error {
            RecordLoginError::AlreadyUsed => Self::Used,
            RecordLoginError::Forgotten => Self::Store(StoreError::Unavailable(Box::new(error))),
            RecordLoginError::NotLive => Self::Revoked,
            RecordLoginError::Store(error) => Self::Store(error),
        }
    }
}
