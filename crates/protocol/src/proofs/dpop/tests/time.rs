//! The window around `iat`, and `exp` and `nbf` where a proof has them, to the millisecond.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(now: UnixTime) -> Result<(), DpopError> {
    requested(|request| {
        request.now = now;
        request.nonce_required = false;
    })
}

/// The verdict at `now` about a proof without nonce and with a claim more.
fn at_with(now: UnixTime, claim: &str, value: Value) -> Result<(), DpopError> {
    let mut draft = Draft::good();
    draft.remove("nonce");
    draft.set(claim, value);
    Request { now, nonce_required: false, ..Request::good() }.verify(&draft.sign()).map(drop)
}

#[test]
fn a_proof_is_accepted_until_the_window_and_the_cut_off_second_are_over() {
    let end = NOW + ProofWindow::default().past + SECOND;
    assert_eq!(at(end - MILLISECOND), Ok(()));
    assert_eq!(at(end), Err(DpopError::TooOld));
    assert_eq!(at(UnixTime::from_secs(UnixTime::MAX_SECS)), Err(DpopError::TooOld));
}

#[test]
fn a_proof_may_be_ahead_by_the_window() {
    let start = NOW - ProofWindow::default().future;
    assert_eq!(at_with(start, "x", json!(0)), Ok(()));
    assert_eq!(at_with(start - MILLISECOND, "x", json!(0)), Err(DpopError::FromTheFuture));
    assert_eq!(at_with(UnixTime::EPOCH, "x", json!(0)), Err(DpopError::FromTheFuture));
}

#[test]
fn the_window_is_what_was_configured() {
    let window = ProofWindow { past: Duration::ZERO, future: Duration::ZERO };
    let verdict = |now| {
        let mut draft = Draft::good();
        draft.remove("nonce");
        let request = Request { now, window, nonce_required: false, ..Request::good() };
        request.verify(&draft.sign()).map(drop)
    };
    assert_eq!(verdict(NOW), Ok(()));
    assert_eq!(verdict(NOW - MILLISECOND), Err(DpopError::FromTheFuture));
    assert_eq!(verdict(NOW + SECOND - MILLISECOND), Ok(()));
    assert_eq!(verdict(NOW + SECOND), Err(DpopError::TooOld));
}

#[test]
fn a_fraction_of_a_second_in_iat_costs_nothing() {
    let iat = json!(1_700_000_000.999);
    assert_eq!(at_with(NOW, "iat", iat.clone()), Ok(()));
    let end = NOW + ProofWindow::default().past + SECOND;
    assert_eq!(at_with(end - MILLISECOND, "iat", iat.clone()), Ok(()));
    assert_eq!(at_with(end, "iat", iat), Err(DpopError::TooOld));
}

#[test]
fn exp_is_honoured() {
    let end = NOW + 10 * SECOND;
    assert_eq!(at_with(end - MILLISECOND, "exp", json!(end.as_secs())), Ok(()));
    assert_eq!(at_with(end, "exp", json!(end.as_secs())), Err(DpopError::TooOld));
}

#[test]
fn exp_does_not_extend_the_window() {
    let end = NOW + ProofWindow::default().past + SECOND;
    let last = json!(UnixTime::MAX_SECS);
    assert_eq!(at_with(end, "exp", last), Err(DpopError::TooOld));
}

#[test]
fn nbf_is_honoured() {
    let start = NOW + 30 * SECOND;
    let early = start - ProofWindow::default().future;
    assert_eq!(at_with(early, "nbf", json!(start.as_secs())), Ok(()));
    let verdict = at_with(early - MILLISECOND, "nbf", json!(start.as_secs()));
    assert_eq!(verdict, Err(DpopError::FromTheFuture));
}

#[test]
fn what_is_not_a_date_is_refused() {
    for date in ["iat", "exp", "nbf"] {
        for value in [
            json!(NOW.as_secs().to_string()),
            json!(1e300),
            json!(-1),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(NOW.as_millis()),
            json!(UnixTime::MAX_SECS + 1),
        ] {
            assert_eq!(with(date, value.clone()), malformed(date), "{date}: {value}");
        }
    }
}
