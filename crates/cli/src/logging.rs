//! Logs: for people or as JSON, to standard error, through `tracing`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
};

use crate::config::{LogFormat, LogSettings};

/// How long a line that is no warning may wait to be written together with others.
const PATIENCE: Duration = Duration::from_millis(50);
/// When so many bytes wait, they are written at once.
const ENOUGH: usize = 32 * 1024;

/// Starts logging as `settings` say. Called once, by the commands that serve. When what it returns
/// is dropped, all lines are written.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<Lines> {
    let filter = EnvFilter::try_new(&settings.level)
        .context("log.level is not a level or a filter of the tracing crate")?;
    let lines = Lines::start().context("logging does not start")?;
    let colours = io::stderr().is_terminal();
    let writer = lines.clone();
    let builder = fmt::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let started = match settings.format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))?;
    Ok(lines)
}

/// Lines on their way to standard error. A system call for each request would cost more than
/// everything else about its line, so lines wait for each other; but not on a terminal, and nothing
/// waits once there is a warning.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Vec<u8>>,
    /// Told when the first line begins to wait.
    first: Condvar,
    at_once: bool,
}

impl Lines {
    fn start() -> io::Result<Self> {
        let at_once = io::stderr().is_terminal();
        let shared = Shared { waiting: Mutex::default(), first: Condvar::new(), at_once };
        let lines = Self(Arc::new(shared));
        let own = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write_in_time())?;
        Ok(lines)
    }

    fn write_in_time(&self) -> ! {
        loop {
            let Shared { first, .. } = &*self.0;
            let waiting = first.wait_while(self.lock(), |waiting| waiting.is_empty());
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let others = first.wait_timeout_while(waiting, PATIENCE, |waiting| !waiting.is_empty());
            write_out(&mut others.unwrap_or_else(PoisonError::into_inner).0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        write_out(&mut self.lock());
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, at_once: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, at_once: self.0.at_once || *meta.level() <= Level::WARN }
    }
}

/// One line, which comes in one piece.
pub(crate) struct Line<'a> {
    lines: &'a Lines,
    at_once: bool,
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.lock();
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(line);
        if self.at_once || waiting.len() >= ENOUGH {
            write_out(&mut waiting);
        } else if is_first {
            self.lines.0.first.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all that waits. Where standard error is closed, there is nobody to tell.
fn write_out(waiting: &mut Vec<u8>) {
    let _: io::Result<()> = io::stderr().lock().write_all(waiting);
    waiting.clear();
}
