//! A passkey, as an authenticator makes and uses it (WebAuthn §6): ES256, without attestation.

use anyhow::Context as _;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, NewKey, PrivateKey},
};
use serde_json::{Value, json};

use crate::identity::ORIGIN;

/// The host of [`ORIGIN`].
const RP_ID: &str = "localhost";
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const HAS_NEW_PASSKEY: u8 = 1 << 6;

/// A passkey that does not count its signatures.
pub(crate) struct Passkey {
    key: PrivateKey,
    id: [u8; 32],
}

impl Passkey {
    /// A new one.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = PrivateKey::generate(NewKey::EcP256)?;
        let id = *key.public_key().thumbprint().as_bytes();
        Ok(Self { key, id })
    }

    /// The `RegistrationResponseJSON` for `challenge`, which is base64url.
    pub(crate) fn create(&self, challenge: &str) -> anyhow::Result<Value> {
        let mut data = authenticator_data(HAS_NEW_PASSKEY);
        data.extend([0; 16]);
        data.extend([0, 32]);
        data.extend(self.id);
        data.extend(self.cose_key()?);
        // {"fmt": "none", "attStmt": {}, "authData": of so many bytes}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len())?);
        object.extend(data);
        Ok(self.response(&json!({
            "clientDataJSON": base64url(&client_data("webauthn.create", challenge)),
            "attestationObject": base64url(&object),
            "transports": ["internal"],
        })))
    }

    /// The `AuthenticationResponseJSON` for `challenge`, as base64url of its text. `user_handle` came
    /// with the options of the registration.
    pub(crate) fn answer(&self, challenge: &str, user_handle: &str) -> anyhow::Result<String> {
        let client = client_data("webauthn.get", challenge);
        let data = authenticator_data(0);
        let signed = [&data[..], &sha256(&[&client])].concat();
        let signature = self.key.sign(Algorithm::Es256, &signed)?;
        let response = self.response(&json!({
            "clientDataJSON": base64url(&client),
            "authenticatorData": base64url(&data),
            "signature": base64url(&der(&signature)),
            "userHandle": user_handle,
        }));
        Ok(base64url(response.to_string().as_bytes()))
    }

    fn response(&self, response: &Value) -> Value {
        let id = base64url(&self.id);
        json!({
            "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {},
            "response": response,
        })
    }

    /// The public key in the form of RFC 9053 §7.1.1.
    fn cose_key(&self) -> anyhow::Result<Vec<u8>> {
        let jwk = self.key.public_key().to_jwk();
        let coordinate = |name: &str| {
            let text = jwk.get(name).and_then(Value::as_str).context("not a point")?;
            anyhow::Ok(BASE64_URL_SAFE_NO_PAD.decode(text)?)
        };
        // {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
        let head = b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20";
        Ok([head, &*coordinate("x")?, b"\x22\x58\x20", &*coordinate("y")?].concat())
    }
}

/// Hash of the RP ID, flags and a counter that stays at zero (WebAuthn §6.1).
fn authenticator_data(flags: u8) -> Vec<u8> {
    let mut data = sha256(&[RP_ID.as_bytes()]).to_vec();
    data.push(flags | USER_PRESENT | USER_VERIFIED);
    data.extend([0; 4]);
    data
}

fn client_data(kind: &str, challenge: &str) -> Vec<u8> {
    let client = json!({
        "type": kind, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false,
    });
    client.to_string().into_bytes()
}

/// An ECDSA signature, two numbers of 32 bytes, as an `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
fn der(signature: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    for number in signature.chunks(32) {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        let sign: &[u8] =
            if number.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
        numbers.push(2);
        numbers.push(u8::try_from(sign.len() + number.len()).unwrap_or(u8::MAX));
        numbers.extend([sign, number].concat());
    }
    let length = u8::try_from(numbers.len()).unwrap_or(u8::MAX);
    [&[0x30, length], &*numbers].concat()
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{
        keys::{CoseAlgorithm, KeyPolicy},
        proofs::webauthn::{
            AllowedPasskeys, AuthenticationExpectations, AuthenticationResponse,
            CeremonyExpectations, RegistrationExpectations, RegistrationResponse, StoredPasskey,
            UserVerification,
        },
    };

    use super::*;

    #[test]
    fn the_passkey_is_one_by_the_rules_of_webauthn() {
        let passkey = Passkey::new().unwrap();
        let challenge = base64url(&[7; 32]);
        let made = RegistrationResponse::parse(&passkey.create(&challenge).unwrap().to_string());
        let made = made.unwrap();
        let ceremony = CeremonyExpectations {
            challenge: &made.challenge().clone(),
            rp_id: &RP_ID.parse().unwrap(),
            origins: &[ORIGIN.parse().unwrap()],
            top_origins: &[],
            user_verification: UserVerification::Required,
        };
        let algorithms = &[CoseAlgorithm::Es256];
        let key_policy = &KeyPolicy::default();
        let expected = RegistrationExpectations { ceremony, algorithms, key_policy };
        let new = made.verify(&expected).unwrap();
        let stored = StoredPasskey {
            id: &new.id,
            user_handle: &[1; 32].into(),
            public_key: &new.public_key,
            sign_count: new.sign_count,
            backup_eligible: new.backup.is_eligible(),
        };
        let answer = passkey.answer(&challenge, &base64url(&[1; 32])).unwrap();
        let answer = BASE64_URL_SAFE_NO_PAD.decode(answer).unwrap();
        let answer = AuthenticationResponse::parse(str::from_utf8(&answer).unwrap()).unwrap();
        let allowed = AllowedPasskeys::Any;
        answer.verify(&stored, &AuthenticationExpectations { ceremony, allowed }).unwrap();
    }
}
