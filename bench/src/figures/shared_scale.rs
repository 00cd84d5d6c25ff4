//! Many accounts on PostgreSQL: what they cost a request, in the server and in the database, and the start.

use super::{
    population::{FEW, Population, in_turn},
    scale::STARTS,
};
use crate::{
    bench::Bench,
    load::median,
    process::Place,
    product::Product,
    seed,
    table::{Row, Target, Unit},
};

/// The same requests with a thousand accounts, the floor here, and with ten million.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let many = bench.shared_accounts();
    let engine = Some(bench.postgres()?);
    let (few_url, many_url) =
        (seed::postgres::database(bench, FEW)?, seed::postgres::database(bench, many)?);
    // The database takes whichever core is free.
    let few = || Product::open_on_postgres(bench, "few", Place::AllCores, &few_url);
    let start = || Product::open_on_postgres(bench, "many", Place::AllCores, &many_url);
    let mut starts = (Vec::new(), Vec::new());
    for _ in 0..STARTS.min(bench.rounds()) {
        starts.0.push(few()?.ready_in()?.as_secs_f64());
        starts.1.push(start()?.ready_in()?.as_secs_f64());
    }
    let small = Population::new(bench, few()?, FEW, engine)?;
    let large = Population::new(bench, start()?, many, engine)?;
    let both = (&small, &large);
    let protected = in_turn(bench, both, |who, _| who.protected(bench))?;
    let known = in_turn(bench, both, |who, _| who.logins_of_known(bench))?;
    let others = in_turn(bench, both, |who, round| who.logins_of_others(bench, round))?;
    bench.say(&format!("starts {starts:.2?} s, protected {protected:.0?}"));
    bench.say(&format!("logins {known:.0?}, of others {others:.0?}"));
    let kinds = [
        ("protected request", protected, Target::Ratio(1.1)),
        ("login, of 1000 in turn", known, Target::Ratio(1.2)),
        ("login, never the same", others, Target::None),
    ];
    let mut rows = Vec::new();
    for (what, rounds, target) in kinds {
        for (whose, (few, many_each)) in [("", rounds.server), (" of the database", rounds.engine)]
        {
            let title = format!("{what}, PostgreSQL, {many} accounts against {FEW}: CPU{whose}");
            let medians = (median(&few), median(&many_each));
            rows.push(Row::against(title, Unit::Micros, medians, target));
        }
    }
    let title = |accounts| format!("start until ready, PostgreSQL, {accounts} accounts");
    let start = |accounts, starts: &[f64], target| {
        Row::alone(title(accounts), Unit::Seconds, median(starts), target)
    };
    rows.push(start(FEW, &starts.0, Target::None));
    rows.push(start(many, &starts.1, Target::AtMost(1.0)));
    Ok(rows)
}
