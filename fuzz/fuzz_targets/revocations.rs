//! Whatever claims a well-signed revocation feed carries, what is read is all of it, and only for
//! this issuer and time.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use countersign_protocol::tokens::jws;
use countersign_protocol::tokens::revocations::{self, REVOCATIONS_TYPE, SignedRevocations};
use countersign_protocol::{UnixTime, strict::json};
use serde_json::Map;

const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);
const ISSUER: &str = "https://auth.example";
const SKEW: Duration = Duration::from_secs(5);

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/ed25519.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = SignedRevocations::parse(text);
    }
    let Ok(claims) = json::parse_object(input) else { return };
    let header: Map<_, _> = [("typ".to_owned(), REVOCATIONS_TYPE.into())].into_iter().collect();
    let text = jws::sign(&KEY, KEY.algorithm(), &header, &claims).expect("the key signs");
    let Ok(feed) = SignedRevocations::parse(&text) else { return };
    let Ok(read) = feed.verify(KEY.public_key(), ISSUER, SKEW, NOW) else { return };
    for (name, len) in
        [("tokens", read.tokens.len()), ("keys", read.keys.len()), ("accounts", read.accounts.len())]
    {
        assert_eq!(claims[name].as_array().map(Vec::len), Some(len));
    }
    assert_eq!(claims["iss"], ISSUER);
    assert!(read.issued_at <= NOW + SKEW && NOW < read.expires_at + SKEW);
    let again = revocations::sign(&read, &KEY, KEY.algorithm()).expect("the key signs");
    let again = SignedRevocations::parse(&again).expect("we wrote it");
    assert_eq!(again.verify(KEY.public_key(), ISSUER, SKEW, NOW), Ok(read));
});
