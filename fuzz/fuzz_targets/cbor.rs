//! What the strict reader takes is followed by exactly the bytes that it says, and taken alone it means the same.
#![no_main]

use countersign_protocol::strict::cbor::{self, CborError};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    match cbor::parse_first(input) {
        Ok((value, [])) => assert_eq!(cbor::parse(input), Ok(value)),
        Ok((value, rest)) => {
            assert_eq!(cbor::parse(input), Err(CborError::TrailingBytes(rest.len())));
            assert_eq!(cbor::parse(&input[..input.len() - rest.len()]), Ok(value));
        }
        Err(error) => {
            assert_ne!(error, CborError::TrailingBytes(0));
            assert_eq!(cbor::parse(input), Err(error));
        }
    }
});
