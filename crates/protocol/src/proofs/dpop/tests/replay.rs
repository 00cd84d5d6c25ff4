//! What the replay log is told: RFC 9449 §11.1.

use super::*;
use crate::SpentReceipt;

fn entry(draft: &Draft, request: &Request) -> ReplayEntry {
    request.verify(&draft.sign()).unwrap().entry()
}

/// Without a token, so that method, URI and key are free.
fn any_request() -> Request {
    Request { access_token: None, ..Request::good() }
}

#[test]
fn key_method_uri_and_jti_make_a_use() {
    let first = entry(&Draft::good(), &any_request());
    assert_eq!(entry(&Draft::good(), &any_request()), first);

    assert_ne!(entry(&Draft::by(ed25519(2)), &any_request()).digest, first.digest, "key");

    let mut draft = Draft::good();
    draft.set("htm", json!("GET"));
    let request = Request { method: "GET", ..any_request() };
    assert_ne!(entry(&draft, &request).digest, first.digest, "method");

    let mut draft = Draft::good();
    draft.set("htu", json!("https://api.example/v1/keys"));
    let uri = TargetUri::parse("https://api.example/v1/keys").unwrap();
    let request = Request { uri, ..any_request() };
    assert_ne!(entry(&draft, &request).digest, first.digest, "URI");

    for jti in ["proof 2", "Proof 1", "proof 1 ", "proof"] {
        let mut draft = Draft::good();
        draft.set("jti", json!(jti));
        assert_ne!(entry(&draft, &any_request()).digest, first.digest, "{jti:?}");
    }
}

#[test]
fn another_spelling_of_the_uri_is_the_same_use() {
    let first = entry(&Draft::good(), &any_request());
    for spelling in [
        "HTTPS://API.EXAMPLE:443/v1/whoami",
        "https://api.example/v1/%77hoami?x=1#y",
        "https://api.example/a/../v1/./whoami",
    ] {
        let mut draft = Draft::good();
        draft.set("htu", json!(spelling));
        assert_eq!(entry(&draft, &any_request()), first, "{spelling} in the proof");
        let uri = TargetUri::parse(spelling).unwrap();
        let request = Request { uri, ..any_request() };
        assert_eq!(entry(&Draft::good(), &request), first, "{spelling} in the request");
    }
}

#[test]
fn a_jti_counts_once_whatever_else_a_proof_says() {
    let first = entry(&Draft::good(), &any_request());
    for (claim, value) in [
        ("iat", json!(NOW.as_secs() + 1)),
        ("nonce", json!(sealer().issue(NOW - MILLISECOND))),
        ("ath", json!("other")),
        ("extra", json!("other")),
        ("exp", json!(UnixTime::MAX_SECS)),
    ] {
        let mut draft = Draft::good();
        draft.set(claim, value);
        assert_eq!(entry(&draft, &any_request()).digest, first.digest, "{claim}");
    }
}

#[test]
fn the_other_signature_that_ecdsa_allows_is_the_same_use() {
    // For every (r, s) there is (r, n − s): anyone who sees a proof can make a second text of it.
    let draft = Draft::by(ec_p256());
    let proof = draft.sign();
    let other = with_the_other_s(&proof);
    assert_ne!(other, proof);
    let first = any_request().verify(&proof).unwrap().entry();
    assert_eq!(any_request().verify(&other).unwrap().entry(), first);
}

#[test]
fn an_entry_is_kept_until_the_proof_is_refused_for_its_age() {
    let draft = Draft::good();
    for ahead in [0, 15] {
        let mut request = Request { nonce_required: false, ..any_request() };
        request.now = NOW - Duration::from_secs(ahead);
        let mut draft_without = Draft::good();
        draft_without.remove("nonce");
        let forget_at = entry(&draft_without, &request).forget_at;
        request.now = forget_at - MILLISECOND;
        assert!(request.verify(&draft.sign()).is_ok(), "the last moment");
        request.now = forget_at;
        let verdict = request.verify(&draft.sign()).map(drop);
        assert_eq!(verdict, Err(DpopError::TooOld));
    }
}

#[test]
fn it_opens_only_against_the_receipt_for_its_own_entry() {
    let good = || Request::good().verify(&Draft::good().sign()).unwrap();
    let entry = good().entry();
    assert!(good().redeem(&SpentReceipt::recorded(entry)).is_some());
    let mut digest = entry.digest;
    digest[0] ^= 1;
    let other = ReplayEntry { digest, ..entry };
    assert_eq!(good().redeem(&SpentReceipt::recorded(other)), None);
}

fn with_the_other_s(proof: &str) -> String {
    // The order of the group of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let mut signature = base64url::decode(signature).unwrap();
    let mut borrow = false;
    for (byte, minuend) in signature[32..].iter_mut().zip(ORDER).rev() {
        let (difference, below) = minuend.overflowing_sub(*byte);
        let (difference, still_below) = difference.overflowing_sub(u8::from(borrow));
        *byte = difference;
        borrow = below || still_below;
    }
    format!("{input}.{}", base64url::encode(&signature))
}
