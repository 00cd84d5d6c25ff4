//! The test vectors of Web Authentication Level 3 (§16): what each of them is, here.

use serde_json::{Value as Json, json};

use super::authenticator::{Refusal, Server, Stored};
use crate::{
    keys::{CoseAlgorithm, CoseKeyError},
    proofs::webauthn::{
        Attestation, AttestationFormat, AuthenticatorDataError, CeremonyError, Challenge,
        ClientDataError, CredentialId, NewPasskey, RegistrationError, ResponseError, SignCounter,
        UserHandle, UserVerification,
    },
    strict::base64url,
    test_support::unhex,
};

const VECTORS: &str = include_str!("../../../../vectors/webauthn/w3c-level-3.json");

/// One case, whose title begins with the sentence of the specification.
struct Case(Json);

impl Case {
    fn all() -> Vec<Self> {
        let vectors: Json = serde_json::from_str(VECTORS).unwrap();
        let cases = vectors["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 15);
        cases.iter().cloned().map(Self).collect()
    }

    fn of(section: &str) -> Self {
        let section = format!("sctn-test-vectors-{section}");
        Self::all().into_iter().find(|case| case.0["section"] == *section).unwrap()
    }

    fn bytes(&self, ceremony: &str, name: &str) -> Vec<u8> {
        unhex(self.0[ceremony][name].as_str().unwrap())
    }

    /// The server that the specification supposes, for a ceremony of this case.
    fn server(&self, ceremony: &str) -> Server {
        let challenge = self.bytes(ceremony, "challenge");
        Server {
            challenge: Challenge::try_from(&challenge[..]).unwrap(),
            user_verification: UserVerification::Optional,
            algorithms: CoseAlgorithm::ALL.to_vec(),
            ..Server::default()
        }
    }

    fn registration(&self) -> String {
        self.credential("registration", &["clientDataJSON", "attestationObject"])
    }

    fn authentication(&self) -> String {
        self.credential("authentication", &["clientDataJSON", "authenticatorData", "signature"])
    }

    fn credential(&self, ceremony: &str, members: &[&str]) -> String {
        let text = |name| base64url::encode(&self.bytes(ceremony, name));
        let id = base64url::encode(&self.bytes("registration", "credential_id"));
        let response: serde_json::Map<_, _> =
            members.iter().map(|name| ((*name).to_owned(), text(name).into())).collect();
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }

    fn register(&self) -> NewPasskey {
        self.server("registration").register(&self.registration()).unwrap()
    }

    /// Registers and authenticates, both as they should.
    fn succeeds(&self, attestation: Attestation) {
        let passkey = self.register();
        assert_eq!(passkey.attestation, attestation, "{}", self.0["title"]);
        assert_eq!(passkey.id.as_bytes(), self.bytes("registration", "credential_id"));
        assert_eq!(passkey.aaguid.as_bytes()[..], self.bytes("registration", "aaguid"));
        let server = self.server("authentication");
        let assertion = server.authenticate(&stored(passkey), &self.authentication()).unwrap();
        assert_eq!(assertion.sign_count, SignCounter::NotCounting);
    }
}

/// The vectors have no user handles, so the account is known.
fn stored(passkey: NewPasskey) -> Stored {
    Stored {
        user_handle: UserHandle::try_from(&[1][..]).unwrap(),
        public_key: passkey.public_key,
        sign_count: passkey.sign_count,
        backup_eligible: passkey.backup.is_eligible(),
        allowed: Some(vec![passkey.id.clone()]),
        id: passkey.id,
    }
}

#[test]
fn es256_without_attestation() {
    Case::of("none-es256").succeeds(Attestation::None);
}

#[test]
fn es256_with_self_attestation() {
    Case::of("packed-self-es256").succeeds(Attestation::SelfSigned);
}

#[test]
fn a_credential_id_of_1023_bytes() {
    let case = Case::of("none-es256-long-credential-id");
    assert_eq!(case.register().id.as_bytes().len(), CredentialId::MAX_LEN);
    case.succeeds(Attestation::None);
}

#[test]
fn attestations_that_are_not_evaluated() {
    for (section, format) in [
        ("packed-es256", AttestationFormat::Packed),
        ("packed-es384", AttestationFormat::Packed),
        ("packed-rs256", AttestationFormat::Packed),
        ("packed-eddsa", AttestationFormat::Packed),
        ("tpm-es256", AttestationFormat::Tpm),
        ("android-key-es256", AttestationFormat::AndroidKey),
        ("apple-es256", AttestationFormat::Apple),
        ("fido-u2f-es256", AttestationFormat::FidoU2f),
    ] {
        Case::of(section).succeeds(Attestation::NotEvaluated(format));
    }
}

#[test]
fn algorithms_that_are_not_supported() {
    for (section, alg) in [("packed-es512", -36), ("packed-ed448", -53)] {
        let case = Case::of(section);
        let refused = case.server("registration").register(&case.registration()).unwrap_err();
        let error = AuthenticatorDataError::from(CoseKeyError::UnknownAlgorithm(alg));
        assert_eq!(refused, Refusal::Parse(ResponseError::AuthenticatorData(error)));
    }
}

#[test]
fn cross_origin_true_is_refused_unless_it_is_expected() {
    let case = Case::of("none-es256-crossOrigin");
    let mut server = case.server("registration");
    let refused = server.register(&case.registration()).unwrap_err();
    assert_eq!(refused, registration_refused(ClientDataError::CrossOrigin));
    server.top_origins = vec!["https://example.com".parse().unwrap()];
    let stored = stored(server.register(&case.registration()).unwrap());
    let mut server = case.server("authentication");
    assert!(server.authenticate(&stored, &case.authentication()).is_err());
    server.top_origins = vec!["https://example.com".parse().unwrap()];
    assert!(server.authenticate(&stored, &case.authentication()).is_ok());
}

#[test]
fn a_top_origin_is_refused_unless_it_is_expected() {
    let case = Case::of("none-es256-topOrigin");
    let mut server = case.server("registration");
    let refused = server.register(&case.registration()).unwrap_err();
    assert_eq!(refused, registration_refused(ClientDataError::CrossOrigin));
    server.top_origins = vec!["https://example.net".parse().unwrap()];
    let refused = server.register(&case.registration()).unwrap_err();
    let top = ClientDataError::TopOrigin("https://example.com".to_owned());
    assert_eq!(refused, registration_refused(top));
    server.top_origins = vec!["https://example.com".parse().unwrap()];
    let stored = stored(server.register(&case.registration()).unwrap());
    let mut server = case.server("authentication");
    assert!(server.authenticate(&stored, &case.authentication()).is_err());
    server.top_origins = vec!["https://example.com".parse().unwrap()];
    assert!(server.authenticate(&stored, &case.authentication()).is_ok());
}

#[test]
fn no_vector_answers_the_challenge_of_another() {
    let cases = Case::all();
    for (case, other) in cases.iter().zip(cases.iter().cycle().skip(1)) {
        let server = other.server("registration");
        assert!(server.register(&case.registration()).is_err(), "{}", case.0["title"]);
    }
}

fn registration_refused(error: ClientDataError) -> Refusal<RegistrationError> {
    Refusal::Verify(CeremonyError::from(error).into())
}
