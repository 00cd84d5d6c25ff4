//! The threads that read, apart by what waits for what.

use std::io;

use rusqlite::Connection;

use super::{options::SqliteOptions, threads::JobThreads};

/// Three queues of reads, each with threads of its own.
pub(super) struct Readers {
    /// Reads that look at few rows, whatever a client asks.
    pub(super) few_rows: JobThreads<Connection>,
    /// Reads of the audit trail, which may look at thousands of rows.
    pub(super) trail: JobThreads<Connection>,
    /// What the server reads to shut somebody out. That waits for nothing that a client asks.
    pub(super) own: JobThreads<Connection>,
}

impl Readers {
    /// Starts the threads. Each gets a connection of its own from `connect`.
    ///
    /// # Errors
    /// The error of `connect`, or what `failed` makes of the system's when it has no threads.
    pub(super) fn start<E>(
        options: &SqliteOptions,
        connect: impl Fn() -> Result<Connection, E>,
        failed: impl Fn(io::Error) -> E,
    ) -> Result<Self, E> {
        let start = |name, count: usize| {
            let connections = (0..count).map(|_| connect()).collect::<Result<_, _>>()?;
            JobThreads::readers(name, options.read_queue, connections).map_err(&failed)
        };
        Ok(Self {
            few_rows: start("sqlite-reader", options.readers.max(1))?,
            trail: start("sqlite-trail", 1)?,
            own: start("sqlite-own", 1)?,
        })
    }
}
