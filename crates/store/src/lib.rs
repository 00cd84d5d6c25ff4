//! The authority's ports made real.
//!
//! [`sqlite`] keeps what must survive in one SQLite file; [`memory`] keeps what lives for minutes.
//! Nothing here decides anything, reads a clock, or sees a secret in the clear.

pub mod memory;
pub mod sqlite;
