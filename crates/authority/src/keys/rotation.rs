//! Rotation of signing keys by an administrator's hand, ahead of time.

use countersign_protocol::{UnixTime, keys::Algorithm, ports::Random};

use crate::{
    keys::{
        error::SigningKeyError,
        loaded::{LoadedKey, life, published},
        sealing::seal,
        signing::{MAX_PUBLISHED, SigningKeys, event},
    },
    model::{
        audit::EventKind,
        key_life::{KeyLife, KeyState, Schedule, SealedSigningKey},
    },
};

impl SigningKeys {
    /// Rotates ahead of time: the next key (or a new one) signs from `now` on, and the present one
    /// retires until its last token has ended. That is done to the key that signs access tokens.
    ///
    /// With `withdraw`, the present keys of every algorithm leave the JWKS at once and their tokens
    /// die.
    ///
    /// # Errors
    /// When the greatest number of keys is already published, a key cannot be made, or the store
    /// fails. Then nothing has changed.
    pub async fn rotate(
        &self,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let schedules = if withdraw {
            &self.schedules[..]
        } else {
            self.schedules.get(..1).unwrap_or_default()
        };
        self.rotate_all(schedules, withdraw, now, random).await
    }

    /// The same for the keys of `algorithm` alone.
    ///
    /// # Errors
    /// Those of [`Self::rotate`], and when nothing is signed with `algorithm`.
    pub async fn rotate_algorithm(
        &self,
        algorithm: Algorithm,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let of_algorithm = |schedule: &&Schedule| schedule.lives.algorithm == algorithm;
        let schedules: Vec<_> = self.schedules.iter().filter(of_algorithm).copied().collect();
        if schedules.is_empty() {
            return Err(SigningKeyError::NotScheduled(algorithm));
        }
        self.rotate_all(&schedules, withdraw, now, random).await
    }

    async fn rotate_all(
        &self,
        schedules: &[Schedule],
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<(), SigningKeyError> {
        let _changing = self.changing.lock().await;
        let loaded = self.loaded.load_full();
        let published = published(&loaded, now).count();
        if published >= MAX_PUBLISHED && !withdraw {
            return Err(SigningKeyError::TooManyPublished { published, limit: MAX_PUBLISHED });
        }
        let mut put = Vec::new();
        for schedule in schedules {
            let keys = loaded.iter().filter(|key| schedule.has(key));
            put.extend(self.rotated(keys, schedule, withdraw, now, random).await?);
        }
        let events =
            put.iter().map(|key| event(now, EventKind::SigningKeyRotated, key.kid)).collect();
        self.store.change_signing_keys(&put, &[], events).await?;
        self.read().await
    }

    /// The changes to the keys of one schedule when they are rotated.
    async fn rotated<'a>(
        &self,
        keys: impl Iterator<Item = &'a LoadedKey>,
        schedule: &Schedule,
        withdraw: bool,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Vec<SealedSigningKey>, SigningKeyError> {
        let Schedule { lives, tokens_live, .. } = schedule;
        let mut put = Vec::new();
        let mut has_next = false;
        for key in keys {
            let life = match key.life.state(now) {
                KeyState::Next if !has_next => {
                    has_next = true;
                    life(lives, key.life.created_at, now)
                }
                KeyState::Active | KeyState::Retired if withdraw => {
                    let retired_from = key.life.retired_from.min(now);
                    KeyLife { retired_from, expires_at: now, ..key.life }
                }
                KeyState::Active => {
                    let expires_at = now + lives.keep_after.min(*tokens_live);
                    KeyLife { retired_from: now, expires_at, ..key.life }
                }
                KeyState::Next | KeyState::Retired | KeyState::Gone => continue,
            };
            put.push(seal(key, life, &self.sealing, random));
        }
        if !has_next {
            put.push(self.new_key(schedule, life(lives, now, now), random).await?);
        }
        Ok(put)
    }
}
