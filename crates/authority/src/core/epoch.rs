//! What makes everything unknown that was handed out before a start, or before the clock was set back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use countersign_protocol::{
    UnixTime, challenges::sealed::NonceSealer, ports::random_bytes, strict::base64url,
};

use crate::{keys::vault::Vault, model::policy::Policy, ports::Ports};

/// The time over which the replay log forgets nothing. Nonces of another epoch are unknown.
pub(crate) struct Epoch {
    /// Part of every nonce key. Random where the replay log forgets at a restart, so that nothing
    /// that was handed out before the start is recognised after it.
    name: String,
    /// How often the clock was set back since the start. Nonces of before are unknown then.
    set_backs: Arc<AtomicU64>,
}

impl Epoch {
    /// That which begins with this start.
    pub(crate) fn begin(ports: &Ports) -> Self {
        let name = if ports.state.replay_log.is_volatile() {
            base64url::encode(&random_bytes::<16>(&*ports.random))
        } else {
            String::new()
        };
        Self { name, set_backs: Arc::default() }
    }

    /// What a key must be derived with that is good for this epoch only.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A sealer of nonces for `purpose`.
    pub(crate) fn nonces(&self, vault: &Vault, purpose: &str, policy: &Policy) -> NonceSealer {
        let key = vault.key(&format!("nonces/{purpose}/{}", self.name));
        NonceSealer::new(key, policy.nonce_lifetime).in_epoch(Arc::clone(&self.set_backs))
    }

    /// The clock was set back to `now`: nonces of before are unknown from here on, so that proofs with
    /// new ones can be accepted although the replay log has forgotten some that ended later.
    pub(crate) fn clock_was_set_back(&self, ports: &Ports, now: UnixTime) {
        let epoch = self.set_backs.fetch_add(1, SeqCst) + 1;
        ports.state.replay_log.begin_epoch(epoch, now);
    }
}
