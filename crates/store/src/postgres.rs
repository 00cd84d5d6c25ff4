//! The durable ports in a PostgreSQL database, which many servers share.
//!
//! A [`PostgresStore`] has threads of its own, each with a connection. Several of them write: each change is
//! a transaction, and one that returned `Ok` is committed, on as many machines as PostgreSQL waits for. Where
//! two changes must not happen side by side, the rules name what each must have for itself, and locks of
//! PostgreSQL give it to them. Everything has a deadline. Connections that were lost come back by themselves.

mod beats;
mod changes;
mod connector;
mod engine;
mod error;
mod failed_writes;
mod failure;
mod live;
mod locks;
mod login;
mod losses;
mod moving;
mod nodes;
mod open;
mod opening;
mod options;
mod owed;
mod report;
mod schema;
mod session;
mod startup;
mod state;
mod tls;
mod translation;
mod upkeep;
mod url;
mod values;
mod workers;

pub(crate) use self::failure::Failure;
pub use self::{
    engine::{Postgres, PostgresStore},
    error::PostgresError,
    moving::{MoveError, MovedTable},
    nodes::{Node, SeenNode},
    options::{PostgresOptions, SchemaMode},
    report::{SchemaReport, ServerReport, Standby},
    state::{PostgresState, StateOptions},
    url::{DatabaseUrl, InvalidDatabaseUrl},
};
