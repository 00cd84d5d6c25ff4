//! What the derivation of a key from a passphrase costs.

/// How much work it is to try one passphrase: the parameters of Argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    pub(super) passes: u32,
    pub(super) memory_kib: u32,
    pub(super) lanes: u32,
}

impl KdfCost {
    /// 3 passes over 64 MiB in one lane, after the second choice of RFC 9106 §4.
    pub const DEFAULT: Self = Self { passes: 3, memory_kib: 64 * 1024, lanes: 1 };

    /// Least and greatest number of passes.
    pub const PASSES: (u32, u32) = (1, 16);
    /// Least and greatest memory, in KiB.
    pub const MEMORY_KIB: (u32, u32) = (8 * 1024, 1024 * 1024);
    /// Least and greatest number of lanes.
    pub const LANES: (u32, u32) = (1, 16);

    /// Checks the parameters against the bounds, which hold for writing and for reading.
    ///
    /// # Errors
    /// When one is out of its bounds. If it is too low, it protects nothing; if it is too high, a
    /// prepared file could exhaust the reader's memory.
    pub const fn new(passes: u32, memory_kib: u32, lanes: u32) -> Result<Self, KdfCostError> {
        let checks = [
            ("number of passes", passes, Self::PASSES),
            ("memory in KiB", memory_kib, Self::MEMORY_KIB),
            ("number of lanes", lanes, Self::LANES),
        ];
        let mut i = 0;
        while i < checks.len() {
            let (what, value, (min, max)) = checks[i];
            if value < min || value > max {
                return Err(KdfCostError { what, value, min, max });
            }
            i += 1;
        }
        Ok(Self { passes, memory_kib, lanes })
    }
}

impl Default for KdfCost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// An Argon2id parameter outside of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} for Argon2id is {value}, which is not between {min} and {max}")]
pub struct KdfCostError {
    /// The parameter, in words.
    pub what: &'static str,
    /// What it was.
    pub value: u32,
    /// The least value that is accepted.
    pub min: u32,
    /// The greatest value that is accepted.
    pub max: u32,
}
