//! The authority's durable ports made real: [`sqlite`] keeps what must survive in one SQLite file.
//! Nothing here decides anything, reads a clock, or sees a secret in the clear.

pub mod sqlite;
