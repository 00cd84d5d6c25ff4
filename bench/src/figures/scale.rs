//! Many accounts: what they cost a request, the start, and the memory.

use super::{
    measuring::mib,
    population::{FEW, Population, in_turn},
};
use crate::{
    bench::Bench,
    load::median,
    process::Place,
    product::Product,
    seed,
    table::{Row, Target, Unit},
};

pub(super) const STARTS: usize = 5;

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
    let large = Population::new(bench, start()?, many, None)?;
    starts.push(large.product.server.started_in.as_secs_f64());
    let directory = bench.run_dir.join("few");
    seed::copy(&few_seed, &directory)?;
    let product = Product::open(bench, directory, Place::OneCore)?;
    let small = Population::new(bench, product, FEW, None)?;

    let both = (&small, &large);
    let protected = in_turn(bench, both, |who, _| who.protected(bench))?.server;
    let known = in_turn(bench, both, |who, _| who.logins_of_known(bench))?.server;
    let others = in_turn(bench, both, |who, round| who.logins_of_others(bench, round))?.server;
    let used = mib(large.product.server.resident()?);
    bench.say(&format!("logins {known:.0?}, of others {others:.0?}"));
    bench.say(&format!("protected {protected:.0?}, starts {starts:.2?} s"));
    let title = |what: &str| format!("{what}, {many} accounts against {FEW}: CPU");
    let medians = |(few, many): &(Vec<f64>, Vec<f64>)| (median(few), median(many));
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
