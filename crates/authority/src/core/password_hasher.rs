//! Argon2id within bounds: few at a time, in turns by client network, on threads of its own, in memory
//! that is used again while passwords come.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use countersign_protocol::{
    ClientNetwork,
    ports::{Random, random_bytes},
    shares::NoPlace,
    strict::base64,
};
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::{core::turns::Turns, model::limits::TurnLimits};

/// The stored value of an account without a password. It matches nothing.
pub(crate) const NO_PASSWORD: &str = "!";

/// A text that is wiped when it is dropped.
pub type Secret = Zeroizing<String>;

/// Iterations, memory in KiB, lanes; and the hash's length in bytes.
const TIME: u32 = 2;
const MEMORY: u32 = 64 * 1024;
const LANES: u32 = 4;
const LENGTH: usize = 32;
/// How every hash begins in its text (the PHC string format).
const PREFIX: &str = "$argon2id$v=19$m=65536,t=2,p=4$";
/// How long memory is kept that no password was hashed in. To make its pages costs as much as a hash.
const KEEP_IDLE: Duration = Duration::from_mins(1);

/// How many blocks of 1 KiB the system must have left after it gave the memory for a hash.
const LEFT_OVER: usize = 32 * 1024;
/// The stack of a thread that hashes, in bytes.
const STACK: usize = 512 * 1024;

type Salt = [u8; 16];
type Hash = [u8; LENGTH];

/// Hashes passwords.
pub(crate) struct PasswordHasher {
    /// One thread for each password that may be hashed at once. None before the first password.
    threads: OnceLock<Sender<Job>>,
    count: usize,
    turns: Arc<Turns>,
    memory: Arc<Memory>,
    runs: Arc<AtomicU64>,
    /// The value that a password is compared with if the account does not exist.
    nobody: Stored,
}

/// The client that wants a password hashed, and the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The client's network.
    pub(crate) network: ClientNetwork,
    /// The monotonic clock.
    pub(crate) at: Duration,
}

/// The memory of hashes that are over, each piece with the time of its last use by the monotonic
/// clock. There are never more pieces, here and in use together, than passwords are hashed at once.
#[derive(Default)]
struct Memory(Mutex<Vec<(Duration, Vec<Block>)>>);

impl Memory {
    fn take(&self) -> Vec<Block> {
        self.0.lock().pop().map_or_else(Vec::new, |(_, blocks)| blocks)
    }

    fn keep(&self, blocks: Vec<Block>, at: Duration) {
        self.0.lock().push((at, blocks));
    }

    fn free_idle(&self, now: Duration) {
        self.0.lock().retain(|(used_at, _)| now.saturating_sub(*used_at) < KEEP_IDLE);
    }
}

/// A password to be hashed, and the waiting caller.
struct Job {
    at: Duration,
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
    pub(crate) fn new(limits: TurnLimits, random: &dyn Random) -> Self {
        Self {
            threads: OnceLock::new(),
            count: limits.at_once,
            turns: Arc::new(Turns::new(limits)),
            memory: Arc::default(),
            runs: Arc::default(),
            nobody: Stored { salt: random_bytes(random), hash: random_bytes(random) },
        }
    }

    /// The text to keep of `password`.
    pub(crate) async fn hash(
        &self,
        password: &[u8],
        salt: Salt,
        asker: Asker,
    ) -> Result<String, HashError> {
        let hash = self.run(password, salt, asker).await?;
        Ok(Stored { salt, hash }.to_text())
    }

    /// Whether `kept` was made from `password`. Without `kept` it costs as much.
    pub(crate) async fn verify(
        &self,
        password: &[u8],
        kept: Option<&str>,
        asker: Asker,
    ) -> Result<bool, HashError> {
        let kept = kept.and_then(Stored::parse);
        let Stored { salt, hash } = kept.unwrap_or(self.nobody);
        let is_equal = bool::from(self.run(password, salt, asker).await?.ct_eq(&hash));
        Ok(is_equal && kept.is_some())
    }

    /// How many hashes were made.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Gives memory back to the system in which nothing was hashed for a while; `now` is the monotonic
    /// clock.
    pub(crate) fn free_idle_memory(&self, now: Duration) {
        self.memory.free_idle(now);
    }

    async fn run(&self, password: &[u8], salt: Salt, asker: Asker) -> Result<Hash, HashError> {
        if self.count == 0 {
            return Err(HashError::NoMemory);
        }
        let _turn = self.turns.take(asker.network).await?;
        let threads = self.threads.get_or_init(|| self.start_threads());
        let (reply, hash) = oneshot::channel();
        let password = Zeroizing::new(password.to_vec());
        let job = Job { at: asker.at, password, salt, reply };
        threads.send(job).map_err(|_| HashError::Failed)?;
        hash.await.map_err(|_| HashError::Failed)?
    }

    /// Starts the threads, which end with the last sender. Without any, every job fails.
    fn start_threads(&self) -> Sender<Job> {
        let (sender, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..self.count {
            let (jobs, memory, runs) =
                (Arc::clone(&jobs), Arc::clone(&self.memory), Arc::clone(&self.runs));
            let serve = move || serve(&jobs, &memory, &runs);
            let thread = thread::Builder::new().name("argon2id".to_owned()).stack_size(STACK);
            let started = thread.spawn(serve);
            if let Err(error) = started {
                tracing::error!(%error, "a thread that hashes passwords did not start");
            }
        }
        sender
    }
}

fn serve(jobs: &Mutex<Receiver<Job>>, memory: &Memory, runs: &AtomicU64) {
    yield_to_others();
    loop {
        // Not in the condition of a loop: the lock would be held while the hash is made.
        let job = jobs.lock().recv();
        let Ok(Job { at, password, salt, reply }) = job else { return };
        // A caller that has gone away needs no answer.
        if reply.is_closed() {
            continue;
        }
        runs.fetch_add(1, Ordering::Relaxed);
        let mut blocks = memory.take();
        let hash = argon2id(&password, &salt, &mut blocks);
        if !blocks.is_empty() {
            memory.keep(blocks, at);
        }
        let _: Result<_, _> = reply.send(hash);
    }
}

/// Lets every other thread go first: a hash takes as long as hundreds of requests, and a login by
/// password has to wait for it anyway.
fn yield_to_others() {
    // Only on Linux is the priority set for the thread and not for the process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "passwords are hashed with the priority of everything else");
    }
}

/// How far threads that hash stand back. Beside one ordinary thread on the same processor they get a
/// tenth of it, so a hash takes ten times as long. With the greatest niceness, 19, it would be
/// seventy times, and on a machine that others keep busy nobody could log in by password.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

fn argon2id(password: &[u8], salt: &Salt, memory: &mut Vec<Block>) -> Result<Hash, HashError> {
    let params = Params::new(MEMORY, TIME, LANES, Some(LENGTH));
    let params = params.map_err(|_| HashError::Failed)?;
    let missing = params.block_count().saturating_sub(memory.len());
    // If the system refuses the memory, this request is refused and the server goes on. So some
    // memory must be left over.
    let mut left_over = Vec::<Block>::new();
    left_over.try_reserve_exact(LEFT_OVER).map_err(|_| HashError::NoMemory)?;
    memory.try_reserve_exact(missing).map_err(|_| HashError::NoMemory)?;
    drop(left_over);
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
    /// The system gives no memory for it, or the server has none to spare.
    #[error("this server has not the 64 MiB of memory that hashing a password takes")]
    NoMemory,
    /// The client network has as many waiting passwords as it may.
    #[error("as many passwords of this client network wait to be hashed as may; try again")]
    ShareUsedUp,
}

impl From<NoPlace> for HashError {
    fn from(error: NoPlace) -> Self {
        match error {
            NoPlace::AllTaken => Self::Busy,
            NoPlace::ShareUsedUp => Self::ShareUsedUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_testkit::random::SeededRandom;

    use super::*;

    /// Made by argon2-cffi with the parameters of this dialect, for the password `correct horse`
    /// and the salt `0123456789abcdef`.
    const FOREIGN: &str = "$argon2id$v=19$m=65536,t=2,p=4$MDEyMzQ1Njc4OWFiY2RlZg$it3A16EXoobNmETXHHxy4AGcSz1tvXAJnIMlGaAGcpA";

    const LIMITS: TurnLimits = TurnLimits { at_once: 2, waiting: 20, each: 20 };

    fn hasher() -> PasswordHasher {
        PasswordHasher::new(LIMITS, &SeededRandom::new(1))
    }

    /// Somebody of that network, when the clock begins.
    fn asker(network: u8) -> Asker {
        let network = std::net::IpAddr::from([192, 0, 2, network]).into();
        Asker { network, at: Duration::ZERO }
    }

    #[tokio::test]
    async fn hashes_are_those_of_other_implementations() {
        let hasher = hasher();
        assert_eq!(
            hasher.hash(b"correct horse", *b"0123456789abcdef", asker(1)).await.unwrap(),
            FOREIGN
        );
        assert!(hasher.verify(b"correct horse", Some(FOREIGN), asker(1)).await.unwrap());
        assert!(!hasher.verify(b"correct house", Some(FOREIGN), asker(1)).await.unwrap());
    }

    #[tokio::test]
    async fn what_matches_nothing_costs_a_hash_too() {
        let hasher = hasher();
        let weaker = FOREIGN.replace("t=2", "t=1");
        for kept in [None, Some("!"), Some(""), Some(weaker.as_str()), Some("correct horse")] {
            let before = hasher.runs();
            assert!(!hasher.verify(b"correct horse", kept, asker(1)).await.unwrap());
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
                tokio::spawn(async move { hasher.verify(b"x", None, asker(1)).await })
            })
            .collect();
        for attempt in attempts {
            assert_eq!(attempt.await.unwrap(), Ok(false));
        }
        assert_eq!(hasher.runs(), 2 * hasher.count as u64 + 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_hashes_stands_back_and_does_not_starve() {
        let stand_back = || {
            let nice = || rustix::process::nice(0).unwrap();
            let before = nice();
            yield_to_others();
            (before, nice())
        };
        let (before, after) = thread::spawn(stand_back).join().unwrap();
        assert_eq!(after, (before + NICENESS).min(19));
        // Each step makes the share of the processor smaller by a fifth.
        const { assert!(NICENESS <= 10) };
    }

    #[tokio::test]
    async fn beyond_the_queue_and_beyond_its_share_nobody_waits() {
        let limits = TurnLimits { at_once: 2, waiting: 1, each: 2 };
        let hasher = PasswordHasher::new(limits, &SeededRandom::new(1));
        let _turns =
            [hasher.turns.take(asker(1).network).await, hasher.turns.take(asker(1).network).await];
        assert_eq!(hasher.verify(b"x", None, asker(1)).await, Err(HashError::ShareUsedUp));
        let mut waits = std::pin::pin!(hasher.turns.take(asker(2).network));
        std::future::poll_fn(|context| {
            assert!(waits.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(hasher.verify(b"x", None, asker(3)).await, Err(HashError::Busy));
        assert_eq!(hasher.runs(), 0);
    }

    #[tokio::test]
    async fn without_memory_a_password_is_refused() {
        let limits = TurnLimits { at_once: 0, ..LIMITS };
        let hasher = PasswordHasher::new(limits, &SeededRandom::new(1));
        assert_eq!(hasher.verify(b"x", None, asker(1)).await, Err(HashError::NoMemory));
    }

    #[tokio::test]
    async fn memory_is_given_back_after_an_idle_minute() {
        let hasher = hasher();
        hasher.verify(b"x", None, asker(1)).await.unwrap();
        assert_eq!(hasher.memory.0.lock().len(), 1);
        hasher.free_idle_memory(Duration::from_secs(59));
        assert_eq!(hasher.memory.0.lock().len(), 1);
        hasher.free_idle_memory(KEEP_IDLE);
        assert_eq!(hasher.memory.0.lock().len(), 0);
    }
}
