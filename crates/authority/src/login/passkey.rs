//! Login with a passkey: its answer to a challenge becomes a token that is bound to the key of the
//! browser, and the browser may be remembered.

use std::{net::IpAddr, pin::pin};

use countersign_protocol::{
    AuthenticationContext, Scopes, UnixTime, Unspent,
    challenges::passkeys::Expected,
    keys::{PublicKey, Thumbprint},
    proofs::dpop::{DpopError, DpopProof, NonceRule},
    replay::ReplayOwner,
};
use thiserror::Error;

use crate::{
    core::{
        credential_cache::KeyHolder,
        dpop::{PresentedDpop, ProofError},
    },
    keys::SigningKeyError,
    login::{
        Login,
        asked::{self, AskedError},
        assertion::names_account,
    },
    model::{
        account::Account,
        audit::{AuditEvent, EventKind, Fact, Reason},
        credential::{Credential, InvalidLabel, Label, Remember},
        credential_kind::CredentialKind,
        limits::NotAdmitted,
        user_agent::UserAgent,
    },
    passkeys::answer::{AnswerError, PresentedAnswer, VerifiedAnswer},
    ports::{
        BrowserError, KeyLimits, LoginRecord, NewBrowser, RecordLoginError, SignIn, SignInError,
        SignedIn, StoreError,
    },
    tokens::issuance::{Binding, Grant, Issuance, SignedWith},
};

/// A request for an access token by the answer of a passkey.
#[derive(Clone, Copy, Debug)]
pub struct PasskeyTokenRequest<'a> {
    /// `assertion`: an `AuthenticationResponseJSON`, as base64url of its text.
    pub answer: &'a str,
    /// `scope`; without one, the token gets all scopes of the account.
    pub scope: Option<&'a str>,
    /// All `resource` parameters (RFC 8707); without one, the token is for this server.
    pub resources: &'a [&'a str],
    /// `client_id`, which must name the account of the passkey, or its key.
    pub client_id: Option<&'a str>,
    /// For how long the browser is to be remembered, if it is.
    pub remember: Option<Remember>,
    /// A name for the browser.
    pub label: Option<&'a str>,
    /// The proof by the key of the browser.
    pub proof: PresentedDpop<'a>,
    /// The client's address.
    pub address: IpAddr,
    /// What the client says about itself.
    pub user_agent: Option<&'a [u8]>,
}

impl Login {
    /// Logs an account in with a passkey.
    ///
    /// The order is that of [`login`](Self::login): what can be used once is recorded last, so a
    /// browser whose proof lacks a nonce, or somebody with another key, uses nothing up.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn login_with_passkey(
        &self,
        request: PasskeyTokenRequest<'_>,
    ) -> Result<Grant, PasskeyLoginError> {
        let now = self.core.now();
        self.core.admit_login(request.address).await?;
        let (proof, key) = self
            .core
            .verify_proof(&request.proof, NonceRule::Required(&self.core.nonces), now)
            .map_err(ProofError::from)?;
        let presented = PresentedAnswer {
            text: request.answer,
            wanted: Expected::SignIn,
            key: key.thumbprint(),
            address: request.address,
        };
        let verified = self.passkeys.verify_answer(presented, now).await?;
        let (account, passkey) = (verified.known.account.id, verified.used.thumbprint);
        let result = self.grant_to_passkey(&request, verified, proof, &key, now).await;
        if let Err(error) = &result
            && let Some(kind) = error.event_kind()
        {
            let event = AuditEvent::new(now, kind).account(account).key(passkey);
            let event = event.from(request.address).detail(error.to_string());
            self.core.pending_events.note(event.because(error.reason()));
        }
        result
    }

    async fn grant_to_passkey(
        &self,
        request: &PasskeyTokenRequest<'_>,
        answer: VerifiedAnswer,
        proof: Unspent<DpopProof>,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<Grant, PasskeyLoginError> {
        let account = &answer.known.account;
        let passkey = answer.used.thumbprint;
        if request.client_id.is_some_and(|id| !names_account(id, account, passkey)) {
            return Err(PasskeyLoginError::ClientId);
        }
        let ends_at = self.check_browser_key(&answer, key.thumbprint(), now).await?;
        asked::scopes(request.scope, &account.scopes)?;
        let audience = asked::audience(request.resources, &self.core.policy)?;
        let browser = self.browser_to_remember(request, &answer, key, now)?;
        let login = pin!(async {
            let is_new = browser.is_some() && ends_at.is_none();
            let ends_at = match &browser {
                Some(new) => new.credential.expires_at(),
                None => ends_at,
            };
            self.core.ensure_signing_keys(now).await?;
            // Not of the account, whose share any key of a session can use up. Its logins have a limit.
            let owner = ReplayOwner::Network(request.address.into());
            self.core.spend_proof(proof, owner, now).await?;
            if is_new {
                // It makes the database grow as every other key does.
                self.core.admit_key_change(account.id, request.address).await?;
            }
            let recorded = self.record_passkey_login(request, &answer, browser, now).await;
            if is_new {
                self.core.settle_key_change((account.id, request.address), &recorded).await;
            }
            let account = Account { scopes: recorded?, ..account.clone() };
            let scopes = asked::scopes(request.scope, &account.scopes)?;
            let issuance = Issuance {
                account: &account,
                login: AuthenticationContext::by_passkey(now, answer.known.passkey.storage()),
                binding: Some(Binding { credential: passkey, bound_to: key.thumbprint(), ends_at }),
                audience,
                scopes,
                is_named: false,
                signed_with: SignedWith::AccessTokenKey,
            };
            Ok(self.tokens.issue(issuance, now)?)
        });
        self.core.counted_login(account.id, login).await
    }

    /// Sees that the key that the token is bound to is nobody's, or the key of a browser of this account.
    /// With it the token is revoked, so it must not be the key of something else. Returns when the
    /// browser ends by itself, if it is remembered.
    async fn check_browser_key(
        &self,
        answer: &VerifiedAnswer,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, PasskeyLoginError> {
        let known = match self.core.credentials.holder(&key, self.core.up_to_date().await?).await? {
            KeyHolder::Nobody => return Ok(None),
            KeyHolder::Credential(known) => known,
            KeyHolder::Gone => return Err(PasskeyLoginError::BrowserKey),
        };
        let is_browser = known.credential.kind == CredentialKind::Browser;
        let is_own = known.is_live(now) && known.account.id == answer.known.account.id;
        if is_browser && is_own {
            Ok(known.credential.expires_at())
        } else {
            Err(PasskeyLoginError::BrowserKey)
        }
    }

    /// The browser as a credential, if it is to be remembered.
    fn browser_to_remember(
        &self,
        request: &PasskeyTokenRequest<'_>,
        answer: &VerifiedAnswer,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<Option<NewBrowser>, PasskeyLoginError> {
        let user_agent = request.user_agent.and_then(UserAgent::of);
        let label = match request.label {
            Some(label) => label.parse()?,
            None => Label::of_browser(user_agent.as_ref()),
        };
        let Some(remember) = request.remember else { return Ok(None) };
        let (policy, account) = (&self.core.policy, answer.known.account.id);
        let credential = Credential {
            added_by: Some(answer.used.thumbprint),
            user_agent,
            // It has signed the proof of this very request.
            last_used_at: Some(now),
            last_address: Some(request.address),
            ..Credential::new(account, key.clone(), label, now)
        };
        let event = AuditEvent::new(now, EventKind::KeyAdded).account(account);
        let event = event.key(key.thumbprint()).from(request.address);
        Ok(Some(NewBrowser {
            credential: Box::new(credential.in_browser(remember, policy.browser_lives)),
            limits: KeyLimits {
                live: policy.max_browsers_per_account,
                revoked: policy.max_revoked_keys_per_account,
                password_token_of: None,
            },
            event: event
                .detail(format!("by {}", answer.used.thumbprint))
                .fact(Fact::By, answer.used.thumbprint.to_string()),
        }))
    }

    /// Returns the scopes of the account as they are when the login is recorded.
    async fn record_passkey_login(
        &self,
        request: &PasskeyTokenRequest<'_>,
        answer: &VerifiedAnswer,
        remember: Option<NewBrowser>,
        now: UnixTime,
    ) -> Result<Scopes, PasskeyLoginError> {
        let (account, passkey) = (answer.known.account.id, answer.used.thumbprint);
        let event = AuditEvent::new(now, EventKind::LoginSucceeded).account(account);
        let login = LoginRecord {
            account_id: account,
            thumbprint: passkey,
            assertion: answer.challenge.entry(),
            event: event.key(passkey).from(request.address),
            renewal: None,
        };
        let browser = remember.as_ref().map(|browser| browser.credential.thumbprint());
        let recorded = self
            .core
            .ports
            .store
            .sign_in(SignIn { login, passkey: Some(answer.used), remember })
            .await;
        if let Some(browser) = browser {
            // Also after a failure: the store may have done it and failed to say so.
            self.core.credentials.forget(&browser);
            self.core.credentials.forget_keys_of(account);
        }
        let SignedIn { scopes, revoked, .. } = recorded?;
        self.tokens.note_revoked(&revoked);
        Ok(scopes)
    }
}

/// Why a login with a passkey is refused.
#[derive(Debug, Error)]
pub enum PasskeyLoginError {
    /// The answer of the passkey does not count.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The token that is asked for is not to be had.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// The browser cannot be remembered.
    #[error(transparent)]
    Browser(BrowserError),
    /// The proof is by a key that is registered, and not as the key of a browser of this account.
    #[error(
        "the proof is by a key that is registered, or was: the key of a browser is a new one, or one \
         that this account remembers"
    )]
    BrowserKey,
    /// `client_id` is somebody else.
    #[error("client_id names another account than the passkey's")]
    ClientId,
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The proof is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many attempts.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// No token could be signed.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PasskeyLoginError {
    /// The event for the audit trail, if the passkey has answered and no event was written yet.
    const fn event_kind(&self) -> Option<EventKind> {
        match self {
            Self::Answer(AnswerError::ChallengeUsed) | Self::Proof(ProofError::Replayed) => {
                Some(EventKind::ProofReplayed)
            }
            Self::Answer(AnswerError::CounterRegressed) => Some(EventKind::PasskeyCounterRegressed),
            Self::Answer(_)
            | Self::Asked(_)
            | Self::Browser(_)
            | Self::BrowserKey
            | Self::ClientId => Some(EventKind::LoginRefused),
            Self::Label(_)
            | Self::Proof(_)
            | Self::NotAdmitted(_)
            | Self::SigningKey(_)
            | Self::Store(_) => None,
        }
    }

    /// What the audit trail says of it to programs.
    const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Answer(error) => error.reason(),
            Self::Asked(_) => Some(Reason::NotAllowed),
            Self::Browser(BrowserError::KeyTaken) | Self::BrowserKey => Some(Reason::BrowserKey),
            Self::Browser(BrowserError::TooManyRevoked { .. }) => Some(Reason::TooManyRevoked),
            Self::ClientId => Some(Reason::OtherClient),
            Self::Proof(ProofError::Replayed) => Some(Reason::UsedBefore),
            Self::Label(_)
            | Self::Proof(_)
            | Self::NotAdmitted(_)
            | Self::SigningKey(_)
            | Self::Store(_) => None,
        }
    }

    /// Whether the proof lacks a fresh nonce.
    pub const fn wants_nonce(&self) -> bool {
        matches!(self, Self::Proof(ProofError::Invalid(DpopError::Nonce)))
    }
}

impl From<SignInError> for PasskeyLoginError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Browser(error) => Self::Browser(error),
            SignInError::CounterRegressed => Self::Answer(AnswerError::CounterRegressed),
            SignInError::Login(RecordLoginError::AlreadyUsed) => {
                Self::Answer(AnswerError::ChallengeUsed)
            }
            SignInError::Login(error @ RecordLoginError::Forgotten) => {
                Self::Store(StoreError::Unavailable(Box::new(error)))
            }
            SignInError::Login(RecordLoginError::NotLive) => Self::Answer(AnswerError::NotLive),
            SignInError::Login(RecordLoginError::Store(error)) => Self::Store(error),
        }
    }
}
