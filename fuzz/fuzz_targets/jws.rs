//! What parses as a JWS has three segments, and each has no other spelling.
#![no_main]

use countersign_protocol::{strict::base64url, tokens::jws::Jws};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if Jws::parse(text).is_ok() {
        let segments: Vec<_> = text.split('.').collect();
        assert_eq!(segments.len(), 3);
        for segment in segments {
            assert!(base64url::decode(segment).is_ok_and(|it| base64url::encode(&it) == segment));
        }
    }
});
