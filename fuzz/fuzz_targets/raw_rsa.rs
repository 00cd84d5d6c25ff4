//! A raw block opens to the one message that makes it; and no number is good that nobody made.
#![no_main]

use std::sync::LazyLock;

use countersign_protocol::challenges::mutual::{MutualChallenges, Number, Proposal};
use countersign_protocol::envelope::aes_gcm::SealingKey;
use countersign_protocol::keys::raw_rsa::{self, RawRsaError, RawRsaPrivateKey};
use countersign_protocol::keys::{KeyPolicy, PrivateKey, PublicKey};
use countersign_protocol::{AccountId, UnixTime, replay::EpochId};

/// What the padding takes at least.
const PADDING: usize = 11;
const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let pem = include_str!("../../crates/protocol/vectors/keys/rsa-2048.pkcs8.pem");
    PrivateKey::from_pem(pem, &KeyPolicy::default()).expect("it is a key")
});
thread_local! {
    static RAW: RawRsaPrivateKey =
        RawRsaPrivateKey::from_pkcs8_der(&KEY.to_pkcs8_der()).expect("it is an RSA key");
}
/// The published 512-bit key, whose published challenge is in the corpus.
static PUBLISHED: LazyLock<PublicKey> = LazyLock::new(|| {
    let policy = KeyPolicy { min_rsa_bits: 512, ..KeyPolicy::default() };
    let text = include_str!("../corpus/public_key/rsa-512-published.spki.b64");
    PublicKey::parse(text, &policy).expect("it is a key")
});
static CHALLENGES: LazyLock<MutualChallenges> =
    LazyLock::new(|| MutualChallenges::new(SealingKey::from_bytes(&[7; 32])));

fn encrypt(message: &[u8]) -> Result<Vec<u8>, RawRsaError> {
    RAW.with(|key| key.encrypt(message))
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for key in [KEY.public_key(), &*PUBLISHED] {
        if let Ok(message) = raw_rsa::recover(key, input) {
            assert!(message.len() + PADDING <= input.len());
        }
        let number = Proposal::new(input).recover(key).or_else(|| Number::parse(input));
        let (account, epoch) = (AccountId::from_bytes([1; 16]), EpochId::from_bytes([2; 16]));
        let good = |number| CHALLENGES.recognise(&number, account, epoch, NOW);
        assert!(number.and_then(good).is_none());
    }
    if let Ok(message) = raw_rsa::recover(KEY.public_key(), input) {
        assert_eq!(encrypt(&message).as_deref(), Ok(input));
    }
    match encrypt(input) {
        Ok(block) => {
            let message = raw_rsa::recover(KEY.public_key(), &block).expect("we made it");
            assert_eq!(*message, input);
        }
        Err(error) => {
            assert_eq!(error, RawRsaError::TooLong);
            assert!(input.len() + PADDING > 256);
        }
    }
});
