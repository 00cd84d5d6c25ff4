//! The product against an earlier version of itself.

use super::turns::Contestant;
use crate::{
    bench::Bench,
    process::Place,
    product::Product,
    table::{Row, Target},
};
use anyhow::Context as _;

/// Token requests and protected requests on SQLite, by the earlier version, the floor here, and by this one.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let binary = bench.before.clone().context("there is no earlier version: see --before")?;
    let earlier = Bench { countersign: binary, ..bench.clone() };
    let place = Place::OneCore;
    let before = Product::start(&earlier, "before", place)?;
    let now = Product::start(bench, "now", place)?;
    let both = [Contestant::new(&earlier, before)?, Contestant::new(bench, now)?];
    Contestant::compare(bench, &both, |what| {
        (format!("{what}, against an earlier version: CPU"), Target::Ratio(1.03))
    })
}
