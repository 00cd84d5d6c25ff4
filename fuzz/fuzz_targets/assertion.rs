//! Whatever claims a well-signed assertion carries, it is accepted only for this server and time.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use countersign_protocol::tokens::assertion::{
    AssertionExpectations, AssertionUse, PresentedAssertion,
};
use countersign_protocol::tokens::jws;
use countersign_protocol::{UnixTime, strict::json};
use serde_json::Map;

const NOW: u64 = 2_000_000_000;
const ISSUER: &str = "https://auth.example";

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/ed25519.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(claims) = json::parse_object(input) else { return };
    let text = jws::sign(&KEY, KEY.algorithm(), &Map::new(), &claims).expect("the key signs");
    let expected = AssertionExpectations {
        purpose: AssertionUse::ClientAuthentication,
        issuer: ISSUER,
        token_endpoint: "https://auth.example/oauth/token",
        max_lifetime: Duration::from_mins(5),
        skew: Duration::from_secs(15),
    };
    let Ok(assertion) = PresentedAssertion::parse(&text) else { return };
    if assertion.verify(KEY.public_key(), &expected, UnixTime::from_secs(NOW)).is_ok() {
        assert!(claims["aud"] == ISSUER || claims["aud"] == serde_json::json!([ISSUER]));
        assert_eq!(claims["iss"], claims["sub"]);
        assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
        let ahead = claims["exp"].as_f64().map(|exp| exp - NOW as f64);
        assert!(ahead.is_some_and(|ahead| (-16.0..=316.0).contains(&ahead)));
    }
});
