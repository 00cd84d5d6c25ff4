//! Challenges: fresh values that the server made and that must come back signed.

pub mod mutual;
pub mod sealed;
