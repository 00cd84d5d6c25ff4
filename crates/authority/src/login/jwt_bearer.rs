//! Login: an assertion by a credential and a proof by the key to be bound become an access token.

use std::{borrow::Cow, net::IpAddr, pin::pin, sync::Arc};

use countersign_protocol::{
    AuthenticationContext, UnixTime, Unspent,
    keys::{PublicKey, Thumbprint},
    proofs::dpop::{DpopError, DpopProof, NonceRule},
    replay::ReplayOwner,
    tokens::assertion::{Assertion, AssertionUse},
};
use thiserror::Error;

use crate::{
    core::{
        credential_cache::KnownCredential,
        dpop::{PresentedDpop, ProofError},
    },
    keys::SigningKeyError,
    login::{
        Login,
        asked::{self, AskedError},
        assertion::{CallerError, ToVerify, VerifiedAssertion, names_account_of},
    },
    model::{
        account::Account,
        audit::{AuditEvent, EventKind, Reason},
        credential::Credential,
        credential_kind::{Act, NotForThisKind},
        limits::NotAdmitted,
    },
    ports::{LoginRecord, RecordLoginError, RecordedLogin, StoreError},
    tokens::issuance::{Binding, Grant, Issuance, SignedWith},
};

/// A request for an access token by the JWT bearer grant (RFC 7523 §2.1).
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// `assertion`.
    pub assertion: &'a str,
    /// `scope`; without one, the token gets all scopes of the account.
    pub scope: Option<&'a str>,
    /// All `resource` parameters (RFC 8707); without one, the token is for this server.
    pub resources: &'a [&'a str],
    /// `client_id`, which must name the account of the assertion, or the key that signed it.
    pub client_id: Option<&'a str>,
    /// `client_assertion`, which must be by the same account as the assertion.
    pub client_assertion: Option<&'a str>,
    /// The proof by the key that the token is to be bound to.
    pub proof: PresentedDpop<'a>,
    /// The client's address.
    pub address: IpAddr,
    /// What the client says about itself, which is kept of browsers.
    pub user_agent: Option<&'a [u8]>,
}

impl Login {
    /// Logs an account in.
    ///
    /// The proof is verified first, because a client that lacks a nonce must be told so before its
    /// assertion is used up. What can be used once is recorded last.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn login(&self, request: TokenRequest<'_>) -> Result<Grant, LoginError> {
        let now = self.core.now();
        self.core.admit_login(request.address).await?;
        let (proof, key) = self
            .core
            .verify_proof(&request.proof, NonceRule::Required(&self.core.nonces), now)
            .map_err(ProofError::from)?;
        let to_verify = ToVerify {
            assertion: request.assertion,
            purpose: AssertionUse::Grant,
            likely: Some(&key),
            address: request.address,
        };
        let verified = self.verify_assertion(to_verify, now).await?;
        let signer = Arc::clone(&verified.signer);
        let result = self.grant(&request, verified, proof, &key, now).await;
        if let Err(error) = &result
            && let Some((kind, reason)) = error.event()
        {
            let event = AuditEvent::new(now, kind).account(signer.account.id);
            let event = event.key(signer.credential.thumbprint()).from(request.address);
            self.core.pending_events.note(event.because(reason).detail(error.to_string()));
        }
        result
    }

    async fn grant(
        &self,
        request: &TokenRequest<'_>,
        VerifiedAssertion { assertion, signer }: VerifiedAssertion,
        proof: Unspent<DpopProof>,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<Grant, LoginError> {
        let credential = signer.credential.thumbprint();
        if request.client_id.is_some_and(|id| !names_account_of(id, &signer)) {
            return Err(LoginError::ClientId);
        }
        check_binding(assertion.peek(), &signer.credential, key.thumbprint())?;
        self.check_session_key(credential, key.thumbprint()).await?;
        let signer = self.with_latest_scopes(signer, request.scope).await?;
        asked::scopes(request.scope, &signer.account.scopes)?;
        let audience = asked::audience(request.resources, &self.core.policy)?;
        let login = pin!(async {
            self.core.ensure_signing_keys(now).await?;
            // Not of the account, whose share any key of a session can use up. Its logins have a limit.
            let owner = ReplayOwner::Network(request.address.into());
            let client = match request.client_assertion {
                // In a box of its own, or every login would carry the room that it needs.
                Some(text) => {
                    Some(Box::pin(self.verify_client(text, request, &signer, now)).await?)
                }
                None => None,
            };
            self.core.spend_proof(proof, owner, now).await?;
            if let Some(client) = client {
                let spent = self.core.ports.store.spend_assertion(client.entry()).await;
                let receipt = spent.map_err(CallerError::from)?;
                client.redeem(&receipt).ok_or(LoginError::Client(CallerError::Replayed))?;
            }
            let account = self.record_login(assertion, &signer, request, now).await?;
            let scopes = asked::scopes(request.scope, &account.scopes)?;
            let expiry = signer.credential.expiry.after_login(now, self.core.policy.browser_lives);
            let binding = Binding { credential, bound_to: key.thumbprint(), ends_at: expiry.at() };
            let issuance = Issuance {
                account: &account,
                login: AuthenticationContext::by_key(now),
                binding: Some(binding),
                audience,
                scopes,
                is_named: false,
                signed_with: SignedWith::AccessTokenKey,
            };
            Ok(self.tokens.issue(issuance, now)?)
        });
        self.core.counted_login(signer.account.id, login).await
    }

    /// Client credentials that are there must be good, though none are needed (RFC 7523 §3.1). They
    /// are spent with the rest.
    async fn verify_client(
        &self,
        text: &str,
        request: &TokenRequest<'_>,
        signer: &KnownCredential,
        now: UnixTime,
    ) -> Result<Unspent<Assertion>, LoginError> {
        self.core.admit_verifications(request.address, 1).await?;
        let to_verify = ToVerify {
            assertion: text,
            purpose: AssertionUse::ClientAuthentication,
            likely: None,
            address: request.address,
        };
        let verified = self.verify_assertion(to_verify, now).await;
        let VerifiedAssertion { assertion, signer: client } =
            verified.map_err(|error| match LoginError::from(error) {
                LoginError::Assertion(error) => LoginError::Client(error),
                error => error,
            })?;
        let is_same = client.account.id == signer.account.id;
        is_same.then_some(assertion).ok_or(LoginError::OtherClient)
    }

    /// A session key must not be a credential: revoking that would not reach the token, which
    /// stands and falls with the credential that vouched. That others claim the key, having never
    /// proven it, is nothing to its owner.
    async fn check_session_key(
        &self,
        credential: Thumbprint,
        bound_to: Thumbprint,
    ) -> Result<(), LoginError> {
        if bound_to == credential {
            return Ok(());
        }
        let is_taken = self.core.ports.store.is_taken(&bound_to).await?;
        if is_taken { Err(LoginError::SessionKey) } else { Ok(()) }
    }

    /// `signer`, read anew if it seems to lack a scope that is asked for: an administrator may have granted
    /// that a moment ago.
    async fn with_latest_scopes(
        &self,
        signer: Arc<KnownCredential>,
        asked: Option<&str>,
    ) -> Result<Arc<KnownCredential>, StoreError> {
        if asked.is_none_or(|asked| asked::scopes(Some(asked), &signer.account.scopes).is_ok()) {
            return Ok(signer);
        }
        let (thumbprint, current) = (signer.credential.thumbprint(), self.core.up_to_date().await?);
        let latest = self.core.credentials.read_anew(&thumbprint, current).await?;
        Ok(latest.unwrap_or(signer))
    }

    /// Returns the account with the scopes that it has when the login is recorded.
    async fn record_login<'s>(
        &self,
        assertion: Unspent<Assertion>,
        signer: &'s KnownCredential,
        request: &TokenRequest<'_>,
        now: UnixTime,
    ) -> Result<Cow<'s, Account>, LoginError> {
        let address = request.address;
        let (account_id, thumbprint) = (signer.account.id, signer.credential.thumbprint());
        let event = AuditEvent::new(now, EventKind::LoginSucceeded);
        let renewal = signer.renewal(now, request.user_agent, self.core.policy.browser_lives);
        let login = LoginRecord {
            account_id,
            thumbprint,
            assertion: assertion.entry(),
            event: event.account(account_id).key(thumbprint).from(address),
            renewal,
        };
        let is_renewed = login.renewal.is_some();
        let recorded = self.core.ports.store.record_login(login).await;
        if is_renewed {
            // It ends later now, also if the store has done it and failed to say so.
            self.core.credentials.forget(&thumbprint);
        }
        let RecordedLogin { receipt, scopes } = recorded?;
        assertion.redeem(&receipt).ok_or(LoginError::AssertionReplayed)?;
        if scopes == signer.account.scopes {
            return Ok(Cow::Borrowed(&signer.account));
        }
        self.core.credentials.forget(&thumbprint);
        Ok(Cow::Owned(Account { scopes, ..signer.account.clone() }))
    }
}

/// The key of the proof must be the credential itself, or a session key that it vouches for, if it is
/// of a kind that may.
fn check_binding(
    assertion: &Assertion,
    credential: &Credential,
    proof_key: Thumbprint,
) -> Result<(), LoginError> {
    let thumbprint = credential.thumbprint();
    let vouched = assertion.session_key.unwrap_or(thumbprint);
    if vouched != thumbprint {
        credential.kind.check(Act::VouchForKeys)?;
    }
    (vouched == proof_key).then_some(()).ok_or(LoginError::Binding)
}

/// Why a login is refused.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The token that is asked for is not to be had.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// The assertion is refused.
    #[error(transparent)]
    Assertion(CallerError),
    /// The assertion was used before.
    #[error("the assertion was used before")]
    AssertionReplayed,
    /// The proof is by a key that the assertion does not vouch for.
    #[error(
        "the proof is by another key: sign it with the asserting key, or name its thumbprint in cnf.jkt"
    )]
    Binding,
    /// `client_assertion` is refused.
    #[error(transparent)]
    Client(CallerError),
    /// `client_id` is somebody else.
    #[error("client_id names another account than the assertion")]
    ClientId,
    /// The credential is of a kind that may not name another key.
    #[error(transparent)]
    Kind(#[from] NotForThisKind),
    /// `client_assertion` is by somebody else.
    #[error("client_assertion is by another account than the assertion")]
    OtherClient,
    /// The proof is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many attempts.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The session key is a registered key.
    #[error("a session key must be a new key, not one that is registered")]
    SessionKey,
    /// No token could be signed.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// The event for the audit trail, and why, if the refusal is of consequence: the assertion was
    /// valid, so its sender is the owner or a thief.
    const fn event(&self) -> Option<(EventKind, Reason)> {
        let reason = match self {
            Self::AssertionReplayed | Self::Proof(ProofError::Replayed) => {
                return Some((EventKind::ProofReplayed, Reason::UsedBefore));
            }
            Self::Asked(_) => Reason::NotAllowed,
            Self::Assertion(error) | Self::Client(error) => error.reason(),
            Self::Binding => Reason::OtherKey,
            Self::ClientId | Self::OtherClient => Reason::OtherClient,
            Self::Kind(_) => Reason::WrongKind,
            Self::SessionKey => Reason::SessionKey,
            Self::Proof(_) | Self::NotAdmitted(_) | Self::SigningKey(_) | Self::Store(_) => {
                return None;
            }
        };
        Some((EventKind::LoginRefused, reason))
    }

    /// Whether the proof lacks a fresh nonce.
    pub const fn wants_nonce(&self) -> bool {
        matches!(self, Self::Proof(ProofError::Invalid(DpopError::Nonce)))
    }
}

impl From<CallerError> for LoginError {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::NotAdmitted(error) => Self::NotAdmitted(error),
            CallerError::Replayed => Self::AssertionReplayed,
            CallerError::Store(error) => Self::Store(error),
            CallerError::Assertion(_)
            | CallerError::ClientId
            | CallerError::Format(_)
            | CallerError::Key(_)
            | CallerError::Kind(_)
            | CallerError::Refused => Self::Assertion(error),
        }
    }
}

impl From<RecordLoginError> for LoginError {
    fn from(error: RecordLoginError) -> Self {
        CallerError::from(error).into()
    }
}
