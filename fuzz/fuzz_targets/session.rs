//! A session of *signjwt* is what the server issued, to the letter, and no other text is one. A client
//! signs nothing but what has its form.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::tokens::offered_session::{OfferedSession, SessionExpectations};
use countersign_protocol::tokens::session::{SessionError, SessionSealer};

const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);
const ISSUER: &str = "https://auth.example";
const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

static SEALER: LazyLock<SessionSealer> = LazyLock::new(|| {
    let key = SealingKey::from_bytes(&[7; 32]);
    SessionSealer::new(&key, ISSUER, Duration::from_mins(30))
});
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
        check_offer(NONCE, &altered);
    }
    check_offer(text, &ISSUED);
});

/// What a client would sign has a form that nothing else has.
fn check_offer(nonce: &str, jwt: &str) {
    let expected = SessionExpectations { issuer: ISSUER, subject: "alice" };
    if let Ok(session) = OfferedSession::parse(nonce, jwt, &expected, NOW) {
        let message = format!("{}{}", session.nonce(), session.jwt());
        assert!(message.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        assert_eq!(message.matches('.').count(), 2);
        assert_eq!(session.nonce().len(), 22);
    }
}
