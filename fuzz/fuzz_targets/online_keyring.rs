//! An online keyring of any content is refused, or is written as it was read.
#![no_main]

use countersign_client::online_keyring::Document;
use countersign_protocol::keyring_document::MAX_SLOTS;
use countersign_protocol::strict::json;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(document) = Document::parse(input) {
        let read = json::parse(input).expect("it was read");
        assert_eq!(document.to_json(), read);
        assert!(!document.slots().is_empty() && document.slots().len() <= MAX_SLOTS);
    }
});
