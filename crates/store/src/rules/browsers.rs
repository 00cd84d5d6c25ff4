//! Browsers that are remembered, and what ends by itself.

use async_trait::async_trait;
use countersign_authority::ports::{BrowserStore, SignIn, SignInError, SignedIn, StoreError};
use countersign_protocol::{UnixTime, keys::Thumbprint};

use super::{Alone, Engine, Stored};
use crate::sql::Connection;

mod expiry;
mod sign_ins;

#[async_trait]
impl<E: Engine> BrowserStore for Stored<E> {
    async fn sign_in(&self, sign_in: SignIn) -> Result<SignedIn, SignInError> {
        let login = &sign_in.login;
        let mut alone = vec![Alone::Account(login.account_id), Alone::Key(login.thumbprint)];
        let browser = sign_in.remember.as_ref();
        alone.extend(browser.map(|browser| Alone::Key(browser.credential.thumbprint())));
        self.write(alone, move |connection| sign_ins::sign_in(connection, &sign_in)).await
    }

    async fn expire_credentials(
        &self,
        ended: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Thumbprint>, StoreError> {
        let work =
            move |connection: &Connection| Ok(expiry::expire(connection, ended, limit, now)?);
        self.write([Alone::Upkeep], work).await
    }
}
