//! Signatures that lax libraries accept, or that have a second spelling.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use countersign_protocol::{
    keys::{Algorithm, BadSignature, KeyPolicy, PrivateKey},
    strict::base64url,
    tokens::jws::{self, Jws, JwsError},
};
use serde_json::json;
use support::{ed25519, object};

/// The orders of the groups of P-256 and P-384 (SP 800-186 §3.2.1), and of Ed25519's base point
/// (RFC 8032 §5.1), big-endian.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const P384_ORDER: &str = concat!(
    "ffffffffffffffffffffffffffffffffffffffffffffffff",
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);
const ED25519_ORDER: &str = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";

/// A good token, and what becomes of it with another signature.
struct Token {
    key: PrivateKey,
    input: String,
    signature: Vec<u8>,
}

impl Token {
    fn by(key: PrivateKey, number: u32) -> Self {
        let payload = object(json!({ "jti": number }));
        let token = jws::sign(&key, key.algorithm(), &object(json!({})), &payload).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (input, signature) = (input.to_owned(), base64url::decode(signature).unwrap());
        Self { key, input, signature }
    }

    fn verify(&self, signature: &[u8]) -> Result<(), BadSignature> {
        let token = format!("{}.{}", self.input, base64url::encode(signature));
        Jws::parse(&token).unwrap().verify(self.key.public_key()).map(drop)
    }

    /// Fails unless the genuine signature verifies and none of `others` does.
    fn refuses<'a>(&self, others: impl IntoIterator<Item = (&'a str, Vec<u8>)>) {
        assert_eq!(self.verify(&self.signature), Ok(()));
        for (what, other) in others {
            assert_ne!(other, self.signature, "{what}");
            assert_eq!(self.verify(&other), Err(BadSignature), "{what}");
        }
    }
}

/// The curves' tokens with the orders of their groups.
fn ecdsa() -> [(Token, Vec<u8>); 2] {
    [(Token::by(p256(), 0), hex(P256_ORDER)), (Token::by(p384(), 0), hex(P384_ORDER))]
}

#[test]
fn ecdsa_numbers_that_are_zero_are_refused() {
    for (token, order) in ecdsa() {
        let (r, s) = token.signature.split_at(order.len());
        let zero = vec![0; order.len()];
        // CVE-2022-21449: (0, 0) verified for every message.
        token.refuses([
            ("r = 0", [&zero, s].concat()),
            ("s = 0", [r, &zero].concat()),
            ("both = 0", [&zero[..], &zero].concat()),
        ]);
    }
}

#[test]
fn ecdsa_numbers_beyond_the_order_are_refused() {
    for (token, order) in ecdsa() {
        let (r, s) = token.signature.split_at(order.len());
        let largest = vec![0xff; order.len()];
        let next = add(&order, &one(order.len())).unwrap();
        token.refuses([
            ("r = n", [&order, s].concat()),
            ("s = n", [r, &order].concat()),
            ("both = n", [&order[..], &order].concat()),
            ("r = n + 1", [&next, s].concat()),
            ("s = n + 1", [r, &next].concat()),
            ("r = 2^k - 1", [&largest, s].concat()),
            ("s = 2^k - 1", [r, &largest].concat()),
        ]);
    }
}

#[test]
fn ecdsa_signatures_have_one_length() {
    for (token, order) in ecdsa() {
        let (r, s) = token.signature.split_at(order.len());
        token.refuses([
            ("empty", vec![]),
            ("r alone", r.to_vec()),
            ("one byte less", token.signature[1..].to_vec()),
            ("one byte more", [&token.signature[..], &[0]].concat()),
            ("one byte before", [&[0], &token.signature[..]].concat()),
            ("a zero before each number", [&[0], r, &[0], s].concat()),
            ("twice", token.signature.repeat(2)),
            ("swapped", [s, r].concat()),
        ]);
    }
}

#[test]
fn ecdsa_signatures_in_der_are_refused() {
    for (token, order) in ecdsa() {
        let (r, s) = token.signature.split_at(order.len());
        let der = der_sequence(&[der_integer(r), der_integer(s)].concat());
        let mut cut = der.clone();
        cut.truncate(token.signature.len());
        let text = format!("{}.{}", token.input, base64url::encode(&der));
        assert_eq!(Jws::parse(&text).err(), Some(JwsError::DerSignature));
        token.refuses([("DER, cut to length", cut)]);
    }
}

#[test]
fn es256_and_es384_are_for_their_own_curves() {
    for (key, claimed) in [(p384(), Algorithm::Es256), (p256(), Algorithm::Es384)] {
        let header = object(json!({}));
        let genuine = jws::sign(&key, key.algorithm(), &header, &header).unwrap();
        assert!(Jws::parse(&genuine).unwrap().verify(key.public_key()).is_ok());
        let claim = base64url::encode(json!({ "alg": claimed.name() }).to_string().as_bytes());
        let input = format!("{claim}.e30");
        let signature = key.sign(key.algorithm(), input.as_bytes()).unwrap();
        let token = format!("{input}.{}", base64url::encode(&signature));
        let verdict = Jws::parse(&token).unwrap().verify(key.public_key());
        assert_eq!(verdict.map(drop), Err(BadSignature), "{claimed}");
    }
}

#[test]
fn ed25519_signatures_have_one_length() {
    let token = Token::by(ed25519(1), 0);
    let (r, s) = token.signature.split_at(32);
    token.refuses([
        ("empty", vec![]),
        ("R alone", r.to_vec()),
        ("63 bytes", token.signature[..63].to_vec()),
        ("65 bytes", [&token.signature[..], &[0]].concat()),
        ("a zero before", [&[0], &token.signature[..]].concat()),
        ("an Ed448 signature's length", [&token.signature[..], &[0; 50]].concat()),
        ("swapped", [s, r].concat()),
        ("zeros", vec![0; 64]),
    ]);
}

#[test]
fn ed25519_numbers_beyond_the_order_are_refused() {
    // RFC 8032 §5.1.7: S and S + L would both fit.
    let token = Token::by(ed25519(1), 0);
    let (r, s) = token.signature.split_at(32);
    let order = hex(ED25519_ORDER);
    let mut number: Vec<u8> = s.iter().rev().copied().collect();
    let mut others = Vec::new();
    while let Some(sum) = add(&number, &order) {
        number = sum;
        others.push(("S + nL", [r.to_vec(), number.iter().rev().copied().collect()].concat()));
    }
    assert!(others.len() >= 14, "S has at least that many spellings in 32 bytes");
    token.refuses(others);
}

#[test]
fn ed25519_with_a_low_order_r_is_refused() {
    let token = Token::by(ed25519(1), 0);
    let neutral = [&[1][..], &[0; 31]].concat();
    let s = &token.signature[32..];
    token.refuses([
        ("R of order 1", [&neutral, s].concat()),
        ("R of order 1, S = 0", [&neutral[..], &[0; 32]].concat()),
        ("R of order 4, S = 0", vec![0; 64]),
    ]);
}

#[test]
fn rsa_signatures_have_one_length() {
    let token = Token::by(rsa(), 0);
    token.refuses([
        ("empty", vec![]),
        ("one byte less", token.signature[1..].to_vec()),
        ("one byte more", [&token.signature[..], &[0]].concat()),
        ("a zero before", [&[0], &token.signature[..]].concat()),
        ("zeros", vec![0; 256]),
        ("one", one(256)),
    ]);
}

#[test]
fn an_rsa_signature_beyond_the_modulus_is_refused() {
    let jwk = rsa().public_key().to_jwk();
    let modulus = base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    // s and s + n would both fit, where s + n still has the length of the modulus.
    let (token, sum) = (0..1000)
        .map(|number| Token::by(rsa(), number))
        .find_map(|token| add(&token.signature, &modulus).map(|sum| (token, sum)))
        .unwrap();
    token.refuses([("s + n", sum), ("n", modulus)]);
}

fn p256() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/p256.pkcs8.pem"))
}

fn p384() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/p384.pkcs8.pem"))
}

fn rsa() -> PrivateKey {
    from_pem(include_str!("../vectors/keys/rsa-2048.pkcs8.pem"))
}

fn from_pem(text: &str) -> PrivateKey {
    PrivateKey::from_pem(text, &KeyPolicy::default()).unwrap()
}

/// The sum of two big-endian numbers of one length, if it has that length.
fn add(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    assert_eq!(one.len(), other.len());
    let mut sum = vec![0; one.len()];
    let mut carry = 0;
    for place in (0..one.len()).rev() {
        let [high, low] = (u16::from(one[place]) + u16::from(other[place]) + carry).to_be_bytes();
        sum[place] = low;
        carry = u16::from(high);
    }
    (carry == 0).then_some(sum)
}

/// The number 1 in `length` bytes, big-endian.
fn one(length: usize) -> Vec<u8> {
    let mut number = vec![0; length];
    number[length - 1] = 1;
    number
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap())
        .collect()
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap();
    let mut content = number[start..].to_vec();
    if content[0] >= 0x80 {
        content.insert(0, 0);
    }
    [&[2, u8::try_from(content.len()).unwrap()], &content[..]].concat()
}

fn der_sequence(content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 0x80, "the short form is enough");
    [&[0x30, length], content].concat()
}
