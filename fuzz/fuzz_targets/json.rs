//! The strict parser accepts a subset of JSON and means the same by it; both of its readers agree.
#![no_main]

use countersign_protocol::strict::json::{self, Object};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(value) = json::parse(input) {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(input).ok(), Some(value));
    }
    let in_place = Object::parse(input.to_vec()).map(|object| object.to_map());
    assert_eq!(in_place, json::parse_object(input));
});
