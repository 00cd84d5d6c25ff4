//! The online keyring: one sealed document of each account, which the server keeps and cannot open.
//!
//! A password or a recovery code opens it by OPAQUE, so the server never learns them, and who has the
//! database without the master key can guess nothing. A passkey opens it by its PRF, which the server
//! has no part in; there the server only sees to it that the passkey asks.

pub mod changing;
pub mod listing;
pub mod offering;
pub mod opening;
pub mod opening_by_passkey;
mod sealed_texts;
pub mod setup;
pub mod storing;
pub mod tries;
mod writing;

use std::{net::IpAddr, sync::Arc, time::Duration};

use countersign_opaque::{ServerName, server::ServerSetup};
use countersign_protocol::{UnixTime, digest::sha256, shares::NoPlace};
use thiserror::Error;
use tokio::{sync::OnceCell, task::spawn_blocking};

use self::{sealed_texts::SealedTexts, setup::OpenSetupError};
use crate::{
    core::{Core, turns::Turns},
    model::keyring::{Knowledge, SlotId},
    passkeys::Passkeys,
};

/// The keyrings of all accounts.
pub struct OnlineKeyring {
    core: Arc<Core>,
    passkeys: Arc<Passkeys>,
    /// The server's part in all passwords, once one is needed.
    setup: OnceCell<Arc<ServerSetup>>,
    turns: Arc<Turns>,
    texts: SealedTexts,
}

impl OnlineKeyring {
    /// Over what the wings share.
    pub(crate) fn new(core: Arc<Core>, passkeys: Arc<Passkeys>) -> Self {
        let turns = Arc::new(Turns::new(core.policy.keyrings.turns));
        let texts = SealedTexts::new(core.vault.key("online keyring"));
        Self { core, passkeys, setup: OnceCell::new(), turns, texts }
    }

    /// Does the server's part of OPAQUE, in the turn of the client. It takes a fraction of a millisecond,
    /// which is too long for a thread that others' requests wait for.
    async fn evaluate<T: Send + 'static>(
        &self,
        address: IpAddr,
        work: impl FnOnce(&ServerSetup, ServerName<'_>) -> T + Send + 'static,
    ) -> Result<T, EvaluationError> {
        let open =
            || setup::open(&*self.core.ports.store, &self.core.vault, &*self.core.ports.random);
        let setup = Arc::clone(self.setup.get_or_try_init(open).await?);
        let issuer = self.core.policy.issuer().to_owned();
        let turn = self.turns.take(address.into()).await?;
        let done = spawn_blocking(move || {
            let done = work(&setup, ServerName(&issuer));
            // Also when nobody waits for it any more, the turn lasts as long as the work.
            drop(turn);
            done
        });
        done.await.map_err(|_| EvaluationError::Failed)
    }

    /// Whether a text that was sealed at `made_at` to be good for `lifetime` is so at `now`. Another process
    /// may have sealed it, whose clock is ahead by as much as the policy allows.
    fn is_young(&self, made_at: UnixTime, lifetime: Duration, now: UnixTime) -> bool {
        now < made_at + lifetime && made_at <= now + self.core.policy.skew
    }
}

/// By which identifier OPAQUE knows what opens the slot `id`. The OPRF key for it follows from the
/// identifier and the secret of the `ServerSetup`.
///
/// Each slot that is offered has an id of its own. So an evaluation for a slot that is offered says nothing
/// about a slot that is stored, and is worth nothing after the slot was replaced.
fn slot_identifier(id: SlotId, knowledge: Knowledge) -> [u8; 32] {
    let kind = knowledge.slot().name().as_bytes();
    sha256(&[b"countersign keyring slot\0", kind, b"\0", id.as_bytes()])
}

/// The identifier where the account `name` has no such slot, or there is no such account. It is always the
/// same for one name, as the identifier of a slot is, so that asking twice shows nothing.
fn absent_identifier(name: &str, knowledge: Knowledge) -> [u8; 32] {
    let kind = knowledge.slot().name().as_bytes();
    let name = name.to_ascii_lowercase();
    sha256(&[b"countersign keyring without slot\0", kind, b"\0", name.as_bytes()])
}

/// Why the server did not do its part of OPAQUE.
#[derive(Debug, Error)]
pub enum EvaluationError {
    /// Too many wait for it.
    #[error("too many keyrings are being opened at once")]
    Busy,
    /// It broke down.
    #[error("the evaluation for a keyring broke down")]
    Failed,
    /// The server's secret is not to be had.
    #[error(transparent)]
    Setup(#[from] OpenSetupError),
    /// The client network has as many waiting as it may.
    #[error("as many keyrings of this client network are being opened as may; try again")]
    ShareUsedUp,
}

impl From<NoPlace> for EvaluationError {
    fn from(error: NoPlace) -> Self {
        match error {
            NoPlace::AllTaken => Self::Busy,
            NoPlace::ShareUsedUp => Self::ShareUsedUp,
        }
    }
}
