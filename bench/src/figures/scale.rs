//! Many accounts: what they cost a request, the start, and the memory.

use super::measuring::{cpu_per_request, mib};
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::median,
    process::{Place, Server},
    product::{Product, login, whoami},
    seed,
    table::{Row, Target, Unit},
};

const FEW: u32 = 1000;
const LOGINS: usize = 2000;
const PROTECTED: usize = 4000;
const STARTS: usize = 5;

/// The same requests with a thousand accounts, the floor here, and with a million.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let many = bench.accounts();
    let (few_seed, many_seed) =
        (seed::data_directory(bench, FEW)?, seed::data_directory(bench, many)?);
    let fresh = Product::start(bench, "empty", Place::AllCores)?;
    let empty = mib(fresh.server.resident()?);
    drop(fresh);
    let directory = bench.run_dir.join("many");
    seed::copy(&many_seed, &directory)?;
    let start = || Product::open(bench, directory.clone(), Place::OneCore);
    let mut starts = Vec::new();
    for _ in 1..STARTS.min(bench.rounds()) {
        starts.push(start()?.server.started_in.as_secs_f64());
    }
    let large = Population::new(bench, start()?, many)?;
    starts.push(large.product.server.started_in.as_secs_f64());
    let directory = bench.run_dir.join("few");
    seed::copy(&few_seed, &directory)?;
    let small = Population::new(bench, Product::open(bench, directory, Place::OneCore)?, FEW)?;

    let protected = in_turn(bench, &small, &large, |who, _| who.protected(bench))?;
    let known = in_turn(bench, &small, &large, |who, _| who.logins_of_known(bench))?;
    let others = in_turn(bench, &small, &large, |who, round| who.logins_of_others(bench, round))?;
    let used = mib(large.product.server.resident()?);
    bench.say(&format!("logins {known:.0?}, of others {others:.0?}"));
    bench.say(&format!("protected {protected:.0?}, starts {starts:.2?} s"));
    let title = |what: &str| format!("{what}, {many} accounts against {FEW}: CPU");
    let medians = |(few, many): &Rounds| (median(few), median(many));
    let most = Target::Ratio(1.2);
    Ok(vec![
        Row::against(title("protected request"), Unit::Micros, medians(&protected), most),
        Row::against(title("login, of 1000 in turn"), Unit::Micros, medians(&known), most),
        Row::against(title("login, never the same"), Unit::Micros, medians(&others), most),
        Row::alone(
            format!("start with {many} accounts"),
            Unit::Seconds,
            median(&starts),
            Target::AtMost(1.0),
        ),
        Row::alone(
            format!("memory with {many} accounts, after all that"),
            Unit::Mib,
            used,
            Target::AtMost(150.0),
        ),
        Row::alone("memory when empty", Unit::Mib, empty, Target::AtMost(30.0)),
    ])
}

type Rounds = (Vec<f64>, Vec<f64>);

/// Measures one and the other in turn. The first round is there to warm up.
fn in_turn(
    bench: &Bench,
    small: &Population,
    large: &Population,
    measure: impl Fn(&Population, usize) -> anyhow::Result<f64>,
) -> anyhow::Result<Rounds> {
    let mut measured = Rounds::default();
    for round in 0..=bench.rounds() {
        let (few, many) = (measure(small, round)?, measure(large, round)?);
        if round > 0 {
            measured.0.push(few);
            measured.1.push(many);
        }
    }
    Ok(measured)
}

/// A server and those of its accounts whose keys are there.
struct Population {
    product: Product,
    accounts: u32,
    /// Some that are logged in, and their tokens.
    logged_in: Vec<Identity>,
    tokens: Vec<String>,
}

impl Population {
    fn new(bench: &Bench, product: Product, accounts: u32) -> anyhow::Result<Self> {
        product.server.settle()?;
        let logged_in = seed::identities(bench, accounts, 0, bench.requests(FEW as usize))?;
        let tokens = product.log_in(bench, &logged_in)?;
        Ok(Self { product, accounts, logged_in, tokens })
    }

    fn server(&self) -> &Server {
        &self.product.server
    }

    /// Logs in those that have logged in before.
    fn logins_of_known(&self, bench: &Bench) -> anyhow::Result<f64> {
        self.logins(bench, &self.logged_in)
    }

    /// Logs in accounts that have not logged in before, as far as there are so many.
    fn logins_of_others(&self, bench: &Bench, round: usize) -> anyhow::Result<f64> {
        let count = bench.requests(LOGINS);
        let first = self.logged_in.len() + round * count;
        self.logins(bench, &seed::identities(bench, self.accounts, first, count)?)
    }

    fn logins(&self, bench: &Bench, identities: &[Identity]) -> anyhow::Result<f64> {
        let nonce = self.product.token_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(LOGINS), |number| {
            login(&identities[number % identities.len()], &nonce)
        })?;
        cpu_per_request(self.server(), &requests, 200)
    }

    fn protected(&self, bench: &Bench) -> anyhow::Result<f64> {
        let nonce = self.product.resource_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(PROTECTED), |number| {
            let who = number % self.logged_in.len();
            whoami(&self.logged_in[who], &self.tokens[who], &nonce)
        })?;
        cpu_per_request(self.server(), &requests, 200)
    }
}
