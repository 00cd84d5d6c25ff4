//! Argon2id itself, with the parameters of *jwks-server* and memory that is used again.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::process::thread_cpu_time;

/// The memory of one hash, kept.
pub(crate) struct Argon2id {
    hasher: Argon2<'static>,
    memory: Vec<Block>,
}

impl Argon2id {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let params = Params::new(64 * 1024, 2, 4, Some(32)).map_err(failed)?;
        let memory = vec![Block::new(); params.block_count()];
        Ok(Self { hasher: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), memory })
    }

    /// The CPU time of `count` hashes in this thread.
    pub(crate) fn hash(&mut self, count: usize) -> anyhow::Result<Duration> {
        let begun = thread_cpu_time()?;
        for _ in 0..count {
            let (password, salt) = (b"55c79852-a428-4925-98fd-fc916417ca45", b"0123456789abcdef");
            let mut hash = [0; 32];
            let hasher = &self.hasher;
            hasher
                .hash_password_into_with_memory(password, salt, &mut hash, &mut self.memory)
                .map_err(failed)?;
        }
        Ok(thread_cpu_time()?.saturating_sub(begun))
    }
}

fn failed(error: argon2::Error) -> anyhow::Error {
    anyhow::anyhow!("Argon2 failed: {error}")
}
