//! The attestation object (WebAuthn §6.5): the new passkey, and a statement about its authenticator.
//!
//! Only two statements are evaluated: that there is none, and that the passkey has signed itself
//! (§8.2, *self attestation*). The others name an authenticator's maker. They must have the right
//! form, and count for nothing, because no maker is trusted here.

use thiserror::Error;

use super::authenticator_data::{AuthenticatorData, AuthenticatorDataError};
use crate::{
    keys::{BadSignature, CoseAlgorithm, PublicKey},
    strict::cbor::{self, CborError, Key, Map, Value},
};

/// A format of statements that name the authenticator's maker (WebAuthn §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationFormat {
    /// `packed` with certificates (§8.2).
    Packed,
    /// `tpm` (§8.3).
    Tpm,
    /// `android-key` (§8.4).
    AndroidKey,
    /// `android-safetynet` (§8.5).
    AndroidSafetyNet,
    /// `fido-u2f` (§8.6).
    FidoU2f,
    /// `apple` (§8.8).
    Apple,
    /// `compound` (§8.9).
    Compound,
}

/// What is known about the authenticator of a new passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// Nothing: there is no statement.
    None,
    /// Nothing but that it has the passkey's private key.
    SelfSigned,
    /// There is a statement of this format, which was not evaluated.
    NotEvaluated(AttestationFormat),
}

/// An attestation object, read.
#[derive(Debug)]
pub(super) struct AttestationObject {
    pub(super) data: AuthenticatorData,
    /// The bytes of `data`, which are signed.
    bytes: Vec<u8>,
    statement: Statement,
}

#[derive(Debug)]
enum Statement {
    None,
    SelfSigned { algorithm: i128, signature: Vec<u8> },
    NotEvaluated(AttestationFormat),
}

impl AttestationObject {
    /// Reads the object. Entries of the outer map that are not known mean nothing.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AttestationObjectError> {
        let object = cbor::parse(bytes).map_err(AttestationError::Cbor)?;
        let object = object.as_map().ok_or(AttestationError::NotAMap)?;
        let entry = |name| object.text(name).ok_or(AttestationError::Missing(name));
        let format = entry("fmt")?.as_text().ok_or(AttestationError::Missing("fmt"))?;
        let statement = Statement::read(format, entry("attStmt")?)?;
        let data = entry("authData")?.as_bytes().ok_or(AttestationError::Missing("authData"))?;
        Ok(Self { data: AuthenticatorData::parse(data)?, bytes: data.to_vec(), statement })
    }

    /// Evaluates the statement about the new passkey `key`, which is for `algorithm`.
    pub(super) fn evaluate(
        &self,
        key: &PublicKey,
        algorithm: CoseAlgorithm,
        client_data_hash: &[u8; 32],
    ) -> Result<Attestation, AttestationError> {
        match &self.statement {
            Statement::None => Ok(Attestation::None),
            Statement::NotEvaluated(format) => Ok(Attestation::NotEvaluated(*format)),
            Statement::SelfSigned { algorithm: own, .. } if *own != algorithm.id().into() => {
                Err(AttestationError::OtherAlgorithm)
            }
            Statement::SelfSigned { signature, .. } => {
                let signed = [&self.bytes[..], client_data_hash].concat();
                key.verify_webauthn(&signed, signature)
                    .map(|()| Attestation::SelfSigned)
                    .map_err(|BadSignature| AttestationError::Signature)
            }
        }
    }
}

impl Statement {
    fn read(format: &str, statement: &Value<'_>) -> Result<Self, AttestationError> {
        let format = match format {
            "none" => {
                let is_empty = statement.as_map().is_some_and(Map::is_empty);
                return is_empty.then_some(Self::None).ok_or(AttestationError::NoneWithStatement);
            }
            "packed" => return Self::read_packed(statement),
            "tpm" => AttestationFormat::Tpm,
            "android-key" => AttestationFormat::AndroidKey,
            "android-safetynet" => AttestationFormat::AndroidSafetyNet,
            "fido-u2f" => AttestationFormat::FidoU2f,
            "apple" => AttestationFormat::Apple,
            "compound" => AttestationFormat::Compound,
            _ => return Err(AttestationError::UnknownFormat),
        };
        let has_content = match (format, statement) {
            (AttestationFormat::Compound, Value::Array(statements)) => !statements.is_empty(),
            (AttestationFormat::Compound, _) => false,
            (_, statement) => statement.as_map().is_some_and(|statement| !statement.is_empty()),
        };
        has_content.then_some(Self::NotEvaluated(format)).ok_or(AttestationError::Form)
    }

    /// WebAuthn §8.2: `alg` and `sig`, and in case of certificates `x5c`.
    fn read_packed(statement: &Value<'_>) -> Result<Self, AttestationError> {
        let statement = statement.as_map().ok_or(AttestationError::Form)?;
        if !statement.keys().all(|key| matches!(key, Key::Text("alg" | "sig" | "x5c"))) {
            return Err(AttestationError::Form);
        }
        let algorithm = statement.text("alg").and_then(Value::as_integer);
        let signature = statement.text("sig").and_then(Value::as_bytes);
        let (Some(algorithm), Some(signature)) = (algorithm, signature) else {
            return Err(AttestationError::Form);
        };
        match statement.text("x5c") {
            None => Ok(Self::SelfSigned { algorithm, signature: signature.to_vec() }),
            Some(Value::Array(chain)) if is_chain(chain) => {
                Ok(Self::NotEvaluated(AttestationFormat::Packed))
            }
            Some(_) => Err(AttestationError::Form),
        }
    }
}

fn is_chain(chain: &[Value<'_>]) -> bool {
    let is_there = |link: &Value<'_>| link.as_bytes().is_some_and(|link| !link.is_empty());
    !chain.is_empty() && chain.iter().all(is_there)
}

/// What is wrong with an attestation object: itself, or the authenticator data in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum AttestationObjectError {
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    #[error(transparent)]
    AuthenticatorData(#[from] AuthenticatorDataError),
}

/// Why an attestation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AttestationError {
    /// The object is not CBOR.
    #[error("the attestation object: {0}")]
    Cbor(#[from] CborError),
    /// The statement lacks something that its format demands, or is of the wrong type.
    #[error("the attestation statement has not the form that its format demands")]
    Form,
    /// A part of the object is missing or of the wrong type.
    #[error("the attestation object lacks {0}, or it is of another type")]
    Missing(&'static str),
    /// A statement where there should be none.
    #[error("the attestation is of the format none, and yet it has a statement")]
    NoneWithStatement,
    /// The object is not a map.
    #[error("the attestation object is not a map of CBOR")]
    NotAMap,
    /// Self attestation by another algorithm than the passkey's.
    #[error("the self attestation is by another algorithm (alg) than the passkey's")]
    OtherAlgorithm,
    /// The self attestation is not by the passkey.
    #[error("the signature of the self attestation is wrong")]
    Signature,
    /// A format that is not known.
    #[error(
        "the attestation format is not known; known are none, packed, tpm, android-key, \
         android-safetynet, fido-u2f, apple and compound"
    )]
    UnknownFormat,
}
