//! `exp`, `iat` and `nbf`, to the millisecond.

use super::*;
use crate::{CLIENT_CLOCK_AHEAD, proofs::dpop::ProofWindow};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn too_long_lived() -> [Result<(), AssertionError>; 2] {
    refused(AssertionError::TooLongLived { allowed: MAX_LIFETIME.as_secs() })
}

#[test]
fn a_clock_that_is_ten_seconds_ahead_is_no_reason_to_refuse() {
    let mut draft = Draft::good();
    for (date, ahead) in [("iat", 10), ("nbf", 10), ("exp", 70)] {
        draft.set(date, json!((NOW + Duration::from_secs(ahead)).as_secs()));
    }
    assert_eq!(verdicts(&draft, NOW), [Ok(()), Ok(())]);
}

#[test]
fn an_assertion_ends_with_exp_and_the_skew() {
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(verdicts(&Draft::good(), end - MILLISECOND), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&Draft::good(), end), refused(AssertionError::Expired));
    assert_eq!(with("exp", json!(0)), refused(AssertionError::Expired));
}

#[test]
fn exp_lies_at_most_the_longest_lifetime_ahead_by_the_clients_clock() {
    let limit = NOW + MAX_LIFETIME + CLIENT_CLOCK_AHEAD;
    assert_eq!(with("exp", json!(limit.as_secs())), [Ok(()), Ok(())]);
    let beyond = json!((limit + SECOND).as_secs());
    assert_eq!(with("exp", beyond), too_long_lived());
    let last = json!(UnixTime::MAX_SECS);
    assert_eq!(with("exp", last), too_long_lived());

    let mut draft = Draft::good();
    draft.set("exp", json!(limit.as_secs()));
    assert_eq!(verdicts(&draft, NOW - MILLISECOND), too_long_lived());
}

#[test]
fn iat_and_nbf_lie_as_far_ahead_as_those_of_proofs() {
    for date in ["iat", "nbf"] {
        assert_eq!(with(date, json!(NOW.as_secs())), [Ok(()), Ok(())], "{date}");
        let limit = NOW + CLIENT_CLOCK_AHEAD;
        assert_eq!(limit, NOW + ProofWindow::default().future);
        assert_eq!(with(date, json!(limit.as_secs())), [Ok(()), Ok(())], "{date}");
        let mut draft = Draft::good();
        draft.set(date, json!(limit.as_secs()));
        let early = verdicts(&draft, NOW - MILLISECOND);
        assert_eq!(early, refused(AssertionError::NotYetValid), "{date}");
        let last = with(date, json!(UnixTime::MAX_SECS));
        assert_eq!(last, refused(AssertionError::NotYetValid), "{date}");
    }
}

#[test]
fn an_old_iat_is_no_reason_to_refuse() {
    // Only `exp` bounds the life of an assertion, so the replay log covers all of it.
    assert_eq!(with("iat", json!(0)), [Ok(()), Ok(())]);
}

#[test]
fn what_is_not_a_date_is_refused() {
    for date in ["exp", "iat", "nbf"] {
        for value in [
            json!("9999999999"),
            json!(1e300),
            json!(-1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(UnixTime::MAX_SECS + 1),
            json!((NOW + LIFETIME).as_millis()),
            json!(null),
            json!([(NOW + LIFETIME).as_secs()]),
        ] {
            assert_eq!(with(date, value.clone()), malformed(date), "{date}: {value}");
        }
    }
}

#[test]
fn a_fraction_of_a_second_is_cut_off() {
    let mut draft = Draft::good();
    draft.set("exp", json!(1_700_000_060.9));
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(verdicts(&draft, end - MILLISECOND), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&draft, end), refused(AssertionError::Expired));
    assert_eq!(draft.verify(AssertionUse::Grant, NOW).unwrap().entry().forget_at, end);
}
