//! Keys that another process may have made since this one read them.

use std::time::Duration;

use countersign_protocol::{
    UnixTime,
    keys::{PublicKey, Thumbprint},
};

use crate::{
    keys::{error::SigningKeyError, signing::SigningKeys},
    ports::StoreError,
};

/// The least time between two readings of the keys that unknown ones cause. Anybody can make one up.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl SigningKeys {
    /// The public key `kid`, if it is published at `now`. If it is unknown, the keys are read anew, unless
    /// an unknown key caused that less than a second ago; `monotonic` is the time that does not jump.
    /// Those who ask meanwhile wait for the same reading.
    ///
    /// # Errors
    /// When the last such reading failed, so that it is not known whether there is such a key.
    pub async fn find_public_key(
        &self,
        kid: &Thumbprint,
        now: UnixTime,
        monotonic: Duration,
    ) -> Result<Option<PublicKey>, SigningKeyError> {
        if self.knows(kid) {
            return Ok(self.public_key(kid, now));
        }
        let mut look = self.look.lock().await;
        // Another request may have read it while this one waited.
        if self.knows(kid) {
            return Ok(self.public_key(kid, now));
        }
        if look.at.is_none_or(|at| monotonic >= at + LOOK_AGAIN_AFTER) {
            // Until it has succeeded, since whoever waits for it may give up.
            (look.at, look.has_failed) = (Some(monotonic), true);
            self.reload().await?;
            look.has_failed = false;
        }
        if look.has_failed {
            let reason = "the signing keys could not be read a moment ago";
            return Err(StoreError::Unavailable(reason.into()).into());
        }
        Ok(self.public_key(kid, now))
    }
}
