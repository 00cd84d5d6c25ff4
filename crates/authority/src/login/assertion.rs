//! Assertions by credentials: the step that logins and calls to other endpoints share.

use std::{net::IpAddr, sync::Arc};

use countersign_protocol::{
    UnixTime, Unspent,
    keys::{BadSignature, KeyError, PublicKey, Thumbprint, decoy},
    tokens::{
        assertion::{
            Assertion, AssertionError, AssertionExpectations, AssertionUse, PresentedAssertion,
        },
        jws::JwsError,
    },
};
use thiserror::Error;

use crate::{
    core::credential_cache::KnownCredential,
    login::Login,
    model::{
        account::Account,
        audit::{AuditEvent, EventKind, Reason},
        credential_kind::{Act, NotForThisKind},
        limits::NotAdmitted,
    },
    ports::{RecordLoginError, StoreError},
};

/// The assertion by which a client authenticates itself to an endpoint (RFC 7523 §2.2).
#[derive(Clone, Copy, Debug)]
pub struct CallerAuthentication<'a> {
    /// `client_assertion`.
    pub assertion: &'a str,
    /// `client_id`, which must name the same account as the assertion: by id, username, fingerprint or
    /// the key's thumbprint.
    pub client_id: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// An account that has authenticated itself for one call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
}

/// An assertion to be verified.
#[derive(Clone, Copy)]
pub(crate) struct ToVerify<'a> {
    pub(crate) assertion: &'a str,
    pub(crate) purpose: AssertionUse,
    /// A key that probably signed it.
    pub(crate) likely: Option<&'a PublicKey>,
    /// The client's address.
    pub(crate) address: IpAddr,
}

/// An assertion that verified, and the credential that signed it.
pub(crate) struct VerifiedAssertion {
    pub(crate) assertion: Unspent<Assertion>,
    pub(crate) signer: Arc<KnownCredential>,
}

impl Login {
    /// Authenticates the caller of an endpoint by `private_key_jwt`.
    ///
    /// # Errors
    /// The first rule that does not hold; the assertion is not used up then.
    pub async fn authenticate_caller(
        &self,
        presented: CallerAuthentication<'_>,
    ) -> Result<Caller, CallerError> {
        let now = self.core.now();
        self.core.admit_login(presented.address).await?;
        let to_verify = ToVerify {
            assertion: presented.assertion,
            purpose: AssertionUse::ClientAuthentication,
            likely: None,
            address: presented.address,
        };
        let verified = self.verify_assertion(to_verify, now).await?;
        let VerifiedAssertion { assertion, signer } = verified;
        let account = signer.account.clone();
        if presented.client_id.is_some_and(|id| !names_account_of(id, &signer)) {
            return Err(CallerError::ClientId);
        }
        let receipt = self.core.ports.store.spend_assertion(assertion.entry()).await?;
        assertion.redeem(&receipt).ok_or(CallerError::Replayed)?;
        Ok(Caller { account })
    }

    /// Verifies an assertion by a live credential of the account that it names.
    ///
    /// Unknown account, foreign key and wrong signature give one answer, after a verification. How
    /// many keys it is compared with, so that the time of the answer, is no secret: names and public
    /// keys are public.
    pub(crate) async fn verify_assertion(
        &self,
        ToVerify { assertion: text, purpose, likely, address }: ToVerify<'_>,
        now: UnixTime,
    ) -> Result<VerifiedAssertion, CallerError> {
        let presented = PresentedAssertion::parse(text)?;
        let token_endpoint = self.core.policy.token_endpoint();
        let expected = AssertionExpectations {
            purpose,
            issuer: self.core.policy.issuer(),
            token_endpoint: &token_endpoint,
            max_lifetime: self.core.policy.tokens.max_assertion_lifetime,
            skew: self.core.policy.skew,
        };
        let act = act_of(purpose);
        let candidates = self.candidates(&presented, likely, act, now).await?;
        let keys = || candidates.iter().map(|known| &known.credential.public_key);
        if !keys().any(|key| presented.may_be_by(key)) {
            // The work of a verification, for an account or a key that is not there.
            let stand_in = decoy(presented.algorithm());
            let _ = presented.verify_signature([likely.unwrap_or(stand_in)]);
            return Err(CallerError::Refused);
        }
        // One of them was counted with the login.
        self.core.admit_verifications(address, presented.cost(keys()) - 1).await?;
        let turn = self.core.comparisons.turn(candidates.len()).await;
        let signed = presented.verify_signature(keys());
        drop(turn);
        let signed = signed.map_err(|BadSignature| CallerError::Refused)?;
        let is_it =
            |known: &&Arc<KnownCredential>| known.credential.thumbprint() == signed.signer();
        let signer = candidates.iter().find(is_it).ok_or(CallerError::Refused)?;
        let error = match signed.check(&expected, now) {
            Ok(assertion) if signer.is_live(now) && signer.may(act) => {
                return Ok(VerifiedAssertion { assertion, signer: Arc::clone(signer) });
            }
            Ok(_) => {
                signer.credential.kind.check(act).err().map_or(CallerError::Refused, Into::into)
            }
            Err(error) => error.into(),
        };
        self.note_refused_login(signer, &error, address, now);
        Err(error)
    }

    /// The credentials that can have signed: the one that `kid` names, or else `likely` if it
    /// belongs to the account, or else all live credentials of the account that may do `act`, the most
    /// recently used first. A revoked credential that `kid` names is included, because its use is worth an entry
    /// in the audit trail.
    async fn candidates(
        &self,
        presented: &PresentedAssertion<'_>,
        likely: Option<&PublicKey>,
        act: Act,
        now: UnixTime,
    ) -> Result<Vec<Arc<KnownCredential>>, CallerError> {
        let Some(subject) = presented.subject() else { return Ok(Vec::new()) };
        let current = self.core.up_to_date_at(now).await?;
        let belongs = |known: &Arc<KnownCredential>| names_account_of(subject, known);
        let named = presented.kid()?.or(subject.parse().ok());
        // Where a key is named, no other can have signed.
        if let Some(thumbprint) = named.or_else(|| likely.map(PublicKey::thumbprint))
            && let Some(known) =
                self.core.credentials.get(&thumbprint, current).await?.filter(belongs)
        {
            known.credential.public_key.meets(&self.core.policy.keys)?;
            return Ok(vec![known]);
        }
        let Some(id) = self.core.account_id_of(subject).await? else { return Ok(Vec::new()) };
        let mut all = self.core.live_keys(id, act, now).await?;
        if let Some(named) = named {
            // No proven credential of the account, so it can only be a claimed one.
            all.retain(|known| known.credential.thumbprint() == named);
        }
        Ok(all)
    }

    /// Somebody who holds a key of the account could not log in: its owner, or a thief.
    fn note_refused_login(
        &self,
        signer: &KnownCredential,
        error: &CallerError,
        address: IpAddr,
        now: UnixTime,
    ) {
        let (reason, detail) = if signer.is_live(now) {
            (error.reason(), error.to_string())
        } else if signer.credential.revoked_at.is_some() {
            (Reason::KeyRevoked, "the key is revoked".to_owned())
        } else if signer.credential.is_live(now) {
            (Reason::AccountDisabled, "the account is disabled".to_owned())
        } else {
            (Reason::KeyExpired, "the key has expired".to_owned())
        };
        let event = AuditEvent::new(now, EventKind::LoginRefused).account(signer.account.id);
        let event = event.key(signer.credential.thumbprint()).from(address);
        self.core.pending_events.note(event.because(reason).detail(detail));
    }
}

const fn act_of(purpose: AssertionUse) -> Act {
    match purpose {
        AssertionUse::ClientAuthentication => Act::AuthenticateClient,
        AssertionUse::Grant => Act::LogIn,
    }
}

/// Whether `text` names the account of `known`: by id, username or fingerprint, or by the thumbprint
/// of the very key, which is the `client_id` of tokens.
pub(crate) fn names_account_of(text: &str, known: &KnownCredential) -> bool {
    names_account(text, &known.account, known.credential.thumbprint())
}

/// Whether `text` names `account`, or is the thumbprint `key`.
pub(crate) fn names_account(text: &str, account: &Account, key: Thumbprint) -> bool {
    text.parse().is_ok_and(|name| account.is_called(&name))
        || text.parse() == Ok::<Thumbprint, _>(key)
}

/// Why an assertion is refused.
#[derive(Debug, Error)]
pub enum CallerError {
    /// It is by the right key, but breaks a rule.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// `client_id` is somebody else.
    #[error("client_id names another account than the assertion")]
    ClientId,
    /// It is not a JWT.
    #[error(transparent)]
    Format(#[from] JwsError),
    /// The key that it names is a revoked key of the account.
    #[error("the key that it names is not accepted here any more: {0}")]
    Key(#[from] KeyError),
    /// The credential is of a kind that signs no such assertions.
    #[error(transparent)]
    Kind(#[from] NotForThisKind),
    /// There were too many attempts.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// No live credential of the account that it names has signed it.
    #[error(
        "no live key of the named account has signed the assertion; where it has many, name one \
         by kid"
    )]
    Refused,
    /// It was used before.
    #[error("the assertion was used before")]
    Replayed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallerError {
    /// What the audit trail says of it to programs.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::ClientId => Reason::OtherClient,
            Self::Kind(_) => Reason::WrongKind,
            Self::Replayed => Reason::UsedBefore,
            Self::Assertion(_)
            | Self::Format(_)
            | Self::Key(_)
            | Self::NotAdmitted(_)
            | Self::Refused
            | Self::Store(_) => Reason::Assertion,
        }
    }
}

impl From<RecordLoginError> for CallerError {
    fn from(error: RecordLoginError) -> Self {
        match error {
            RecordLoginError::AlreadyUsed => Self::Replayed,
            RecordLoginError::Forgotten => Self::Store(StoreError::Unavailable(Box::new(error))),
            RecordLoginError::NotLive => Self::Refused,
            RecordLoginError::Store(error) => Self::Store(error),
        }
    }
}
