//! The key pairs by which the server proves itself to single accounts: some kept ready, because
//! making one takes tens of milliseconds; sealed at rest; opened for the moment of use.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use countersign_protocol::{
    AccountId, ClientNetwork,
    keys::{
        KeyError, NewKey, PrivateKey,
        raw_rsa::{RawRsaError, RawRsaPrivateKey},
    },
    ports::Random,
    shares::NoPlace,
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, OnceCell};

use crate::{
    core::turns::{Turn, Turns},
    keys::{
        purpose_keys::PurposeKeys,
        sealed_secret::{DamagedSecret, SecretKind},
        vault::Vault,
    },
    model::{key_life::SealedServerKey, limits::TurnLimits, policy::MutualPolicy},
};

/// The account of the key that stands in for accounts without a key pair.
const NOBODY: AccountId = AccountId::from_bytes([0; 16]);

/// Makes, seals and opens key pairs.
pub(crate) struct ServerKeys {
    sealing: PurposeKeys,
    ready: Mutex<Vec<PrivateKey>>,
    /// How many are kept ready.
    wanted: usize,
    taken: Notify,
    /// Whose turn it is to have a key made.
    turns: Arc<Turns>,
    stand_in: OnceCell<SealedServerKey>,
}

impl ServerKeys {
    pub(crate) fn new(vault: &Vault, policy: MutualPolicy) -> Self {
        Self::sealed_with(
            SecretKind::OfAccount(NOBODY).keys(vault),
            policy.keys_ready,
            policy.turns,
        )
    }

    fn sealed_with(sealing: PurposeKeys, wanted: usize, turns: TurnLimits) -> Self {
        Self {
            sealing,
            ready: Mutex::default(),
            wanted,
            taken: Notify::new(),
            turns: Arc::new(Turns::new(turns)),
            stand_in: OnceCell::new(),
        }
    }

    /// A new key pair for a client of `network`: a ready one, or else one that is made when it is
    /// that network's turn.
    pub(crate) async fn take(&self, network: ClientNetwork) -> Result<PrivateKey, ServerKeyError> {
        let ready = self.ready.lock().pop();
        self.taken.notify_one();
        if let Some(key) = ready {
            return Ok(key);
        }
        make(self.turns.take(network).await?).await
    }

    /// Keeps key pairs ready until it is dropped.
    pub(crate) async fn keep_ready(&self) {
        loop {
            while self.ready.lock().len() < self.wanted {
                // The server waits for its turn like a client.
                let own = ClientNetwork::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let Ok(turn) = self.turns.take(own).await else { break };
                match make(turn).await {
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
        SecretKind::OfAccount(account).seal(&self.sealing, &key.to_pkcs8_der(), random)
    }

    /// Opens what [`Self::seal`] sealed for `account`.
    pub(crate) fn open(
        &self,
        account: AccountId,
        sealed: &SealedServerKey,
    ) -> Result<RawRsaPrivateKey, ServerKeyError> {
        let document = SecretKind::OfAccount(account).open(&self.sealing, sealed)?;
        Ok(RawRsaPrivateKey::from_pkcs8_der(&document)?)
    }

    /// A stand-in for the key of an account without one: using it costs the same.
    pub(crate) async fn stand_in(
        &self,
        network: ClientNetwork,
        random: &dyn Random,
    ) -> Result<RawRsaPrivateKey, ServerKeyError> {
        let make = || async {
            let key = self.take(network).await?;
            Ok::<_, ServerKeyError>(self.seal(NOBODY, &key, random))
        };
        self.open(NOBODY, self.stand_in.get_or_try_init(make).await?)
    }
}

/// Makes a key pair outside the asynchronous threads. If the caller goes away, only the key that is
/// being made is finished.
async fn make(turn: Turn) -> Result<PrivateKey, ServerKeyError> {
    let made = tokio::task::spawn_blocking(move || {
        let key = PrivateKey::generate(NewKey::Rsa2048);
        drop(turn);
        key
    });
    Ok(made.await.map_err(|_| KeyError::GenerationFailed)??)
}

/// Why the server cannot prove itself to an account.
#[derive(Debug, Error)]
pub enum ServerKeyError {
    /// Too many wait for a key pair.
    #[error("too many key pairs are wanted at once")]
    Busy,
    /// The client network has as many clients waiting for a key pair as it may.
    #[error("as many of this client network wait for a key pair as may; try again")]
    ShareUsedUp,
    /// The key pair does not open.
    #[error(transparent)]
    Damaged(#[from] DamagedSecret),
    /// A key pair could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key pair could not be used.
    #[error(transparent)]
    Raw(#[from] RawRsaError),
}

impl From<NoPlace> for ServerKeyError {
    fn from(error: NoPlace) -> Self {
        match error {
            NoPlace::AllTaken => Self::Busy,
            NoPlace::ShareUsedUp => Self::ShareUsedUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::{envelope::aes_gcm::SealingKey, keys::raw_rsa};
    use countersign_testkit::{keys, random::SeededRandom};

    use super::*;

    const ALICE: AccountId = AccountId::from_bytes([1; 16]);
    const BOB: AccountId = AccountId::from_bytes([2; 16]);

    fn server_keys(master: u8, wanted: usize) -> ServerKeys {
        let turns = TurnLimits { at_once: 1, waiting: 3, each: 2 };
        ServerKeys::sealed_with(SealingKey::from_bytes(&[master; 32]).into(), wanted, turns)
    }

    fn network(number: u8) -> ClientNetwork {
        IpAddr::from([192, 0, 2, number]).into()
    }

    /// Lets others work until `reached`.
    async fn until(reached: impl Fn() -> bool) {
        while !reached() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_key_opens_for_its_account_and_with_its_master_key_only() {
        let key = keys::from_pem(keys::RSA_2048_PEM);
        let sealed = server_keys(1, 0).seal(ALICE, &key, &SeededRandom::new(1));
        let block = server_keys(1, 0).open(ALICE, &sealed).unwrap().encrypt(b"7").unwrap();
        assert_eq!(*raw_rsa::recover(key.public_key(), &block).unwrap(), b"7");
        let damaged = |keys: ServerKeys, account, sealed: &SealedServerKey| {
            matches!(keys.open(account, sealed), Err(ServerKeyError::Damaged(_)))
        };
        assert!(damaged(server_keys(1, 0), BOB, &sealed));
        assert!(damaged(server_keys(2, 0), ALICE, &sealed));
        let mut altered = sealed.clone();
        altered.ciphertext[100] ^= 1;
        assert!(damaged(server_keys(1, 0), ALICE, &altered));
    }

    #[tokio::test]
    async fn keys_are_kept_ready_and_replaced_when_taken() {
        let keys = Arc::new(server_keys(1, 2));
        let keeper = Arc::clone(&keys);
        let keeping = tokio::spawn(async move { keeper.keep_ready().await });
        until(|| keys.ready.lock().len() == 2).await;
        let (one, other) =
            (keys.take(network(1)).await.unwrap(), keys.take(network(1)).await.unwrap());
        assert_ne!(one.public_key().thumbprint(), other.public_key().thumbprint());
        until(|| keys.ready.lock().len() == 2).await;
        keeping.abort();
    }

    #[tokio::test]
    async fn when_too_many_wait_the_next_is_turned_away() {
        let keys = Arc::new(server_keys(1, 0));
        let making = keys.turns.take(network(9)).await.unwrap();
        let wait = |number| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.take(network(number)).await.map(drop) })
        };
        let waiting = [wait(1), wait(1)];
        until(|| keys.turns.taken() == 3).await;
        assert!(matches!(keys.take(network(1)).await, Err(ServerKeyError::ShareUsedUp)));
        let honest = wait(2);
        until(|| keys.turns.taken() == 4).await;
        assert!(matches!(keys.take(network(3)).await, Err(ServerKeyError::Busy)));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        until(|| keys.turns.taken() == 2).await;
        drop(making);
        honest.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_key_stands_in_for_all_that_are_not_there() {
        let keys = server_keys(1, 0);
        let random = SeededRandom::new(1);
        let block = keys.stand_in(network(1), &random).await.unwrap().encrypt(b"7").unwrap();
        assert_eq!(keys.stand_in(network(1), &random).await.unwrap().encrypt(b"7").unwrap(), block);
        assert_eq!(block.len(), 256);
    }
}
