//! One token has one spelling: RFC 7515 §2 and §7.1. With two, a list of revoked or used tokens
//! would know only one of them.

use super::*;

/// The errors for the three segments, in their order.
const BY_SEGMENT: [JwsError; 3] = [JwsError::Header, JwsError::Payload, JwsError::Signature];

/// The segments of a good token. Each contains `-` and `_` and ends with unused bits, so that each
/// can be spelt in every wrong way.
fn segments() -> [String; 3] {
    let header = br#"{"alg":"EdDSA","aa":"~~~???"}"#;
    (1000..9999)
        .map(|n| format!(r#"{{"a":"~~~???","n":{n}}}"#))
        .map(|payload| sign_bytes(&ed25519(1), header, payload.as_bytes()))
        .map(|token| token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap())
        .find(|segments: &[String; 3]| {
            segments.iter().all(|s| s.contains('-') && s.contains('_') && s.len() % 4 != 0)
        })
        .unwrap()
}

/// What the parser says when one segment of a good token is respelt.
fn refusals(respell: impl Fn(&str) -> String) -> [Option<JwsError>; 3] {
    let good = segments();
    assert!(Jws::parse(&good.join(".")).unwrap().verify(ed25519(1).public_key()).is_ok());
    std::array::from_fn(|place| {
        let mut altered = good.clone();
        altered[place] = respell(&good[place]);
        assert_ne!(altered, good);
        Jws::parse(&altered.join(".")).err()
    })
}

#[test]
fn padding_is_refused() {
    for padding in ["=", "==", "==="] {
        assert_eq!(refusals(|segment| format!("{segment}{padding}")), BY_SEGMENT.map(Some));
    }
    let exact = |segment: &str| format!("{segment}{}", "=".repeat(4 - segment.len() % 4));
    assert_eq!(refusals(exact), BY_SEGMENT.map(Some));
    assert_eq!(refusals(|segment| format!("{segment}%3D")), BY_SEGMENT.map(Some));
}

#[test]
fn whitespace_is_refused() {
    for space in [" ", "\t", "\n", "\r\n", "\u{a0}", "\u{200b}", "\0"] {
        assert_eq!(refusals(|segment| format!("{space}{segment}")), BY_SEGMENT.map(Some));
        assert_eq!(refusals(|segment| format!("{segment}{space}")), BY_SEGMENT.map(Some));
        let inside = |segment: &str| format!("{}{space}{}", &segment[..4], &segment[4..]);
        assert_eq!(refusals(inside), BY_SEGMENT.map(Some));
    }
}

#[test]
fn the_standard_alphabet_is_refused() {
    assert_eq!(refusals(|segment| segment.replace('-', "+")), BY_SEGMENT.map(Some));
    assert_eq!(refusals(|segment| segment.replace('_', "/")), BY_SEGMENT.map(Some));
}

#[test]
fn unused_bits_that_are_set_are_refused() {
    let respelt = |segment: &str| {
        let (rest, last) = segment.split_at(segment.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = alphabet.find(last).unwrap();
        format!("{rest}{}", &alphabet[value + 1..value + 2])
    };
    assert_eq!(refusals(respelt), BY_SEGMENT.map(Some));
}

#[test]
fn a_single_character_is_no_base64url() {
    assert_eq!(refusals(|_| "A".to_owned()), BY_SEGMENT.map(Some));
}

#[test]
fn a_token_has_three_segments() {
    let [header, payload, signature] = segments();
    for text in [
        String::new(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}."),
        format!(".{header}.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        // The shape of a compact JWE (RFC 7516 §7.1).
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        "....".to_owned(),
        "...".to_owned(),
        ".".to_owned(),
    ] {
        assert_eq!(Jws::parse(&text).err(), Some(JwsError::NotCompact), "{text}");
    }
}

#[test]
fn empty_segments_are_refused() {
    let [header, payload, signature] = segments();
    let refusal = |text: String| Jws::parse(&text).err();
    assert_eq!(refusal("..".to_owned()), Some(JwsError::Header));
    assert_eq!(refusal(format!(".{payload}.{signature}")), Some(JwsError::Header));
    // A detached payload (RFC 7515 appendix F).
    assert_eq!(refusal(format!("{header}..{signature}")), Some(JwsError::Payload));
    // An empty signature is a signature, but never a good one.
    let text = format!("{header}.{payload}.");
    let verified = Jws::parse(&text).unwrap().verify(ed25519(1).public_key());
    assert_eq!(verified.map(drop), Err(BadSignature));
}

#[test]
fn many_dots_are_refused_without_looking_at_what_is_between() {
    let dots = ".".repeat(MAX_LEN);
    assert_eq!(Jws::parse(&dots).err(), Some(JwsError::NotCompact));
    let segments = "e30.".repeat(MAX_LEN / 4);
    assert_eq!(Jws::parse(&segments).err(), Some(JwsError::NotCompact));
    // CVE-2025-30204, CVE-2025-27144: cost that grows with the number of dots.
    assert_eq!(Jws::parse(&".".repeat(50_000_000)).err(), Some(JwsError::TooLong));
}

#[test]
fn json_serialisation_is_refused() {
    let [header, payload, signature] = segments();
    let flattened = json!({ "payload": payload, "protected": header, "signature": signature });
    let general = json!({
        "payload": payload,
        "signatures": [{ "protected": header, "signature": signature }],
    });
    for text in [flattened.to_string(), general.to_string()] {
        assert_eq!(Jws::parse(&text).err(), Some(JwsError::NotCompact), "{text}");
    }
    let with_dots = json!({ "header": { "jku": "https://a.example.org/" }, "payload": payload });
    assert_eq!(Jws::parse(&with_dots.to_string()).err(), Some(JwsError::Header));
    // CVE-2022-39227: the signed token as a member name of the unsigned one.
    let token = format!("{header}.{payload}.{signature}");
    let polyglot = format!(r#"{{"  {token}":"","protected":"{header}"}}"#);
    assert_eq!(Jws::parse(&polyglot).err(), Some(JwsError::Header));
}

#[test]
fn a_scheme_or_quotes_around_a_token_are_refused() {
    let token = segments().join(".");
    for text in [format!("DPoP {token}"), format!("\"{token}\""), format!("{token},{token}")] {
        assert!(Jws::parse(&text).is_err(), "{text}");
    }
}
