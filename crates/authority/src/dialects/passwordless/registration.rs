//! Registration for mutual challenge and response: the account's key, and the server's for that account.

use std::net::IpAddr;

use countersign_protocol::{AccountId, keys::PublicKey};
use thiserror::Error;

use super::{Passwordless, server_keys::ServerKeyError};
use crate::{
    accounts::{
        enrolment::{Application, ClaimedKey, Cost, Factor},
        registration::PresentedKey,
        registration_error::RegistrationError,
    },
    model::{
        credential_kind::{Act, CredentialKind, NotForThisKind},
        limits::NotAdmitted,
    },
    ports::StoreError,
};

/// A request for an account, without a proof that the key is the client's own.
#[derive(Clone, Copy, Debug)]
pub struct MutualRegistration<'a> {
    /// The name that is asked for.
    pub username: &'a str,
    /// The key that the account will log in with.
    pub public_key: PresentedKey<'a>,
    /// Where the private half of that key is. A key that a page keeps is of the kind
    /// [`Mutual`](CredentialKind::Mutual).
    pub kind: CredentialKind,
    /// The one-time code of an invitation.
    pub enrolment_code: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// What came of such a registration.
#[derive(Clone, Debug)]
pub struct MutuallyRegistered {
    /// The new account's id.
    pub account_id: AccountId,
    /// The key by which the server proves itself to this account.
    pub server_key: PublicKey,
}

impl Passwordless {
    /// Registers an account and makes the key pair by which the server proves itself to it.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub async fn register_mutually(
        &self,
        registration: MutualRegistration<'_>,
    ) -> Result<MutuallyRegistered, MutualRegistrationError> {
        let now = self.core.now();
        let MutualRegistration { username, kind, enrolment_code, address, .. } = registration;
        kind.check(Act::LogInMutually)?;
        let application = Application { username, enrolment_code, address, cost: Cost::High };
        let admitted = self.accounts.admit(application, now).await?;
        let key = registration
            .public_key
            .parse(&self.mutual_key_policy())
            .map_err(RegistrationError::Key)?;
        // Looked at before a key pair is made for nothing; the store decides.
        self.accounts.check_name_untaken(&admitted.username).await?;
        if self.core.ports.store.is_taken(&key.thumbprint()).await? {
            return Err(RegistrationError::KeyTaken.into());
        }
        let server_key = self.server_keys.take(address.into()).await?;
        let account_id = admitted.account_id;
        let sealed = self.server_keys.seal(account_id, &server_key, &*self.core.ports.random);
        let factor = ClaimedKey { kind, server_key: Some(sealed), ..ClaimedKey::unproven(key) };
        let enrolled = self.accounts.enrol(admitted, Factor::ClaimedKey(factor)).await;
        enrolled.map_err(RegistrationError::from)?;
        let server_key = server_key.public_key().clone();
        Ok(MutuallyRegistered { account_id, server_key })
    }
}

/// Why such a registration is refused.
#[derive(Debug, Error)]
pub enum MutualRegistrationError {
    /// A key of that kind is not for this login.
    #[error("kind: {0}")]
    Kind(#[from] NotForThisKind),
    /// For a reason that any registration has.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// There is no key pair for the account.
    #[error(transparent)]
    ServerKey(#[from] ServerKeyError),
}

impl From<NotAdmitted> for MutualRegistrationError {
    fn from(error: NotAdmitted) -> Self {
        Self::Registration(error.into())
    }
}

impl From<StoreError> for MutualRegistrationError {
    fn from(error: StoreError) -> Self {
        Self::Registration(error.into())
    }
}
