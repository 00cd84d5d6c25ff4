//! One connection, which carries many requests at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use countersign_protocol::replay::LogEpoch;
use tokio::{sync::watch, task::AbortHandle, time::timeout};
use tokio_postgres::{Client, Row};

use super::{away::Away, epoch, statements::Statements, tables};
use crate::postgres::{
    connector::{History, Made},
    error::PostgresError,
};

/// An open connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) statements: Statements,
    /// How many answers came.
    answers: AtomicU64,
    /// What its server has written when the connection was made.
    pub(super) history: History,
    driver: AbortHandle,
    /// Its sender goes with the connection.
    ended: watch::Receiver<()>,
}

/// What a new connection says if there is no epoch: its name, the time of this node, and how far clocks may
/// lie apart.
pub(super) struct Candidate {
    pub(super) id: [u8; 16],
    pub(super) now_millis: i64,
    pub(super) skew_millis: i64,
}

impl Link {
    /// Sees that the tables are there, and asks for the epoch.
    pub(super) async fn open(
        made: Made,
        candidate: &Candidate,
    ) -> Result<(Self, LogEpoch), PostgresError> {
        let (patience, name) = (made.server.patience(), made.server.name.clone());
        let opened = timeout(patience, Self::open_patiently(made, candidate)).await;
        opened.unwrap_or_else(|_| {
            Err(PostgresError::TooSlow { server: name, seconds: patience.as_secs() })
        })
    }

    async fn open_patiently(
        Made { client, connection, history, .. }: Made,
        candidate: &Candidate,
    ) -> Result<(Self, LogEpoch), PostgresError> {
        let (held, ended) = watch::channel(());
        let driver = tokio::spawn(async move {
            let _held = held;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the short-lived state was lost");
            }
        });
        let failed = |error| PostgresError::of_statement(&error);
        tables::prepare(&client).await?;
        let statements = Statements::prepare(&client).await.map_err(failed)?;
        let (answers, driver) = (AtomicU64::new(0), driver.abort_handle());
        let link = Self { client, statements, answers, history, driver, ended };
        let epoch = link.epoch(candidate).await?;
        Ok((link, epoch))
    }

    async fn epoch(&self, candidate: &Candidate) -> Result<LogEpoch, PostgresError> {
        let row = self.begin_epoch(candidate).await;
        let row = row.map_err(|error| PostgresError::of_statement(&error))?;
        let damaged =
            |_: Away| PostgresError::Damaged { reason: "the epoch of the state".to_owned() };
        epoch::read(&row).map_err(damaged)
    }

    /// The epoch that there is, or else a new one.
    pub(super) async fn begin_epoch(
        &self,
        candidate: &Candidate,
    ) -> Result<Row, tokio_postgres::Error> {
        let Candidate { id, now_millis, skew_millis } = candidate;
        self.client
            .query_one(&self.statements.begin_epoch, &[&&id[..], now_millis, skew_millis])
            .await
    }

    /// How many answers came so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    pub(super) fn has_answered(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Ends the connection. Whatever waits for an answer fails at once.
    pub(super) fn give_up(&self) {
        self.driver.abort();
    }
}
