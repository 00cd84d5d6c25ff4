//! The HTTP surface of Countersign.

pub mod address;
pub mod problem;
