//! How much room takes what strangers make.

use countersign_protocol::{
    digest::sha256,
    keys::{KeyPolicy, PublicKey},
    proofs::webauthn::CredentialId,
    strict::base64url,
};
use countersign_testkit::samples;
use serde_json::json;

use super::*;

/// docs/configuration.md counts with it: `rate_limits.registrations_per_day`.
const LARGEST_REGISTRATION: i64 = 4000;

const ACCOUNTS: u32 = 200;

#[tokio::test]
async fn the_largest_account_with_a_passkey_takes_four_kilobytes() {
    let fixture = Fixture::new();
    let before = size(&fixture);
    for number in (0..ACCOUNTS).map(u64::from) {
        let name = format!("n{number:x>63}");
        let mut new = samples::new_account(number, &name);
        let mut passkey = samples::new_passkey(new.id, 0, None);
        passkey.credential.public_key = rsa_4096(number).of_passkey();
        passkey.event.thumbprint = Some(passkey.credential.thumbprint());
        passkey.passkey.id = CredentialId::try_from(&bytes(number, 1023)[..]).unwrap();
        passkey.challenge = samples::replay_entry(number);
        new.credential.label = "l".repeat(64).parse().unwrap();
        new.passkey = Some(Box::new(passkey));
        fixture.create(new).await;
    }
    let each = (size(&fixture) - before) / i64::from(ACCOUNTS);
    assert!(each <= LARGEST_REGISTRATION, "{each} bytes");
}

fn size(fixture: &Fixture) -> i64 {
    let connection = fixture.other_program();
    let pragma =
        |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    pragma("page_count") * pragma("page_size")
}

/// A key of the largest kind. Nobody has its private half.
fn rsa_4096(number: u64) -> PublicKey {
    let mut modulus = bytes(number, 512);
    modulus[0] |= 0x80;
    modulus[511] |= 1;
    let jwk = json!({ "kty": "RSA", "e": "AQAB", "n": base64url::encode(&modulus) });
    PublicKey::parse(&jwk.to_string(), &KeyPolicy::ANY).unwrap()
}

/// As many bytes as that, other ones for each number.
fn bytes(number: u64, length: usize) -> Vec<u8> {
    let blocks = (0_u64..).map(|block| sha256(&[&number.to_le_bytes(), &block.to_le_bytes()]));
    blocks.flatten().take(length).collect()
}
