//! The key pairs by which the server proves itself to single accounts: some kept ready, because
//! making one takes tens of milliseconds; sealed at rest; opened for the moment of use.

use std::sync::Arc;

use countersign_protocol::{
    AccountId,
    envelope::aes_gcm::SealingKey,
    keys::{
        KeyError, NewKey, PrivateKey,
        raw_rsa::{RawRsaError, RawRsaPrivateKey},
    },
    ports::{Random, random_bytes},
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, OnceCell, Semaphore};
use zeroize::Zeroizing;

use crate::{sealed_key::SealedServerKey, vault::Vault};

const PURPOSE: &str = "server keys";
/// How many may wait for a key to be made; more are turned away at once.
const WAITING: usize = 64;
/// The account of the key that stands in for those of accounts which have none.
const NOBODY: AccountId = AccountId::from_bytes([0; 16]);

/// Makes, seals and opens key pairs.
pub(crate) struct ServerKeys {
    sealing: SealingKey,
    ready: Mutex<Vec<PrivateKey>>,
    /// How many are kept ready.
    wanted: usize,
    taken: Notify,
    /// Held while a key is made: one at a time, so that making keys never takes the whole machine.
    making: Arc<Semaphore>,
    waiting: Semaphore,
    stand_in: OnceCell<SealedServerKey>,
}

impl ServerKeys {
    pub(crate) fn new(vault: &Vault, wanted: usize) -> Self {
        Self {
            sealing: vault.key(PURPOSE),
            ready: Mutex::default(),
            wanted,
            taken: Notify::new(),
            making: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING),
            stand_in: OnceCell::new(),
        }
    }

    /// A new key pair: one that is ready, or else one that is made now.
    pub(crate) async fn take(&self) -> Result<PrivateKey, ServerKeyError> {
        let ready = self.ready.lock().pop();
        self.taken.notify_one();
        if let Some(key) = ready {
            return Ok(key);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| ServerKeyError::Busy)?;
        self.make().await
    }

    /// Keeps key pairs ready until it is dropped.
    pub(crate) async fn keep_ready(&self) {
        loop {
            while self.ready.lock().len() < self.wanted {
                match self.make().await {
                    Ok(key) => self.ready.lock().push(key),
                    Err(error) => {
                        tracing::error!(%error, "no key pair could be made ahead");
                        break;
                    }
                }
            }
            self.taken.notified().await;
        }
    }

    /// The private half, sealed for `account`.
    pub(crate) fn seal(
        &self,
        account: AccountId,
        key: &PrivateKey,
        random: &dyn Random,
    ) -> SealedServerKey {
        seal(&self.sealing, account, &key.to_pkcs8_der(), random)
    }

    /// Opens what [`Self::seal`] sealed for `account`.
    pub(crate) fn open(
        &self,
        account: AccountId,
        sealed: &SealedServerKey,
    ) -> Result<RawRsaPrivateKey, ServerKeyError> {
        let document = open(&self.sealing, account, sealed)?;
        Ok(RawRsaPrivateKey::from_pkcs8_der(&document)?)
    }

    /// A key that stands in for that of an account which has none: using it costs the same.
    pub(crate) async fn stand_in(
        &self,
        random: &dyn Random,
    ) -> Result<RawRsaPrivateKey, ServerKeyError> {
        let make = || async {
            let key = self.take().await?;
            Ok::<_, ServerKeyError>(self.seal(NOBODY, &key, random))
        };
        self.open(NOBODY, self.stand_in.get_or_try_init(make).await?)
    }

    /// Makes a key pair off the asynchronous threads. Who no longer waits leaves no work behind but
    /// the one key that is being made.
    async fn make(&self) -> Result<PrivateKey, ServerKeyError> {
        let making = Arc::clone(&self.making).acquire_owned().await;
        let making = making.map_err(|_| ServerKeyError::Busy)?;
        let made = tokio::task::spawn_blocking(move || {
            let key = PrivateKey::generate(NewKey::Rsa2048);
            drop(making);
            key
        });
        Ok(made.await.map_err(|_| KeyError::GenerationFailed)??)
    }
}

/// Opens `sealed` with the old vault and seals it for the new one.
pub(crate) fn reseal(
    account: AccountId,
    sealed: &SealedServerKey,
    old: &Vault,
    new: &Vault,
    random: &dyn Random,
) -> Result<SealedServerKey, ServerKeyError> {
    let document = open(&old.key(PURPOSE), account, sealed)?;
    Ok(seal(&new.key(PURPOSE), account, &document, random))
}

fn seal(
    sealing: &SealingKey,
    account: AccountId,
    document: &[u8],
    random: &dyn Random,
) -> SealedServerKey {
    let nonce = random_bytes(random);
    SealedServerKey { ciphertext: sealing.seal(nonce, &identity(account), document), nonce }
}

fn open(
    sealing: &SealingKey,
    account: AccountId,
    sealed: &SealedServerKey,
) -> Result<Zeroizing<Vec<u8>>, ServerKeyError> {
    sealing
        .open(sealed.nonce, &identity(account), &sealed.ciphertext)
        .map_err(|_| ServerKeyError::Damaged(account))
}

/// What binds a ciphertext to its account: keys cannot be exchanged in the database.
fn identity(account: AccountId) -> Vec<u8> {
    [b"countersign server key\0", &account.as_bytes()[..]].concat()
}

/// Why the server cannot prove itself to an account.
#[derive(Debug, Error)]
pub enum ServerKeyError {
    /// Too many wait for a key pair.
    #[error("too many key pairs are wanted at once")]
    Busy,
    /// A row was altered, or belongs to another master key.
    #[error("the key pair for account {0} is damaged: it does not open with the master key")]
    Damaged(AccountId),
    /// A key pair could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key pair could not be used.
    #[error(transparent)]
    Raw(#[from] RawRsaError),
}
