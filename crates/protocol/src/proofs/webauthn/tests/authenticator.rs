//! An authenticator and a browser that do right, until a test changes one of their parts.

use serde_json::{Value as Json, json};

use crate::{
    digest::sha256,
    keys::{Algorithm, CoseAlgorithm, KeyPolicy, PrivateKey, PublicKey},
    proofs::webauthn::{
        AllowedPasskeys, AuthenticationError, AuthenticationExpectations, AuthenticationResponse,
        CeremonyExpectations, Challenge, CredentialId, NewPasskey, Origin, PasskeyAssertion,
        RegistrationError, RegistrationExpectations, RegistrationResponse, ResponseError, RpId,
        StoredPasskey, UserHandle, UserVerification,
    },
    strict::{
        base64url,
        cbor::{
            Key, Value,
            writer::{map, write},
        },
    },
    test_support::ec_p256,
};

pub(super) const UP: u8 = 1;
pub(super) const UV: u8 = 1 << 2;
pub(super) const BE: u8 = 1 << 3;
pub(super) const BS: u8 = 1 << 4;
pub(super) const AT: u8 = 1 << 6;
pub(super) const ED: u8 = 1 << 7;

pub(super) const CHALLENGE: [u8; 32] = [9; 32];
pub(super) const USER: [u8; 32] = [5; 32];

/// Why either step refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal<E> {
    Parse(ResponseError),
    Verify(E),
}

/// What the server expects.
pub(super) struct Server {
    pub(super) challenge: Challenge,
    pub(super) rp_id: RpId,
    pub(super) origins: Vec<Origin>,
    pub(super) top_origins: Vec<Origin>,
    pub(super) user_verification: UserVerification,
    pub(super) algorithms: Vec<CoseAlgorithm>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            challenge: Challenge::try_from(&CHALLENGE[..]).unwrap(),
            rp_id: "example.org".parse().unwrap(),
            origins: vec!["https://example.org".parse().unwrap()],
            top_origins: vec![],
            user_verification: UserVerification::Required,
            algorithms: vec![CoseAlgorithm::EdDsa, CoseAlgorithm::Es256, CoseAlgorithm::Rs256],
        }
    }
}

impl Server {
    pub(super) fn ceremony(&self) -> CeremonyExpectations<'_> {
        CeremonyExpectations {
            challenge: &self.challenge,
            rp_id: &self.rp_id,
            origins: &self.origins,
            top_origins: &self.top_origins,
            user_verification: self.user_verification,
        }
    }

    pub(super) fn register(&self, json: &str) -> Result<NewPasskey, Refusal<RegistrationError>> {
        let expected = RegistrationExpectations {
            ceremony: self.ceremony(),
            algorithms: &self.algorithms,
            key_policy: &KeyPolicy::default(),
        };
        RegistrationResponse::parse(json)
            .map_err(Refusal::Parse)?
            .verify(&expected)
            .map_err(Refusal::Verify)
    }

    pub(super) fn authenticate(
        &self,
        stored: &Stored,
        json: &str,
    ) -> Result<PasskeyAssertion, Refusal<AuthenticationError>> {
        let allowed = match &stored.allowed {
            None => AllowedPasskeys::Any,
            Some(ids) => AllowedPasskeys::Only(ids),
        };
        let expected = AuthenticationExpectations { ceremony: self.ceremony(), allowed };
        let passkey = StoredPasskey {
            id: &stored.id,
            user_handle: &stored.user_handle,
            public_key: &stored.public_key,
            sign_count: stored.sign_count,
            backup_eligible: stored.backup_eligible,
        };
        AuthenticationResponse::parse(json)
            .map_err(Refusal::Parse)?
            .verify(&passkey, &expected)
            .map_err(Refusal::Verify)
    }
}

/// What the server has stored of the passkey.
pub(super) struct Stored {
    pub(super) id: CredentialId,
    pub(super) user_handle: UserHandle,
    pub(super) public_key: PublicKey,
    pub(super) sign_count: u32,
    pub(super) backup_eligible: bool,
    pub(super) allowed: Option<Vec<CredentialId>>,
}

impl Stored {
    /// Of the passkey that [`Registration::new`] makes.
    pub(super) fn new() -> Self {
        Self {
            id: CredentialId::try_from(&[1; 32][..]).unwrap(),
            user_handle: UserHandle::try_from(&USER[..]).unwrap(),
            public_key: ec_p256().public_key().clone(),
            sign_count: 0,
            backup_eligible: true,
            allowed: None,
        }
    }
}

/// The COSE key of `key`.
pub(super) fn cose_key(key: &PrivateKey) -> Vec<u8> {
    let jwk = key.public_key().to_jwk();
    let number = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
    let (kty, alg, numbers) = match key.algorithm() {
        Algorithm::EdDsa => (1, -8, vec![(-1, None), (-2, Some(number("x")))]),
        Algorithm::Es256 | Algorithm::Es384 => {
            let alg = if key.algorithm() == Algorithm::Es256 { -7 } else { -35 };
            (2, alg, vec![(-1, None), (-2, Some(number("x"))), (-3, Some(number("y")))])
        }
        Algorithm::Ps256 | Algorithm::Rs256 => {
            (3, -257, vec![(-1, Some(number("n"))), (-2, Some(number("e")))])
        }
    };
    let curve = match alg {
        -8 => 6,
        -7 => 1,
        _ => 2,
    };
    let head = [(1, Value::Integer(kty)), (3, Value::Integer(alg))];
    let numbers = numbers.iter().map(|(label, bytes)| {
        (*label, bytes.as_deref().map_or(Value::Integer(curve), Value::Bytes))
    });
    let entries = head.into_iter().chain(numbers);
    write(&map(entries.map(|(label, value)| (Key::Integer(label), value))))
}

/// A signature in the form of WebAuthn (§6.5.5).
pub(super) fn sign(key: &PrivateKey, message: &[u8]) -> Vec<u8> {
    let algorithm = match key.algorithm() {
        Algorithm::Ps256 => Algorithm::Rs256,
        other => other,
    };
    let signature = key.sign(algorithm, message).unwrap();
    match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => to_der(&signature),
        Algorithm::EdDsa | Algorithm::Ps256 | Algorithm::Rs256 => signature,
    }
}

/// `Ecdsa-Sig-Value` in DER (RFC 3279 §2.2.3).
fn to_der(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        let sign = bytes.first().is_none_or(|first| *first >= 0x80);
        let content = [if sign { &[0][..] } else { &[] }, bytes].concat();
        [&[0x02, u8::try_from(content.len()).unwrap()], &content[..]].concat()
    };
    let content = [number(r), number(s)].concat();
    [&[0x30, u8::try_from(content.len()).unwrap()], &content[..]].concat()
}

/// The first bytes of authenticator data.
fn head(rp_id: &str, flags: u8, sign_count: u32) -> Vec<u8> {
    [&sha256(&[rp_id.as_bytes()])[..], &[flags], &sign_count.to_be_bytes()].concat()
}

fn client_data(ceremony: &str) -> Json {
    json!({
        "type": ceremony,
        "challenge": base64url::encode(&CHALLENGE),
        "origin": "https://example.org",
        "crossOrigin": false,
    })
}

/// A registration, in parts.
pub(super) struct Registration {
    pub(super) key: PrivateKey,
    pub(super) client: Json,
    pub(super) rp_id: &'static str,
    pub(super) flags: u8,
    pub(super) sign_count: u32,
    pub(super) id: Vec<u8>,
    pub(super) cose_key: Vec<u8>,
    pub(super) tail: Vec<u8>,
    pub(super) format: &'static str,
    /// The statement in CBOR.
    pub(super) statement: Vec<u8>,
}

impl Registration {
    pub(super) fn new() -> Self {
        Self::of(ec_p256())
    }

    pub(super) fn of(key: PrivateKey) -> Self {
        Self {
            client: client_data("webauthn.create"),
            rp_id: "example.org",
            flags: UP | UV | BE | BS | AT,
            sign_count: 0,
            id: vec![1; 32],
            cose_key: cose_key(&key),
            tail: vec![],
            format: "none",
            statement: write(&map([])),
            key,
        }
    }

    pub(super) fn authenticator_data(&self) -> Vec<u8> {
        let mut data = head(self.rp_id, self.flags, self.sign_count);
        if self.flags & AT != 0 {
            let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
            data.extend([&[0xaa; 16], &length[..], &self.id, &self.cose_key].concat());
        }
        data.extend_from_slice(&self.tail);
        data
    }

    /// With a statement by the passkey itself.
    pub(super) fn self_attested(mut self, algorithm: i128) -> Self {
        let client = self.client.to_string();
        let signed = [&self.authenticator_data()[..], &sha256(&[client.as_bytes()])].concat();
        self.packed(&[
            ("alg", Value::Integer(algorithm)),
            ("sig", Value::Bytes(&sign(&self.key, &signed))),
        ]);
        self
    }

    /// With a statement of the format `packed` that has these entries.
    pub(super) fn packed(&mut self, entries: &[(&'static str, Value<'_>)]) {
        self.format = "packed";
        let entries = entries.iter().map(|(name, value)| (Key::Text(name), value.clone()));
        self.statement = write(&map(entries));
    }

    pub(super) fn attestation_object(&self) -> Vec<u8> {
        let data = self.authenticator_data();
        [
            b"\xa3\x63fmt",
            &write(&Value::Text(self.format))[..],
            b"\x67attStmt",
            &self.statement,
            b"\x68authData",
            &write(&Value::Bytes(&data)),
        ]
        .concat()
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "id": base64url::encode(&self.id),
            "rawId": base64url::encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": { "prf": { "enabled": true } },
            "response": {
                "clientDataJSON": base64url::encode(self.client.to_string().as_bytes()),
                "attestationObject": base64url::encode(&self.attestation_object()),
                "transports": ["internal", "hybrid"],
            },
        })
    }

    pub(super) fn verdict(&self) -> Result<NewPasskey, Refusal<RegistrationError>> {
        Server::default().register(&self.json().to_string())
    }
}

/// An authentication, in parts.
pub(super) struct Authentication {
    pub(super) key: PrivateKey,
    pub(super) client: Json,
    pub(super) rp_id: &'static str,
    pub(super) flags: u8,
    pub(super) sign_count: u32,
    pub(super) id: Vec<u8>,
    pub(super) tail: Vec<u8>,
    pub(super) user_handle: Option<Vec<u8>>,
}

impl Authentication {
    pub(super) fn new() -> Self {
        Self::by(ec_p256())
    }

    pub(super) fn by(key: PrivateKey) -> Self {
        Self {
            key,
            client: client_data("webauthn.get"),
            rp_id: "example.org",
            flags: UP | UV | BE | BS,
            sign_count: 0,
            id: vec![1; 32],
            tail: vec![],
            user_handle: Some(USER.to_vec()),
        }
    }

    pub(super) fn authenticator_data(&self) -> Vec<u8> {
        [&head(self.rp_id, self.flags, self.sign_count), &self.tail[..]].concat()
    }

    pub(super) fn json(&self) -> Json {
        let client = self.client.to_string();
        let data = self.authenticator_data();
        let signed = [&data[..], &sha256(&[client.as_bytes()])].concat();
        let mut json = json!({
            "id": base64url::encode(&self.id),
            "rawId": base64url::encode(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url::encode(client.as_bytes()),
                "authenticatorData": base64url::encode(&data),
                "signature": base64url::encode(&sign(&self.key, &signed)),
            },
        });
        if let Some(handle) = &self.user_handle {
            json["response"]["userHandle"] = base64url::encode(handle).into();
        }
        json
    }

    pub(super) fn verdict(&self) -> Result<PasskeyAssertion, Refusal<AuthenticationError>> {
        self.verdict_with(&Stored::new())
    }

    pub(super) fn verdict_with(
        &self,
        stored: &Stored,
    ) -> Result<PasskeyAssertion, Refusal<AuthenticationError>> {
        Server::default().authenticate(stored, &self.json().to_string())
    }
}
