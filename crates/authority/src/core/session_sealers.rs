//! What seals sessions whose requests are signed messages: another secret in each epoch of the replay
//! log, so that no session outlives the epoch in which it was opened.

use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_protocol::{
    envelope::aes_gcm::SealingKey, replay::EpochId, strict::hex, tokens::session::SessionSealer,
};

use crate::{keys::vault::Vault, model::policy::Policy};

/// Seals and opens sessions.
pub(crate) struct SessionSealers {
    key: SealingKey,
    policy: Policy,
    /// That of the epoch that was asked for last.
    last: ArcSwap<(EpochId, Arc<SessionSealer>)>,
}

impl SessionSealers {
    /// For the server with this vault; `epoch` is the present epoch of its replay log.
    pub(crate) fn new(vault: &Vault, policy: &Policy, epoch: EpochId) -> Self {
        let key = vault.key("sessions");
        let last = ArcSwap::from_pointee((epoch, sealer(&key, policy, epoch)));
        Self { key, policy: policy.clone(), last }
    }

    /// That of `epoch`.
    pub(crate) fn of(&self, epoch: EpochId) -> Arc<SessionSealer> {
        let last = self.last.load();
        if last.0 == epoch {
            return Arc::clone(&last.1);
        }
        let made = sealer(&self.key, &self.policy, epoch);
        self.last.store(Arc::new((epoch, Arc::clone(&made))));
        made
    }
}

fn sealer(key: &SealingKey, policy: &Policy, epoch: EpochId) -> Arc<SessionSealer> {
    let key = key.derive(&hex::encode(epoch.as_bytes()));
    Arc::new(SessionSealer::new(&key, policy.issuer(), policy.sessions.lifetime))
}
