//! A keyring file of any content opens or is refused with an error.
#![no_main]

use std::{fs, sync::Arc};

use countersign_client::keyring::{Keyring, Passphrase};
use countersign_protocol::ports::Random;
use serde_json::Value;

/// The reader draws nothing.
struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) {
        unreachable!("opening a keyring needs no randomness");
    }
}

/// A well-formed file may ask for a long derivation, as it should; that is not what is tested here.
fn is_costly(input: &[u8]) -> bool {
    serde_json::from_slice::<Value>(input).is_ok_and(|file| {
        let above = |name: &str, limit| file["kdf"][name].as_u64().is_some_and(|it| it > limit);
        above("m_kib", 8192) || above("t", 1) || above("p", 1)
    })
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if is_costly(input) {
        return;
    }
    let path = std::env::temp_dir().join(format!("countersign-fuzz-{}", std::process::id()));
    fs::write(&path, input).expect("the file can be written");
    let passphrase = Passphrase::new("correct horse".to_owned()).expect("it is a passphrase");
    if let Ok(keyring) = Keyring::open(&path, &passphrase, Arc::new(NoRandom)) {
        for entry in keyring.entries() {
            assert!(keyring.get(entry.name().as_str()).is_some());
        }
    }
    fs::remove_file(&path).expect("the file is still there");
});
