//! Two readers of one token must not see two tokens: RFC 7515 §4, RFC 8259 §4, RFC 7493.

use super::*;
use crate::strict::json::MAX_DEPTH;

#[test]
fn a_member_that_appears_twice_in_the_header_is_refused() {
    for header in [
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":"none","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","alg":"none"}"#,
        r#"{"alg":"EdDSA","\u0061lg":"none"}"#,
        r#"{"alg":"EdDSA","\u0061\u006C\u0067":"EdDSA"}"#,
        r#"{"alg":"EdDSA","typ":"JWT","t\u0079p":"at+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"a","kid":"b"}"#,
        r#"{"alg":"EdDSA","jwk":{"kty":"OKP","kty":"EC"}}"#,
        r#"{"alg":"EdDSA","x":[{"a":1,"a":1}]}"#,
    ] {
        assert_eq!(refusal_of_header(header), Some(JwsError::Header), "{header}");
    }
}

#[test]
fn a_member_that_appears_twice_in_the_payload_is_refused() {
    for payload in [
        r#"{"sub":"alice","sub":"mallory"}"#,
        r#"{"sub":"alice","\u0073ub":"mallory"}"#,
        r#"{"exp":1,"exp":1}"#,
        r#"{"cnf":{"jkt":"a","jkt":"b"}}"#,
        r#"{"cnf":{"jkt":"a","\u006Akt":"b"}}"#,
        r#"{"":1,"":2}"#,
    ] {
        let refusal = refusal_of_payload(payload.as_bytes());
        assert_eq!(refusal, Some(JwsError::Payload), "{payload}");
    }
}

#[test]
fn members_that_differ_in_case_are_different() {
    assert_eq!(refusal_of_payload(br#"{"sub":"alice","SUB":"mallory"}"#), None);
    assert_eq!(refusal_of_header(r#"{"alg":"EdDSA","ALG":"none"}"#), None);
}

#[test]
fn an_escaped_name_is_that_name() {
    let token = sign_bytes(&ed25519(1), br#"{"\u0061lg":"EdDSA"}"#, br#"{"\u0073ub":"alice"}"#);
    let unverified = Jws::parse(&token).unwrap();
    assert_eq!(unverified.subject(), Some("alice"));
    assert!(unverified.verify(ed25519(1).public_key()).is_ok());
}

#[test]
fn what_is_not_an_object_is_refused() {
    for text in ["", " ", "null", "true", "7", r#""alg""#, "[]", r#"[{"alg":"EdDSA"}]"#] {
        assert_eq!(refusal_of_header(text), Some(JwsError::Header), "{text:?}");
        assert_eq!(refusal_of_payload(text.as_bytes()), Some(JwsError::Payload), "{text:?}");
    }
    assert_eq!(refusal_of_payload(b"{}"), None);
}

#[test]
fn text_around_the_object_is_refused() {
    for (before, after) in [
        ("\u{feff}", ""),
        ("", "{}"),
        ("", "\0"),
        ("", ","),
        ("", "}"),
        ("// comment\n", ""),
        ("", "/**/"),
    ] {
        let header = format!(r#"{before}{{"alg":"EdDSA"}}{after}"#);
        assert_eq!(refusal_of_header(&header), Some(JwsError::Header), "{header:?}");
        let payload = format!(r#"{before}{{"sub":"alice"}}{after}"#);
        let refusal = refusal_of_payload(payload.as_bytes());
        assert_eq!(refusal, Some(JwsError::Payload), "{payload:?}");
    }
}

#[test]
fn json_that_parsers_disagree_about_is_refused() {
    for value in [
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "+1",
        ".5",
        "1.",
        "0x10",
        "1e400",
        "'single'",
        "\"tab\tinside\"",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\x41""#,
        r#""\u0000""#,
        "[1,]",
        r#"{"a":1,}"#,
        r"{a:1}",
    ] {
        let payload = format!(r#"{{"value":{value}}}"#);
        let refusal = refusal_of_payload(payload.as_bytes());
        assert_eq!(refusal, Some(JwsError::Payload), "{payload}");
    }
}

#[test]
fn a_nul_in_a_name_is_refused() {
    assert_eq!(refusal_of_payload(br#"{"sub\u0000":"alice"}"#), Some(JwsError::Payload));
    assert_eq!(refusal_of_header(r#"{"alg":"EdDSA","a\u0000":1}"#), Some(JwsError::Header));
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let cases: [&[u8]; 4] = [
        b"{\"sub\":\"\xff\"}",
        // An overlong slash, an encoded surrogate, a character that is cut short.
        b"{\"sub\":\"\xc0\xaf\"}",
        b"{\"sub\":\"\xed\xa0\x80\"}",
        b"{\"sub\":\"\xe2\x82\"}",
    ];
    for payload in cases {
        assert_eq!(refusal_of_payload(payload), Some(JwsError::Payload), "{payload:?}");
    }
    let utf_16: Vec<u8> = r#"{"sub":"alice"}"#.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(refusal_of_payload(&utf_16), Some(JwsError::Payload));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        // The object itself is one level.
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"a":{open}{close}}}"#)
    };
    assert_eq!(refusal_of_payload(nested(MAX_DEPTH).as_bytes()), None);
    for depth in [MAX_DEPTH + 1, 1000, 2500] {
        let refusal = refusal_of_payload(nested(depth).as_bytes());
        assert_eq!(refusal, Some(JwsError::Payload), "{depth}");
    }
}

#[test]
fn a_payload_that_is_a_token_itself_is_refused() {
    let inner = sign_bytes(&ed25519(1), br#"{"alg":"EdDSA"}"#, PAYLOAD);
    assert_eq!(refusal_of_payload(inner.as_bytes()), Some(JwsError::Payload));
    let quoted = format!("\"{inner}\"");
    assert_eq!(refusal_of_payload(quoted.as_bytes()), Some(JwsError::Payload));
}
