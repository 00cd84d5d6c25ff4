//! Threads of this process that work while nobody waits.

use std::{future::Future, io, process};

use tokio::runtime::{Builder, EnterGuard, Runtime};

/// A runtime of one thread, which fetches what guards need ahead of need.
///
/// A fork takes the memory along but no thread, so the child of a fork needs another one.
pub(crate) struct Background {
    runtime: Option<Runtime>,
    process: u32,
}

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("countersign").enable_all().build()?;
        Ok(Self { runtime: Some(runtime), process: process::id() })
    }

    /// Whether its threads are there, and not in a process that this one was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    /// Makes it the runtime of the calling thread.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime().enter()
    }

    /// Works on `task` until it is done.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(task);
    }

    /// Waits for `future` on the calling thread, which must not hold the interpreter meanwhile.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    #[expect(clippy::expect_used, reason = "it is taken out when the last holder is gone")]
    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is there until it is dropped")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        match self.runtime.take() {
            // Whoever drops it holds the interpreter, which a task may be waiting for.
            Some(runtime) if self.is_of_this_process() => runtime.shutdown_background(),
            // The threads are those of another process, and waiting for them would never end.
            runtime => std::mem::forget(runtime),
        }
    }
}
