//! The way of the lines to standard error.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line that is no warning may wait to be written together with others.
const PATIENCE: Duration = Duration::from_millis(50);
/// When so many bytes wait, they are written at once.
const ENOUGH: usize = 32 * 1024;

/// Lines on their way out. A system call for each request would cost more than
/// everything else about its line, so lines wait for each other; but not on a terminal, and nothing
/// waits once there is a warning.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Told when the first line begins to wait.
    first: Condvar,
    at_once: bool,
}

struct Queue {
    waiting: Vec<u8>,
    out: Box<dyn io::Write + Send>,
}

impl Lines {
    /// To `out`; nothing waits if `at_once`.
    pub(super) fn to(out: impl io::Write + Send + 'static, at_once: bool) -> io::Result<Self> {
        let queue = Mutex::new(Queue { waiting: Vec::new(), out: Box::new(out) });
        let shared = Shared { queue, first: Condvar::new(), at_once };
        let lines = Self(Arc::new(shared));
        let own = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write_in_time())?;
        Ok(lines)
    }

    fn write_in_time(&self) -> ! {
        let Shared { first, .. } = &*self.0;
        loop {
            let queue = first.wait_while(self.lock(), |queue| queue.waiting.is_empty());
            let queue = queue.unwrap_or_else(PoisonError::into_inner);
            let others = first.wait_timeout_while(queue, PATIENCE, |q| !q.waiting.is_empty());
            others.unwrap_or_else(PoisonError::into_inner).0.write_out();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Writes all that waits. Where the reader has left, there is nobody to tell.
    fn write_out(&mut self) {
        let _: io::Result<()> = self.out.write_all(&self.waiting);
        self.waiting.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.lock().write_out();
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
        let mut queue = self.lines.lock();
        let is_first = queue.waiting.is_empty();
        queue.waiting.extend_from_slice(line);
        if self.at_once || queue.waiting.len() >= ENOUGH {
            queue.write_out();
        } else if is_first {
            self.lines.0.first.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing::{info, subscriber::with_default, warn};
    use tracing_subscriber::fmt;

    use super::*;

    struct Pieces(Sender<String>);

    impl io::Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(piece.to_vec()).unwrap()).unwrap();
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes out, piece by piece, while `work` logs.
    fn logged(at_once: bool, work: impl FnOnce(&Receiver<String>)) -> Receiver<String> {
        let (sender, pieces) = channel();
        let lines = Lines::to(Pieces(sender), at_once).unwrap();
        let format = fmt::fmt().without_time().with_target(false).with_ansi(false);
        with_default(format.with_writer(lines).finish(), || work(&pieces));
        pieces
    }

    #[test]
    fn lines_leave_together_and_none_waits_for_ever() {
        logged(false, |pieces| {
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
        logged(false, |pieces| {
            info!("one");
            warn!("two");
            let text: String = pieces.try_iter().collect();
            assert_eq!(text, " INFO one\n WARN two\n");
        });
    }

    #[test]
    fn on_a_terminal_every_line_is_seen_as_it_comes() {
        logged(true, |pieces| {
            info!("one");
            assert_eq!(pieces.try_recv().unwrap(), " INFO one\n");
        });
    }

    #[test]
    fn the_end_leaves_nothing_unwritten() {
        let pieces = logged(false, |_| info!("one"));
        assert_eq!(pieces.try_iter().collect::<String>(), " INFO one\n");
    }
}
