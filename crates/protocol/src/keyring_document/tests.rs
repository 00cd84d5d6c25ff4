use serde_json::json;

use super::*;

fn text(byte: u8, length: usize) -> String {
    base64url::encode(&vec![byte; length])
}

fn password(id: u8) -> Value {
    json!({ "id": text(id, 16), "kind": "password", "wrapped": text(9, 60) })
}

fn prf(id: u8, passkey: u8) -> Value {
    json!({
        "id": text(id, 16), "kind": "prf", "passkey": text(passkey, 32), "salt": text(4, 32),
        "wrapped": text(9, 60),
    })
}

fn document(slots: &[Value]) -> Value {
    json!({
        "format": "countersign-keyring", "version": 2, "slots": slots, "cipher": "A256GCM",
        "nonce": text(1, 12), "ciphertext": text(2, 40),
    })
}

fn read(document: Value) -> Result<KeyringDocument, InvalidKeyring> {
    let Value::Object(members) = document else { panic!("no object") };
    KeyringDocument::from_members(members)
}

#[test]
fn a_document_comes_back_as_it_was() {
    let recovery = json!({ "id": text(2, 16), "kind": "recovery", "wrapped": text(8, 60) });
    let document = document(&[password(1), recovery, prf(3, 1), prf(4, 2)]);
    let read = read(document.clone()).unwrap();
    let kinds: Vec<_> = read.slots.iter().map(|slot| slot.opener.kind().name()).collect();
    assert_eq!(kinds, ["password", "recovery", "prf", "prf"]);
    assert_eq!(Value::Object(read.to_members()), document);
}

#[test]
fn what_breaks_a_rule_is_refused_for_that() {
    let slots =
        |count: u8| -> Vec<Value> { (0..count).map(|number| prf(number, number)).collect() };
    assert!(read(document(&slots(20))).is_ok());
    for (slots, error) in [
        (slots(0), InvalidKeyring::SlotCount(0)),
        (slots(21), InvalidKeyring::SlotCount(21)),
        (vec![password(1), password(2)], InvalidKeyring::SameOpener(SlotKind::Password)),
        (vec![prf(1, 1), prf(2, 1)], InvalidKeyring::SameOpener(SlotKind::Prf)),
        (vec![password(1), prf(1, 1)], InvalidKeyring::SameId),
    ] {
        assert_eq!(read(document(&slots)), Err(error));
    }
    let mut with_salt = password(1);
    with_salt["salt"] = text(4, 32).into();
    let refused = read(document(&[with_salt]));
    assert_eq!(refused, Err(InvalidKeyring::SlotMembers(SlotKind::Password)));
    let mut without = prf(1, 1);
    without.as_object_mut().unwrap().remove("passkey");
    let refused = read(document(&[without]));
    assert_eq!(refused, Err(InvalidKeyring::SlotMembers(SlotKind::Prf)));
}

#[test]
fn every_member_has_its_one_form() {
    let changes: [(&str, Value, InvalidKeyring); 8] = [
        ("format", json!("keyring"), InvalidKeyring::Version),
        ("version", json!(1), InvalidKeyring::Version),
        ("cipher", json!("A128GCM"), InvalidKeyring::Cipher),
        ("nonce", json!(text(1, 13)), InvalidKeyring::Length("nonce", 12)),
        ("nonce", json!("AAAA="), InvalidKeyring::Base64("nonce")),
        ("ciphertext", json!("+/"), InvalidKeyring::Base64("ciphertext")),
        (
            "ciphertext",
            json!(text(1, 15)),
            InvalidKeyring::Bytes("ciphertext", "at least 16 bytes, the tag"),
        ),
        (
            "slots",
            json!([{ "id": text(1, 16), "kind": "x", "wrapped": text(9, 60) }]),
            InvalidKeyring::Kind(UnknownSlotKind),
        ),
    ];
    for (member, value, error) in changes {
        let mut document = document(&[password(1)]);
        document[member] = value;
        assert_eq!(read(document), Err(error), "{member}");
    }
    for (member, value) in [("more", json!(1)), ("version", json!("2")), ("slots", json!(null))] {
        let mut document = document(&[password(1)]);
        document[member] = value;
        assert!(matches!(read(document), Err(InvalidKeyring::Members(_))), "{member}");
    }
    for member in ["id", "wrapped"] {
        let mut slot = password(1);
        slot[member] = text(1, 15).into();
        assert!(matches!(read(document(&[slot])), Err(InvalidKeyring::Length(..))), "{member}");
    }
}
