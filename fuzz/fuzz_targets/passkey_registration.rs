//! Whatever a registration says, it is accepted only for the challenge, page and domain at hand, with a person recognised.
//!
//! The input is the attestation object, which nobody has signed; or, if it begins with a brace, the whole JSON.
#![no_main]

use std::sync::LazyLock;

use countersign_protocol::keys::{CoseAlgorithm, KeyPolicy};
use countersign_protocol::proofs::webauthn::{
    CeremonyExpectations, Challenge, CredentialId, Origin, RegistrationExpectations,
    RegistrationResponse, RpId, UserVerification,
};
use countersign_protocol::strict::base64url;
use serde_json::json;

static CHALLENGE: LazyLock<Challenge> =
    LazyLock::new(|| Challenge::try_from(&[9; 32][..]).expect("it is long enough"));
static RP_ID: LazyLock<RpId> = LazyLock::new(|| "example.org".parse().expect("it is a domain"));
static ORIGIN: LazyLock<Origin> =
    LazyLock::new(|| "https://example.org".parse().expect("it is an origin"));

/// Around the attestation object, with the credential id that most of the corpus has.
fn credential(attestation_object: &[u8]) -> String {
    let client = format!(
        r#"{{"type":"webauthn.create","challenge":"{}","origin":"{}"}}"#,
        base64url::encode(CHALLENGE.as_bytes()),
        ORIGIN.as_str(),
    );
    let id = base64url::encode(&[1; 32]);
    json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": base64url::encode(client.as_bytes()),
            "attestationObject": base64url::encode(attestation_object),
        },
    })
    .to_string()
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = match input {
        [b'{', ..] => String::from_utf8_lossy(input).into_owned(),
        _ => credential(input),
    };
    let Ok(response) = RegistrationResponse::parse(&text) else { return };
    let answers_ours = *response.challenge() == *CHALLENGE;
    let expected = RegistrationExpectations {
        ceremony: CeremonyExpectations {
            challenge: &CHALLENGE,
            rp_id: &RP_ID,
            origins: std::slice::from_ref(&ORIGIN),
            top_origins: &[],
            user_verification: UserVerification::Required,
        },
        algorithms: &[CoseAlgorithm::EdDsa, CoseAlgorithm::Es256, CoseAlgorithm::Rs256],
        key_policy: &KeyPolicy::default(),
    };
    if let Ok(passkey) = response.verify(&expected) {
        assert!(answers_ours && passkey.user_verified);
        assert!((1..=CredentialId::MAX_LEN).contains(&passkey.id.as_bytes().len()));
        assert!(passkey.backup.is_eligible() || !passkey.backup.is_backed_up());
        assert_eq!(passkey.public_key.algorithms().len(), 1);
    }
});
