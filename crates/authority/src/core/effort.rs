//! Bounds the cost of finding out which key has signed, and makes clients wait their turn for it.

use std::net::IpAddr;

use countersign_protocol::keys::{PublicKey, Verifications};

use crate::{
    core::{Core, comparisons::Turn},
    model::limits::NotAdmitted,
};

/// The verifications of one login. Each but the first, which [`Core::admit_login`] has counted,
/// is taken from the allowance of the client's network before it is done.
pub(crate) struct Effort<'a> {
    core: &'a Core,
    address: IpAddr,
    budget: Verifications,
    paid: u32,
}

impl<'a> Effort<'a> {
    /// The payer of a login from `address`.
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
    ) -> Result<Option<Turn<'a>>, NotAdmitted> {
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
