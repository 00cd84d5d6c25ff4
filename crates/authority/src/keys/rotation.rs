//! Rotation of signing keys by an administrator's hand, ahead of time.

use countersign_protocol::{
    UnixTime,
    keys::{Algorithm, Thumbprint},
    ports::Random,
};

use crate::{
    keys::{
        error::SigningKeyError,
        loaded::{LoadedKey, life, published},
        sealing::seal,
        signing::{ATTEMPTS, MAX_PUBLISHED, SigningKeys, event},
    },
    model::{
        audit::EventKind,
        key_life::{KeyLife, KeyState, Schedule, SealedSigningKey},
    },
    ports::SigningKeyChange,
};

impl SigningKeys {
    /// Rotates ahead of time: the next key (or a new one) signs from `now` on, and the present one
    /// retires until its last token has ended. That is done to the key that signs access tokens.
    ///
    /// With `withdraw`, the present keys of every algorithm leave the JWKS at once and their tokens
    /// die.
    ///
    /// When another process rotates at the same time, the key that it chose signs, and no further one
    /// is made.
    ///
    /// # Errors
    /// When the greatest number of keys is already published, a key cannot be made, the store fails,
    /// or other processes change the keys again and again. Then nothing has changed.
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
        let mut version = self.changing.lock().await;
        let loaded = self.loaded.load_full();
        let rotation = |schedule: &Schedule| Rotation {
            schedule: *schedule,
            instead_of: signer(schedule, &loaded, now),
            withdraw,
        };
        let rotations: Vec<_> = schedules.iter().map(rotation).collect();
        for _ in 0..ATTEMPTS {
            let put = self.rotated(&rotations, now, random).await?;
            if put.is_empty() {
                return Ok(());
            }
            let events =
                put.iter().map(|key| event(now, EventKind::SigningKeyRotated, key.kid)).collect();
            let change = SigningKeyChange { put, events, ..SigningKeyChange::default() };
            if self.commit(&mut version, change).await? {
                return Ok(());
            }
        }
        Err(SigningKeyError::Contended)
    }

    /// The changes of the keys in memory that `rotations` still demand.
    async fn rotated(
        &self,
        rotations: &[Rotation],
        now: UnixTime,
        random: &dyn Random,
    ) -> Result<Vec<SealedSigningKey>, SigningKeyError> {
        let loaded = self.loaded.load_full();
        let published = published(&loaded, now).count();
        let mut put = Vec::new();
        for rotation in rotations {
            let is_done = rotation.is_done(&loaded, now);
            if published >= MAX_PUBLISHED && !rotation.withdraw && !is_done {
                return Err(SigningKeyError::TooManyPublished { published, limit: MAX_PUBLISHED });
            }
            let changed = rotation.changed(&loaded, now);
            put.extend(changed.map(|(key, life)| seal(key, life, &self.sealing, random)));
            if !is_done && rotation.next(&loaded, now).is_none() {
                let life = rotation.life_of_next(now, now);
                put.push(self.new_key(&rotation.schedule, life, random).await?);
            }
        }
        Ok(put)
    }
}

/// What an administrator demands of the keys of one schedule.
struct Rotation {
    schedule: Schedule,
    /// The key that signed when it was demanded: another one shall.
    instead_of: Option<Thumbprint>,
    withdraw: bool,
}

impl Rotation {
    /// Whether another key signs already, because another process was asked for the same.
    fn is_done(&self, loaded: &[LoadedKey], now: UnixTime) -> bool {
        signer(&self.schedule, loaded, now) != self.instead_of
    }

    /// From when on another key signs. What is withdrawn has ended at servers whose clocks are behind
    /// too, so that the other one signs there.
    fn begins(&self, now: UnixTime) -> UnixTime {
        if self.withdraw { now - self.schedule.clock_tolerance } else { now }
    }

    fn life_of_next(&self, created_at: UnixTime, now: UnixTime) -> KeyLife {
        KeyLife { active_from: self.begins(now), ..life(&self.schedule.lives, created_at, now) }
    }

    /// The key that was made ahead of time.
    fn next<'a>(&self, loaded: &'a [LoadedKey], now: UnixTime) -> Option<&'a LoadedKey> {
        let is_next = |key: &&LoadedKey| key.life.state(now) == KeyState::Next;
        loaded.iter().filter(|key| self.schedule.has(key)).find(is_next)
    }

    /// The keys whose lives change, and what these become.
    fn changed<'a>(
        &'a self,
        loaded: &'a [LoadedKey],
        now: UnixTime,
    ) -> impl Iterator<Item = (&'a LoadedKey, KeyLife)> {
        let Schedule { lives, tokens_live, .. } = &self.schedule;
        let (begins, is_done) = (self.begins(now), self.is_done(loaded, now));
        let new = is_done.then(|| signer(&self.schedule, loaded, now)).flatten();
        let next = self.next(loaded, now).filter(|_| !is_done).map(|key| key.kid);
        let changed = move |key: &LoadedKey| match key.life.state(now) {
            KeyState::Next if next == Some(key.kid) => {
                Some(self.life_of_next(key.life.created_at, now))
            }
            KeyState::Active | KeyState::Retired if self.withdraw && new != Some(key.kid) => {
                let retired_from = key.life.retired_from.min(begins);
                Some(KeyLife { retired_from, expires_at: begins, ..key.life })
            }
            KeyState::Active if !is_done => {
                let expires_at = now + lives.keep_after.min(*tokens_live);
                Some(KeyLife { retired_from: now, expires_at, ..key.life })
            }
            KeyState::Active | KeyState::Next | KeyState::Retired | KeyState::Gone => None,
        };
        let keys = loaded.iter().filter(|key| self.schedule.has(key));
        keys.filter_map(move |key| Some((key, changed(key)?)))
    }
}

/// The key of `schedule` that signs at `now`.
fn signer(schedule: &Schedule, loaded: &[LoadedKey], now: UnixTime) -> Option<Thumbprint> {
    schedule.active(loaded, now).ok().map(|key| key.kid)
}
