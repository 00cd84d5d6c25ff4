//! The strict parser accepts a subset of JSON and means the same by it.
#![no_main]

use countersign_protocol::strict::json;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(value) = json::parse(input) {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(input).ok(), Some(value));
    }
});
