//! Passkeys: registration and authentication of Web Authentication Level 3, on the server's side.
//!
//! Bytes in, verdict out: [`RegistrationResponse`] and [`AuthenticationResponse`] are parsed from the
//! JSON that a page sends (§5.1, `toJSON`) and verified as §7.1 and §7.2 demand. The caller makes the
//! challenges and spends them, knows which passkeys exist, and stores what a verdict says.
//!
//! Where the specification leaves a choice, the strict one is taken (ADR 19). The outputs of client
//! extensions are not read, because nothing signs them.

mod attestation;
mod authentication;
mod authenticator_data;
mod ceremony;
mod client_data;
mod identifiers;
mod registration;
mod relying_party;
mod response;
#[cfg(test)]
mod tests;

pub use self::{
    attestation::{Attestation, AttestationError, AttestationFormat},
    authentication::{
        AllowedPasskeys, AuthenticationError, AuthenticationExpectations, AuthenticationResponse,
        PasskeyAssertion, SignCounter, StoredPasskey,
    },
    authenticator_data::{AuthenticatorDataError, Backup},
    ceremony::{CeremonyError, CeremonyExpectations, UserVerification},
    client_data::ClientDataError,
    identifiers::{
        Aaguid, Challenge, CredentialId, InvalidAaguid, InvalidChallenge, InvalidCredentialId,
        InvalidTransport, InvalidUserHandle, Transport, UserHandle,
    },
    registration::{NewPasskey, RegistrationError, RegistrationExpectations, RegistrationResponse},
    relying_party::{InvalidOrigin, InvalidRpId, Origin, RpId},
    response::{MAX_RESPONSE, MAX_TRANSPORTS, ResponseError},
};
