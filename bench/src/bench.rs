//! What every figure needs to know.

use std::{path::PathBuf, rc::Rc};

use anyhow::Context as _;

use crate::{postgres::Postgres, process::Cores};

/// A run of the benchmark.
#[derive(Clone)]
pub(crate) struct Bench {
    /// The binary under measurement.
    pub(crate) countersign: PathBuf,
    /// For databases and logs; emptied at the start, and on a disk, where the databases of servers
    /// are.
    pub(crate) run_dir: PathBuf,
    /// For what takes long to make and is the same in every run.
    pub(crate) cache_dir: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) effort: Effort,
    /// A Python that has what peers need, if peers are to be measured.
    pub(crate) python: Option<PathBuf>,
    /// A binary of an earlier version, if it is to be compared with.
    pub(crate) before: Option<PathBuf>,
    /// A server, if there is one.
    pub(crate) postgres: Option<Rc<Postgres>>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Medians of five.
    Full,
    /// Medians of three, a quarter of the requests, a tenth of the accounts.
    Quick,
    /// So little that the numbers mean nothing: shows that everything still runs.
    Smoke,
}

impl Bench {
    /// How often floor and product are measured in turn.
    pub(crate) fn rounds(&self) -> usize {
        match self.effort {
            Effort::Full => 5,
            Effort::Quick => 3,
            Effort::Smoke => 1,
        }
    }

    /// How many requests to send, of a full number.
    pub(crate) fn requests(&self, full: usize) -> usize {
        match self.effort {
            Effort::Full => full,
            Effort::Quick => full.div_ceil(4),
            Effort::Smoke => full.div_ceil(150).clamp(2, 40),
        }
    }

    /// How many clients, each with an account and a key, share the requests.
    pub(crate) fn clients(&self) -> usize {
        if self.effort == Effort::Smoke { 4 } else { 32 }
    }

    /// How many accounts the large database has.
    pub(crate) fn accounts(&self) -> u32 {
        match self.effort {
            Effort::Full => 1_000_000,
            Effort::Quick => 100_000,
            Effort::Smoke => 2_000,
        }
    }

    /// How many accounts the large database on PostgreSQL has.
    pub(crate) fn shared_accounts(&self) -> u32 {
        self.accounts() * if self.effort == Effort::Smoke { 1 } else { 10 }
    }

    /// The PostgreSQL server.
    pub(crate) fn postgres(&self) -> anyhow::Result<&Postgres> {
        self.postgres.as_deref().context("there is no PostgreSQL server: see --postgres")
    }

    /// Says what is going on.
    #[expect(clippy::print_stderr, clippy::unused_self, reason = "progress, for who waits")]
    pub(crate) fn say(&self, text: &str) {
        eprintln!("  {text}");
    }
}
