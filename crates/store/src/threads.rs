//! Threads that serve one bounded queue of jobs.

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
pub(crate) struct Threads<C> {
    queue: Option<SyncSender<Box<dyn Job<C>>>>,
    handles: Vec<JoinHandle<()>>,
}

/// The receiving end, shared by the threads.
pub(crate) struct Queue<C>(Arc<Mutex<Receiver<Box<dyn Job<C>>>>>);

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: 'static> Threads<C> {
    /// Threads called `name`, one for each of `workers`, behind a queue with room for `capacity`.
    pub(crate) fn start<W>(
        name: &str,
        capacity: usize,
        workers: impl IntoIterator<Item = W>,
    ) -> io::Result<Self>
    where
        W: FnOnce(&Queue<C>) + Send + 'static,
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
    pub(crate) fn readers(name: &str, capacity: usize, connections: Vec<C>) -> io::Result<Self>
    where
        C: Send,
    {
        let serve = |connection: C| {
            move |queue: &Queue<C>| {
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
    pub(crate) fn submit(&self, job: Box<dyn Job<C>>) -> Result<(), Unavailable> {
        let Some(queue) = &self.queue else { return Err(Unavailable::Closed) };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::QueueFull,
            TrySendError::Disconnected(_) => Unavailable::Closed,
        })
    }
}

impl<C> Drop for Threads<C> {
    fn drop(&mut self) {
        self.queue = None;
        for handle in self.handles.drain(..) {
            // Jobs catch their own panics. If a thread has died anyway, there is nothing to wait
            // for.
            let _: Result<_, _> = handle.join();
        }
    }
}

impl<C> Queue<C> {
    /// The next job; waits for one. `None` when the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<Box<dyn Job<C>>> {
        self.0.lock().recv().ok()
    }

    /// The next job, if one is waiting.
    pub(crate) fn next_waiting(&self) -> Option<Box<dyn Job<C>>> {
        self.0.lock().try_recv().ok()
    }
}
