//! What finding out who signed something may cost, and who pays for it.

use std::net::IpAddr;

use countersign_protocol::keys::{PublicKey, Verifications};

use crate::{authority::Authority, ports::RateLimited};

/// The verifications of one login. Each but the first, which [`Authority::admit_login`] has counted,
/// is taken from the allowance of the client's network before it is done.
pub(crate) struct Effort<'a> {
    authority: &'a Authority,
    address: IpAddr,
    budget: Verifications,
    paid: u32,
}

impl<'a> Effort<'a> {
    /// That of a login from `address`.
    pub(crate) fn new(authority: &'a Authority, address: IpAddr) -> Self {
        Self { authority, address, budget: Verifications::default(), paid: 1 }
    }

    /// Whether a signature may still be compared with what `key` makes, in `forms` ways. Gives way
    /// to others before each key but the first.
    ///
    /// # Errors
    /// When the client's network has used up its allowance.
    pub(crate) async fn afford(
        &mut self,
        key: &PublicKey,
        forms: u32,
    ) -> Result<bool, RateLimited> {
        let is_first = self.is_unspent();
        if !self.budget.afford(key, forms) {
            return Ok(false);
        }
        if !is_first {
            tokio::task::yield_now().await;
        }
        let due = self.budget.spent().saturating_sub(self.paid);
        self.authority.admit_verifications(self.address, due).await?;
        self.paid += due;
        Ok(true)
    }

    /// Whether nothing was compared.
    pub(crate) const fn is_unspent(&self) -> bool {
        self.budget.spent() == 0
    }
}
