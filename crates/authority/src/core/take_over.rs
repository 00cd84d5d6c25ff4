//! Takes over what others changed in the store: administrators' commands, and other servers.

use std::time::Duration;

use countersign_protocol::UnixTime;
use tokio::time::timeout;

use crate::{
    core::{
        Core,
        news::{Moment, UpToDate},
        revoked::READ,
    },
    keys::SigningKeyError,
    ports::{ChangeCursor, Changed, Changes, OutOfDate, StoreError},
};

/// How long a request waits for a look that it finds to be overdue: as after a machine was stopped for a
/// while.
const PATIENCE: Duration = Duration::from_secs(1);

impl Core {
    /// What memory and store say about what still counts. If the last look for changes is too long ago,
    /// there is another one first, unless it is known that none comes to anything.
    ///
    /// # Errors
    /// [`OutOfDate`] when memory cannot be brought up to date.
    pub(crate) async fn up_to_date(&self) -> Result<UpToDate<'_>, StoreError> {
        self.up_to_date_at(self.now()).await
    }

    /// The same where the time of day, `now`, has been read already.
    ///
    /// # Errors
    /// As [`Self::up_to_date`].
    pub(crate) async fn up_to_date_at(&self, now: UnixTime) -> Result<UpToDate<'_>, StoreError> {
        let now = Moment { time: now, monotonic: self.ports.clock.monotonic() };
        if !self.news.are_fresh(now) {
            self.catch_up().await?;
        }
        Ok(UpToDate { store: &*self.ports.store, revoked: &self.revoked })
    }

    /// How long ago the last look for changes by others began that came to something.
    pub fn age_of_news(&self) -> Duration {
        self.news.age(Moment::now(&*self.ports.clock))
    }

    #[cold]
    async fn catch_up(&self) -> Result<(), StoreError> {
        let out_of_date = OutOfDate { limit: self.news.max_staleness() };
        let out_of_date = || StoreError::Unavailable(Box::new(out_of_date));
        // Housekeeping goes on looking; requests do not queue up behind a store that does not answer.
        if self.news.are_missing() {
            return Err(out_of_date());
        }
        let looked = timeout(PATIENCE, self.take_over_if_overdue()).await;
        if matches!(looked, Ok(Ok(()))) && self.news.are_fresh(Moment::now(&*self.ports.clock)) {
            return Ok(());
        }
        self.news.did_not_come();
        Err(out_of_date())
    }

    async fn take_over_if_overdue(&self) -> Result<(), SigningKeyError> {
        let mut heard = self.news.heard_up_to.lock().await;
        // Somebody else may have looked during the wait.
        if self.news.are_fresh(Moment::now(&*self.ports.clock)) {
            return Ok(());
        }
        self.take_over_since(&mut heard).await
    }

    /// Takes over what others changed in the store since this was last done. What could not be taken over
    /// is told by the store again, and after a look that failed anything may have changed.
    ///
    /// # Errors
    /// When the store fails or a signing key does not open.
    pub(crate) async fn take_over_changes(&self) -> Result<(), SigningKeyError> {
        let mut heard = self.news.heard_up_to.lock().await;
        self.take_over_since(&mut heard).await
    }

    async fn take_over_since(
        &self,
        heard: &mut Option<ChangeCursor>,
    ) -> Result<(), SigningKeyError> {
        let began = Moment::now(&*self.ports.clock);
        let answer = self.ports.store.changes(*heard).await;
        let answer = answer.inspect_err(|_| *heard = None)?;
        match answer.changes {
            Changes::Everything => self.take_over_everything().await?,
            Changes::These(changed) => self.take_over(changed).await?,
        }
        *heard = Some(answer.cursor);
        self.news.came(began);
        Ok(())
    }

    async fn take_over_everything(&self) -> Result<(), SigningKeyError> {
        // Before the accounts: one that is enabled again is read as active, and its tokens of before have
        // ended.
        let revoked = self.take_over_revoked().await;
        self.credentials.forget_all();
        self.feed.forget();
        // Last, for it waits while a key is made.
        let reloaded = self.signing_keys.reload().await;
        revoked?;
        reloaded
    }

    async fn take_over_revoked(&self) -> Result<(), StoreError> {
        let _reading = self.revoked.read_up_to.lock().await;
        let revoked = self.ports.store.revoked_tokens(self.forgets_up_to(), READ).await?;
        self.revoked.add(revoked);
        Ok(())
    }

    /// In the same order, and for the same reasons.
    async fn take_over(&self, changed: Changed) -> Result<(), SigningKeyError> {
        let Changed { keys, accounts, tokens, signing_keys } = changed;
        let is_feed_good = keys.is_empty() && accounts.is_empty() && tokens.is_empty();
        let reading = self.revoked.read_up_to.lock().await;
        self.revoked.add(tokens);
        drop(reading);
        self.credentials.forget_changed(&keys, accounts);
        if !is_feed_good {
            self.feed.forget();
        }
        if signing_keys {
            self.signing_keys.reload().await?;
        }
        Ok(())
    }
}
