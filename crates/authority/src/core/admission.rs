//! What a client may do how often: each act is counted before anything is done for it.

use std::net::IpAddr;

use countersign_protocol::{AccountId, ReplayEntry, keys::Thumbprint};

use crate::{
    core::Core,
    model::{
        limits::{LimitKey, NotAdmitted, RateLimit},
        policy::Limits,
    },
};

impl Core {
    /// Counts one request of a client.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_request(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.admit_here(|limits| &limits.requests, address).await
    }

    /// Counts one request for what guards elsewhere need.
    ///
    /// # Errors
    /// When there were too many.
    pub async fn admit_upkeep(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.admit_here(|limits| &limits.upkeep, address).await
    }

    /// Counts what is counted at this server alone.
    async fn admit_here(
        &self,
        limit: impl Fn(&Limits) -> &RateLimit + Send,
        address: IpAddr,
    ) -> Result<(), NotAdmitted> {
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        let (key, now) = (LimitKey::Network(address.into()), self.ports.clock.monotonic());
        self.ports.state.request_limiter.take(limit(limits), key, now).await
    }

    pub(crate) async fn admit_registration(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        let client = LimitKey::Network(address.into());
        self.take(|limits| &limits.registrations, client).await?;
        self.take(|limits| &limits.registrations_per_day, client).await
    }

    /// Counts a question whether a name is taken, as a registration that would tell it.
    pub(crate) async fn admit_name_check(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.take(|limits| &limits.registrations, LimitKey::Network(address.into())).await
    }

    /// Counts a registration that costs the server much more than others.
    pub(crate) async fn admit_costly_registration(
        &self,
        address: IpAddr,
    ) -> Result<(), NotAdmitted> {
        self.admit_registration(address).await?;
        self.take(|limits| &limits.costly_registrations, LimitKey::Network(address.into())).await
    }

    pub(crate) async fn admit_login(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.take(|limits| &limits.logins, LimitKey::Network(address.into())).await
    }

    /// Counts verifications of a login beyond the first, which [`Self::admit_login`] has counted. It
    /// comes before they are done.
    pub(crate) async fn admit_verifications(
        &self,
        address: IpAddr,
        count: u32,
    ) -> Result<(), NotAdmitted> {
        let Some(limits) = self.policy.limits.as_ref().filter(|_| count > 0) else {
            return Ok(());
        };
        let (key, now) = (LimitKey::Network(address.into()), self.ports.clock.monotonic());
        self.ports.state.rate_limiter.take_many(&limits.logins, key, count, now).await
    }

    /// Does `login`, which the account has proven, and counts it. One that comes to nothing is not counted:
    /// who has seen a login can send it again, and must not use up what the owner needs to log in.
    pub(crate) async fn counted_login<T, E: From<NotAdmitted>>(
        &self,
        account: AccountId,
        login: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let account = LimitKey::Account(account);
        self.take(|limits| &limits.account, account).await?;
        let done = login.await;
        if done.is_err() {
            self.give_back(|limits| &limits.account, account).await;
        }
        done
    }

    /// Counts a request that `key` has signed, which may be that of one session. It takes nothing from what
    /// the logins of the account need.
    pub(crate) async fn admit_key(&self, key: Thumbprint) -> Result<(), NotAdmitted> {
        self.take(|limits| &limits.key, LimitKey::Key(key)).await
    }

    /// Counts an act that only removes something, signed by a key.
    pub(crate) async fn admit_withdrawal(&self, key: Thumbprint) -> Result<(), NotAdmitted> {
        self.take(|limits| &limits.withdrawals, LimitKey::Key(key)).await
    }

    /// Whether the account was registered so lately that its client network answers for it.
    pub fn is_young(&self, account: AccountId) -> bool {
        self.now().since(account.made_at()) < self.policy.keyrings.growth.young
    }

    /// What `account` shares with others: a young account the allowance of its client network, because
    /// anybody can make as many as he likes. Whoever has been here for longer has his own, and no
    /// neighbour uses it up.
    fn shared_by(&self, account: AccountId, address: IpAddr) -> Option<LimitKey> {
        self.is_young(account).then(|| LimitKey::Network(address.into()))
    }

    /// Counts a change that the database remembers a key or an event of.
    pub(crate) async fn admit_key_change(
        &self,
        account: AccountId,
        address: IpAddr,
    ) -> Result<(), NotAdmitted> {
        let own = LimitKey::Account(account);
        self.take(|limits| &limits.key_changes_per_day, own).await?;
        let Some(network) = self.shared_by(account, address) else { return Ok(()) };
        let of_network = self.take(|limits| &limits.key_changes_of_network_per_day, network).await;
        if of_network.is_err() {
            self.give_back(|limits| &limits.key_changes_per_day, own).await;
        }
        of_network
    }

    /// Undoes [`Self::admit_key_change`] if the change came to nothing.
    pub(crate) async fn settle_key_change<T, E>(
        &self,
        (account, address): (AccountId, IpAddr),
        change: &Result<T, E>,
    ) {
        if change.is_ok() {
            return;
        }
        self.give_back(|limits| &limits.key_changes_per_day, LimitKey::Account(account)).await;
        if let Some(network) = self.shared_by(account, address) {
            self.give_back(|limits| &limits.key_changes_of_network_per_day, network).await;
        }
    }

    /// Counts what is to be written of an online keyring.
    pub(crate) async fn admit_keyring_kib(
        &self,
        (account, address): (AccountId, IpAddr),
        kib: u32,
    ) -> Result<(), NotAdmitted> {
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        let (limiter, now) = (&self.ports.state.rate_limiter, self.ports.clock.monotonic());
        let (own, limit) = (LimitKey::Account(account), &limits.keyring_kib_per_day);
        limiter.take_many(limit, own, kib, now).await?;
        let Some(network) = self.shared_by(account, address) else { return Ok(()) };
        let of_network = &limits.keyring_kib_of_network_per_day;
        let taken = limiter.take_many(of_network, network, kib, now).await;
        if taken.is_err() {
            limiter.give_back_many(limit, own, kib).await;
        }
        taken
    }

    /// Undoes [`Self::admit_keyring_kib`] where nothing was written.
    pub(crate) async fn give_back_keyring_kib(
        &self,
        (account, address): (AccountId, IpAddr),
        kib: u32,
    ) {
        let Some(limits) = &self.policy.limits else { return };
        let (limiter, own) = (&self.ports.state.rate_limiter, LimitKey::Account(account));
        limiter.give_back_many(&limits.keyring_kib_per_day, own, kib).await;
        if let Some(network) = self.shared_by(account, address) {
            limiter.give_back_many(&limits.keyring_kib_of_network_per_day, network, kib).await;
        }
    }

    /// Uses up the answer of a passkey whose request is refused before the store does that: a touch that
    /// came to nothing must not serve later.
    pub(crate) async fn use_up(&self, challenge: Option<ReplayEntry>) {
        let Some(challenge) = challenge else { return };
        if let Err(error) = self.ports.store.spend_assertion(challenge).await {
            tracing::debug!(%error, "the answer of a refused request was not used up");
        }
    }

    /// Counts one against the allowance of `key`.
    pub(crate) async fn take(
        &self,
        limit: impl Fn(&Limits) -> &RateLimit + Send,
        key: LimitKey,
    ) -> Result<(), NotAdmitted> {
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
