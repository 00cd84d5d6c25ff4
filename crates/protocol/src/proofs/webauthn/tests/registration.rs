//! Registration, rule by rule (WebAuthn §7.1, and the negatives of FIDO's conformance tests).

use std::slice;

use serde_json::json;

use super::authenticator::{AT, BE, BS, ED, Refusal, Registration, Server, UP, UV, cose_key, sign};
use crate::{
    keys::{CoseAlgorithm, CoseKeyError, KeyError},
    proofs::webauthn::{
        Attestation, AttestationError, AttestationFormat, AuthenticatorDataError, Backup,
        CeremonyError, ClientDataError, InvalidCredentialId, NewPasskey, RegistrationError,
        ResponseError, Transport, UserVerification,
    },
    strict::{
        base64url,
        cbor::{
            CborError, Key, Value,
            writer::{map, write},
        },
    },
    test_support::{ec_p256, ec_p384, ed25519, rsa},
};

fn parse(error: impl Into<ResponseError>) -> Refusal<RegistrationError> {
    Refusal::Parse(error.into())
}

fn verify(error: impl Into<RegistrationError>) -> Refusal<RegistrationError> {
    Refusal::Verify(error.into())
}

fn ceremony(error: impl Into<CeremonyError>) -> Refusal<RegistrationError> {
    verify(error.into())
}

fn refuses(registration: &Registration, refusal: Refusal<RegistrationError>) {
    assert_eq!(registration.verdict().err(), Some(refusal));
}

/// Changes one part of a good registration and expects a refusal.
fn refuses_when(change: impl FnOnce(&mut Registration), refusal: Refusal<RegistrationError>) {
    let mut registration = Registration::new();
    change(&mut registration);
    refuses(&registration, refusal);
}

#[test]
fn a_good_one_says_what_is_to_be_stored() {
    let mut registration = Registration::new();
    registration.sign_count = 7;
    let passkey: NewPasskey = registration.verdict().unwrap();
    assert_eq!(passkey.id.as_bytes(), [1; 32]);
    let key = ec_p256().public_key().clone();
    assert_ne!(passkey.public_key.thumbprint(), key.thumbprint(), "nobody has proven it");
    assert_eq!(passkey.public_key.thumbprint(), key.of_passkey().thumbprint());
    assert_eq!(passkey.sign_count, 7);
    assert_eq!(passkey.backup, Backup::BackedUp);
    assert!(passkey.user_verified);
    assert_eq!(passkey.aaguid.to_string(), "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa");
    let transports: Vec<_> = passkey.transports.iter().map(Transport::as_str).collect();
    assert_eq!(transports, ["hybrid", "internal"]);
    assert_eq!(passkey.attestation, Attestation::None);
}

#[test]
fn keys_of_each_offered_algorithm_are_taken_and_verify_with_that_alone() {
    for (key, algorithm) in [
        (ed25519(1), CoseAlgorithm::EdDsa),
        (ec_p256(), CoseAlgorithm::Es256),
        (rsa(), CoseAlgorithm::Rs256),
    ] {
        let passkey = Registration::of(key).verdict().unwrap();
        assert_eq!(passkey.public_key.algorithms(), [algorithm.jose()]);
    }
}

#[test]
fn an_algorithm_that_was_not_offered_is_refused() {
    let error = RegistrationError::AlgorithmNotOffered(CoseAlgorithm::Es384);
    refuses(&Registration::of(ec_p384()), verify(error));
    let server = Server { algorithms: CoseAlgorithm::ALL.to_vec(), ..Server::default() };
    assert!(server.register(&Registration::of(ec_p384()).json().to_string()).is_ok());
}

#[test]
fn another_type_is_refused() {
    for other in ["webauthn.get", "webauthn.Create", "payment.create", ""] {
        let error = ClientDataError::Type { expected: "webauthn.create" };
        refuses_when(|it| it.client["type"] = other.into(), ceremony(error));
    }
}

#[test]
fn another_challenge_is_refused() {
    let other = base64url::encode(&[8; 32]);
    refuses_when(|it| it.client["challenge"] = other.into(), ceremony(CeremonyError::Challenge));
}

#[test]
fn another_origin_is_refused_be_it_only_another_port_or_scheme() {
    for other in [
        "https://example.org:8443",
        "http://example.org",
        "https://example.com",
        "https://sub.example.org",
        "https://example.org/",
        "https://EXAMPLE.org",
        "https://example.org.",
        "example.org",
        "null",
        "",
    ] {
        let error = ClientDataError::Origin(other.to_owned());
        refuses_when(|it| it.client["origin"] = other.into(), ceremony(error));
    }
}

#[test]
fn the_refusal_of_an_origin_is_short() {
    let mut registration = Registration::new();
    registration.client["origin"] = format!("https://\n{}", "x".repeat(10_000)).into();
    let Err(Refusal::Verify(error)) = registration.verdict() else { panic!("refused") };
    let text = error.to_string();
    assert!(text.len() < 300 && !text.contains('\n'), "{text}");
}

#[test]
fn a_page_within_another_is_refused_unless_that_is_expected() {
    let within = |cross: bool, top: Option<&str>| {
        let mut registration = Registration::new();
        registration.client["crossOrigin"] = cross.into();
        if let Some(top) = top {
            registration.client["topOrigin"] = top.into();
        }
        registration
    };
    refuses(&within(true, None), ceremony(ClientDataError::CrossOrigin));
    let top = ClientDataError::TopOrigin("https://a.example".to_owned());
    refuses(&within(false, Some("https://a.example")), ceremony(top.clone()));
    let server =
        Server { top_origins: vec!["https://b.example".parse().unwrap()], ..Server::default() };
    let verdict = |registration: Registration| server.register(&registration.json().to_string());
    assert!(verdict(within(true, Some("https://b.example"))).is_ok());
    let refused = verdict(within(true, Some("https://a.example"))).unwrap_err();
    assert_eq!(refused, ceremony(top));
    // A top origin on a page that is not within another contradicts itself.
    assert!(verdict(within(false, Some("https://b.example"))).is_err());
}

#[test]
fn another_rp_id_is_refused() {
    for other in ["example.com", "sub.example.org", "org", ""] {
        refuses_when(|it| it.rp_id = other, ceremony(CeremonyError::RpId));
    }
}

#[test]
fn nobody_present_or_nobody_recognised_is_refused() {
    refuses_when(|it| it.flags &= !UP, ceremony(CeremonyError::UserNotPresent));
    refuses_when(|it| it.flags &= !UV, ceremony(CeremonyError::UserNotVerified));
    let server = Server { user_verification: UserVerification::Optional, ..Server::default() };
    let mut registration = Registration::new();
    registration.flags &= !UV;
    assert!(!server.register(&registration.json().to_string()).unwrap().user_verified);
}

#[test]
fn backed_up_without_being_eligible_is_refused() {
    let error = AuthenticatorDataError::BackedUpButNotEligible;
    refuses_when(|it| it.flags &= !BE, parse(error));
    for (flags, backup) in
        [(0, Backup::NotEligible), (BE, Backup::Eligible), (BE | BS, Backup::BackedUp)]
    {
        let mut registration = Registration::new();
        registration.flags = UP | UV | AT | flags;
        assert_eq!(registration.verdict().unwrap().backup, backup);
    }
}

#[test]
fn a_credential_id_of_1024_bytes_is_refused() {
    refuses_when(|it| it.id = vec![1; 1024], parse(InvalidCredentialId::TooLong(1024)));
    let mut registration = Registration::new();
    registration.id = vec![1; 1023];
    assert!(registration.verdict().is_ok());
    // The same where only the authenticator says so.
    registration.id = vec![1; 1024];
    let mut json = registration.json();
    json["id"] = "AQ".into();
    json["rawId"] = "AQ".into();
    let refused = Server::default().register(&json.to_string()).unwrap_err();
    let error = AuthenticatorDataError::from(InvalidCredentialId::TooLong(1024));
    assert_eq!(refused, parse(error));
}

#[test]
fn another_id_than_the_authenticator_says_is_refused() {
    let mut json = Registration::new().json();
    json["id"] = "AQ".into();
    json["rawId"] = "AQ".into();
    let refused = Server::default().register(&json.to_string()).unwrap_err();
    assert_eq!(refused, verify(RegistrationError::OtherId));
}

#[test]
fn the_flag_at_and_the_data_must_agree() {
    refuses_when(|it| it.flags &= !AT, verify(RegistrationError::NoCredential));
    refuses_when(
        |it| {
            it.flags &= !AT;
            it.tail = vec![0xaa; 90];
        },
        parse(AuthenticatorDataError::Leftover(90)),
    );
    let mut registration = Registration::new();
    registration.cose_key = vec![];
    let error = AuthenticatorDataError::KeyCbor(CborError::EndOfBytes);
    refuses(&registration, parse(error));
}

#[test]
fn the_flag_ed_and_the_data_must_agree() {
    let extensions = write(&map([
        (Key::Text("credProtect"), Value::Integer(2)),
        (Key::Text("not-yet-known"), Value::Array(vec![Value::Null])),
    ]));
    let mut registration = Registration::new();
    registration.flags |= ED;
    registration.tail.clone_from(&extensions);
    assert!(registration.verdict().is_ok(), "unknown extensions are tolerated");
    let length = extensions.len();
    refuses_when(
        |it| it.tail = extensions.clone(),
        parse(AuthenticatorDataError::Leftover(length)),
    );
    let error = AuthenticatorDataError::ExtensionsCbor(CborError::EndOfBytes);
    refuses_when(|it| it.flags |= ED, parse(error));
    for no_map in [&b"\x80"[..], b"\x00", b"\xa1\x01\x00"] {
        refuses_when(
            |it| {
                it.flags |= ED;
                it.tail = no_map.to_vec();
            },
            parse(AuthenticatorDataError::ExtensionsForm),
        );
    }
}

#[test]
fn leftover_bytes_are_refused_everywhere() {
    refuses_when(|it| it.tail = vec![0], parse(AuthenticatorDataError::Leftover(1)));
    refuses_when(
        |it| {
            it.flags |= ED;
            it.tail = b"\xa0\x00".to_vec();
        },
        parse(AuthenticatorDataError::Leftover(1)),
    );
    let registration = Registration::new();
    let mut json = registration.json();
    let object = [&registration.attestation_object()[..], &[0xf6]].concat();
    json["response"]["attestationObject"] = base64url::encode(&object).into();
    let refused = Server::default().register(&json.to_string()).unwrap_err();
    assert_eq!(refused, parse(AttestationError::Cbor(CborError::TrailingBytes(1))));
}

#[test]
fn a_key_twice_in_any_map_is_refused() {
    let mut registration = Registration::new();
    registration.cose_key = cose_key(&ec_p256());
    registration.cose_key[0] += 1;
    registration.cose_key.extend([0x01, 0x02]);
    let error = AuthenticatorDataError::KeyCbor(CborError::DuplicateKey);
    refuses(&registration, parse(error));
    let twice = [(Key::Text("alg"), Value::Integer(-7)), (Key::Text("alg"), Value::Integer(-8))];
    let error = AttestationError::Cbor(CborError::DuplicateKey);
    refuses_when(|it| it.statement = write(&map(twice)), parse(error));
}

/// A COSE key of P-256 in which one part is another, or missing.
fn changed_key(label: i128, value: Option<Value<'_>>) -> Vec<u8> {
    let key = cose_key(&ec_p256());
    let key = crate::strict::cbor::parse(&key).unwrap();
    let key = key.as_map().unwrap();
    let own = key.keys().filter(|own| *own != Key::Integer(label)).map(|own| match own {
        Key::Integer(label) => (own, key.integer(label).unwrap().clone()),
        Key::Text(_) => unreachable!(),
    });
    write(&map(own.chain(value.map(|value| (Key::Integer(label), value)))))
}

#[test]
fn minus_7_with_p_384_is_refused() {
    let error = CoseKeyError::Curve(CoseAlgorithm::Es256);
    let key = changed_key(-1, Some(Value::Integer(2)));
    refuses_when(|it| it.cose_key = key, parse(AuthenticatorDataError::from(error)));
    // The same with the right coordinates for that curve.
    let mut key = cose_key(&ec_p384());
    let alg = key.windows(3).position(|part| part == [0x03, 0x38, 0x22]).unwrap();
    key.splice(alg + 1..alg + 3, [0x26]);
    refuses_when(|it| it.cose_key = key, parse(AuthenticatorDataError::from(error)));
}

#[test]
fn a_key_that_is_not_exactly_one_of_its_kind_is_refused() {
    let point = [0x11; 32];
    let es256 = CoseAlgorithm::Es256;
    for (label, value, error) in [
        (1, None, CoseKeyError::Missing("kty")),
        (1, Some(Value::Integer(1)), CoseKeyError::KeyType(es256)),
        (3, None, CoseKeyError::Missing("alg")),
        (3, Some(Value::Integer(-8)), CoseKeyError::KeyType(CoseAlgorithm::EdDsa)),
        (3, Some(Value::Integer(-65_535)), CoseKeyError::UnknownAlgorithm(-65_535)),
        (3, Some(Value::Text("ES256")), CoseKeyError::Missing("alg")),
        (-1, None, CoseKeyError::Missing("crv")),
        (-1, Some(Value::Integer(8)), CoseKeyError::Curve(es256)),
        (-2, None, CoseKeyError::Missing("x")),
        (-2, Some(Value::Bytes(&point[1..])), CoseKeyError::WrongLength("x")),
        (-3, None, CoseKeyError::Missing("y")),
        (-3, Some(Value::Bool(true)), CoseKeyError::CompressedPoint),
        (-4, Some(Value::Bytes(&point)), CoseKeyError::OtherLabels),
        (2, Some(Value::Bytes(&point)), CoseKeyError::OtherLabels),
    ] {
        let key = changed_key(label, value);
        refuses_when(|it| it.cose_key = key, parse(AuthenticatorDataError::from(error)));
    }
    let error = AuthenticatorDataError::from(CoseKeyError::NotAMap);
    refuses_when(|it| it.cose_key = vec![0x40], parse(error));
    let off_the_curve = changed_key(-2, Some(Value::Bytes(&point)));
    refuses_when(|it| it.cose_key = off_the_curve, verify(KeyError::PointNotOnCurve));
}

#[test]
fn weak_keys_are_refused_like_those_of_other_origin() {
    let okp = |x: &[u8]| {
        write(&map([
            (Key::Integer(1), Value::Integer(1)),
            (Key::Integer(3), Value::Integer(-8)),
            (Key::Integer(-1), Value::Integer(6)),
            (Key::Integer(-2), Value::Bytes(x)),
        ]))
    };
    let mut low = [0; 32];
    low[0] = 1;
    refuses_when(|it| it.cose_key = okp(&low), verify(KeyError::LowOrderPoint));
    let short = AuthenticatorDataError::from(CoseKeyError::WrongLength("x"));
    refuses_when(|it| it.cose_key = okp(&low[1..]), parse(short));
    let rsa = |n: &[u8], e: &[u8]| {
        write(&map([
            (Key::Integer(1), Value::Integer(3)),
            (Key::Integer(3), Value::Integer(-257)),
            (Key::Integer(-1), Value::Bytes(n)),
            (Key::Integer(-2), Value::Bytes(e)),
        ]))
    };
    let error = KeyError::RsaTooSmall { bits: 1024, min: 2048 };
    refuses_when(|it| it.cose_key = rsa(&[0xff; 128], &[1, 0, 1]), verify(error));
    refuses_when(|it| it.cose_key = rsa(&[0xff; 256], &[3]), verify(KeyError::RsaExponent));
    let zero = AuthenticatorDataError::from(CoseKeyError::LeadingZero("n"));
    refuses_when(|it| it.cose_key = rsa(&[0, 0xff], &[1, 0, 1]), parse(zero));
    let empty = AuthenticatorDataError::from(CoseKeyError::WrongLength("e"));
    refuses_when(|it| it.cose_key = rsa(&[0xff; 256], &[]), parse(empty));
}

#[test]
fn authenticator_data_that_end_early_are_refused() {
    let whole = Registration::new();
    let data = whole.authenticator_data();
    for length in 0..data.len() {
        let object = [
            b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData",
            &write(&Value::Bytes(&data[..length]))[..],
        ]
        .concat();
        let mut json = whole.json();
        json["response"]["attestationObject"] = base64url::encode(&object).into();
        let refused = Server::default().register(&json.to_string());
        assert!(matches!(refused, Err(Refusal::Parse(_))), "{length}");
    }
}

#[test]
fn the_format_none_with_a_statement_is_refused() {
    let full = Registration::new().self_attested(-7).statement;
    for statement in [full, write(&map([(Key::Text("a"), Value::Null)])), vec![0x80], vec![0xf6]] {
        refuses_when(|it| it.statement = statement, parse(AttestationError::NoneWithStatement));
    }
}

#[test]
fn self_attestation_is_verified() {
    for (key, alg) in [(ed25519(1), -8), (ec_p256(), -7), (rsa(), -257)] {
        let passkey = Registration::of(key).self_attested(alg).verdict().unwrap();
        assert_eq!(passkey.attestation, Attestation::SelfSigned);
    }
    let other = Registration::new().self_attested(-257);
    refuses(&other, verify(AttestationError::OtherAlgorithm));
    let mut changed = Registration::new().self_attested(-7);
    changed.sign_count = 1;
    refuses(&changed, verify(AttestationError::Signature));
    let mut changed = Registration::new().self_attested(-7);
    changed.client["more"] = true.into();
    refuses(&changed, verify(AttestationError::Signature));
    let by_other_key = sign(&ed25519(2), b"x");
    refuses_when(
        |it| it.packed(&[("alg", Value::Integer(-7)), ("sig", Value::Bytes(&by_other_key))]),
        verify(AttestationError::Signature),
    );
}

#[test]
fn a_packed_statement_has_its_form() {
    let (alg, sig) = (("alg", Value::Integer(-7)), ("sig", Value::Bytes(b"s")));
    let chain = |chain| ("x5c", Value::Array(chain));
    for entries in [
        &[][..],
        slice::from_ref(&alg),
        slice::from_ref(&sig),
        &[("alg", Value::Text("ES256")), sig.clone()],
        &[alg.clone(), ("sig", Value::Text("s"))],
        &[alg.clone(), sig.clone(), chain(vec![])],
        &[alg.clone(), sig.clone(), chain(vec![Value::Text("c")])],
        &[alg.clone(), sig.clone(), chain(vec![Value::Bytes(b"")])],
        &[alg.clone(), sig.clone(), ("x5c", Value::Bytes(b"c"))],
        &[alg.clone(), sig.clone(), ("ecdaaKeyId", Value::Bytes(b"c"))],
    ] {
        refuses_when(|it| it.packed(entries), parse(AttestationError::Form));
    }
    let mut registration = Registration::new();
    registration.packed(&[alg, sig, chain(vec![Value::Bytes(b"c")])]);
    let attestation = registration.verdict().unwrap().attestation;
    assert_eq!(attestation, Attestation::NotEvaluated(AttestationFormat::Packed));
}

#[test]
fn an_empty_statement_of_a_makers_format_is_refused() {
    for format in
        ["packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound"]
    {
        refuses_when(|it| it.format = format, parse(AttestationError::Form));
        let no_list = |it: &mut Registration| (it.format, it.statement) = (format, vec![0x80]);
        refuses_when(no_list, parse(AttestationError::Form));
    }
    let mut registration = Registration::new();
    (registration.format, registration.statement) = ("compound", vec![0x81, 0xa0]);
    let attestation = registration.verdict().unwrap().attestation;
    assert_eq!(attestation, Attestation::NotEvaluated(AttestationFormat::Compound));
}

#[test]
fn a_format_that_is_not_known_is_refused() {
    for format in ["", "None", "PACKED", "packed ", "acme"] {
        refuses_when(|it| it.format = format, parse(AttestationError::UnknownFormat));
    }
}

#[test]
fn an_attestation_object_lacks_nothing() {
    let refused = |object: &[u8]| {
        let mut json = Registration::new().json();
        json["response"]["attestationObject"] = base64url::encode(object).into();
        Server::default().register(&json.to_string()).unwrap_err()
    };
    for (object, error) in [
        (&b"\x80"[..], AttestationError::NotAMap),
        (b"\xa0", AttestationError::Missing("fmt")),
        (b"\xa1\x63fmt\x00", AttestationError::Missing("fmt")),
        (b"\xa1\x63fmt\x64none", AttestationError::Missing("attStmt")),
        (b"\xa2\x63fmt\x64none\x67attStmt\xa0", AttestationError::Missing("authData")),
        (
            b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x60",
            AttestationError::Missing("authData"),
        ),
        (b"\xbf\xff", AttestationError::Cbor(CborError::IndefiniteLength)),
    ] {
        assert_eq!(refused(object), parse(error));
    }
}

#[test]
fn client_data_are_read_strictly_and_hashed_as_they_came() {
    let with = |text: &[u8]| {
        let mut json = Registration::new().json();
        json["response"]["clientDataJSON"] = base64url::encode(text).into();
        Server::default().register(&json.to_string())
    };
    let good = Registration::new().client.to_string();
    assert!(with(good.as_bytes()).is_ok());
    assert!(with(format!("\u{feff}{good}").as_bytes()).is_ok(), "one byte order mark is dropped");
    assert!(with(format!("\u{feff}\u{feff}{good}").as_bytes()).is_err());
    assert!(with(&good.replace('{', r#"{"future":{"a":[1]},"#).into_bytes()).is_ok());
    let twice = good.replace('{', r#"{"type":"webauthn.create","#);
    for bad in [b"\xff{}".to_vec(), b"{}x".to_vec(), b"[]".to_vec(), twice.into_bytes()] {
        let refused = with(&bad);
        let is_json = matches!(
            refused,
            Err(Refusal::Parse(ResponseError::ClientData(ClientDataError::Json(_))))
        );
        assert!(is_json, "{refused:?}");
    }
}

#[test]
fn members_of_client_data_that_are_missing_or_wrong_are_refused() {
    for name in ["type", "challenge", "origin"] {
        let remove = |it: &mut Registration| drop(it.client.as_object_mut().unwrap().remove(name));
        refuses_when(remove, parse(ClientDataError::Missing(name)));
        for wrong in [json!(null), json!(1), json!([]), json!({})] {
            refuses_when(|it| it.client[name] = wrong, parse(ClientDataError::WrongType(name)));
        }
    }
    for wrong in [json!(null), json!("true"), json!(1)] {
        let error = ClientDataError::WrongType("crossOrigin");
        refuses_when(|it| it.client["crossOrigin"] = wrong, parse(error));
    }
    for wrong in [json!(null), json!(true)] {
        let error = ClientDataError::WrongType("topOrigin");
        refuses_when(|it| it.client["topOrigin"] = wrong, parse(error));
    }
    for wrong in ["a=", "a b", "+/+/+/+/+/+/+/+/+/+/+/+/", "é"] {
        let error = ClientDataError::ChallengeEncoding;
        refuses_when(|it| it.client["challenge"] = wrong.into(), parse(error));
    }
    for length in [0, 15, 1025] {
        let challenge = base64url::encode(&vec![1; length]);
        let mut registration = Registration::new();
        registration.client["challenge"] = challenge.into();
        let refused = registration.verdict().unwrap_err();
        let is_length = matches!(
            refused,
            Refusal::Parse(ResponseError::ClientData(ClientDataError::Challenge(_)))
        );
        assert!(is_length, "{refused:?}");
    }
}

#[test]
fn malformed_token_binding_is_refused() {
    for wrong in [
        json!(null),
        json!("supported"),
        json!({}),
        json!({ "status": "not-supported" }),
        json!({ "status": "present" }),
        json!({ "status": "present", "id": 1 }),
    ] {
        refuses_when(|it| it.client["tokenBinding"] = wrong, parse(ClientDataError::TokenBinding));
    }
    for good in [json!({ "status": "supported" }), json!({ "status": "present", "id": "a" })] {
        let mut registration = Registration::new();
        registration.client["tokenBinding"] = good;
        assert!(registration.verdict().is_ok());
    }
}
