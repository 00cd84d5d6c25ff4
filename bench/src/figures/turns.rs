//! The same requests to two products in turn.

use countersign_protocol::keys::{Algorithm, NewKey};

use super::measuring::cpu_per_request;
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::median,
    product::{Product, login, whoami},
    table::{Row, Target, Unit},
};

const LOGINS: usize = 3000;
const PROTECTED: usize = 6000;

/// A product, and clients that are logged in.
pub(super) struct Contestant {
    pub(super) product: Product,
    identities: Vec<Identity>,
    tokens: Vec<String>,
}

impl Contestant {
    /// Registers clients.
    pub(super) fn new(bench: &Bench, product: Product) -> anyhow::Result<Self> {
        let accounts = ("turns-", bench.clients());
        let identities = product.register(bench, accounts, NewKey::EcP256, Algorithm::Es256)?;
        let tokens = product.log_in(bench, &identities)?;
        Ok(Self { product, identities, tokens })
    }

    /// The CPU time of token requests and of protected requests, of the second of `both` against the first.
    /// `said` makes of the kind of a request how its row is called, and what it must be.
    pub(super) fn compare(
        bench: &Bench,
        both: &[Self; 2],
        said: impl Fn(&str) -> (String, Target),
    ) -> anyhow::Result<Vec<Row>> {
        let kinds: [(&str, Measure); 2] = [
            ("token request, ES256, durable", Self::logins),
            ("whoami, DPoP ES256", Self::protected),
        ];
        let mut rows = Vec::new();
        for (what, measure) in kinds {
            let mut cpu = (Vec::new(), Vec::new());
            for round in 0..=2 * bench.rounds() {
                // Each is as often the first as the other.
                let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
                let mut measured = [0.0; 2];
                for turn in [first, second] {
                    measured[turn] = measure(&both[turn], bench)?;
                }
                // The first round is there to warm up.
                if round > 0 {
                    cpu.0.push(measured[0]);
                    cpu.1.push(measured[1]);
                }
            }
            bench.say(&format!("{what}: {cpu:.1?}"));
            let (title, target) = said(what);
            let medians = (median(&cpu.0), median(&cpu.1));
            rows.push(Row::against(title, Unit::Micros, medians, target));
        }
        Ok(rows)
    }

    fn logins(&self, bench: &Bench) -> anyhow::Result<f64> {
        let nonce = self.product.token_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(LOGINS), |number| {
            login(&self.identities[number % self.identities.len()], &nonce)
        })?;
        cpu_per_request(&self.product.server, &requests, 200)
    }

    fn protected(&self, bench: &Bench) -> anyhow::Result<f64> {
        let nonce = self.product.resource_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(PROTECTED), |number| {
            let who = number % self.identities.len();
            whoami(&self.identities[who], &self.tokens[who], &nonce)
        })?;
        cpu_per_request(&self.product.server, &requests, 200)
    }
}

type Measure = fn(&Contestant, &Bench) -> anyhow::Result<f64>;
