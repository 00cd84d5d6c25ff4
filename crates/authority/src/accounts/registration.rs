//! Registration: an account comes to be with its first key, which proves itself.

use std::net::IpAddr;

use countersign_protocol::{
    AccountId, Actor, UnixTime,
    challenges::passkeys::Expected,
    keys::{KeyError, KeyPolicy, PublicKey, Thumbprint},
    proofs::dpop::{DpopError, NonceRule},
    replay::ReplayOwner,
};
use serde_json::{Map, Value};

use crate::{
    accounts::{
        Accounts,
        enrolment::{Admitted, Application, Cost, Factor},
        registration_error::{RegistrationError, RegistrationOptionsError},
    },
    core::dpop::{PresentedDpop, ProofError},
    model::{
        account::Username,
        audit::{AuditEvent, EventKind},
        credential::{Label, Remember},
        user_agent::UserAgent,
    },
    passkeys::{
        options::{CreationOptions, OptionsError},
        registration::PresentedPasskey,
    },
};

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
    /// A passkey that the account is to have besides: a `RegistrationResponseJSON`.
    pub passkey: Option<&'a str>,
    /// Set for the key of a browser: for how long it is to be remembered.
    pub remember: Option<Remember>,
    /// The client's address.
    pub address: IpAddr,
    /// What the client says about itself.
    pub user_agent: Option<&'a [u8]>,
}

/// The result of a registration.
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
    /// The new account.
    pub fn actor(&self) -> Actor {
        Actor {
            account_id: self.account_id,
            username: Some(self.username.clone()),
            key: Some(self.thumbprint),
            proof: None,
        }
    }

    /// What comes of `admitted` with `key`.
    pub(crate) fn of(admitted: &Admitted, key: &PublicKey) -> Self {
        Self {
            account_id: admitted.account_id,
            username: admitted.username.clone(),
            thumbprint: key.thumbprint(),
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
        let result = self.try_register(&registration, now).await;
        if let Err(error) = &result
            && error.is_of_consequence()
        {
            let event = AuditEvent::new(now, EventKind::RegistrationRefused);
            let event = event.from(registration.address).detail(error.to_string());
            self.core.pending_events.note(event);
        }
        result
    }

    /// What the browser whose key is `key` needs to make the passkey of an account that is to be called
    /// `username`. It counts as a try to log in.
    ///
    /// A passkey that is made for nothing would stay with the user. So a registration with that name
    /// and code that would be refused is refused here.
    ///
    /// # Errors
    /// When there are no passkeys here, or the account is not to be had.
    pub async fn options_to_register(
        &self,
        key: Thumbprint,
        username: &str,
        enrolment_code: Option<&str>,
        address: IpAddr,
    ) -> Result<CreationOptions, RegistrationOptionsError> {
        self.passkeys.policy().map_err(OptionsError::from)?;
        self.core.admit_login(address).await.map_err(RegistrationError::from)?;
        let application = Application { username, enrolment_code, address, cost: Cost::Ordinary };
        let username = self.check_application(application, self.core.now()).await?;
        Ok(self.passkeys.to_register(key, username)?)
    }

    async fn try_register(
        &self,
        registration: &Registration<'_>,
        now: UnixTime,
    ) -> Result<Registered, RegistrationError> {
        let &Registration { username, enrolment_code, address, .. } = registration;
        let application = Application { username, enrolment_code, address, cost: Cost::Ordinary };
        let admitted = self.admit(application, now).await?;
        let key = registration.public_key.parse(&self.core.policy.keys)?;
        let remember = registration.remember;
        let user_agent = registration.user_agent.and_then(UserAgent::of);
        let label = match (registration.label, remember) {
            (Some(label), _) => label.parse()?,
            (None, Some(_)) => Label::of_browser(user_agent.as_ref()),
            (None, None) => Label::of_kind(&key),
        };
        let passkey = registration.passkey.map(|json| {
            let presented = PresentedPasskey { json, label: None };
            self.passkeys.verify_new(presented, &Expected::Register, key.thumbprint(), now)
        });
        let passkey = passkey.transpose()?.map(Box::new);
        let owner = ReplayOwner::Network(address.into());
        self.prove_key(&registration.proof, &key, owner, now).await?;
        let registered = Registered::of(&admitted, &key);
        let factor = Factor::ProvenKey { key, label, remember, user_agent, passkey };
        self.enrol(admitted, factor).await?;
        // Another account may have had it without ever proving it.
        self.core.credentials.forget(&registered.thumbprint);
        Ok(registered)
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
