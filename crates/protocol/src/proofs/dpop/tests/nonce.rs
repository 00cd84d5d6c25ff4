//! Nonces that the server made: RFC 9449 §8, §9 and §11.3.

use super::*;

/// The verdict about a proof with this nonce, or none, at `now`.
fn verdict(nonce: Option<&str>, nonce_required: bool, now: UnixTime) -> Result<(), DpopError> {
    let mut draft = Draft::good();
    draft.remove("nonce");
    if let Some(nonce) = nonce {
        draft.set("nonce", json!(nonce));
    }
    let window = ProofWindow { past: 2 * NONCE_LIFETIME, future: NONCE_LIFETIME };
    Request { nonce_required, window, now, ..Request::good() }.verify(&draft.sign()).map(drop)
}

#[test]
fn a_fresh_nonce_is_accepted_under_both_rules() {
    for required in [true, false] {
        assert_eq!(verdict(Some(&sealer().issue(NOW)), required, NOW), Ok(()));
    }
}

#[test]
fn a_missing_nonce_is_refused_where_one_is_required() {
    assert_eq!(verdict(None, true, NOW), Err(DpopError::Nonce));
    assert_eq!(verdict(None, false, NOW), Ok(()));
}

#[test]
fn a_nonce_is_fresh_for_its_lifetime() {
    let nonce = sealer().issue(NOW);
    for required in [true, false] {
        let end = NOW + NONCE_LIFETIME;
        assert_eq!(verdict(Some(&nonce), required, end - MILLISECOND), Ok(()));
        assert_eq!(verdict(Some(&nonce), required, end), Err(DpopError::Nonce));
    }
}

#[test]
fn a_nonce_from_the_future_is_refused() {
    let nonce = sealer().issue(NOW + MILLISECOND);
    for required in [true, false] {
        assert_eq!(verdict(Some(&nonce), required, NOW), Err(DpopError::Nonce));
        assert_eq!(verdict(Some(&nonce), required, NOW + MILLISECOND), Ok(()));
    }
}

#[test]
fn a_nonce_that_was_made_elsewhere_is_refused() {
    let foreign = sealer_of(8).issue(NOW);
    let own = sealer().issue(NOW);
    for nonce in [&foreign, "nonce", &own[1..], &format!("{own}A"), &own.to_uppercase()] {
        for required in [true, false] {
            assert_eq!(verdict(Some(nonce), required, NOW), Err(DpopError::Nonce), "{nonce}");
        }
    }
    let elsewhere = requested(|request| request.sealer_key = 8);
    assert_eq!(elsewhere, Err(DpopError::Nonce));
}

#[test]
fn a_nonce_of_another_type_is_not_an_absent_one() {
    let mut draft = Draft::good();
    let request = Request { nonce_required: false, ..Request::good() };
    for value in [json!(7), json!(true), json!([sealer().issue(NOW)]), json!({})] {
        draft.set("nonce", value.clone());
        assert_eq!(request.verify(&draft.sign()).map(drop), malformed("nonce"), "{value}");
    }
}

#[test]
fn an_empty_nonce_or_null_asks_for_one() {
    let mut draft = Draft::good();
    for value in [json!(""), json!(null)] {
        for nonce_required in [true, false] {
            let request = Request { nonce_required, ..Request::good() };
            draft.set("nonce", value.clone());
            assert_eq!(request.verify(&draft.sign()).map(drop), Err(DpopError::Nonce), "{value}");
        }
    }
}

#[test]
fn one_nonce_may_serve_several_proofs() {
    let mut draft = Draft::good();
    let first = Request::good().verify(&draft.sign()).unwrap().entry();
    draft.set("jti", json!("proof 2"));
    let second = Request::good().verify(&draft.sign()).unwrap().entry();
    assert_ne!(first.digest, second.digest);
}
