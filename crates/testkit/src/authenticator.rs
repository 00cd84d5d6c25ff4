//! An authenticator for tests: it makes a passkey and answers challenges, rightly or as a test wants.
//!
//! It takes the options of WebAuthn and gives the responses in the JSON of §5.1, as a page does. What
//! it writes is written here and not by the product, so that no mistake is shared.

use std::sync::Arc;

use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, PrivateKey},
    strict::base64url,
};
use serde_json::{Value, json};

use crate::keys;

/// An authenticator with one passkey.
#[derive(Clone)]
pub struct Authenticator {
    key: Arc<PrivateKey>,
    /// The id of the passkey.
    pub id: Vec<u8>,
    /// The origin of the page that asks.
    pub origin: String,
    /// The RP ID; that of the options when it is `None`.
    pub rp_id: Option<String>,
    /// The user handle, which the creation options say.
    pub user_handle: Option<Vec<u8>>,
    /// The flags that it shows.
    pub flags: Flags,
    /// Whether it counts signatures.
    pub counts: bool,
    /// The next counter, if it counts.
    pub sign_count: u32,
    /// Whether the passkey signs its own attestation.
    pub attests_itself: bool,
    /// Whether the page is within one of another origin.
    pub cross_origin: bool,
}

/// What the authenticator says in the flags of its data (WebAuthn §6.1).
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the flags are independent bits")]
pub struct Flags {
    /// UP.
    pub user_present: bool,
    /// UV.
    pub user_verified: bool,
    /// BE.
    pub backup_eligible: bool,
    /// BS.
    pub backed_up: bool,
}

impl Flags {
    const fn bits(self) -> u8 {
        self.user_present as u8
            | (self.user_verified as u8) << 2
            | (self.backup_eligible as u8) << 3
            | (self.backed_up as u8) << 4
    }
}

impl Authenticator {
    /// The synced Ed25519 passkey of that number, used on pages of `origin`.
    pub fn synced(number: u64, origin: &str) -> Self {
        let passkey = Self::with_key(keys::ed25519(number), origin);
        let flags = Flags { backup_eligible: true, backed_up: true, ..passkey.flags };
        Self { flags, counts: false, ..passkey }
    }

    /// A passkey with `key` that stays on one device, which counts, used on pages of `origin`.
    pub fn with_key(key: PrivateKey, origin: &str) -> Self {
        let id = sha256(&[b"credential id", key.public_key().thumbprint().as_bytes()]);
        let flags = Flags {
            user_present: true,
            user_verified: true,
            backup_eligible: false,
            backed_up: false,
        };
        Self {
            key: Arc::new(key),
            id: id.to_vec(),
            origin: origin.to_owned(),
            rp_id: None,
            user_handle: None,
            flags,
            counts: true,
            sign_count: 1,
            attests_itself: false,
            cross_origin: false,
        }
    }

    /// The thumbprint of the passkey's key.
    pub fn thumbprint(&self) -> String {
        self.key.public_key().clone().of_passkey().thumbprint().to_string()
    }

    /// The `RegistrationResponseJSON` for those `PublicKeyCredentialCreationOptionsJSON`.
    pub fn create(&mut self, options: &Value) -> Value {
        self.user_handle = options["user"]["id"].as_str().map(|id| base64url::decode(id).unwrap());
        let client = self.client_data("webauthn.create", &options["challenge"]);
        let rp_id = self.rp_id.clone().unwrap_or_else(|| text(&options["rp"]["id"]));
        let data = self.data(&rp_id, true);
        let attestation = self.attestation_object(&data, &client);
        json!({
            "id": base64url::encode(&self.id),
            "rawId": base64url::encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url::encode(&client),
                "attestationObject": base64url::encode(&attestation),
                "transports": ["internal", "hybrid"],
            },
        })
    }

    /// The `AuthenticationResponseJSON` for those `PublicKeyCredentialRequestOptionsJSON`.
    pub fn get(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", &options["challenge"]);
        let rp_id = self.rp_id.clone().unwrap_or_else(|| text(&options["rpId"]));
        let data = self.data(&rp_id, false);
        let signature = self.sign(&[&data[..], &sha256(&[&client])].concat());
        let handle = self.user_handle.as_ref().map(|handle| base64url::encode(handle));
        json!({
            "id": base64url::encode(&self.id),
            "rawId": base64url::encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64url::encode(&client),
                "authenticatorData": base64url::encode(&data),
                "signature": base64url::encode(&signature),
                "userHandle": handle,
            },
        })
    }

    /// [`Self::get`] as base64url of its text, as the server takes it.
    pub fn answer(&mut self, options: &Value) -> String {
        base64url::encode(self.get(options).to_string().as_bytes())
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> Vec<u8> {
        let client = json!({
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        });
        client.to_string().into_bytes()
    }

    fn data(&mut self, rp_id: &str, is_new: bool) -> Vec<u8> {
        let mut data = sha256(&[rp_id.as_bytes()]).to_vec();
        data.push(self.flags.bits() | u8::from(is_new) << 6);
        data.extend(if self.counts { self.sign_count } else { 0 }.to_be_bytes());
        self.sign_count += 1;
        if is_new {
            data.extend(*b"countersign test");
            data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
            data.extend(&self.id);
            data.extend(cose_key(&self.key));
        }
        data
    }

    fn attestation_object(&self, data: &[u8], client: &[u8]) -> Vec<u8> {
        let mut object = vec![0xa3];
        object.extend(cbor_text("fmt"));
        if self.attests_itself {
            let signature = self.sign(&[data, &sha256(&[client])].concat());
            object.extend(cbor_text("packed"));
            object.extend(cbor_text("attStmt"));
            object.push(0xa2);
            object.extend(cbor_text("alg"));
            object.extend(cbor_int(cose_algorithm(&self.key)));
            object.extend(cbor_text("sig"));
            object.extend(cbor_bytes(&signature));
        } else {
            object.extend(cbor_text("none"));
            object.extend(cbor_text("attStmt"));
            object.push(0xa0);
        }
        object.extend(cbor_text("authData"));
        object.extend(cbor_bytes(data));
        object
    }

    /// A signature in the form of WebAuthn: by ECDSA in DER, else as JWS has it.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let raw = self.key.sign(self.key.algorithm(), message).unwrap();
        match self.key.algorithm() {
            Algorithm::Es256 => der_signature(&raw),
            Algorithm::EdDsa | Algorithm::Rs256 => raw,
            Algorithm::Es384 | Algorithm::Ps256 => unreachable!("no passkeys for it"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn cose_algorithm(key: &PrivateKey) -> i32 {
    match key.algorithm() {
        Algorithm::EdDsa => -8,
        Algorithm::Es256 => -7,
        Algorithm::Rs256 => -257,
        Algorithm::Es384 | Algorithm::Ps256 => unreachable!("no passkeys for it"),
    }
}

/// The public key in the form of RFC 9053 §7 and RFC 8230 §4.
fn cose_key(key: &PrivateKey) -> Vec<u8> {
    let jwk = key.public_key().to_jwk();
    let part = |name: &str| cbor_bytes(&base64url::decode(jwk[name].as_str().unwrap()).unwrap());
    let algorithm = cbor_int(cose_algorithm(key));
    let (kind, parts) = match key.algorithm() {
        Algorithm::EdDsa => (1, vec![(-1, cbor_int(6)), (-2, part("x"))]),
        Algorithm::Es256 => (2, vec![(-1, cbor_int(1)), (-2, part("x")), (-3, part("y"))]),
        _ => (3, vec![(-1, part("n")), (-2, part("e"))]),
    };
    let mut map = vec![0xa0 | u8::try_from(parts.len() + 2).unwrap()];
    map.extend([cbor_int(1), cbor_int(kind), cbor_int(3), algorithm].concat());
    for (label, value) in parts {
        map.extend([cbor_int(label), value].concat());
    }
    map
}

/// The head of a CBOR item (RFC 8949 §3).
fn cbor_head(major: u8, value: u64) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..24 => vec![major | u8::try_from(value).unwrap()],
        24..256 => vec![major | 0x18, u8::try_from(value).unwrap()],
        _ => [&[major | 0x19][..], &u16::try_from(value).unwrap().to_be_bytes()].concat(),
    }
}

fn cbor_int(value: i32) -> Vec<u8> {
    match u64::try_from(value) {
        Ok(value) => cbor_head(0, value),
        Err(_) => cbor_head(1, u64::try_from(-1 - i64::from(value)).unwrap()),
    }
}

fn cbor_text(text: &str) -> Vec<u8> {
    [cbor_head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn cbor_bytes(bytes: &[u8]) -> Vec<u8> {
    [cbor_head(2, bytes.len() as u64), bytes.to_vec()].concat()
}

/// An ECDSA signature of two numbers of 32 bytes as an `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
fn der_signature(raw: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let mut bytes = number[zeros..].to_vec();
        if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let numbers = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [vec![0x30, u8::try_from(numbers.len()).unwrap()], numbers].concat()
}
