//! `exp`, `iat` and `nbf`, to the millisecond (RFC 7519 §4.1.4 to §4.1.6).

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_token_ends_with_exp_and_the_skew() {
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(Draft::good().verify(end - MILLISECOND), Ok(claims()));
    assert_eq!(Draft::good().verify(end), Err(AccessTokenError::Expired));
    assert_eq!(Draft::good().verify(end + LIFETIME), Err(AccessTokenError::Expired));
}

#[test]
fn a_token_starts_with_iat_less_the_skew() {
    let start = NOW - SKEW;
    assert_eq!(Draft::good().verify(start), Ok(claims()));
    assert_eq!(Draft::good().verify(start - MILLISECOND), Err(AccessTokenError::NotYetValid));
    assert_eq!(Draft::good().verify(UnixTime::EPOCH), Err(AccessTokenError::NotYetValid));
}

#[test]
fn a_token_starts_with_nbf_less_the_skew() {
    let mut draft = Draft::good();
    let start = NOW + Duration::from_mins(1);
    draft.set("nbf", json!(start.as_secs()));
    assert_eq!(draft.verify(start - SKEW), Ok(claims()));
    assert_eq!(draft.verify(start - SKEW - MILLISECOND), Err(AccessTokenError::NotYetValid));
}

#[test]
fn without_skew_the_edges_are_exact() {
    let check = |now| check_time(&claims(), None, Duration::ZERO, now);
    assert_eq!(check(NOW), Ok(()));
    assert_eq!(check(NOW - MILLISECOND), Err(AccessTokenError::NotYetValid));
    assert_eq!(check(NOW + LIFETIME - MILLISECOND), Ok(()));
    assert_eq!(check(NOW + LIFETIME), Err(AccessTokenError::Expired));
}

#[test]
fn a_token_that_was_verified_before_has_the_same_edges() {
    for now in [NOW - SKEW - MILLISECOND, NOW - SKEW, NOW + LIFETIME + SKEW - MILLISECOND] {
        let again = check_time(&claims(), None, SKEW, now);
        assert_eq!(Draft::good().verify(now).map(drop), again);
    }
    let end = NOW + LIFETIME + SKEW;
    assert_eq!(check_time(&claims(), None, SKEW, end), Err(AccessTokenError::Expired));
}

#[test]
fn a_fraction_of_a_second_is_cut_off() {
    let verdict = with("exp", json!(1_700_000_300.9)).map(|claims| claims.expires_at);
    assert_eq!(verdict, Ok(NOW + LIFETIME));
}

#[test]
fn dates_reach_to_the_year_9999() {
    let last = UnixTime::from_secs(UnixTime::MAX_SECS);
    let verdict = with("exp", json!(UnixTime::MAX_SECS)).map(|claims| claims.expires_at);
    assert_eq!(verdict, Ok(last));
    for date in ["iat", "nbf"] {
        let verdict = with(date, json!(UnixTime::MAX_SECS));
        assert_eq!(verdict, Err(AccessTokenError::NotYetValid), "{date}");
    }
}

#[test]
fn what_is_not_a_date_is_refused() {
    for date in ["exp", "iat", "nbf"] {
        for value in [
            json!("9999999999"),
            json!(NOW.as_secs().to_string()),
            json!(1e300),
            json!(-1),
            json!(-0.5),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(UnixTime::MAX_SECS + 1),
            // Milliseconds in place of seconds.
            json!(NOW.as_millis()),
            json!(null),
            json!(false),
            json!([NOW.as_secs()]),
            json!({ "seconds": NOW.as_secs() }),
        ] {
            let verdict = with(date, value.clone());
            assert_eq!(verdict, Err(ClaimError::Malformed(date).into()), "{date}: {value}");
        }
    }
}

#[test]
fn a_token_that_ended_before_it_began_is_refused() {
    let verdict = altered(|draft| {
        draft.set("iat", json!((NOW + LIFETIME).as_secs()));
        draft.set("exp", json!(NOW.as_secs()));
    });
    assert_eq!(verdict, Err(AccessTokenError::NotYetValid));
    assert_eq!(with("exp", json!(0)), Err(AccessTokenError::Expired));
}
