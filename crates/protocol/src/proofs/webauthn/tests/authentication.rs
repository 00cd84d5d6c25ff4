//! Authentication, rule by rule (WebAuthn §7.2, and the negatives of FIDO's conformance tests).

use super::authenticator::{
    AT, Authentication, BE, BS, ED, Refusal, Registration, Server, Stored, UP, UV, cose_key,
};
use crate::{
    keys::PrivateKey,
    proofs::webauthn::{
        AuthenticationError, AuthenticatorDataError, Backup, CeremonyError, ClientDataError,
        CredentialId, PasskeyAssertion, ResponseError, SignCounter, UserHandle, UserVerification,
    },
    strict::{
        base64url,
        cbor::{
            Key, Value,
            writer::{map, write},
        },
    },
    test_support::{ec_p256, ec_p384, ed25519, rsa},
};

fn parse(error: impl Into<ResponseError>) -> Refusal<AuthenticationError> {
    Refusal::Parse(error.into())
}

fn verify(error: impl Into<AuthenticationError>) -> Refusal<AuthenticationError> {
    Refusal::Verify(error.into())
}

fn ceremony(error: impl Into<CeremonyError>) -> Refusal<AuthenticationError> {
    verify(error.into())
}

/// Changes one part of a good authentication and expects a refusal.
fn refuses_when(change: impl FnOnce(&mut Authentication), refusal: Refusal<AuthenticationError>) {
    let mut authentication = Authentication::new();
    change(&mut authentication);
    assert_eq!(authentication.verdict(), Err(refusal));
}

/// Changes what the server has stored and expects a refusal.
fn refuses_where(change: impl FnOnce(&mut Stored), error: AuthenticationError) {
    let mut stored = Stored::new();
    change(&mut stored);
    assert_eq!(Authentication::new().verdict_with(&stored), Err(Refusal::Verify(error)));
}

fn id(byte: u8) -> CredentialId {
    CredentialId::try_from(&[byte; 32][..]).unwrap()
}

#[test]
fn a_good_one_says_what_is_to_be_stored() {
    let mut authentication = Authentication::new();
    authentication.sign_count = 3;
    let verdict = PasskeyAssertion {
        sign_count: SignCounter::Advanced(3),
        backup: Backup::BackedUp,
        user_verified: true,
    };
    assert_eq!(authentication.verdict(), Ok(verdict));
}

#[test]
fn a_passkey_is_known_by_the_key_of_its_registration() {
    for key in [ed25519 as fn(u8) -> PrivateKey, |_| ec_p256(), |_| rsa()] {
        let passkey = Registration::of(key(1)).verdict().unwrap();
        let stored = Stored { public_key: passkey.public_key, ..Stored::new() };
        let authentication = Authentication::by(key(1));
        assert!(authentication.verdict_with(&stored).is_ok());
    }
}

#[test]
fn a_signature_by_another_key_or_over_other_bytes_is_refused() {
    for key in [ec_p384(), ed25519(2), rsa()] {
        let refused = Authentication::by(key).verdict();
        assert_eq!(refused, Err(verify(AuthenticationError::Signature)));
    }
    let whole = Authentication::new().json();
    let other = Authentication { sign_count: 1, ..Authentication::new() }.json();
    for member in ["authenticatorData", "signature"] {
        let mut mixed = whole.clone();
        mixed["response"][member] = other["response"][member].clone();
        let refused = Server::default().authenticate(&Stored::new(), &mixed.to_string());
        assert_eq!(refused, Err(verify(AuthenticationError::Signature)), "{member}");
    }
    let mut spaced = whole.clone();
    let client = format!("{} ", Authentication::new().client);
    spaced["response"]["clientDataJSON"] = base64url::encode(client.as_bytes()).into();
    let refused = Server::default().authenticate(&Stored::new(), &spaced.to_string());
    assert_eq!(refused, Err(verify(AuthenticationError::Signature)), "the bytes are signed");
}

#[test]
fn a_passkey_that_was_not_asked_for_is_refused() {
    let error = AuthenticationError::NotAllowed;
    refuses_where(|it| it.allowed = Some(vec![id(2)]), error.clone());
    refuses_where(|it| it.allowed = Some(vec![]), error);
    let mut stored = Stored::new();
    stored.allowed = Some(vec![id(2), id(1)]);
    assert!(Authentication::new().verdict_with(&stored).is_ok());
}

#[test]
fn the_stored_passkey_must_be_the_one_that_answers() {
    refuses_where(|it| it.id = id(2), AuthenticationError::OtherPasskey);
}

#[test]
fn the_account_must_be_the_one_that_the_authenticator_names() {
    let other = UserHandle::try_from(&[6; 32][..]).unwrap();
    for allowed in [None, Some(vec![id(1)])] {
        let change = |it: &mut Stored| {
            it.user_handle = other.clone();
            it.allowed = allowed;
        };
        refuses_where(change, AuthenticationError::OtherUser);
    }
}

#[test]
fn without_a_known_account_the_authenticator_must_name_it() {
    let error = verify(AuthenticationError::NoUserHandle);
    refuses_when(|it| it.user_handle = None, error);
    let stored = Stored { allowed: Some(vec![id(1)]), ..Stored::new() };
    let authentication = Authentication { user_handle: None, ..Authentication::new() };
    assert!(authentication.verdict_with(&stored).is_ok());
}

#[test]
fn a_user_handle_has_1_to_64_bytes() {
    for (length, good) in [(1, true), (64, true), (0, false), (65, false)] {
        let handle = vec![5; length];
        let mut authentication = Authentication::new();
        authentication.user_handle = Some(handle.clone());
        let parsed = !matches!(authentication.verdict(), Err(Refusal::Parse(_)));
        assert_eq!(parsed, good, "{length}");
    }
    let mut json = Authentication::new().json();
    json["response"]["userHandle"] = serde_json::Value::Null;
    let refused = Server::default().authenticate(&Stored::new(), &json.to_string());
    assert_eq!(refused, Err(verify(AuthenticationError::NoUserHandle)), "null is none");
}

#[test]
fn another_type_challenge_origin_or_rp_id_is_refused() {
    let error = ClientDataError::Type { expected: "webauthn.get" };
    refuses_when(|it| it.client["type"] = "webauthn.create".into(), ceremony(error));
    let challenge = base64url::encode(&[8; 32]);
    refuses_when(
        |it| it.client["challenge"] = challenge.into(),
        ceremony(CeremonyError::Challenge),
    );
    let other = "https://example.org:8443";
    let error = ClientDataError::Origin(other.to_owned());
    refuses_when(|it| it.client["origin"] = other.into(), ceremony(error));
    refuses_when(|it| it.rp_id = "example.com", ceremony(CeremonyError::RpId));
}

#[test]
fn a_page_within_another_is_refused() {
    let error = ClientDataError::CrossOrigin;
    refuses_when(|it| it.client["crossOrigin"] = true.into(), ceremony(error));
    let top = "https://a.example";
    let error = ClientDataError::TopOrigin(top.to_owned());
    refuses_when(|it| it.client["topOrigin"] = top.into(), ceremony(error));
}

#[test]
fn nobody_present_or_nobody_recognised_is_refused() {
    refuses_when(|it| it.flags &= !UP, ceremony(CeremonyError::UserNotPresent));
    refuses_when(|it| it.flags &= !UV, ceremony(CeremonyError::UserNotVerified));
    let server = Server { user_verification: UserVerification::Optional, ..Server::default() };
    let authentication = Authentication { flags: UP | BE | BS, ..Authentication::new() };
    let verdict = server.authenticate(&Stored::new(), &authentication.json().to_string());
    assert!(!verdict.unwrap().user_verified);
}

#[test]
fn backup_eligibility_never_changes() {
    let error = AuthenticatorDataError::BackedUpButNotEligible;
    refuses_when(|it| it.flags &= !BE, parse(error));
    refuses_when(|it| it.flags &= !(BE | BS), verify(AuthenticationError::BackupEligibility));
    refuses_where(|it| it.backup_eligible = false, AuthenticationError::BackupEligibility);
    let authentication = Authentication { flags: UP | UV | BE, ..Authentication::new() };
    assert_eq!(authentication.verdict().unwrap().backup, Backup::Eligible, "BS may change");
}

#[test]
fn a_counter_that_does_not_advance_is_reported() {
    for (stored, received, verdict) in [
        (0, 0, SignCounter::NotCounting),
        (0, 1, SignCounter::Advanced(1)),
        (7, 8, SignCounter::Advanced(8)),
        (7, u32::MAX, SignCounter::Advanced(u32::MAX)),
        (7, 7, SignCounter::Regressed { stored: 7, received: 7 }),
        (7, 6, SignCounter::Regressed { stored: 7, received: 6 }),
        (7, 0, SignCounter::Regressed { stored: 7, received: 0 }),
    ] {
        let stored = Stored { sign_count: stored, ..Stored::new() };
        let authentication = Authentication { sign_count: received, ..Authentication::new() };
        assert_eq!(authentication.verdict_with(&stored).unwrap().sign_count, verdict);
    }
}

#[test]
fn leftover_bytes_and_false_flags_are_refused() {
    refuses_when(|it| it.tail = vec![0], parse(AuthenticatorDataError::Leftover(1)));
    refuses_when(|it| it.flags |= AT, parse(AuthenticatorDataError::NoCredential));
    refuses_when(
        |it| {
            it.flags |= AT;
            it.tail = [&[0xaa; 16][..], &[0, 1, 1], &cose_key(&ec_p256())].concat();
        },
        verify(AuthenticationError::NewPasskey),
    );
    let extensions = write(&map([(Key::Text("not-yet-known"), Value::Bool(true))]));
    let authentication =
        Authentication { flags: UP | UV | BE | BS | ED, tail: extensions, ..Authentication::new() };
    assert!(authentication.verdict().is_ok(), "unknown extensions are tolerated");
}
