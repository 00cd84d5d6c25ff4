use serde_json::Value;

use super::*;
use crate::{
    keys::{KeyError, KeyPolicy, PrivateKey},
    strict::base64,
    test_support::{ec_p256, rsa},
};

/// The example of the original protocol: keys of 512 bits.
const PUBLISHED: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJJQ3ahZbtYrtbhzSFc2vDB8z8egbMFppN1V2QtAjTjpcmXoPpH+3c48GSFpHtummTxXacJ8KIuDx7H19DMaEYMCAwEAAQ==";
const PUBLISHED_SERVER: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKkOup/LJq0PhhNUYhlZ5dqVa7+OUzTFAbhbehwK+xFhICtv8kfuyHsbUBa69WnoPFGGkeM9j3Q3QUcQn9AriAECAwEAAQ==";
const PUBLISHED_CHALLENGE: &str =
    "TMfAneTMmUWer5AWomzUS+sDEN++1hW//uzaixwXG3WzBV+CGn8RQjPhjDqWi9O0pVfOygN/s9UFJTZUQxdEiw==";
const PUBLISHED_PROPOSAL: &str =
    "b49Tw3ZOB+ztsUNJmltj0fUtBIufoWFBGAzXX3e/CTmhjTlxlrNeVogqVlDaLY1VuxfwJAdHYOTEtJs3MOps3A==";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/raw_rsa/openssl.json")).unwrap()
}

fn bytes(text: &Value) -> Vec<u8> {
    base64::decode(text.as_str().unwrap()).unwrap()
}

fn weak(text: &str) -> PublicKey {
    let policy = KeyPolicy { min_rsa_bits: 512, ..KeyPolicy::default() };
    PublicKey::parse(text, &policy).unwrap()
}

fn raw(key: &PrivateKey) -> RawRsaPrivateKey {
    RawRsaPrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap()
}

#[test]
fn blocks_are_those_of_openssl() {
    let vectors = vectors();
    let message = vectors["message"].as_str().unwrap();
    assert_eq!(raw(&rsa()).encrypt(message.as_bytes()), Ok(bytes(&vectors["block"])));
    let recovered = recover(rsa().public_key(), &bytes(&vectors["block"])).unwrap();
    assert_eq!(*recovered, message.as_bytes());
}

#[test]
fn a_key_of_512_bits_is_good_for_nothing_else() {
    let vectors = vectors();
    let key = weak(vectors["weak"]["public_key"].as_str().unwrap());
    let recovered = recover(&key, &bytes(&vectors["weak"]["block"])).unwrap();
    assert_eq!(*recovered, vectors["message"].as_str().unwrap().as_bytes());
    assert_eq!(key.algorithms(), []);
}

/// Keys and values of the example are from different runs, so that none opens any other; what the
/// example shows is their form.
#[test]
fn the_published_example_has_the_form_of_a_key_of_512_bits() {
    for key in [PUBLISHED, PUBLISHED_SERVER] {
        assert_eq!(weak(key).rsa_bits(), Some(512));
        let refused = PublicKey::parse(key, &KeyPolicy::default());
        assert_eq!(refused.err(), Some(KeyError::RsaTooSmall { bits: 512, min: 2048 }));
        for block in [PUBLISHED_CHALLENGE, PUBLISHED_PROPOSAL] {
            let refused = recover(&weak(key), &base64::decode(block).unwrap());
            assert_eq!(refused.err(), Some(RawRsaError::Block));
        }
    }
}

#[test]
fn a_message_of_every_length_that_fits_comes_back() {
    let key = rsa();
    for length in [0, 1, 52, 244, 245] {
        let message = vec![b'7'; length];
        let block = raw(&key).encrypt(&message).unwrap();
        assert_eq!(block.len(), 256);
        assert_eq!(*recover(key.public_key(), &block).unwrap(), message);
    }
    assert_eq!(raw(&key).encrypt(&[b'7'; 246]), Err(RawRsaError::TooLong));
}

#[test]
fn other_paddings_are_refused() {
    let key = rsa();
    for (flaw, block) in vectors()["refused"].as_object().unwrap() {
        let refused = recover(key.public_key(), &bytes(block));
        assert_eq!(refused.err(), Some(RawRsaError::Block), "{flaw}");
    }
}

#[test]
fn a_signature_holds_its_digest_info_and_not_the_message() {
    let vectors = vectors();
    let recovered = recover(rsa().public_key(), &bytes(&vectors["with_digest_info"])).unwrap();
    assert_eq!(recovered.len(), 51);
    assert_ne!(*recovered, vectors["message"].as_str().unwrap().as_bytes());
}

#[test]
fn an_altered_block_is_refused() {
    let key = rsa();
    let block = bytes(&vectors()["block"]);
    for place in [0, 1, 128, 255] {
        let mut altered = block.clone();
        altered[place] ^= 1;
        assert_eq!(recover(key.public_key(), &altered).err(), Some(RawRsaError::Block));
    }
    let longer = [&block[..], &[0]].concat();
    for other in [&block[1..], &longer, &[], &[0; 256], &[0xff; 256]] {
        assert_eq!(recover(key.public_key(), other).err(), Some(RawRsaError::Block));
    }
}

#[test]
fn other_keys_have_no_raw_form() {
    let key = ec_p256();
    assert_eq!(recover(key.public_key(), &[0; 64]).err(), Some(RawRsaError::NotRsa));
    let refused = RawRsaPrivateKey::from_pkcs8_der(&key.to_pkcs8_der());
    assert_eq!(refused.err(), Some(RawRsaError::NotRsa));
    for der in [&[][..], &[0x30, 0], &rsa().to_pkcs8_der()[1..]] {
        assert_eq!(RawRsaPrivateKey::from_pkcs8_der(der).err(), Some(RawRsaError::NotRsa));
    }
}
