//! The connections of a node, for as long as somebody asks over them.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{links::Links, options::StateOptions};
use crate::postgres::{error::PostgresError, url::DatabaseUrl};

/// The connections, and what keeps them, which ends when this is dropped.
pub(super) struct Engine {
    pub(super) links: Arc<Links>,
    tasks: Mutex<JoinSet<()>>,
}

impl Engine {
    pub(super) async fn open(
        url: &DatabaseUrl,
        options: &StateOptions,
    ) -> Result<Self, PostgresError> {
        let links = Arc::new(Links::open(url, options).await?);
        let engine = Self { links: Arc::clone(&links), tasks: Mutex::default() };
        for slot in 0..links.count() {
            engine.keep(Arc::clone(&links).keep(slot));
        }
        Ok(engine)
    }

    /// Does `work` for as long as there is an engine.
    pub(super) fn keep(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(work);
    }
}
