//! A block that was read can be written and read again.
#![no_main]

use countersign_protocol::strict::pem;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(block) = pem::decode(text) {
        let again = pem::decode(&pem::encode(&block.label, &block.der));
        assert!(again.is_ok_and(|again| again.label == block.label && again.der == block.der));
    }
});
