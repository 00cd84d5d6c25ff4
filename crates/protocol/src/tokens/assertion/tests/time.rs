//! `exp`, `iat` and `nbf`, to the millisecond.

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_assertion_ends_with_exp_and_the_skew() {
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(verdicts(&Draft::good(), end - MILLISECOND), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&Draft::good(), end), refused(AssertionError::Expired));
    assert_eq!(with("exp", json!(0)), refused(AssertionError::Expired));
}

#[test]
fn exp_lies_at_most_the_longest_lifetime_and_the_skew_ahead() {
    let limit = NOW + MAX_LIFETIME + SKEW;
    assert_eq!(with("exp", json!(limit.as_secs())), [Ok(()), Ok(())]);
    let beyond = json!((limit + SECOND).as_secs());
    assert_eq!(with("exp", beyond), refused(AssertionError::TooLongLived));
    let last = json!(UnixTime::MAX_SECS);
    assert_eq!(with("exp", last), refused(AssertionError::TooLongLived));

    let mut draft = Draft::good();
    draft.set("exp", json!(limit.as_secs()));
    assert_eq!(verdicts(&draft, NOW - MILLISECOND), refused(AssertionError::TooLongLived));
}

#[test]
fn iat_and_nbf_lie_at_most_the_skew_ahead() {
    for date in ["iat", "nbf"] {
        assert_eq!(with(date, json!(NOW.as_secs())), [Ok(()), Ok(())], "{date}");
        let limit = NOW + SKEW;
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
