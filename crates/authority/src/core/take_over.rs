//! Takes over what others changed in the store: administrators' commands, and other servers.

use crate::{
    core::{Core, revoked::READ},
    keys::SigningKeyError,
    ports::{Changed, Changes},
};

impl Core {
    /// Takes over what others changed in the store since this was last done. What could not be taken over
    /// is told by the store again, and after a look that failed anything may have changed.
    ///
    /// # Errors
    /// When the store fails or a signing key does not open.
    pub(crate) async fn take_over_changes(&self) -> Result<(), SigningKeyError> {
        // Held until all is done, so that nobody who looks meanwhile takes memory for up to date.
        let mut heard = self.heard_up_to.lock().await;
        let answer = self.ports.store.changes(*heard).await;
        let answer = answer.inspect_err(|_| *heard = None)?;
        match answer.changes {
            Changes::Everything => self.take_over_everything().await?,
            Changes::These(changed) => self.take_over(changed).await?,
        }
        *heard = Some(answer.cursor);
        Ok(())
    }

    async fn take_over_everything(&self) -> Result<(), SigningKeyError> {
        // Before the accounts: one that is enabled again is read as active, and its tokens of before have
        // ended.
        let revoked = self.ports.store.revoked_tokens(self.forgets_up_to(), READ).await;
        let revoked = revoked.map(|revoked| self.revoked.add(revoked));
        self.credentials.forget_all();
        self.feed.forget();
        // Last, for it waits while a key is made.
        let reloaded = self.signing_keys.reload().await;
        revoked?;
        reloaded
    }

    /// In the same order, and for the same reasons.
    async fn take_over(&self, changed: Changed) -> Result<(), SigningKeyError> {
        let Changed { keys, accounts, tokens, signing_keys } = changed;
        let is_feed_good = keys.is_empty() && accounts.is_empty() && tokens.is_empty();
        self.revoked.add(tokens);
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
