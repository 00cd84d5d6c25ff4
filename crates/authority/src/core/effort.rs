//! What finding out who signed something may cost, and who pays for it.

use std::net::IpAddr;

use countersign_protocol::keys::{PublicKey, Verifications};
use tokio::sync::{Mutex, MutexGuard};

use crate::{core::Core, model::limits::RateLimited};

/// Where those wait who make the server compare a signature with many keys, one after the other.
///
/// All of them together take one processor at most, and who waits takes none: whatever strangers
/// send, the queue of what can run stays short, and others are answered at once. Who names the key
/// (`kid`), or has one only, never waits here.
#[derive(Default)]
pub(crate) struct Comparisons(Mutex<()>);

/// The right to compare, until it is dropped.
pub(crate) struct Turn<'a>(
    #[expect(dead_code, reason = "held, not read")] Option<MutexGuard<'a, ()>>,
);

impl Comparisons {
    /// A turn to compare a signature with `keys` keys. What is done in it must not wait.
    pub(crate) async fn turn(&self, keys: usize) -> Turn<'_> {
        Turn(if keys > 1 { Some(self.0.lock().await) } else { None })
    }
}

/// The verifications of one login. Each but the first, which [`Core::admit_login`] has counted,
/// is taken from the allowance of the client's network before it is done.
pub(crate) struct Effort<'a> {
    core: &'a Core,
    address: IpAddr,
    budget: Verifications,
    paid: u32,
}

impl<'a> Effort<'a> {
    /// That of a login from `address`.
    pub(crate) fn new(core: &'a Core, address: IpAddr) -> Self {
        Self { core, address, budget: Verifications::default(), paid: 1 }
    }

    /// Whether a signature may still be compared with what `key` makes, in `forms` ways: in the turn
    /// that is returned. All but the first wait for theirs.
    ///
    /// # Errors
    /// When the client's network has used up its allowance.
    pub(crate) async fn afford(
        &mut self,
        key: &PublicKey,
        forms: u32,
    ) -> Result<Option<Turn<'a>>, RateLimited> {
        let is_first = self.is_unspent();
        if !self.budget.afford(key, forms) {
            return Ok(None);
        }
        let due = self.budget.spent().saturating_sub(self.paid);
        self.core.admit_verifications(self.address, due).await?;
        self.paid += due;
        let keys = if is_first { 1 } else { 2 };
        Ok(Some(self.core.comparisons.turn(keys).await))
    }

    /// Whether nothing was compared.
    pub(crate) const fn is_unspent(&self) -> bool {
        self.budget.spent() == 0
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
