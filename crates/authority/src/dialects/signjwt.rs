//! The sessions of *signjwt*: a key registered without proof, a login that proves nothing (an unknown
//! name gets a session too, of no use to anybody), and requests each signed over a fresh nonce.

mod error;

use std::{net::IpAddr, sync::Arc};

use countersign_protocol::{
    AccountId, Actor, Coverage, Principal, ProofKind, ProvenKey, UnixTime,
    digest::sha256,
    keys::{Algorithm, KeyError, PublicKey, Thumbprint, Verifications, decoy},
    ports::{DrawnAhead, random_bytes},
    proofs::nonce_pss,
    replay::EpochId,
    tokens::session::SessionClaims,
};
use quick_cache::sync::Cache;

pub use self::error::{OpenSessionError, SessionError};
use crate::{
    accounts::{
        Accounts,
        enrolment::{Application, ClaimedKey, Cost, Factor},
        registration::{PresentedKey, Registered},
        registration_error::RegistrationError,
    },
    core::{Core, credential_cache::KnownCredential, session_sealers::SessionSealers},
    model::{
        account::{AccountName, Username},
        audit::{AuditEvent, EventKind, Means},
    },
    ports::{SessionId, SessionNonce},
};

/// How many sessions are remembered by their text. Each takes about 300 bytes.
const KNOWN_SESSIONS: usize = 40_000;

/// A session in which somebody has signed something.
struct KnownSession {
    id: SessionId,
    /// The epoch in which it was opened, and in which alone it counts.
    epoch: EpochId,
    claims: Arc<SessionClaims>,
    /// Who has. Whether they still may is asked each time.
    signer: Thumbprint,
    account: AccountId,
}

/// Sessions whose requests are signed messages.
pub struct Signjwt {
    core: Arc<Core>,
    accounts: Arc<Accounts>,
    sessions: Arc<SessionSealers>,
    /// Sessions in which somebody has signed something, by the SHA-256 of their text.
    known: Cache<[u8; 32], Arc<KnownSession>>,
    nonces: DrawnAhead<16>,
}

/// A request for an account by a client that proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct UnprovenRegistration<'a> {
    /// The name that is asked for.
    pub username: &'a str,
    /// The key that the account will sign with.
    pub public_key: PresentedKey<'a>,
    /// The one-time code of an invitation.
    pub enrolment_code: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct OpenedSession {
    /// Its JWT.
    pub jwt: String,
    /// The nonce for its first request.
    pub nonce: String,
}

/// A session's JWT with a signature over nonce and JWT.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// The JWT.
    pub jwt: &'a str,
    /// The signature.
    pub signature: &'a [u8],
}

/// A signed message that was accepted: its nonce is used up.
#[derive(Clone, Debug)]
pub struct AcceptedMessage {
    /// Who signed it.
    pub actor: Actor,
    /// The signer's name.
    pub username: Username,
    /// The session's next nonce.
    pub next_nonce: String,
}

/// A signed message that verified. Its nonce is not used up.
#[derive(Clone, Debug)]
pub struct CheckedMessage {
    /// Who signed it.
    pub principal: Principal,
    key: Thumbprint,
    session: SessionId,
    nonce: SessionNonce,
    /// The epoch in which the session was recognised.
    epoch: EpochId,
    /// Whether it is the first of its session, which makes it the login.
    is_first: bool,
}

impl Signjwt {
    /// Over what the wings share; `sessions` issues and verifies their JWTs.
    pub(crate) fn new(
        core: Arc<Core>,
        accounts: Arc<Accounts>,
        sessions: Arc<SessionSealers>,
    ) -> Self {
        let nonces = DrawnAhead::new(Arc::clone(&core.ports.random));
        Self { core, accounts, sessions, known: Cache::new(KNOWN_SESSIONS), nonces }
    }

    /// Registers an account with a key that does not prove itself.
    ///
    /// To register somebody else's public key gains nothing, because every request needs the
    /// private key. It costs the owner nothing either: until the account has signed something it
    /// only claims the key, as others may too.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn register_unproven(
        &self,
        registration: UnprovenRegistration<'_>,
    ) -> Result<Registered, RegistrationError> {
        let now = self.core.now();
        let UnprovenRegistration { username, enrolment_code, address, .. } = registration;
        let application = Application { username, enrolment_code, address, cost: Cost::Ordinary };
        let admitted = self.accounts.admit(application, now).await?;
        let key = registration.public_key.parse(&self.core.policy.keys)?;
        check_can_sign(&key)?;
        let registered = Registered::of(&admitted, &key);
        let factor = Factor::ClaimedKey(ClaimedKey::unproven(key));
        self.accounts.enrol(admitted, factor).await?;
        Ok(registered)
    }

    /// Opens a session for the account `name`, whether there is one or not.
    ///
    /// # Errors
    /// When the name cannot be one, there were too many logins, or the store fails.
    pub async fn open_session(
        &self,
        name: &str,
        address: IpAddr,
    ) -> Result<OpenedSession, OpenSessionError> {
        let now = self.core.now();
        self.core.admit_login(address).await?;
        name.parse::<AccountName>()?;
        let epoch = self.core.epoch().id;
        let session = SessionId::from_bytes(random_bytes(&*self.core.ports.random));
        let nonce = self.new_nonce(now);
        self.core.ports.state.session_nonces.put(&session, nonce, address.into(), now).await?;
        let nonce = nonce.text();
        let jwt = self.sessions.of(epoch).issue(name, &session.to_string(), &nonce, now);
        Ok(OpenedSession { jwt, nonce })
    }

    /// Verifies a signed message: session, outstanding nonce, and signature by a live key of the
    /// account. An unknown account costs a verification too, and the refusal does not say what was
    /// wrong.
    ///
    /// # Errors
    /// When anything is wrong, or the store fails.
    pub async fn check_message(
        &self,
        message: SignedMessage<'_>,
        now: UnixTime,
    ) -> Result<CheckedMessage, SessionError> {
        let text = sha256(&[message.jwt.as_bytes()]);
        let epoch = self.core.epoch().id;
        let known = self.known.get(&text);
        let known = known.filter(|known| known.epoch == epoch && now < known.claims.expires_at);
        let (claims, session) = match &known {
            Some(known) => (Arc::clone(&known.claims), known.id),
            None => self.read_session(message.jwt, epoch, now)?,
        };
        let nonce = self.core.ports.state.session_nonces.outstanding(&session, now).await?;
        let nonce = nonce.ok_or(SessionError::Refused)?;
        let nonce_text = nonce.text();
        let has_signed = |key: &PublicKey| {
            nonce_pss::verify(key, &nonce_text, message.jwt, message.signature).is_ok()
        };
        let may_be_by = |key: &PublicKey| nonce_pss::may_be_by(key, message.signature);
        let signer = self
            .signer_of_message((known.as_deref(), &claims.subject), may_be_by, has_signed, now)
            .await?;
        if known.is_none() {
            let known = KnownSession {
                id: session,
                epoch,
                claims: Arc::clone(&claims),
                signer: signer.credential.thumbprint(),
                account: signer.account.id,
            };
            self.known.insert(text, Arc::new(known));
        }
        Ok(CheckedMessage {
            principal: principal(&signer, &claims),
            key: signer.credential.thumbprint(),
            session,
            nonce,
            epoch,
            is_first: claims.nonce == nonce_text,
        })
    }

    fn read_session(
        &self,
        jwt: &str,
        epoch: EpochId,
        now: UnixTime,
    ) -> Result<(Arc<SessionClaims>, SessionId), SessionError> {
        let claims = self.sessions.of(epoch).verify(jwt, now).map_err(|_| SessionError::Refused)?;
        let session = claims.session_id.parse().map_err(|_| SessionError::Refused)?;
        Ok((Arc::new(claims), session))
    }

    /// The live key of the account `name` that has signed: usually the key of the session's last
    /// message. At most as many keys are tried as one request may cost.
    async fn signer_of_message(
        &self,
        (known, name): (Option<&KnownSession>, &str),
        may_be_by: impl Fn(&PublicKey) -> bool,
        has_signed: impl Fn(&PublicKey) -> bool,
        now: UnixTime,
    ) -> Result<Arc<KnownCredential>, SessionError> {
        let mut budget = Verifications::default();
        let mut tried = None;
        if let Some(KnownSession { signer: last, account, .. }) = known {
            let current = self.core.up_to_date_at(now).await?;
            let known = self.core.credentials.get(last, current).await?;
            let again = known.filter(|known| known.is_live(now) && known.account.id == *account);
            let admits = |key: &PublicKey| self.core.policy.admits(key);
            if let Some(signer) = again.filter(|known| admits(&known.credential.public_key)) {
                budget.afford(&signer.credential.public_key, nonce_pss::FORMS);
                if has_signed(&signer.credential.public_key) {
                    return Ok(signer);
                }
                tried = Some(*last);
            }
        }
        let signers = self.core.signers(name, None, now).await?;
        if signers.is_empty() {
            let _ = has_signed(decoy(Algorithm::Ps256));
        }
        let _turn = self.core.comparisons.turn(signers.len()).await;
        for known in signers {
            let key = &known.credential.public_key;
            let is_new = Some(known.credential.thumbprint()) != tried;
            if !is_new || !may_be_by(key) || !budget.afford(key, nonce_pss::FORMS) {
                continue;
            }
            if has_signed(key) {
                return Ok(known);
            }
        }
        Err(SessionError::Refused)
    }

    /// Uses up the nonce of a message that verified, and returns the session's next. `address` is the
    /// client's, where that is known.
    ///
    /// # Errors
    /// When another request was faster, or the store fails.
    pub async fn redeem_message(
        &self,
        message: &CheckedMessage,
        address: Option<IpAddr>,
        now: UnixTime,
    ) -> Result<String, SessionError> {
        let next = self.new_nonce(now);
        self.use_up(message, Some(next), now).await?;
        let account_id = message.principal.account_id;
        if message.is_first {
            let event = AuditEvent::new(now, EventKind::LoginSucceeded).account(account_id);
            let event = AuditEvent { address, ..event.key(message.key) };
            let event = event.detail("signed message").by_means(Means::SignedMessage);
            self.core.pending_events.note(event);
        }
        self.core.key_used(account_id, &message.key, now).await;
        Ok(next.text())
    }

    /// Verifies a signed message, uses up its nonce, and notes that the key was used.
    ///
    /// # Errors
    /// When anything is wrong, another request was faster, or the store fails.
    pub async fn accept_message(
        &self,
        message: SignedMessage<'_>,
        address: IpAddr,
    ) -> Result<AcceptedMessage, SessionError> {
        let now = self.core.now();
        let checked = self.check_message(message, now).await?;
        let username = self.accounts.username(&checked.principal).await?;
        let next_nonce = self.redeem_message(&checked, Some(address), now).await?;
        let actor = Actor::from(&checked.principal);
        self.core.note_key_use(&actor, address);
        Ok(AcceptedMessage { actor, username, next_nonce })
    }

    /// Ends the session of a signed message. From then on it has no nonce, and no message is valid
    /// without one. So its end need not be remembered.
    ///
    /// # Errors
    /// When the message does not verify, or the store fails.
    pub async fn end_session(
        &self,
        message: SignedMessage<'_>,
        address: IpAddr,
    ) -> Result<(), SessionError> {
        let now = self.core.now();
        let checked = self.check_message(message, now).await?;
        self.use_up(&checked, None, now).await?;
        let account_id = checked.principal.account_id;
        let event = AuditEvent::new(now, EventKind::TokenRevoked).account(account_id);
        let event = event.key(checked.key).from(address).detail("session");
        Ok(self.core.ports.store.append(vec![event]).await?)
    }

    async fn use_up(
        &self,
        CheckedMessage { session, nonce, epoch, .. }: &CheckedMessage,
        next: Option<SessionNonce>,
        now: UnixTime,
    ) -> Result<(), SessionError> {
        let nonces = &self.core.ports.state.session_nonces;
        let first = nonces.exchange(session, (nonce, next), *epoch, now).await?;
        // Asked last: what was forgotten meanwhile may have been the use of this nonce.
        let is_same = self.core.epoch().id == *epoch;
        (first && is_same).then_some(()).ok_or(SessionError::Refused)
    }

    fn new_nonce(&self, now: UnixTime) -> SessionNonce {
        let expires_at = now + self.core.policy.sessions.nonce_lifetime;
        SessionNonce { value: self.nonces.take(), expires_at }
    }
}

/// A key without an algorithm could be registered and never be used.
fn check_can_sign(key: &PublicKey) -> Result<(), KeyError> {
    let verifies = match key.rsa_bits() {
        Some(_) => key.algorithms().contains(&Algorithm::Ps256),
        None => !key.algorithms().is_empty(),
    };
    verifies.then_some(()).ok_or(KeyError::AlgorithmMismatch)
}

fn principal(signer: &KnownCredential, claims: &SessionClaims) -> Principal {
    Principal {
        account_id: signer.account.id,
        username: Some(signer.account.username.clone()),
        key: Some(ProvenKey::of(signer.credential.thumbprint())),
        proof: ProofKind::SignedMessage,
        token_id: Some(claims.session_id.clone()),
        scopes: signer.account.scopes.clone(),
        narrowed: false,
        covers: Coverage::NOTHING,
        authentication: None,
        issued_at: None,
        expires_at: claims.expires_at,
    }
}
