//! Servers with few and with many accounts, and the same requests to both.

use super::measuring::{as_f64, cpu_per_request};
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    postgres::Postgres,
    product::{Product, login, whoami},
    seed,
};

/// What many accounts are compared with.
pub(super) const FEW: u32 = 1000;
const LOGINS: usize = 2000;
const PROTECTED: usize = 4000;

/// What one request costs, in microseconds.
pub(super) struct Cost {
    server: f64,
    /// The database server, if that is a process of its own.
    engine: f64,
}

/// What requests cost in each round, with few and with many accounts.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) server: (Vec<f64>, Vec<f64>),
    pub(super) engine: (Vec<f64>, Vec<f64>),
}

/// Measures one and the other in turn. The first round is there to warm up.
pub(super) fn in_turn(
    bench: &Bench,
    (small, large): (&Population<'_>, &Population<'_>),
    measure: impl Fn(&Population<'_>, usize) -> anyhow::Result<Cost>,
) -> anyhow::Result<Rounds> {
    let mut measured = Rounds::default();
    for round in 0..=bench.rounds() {
        let (few, many) = (measure(small, round)?, measure(large, round)?);
        if round > 0 {
            measured.server.0.push(few.server);
            measured.server.1.push(many.server);
            measured.engine.0.push(few.engine);
            measured.engine.1.push(many.engine);
        }
    }
    Ok(measured)
}

/// A server and those of its accounts whose keys are there.
pub(super) struct Population<'a> {
    pub(super) product: Product,
    accounts: u32,
    engine: Option<&'a Postgres>,
    /// Some that are logged in, and their tokens.
    logged_in: Vec<Identity>,
    tokens: Vec<String>,
}

impl<'a> Population<'a> {
    /// The accounts of a server that keeps them in `engine`, or else in itself.
    pub(super) fn new(
        bench: &Bench,
        product: Product,
        accounts: u32,
        engine: Option<&'a Postgres>,
    ) -> anyhow::Result<Self> {
        product.server.settle()?;
        let logged_in = seed::identities(bench, accounts, 0, bench.requests(FEW as usize))?;
        let tokens = product.log_in(bench, &logged_in)?;
        Ok(Self { product, accounts, engine, logged_in, tokens })
    }

    /// Logs in those that have logged in before.
    pub(super) fn logins_of_known(&self, bench: &Bench) -> anyhow::Result<Cost> {
        self.logins(bench, &self.logged_in)
    }

    /// Logs in accounts that have not logged in before, as far as there are so many.
    pub(super) fn logins_of_others(&self, bench: &Bench, round: usize) -> anyhow::Result<Cost> {
        let count = bench.requests(LOGINS);
        let first = self.logged_in.len() + round * count;
        self.logins(bench, &seed::identities(bench, self.accounts, first, count)?)
    }

    fn logins(&self, bench: &Bench, identities: &[Identity]) -> anyhow::Result<Cost> {
        let nonce = self.product.token_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(LOGINS), |number| {
            login(&identities[number % identities.len()], &nonce)
        })?;
        self.cost(&requests)
    }

    /// Requests to a protected resource by those that are logged in.
    pub(super) fn protected(&self, bench: &Bench) -> anyhow::Result<Cost> {
        let nonce = self.product.resource_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(PROTECTED), |number| {
            let who = number % self.logged_in.len();
            whoami(&self.logged_in[who], &self.tokens[who], &nonce)
        })?;
        self.cost(&requests)
    }

    fn cost(&self, requests: &[Vec<u8>]) -> anyhow::Result<Cost> {
        let engine_time = || self.engine.map(Postgres::cpu_time).transpose();
        let before = engine_time()?.unwrap_or_default();
        let server = cpu_per_request(&self.product.server, requests, 200)?;
        let used = engine_time()?.unwrap_or_default().saturating_sub(before);
        Ok(Cost { server, engine: used.as_secs_f64() * 1e6 / as_f64(requests.len()) })
    }
}
