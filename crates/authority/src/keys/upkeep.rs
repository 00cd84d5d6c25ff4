//! What the schedules demand of the signing keys: first keys, successors in time, and removal.

use std::sync::Arc;

use countersign_protocol::{UnixTime, keys::Thumbprint, ports::Random};

use crate::{
    keys::{
        error::SigningKeyError,
        loaded::{LoadedKey, life, life_that_ended},
        signing::{ATTEMPTS, SigningKeys, event},
        vault::Vault,
    },
    model::{
        audit::EventKind,
        key_life::{KeyState, Schedule, SealedSigningKey},
    },
    ports::{SigningKeyChange, SigningKeyStore},
};

impl SigningKeys {
    /// Opens the keys of `store`, and makes the first key of each of `schedules` that has none to sign
    /// at `now`. The first of `schedules` is for access tokens.
    ///
    /// # Errors
    /// When a key cannot be opened or made, or the store fails.
    pub async fn load(
        store: Arc<dyn SigningKeyStore>,
        vault: &Vault,
        schedules: impl IntoIterator<Item = Schedule>,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Self, SigningKeyError> {
        let keys = Self::open(store, vault, schedules).await?;
        keys.maintain(now, random).await?;
        Ok(keys)
    }

    /// Does what the schedule demands at `now`: makes a key when none signs, makes the successor
    /// in time, and removes what is gone. Returns whether this process changed anything. Of several
    /// processes that do it at once, one makes the successor.
    ///
    /// # Errors
    /// When a key cannot be made, the store fails, or other processes change the keys again and again;
    /// then nothing has changed.
    pub async fn maintain(
        &self,
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<bool, SigningKeyError> {
        let mut version = self.changing.lock().await;
        for _ in 0..ATTEMPTS {
            let loaded = self.loaded.load_full();
            let Some(change) = self.due(&loaded, now, random).await? else { return Ok(false) };
            if self.commit(&mut version, change).await? {
                return Ok(true);
            }
        }
        Err(SigningKeyError::Contended)
    }

    /// Does at once what [`Self::maintain`] does in time, if a key is lacking at `now`: the clock may
    /// have jumped. Those who ask while one is at it wait for the same outcome.
    ///
    /// # Errors
    /// When a key is still lacking.
    pub async fn ensure(&self, now: UnixTime, random: &dyn Random) -> Result<(), SigningKeyError> {
        if self.check(now).is_ok() {
            return Ok(());
        }
        match self.ensuring.try_lock() {
            Ok(_first) => drop(self.maintain(now, random).await?),
            Err(_) => drop(self.ensuring.lock().await),
        }
        self.check(now)
    }

    /// What the schedules demand of the keys in `loaded` at `now`, if anything.
    async fn due(
        &self,
        loaded: &[LoadedKey],
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Option<SigningKeyChange>, SigningKeyError> {
        let put = self.lacking(loaded, now, random).await?;
        let remove = self.over(loaded, now);
        if put.is_empty() && remove.is_empty() {
            return Ok(None);
        }
        let created = put.iter().map(|key| event(now, EventKind::SigningKeyCreated, key.kid));
        let removed = remove.iter().map(|kid| event(now, EventKind::SigningKeyRemoved, *kid));
        let events = created.chain(removed).collect();
        Ok(Some(SigningKeyChange { put, remove, events, ..SigningKeyChange::default() }))
    }

    /// New keys: for each schedule the one that signs, its successor, or one that has expired.
    async fn lacking(
        &self,
        loaded: &[LoadedKey],
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Vec<SealedSigningKey>, SigningKeyError> {
        let mut new = Vec::new();
        for schedule in &self.schedules {
            let end = schedule.signed_until(loaded, now);
            if end <= now + schedule.lives.publish_ahead {
                let mut life = life(&schedule.lives, now, end);
                if end == now {
                    // None signs. This one does, also at servers whose clocks are behind.
                    life.active_from = now - schedule.clock_tolerance;
                }
                new.push(self.new_key(schedule, life, random).await?);
            }
            if schedule.keep_expired && schedule.last_gone(loaded, now).is_none() {
                let life = life_that_ended(&schedule.lives, now);
                new.push(self.new_key(schedule, life, random).await?);
            }
        }
        Ok(new)
    }

    /// The keys that are gone and are not kept.
    fn over(&self, loaded: &[LoadedKey], now: UnixTime) -> Vec<Thumbprint> {
        let keeping = self.schedules.iter().filter(|schedule| schedule.keep_expired);
        let kept: Vec<_> = keeping
            .filter_map(|schedule| schedule.last_gone(loaded, now))
            .map(|key| key.kid)
            .collect();
        let is_gone = |key: &&LoadedKey| key.life.state(now) == KeyState::Gone;
        let gone = loaded.iter().filter(is_gone).map(|key| key.kid);
        gone.filter(|kid| !kept.contains(kid)).collect()
    }
}
