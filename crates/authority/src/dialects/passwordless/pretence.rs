//! What looks like a challenge, for names that nobody has.

use countersign_protocol::{
    envelope::aes_gcm::SealingKey,
    ports::{Random, random_bytes},
};

/// The length in bytes of a challenge: that of the modulus of the server's key pairs.
const BLOCK: usize = 256;

/// A block that looks like a challenge for the account `name`: a number below a modulus that nobody
/// has, but that is always the same for that name and as large as a product of two primes is.
/// Only who knows the true modulus can tell it from a challenge.
pub(super) fn pretend(key: &SealingKey, name: &str, random: &dyn Random) -> Vec<u8> {
    /// √½ · 2³²: no prime of a key pair is smaller in its upper bits.
    const LEAST: u64 = 0xb504_f334;
    let mac = key.mac(&[name.to_ascii_lowercase().as_bytes()]);
    let prime = |place: usize| {
        let bytes = std::array::from_fn(|offset| mac[place + offset]);
        LEAST + u64::from(u32::from_be_bytes(bytes)) % ((1 << 32) - LEAST)
    };
    let modulus = prime(0) * prime(4);
    loop {
        let block = random_bytes::<BLOCK>(random);
        if block.first_chunk().is_some_and(|upper| u64::from_be_bytes(*upper) < modulus) {
            return block.to_vec();
        }
    }
}
