//! Properties of both ceremonies, for bytes that nobody thought of.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::authenticator::{Authentication, Registration, Server, Stored};
use crate::strict::base64url;

/// `json` with one bit of one of its byte strings turned.
fn with_turned_bit(mut json: Json, member: &str, place: prop::sample::Index, bit: u8) -> String {
    let text = json["response"][member].as_str().unwrap();
    let mut bytes = base64url::decode(text).unwrap();
    let place = place.index(bytes.len());
    bytes[place] ^= 1 << bit;
    json["response"][member] = base64url::encode(&bytes).into();
    json.to_string()
}

proptest! {
    /// All bytes are signed, so each bit counts.
    #[test]
    fn an_authentication_with_a_turned_bit_is_refused(
        member in prop::sample::select(vec!["clientDataJSON", "authenticatorData", "signature"]),
        place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let json = with_turned_bit(Authentication::new().json(), member, place, bit);
        prop_assert!(Server::default().authenticate(&Stored::new(), &json).is_err());
    }

    /// The same for a registration with self attestation, but for the names in the CBOR around it.
    #[test]
    fn a_self_attested_registration_with_a_turned_bit_is_refused(
        member in prop::sample::select(vec!["clientDataJSON", "attestationObject"]),
        place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let json = Registration::new().self_attested(-7).json();
        let json = with_turned_bit(json, member, place, bit);
        prop_assert!(Server::default().register(&json).is_err());
    }

    /// Nobody's bytes make the readers panic.
    #[test]
    fn any_bytes_get_a_verdict(
        member in prop::sample::select(vec!["clientDataJSON", "authenticatorData", "signature"]),
        bytes: Vec<u8>,
    ) {
        let mut json = Authentication::new().json();
        json["response"][member] = base64url::encode(&bytes).into();
        prop_assert!(Server::default().authenticate(&Stored::new(), &json.to_string()).is_err());
        let mut json = Registration::new().json();
        json["response"]["attestationObject"] = base64url::encode(&bytes).into();
        prop_assert!(Server::default().register(&json.to_string()).is_err());
    }
}
