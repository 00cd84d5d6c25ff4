//! Registration of a passkey (WebAuthn §7.1).

use thiserror::Error;

use super::{
    attestation::{Attestation, AttestationError, AttestationObject, AttestationObjectError},
    authenticator_data::{AttestedCredential, Backup},
    ceremony::{CeremonyError, CeremonyExpectations},
    client_data::{self, ClientData},
    identifiers::{Aaguid, Challenge, CredentialId, Transport},
    response::{CredentialJson, ResponseError},
};
use crate::{
    Unverified,
    keys::{CoseAlgorithm, KeyError, KeyPolicy, PublicKey},
};

/// A `RegistrationResponseJSON`, read. Nothing in it is trusted until it is verified.
#[derive(Debug)]
pub struct RegistrationResponse {
    id: CredentialId,
    client: ClientData,
    attestation: AttestationObject,
    transports: Vec<Transport>,
}

/// What a registration must say to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationExpectations<'a> {
    /// What both ceremonies expect.
    pub ceremony: CeremonyExpectations<'a>,
    /// The algorithms that were offered.
    pub algorithms: &'a [CoseAlgorithm],
    /// Which RSA keys are good enough.
    pub key_policy: &'a KeyPolicy,
}

/// A verified registration.
///
/// Whether the id belongs to a passkey already, of any account, is for the caller to find out
/// (§7.1, "not registered for any user").
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// Its id.
    pub id: CredentialId,
    /// Its key, for the one algorithm that it was made for.
    pub public_key: PublicKey,
    /// The signature counter.
    pub sign_count: u32,
    /// Whether it can be copied, and is.
    pub backup: Backup,
    /// Whether the authenticator has recognised its owner.
    pub user_verified: bool,
    /// The model of the authenticator, as it says itself.
    pub aaguid: Aaguid,
    /// How browsers can reach the authenticator, as the page says.
    pub transports: Vec<Transport>,
    /// What is known about the authenticator.
    pub attestation: Attestation,
}

impl RegistrationResponse {
    /// Reads what `PublicKeyCredential.toJSON` makes of a new passkey.
    ///
    /// # Errors
    /// [`ResponseError`] says what is missing or malformed.
    pub fn parse(json: &str) -> Result<Unverified<Self>, ResponseError> {
        let credential = CredentialJson::parse(json)?;
        let client = ClientData::parse(&credential.bytes("clientDataJSON")?)?;
        let attestation = AttestationObject::parse(&credential.bytes("attestationObject")?)?;
        let transports = credential.transports()?;
        Ok(Unverified::new(Self { id: credential.id, client, attestation, transports }))
    }
}

impl From<AttestationObjectError> for ResponseError {
    fn from(error: AttestationObjectError) -> Self {
        match error {
            AttestationObjectError::Attestation(error) => error.into(),
            AttestationObjectError::AuthenticatorData(error) => error.into(),
        }
    }
}

impl Unverified<RegistrationResponse> {
    /// The challenge that it answers.
    pub const fn challenge(&self) -> &Challenge {
        &self.content().client.challenge
    }

    /// Checks all that §7.1 demands and that needs no knowledge of other passkeys.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(
        self,
        expected: &RegistrationExpectations<'_>,
    ) -> Result<NewPasskey, RegistrationError> {
        let RegistrationResponse { id, client, attestation, transports } = self.into_verified();
        expected.ceremony.check(client_data::CREATE, &client, &attestation.data)?;
        let Some(attested) = &attestation.data.attested else {
            return Err(RegistrationError::NoCredential);
        };
        let AttestedCredential { aaguid, id: attested_id, key } = attested;
        if id != *attested_id {
            return Err(RegistrationError::OtherId);
        }
        let algorithm = key.algorithm();
        if !expected.algorithms.contains(&algorithm) {
            return Err(RegistrationError::AlgorithmNotOffered(algorithm));
        }
        let public_key = key.to_public_key(expected.key_policy)?;
        let statement = attestation.evaluate(&public_key, algorithm, &client.hash)?;
        Ok(NewPasskey {
            id,
            public_key,
            sign_count: attestation.data.sign_count,
            backup: attestation.data.backup,
            user_verified: attestation.data.user_verified,
            aaguid: *aaguid,
            transports,
            attestation: statement,
        })
    }
}

/// Why a registration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegistrationError {
    /// The algorithm of the key was not offered.
    #[error("the passkey is for the algorithm {} ({}), which was not offered", .0.id(), .0.jose())]
    AlgorithmNotOffered(CoseAlgorithm),
    /// The statement about the authenticator.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// Challenge, page, RP ID or owner.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The public key.
    #[error("the passkey's key is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// The authenticator data tell of no passkey.
    #[error("the authenticator data has no new passkey (the flag AT is not set)")]
    NoCredential,
    /// The id of the credential is not that of the passkey.
    #[error("the id of the credential is not the id in the authenticator data")]
    OtherId,
}
