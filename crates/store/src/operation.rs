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
    /// A request about the short-lived state that servers share.
    State,
    /// To connect to the database in the place of a connection that was lost.
    Reconnect,
}

impl Operation {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::State => "state",
            Self::Reconnect => "reconnect",
        }
    }
}

/// Measures how long operations take, once somebody wants to know.
#[derive(Default)]
pub struct Stopwatch(OnceLock<Watching>);

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

    /// The present moment, if somebody wants to know how long things take.
    pub(crate) fn begin(&self) -> Option<Duration> {
        self.0.get().map(|watching| watching.clock.monotonic())
    }

    /// Reports how long `operation` took, which began at `begun`.
    pub(crate) fn end(&self, operation: Operation, begun: Option<Duration>) {
        if let (Some(Watching { clock, report }), Some(begun)) = (self.0.get(), begun) {
            report(operation, clock.monotonic().saturating_sub(begun));
        }
    }

    /// Does `work` and reports how long it took.
    pub(crate) async fn measured<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = T>,
    ) -> T {
        let begun = self.begin();
        let result = work.await;
        self.end(operation, begun);
        result
    }
}
