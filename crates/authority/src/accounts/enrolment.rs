//! Registration: an account comes to be with its first key, which proves itself.

use std::net::IpAddr;

use countersign_protocol::{
    AccountId, Actor, UnixTime,
    keys::{KeyError, KeyPolicy, PublicKey, Thumbprint},
    proofs::dpop::{DpopError, NonceRule},
    replay::ReplayOwner,
};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    core::dpop::{PresentedDpop, ProofError},
    model::{
        account::{InvalidUsername, Username},
        audit::{AuditEvent, EventKind},
        credential::{Credential, InvalidLabel, Label},
        invitation::{CodeHash, EnrolmentCode, Invitation, Purpose},
        limits::RateLimited,
        policy::Enrolment,
    },
    ports::{CreateAccountError, NewAccount, StoreError},
};

/// What the audit trail says where the first key of an account did not prove itself.
pub(crate) const UNPROVEN: &str = "without proof of possession";

/// A public key in any of the forms in which clients send it.
#[derive(Clone, Copy, Debug)]
pub enum PresentedKey<'a> {
    /// A JWK.
    Jwk(&'a Map<String, Value>),
    /// PEM (SPKI or PKCS#1), base64 of SPKI DER, or the text of a JWK.
    Text(&'a str),
}

impl PresentedKey<'_> {
    pub(crate) fn parse(self, policy: &KeyPolicy) -> Result<PublicKey, KeyError> {
        match self {
            Self::Jwk(jwk) => PublicKey::from_jwk(jwk, policy),
            Self::Text(text) => PublicKey::parse(text, policy),
        }
    }
}

/// A request for an account.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The name that is asked for.
    pub username: &'a str,
    /// The key that the account will log in with.
    pub public_key: PresentedKey<'a>,
    /// A name for the key.
    pub label: Option<&'a str>,
    /// The one-time code of an invitation.
    pub enrolment_code: Option<&'a str>,
    /// A proof by that very key.
    pub proof: PresentedDpop<'a>,
    /// The client's address.
    pub address: IpAddr,
}

/// What came of a registration.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The new account's id.
    pub account_id: AccountId,
    /// Its name.
    pub username: Username,
    /// Its first key.
    pub thumbprint: Thumbprint,
}

impl Registered {
    /// Who has registered.
    pub fn actor(&self) -> Actor {
        Actor {
            account_id: self.account_id,
            username: Some(self.username.clone()),
            key: Some(self.thumbprint),
            proof: None,
        }
    }

    pub(crate) fn of(new: &NewAccount) -> Self {
        Self {
            account_id: new.id,
            username: new.username.clone(),
            thumbprint: new.credential.thumbprint(),
        }
    }
}

impl Accounts {
    /// Registers an account.
    ///
    /// The proof need not carry a nonce: used again, it would ask for a name and a key that are
    /// taken.
    ///
    /// # Errors
    /// The first rule that does not hold; nothing is used up then, least of all the enrolment code.
    pub async fn register(
        &self,
        registration: Registration<'_>,
    ) -> Result<Registered, RegistrationError> {
        let now = self.core.now();
        if !self.is_invited(registration.enrolment_code, now).await? {
            self.core.admit_registration(registration.address).await?;
        }
        let result = self.try_register(&registration, now).await;
        if let Err(error) = &result
            && error.is_of_consequence()
        {
            let event = AuditEvent::new(now, EventKind::RegistrationRefused);
            self.core
                .pending_events
                .note(event.from(registration.address).detail(error.to_string()));
        }
        result
    }

    async fn try_register(
        &self,
        registration: &Registration<'_>,
        now: UnixTime,
    ) -> Result<Registered, RegistrationError> {
        let invitation = self.enrolment(registration.enrolment_code)?;
        let username: Username = registration.username.parse()?;
        self.admit_name(&username, invitation.as_ref(), now).await?;
        let public_key = registration.public_key.parse(&self.core.policy.keys)?;
        let label = match registration.label {
            Some(label) => label.parse()?,
            None => Label::of_kind(&public_key),
        };
        let owner = ReplayOwner::Network(registration.address.into());
        self.prove_key(&registration.proof, &public_key, owner, now).await?;
        let mut new = self.new_account(username, public_key, registration.address, now);
        new.event.detail = invitation.map(|code| format!("invitation {}", code.short()));
        let new =
            NewAccount { credential: Credential { label, ..new.credential }, invitation, ..new };
        let registered = Registered::of(&new);
        self.core.ports.accounts.create_account(new).await?;
        // Another account may have had it without ever proving it.
        self.core.credentials.forget(&registered.thumbprint);
        Ok(registered)
    }

    /// An account as every registration makes it, with its first key and the event that says so.
    pub(crate) fn new_account(
        &self,
        username: Username,
        public_key: PublicKey,
        address: IpAddr,
        now: UnixTime,
    ) -> NewAccount {
        let id = AccountId::generate(now, &*self.core.ports.random);
        let event = AuditEvent::new(now, EventKind::AccountRegistered).account(id);
        let event = event.key(public_key.thumbprint()).from(address);
        let label = Label::of_kind(&public_key);
        NewAccount {
            id,
            username,
            scopes: self.core.policy.default_scopes.clone(),
            credential: Credential::new(id, public_key, label, now),
            invitation: None,
            alias: None,
            server_key: None,
            event,
        }
    }

    /// What the rule of enrolment says to a registration with or without a code.
    pub(crate) fn enrolment(
        &self,
        code: Option<&str>,
    ) -> Result<Option<CodeHash>, RegistrationError> {
        match (self.core.policy.enrolment, code) {
            (Enrolment::Closed, _) => Err(RegistrationError::Closed),
            (Enrolment::Invited, None) => Err(RegistrationError::CodeNeeded),
            (Enrolment::Open, None) => Ok(None),
            (Enrolment::Open | Enrolment::Invited, Some(code)) => {
                let code =
                    EnrolmentCode::parse(code).map_err(|_| RegistrationError::CodeUnusable)?;
                Ok(Some(code.hash()))
            }
        }
    }

    /// Whether `code` is of an invitation that works. It then registers one account, which an
    /// administrator wishes for, so that counts against no allowance: others in the same network could
    /// use it up. Nobody guesses 128 bits, and what is no such code asks the store nothing.
    pub(crate) async fn is_invited(
        &self,
        code: Option<&str>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let code = code.filter(|_| self.core.policy.enrolment != Enrolment::Closed);
        let Some(code) = code.and_then(|code| EnrolmentCode::parse(code).ok()) else {
            return Ok(false);
        };
        let found = self.core.ports.invitations.invitation(&code.hash()).await?;
        Ok(found.is_some_and(|found| found.is_usable(now) && found.purpose == Purpose::Register))
    }

    /// Sees that `invitation`, where there is one, works for `username`, before anything costly is done
    /// for it, or anything said about names and keys. The store has the last word.
    pub(crate) async fn check_invitation(
        &self,
        invitation: Option<&CodeHash>,
        username: &Username,
        now: UnixTime,
    ) -> Result<(), RegistrationError> {
        let Some(code_hash) = invitation else { return Ok(()) };
        let invitation = self.core.ports.invitations.invitation(code_hash).await?;
        let is_for = |Invitation { purpose, username: intended, .. }: &Invitation| {
            *purpose == Purpose::Register && intended.as_ref().is_none_or(|name| name == username)
        };
        let usable = invitation.is_some_and(|found| found.is_usable(now) && is_for(&found));
        usable.then_some(()).ok_or(RegistrationError::CodeUnusable)
    }

    /// Whether whoever has `code`, or none, may take the name. Nothing is used up.
    pub(crate) async fn admit_name(
        &self,
        username: &Username,
        code: Option<&CodeHash>,
        now: UnixTime,
    ) -> Result<(), RegistrationError> {
        if self.core.policy.names.is_free(username) {
            return Ok(());
        }
        let Some(code) = code else { return Err(RegistrationError::NameReserved) };
        let invitation = self.core.ports.invitations.invitation(code).await?;
        // Without an invitation that works, nobody learns anything about names.
        let invitation = invitation.filter(|invitation| invitation.is_usable(now));
        let invited = invitation.ok_or(RegistrationError::CodeUnusable)?.username;
        match invited {
            None => Err(RegistrationError::NameReserved),
            Some(invited) if invited == *username => Ok(()),
            Some(_) => Err(RegistrationError::CodeUnusable),
        }
    }

    /// Possession: the proof of the request must be by the key that is to be registered.
    async fn prove_key(
        &self,
        proof: &PresentedDpop<'_>,
        key: &PublicKey,
        owner: ReplayOwner,
        now: UnixTime,
    ) -> Result<(), ProofError> {
        let (proof, signer) =
            self.core.verify_proof(proof, NonceRule::IfPresent(&self.core.nonces), now)?;
        if signer.thumbprint() != key.thumbprint() {
            return Err(DpopError::OtherKey.into());
        }
        self.core.spend_proof(proof, owner, now).await.map(drop)
    }
}

/// Why a registration is refused.
#[derive(Debug, Error)]
pub enum RegistrationError {
    /// Nobody may register.
    #[error("registration is closed on this server")]
    Closed,
    /// Only those with a code may register.
    #[error("this server registers by invitation: an enrolment_code is needed")]
    CodeNeeded,
    /// The code is malformed, unknown, used, expired, or for another username.
    #[error("the enrolment code does not work")]
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
    /// The name is given by invitation alone.
    #[error(
        "the username is reserved (accounts.reserved_names, accounts.email_names): an administrator \
         gives it by an invitation for that very name"
    )]
    NameReserved,
    /// The proof of possession is refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// There were too many registrations from that address.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The username is not one.
    #[error(transparent)]
    Username(#[from] InvalidUsername),
    /// The username is taken.
    #[error("the username is taken")]
    UsernameTaken,
}

impl RegistrationError {
    /// Whether the audit trail should know: somebody tried to get in without being let in.
    const fn is_of_consequence(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::CodeNeeded
                | Self::CodeUnusable
                | Self::Proof(ProofError::Replayed)
        )
    }
}

impl From<CreateAccountError> for RegistrationError {
    fn from(error: CreateAccountError) -> Self {
        match error {
            CreateAccountError::InvitationUnusable => Self::CodeUnusable,
            CreateAccountError::KeyTaken => Self::KeyTaken,
            CreateAccountError::Store(error) => Self::Store(error),
            CreateAccountError::UsernameTaken => Self::UsernameTaken,
        }
    }
}
