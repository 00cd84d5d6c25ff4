//! What the outside supplies: the clock, randomness, and the memory of what was used. This crate only
//! names them.

mod clock;
pub(crate) mod random;
pub(crate) mod replay_log;

pub use self::clock::Clock;
pub use self::random::{DrawnAhead, Random, random_bytes};
pub use self::replay_log::{Recording, ReplayError, ReplayLog};
