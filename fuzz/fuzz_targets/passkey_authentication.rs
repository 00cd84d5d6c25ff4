//! Nobody without the passkey's private key is let in, whatever they send.
//!
//! The input is the authenticator data, well signed; it is accepted only with the domain at hand and a person recognised.
//! If it begins with a brace it is the whole JSON, which is never accepted, because nobody has signed it.
#![no_main]

use std::sync::LazyLock;

use countersign_protocol::digest::sha256;
use countersign_protocol::keys::{Algorithm, KeyPolicy, PrivateKey};
use countersign_protocol::proofs::webauthn::{
    AllowedPasskeys, AuthenticationExpectations, AuthenticationResponse, CeremonyExpectations,
    Challenge, CredentialId, Origin, RpId, SignCounter, StoredPasskey, UserHandle,
    UserVerification,
};
use countersign_protocol::strict::base64url;
use serde_json::json;

const STORED_COUNT: u32 = 7;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/ed25519.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});
static CHALLENGE: LazyLock<Challenge> =
    LazyLock::new(|| Challenge::try_from(&[9; 32][..]).expect("it is long enough"));
static RP_ID: LazyLock<RpId> = LazyLock::new(|| "example.org".parse().expect("it is a domain"));
static ORIGIN: LazyLock<Origin> =
    LazyLock::new(|| "https://example.org".parse().expect("it is an origin"));
static ID: LazyLock<CredentialId> =
    LazyLock::new(|| CredentialId::try_from(&[1; 32][..]).expect("it is an id"));
static USER: LazyLock<UserHandle> =
    LazyLock::new(|| UserHandle::try_from(&[5; 32][..]).expect("it is a handle"));

/// Around the authenticator data, signed by the passkey.
fn credential(data: &[u8]) -> String {
    let client = format!(
        r#"{{"type":"webauthn.get","challenge":"{}","origin":"{}"}}"#,
        base64url::encode(CHALLENGE.as_bytes()),
        ORIGIN.as_str(),
    );
    let signed = [data, &sha256(&[client.as_bytes()])].concat();
    let signature = KEY.sign(Algorithm::EdDsa, &signed).expect("the key signs");
    let id = base64url::encode(ID.as_bytes());
    json!({
        "id": id, "rawId": id, "type": "public-key",
        "response": {
            "clientDataJSON": base64url::encode(client.as_bytes()),
            "authenticatorData": base64url::encode(data),
            "signature": base64url::encode(&signature),
            "userHandle": base64url::encode(USER.as_bytes()),
        },
    })
    .to_string()
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let is_json = input.first() == Some(&b'{');
    let text =
        if is_json { String::from_utf8_lossy(input).into_owned() } else { credential(input) };
    let Ok(response) = AuthenticationResponse::parse(&text) else { return };
    let stored = StoredPasskey {
        id: &ID,
        user_handle: &USER,
        public_key: KEY.public_key(),
        sign_count: STORED_COUNT,
        backup_eligible: true,
    };
    let expected = AuthenticationExpectations {
        ceremony: CeremonyExpectations {
            challenge: &CHALLENGE,
            rp_id: &RP_ID,
            origins: std::slice::from_ref(&ORIGIN),
            top_origins: &[],
            user_verification: UserVerification::Required,
        },
        allowed: AllowedPasskeys::Any,
    };
    if let Ok(assertion) = response.verify(&stored, &expected) {
        assert!(!is_json, "nobody has signed it");
        assert_eq!(input[..32], RP_ID.hash());
        assert!(assertion.user_verified && assertion.backup.is_eligible());
        let received = u32::from_be_bytes(input[33..37].try_into().expect("4 bytes"));
        let counted = if received > STORED_COUNT {
            SignCounter::Advanced(received)
        } else {
            SignCounter::Regressed { stored: STORED_COUNT, received }
        };
        assert_eq!(assertion.sign_count, counted);
    }
});
