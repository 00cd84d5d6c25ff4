//! One spelling per value: whatever decodes is what encoding gives back.
#![no_main]

use countersign_protocol::strict::base64;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(bytes) = base64::decode(text) {
        assert_eq!(base64::encode(&bytes), text);
    }
});
