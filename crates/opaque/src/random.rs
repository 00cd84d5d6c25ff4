//! Our port for randomness, in the form that the library wants.

use countersign_protocol::ports::{Random, random_bytes};
use opaque_ke::rand::{CryptoRng, Error, RngCore};

/// Draws from `Random`.
pub(crate) struct Drawn<'a>(pub(crate) &'a dyn Random);

impl RngCore for Drawn<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(random_bytes(self.0))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(random_bytes(self.0))
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl CryptoRng for Drawn<'_> {}
