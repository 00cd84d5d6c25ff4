//! Randomness that repeats itself.

use countersign_protocol::ports::Random;
use parking_lot::Mutex;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

/// The bytes of `ChaCha20` from a seed: the same in every run, as random as any otherwise.
pub struct SeededRandom(Mutex<ChaCha20Rng>);

impl SeededRandom {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::ports::random_bytes;

    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        let draw = |seed| {
            let random = SeededRandom::new(seed);
            [random_bytes::<16>(&random), random_bytes::<16>(&random)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1)[0], draw(1)[1]);
    }
}
