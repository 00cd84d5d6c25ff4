//! The kinds of operation whose durations are reported apart.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use countersign_protocol::ports::Clock;

/// A kind of operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A query.
    Read,
    /// A change, until it is durable.
    Write,
}

impl Operation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Measures how long operations take, once somebody wants to know.
#[derive(Default)]
pub(crate) struct Stopwatch(OnceLock<Watching>);

struct Watching {
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(Operation, Duration) + Send + Sync>,
}

impl Stopwatch {
    /// From now on calls `report` with the time that each operation took. Only the first call counts.
    pub(crate) fn start(
        &self,
        clock: Arc<dyn Clock>,
        report: impl Fn(Operation, Duration) + Send + Sync + 'static,
    ) {
        let _: Result<(), Watching> = self.0.set(Watching { clock, report: Box::new(report) });
    }

    /// Does `work` and reports how long it took.
    pub(crate) async fn measured<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(Watching { clock, report }) = self.0.get() else { return work.await };
        let started = clock.monotonic();
        let result = work.await;
        report(operation, clock.monotonic().saturating_sub(started));
        result
    }
}
