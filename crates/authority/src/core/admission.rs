//! What a client may do how often: each act is counted before anything is done for it.

use std::net::IpAddr;

use countersign_protocol::{AccountId, keys::Thumbprint};

use crate::{
    core::Core,
    model::{
        limits::{LimitKey, RateLimit, RateLimited},
        policy::Limits,
    },
};

impl Core {
    /// Counts one request of a client.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_request(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.requests, LimitKey::Network(address.into())).await
    }

    /// Counts one request for what guards elsewhere need.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_upkeep(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.upkeep, LimitKey::Network(address.into())).await
    }

    pub(crate) async fn admit_registration(&self, address: IpAddr) -> Result<(), RateLimited> {
        let client = LimitKey::Network(address.into());
        self.take(|limits| &limits.registrations, client).await?;
        self.take(|limits| &limits.registrations_per_day, client).await
    }

    /// Counts a question whether a name is taken, as a registration that would tell it.
    pub(crate) async fn admit_name_check(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.registrations, LimitKey::Network(address.into())).await
    }

    /// Counts a registration that costs the server much more than others.
    pub(crate) async fn admit_costly_registration(
        &self,
        address: IpAddr,
    ) -> Result<(), RateLimited> {
        self.admit_registration(address).await?;
        self.take(|limits| &limits.costly_registrations, LimitKey::Network(address.into())).await
    }

    pub(crate) async fn admit_login(&self, address: IpAddr) -> Result<(), RateLimited> {
        self.take(|limits| &limits.logins, LimitKey::Network(address.into())).await
    }

    /// Counts verifications of a login beyond the first, which [`Self::admit_login`] has counted. It
    /// comes before they are done.
    pub(crate) async fn admit_verifications(
        &self,
        address: IpAddr,
        count: u32,
    ) -> Result<(), RateLimited> {
        let Some(limits) = self.policy.limits.as_ref().filter(|_| count > 0) else {
            return Ok(());
        };
        let (key, now) = (LimitKey::Network(address.into()), self.ports.clock.monotonic());
        self.ports.state.rate_limiter.take_many(&limits.logins, key, count, now).await
    }

    pub(crate) async fn admit_account(&self, account: AccountId) -> Result<(), RateLimited> {
        self.take(|limits| &limits.account, LimitKey::Account(account)).await
    }

    /// Counts an act that only removes something, signed by a key.
    pub(crate) async fn admit_withdrawal(&self, key: Thumbprint) -> Result<(), RateLimited> {
        self.take(|limits| &limits.withdrawals, LimitKey::Key(key)).await
    }

    /// Counts a change that the database remembers a key or an event of.
    pub(crate) async fn admit_key_change(
        &self,
        account: AccountId,
        address: IpAddr,
    ) -> Result<(), RateLimited> {
        let account = LimitKey::Account(account);
        self.take(|limits| &limits.key_changes_per_day, account).await?;
        let network = LimitKey::Network(address.into());
        let of_network = self.take(|limits| &limits.key_changes_of_network_per_day, network).await;
        if of_network.is_err() {
            self.give_back(|limits| &limits.key_changes_per_day, account).await;
        }
        of_network
    }

    /// Counts one against the allowance of `key`.
    pub(crate) async fn take(
        &self,
        limit: impl Fn(&Limits) -> &RateLimit + Send,
        key: LimitKey,
    ) -> Result<(), RateLimited> {
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        self.ports.state.rate_limiter.take(limit(limits), key, self.ports.clock.monotonic()).await
    }

    /// Undoes a [`Self::take`] that should not count.
    pub(crate) async fn give_back(
        &self,
        limit: impl Fn(&Limits) -> &RateLimit + Send,
        key: LimitKey,
    ) {
        if let Some(limits) = &self.policy.limits {
            self.ports.state.rate_limiter.give_back(limit(limits), key).await;
        }
    }
}
