//! Threads that serve one bounded queue.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{error::Unavailable, job::Job};
use parking_lot::Mutex;

/// The sending end of the queue, and the threads at its other end.
///
/// Dropping it closes the queue, lets the threads finish what is in it, and waits for them.
pub(crate) struct Threads<T> {
    queue: Option<SyncSender<T>>,
    handles: Vec<JoinHandle<()>>,
}

/// The receiving end, shared by the threads.
pub(crate) struct Queue<T>(Arc<Mutex<Receiver<T>>>);

/// Threads that run jobs, each on a connection of its own.
pub(crate) type JobThreads<C> = Threads<Box<dyn Job<C>>>;

/// A queue of jobs on connections.
pub(crate) type JobQueue<C> = Queue<Box<dyn Job<C>>>;

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Threads<T> {
    /// Threads called `name`, one for each of `workers`, behind a queue with room for `capacity`.
    pub(crate) fn start<W>(
        name: &str,
        capacity: usize,
        workers: impl IntoIterator<Item = W>,
    ) -> io::Result<Self>
    where
        W: FnOnce(&Queue<T>) + Send + 'static,
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

    /// Queues `work`, without waiting.
    pub(crate) fn submit(&self, work: T) -> Result<(), Unavailable> {
        let Some(queue) = &self.queue else { return Err(Unavailable::Closed) };
        queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::QueueFull,
            TrySendError::Disconnected(_) => Unavailable::Closed,
        })
    }
}

impl<C: Send + 'static> JobThreads<C> {
    /// Threads called `name` that run jobs outside of transactions, one for each of `connections`.
    pub(crate) fn readers(name: &str, capacity: usize, connections: Vec<C>) -> io::Result<Self> {
        let serve = |connection: C| {
            move |queue: &JobQueue<C>| {
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
}

impl<T> Drop for Threads<T> {
    fn drop(&mut self) {
        self.queue = None;
        for handle in self.handles.drain(..) {
            // Jobs catch their own panics. If a thread has died anyway, there is nothing to wait
            // for.
            let _: Result<_, _> = handle.join();
        }
    }
}

impl<T> Queue<T> {
    /// What is next; waits for one. `None` when the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().recv().ok()
    }

    /// What is next, if something is waiting.
    pub(crate) fn next_waiting(&self) -> Option<T> {
        // Whoever has it waits for what comes next, so nothing is there.
        self.0.try_lock()?.try_recv().ok()
    }
}
