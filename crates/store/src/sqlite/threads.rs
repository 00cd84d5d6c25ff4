//! Threads that serve one bounded queue of jobs.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::{error::Unavailable, job::Job};

/// The sending end of the queue, and the threads at its other end.
///
/// Dropping it closes the queue, lets the threads finish what is in it, and waits for them.
pub(super) struct Threads {
    queue: Option<SyncSender<Box<dyn Job>>>,
    handles: Vec<JoinHandle<()>>,
}

/// The receiving end, shared by the threads.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<Receiver<Box<dyn Job>>>>);

impl Threads {
    /// Threads called `name`, one for each of `workers`, behind a queue with room for `capacity`.
    pub(super) fn start<W>(
        name: &str,
        capacity: usize,
        workers: impl IntoIterator<Item = W>,
    ) -> io::Result<Self>
    where
        W: FnOnce(&Queue) + Send + 'static,
    {
        let (sender, receiver) = sync_channel(capacity.max(1));
        let queue = Queue(Arc::new(Mutex::new(receiver)));
        let spawn = |work: W| {
            let queue = queue.clone();
            thread::Builder::new().name(name.to_owned()).spawn(move || work(&queue))
        };
        let handles = workers.into_iter().map(spawn).collect::<io::Result<_>>()?;
        Ok(Self { queue: Some(sender), handles })
    }

    /// Threads called `name` that run jobs outside of transactions, one for each of `connections`.
    pub(super) fn readers(
        name: &str,
        capacity: usize,
        connections: Vec<Connection>,
    ) -> io::Result<Self> {
        let serve = |connection: Connection| {
            move |queue: &Queue| {
                while let Some(mut job) = queue.next() {
                    if job.is_wanted() {
                        job.run(&connection);
                        job.answer(None);
                    }
                }
            }
        };
        Self::start(name, capacity, connections.into_iter().map(serve))
    }

    /// Queues `job`, without waiting.
    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<(), Unavailable> {
        let Some(queue) = &self.queue else { return Err(Unavailable::Closed) };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::QueueFull,
            TrySendError::Disconnected(_) => Unavailable::Closed,
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue = None;
        for handle in self.handles.drain(..) {
            // Jobs catch their own panics. If a thread has died anyway, there is nothing to wait
            // for.
            let _: Result<_, _> = handle.join();
        }
    }
}

impl Queue {
    /// The next job; waits for one. `None` when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Box<dyn Job>> {
        self.0.lock().recv().ok()
    }

    /// The next job, if one is waiting.
    pub(super) fn next_waiting(&self) -> Option<Box<dyn Job>> {
        self.0.lock().try_recv().ok()
    }
}
