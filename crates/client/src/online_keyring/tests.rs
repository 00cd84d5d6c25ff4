//! The vector that the web app checks itself against too, and documents that are refused.

use countersign_opaque::ServerName;
use countersign_opaque::client::Login;
use countersign_opaque::server::{LoginRequest, Record, ServerSetup, UserIdentifier};
use countersign_protocol::ports::Random;
use countersign_protocol::strict::base64url;
use serde_json::{Value, json};

use super::*;
use crate::keyring::content::{decode, encode};
use crate::testing::CountingRandom;

const VECTOR: &str = include_str!("../../vectors/online-keyring/v2.json");

fn vector() -> Value {
    serde_json::from_str(VECTOR).unwrap()
}

/// A member that is base64url, at this path.
fn bytes(value: &Value) -> Vec<u8> {
    base64url::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn the_vector_opens_by_password_recovery_code_and_passkey() {
    let vector = vector();
    let document = Document::parse(vector["document"].to_string().as_bytes()).unwrap();
    assert_eq!(document.to_json(), vector["document"]);
    let code = RecoveryCode::parse(vector["recovery_code"].as_str().unwrap()).unwrap();
    let password = vector["password"].as_str().unwrap();
    for (slot, password) in
        document.slots().iter().zip([Some(password.as_bytes()), Some(code.as_password()), None])
    {
        let kind = slot.opener.kind().name();
        let secret = password.map_or_else(
            || bytes(&vector["prf"]["result"]),
            |password| logged_in(&vector, kind, password),
        );
        let content_key = unwrap(slot, &secret).unwrap();
        assert_eq!(content_key.reveal()[..], bytes(&vector["content_key"]), "{kind}");
        let entries = content_key.open(document.content()).unwrap();
        let text = encode(&entries).unwrap();
        assert_eq!(std::str::from_utf8(&text).unwrap(), vector["plaintext"]);
    }
}

/// The export key of a login at a server with the setup and the record of the vector.
fn logged_in(vector: &Value, kind: &str, password: &[u8]) -> Vec<u8> {
    let (random, opaque) = (CountingRandom::default(), &vector["opaque"]);
    let name = ServerName(vector["issuer"].as_str().unwrap());
    let setup = ServerSetup::from_bytes(&bytes(&opaque["server_setup"])).unwrap();
    let record = Record::from_upload(&bytes(&opaque[kind]["record"])).unwrap();
    let user = opaque[kind]["user_identifier"].as_str().unwrap().as_bytes();
    let user = UserIdentifier(user.try_into().unwrap());
    let (client, request) = Login::begin(password, &random).unwrap();
    let request = LoginRequest::from_bytes(&request).unwrap();
    let (response, _) = setup.begin_login(Some(record), request, &user, name, &random).unwrap();
    let (_, key) = client.finish(password, &response, name, &random).unwrap();
    assert_eq!(key[..], bytes(&opaque[kind]["export_key"]), "{kind}");
    key.to_vec()
}

/// Gives the 12 bytes of a nonce that was drawn before.
struct Drawn([u8; 12]);

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0);
    }
}

#[test]
fn the_vector_is_written_byte_for_byte() {
    let vector = vector();
    let document = Document::parse(vector["document"].to_string().as_bytes()).unwrap();
    let secret = bytes(&vector["prf"]["result"]);
    let content_key = unwrap(&document.slots()[2], &secret).unwrap();
    for slot in document.slots() {
        let secret = bytes(&vector["wrapping_keys"][slot.opener.kind().name()]["ikm"]);
        let nonce = Drawn(slot.wrapped[..12].try_into().unwrap());
        let again = wrap((slot.id, slot.opener.clone()), &secret, &content_key, &nonce);
        assert_eq!(again, *slot);
    }
    let entries = decode(vector["plaintext"].as_str().unwrap().as_bytes()).unwrap();
    let again = content_key.seal(&entries, &Drawn(document.content().nonce)).unwrap();
    assert_eq!(again, *document.content());
}

#[test]
fn a_slot_opens_under_no_other_id_kind_or_secret() {
    let document = Document::parse(vector()["document"].to_string().as_bytes()).unwrap();
    let secret = bytes(&vector()["wrapping_keys"]["password"]["ikm"]);
    let slot = &document.slots()[0];
    assert!(unwrap(slot, &secret).is_ok());
    let other = |change: fn(&mut Slot)| {
        let mut other = slot.clone();
        change(&mut other);
        unwrap(&other, &secret).is_err()
    };
    assert!(other(|slot| slot.id = SlotId::from_bytes([0; 16])));
    assert!(other(|slot| slot.opener = Opener::Recovery));
    assert!((0..60).all(|at| {
        let mut other = slot.clone();
        other.wrapped[at] ^= 1;
        unwrap(&other, &secret).is_err()
    }));
    assert!(unwrap(slot, &secret[1..]).is_err());
}

/// What is wrong, and how it comes about.
type Change = (&'static str, fn(&mut Value));

#[test]
fn the_form_of_a_document_is_strict() {
    let good = vector()["document"].clone();
    let parse = |document: &Value| Document::parse(document.to_string().as_bytes());
    assert!(parse(&good).is_ok());
    let changes: [Change; 14] = [
        ("another member", |d| d["kdf"] = json!({})),
        ("another format", |d| d["format"] = "keyring".into()),
        ("version 1", |d| d["version"] = 1.into()),
        ("another cipher", |d| d["cipher"] = "A128GCM".into()),
        ("no slots", |d| d["slots"] = json!([])),
        ("21 slots", |d| d["slots"] = (0..21).map(|_| d["slots"][0].clone()).collect()),
        ("two passwords", |d| {
            let mut second = d["slots"][0].clone();
            second["id"] = "AAAAAAAAAAAAAAAAAAAAAA".into();
            d["slots"][1] = second;
        }),
        ("two of one id", |d| d["slots"][1]["id"] = d["slots"][0]["id"].clone()),
        ("a kind that is none", |d| d["slots"][0]["kind"] = "pin".into()),
        ("a password with a passkey", |d| d["slots"][0]["passkey"] = "AAAA".into()),
        ("a passkey without salt", |d| {
            d["slots"][2].as_object_mut().unwrap().remove("salt");
        }),
        ("a short nonce", |d| d["nonce"] = "AAAA".into()),
        ("padding", |d| d["ciphertext"] = "AA==".into()),
        ("a short id", |d| d["slots"][0]["id"] = "AAAA".into()),
    ];
    for (what, change) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(parse(&changed).is_err(), "{what}");
    }
    let twice = good.to_string().replacen('{', r#"{"version":2,"#, 1);
    assert!(Document::parse(twice.as_bytes()).is_err());
    let mut newer = good;
    newer["version"] = 3.into();
    let newer = parse(&newer).unwrap_err().to_string();
    assert!(newer.contains("needs a newer countersign"), "{newer}");
}

#[test]
fn a_document_does_not_open_with_another_key_or_after_a_change() {
    let document = Document::parse(vector()["document"].to_string().as_bytes()).unwrap();
    let other = ContentKey::generate(&CountingRandom::default());
    assert!(matches!(other.open(document.content()), Err(DocumentError::Damaged("content"))));
}
