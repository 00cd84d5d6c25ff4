//! A session of *signjwt* is what the server issued, to the letter, and no other text is one.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::tokens::session::{SessionError, SessionSealer};

const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);
const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

static SEALER: LazyLock<SessionSealer> =
    LazyLock::new(|| SessionSealer::new(&SealingKey::from_bytes([7; 32]), Duration::from_mins(30)));
static ISSUED: LazyLock<String> = LazyLock::new(|| SEALER.issue("alice", "session 1", NONCE, NOW));

libfuzzer_sys::fuzz_target!(|text: &str| {
    let issued = SEALER.verify(&ISSUED, NOW);
    assert!(issued.is_ok_and(|claims| claims.subject == "alice" && claims.nonce == NONCE));
    // Texts that begin as a session does get further than others.
    let ends = ISSUED.match_indices('.').map(|(at, _)| at + 1).chain([0, ISSUED.len()]);
    for end in ends {
        let altered = format!("{}{text}", &ISSUED[..end]);
        if altered != *ISSUED {
            assert_eq!(SEALER.verify(&altered, NOW), Err(SessionError::Foreign));
        }
    }
});
