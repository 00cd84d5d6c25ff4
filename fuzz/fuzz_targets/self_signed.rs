//! Whatever claims a well-signed JWT of a client's own carries, it is accepted only for this server,
//! time and body, and where it is no assertion.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use countersign_protocol::proofs::body_hash::{self, BodyHashes};
use countersign_protocol::proofs::self_signed::{PresentedSelfSigned, SelfSignedExpectations};
use countersign_protocol::tokens::jws;
use countersign_protocol::{UnixTime, strict::json};
use serde_json::{Map, json};

const NOW: u64 = 2_000_000_000;
const ISSUER: &str = "https://auth.example";
const BODY: &[u8] = b"{\"amount\":2}";

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/ed25519.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = PresentedSelfSigned::parse(text);
    }
    let Ok(claims) = json::parse_object(input) else { return };
    let text = jws::sign(&KEY, KEY.algorithm(), &Map::new(), &claims).expect("the key signs");
    let expected = SelfSignedExpectations {
        issuer: ISSUER,
        audience: ISSUER,
        require_audience: false,
        max_lifetime: Duration::from_mins(5),
        skew: Duration::from_secs(15),
        body: Some(BODY),
        body_hashes: BodyHashes::Sha256,
        require_body_hash: false,
    };
    let Ok(jwt) = PresentedSelfSigned::parse(&text) else { return };
    if let Ok(Some(account)) = jwt.account() {
        assert!(claims.get("sub").or(claims.get("accountId")).is_some_and(|it| it == account));
    }
    if let Ok(verified) = jwt.verify([KEY.public_key()], &expected, UnixTime::from_secs(NOW)) {
        let has = |name| claims.contains_key(name);
        assert!(!has("aud") || claims["aud"] == ISSUER || claims["aud"] == json!([ISSUER]));
        assert!(!has("tha") || claims["tha"] == body_hash::sha256_hex(BODY));
        assert!(!(has("iss") && has("aud") && has("jti")));
        assert!(!has("iss") || claims["iss"] != ISSUER);
        let ahead = claims["exp"].as_f64().map(|exp| exp - NOW as f64);
        let latest = if has("iat") { f64::INFINITY } else { 316.0 };
        assert!(ahead.is_some_and(|ahead| (-16.0..=latest).contains(&ahead)));
        // Whatever exp says, it ends in time.
        let end = verified.peek().expires_at.as_secs();
        assert!((NOW - 16..=NOW + 316).contains(&end));
    }
});
