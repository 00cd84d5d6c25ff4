//! Opening a keyring with a password or a recovery code, by OPAQUE: two requests, between which the
//! client keeps a sealed state.
//!
//! Who asks need not have an account, so the answer must tell nobody who has one. A wrong password shows
//! at the client already after the first answer, so the first request counts as a try, and one that is
//! finished gives it back. So does one that the server could not answer.

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_opaque::{
    Malformed, ServerName,
    server::{LoginRequest, LoginState, Record, UserIdentifier},
};
use countersign_protocol::{
    AccountId, ReplayEntry, UnixTime,
    digest::sha256,
    keys::Thumbprint,
    proofs::dpop::{DpopError, NonceRule},
    replay::ReplayOwner,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    EvaluationError, OnlineKeyring, absent_identifier,
    sealed_texts::{Purpose, take},
    tries::{TooManyTries, Tries},
};
use crate::{
    core::{
        credential_cache::KnownCredential,
        dpop::{PresentedDpop, ProofError},
    },
    model::{
        account::Username,
        audit::{AuditEvent, EventKind, Fact},
        keyring::{KeyringDocument, Knowledge, Revision, SlotId},
        limits::NotAdmitted,
    },
    ports::{KnowledgeSlot, OpenKeyringError, OpenedBy, StoreError},
};

/// For how long a login may take from its first message to its last.
const LIFETIME: Duration = Duration::from_mins(5);

/// The first message of somebody who claims to know what opens a keyring.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The name of the account.
    pub username: &'a str,
    /// What is known.
    pub knowledge: Knowledge,
    /// The message of OPAQUE.
    pub request: Vec<u8>,
    /// A proof by the key that will finish the login.
    pub proof: PresentedDpop<'a>,
    /// The client's address.
    pub address: IpAddr,
}

/// The answer to it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// To be brought back with the last message.
    pub state: String,
    /// The message of OPAQUE.
    pub response: Vec<u8>,
}

/// The last message.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// What came with the answer.
    pub state: &'a str,
    /// The message of OPAQUE.
    pub finalization: &'a [u8],
    /// A proof by the same key.
    pub proof: PresentedDpop<'a>,
    /// The client's address.
    pub address: IpAddr,
}

/// A login between its two messages.
struct Pending {
    made_at: UnixTime,
    key: Thumbprint,
    /// All zeros where there is no such account or slot.
    account_id: AccountId,
    slot: SlotId,
    tries: Tries,
    opaque: Zeroizing<Vec<u8>>,
}

impl OnlineKeyring {
    /// Answers the first message. Whatever there is of that account, the answer looks the same, takes the
    /// same work, and nothing is stored.
    ///
    /// # Errors
    /// When the proof does not hold, there were too many tries, or the server cannot do its part.
    pub async fn begin(&self, claim: Claim<'_>) -> Result<Begun, BeginError> {
        let now = self.core.now();
        self.core.admit_login(claim.address).await?;
        let request = LoginRequest::from_bytes(&claim.request)?;
        let (key, known) = self.prove_key(&claim.proof, claim.address, now).await?;
        let own = known.filter(|known| is_key_of(known, claim.username));
        let tries = match own {
            Some(own) => Tries::of_key(&own, now),
            None => Tries::of_stranger(claim.username, claim.knowledge, claim.address),
        };
        // Up to here nothing was looked up that tells whether there is such an account or slot.
        self.count::<BeginError>(tries, key).await?;
        let answered = self.answer(&claim, request, (key, tries), now).await;
        if answered.is_err() {
            self.give_back(tries, key).await;
        }
        answered
    }

    /// The answer to a first message that was counted.
    async fn answer(
        &self,
        claim: &Claim<'_>,
        request: LoginRequest,
        (key, tries): (Thumbprint, Tries),
        now: UnixTime,
    ) -> Result<Begun, BeginError> {
        let Claim { username, knowledge, address, .. } = *claim;
        let found = match username.parse::<Username>() {
            Ok(name) => self.core.ports.store.knowledge_slot(&name, knowledge, now).await?,
            Err(_) => None,
        };
        self.note_try(found.as_ref(), (address, knowledge), now);
        let (account_id, slot) = match &found {
            Some(found) => (found.account_id, found.id),
            None => NOBODY,
        };
        let record = found.map(|found| found.record);
        let user = match &record {
            Some(own) => own.user,
            None => absent_identifier(username, knowledge),
        };
        let random = self.core.random();
        let (response, state) = self
            .evaluate(address, move |setup, name| {
                let record = Record::of_user(record.as_ref().map(|own| &*own.record))?;
                setup.begin_login(record, request, &UserIdentifier(user), name, &*random)
            })
            .await??;
        let opaque = state.reveal();
        let pending = Pending { made_at: now, key, account_id, slot, tries, opaque };
        let random = &*self.core.ports.random;
        let state = self.texts.seal(Purpose::Login, &pending.to_bytes(), random);
        Ok(Begun { state, response })
    }

    /// Gives the keyring out to who has finished the login.
    ///
    /// # Errors
    /// [`FinishError::NotOpened`] for whatever is wrong with the login; nobody learns more.
    pub async fn finish(
        &self,
        finish: Finish<'_>,
    ) -> Result<(AccountId, (Revision, KeyringDocument)), FinishError> {
        let now = self.core.now();
        self.core.admit_login(finish.address).await?;
        let (key, _) = self.prove_key(&finish.proof, finish.address, now).await?;
        let pending = self.texts.open(Purpose::Login, finish.state);
        let pending = pending.and_then(|bytes| Pending::from_bytes(&bytes));
        let pending = pending.ok_or(FinishError::NotOpened)?;
        let tries = pending.tries;
        let (account_id, slot) = (pending.account_id, pending.slot);
        if !self.is_good(&pending, &finish, key, now) {
            self.note_refused(account_id, finish.address, now);
            return Err(FinishError::NotOpened);
        }
        let digest = sha256(&[b"keyring login\0", finish.state.as_bytes()]);
        let state = ReplayEntry { digest, forget_at: now + LIFETIME };
        let by = OpenedBy::Knowledge { slot, state };
        let event = AuditEvent::new(now, EventKind::KeyringOpened).account(account_id).key(key);
        let event = event.from(finish.address);
        match self.core.ports.store.open_keyring(account_id, by, event).await {
            Ok(opened) => {
                self.give_back(tries, key).await;
                Ok((account_id, opened))
            }
            Err(OpenKeyringError::Store(error)) => Err(error.into()),
            Err(OpenKeyringError::Gone | OpenKeyringError::StepUp(_) | OpenKeyringError::Used) => {
                self.note_refused(account_id, finish.address, now);
                Err(FinishError::NotOpened)
            }
        }
    }

    /// Whether the login is by that key, young enough, and right.
    fn is_good(
        &self,
        pending: &Pending,
        finish: &Finish<'_>,
        key: Thumbprint,
        now: UnixTime,
    ) -> bool {
        let is_young = self.is_young(pending.made_at, LIFETIME, now);
        let name = ServerName(self.core.policy.issuer());
        let verdict = LoginState::from_bytes(&pending.opaque)
            .map(|state| state.finish(finish.finalization, name));
        is_young && pending.key == key && matches!(verdict, Ok(Ok(())))
    }

    /// The key that the proof is by, and the live credential that it is, if it is one. Whoever asks, it may
    /// be any key but that of a passkey.
    async fn prove_key(
        &self,
        proof: &PresentedDpop<'_>,
        address: IpAddr,
        now: UnixTime,
    ) -> Result<(Thumbprint, Option<Arc<KnownCredential>>), ProofError> {
        let rule = NonceRule::IfPresent(&self.core.nonces);
        let (proof, key) = self.core.verify_proof(proof, rule, now)?;
        let key = key.thumbprint();
        let live = self.core.prover(&key).await?.filter(|known| known.is_live(now));
        // It vouches for its account, so nobody may have it made beforehand, and nobody who has seen it may
        // use it again. The proof of a stranger says only by whom the login will be finished, and is not
        // worth a place.
        if let Some(known) = &live {
            if proof.peek().nonce_of.is_none() {
                return Err(DpopError::Nonce.into());
            }
            let owner = ReplayOwner::account(known.account.id, Some(address.into()));
            self.core.spend_proof(proof, owner, now).await?;
        }
        Ok((key, live))
    }

    /// Tells the owner of a slot that somebody tries it. Not by which key: strangers have as many as they
    /// like.
    fn note_try(
        &self,
        slot: Option<&KnowledgeSlot>,
        (address, knowledge): (IpAddr, Knowledge),
        now: UnixTime,
    ) {
        let Some(slot) = slot else { return };
        let event = AuditEvent::new(now, EventKind::KeyringOpenBegun).account(slot.account_id);
        let slot = knowledge.slot().name();
        self.core.pending_events.note(event.from(address).detail(slot).fact(Fact::Slots, slot));
    }

    fn note_refused(&self, account_id: AccountId, address: IpAddr, now: UnixTime) {
        if account_id == NOBODY.0 {
            return;
        }
        let event = AuditEvent::new(now, EventKind::KeyringOpenRefused).account(account_id);
        let detail = "a wrong password or recovery code, or a login that was over";
        self.core.pending_events.note(event.from(address).detail(detail));
    }
}

/// What a state says of an account or a slot that is not there.
const NOBODY: (AccountId, SlotId) = (AccountId::from_bytes([0; 16]), SlotId::from_bytes([0; 16]));

/// Whether `known` is a key of the account of that name.
fn is_key_of(known: &KnownCredential, username: &str) -> bool {
    known.account.username.as_str().eq_ignore_ascii_case(username)
}

impl Pending {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let made_at = self.made_at.as_millis().to_be_bytes();
        let parts: [&[u8]; 6] = [
            &made_at,
            self.key.as_bytes(),
            self.account_id.as_bytes(),
            self.slot.as_bytes(),
            &self.tries.to_bytes(),
            &self.opaque,
        ];
        Zeroizing::new(parts.concat())
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            made_at: UnixTime::from_millis(u64::from_be_bytes(take(&mut bytes)?)),
            key: Thumbprint::from_bytes(take(&mut bytes)?),
            account_id: AccountId::from_bytes(take(&mut bytes)?),
            slot: SlotId::from_bytes(take(&mut bytes)?),
            tries: Tries::from_bytes(&mut bytes)?,
            opaque: Zeroizing::new(bytes.to_vec()),
        })
    }
}

/// Why the first message gets no answer.
#[derive(Debug, Error)]
pub enum BeginError {
    /// The server did not do its part.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The message is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many logins.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There were too many tries.
    #[error(transparent)]
    TooManyTries(#[from] TooManyTries),
}

/// Why the keyring is not given out.
#[derive(Debug, Error)]
pub enum FinishError {
    /// The password is wrong, the login was finished before, by another key or too late, or the slot or
    /// the account is not there any more.
    #[error(
        "the keyring was not opened: the password or recovery code is wrong, or the login was begun with \
         another key or too long ago, or finished before"
    )]
    NotOpened,
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many logins.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
