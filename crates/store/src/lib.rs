//! The authority's durable ports made real. What a store does is written once, in `rules`, for any
//! database that knows the part of SQL that [`sqlite`] and [`postgres`] have in common. An engine brings
//! connections, transactions and durability. Nothing here decides anything, reads a clock, or sees a
//! secret in the clear.

pub mod postgres;
pub mod sqlite;

mod engine;
mod error;
mod installation_id;
mod job;
mod operation;
mod rows;
mod rules;
mod sql;
mod stored;
mod threads;

pub use self::{
    installation_id::{InstallationId, InvalidInstallationId},
    operation::{Operation, Stopwatch},
    stored::Stored,
};
