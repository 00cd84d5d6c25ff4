//! One spelling per value: whatever decodes is what encoding gives back.
#![no_main]

use countersign_protocol::strict::base64url;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(bytes) = base64url::decode(text) {
        assert_eq!(base64url::encode(&bytes), text);
    }
});
