//! Passwords: accounts that have one instead of a key, and the tokens that they get for it.

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Waker},
};

use countersign_protocol::{
    AuthenticationContext, UnixTime, ports::Clock, proofs::dpop::NonceRule, replay::ReplayOwner,
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::{
    accounts::{
        Accounts,
        enrolment::{Application, Cost, Factor},
        registration_error::RegistrationError,
    },
    core::{
        Core,
        dpop::{PresentedDpop, ProofError},
        password_hasher::{HashError, Secret},
    },
    keys::SigningKeyError,
    model::{
        account::{Account, AccountName, AccountStatus},
        audit::{AuditEvent, EventKind, Means, Reason},
        email::{Email, InvalidEmail},
        limits::{LimitKey, NotAdmitted},
    },
    ports::{PasswordLogin, Ports, StoreError, WindowLimiter},
    tokens::{
        Tokens,
        issuance::{Binding, Grant, Issuance, SignedWith},
    },
};

/// A longer password is not one, and costs no hash.
const MAX_PASSWORD: usize = 256;

/// Accounts with passwords, and the tokens that they get.
pub struct JwksServer {
    core: Arc<Core>,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
}

/// An attempt to log in with a password. Dropped, it is answered.
pub struct PasswordAttempt {
    key: LimitKey,
    limiter: Arc<dyn WindowLimiter>,
    clock: Arc<dyn Clock>,
}

impl PasswordAttempt {
    async fn begin(key: LimitKey, ports: &Ports) -> Result<Self, NotAdmitted> {
        ports.state.window_limiter.enter(key, ports.clock.monotonic()).await?;
        let (limiter, clock) = (Arc::clone(&ports.state.window_limiter), Arc::clone(&ports.clock));
        Ok(Self { key, limiter, clock })
    }
}

impl Drop for PasswordAttempt {
    fn drop(&mut self) {
        let (limiter, key, now) = (Arc::clone(&self.limiter), self.key, self.clock.monotonic());
        let mut noted = Box::pin(async move { limiter.answered(key, now).await });
        // In memory it is noted at once. Where others count along, they are told, and nobody waits for that.
        let is_pending = noted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        if is_pending && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(noted);
        }
    }
}

/// A request for an account with a password.
#[derive(Clone, Copy, Debug)]
pub struct PasswordRegistration<'a> {
    /// The name that is asked for.
    pub username: &'a str,
    /// The address that the account is known by.
    pub email: &'a str,
    /// The one-time code of an invitation.
    pub enrolment_code: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// A login with a password.
#[derive(Clone, Copy)]
pub struct PasswordRequest<'a> {
    /// Username, account id or fingerprint.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// The proof by the key that the token is to be bound to, if it is to be bound.
    pub proof: Option<PresentedDpop<'a>>,
    /// Whether the token is to be born expired, for verifiers to be tested with.
    pub expired: bool,
    /// The client's address.
    pub address: IpAddr,
}

impl JwksServer {
    /// Over what the wings share.
    pub(crate) const fn new(core: Arc<Core>, accounts: Arc<Accounts>, tokens: Arc<Tokens>) -> Self {
        Self { core, accounts, tokens }
    }

    /// Registers an account with a password that is made for it, and returns the password: a
    /// UUIDv4, which is kept nowhere.
    ///
    /// # Errors
    /// The first rule that does not hold; then nothing has changed.
    pub async fn register_with_password(
        &self,
        registration: PasswordRegistration<'_>,
    ) -> Result<Secret, PasswordRegistrationError> {
        let now = self.core.now();
        let PasswordRegistration { username, enrolment_code, address, .. } = registration;
        let application = Application { username, enrolment_code, address, cost: Cost::High };
        let admitted = self.accounts.admit(application, now).await?;
        let email: Email = registration.email.parse()?;
        // The cheap answer first; the store has the last word.
        self.accounts.check_name_untaken(&admitted.username).await?;
        let (password, hash) = self.core.make_password(address).await?;
        let enrolled = self.accounts.enrol(admitted, Factor::Password { email, hash }).await;
        enrolled.map_err(RegistrationError::from)?;
        Ok(password)
    }

    /// Counts an attempt to log in with a password: at most ten within any one second for each
    /// client network. The result must be held until the attempt is answered.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_password(
        &self,
        address: IpAddr,
    ) -> Result<Option<PasswordAttempt>, NotAdmitted> {
        let limited = self.core.policy.passwords.is_some_and(|policy| policy.rate_limit);
        let key = LimitKey::Network(address.into());
        let begin = PasswordAttempt::begin(key, &self.core.ports);
        let attempt = if limited { Some(begin.await?) } else { None };
        self.core.admit_login(address).await?;
        Ok(attempt)
    }

    /// Exchanges a password for a token, and says whose it is. [`Self::admit_password`] comes before it.
    ///
    /// A wrong password and an unknown name get the same answer, after one hash. A proof is
    /// verified first, because a client without a nonce must be told so before it costs a hash; the
    /// proof is used up last.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn login_with_password(
        &self,
        request: PasswordRequest<'_>,
    ) -> Result<Grant, PasswordError> {
        let now = self.core.now();
        let proof = request.proof.map(|presented| {
            let rule = NonceRule::Required(&self.core.nonces);
            self.core.verify_proof(&presented, rule, now).map_err(ProofError::from)
        });
        let proof = proof.transpose()?;
        self.core.ensure_signing_keys(now).await?;
        let (account, password_hash) = self.check_password(&request, now).await?;
        let binding = match proof {
            Some((proof, key)) => {
                let owner = ReplayOwner::account(account.id, Some(request.address.into()));
                let key = key.thumbprint();
                let prover = self.core.prover(&key).await?;
                self.core.spend_proof(proof, owner, now).await?;
                let ends_at = prover.and_then(|known| known.credential.expires_at());
                Some(Binding::to(key).until(ends_at))
            }
            None => None,
        };
        let mut event = AuditEvent::new(now, EventKind::LoginSucceeded).account(account.id);
        event.thumbprint = binding.map(|binding| binding.bound_to);
        let event = event.from(request.address).detail("password").by_means(Means::Password);
        let (account_id, address) = (account.id, request.address);
        let login = PasswordLogin { account_id, password_hash, address, event };
        // The password may have been replaced while it was compared.
        if !self.core.ports.store.record_password_login(login).await? {
            return Err(PasswordError::Refused);
        }
        // Bound, its credential is the key that it is bound to: the account logged in with no other.
        let with = SignedWith::PasswordTokenKey { expired: request.expired };
        let who = (&account, AuthenticationContext::by_password(now));
        let issuance = Issuance::at_home(who, binding, with, &self.core);
        Ok(self.tokens.issue(issuance, now)?)
    }

    /// How many passwords have been hashed, to be compared or kept.
    pub fn password_hashes(&self) -> u64 {
        self.core.passwords.runs()
    }

    /// The account, and the stored hash of its password.
    async fn check_password(
        &self,
        request: &PasswordRequest<'_>,
        now: UnixTime,
    ) -> Result<(Account, String), PasswordError> {
        if request.password.is_empty() || request.password.len() > MAX_PASSWORD {
            return Err(PasswordError::Refused);
        }
        let known = match request.name.parse::<AccountName>() {
            Ok(name) => self.core.ports.store.password(&name).await?,
            Err(_) => None,
        };
        let hash = known.as_ref().map(|(_, hash)| hash.as_str());
        let is_right = self
            .core
            .passwords
            .verify(request.password.as_bytes(), hash, self.core.asker(request.address))
            .await?;
        let Some((account, hash)) = known else { return Err(PasswordError::Refused) };
        if is_right && account.status == AccountStatus::Active {
            return Ok((account, hash));
        }
        let refused = |kind| AuditEvent::new(now, kind).account(account.id).from(request.address);
        self.core.pending_events.note(if is_right {
            let event = refused(EventKind::LoginRefused).because(Reason::AccountDisabled);
            event.detail("the account is disabled")
        } else {
            refused(EventKind::PasswordRefused).detail("wrong password")
        });
        Err(PasswordError::Refused)
    }
}

/// Why an account with a password is refused.
#[derive(Debug, Error)]
pub enum PasswordRegistrationError {
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] HashError),
    /// The e-mail address is not one.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// A rule of every registration.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

/// Why a login with a password is refused.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Too many passwords are being hashed.
    #[error(transparent)]
    Busy(#[from] HashError),
    /// The proof is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Name or password is wrong, or the account is disabled.
    #[error("wrong username or password")]
    Refused,
    /// No token could be signed.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
