//! What a start opens, and what it may do for that.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_store::sqlite::ServerLock;

use crate::{
    database::{Engine, Place},
    master_key::Source,
    node::Node,
};

/// All that a server holds while it runs.
pub(crate) struct Opened {
    pub(crate) authority: Arc<Authority>,
    pub(crate) engine: Engine,
    pub(crate) place: Place,
    pub(crate) master_key: Source,
    /// Whether the database was made just now.
    pub(crate) is_new: bool,
    pub(crate) presence: Presence,
}

/// By what others know that this server runs.
pub(crate) enum Presence {
    /// It keeps a second server out of the data directory.
    Alone(ServerLock),
    /// It says so in the database that others use too.
    Among(Node),
}

impl Presence {
    /// Lets others know for as long as `authority` works. Returns why it must end, if it must.
    pub(crate) async fn keep_up(&self, authority: &Authority) -> anyhow::Error {
        match self {
            // The system does it.
            Self::Alone(_) => std::future::pending().await,
            Self::Among(node) => node.run(authority).await,
        }
    }

    /// The server has ended.
    pub(crate) async fn end(self) {
        match self {
            Self::Alone(lock) => drop(lock),
            Self::Among(node) => node.end().await,
        }
    }
}

/// Permissions by the operator for steps that a start refuses by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// To make a new database where there may have been one.
    pub(crate) anew: bool,
    /// To go on without the write-ahead log that belongs to the database.
    pub(crate) loss: bool,
}
