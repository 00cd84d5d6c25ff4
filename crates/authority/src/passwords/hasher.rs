//! Argon2id within bounds: few at a time, on threads of its own, in memory that is used again.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, available_parallelism},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use countersign_protocol::{
    ports::{Random, random_bytes},
    strict::base64,
};
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
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
    /// One thread for each core: more would only take longer, and more memory. None before the first
    /// password.
    threads: OnceLock<Sender<Job>>,
    count: usize,
    waiting: Semaphore,
    runs: Arc<AtomicU64>,
    /// What the password of an account that is not there is compared with.
    nobody: Stored,
}

/// A password to be hashed, and who waits for it.
struct Job {
    password: Zeroizing<Vec<u8>>,
    salt: Salt,
    reply: oneshot::Sender<Result<Hash, HashError>>,
}

/// A hash as it is kept.
#[derive(Clone, Copy)]
struct Stored {
    salt: Salt,
    hash: Hash,
}

impl PasswordHasher {
    /// Without threads and memory yet.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let count = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads: OnceLock::new(),
            count,
            waiting: Semaphore::new(count + WAITING),
            runs: Arc::default(),
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
        self.runs.load(Ordering::Relaxed)
    }

    async fn run(&self, password: &[u8], salt: Salt) -> Result<Hash, HashError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| HashError::Busy)?;
        let threads = self.threads.get_or_init(|| start_threads(self.count, &self.runs));
        let (reply, hash) = oneshot::channel();
        let job = Job { password: Zeroizing::new(password.to_vec()), salt, reply };
        threads.send(job).map_err(|_| HashError::Failed)?;
        hash.await.map_err(|_| HashError::Failed)?
    }
}

/// Starts up to `count` threads, which end with the last sender. Without any, every job fails.
fn start_threads(count: usize, runs: &Arc<AtomicU64>) -> Sender<Job> {
    let (sender, jobs) = channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..count {
        let (jobs, runs) = (Arc::clone(&jobs), Arc::clone(runs));
        let started =
            thread::Builder::new().name("argon2id".to_owned()).spawn(move || serve(&jobs, &runs));
        if let Err(error) = started {
            tracing::error!(%error, "a thread that hashes passwords did not start");
        }
    }
    sender
}

fn serve(jobs: &Mutex<Receiver<Job>>, runs: &AtomicU64) {
    yield_to_others();
    // 64 MiB. To make its pages costs as much as the hash, so it is kept.
    let mut memory = Vec::new();
    loop {
        // Not in the condition of a loop: the lock would be held while the hash is made.
        let job = jobs.lock().recv();
        let Ok(Job { password, salt, reply }) = job else { return };
        runs.fetch_add(1, Ordering::Relaxed);
        // Whoever went away in the meantime wants no answer.
        let _: Result<_, _> = reply.send(argon2id(&password, &salt, &mut memory));
    }
}

/// Lets every other thread go first: a hash takes as long as hundreds of requests, and whoever logs
/// in by password waits for it anyway.
fn yield_to_others() {
    // On Linux alone the priority is that of the thread and not of the process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(LEAST_PRIORITY) {
        tracing::debug!(%error, "passwords are hashed with the priority of everything else");
    }
}

/// The greatest niceness that there is.
#[cfg(target_os = "linux")]
const LEAST_PRIORITY: i32 = 19;

fn argon2id(password: &[u8], salt: &Salt, memory: &mut Vec<Block>) -> Result<Hash, HashError> {
    let params = Params::new(MEMORY, TIME, LANES, Some(LENGTH));
    let params = params.map_err(|_| HashError::Failed)?;
    memory.resize(params.block_count(), Block::new());
    let mut hash = [0; LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut hash, memory)
        .map_err(|_| HashError::Failed)?;
    Ok(hash)
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

    #[test]
    fn memory_is_used_again() {
        let mut memory = Vec::new();
        let mut hash = || argon2id(b"correct horse", b"0123456789abcdef", &mut memory).unwrap();
        let first = hash();
        assert_eq!(hash(), first, "what the last one left there does no harm");
        let place = memory.as_ptr();
        argon2id(b"x", b"0123456789abcdef", &mut memory).unwrap();
        assert_eq!(memory.as_ptr(), place);
        assert_eq!(size_of_val(&*memory), MEMORY as usize * 1024);
    }

    #[tokio::test]
    async fn every_one_of_many_gets_its_answer() {
        let hasher = Arc::new(hasher());
        let attempts: Vec<_> = (0..=2 * hasher.count)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                tokio::spawn(async move { hasher.verify(b"x", None).await })
            })
            .collect();
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), Ok(false));
        }
        assert_eq!(hasher.runs(), 2 * hasher.count as u64 + 1);
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
