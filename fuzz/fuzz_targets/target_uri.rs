//! The normal form of a URI is its own normal form, and a path joined to its origin gives it back.
#![no_main]

use countersign_protocol::proofs::target_uri::TargetUri;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(uri) = TargetUri::parse(text) {
        assert_eq!(TargetUri::parse(uri.as_str()).as_ref(), Ok(&uri));
        assert_eq!(uri.join(uri.path()).as_ref(), Ok(&uri));
    }
});
