//! Randomness.

use std::sync::{Arc, Mutex, PoisonError};

/// A source of unpredictable bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    ///
    /// An implementation that cannot deliver must abort rather than return predictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` fresh bytes from `random`.
pub fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// Random values that are drawn many at a time, because a draw costs more than its bytes. For ids
/// and nonces, which are handed out as soon as they are taken.
pub struct DrawnAhead<const N: usize> {
    random: Arc<dyn Random>,
    drawn: Mutex<Vec<[u8; N]>>,
}

impl<const N: usize> DrawnAhead<N> {
    /// How many are drawn at a time.
    const DRAW: usize = 64;

    /// Values from `random`.
    pub const fn new(random: Arc<dyn Random>) -> Self {
        Self { random, drawn: Mutex::new(Vec::new()) }
    }

    /// The next value, which nobody else gets.
    pub fn take(&self) -> [u8; N] {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.pop().unwrap_or_else(|| {
            let mut values = vec![[0; N]; Self::DRAW];
            self.random.fill(values.as_flattened_mut());
            *drawn = values;
            drawn.pop().unwrap_or_else(|| random_bytes(&*self.random))
        })
    }
}
