//! Recovery: a user who has lost every key of an account, or its password, gets back into it with a
//! one-time code that an administrator has made for the account.
//!
//! The code stands for the administrator's word. So it is looked at before anything else, and until
//! it is found to be good every answer is the same, whether there is such an account or not. The new
//! key proves itself over the whole request: method and URL, which names server and account, and the
//! body, which has the code.

use std::net::IpAddr;

use countersign_protocol::{
    AccountId, UnixTime,
    digest::sha256,
    keys::{KeyError, PublicKey, Thumbprint},
    proofs::dpop::{DpopError, NonceRule},
};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::{
    accounts::Accounts,
    accounts::registration::PresentedKey,
    core::{
        dpop::{PresentedDpop, ProofError},
        password_hasher::{HashError, NO_PASSWORD, Secret},
    },
    model::{
        account::{Account, AccountName, AccountStatus, Username},
        audit::{AuditEvent, EventKind},
        credential::{Credential, InvalidLabel, Label},
        invitation::{CodeHash, Invitation, Purpose, RecoveryCode},
        limits::{LimitKey, NotAdmitted},
    },
    ports::{AccountRecovery, LONGEST_TOKEN, NewSecret, RecoverError, RevokedBefore, StoreError},
};

/// A request to recover an account.
#[derive(Clone, Copy)]
pub struct Recovery<'a> {
    /// Its username, id or fingerprint.
    pub name: &'a str,
    /// The one-time code.
    pub code: &'a str,
    /// The client's address.
    pub address: IpAddr,
}

/// A key that shall log in to the account from now on.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryKey<'a> {
    /// The key.
    pub public_key: PresentedKey<'a>,
    /// A name for it.
    pub label: Option<&'a str>,
    /// A proof by that very key. It must cover the body (`tha`).
    pub proof: PresentedDpop<'a>,
    /// The bytes of the body, the code among them.
    pub body: &'a [u8],
}

/// An account that somebody got back into.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its id.
    pub account_id: AccountId,
    /// Its name.
    pub username: Username,
    /// Its other keys that were revoked by that.
    pub revoked: Vec<Thumbprint>,
}

/// An administrator's word that somebody may get back into an account.
struct Permission {
    account: Account,
    code_hash: CodeHash,
    made_at: UnixTime,
    revoke_others: bool,
}

impl Accounts {
    /// Lets a new key log in to an account, by an administrator's word. Returns its thumbprint too.
    ///
    /// The proof need not carry a nonce, nor be new: used again, it would bring a code that is used up.
    ///
    /// # Errors
    /// The first rule that does not hold; nothing is used up then, least of all the code.
    pub async fn recover_with_key(
        &self,
        recovery: Recovery<'_>,
        key: RecoveryKey<'_>,
    ) -> Result<(Recovered, Thumbprint), RecoveryError> {
        let now = self.core.now();
        let permission = self.permission(&recovery, now).await?;
        let public_key = key.public_key.parse(&self.core.policy.keys)?;
        let label = match key.label {
            Some(label) => label.parse()?,
            None => Label::of_kind(&public_key),
        };
        self.prove_recovery(&key, &public_key, now)?;
        let thumbprint = public_key.thumbprint();
        let credential = Credential::new(permission.account.id, public_key, label, now);
        let event = permission.event("a new key", now).key(thumbprint).from(recovery.address);
        let recovered =
            self.recover(permission, NewSecret::Key(Box::new(credential)), event).await?;
        self.core.credentials.forget(&thumbprint);
        Ok((recovered, thumbprint))
    }

    /// Makes a new password for an account that has one, by an administrator's word. It is returned
    /// here and is kept nowhere.
    ///
    /// # Errors
    /// The first rule that does not hold; nothing is used up then, least of all the code.
    pub async fn recover_with_password(
        &self,
        recovery: Recovery<'_>,
    ) -> Result<(Recovered, Secret), RecoveryError> {
        let now = self.core.now();
        let permission = self.permission(&recovery, now).await?;
        if !self.has_password(&permission.account).await? {
            return Err(RecoveryError::NoPassword);
        }
        let (password, hash) = self.core.make_password(recovery.address).await?;
        let event = permission.event("a new password", now).from(recovery.address);
        let recovered = self.recover(permission, NewSecret::Password(hash), event).await?;
        Ok((recovered, password))
    }

    /// Checks the code. Nobody can guess 128 bits, so a right code counts against no allowance,
    /// which others in the same network could have used up. Wrong codes have an allowance of their
    /// own; beyond it they leave no entry in the audit trail.
    async fn permission(
        &self,
        recovery: &Recovery<'_>,
        now: UnixTime,
    ) -> Result<Permission, RecoveryError> {
        let account = match recovery.name.parse::<AccountName>() {
            Ok(name) => self.core.ports.store.account(&name).await?,
            Err(_) => None,
        };
        let account_id = account.as_ref().map(|account| account.id);
        if let Some(permission) = self.find_permission(account, recovery.code, now).await? {
            return Ok(permission);
        }
        let guesser = LimitKey::Network(recovery.address.into());
        self.core.take(|limits| &limits.recovery_failures, guesser).await?;
        let mut event = AuditEvent::new(now, EventKind::RecoveryRefused).from(recovery.address);
        event.account_id = account_id;
        self.core.pending_events.note(event.detail(RecoveryError::CodeUnusable.to_string()));
        Err(RecoveryError::CodeUnusable)
    }

    async fn find_permission(
        &self,
        account: Option<Account>,
        code: &str,
        now: UnixTime,
    ) -> Result<Option<Permission>, StoreError> {
        let account = account.filter(|account| account.status == AccountStatus::Active);
        let made = match &account {
            Some(account) => self.core.ports.store.recovery(&account.username).await?,
            None => None,
        };
        // A text that is no code, and an account without a code, go through the same comparison.
        let presented = RecoveryCode::parse(code).map_or([0; 32], |code| code.hash().0);
        let kept = made.as_ref().map_or([0xff; 32], |made| made.code_hash.0);
        let is_right: bool = presented.ct_eq(&kept).into();
        let made = made.filter(|made| is_right && made.is_usable(now));
        Ok(account.zip(made).and_then(|(account, made)| Permission::of(account, &made)))
    }

    /// Possession: the proof must be by the new key, and for this body. It is not recorded in the
    /// replay log, whose places others in the same network could have used up: it cannot be
    /// replayed anyway, because the code in the body works once and the URL names this account.
    fn prove_recovery(
        &self,
        key: &RecoveryKey<'_>,
        public_key: &PublicKey,
        now: UnixTime,
    ) -> Result<(), RecoveryError> {
        let rule = NonceRule::IfPresent(&self.core.nonces);
        let (proof, signer) =
            self.core.verify_proof(&key.proof, rule, now).map_err(ProofError::from)?;
        if signer.thumbprint() != public_key.thumbprint() {
            return Err(ProofError::from(DpopError::OtherKey).into());
        }
        let covered = proof.peek().body_hash.ok_or(RecoveryError::BodyUnsigned)?;
        (covered == sha256(&[key.body])).then_some(()).ok_or(RecoveryError::OtherBody)
    }

    async fn has_password(&self, account: &Account) -> Result<bool, StoreError> {
        if self.core.policy.passwords.is_none() {
            return Ok(false);
        }
        let known = self.core.ports.store.password(&AccountName::Id(account.id)).await?;
        Ok(known.is_some_and(|(_, hash)| hash != NO_PASSWORD))
    }

    async fn recover(
        &self,
        Permission { account, code_hash, revoke_others, .. }: Permission,
        secret: NewSecret,
        event: AuditEvent,
    ) -> Result<Recovered, RecoveryError> {
        let max_keys = self.core.policy.max_keys_per_account;
        let ends_tokens = revoke_others || matches!(secret, NewSecret::Password(_));
        let Account { id: account_id, username, .. } = account;
        let recovery = AccountRecovery { account_id, code_hash, secret, max_keys, event };
        let outcome = self.core.ports.store.recover(recovery).await;
        if matches!(outcome, Err(RecoverError::Store(_))) {
            // The store may have done it and failed to say so.
            self.core.credentials.forget_all();
        }
        if matches!(outcome, Ok(_) | Err(RecoverError::Store(_))) {
            self.core.credentials.forget_keys_of(account_id);
            if ends_tokens {
                // The clock is read again, so that tokens issued while the store worked are covered
                // too.
                let issued_at = self.core.now();
                let before = RevokedBefore { issued_at, expires_at: issued_at + LONGEST_TOKEN };
                self.core.revoked.end_account(account_id, before);
            }
            self.core.feed.forget();
        }
        let revoked = outcome?;
        for key in &revoked {
            self.core.credentials.forget(key);
        }
        Ok(Recovered { account_id, username, revoked })
    }
}

impl Permission {
    fn of(account: Account, made: &Invitation) -> Option<Self> {
        let Purpose::Recover { revoke_others } = made.purpose else { return None };
        let (code_hash, made_at) = (made.code_hash, made.created_at);
        Some(Self { account, code_hash, made_at, revoke_others })
    }

    /// That `what` was given to the account.
    fn event(&self, what: &str, now: UnixTime) -> AuditEvent {
        let others = if self.revoke_others { "; everything else is revoked" } else { "" };
        let event = AuditEvent::new(now, EventKind::RecoveryUsed).account(self.account.id);
        event.detail(format!(
            "{what}, by the code that an administrator made {} min before{others}",
            now.since(self.made_at).as_secs() / 60
        ))
    }
}

/// Why somebody does not get back into an account.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The proof does not cover the body.
    #[error(
        "the proof does not cover the body: put its SHA-256, in lower-case hexadecimal, into the claim tha"
    )]
    BodyUnsigned,
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] HashError),
    /// The code is malformed, unknown, used, expired, or for another account; or there is no such
    /// account, or it is disabled.
    #[error("the recovery code does not work for that account")]
    CodeUnusable,
    /// The key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key belongs to an account already.
    #[error("the key is registered already")]
    KeyTaken,
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The account has as many live keys as it may.
    #[error(
        "the account has as many keys as it may have: let an administrator revoke one, or make a code \
         with --revoke-others"
    )]
    LimitReached,
    /// The account has no password, or this server accepts none.
    #[error("the account has no password: recover it with a key")]
    NoPassword,
    /// The proof is for another body.
    #[error("the claim tha of the proof does not match the body")]
    OtherBody,
    /// The proof of possession is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many wrong codes from this network, and this code is wrong as well.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RecoverError> for RecoveryError {
    fn from(error: RecoverError) -> Self {
        match error {
            // Another request with the same code was faster.
            RecoverError::CodeUnusable => Self::CodeUnusable,
            RecoverError::KeyTaken => Self::KeyTaken,
            RecoverError::LimitReached => Self::LimitReached,
            RecoverError::Store(error) => Self::Store(error),
        }
    }
}
