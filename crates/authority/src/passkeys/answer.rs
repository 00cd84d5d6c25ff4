//! Answers of passkeys: whether one is by a passkey of an account, for what is asked for.

use std::net::IpAddr;

use countersign_protocol::{
    UnixTime, Unspent, Unverified,
    challenges::passkeys::{Ceremony, ChallengeError, Expected},
    keys::Thumbprint,
    proofs::webauthn::{
        AllowedPasskeys, AuthenticationError, AuthenticationExpectations, AuthenticationResponse,
        PasskeyAssertion, ResponseError, SignCounter, StoredPasskey,
    },
    strict::base64url,
};
use thiserror::Error;

use super::{Passkeys, PasskeysOff, expected};
use crate::{
    model::{
        account::AccountStatus,
        audit::{AuditEvent, EventKind, Reason},
        passkey::{PasskeyPolicy, PasskeyUse},
    },
    ports::{KnownPasskey, RecordLoginError, SpentStepUp, StoreError},
};

/// An answer of a passkey, nothing in it trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresentedAnswer<'a> {
    /// An `AuthenticationResponseJSON` (WebAuthn §5.1), as base64url of its text.
    pub(crate) text: &'a str,
    /// What it is to allow.
    pub(crate) wanted: Expected,
    /// The key of the browser, which has signed the request.
    pub(crate) key: Thumbprint,
    /// The client's address.
    pub(crate) address: IpAddr,
}

/// An answer that verified and was not used yet.
pub(crate) struct VerifiedAnswer {
    /// The passkey and its account, both live.
    pub(crate) known: KnownPasskey,
    /// What is to be written down about the passkey.
    pub(crate) used: PasskeyUse,
    /// To be recorded as used with what it allows.
    pub(crate) challenge: Unspent<Ceremony>,
}

impl VerifiedAnswer {
    /// The same as a step-up, to be recorded with the change that it allows.
    pub(crate) const fn to_step_up(&self) -> SpentStepUp {
        SpentStepUp { challenge: self.challenge.entry(), passkey: self.used }
    }
}

impl Passkeys {
    /// Verifies an answer (WebAuthn §7.2).
    ///
    /// The challenge is looked at first: it costs least, and without one of this server for this key
    /// nothing is looked up. Whether the passkey may still act comes after the signature, so that only
    /// its holder learns that, and the trail tells of nobody else.
    pub(crate) async fn verify_answer(
        &self,
        presented: PresentedAnswer<'_>,
        now: UnixTime,
    ) -> Result<VerifiedAnswer, AnswerError> {
        let policy = self.policy()?;
        let (response, spent_with) = self.recognise(&presented, now)?;
        let challenge = response.challenge().clone();
        let PresentedAnswer { wanted, address, .. } = presented;
        let known = self.core.ports.store.passkey(response.credential_id()).await?;
        let known = known.ok_or(AnswerError::Unknown)?;
        if !is_of_account(&wanted, &known) {
            return Err(AnswerError::OtherAccount);
        }
        let stored = StoredPasskey {
            id: &known.passkey.id,
            user_handle: &(*known.passkey.user_handle.as_bytes()).into(),
            public_key: &known.credential.public_key,
            sign_count: known.passkey.sign_count,
            backup_eligible: known.passkey.backup_eligible,
        };
        let own = [known.passkey.id.clone()];
        let allowed = match wanted {
            Expected::StepUp(..) => AllowedPasskeys::Only(&own),
            Expected::SignIn | Expected::Register | Expected::Add(_) => AllowedPasskeys::Any,
        };
        let expected =
            AuthenticationExpectations { ceremony: expected(policy, &challenge), allowed };
        let assertion = response.verify(&stored, &expected)?;
        match check_standing(&known, &assertion, policy) {
            Ok(used) => Ok(VerifiedAnswer { used, known, challenge: spent_with }),
            Err(error) => {
                let error = self.tell_replay(error, &spent_with).await?;
                self.note_refused(&known, &error, address, now);
                Err(error)
            }
        }
    }

    /// Uses up the challenge of an answer that is not looked at any further, because its request is refused
    /// for now: what came to nothing must not serve later.
    pub(crate) async fn use_up_unverified(&self, presented: PresentedAnswer<'_>, now: UnixTime) {
        let Ok((_, challenge)) = self.recognise(&presented, now) else { return };
        self.core.use_up(Some(challenge.entry())).await;
    }

    /// The answer, and its challenge if that is one of this server for the key and for what is wanted.
    fn recognise(
        &self,
        presented: &PresentedAnswer<'_>,
        now: UnixTime,
    ) -> Result<(Unverified<AuthenticationResponse>, Unspent<Ceremony>), AnswerError> {
        let json = base64url::decode(presented.text).ok();
        let json =
            json.and_then(|json| String::from_utf8(json).ok()).ok_or(AnswerError::Encoding)?;
        let response = AuthenticationResponse::parse(&json)?;
        let challenge = response.challenge().as_bytes();
        let unspent =
            self.challenges.recognise(challenge, &presented.wanted, presented.key, now)?;
        Ok((response, unspent))
    }

    /// An answer that comes again has the counter of the first time, which tells of no copy. So the
    /// challenge of an answer whose counter has not grown is used up, if it was not before.
    async fn tell_replay(
        &self,
        error: AnswerError,
        challenge: &Unspent<Ceremony>,
    ) -> Result<AnswerError, StoreError> {
        if !matches!(error, AnswerError::CounterRegressed) {
            return Ok(error);
        }
        match self.core.ports.store.spend_assertion(challenge.entry()).await {
            Ok(_receipt) => Ok(error),
            Err(RecordLoginError::AlreadyUsed) => Ok(AnswerError::ChallengeUsed),
            Err(error @ (RecordLoginError::Forgotten | RecordLoginError::NotLive)) => {
                Err(StoreError::Unavailable(Box::new(error)))
            }
            Err(RecordLoginError::Store(error)) => Err(error),
        }
    }

    /// The holder of a passkey of the account, be it the owner or a thief, was refused.
    fn note_refused(
        &self,
        known: &KnownPasskey,
        error: &AnswerError,
        address: IpAddr,
        now: UnixTime,
    ) {
        let kind = match error {
            AnswerError::CounterRegressed => EventKind::PasskeyCounterRegressed,
            AnswerError::ChallengeUsed => EventKind::ProofReplayed,
            _ => EventKind::LoginRefused,
        };
        let event = AuditEvent::new(now, kind).account(known.account.id);
        let event = event.key(known.credential.thumbprint()).from(address);
        self.core.pending_events.note(event.because(error.reason()).detail(error.to_string()));
    }
}

/// Whether the passkey belongs to the account that it is to act for, where that is known.
fn is_of_account(wanted: &Expected, known: &KnownPasskey) -> bool {
    match wanted {
        Expected::StepUp(account, _) | Expected::Add(account) => *account == known.account.id,
        Expected::SignIn | Expected::Register => true,
    }
}

/// Whether the passkey, which has signed, may still act.
fn check_standing(
    known: &KnownPasskey,
    assertion: &PasskeyAssertion,
    policy: &PasskeyPolicy,
) -> Result<PasskeyUse, AnswerError> {
    if known.credential.revoked_at.is_some() {
        return Err(AnswerError::Revoked);
    }
    if known.account.status != AccountStatus::Active {
        return Err(AnswerError::Disabled);
    }
    if !policy.takes(&known.passkey) {
        return Err(AnswerError::Synced);
    }
    let sign_count = match assertion.sign_count {
        SignCounter::NotCounting => 0,
        SignCounter::Advanced(count) => count,
        SignCounter::Regressed { .. } => return Err(AnswerError::CounterRegressed),
    };
    let backed_up = assertion.backup.is_backed_up();
    Ok(PasskeyUse { thumbprint: known.credential.thumbprint(), sign_count, backed_up })
}

/// Why an answer of a passkey does not count.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// Its challenge does not count.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    /// Its challenge was answered before.
    #[error("the challenge was answered before: ask for a new one")]
    ChallengeUsed,
    /// The signature counter has not grown.
    #[error(
        "the signature counter of the passkey has not grown since it was last used, so there may be a \
         copy of the passkey: use another one, and revoke this one"
    )]
    CounterRegressed,
    /// The account is disabled.
    #[error("the account of the passkey is disabled")]
    Disabled,
    /// It is not base64url of a text.
    #[error("the answer of the passkey is not base64url of a text in UTF-8")]
    Encoding,
    /// It cannot be read.
    #[error(transparent)]
    Format(#[from] ResponseError),
    /// The passkey was revoked, or its account disabled, while the answer was looked at.
    #[error("the passkey was revoked, or its account disabled, just now")]
    NotLive,
    /// There are no passkeys here.
    #[error(transparent)]
    Off(#[from] PasskeysOff),
    /// The passkey belongs to another account.
    #[error("the passkey belongs to another account")]
    OtherAccount,
    /// The passkey was revoked.
    #[error("the passkey is revoked")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The passkey could be on several devices, which this server does not allow any more.
    #[error(
        "the passkey can be copied to other devices, and this server takes only those that stay on one \
         (passkeys.synced)"
    )]
    Synced,
    /// No account has such a passkey.
    #[error("no account here has that passkey")]
    Unknown,
    /// It breaks a rule of WebAuthn §7.2.
    #[error(transparent)]
    Verification(#[from] AuthenticationError),
}

impl AnswerError {
    /// What the audit trail says of it to programs, where the passkey is the problem.
    pub(crate) const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Challenge(_)
            | Self::Encoding
            | Self::Format(_)
            | Self::Unknown
            | Self::Verification(_) => Some(Reason::PasskeyAnswer),
            Self::ChallengeUsed => Some(Reason::UsedBefore),
            Self::CounterRegressed => Some(Reason::CounterRegressed),
            Self::Disabled => Some(Reason::AccountDisabled),
            Self::NotLive => Some(Reason::NotLive),
            Self::OtherAccount => Some(Reason::OtherAccount),
            Self::Revoked => Some(Reason::KeyRevoked),
            Self::Synced => Some(Reason::SyncedPasskey),
            Self::Off(_) | Self::Store(_) => None,
        }
    }

    /// Whether the passkey is of no use here any more, so that the browser may forget it.
    pub const fn is_of_unknown_passkey(&self) -> bool {
        matches!(self, Self::Unknown | Self::Revoked)
    }
}
