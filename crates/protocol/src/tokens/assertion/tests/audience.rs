//! Whom an assertion is for: RFC 7523 §3 and, for client authentication, the rule of its revision
//! that stops a hostile server from being handed an assertion for this one.

use super::*;

fn grant_only() -> [Result<(), AssertionError>; 2] {
    [Ok(()), Err(AssertionError::AudienceNotAlone { issuer: ISSUER.to_owned() })]
}

#[test]
fn the_issuer_is_an_audience_for_both_uses() {
    assert_eq!(with("aud", json!(ISSUER)), [Ok(()), Ok(())]);
    assert_eq!(with("aud", json!([ISSUER])), [Ok(()), Ok(())]);
}

#[test]
fn the_token_endpoint_is_an_audience_for_a_grant_only() {
    assert_eq!(with("aud", json!(TOKEN_ENDPOINT)), grant_only());
    assert_eq!(with("aud", json!([TOKEN_ENDPOINT])), grant_only());
    assert_eq!(with("aud", json!([ISSUER, TOKEN_ENDPOINT])), grant_only());
}

#[test]
fn a_further_audience_is_for_a_grant_only() {
    assert_eq!(with("aud", json!([ISSUER, "https://other.example"])), grant_only());
    assert_eq!(with("aud", json!(["https://other.example", ISSUER])), grant_only());
    assert_eq!(with("aud", json!([ISSUER, ISSUER])), grant_only());
}

#[test]
fn a_client_learns_that_the_issuer_must_stand_alone() {
    for audience in [json!(TOKEN_ENDPOINT), json!([ISSUER, TOKEN_ENDPOINT])] {
        let [_, client] = with("aud", audience);
        let told = client.unwrap_err();
        assert_eq!(told, AssertionError::AudienceNotAlone { issuer: ISSUER.to_owned() });
        assert!(told.to_string().contains(ISSUER), "{told}");
        assert!(told.to_string().contains("not the token endpoint"), "{told}");
    }
}

#[test]
fn another_audience_is_refused() {
    for audience in [
        json!("https://other.example"),
        json!(["https://other.example", "https://other.example/oauth/token"]),
        json!("https://auth.example/"),
        json!("https://auth.example/oauth/token/"),
        json!("https://auth.example/oauth"),
        json!("https://auth.example/oauth/token?x=1"),
        json!("HTTPS://AUTH.EXAMPLE"),
        json!("https://auth.example:443"),
        json!("https://auth.example.attacker.example"),
        json!("auth.example"),
        json!("alice"),
    ] {
        let verdicts = with("aud", audience.clone());
        let told = AssertionError::Audience {
            issuer: ISSUER.to_owned(),
            token_endpoint: TOKEN_ENDPOINT.to_owned(),
        };
        assert!(told.to_string().contains(TOKEN_ENDPOINT), "{told}");
        assert_eq!(verdicts, refused(told), "{audience}");
    }
}

#[test]
fn an_audience_that_is_not_strings_is_refused() {
    for audience in [
        json!([[ISSUER]]),
        json!([ISSUER, 7]),
        json!([null]),
        json!({ ISSUER: true }),
        json!(vec![ISSUER; 17]),
    ] {
        assert_eq!(with("aud", audience.clone()), malformed("aud"), "{audience}");
    }
}
