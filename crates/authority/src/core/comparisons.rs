//! The queue of those who have the server compare a signature with many keys.

use tokio::sync::{Mutex, MutexGuard};

/// The queue of requests whose signature must be compared with many keys. They run one after the
/// other.
///
/// All of them together take at most one processor, and waiting takes none. So whatever strangers
/// send, other requests are answered at once. A client that names the key (`kid`), or whose account
/// has only one, never waits here.
#[derive(Default)]
pub(crate) struct Comparisons(Mutex<()>);

/// The right to compare, until it is dropped.
pub(crate) struct Turn<'a>(
    #[expect(dead_code, reason = "held, not read")] Option<MutexGuard<'a, ()>>,
);

impl Comparisons {
    /// A turn to compare a signature with `keys` keys. Nothing that waits may be done during a
    /// turn.
    pub(crate) async fn turn(&self, keys: usize) -> Turn<'_> {
        Turn(if keys > 1 { Some(self.0.lock().await) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn who_has_one_key_never_waits_for_who_has_many() {
        let comparisons = Comparisons::default();
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(first) = pin!(comparisons.turn(2)).poll(&mut context) else {
            panic!("nobody else compares");
        };
        let mut second = pin!(comparisons.turn(2));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(pin!(comparisons.turn(1)).poll(&mut context).is_ready());
        drop(first);
        assert!(second.poll(&mut context).is_ready());
    }
}
