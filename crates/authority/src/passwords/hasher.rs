//! Argon2id within bounds: few at a time, off the async threads, in memory that is used again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use countersign_protocol::{
    ports::{Random, random_bytes},
    strict::base64,
};
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Iterations, memory in KiB, lanes; and the hash's length in bytes.
const TIME: u32 = 2;
const MEMORY: u32 = 64 * 1024;
const LANES: u32 = 4;
const LENGTH: usize = 32;
/// How every hash begins in its text (the PHC string format).
const PREFIX: &str = "$argon2id$v=19$m=65536,t=2,p=4$";
/// How many may wait for their turn; more are turned away at once.
const WAITING: usize = 64;

type Salt = [u8; 16];
type Hash = [u8; LENGTH];

/// Hashes passwords.
pub(crate) struct PasswordHasher {
    worker: Arc<Worker>,
    /// One place for each core: more at once would only take longer, and more memory.
    places: Arc<Semaphore>,
    waiting: Semaphore,
    /// What the password of an account that is not there is compared with.
    nobody: Stored,
}

/// What the threads that hash share.
#[derive(Default)]
struct Worker {
    /// 64 MiB each. To make their pages costs as much as the hash, so they are kept; there are
    /// never more than places.
    memory: Mutex<Vec<Vec<Block>>>,
    runs: AtomicU64,
}

/// A hash as it is kept.
#[derive(Clone, Copy)]
struct Stored {
    salt: Salt,
    hash: Hash,
}

impl PasswordHasher {
    /// Without memory yet.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            worker: Arc::default(),
            places: Arc::new(Semaphore::new(cores)),
            waiting: Semaphore::new(cores + WAITING),
            nobody: Stored { salt: random_bytes(random), hash: random_bytes(random) },
        }
    }

    /// The text to keep of `password`.
    pub(crate) async fn hash(&self, password: &[u8], salt: Salt) -> Result<String, HashError> {
        let hash = self.run(password, salt).await?;
        Ok(Stored { salt, hash }.to_text())
    }

    /// Whether `password` is the one that `kept` was made of. Without such a text it costs as much.
    pub(crate) async fn verify(
        &self,
        password: &[u8],
        kept: Option<&str>,
    ) -> Result<bool, HashError> {
        let kept = kept.and_then(Stored::parse);
        let Stored { salt, hash } = kept.unwrap_or(self.nobody);
        let is_equal = bool::from(self.run(password, salt).await?.ct_eq(&hash));
        Ok(is_equal && kept.is_some())
    }

    /// How many hashes were made.
    pub(crate) fn runs(&self) -> u64 {
        self.worker.runs.load(Ordering::Relaxed)
    }

    async fn run(&self, password: &[u8], salt: Salt) -> Result<Hash, HashError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| HashError::Busy)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| HashError::Failed)?;
        let worker = Arc::clone(&self.worker);
        let password = Zeroizing::new(password.to_vec());
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = worker.run(&password, &salt);
            // Kept till the work is done, even when nobody waits for it any more.
            drop(place);
            hash
        });
        hashing.await.map_err(|_| HashError::Failed)?
    }
}

impl Worker {
    fn run(&self, password: &[u8], salt: &Salt) -> Result<Hash, HashError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let params = Params::new(MEMORY, TIME, LANES, Some(LENGTH));
        let params = params.map_err(|_| HashError::Failed)?;
        let kept = self.memory.lock().pop();
        let mut memory = kept.unwrap_or_else(|| vec![Block::new(); params.block_count()]);
        let mut hash = [0; LENGTH];
        let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, &mut hash, &mut memory);
        self.memory.lock().push(memory);
        hashed.map(|()| hash).map_err(|_| HashError::Failed)
    }
}

impl Stored {
    fn to_text(self) -> String {
        let encode = |bytes| base64::encode(bytes).trim_end_matches('=').to_owned();
        format!("{PREFIX}{}${}", encode(&self.salt), encode(&self.hash))
    }

    /// Reads what [`Self::to_text`] writes; `None` for everything else, such as the `!` of an
    /// account without a password.
    fn parse(text: &str) -> Option<Self> {
        let (salt, hash) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let salt = base64::decode(&format!("{salt}==")).ok()?;
        let hash = base64::decode(&format!("{hash}=")).ok()?;
        Some(Self { salt: salt.try_into().ok()?, hash: hash.try_into().ok()? })
    }
}

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords are to be hashed at once")]
    Busy,
    /// Argon2 failed.
    #[error("the password could not be hashed")]
    Failed,
}

#[cfg(test)]
mod tests {
    use countersign_testkit::random::SeededRandom;

    use super::*;

    /// Made by argon2-cffi with the parameters of this dialect, for the password `correct horse`
    /// and the salt `0123456789abcdef`.
    const FOREIGN: &str = "$argon2id$v=19$m=65536,t=2,p=4$MDEyMzQ1Njc4OWFiY2RlZg$it3A16EXoobNmETXHHxy4AGcSz1tvXAJnIMlGaAGcpA";

    fn hasher() -> PasswordHasher {
        PasswordHasher::new(&SeededRandom::new(1))
    }

    #[tokio::test]
    async fn hashes_are_those_of_other_implementations() {
        let hasher = hasher();
        assert_eq!(hasher.hash(b"correct horse", *b"0123456789abcdef").await.unwrap(), FOREIGN);
        assert!(hasher.verify(b"correct horse", Some(FOREIGN)).await.unwrap());
        assert!(!hasher.verify(b"correct house", Some(FOREIGN)).await.unwrap());
    }

    #[tokio::test]
    async fn what_matches_nothing_costs_a_hash_too() {
        let hasher = hasher();
        let weaker = FOREIGN.replace("t=2", "t=1");
        for kept in [None, Some("!"), Some(""), Some(weaker.as_str()), Some("correct horse")] {
            let before = hasher.runs();
            assert!(!hasher.verify(b"correct horse", kept).await.unwrap());
            assert_eq!(hasher.runs(), before + 1);
        }
    }

    #[tokio::test]
    async fn memory_is_used_again_and_bounded() {
        let hasher = Arc::new(hasher());
        let cores = hasher.places.available_permits();
        let attempts: Vec<_> = (0..=2 * cores)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                tokio::spawn(async move { hasher.verify(b"x", None).await })
            })
            .collect();
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), Ok(false));
        }
        assert!(hasher.worker.memory.lock().len() <= cores);
        assert_eq!(hasher.runs(), 2 * cores as u64 + 1);
    }

    #[tokio::test]
    async fn beyond_the_queue_nobody_waits() {
        let hasher = hasher();
        let _all = hasher
            .waiting
            .try_acquire_many(u32::try_from(hasher.waiting.available_permits()).unwrap());
        assert_eq!(hasher.verify(b"x", None).await, Err(HashError::Busy));
        assert_eq!(hasher.runs(), 0);
    }
}
