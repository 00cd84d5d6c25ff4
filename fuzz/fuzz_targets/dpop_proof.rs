//! Whatever claims a well-signed proof carries, it is accepted only for the request at hand.
#![no_main]

use std::hash::RandomState;
use std::sync::LazyLock;
use std::time::Duration;

use countersign_protocol::challenges::sealed::{EpochNonces, NonceSealer};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::keys::{KeyPolicy, PrivateKey};
use countersign_protocol::proofs::dpop::{
    DpopExpectations, NonceRule, PresentedProof, ProofWindow, TYPE,
};
use countersign_protocol::proofs::known_keys::KnownProofKeys;
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_protocol::replay::{EpochId, LogEpoch};
use countersign_protocol::tokens::jws;
use countersign_protocol::{UnixTime, strict::json};
use serde_json::{Map, Value};

const NOW: u64 = 2_000_000_000;

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../corpus/private_key/ed25519.pkcs8");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("the corpus has a key")
});
static NONCES: LazyLock<EpochNonces> = LazyLock::new(|| {
    let epoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };
    let sealer = NonceSealer::new(SealingKey::from_bytes(&[7; 32]), Duration::from_secs(60));
    EpochNonces::new(sealer, epoch)
});
// After the first good proof its header is known.
static KNOWN: LazyLock<KnownProofKeys> =
    LazyLock::new(|| KnownProofKeys::new(8, KeyPolicy::default(), RandomState::new()));
static URI: LazyLock<TargetUri> =
    LazyLock::new(|| TargetUri::parse("https://auth.example/oauth/token").expect("it is a URI"));

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(claims) = json::parse_object(input) else { return };
    let key = KEY.public_key();
    let mut header = Map::new();
    header.insert("typ".to_owned(), TYPE.into());
    header.insert("jwk".to_owned(), Value::Object(key.to_jwk()));
    let text = jws::sign(&KEY, KEY.algorithm(), &header, &claims).expect("the key signs");
    let expected = DpopExpectations {
        method: "POST",
        uri: &URI,
        access_token: None,
        nonce: NonceRule::IfPresent(&*NONCES),
        window: ProofWindow::default(),
    };
    let Ok(proof) = PresentedProof::parse(&text) else { return };
    let verified = proof.verify(key, &expected, UnixTime::from_secs(NOW));
    let again = KNOWN.parse([text.as_bytes()]).expect("it was parsed before");
    let again = KNOWN.verify(again, &expected, UnixTime::from_secs(NOW));
    assert_eq!(again.map(|proof| proof.entry()), verified.as_ref().map(|proof| proof.entry()).map_err(Clone::clone));
    if verified.is_ok() {
        assert_eq!(claims["htm"], "POST");
        assert_eq!(
            TargetUri::parse(claims["htu"].as_str().unwrap_or_default()).as_ref(),
            Ok(&*URI)
        );
        assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
        assert!(claims["iat"].as_f64().is_some_and(|iat| (iat - NOW as f64).abs() <= 61.0));
    }
});
