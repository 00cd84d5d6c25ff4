//! The HTTP surface of Countersign.

pub mod address;
pub mod metrics;
pub mod problem;
