//! Connections that were given up while their server owed them an answer.
//!
//! A server notices that a client has gone when it wants to answer. A commit that waits for a standby, or for a
//! disk that stands still, keeps its place among the connections of the server meanwhile. If each that is given up
//! were replaced at once, they would use up the connections of the server, and nobody could get in any more. So each
//! is kept until its answer comes, and while a server owes as many answers as threads ask it, those threads make no
//! connection to it.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    thread,
};

use tokio::{runtime::Runtime, select};

use super::{connector::Connector, live::Live};

/// What the servers owe to threads of one kind. Those that read can go on while all that write wait.
pub(super) struct Owed {
    /// How many threads there are, and so how many answers a server may owe.
    most: usize,
    /// Of each server.
    answers: Vec<AtomicUsize>,
    /// Whether somebody looks for a server that has replaced one which owes too much.
    is_looking: AtomicBool,
}

impl Owed {
    /// Nothing yet, to `most` threads by `servers` servers.
    pub(super) fn new(servers: usize, most: usize) -> Arc<Self> {
        let answers = (0..servers).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { most, answers, is_looking: AtomicBool::new(false) })
    }

    /// Whether no connection to `server` may be made.
    pub(super) fn is_too_much(&self, server: usize) -> bool {
        self.answers.get(server).is_some_and(|owed| owed.load(Acquire) >= self.most)
    }

    /// The turn to look for another server. One thread has it, so that all others can refuse at once.
    pub(super) fn look(self: &Arc<Self>) -> Option<Looking> {
        let has_turn = !self.is_looking.swap(true, AcqRel);
        has_turn.then(|| Looking(Arc::clone(self)))
    }

    /// Keeps a connection, and the runtime that drives it, until its server has answered or the store is closed.
    pub(super) fn keep(self: &Arc<Self>, live: Live, runtime: Runtime, connector: Arc<Connector>) {
        let debt = Debt::new(Arc::clone(self), live.since.server);
        let waiting = move || {
            let _debt = debt;
            runtime.block_on(async {
                select! {
                    () = connector.closing() => {}
                    () = live.settled() => {}
                }
                live.close().await;
            });
        };
        // Without a thread it is closed, as all that was handed over is.
        let _: std::io::Result<_> =
            thread::Builder::new().name("postgres-owed".to_owned()).spawn(waiting);
    }
}

/// An answer that a server owes, as long as it is there.
struct Debt {
    owed: Arc<Owed>,
    server: usize,
}

impl Debt {
    fn new(owed: Arc<Owed>, server: usize) -> Self {
        if let Some(answers) = owed.answers.get(server)
            && answers.fetch_add(1, AcqRel).wrapping_add(1) == owed.most
        {
            tracing::error!(
                answers = owed.most,
                "the database server answers nothing: no further connection to it is made until it does; it may \
                 wait for a standby that is away"
            );
        }
        Self { owed, server }
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if let Some(answers) = self.owed.answers.get(self.server)
            && answers.fetch_sub(1, AcqRel) == self.owed.most
        {
            tracing::info!("the database server answers again");
        }
    }
}

/// The turn to look for another server.
pub(super) struct Looking(Arc<Owed>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_server_owes_is_no_matter_of_another() {
        let owed = Owed::new(2, 2);
        let debts = [0, 0].map(|server| Debt::new(Arc::clone(&owed), server));
        assert!(owed.is_too_much(0) && !owed.is_too_much(1));
        let [first, _second] = debts;
        drop(first);
        assert!(!owed.is_too_much(0));
    }

    #[test]
    fn one_looks_for_another_server_at_a_time() {
        let owed = Owed::new(1, 1);
        let looking = owed.look();
        assert!(looking.is_some() && owed.look().is_none());
        drop(looking);
        assert!(owed.look().is_some());
    }
}
