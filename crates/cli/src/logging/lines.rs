//! Writes lines to standard error, in a thread of its own.

use std::{
    io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line below the level of a warning may wait to be written together with others.
const PATIENCE: Duration = Duration::from_millis(50);
/// When this many bytes wait, they are written at once.
const ENOUGH: usize = 32 * 1024;
/// When this many bytes wait, because standard error is slow, the threads that log must wait as
/// well.
const TOO_MUCH: usize = 1024 * 1024;

/// Lines that wait to be written. A system call for each request would cost more than everything
/// else about its line, so lines are collected. A warning is written at once, with all lines before
/// it. A thread of its own writes, because a slow disk can delay a write for longer than a request
/// takes, and a terminal where somebody stopped the output, or whose connection is gone, for hours.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Vec<u8>>,
    /// Locked before `waiting`, so that lines leave in their order.
    out: Mutex<Box<dyn io::Write + Send>>,
    /// Signalled when the first line begins to wait, and when enough bytes wait.
    news: Condvar,
}

impl Lines {
    pub(super) fn to(out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (waiting, out) = (Mutex::default(), Mutex::new(Box::new(out) as _));
        let lines = Self(Arc::new(Shared { waiting, out, news: Condvar::new() }));
        let own = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write_in_time())?;
        Ok(lines)
    }

    fn write_in_time(&self) -> ! {
        let Shared { waiting, news, .. } = &*self.0;
        loop {
            let lines = news.wait_while(lock(waiting), |lines| lines.is_empty());
            let lines = lines.unwrap_or_else(PoisonError::into_inner);
            drop(news.wait_timeout_while(lines, PATIENCE, |lines| lines.len() < ENOUGH));
            self.write_out();
        }
    }

    /// Writes all waiting lines. Errors are ignored: if the reader is gone, nobody could be told.
    fn write_out(&self) {
        let mut out = lock(&self.0.out);
        let lines = mem::take(&mut *lock(&self.0.waiting));
        let _: io::Result<()> = out.write_all(&lines);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.write_out();
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, at_once: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, at_once: *meta.level() <= Level::WARN }
    }
}

/// One line, which comes in one piece.
pub(crate) struct Line<'a> {
    lines: &'a Lines,
    at_once: bool,
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Shared { waiting, news, .. } = &*self.lines.0;
        let (before, after) = {
            let mut lines = lock(waiting);
            let before = lines.len();
            lines.extend_from_slice(line);
            (before, lines.len())
        };
        if self.at_once || after >= TOO_MUCH {
            self.lines.write_out();
        } else if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            news.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use tracing::{info, subscriber::with_default, warn};
    use tracing_subscriber::fmt;

    use super::*;

    struct Pieces(SyncSender<String>);

    impl io::Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(piece.to_vec()).unwrap()).unwrap();
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The pieces that are written while `work` logs.
    fn logged(work: impl FnOnce(&Receiver<String>)) -> Receiver<String> {
        let (sender, pieces) = sync_channel(16);
        let lines = Lines::to(Pieces(sender)).unwrap();
        let format = fmt::fmt().without_time().with_target(false).with_ansi(false);
        with_default(format.with_writer(lines).finish(), || work(&pieces));
        pieces
    }

    #[test]
    fn lines_leave_together_and_none_waits_for_ever() {
        logged(|pieces| {
            info!("one");
            info!("two");
            let mut text = pieces.recv().unwrap();
            while !text.ends_with("two\n") {
                text += &pieces.recv().unwrap();
            }
            assert_eq!(text, " INFO one\n INFO two\n");
        });
    }

    #[test]
    fn a_warning_leaves_at_once_with_all_before_it() {
        logged(|pieces| {
            info!("one");
            warn!("two");
            let text: String = pieces.try_iter().collect();
            assert_eq!(text, " INFO one\n WARN two\n");
        });
    }

    #[test]
    fn an_output_that_stands_still_holds_nobody_who_has_no_warning() {
        let (sender, pieces) = sync_channel(0);
        let lines = Lines::to(Pieces(sender)).unwrap();
        let format = fmt::fmt().without_time().with_target(false).with_ansi(false);
        with_default(format.with_writer(lines).finish(), || {
            info!("the first, which nobody takes");
            for _ in 0..1_000 {
                info!("one of many behind it");
            }
            let reader = thread::spawn(move || {
                let mut text = String::new();
                while !text.ends_with("the last\n") {
                    text += &pieces.recv().unwrap();
                }
                text.lines().count()
            });
            warn!("the last");
            assert_eq!(reader.join().unwrap(), 1_002);
        });
    }

    #[test]
    fn the_end_leaves_nothing_unwritten() {
        let pieces = logged(|_| info!("one"));
        assert_eq!(pieces.try_iter().collect::<String>(), " INFO one\n");
    }
}
