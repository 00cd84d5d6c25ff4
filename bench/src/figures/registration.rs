//! Registrations: durable, so a matter of the disk as much as of the processor.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    time::Instant,
};

use countersign_protocol::keys::{Algorithm, NewKey};

use super::measuring::as_f64;
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::{Generator, Pace, median},
    process::Place,
    product::{Product, registration},
    table::{Row, Target, Unit},
};

const CONNECTIONS: usize = 256;
const REQUESTS: usize = 10_000;

/// `POST /v1/accounts` with new Ed25519 keys. The server has all cores, and shares one of them with
/// the generator.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let product = Product::start(bench, "registration", Place::AllCores)?;
    let mut rates = Vec::new();
    let mut cpu = Vec::new();
    for round in 0..bench.rounds() {
        let count = bench.requests(REQUESTS);
        let requests = prepare(&bench.cores, count, |number| {
            let name = format!("account-{round}-{number}");
            registration(&Identity::new(name, NewKey::Ed25519, Algorithm::EdDsa)?)
        })?;
        let mut generator = Generator::connect(product.server.address, CONNECTIONS)?;
        let before = product.server.cpu_time()?;
        let run = generator.run(&requests, Pace::AsFastAsAnswered, 201, &mut |_, _| {})?;
        let used = product.server.cpu_time()?.saturating_sub(before);
        rates.push(as_f64(count) / run.elapsed.as_secs_f64());
        cpu.push(used.as_secs_f64() * 1e6 / as_f64(count));
    }
    let syncs = syncs_per_second(&bench.run_dir, bench.requests(500))?;
    bench.say(&format!("registration: {rates:.0?}/s, {cpu:.0?} µs; {syncs:.0} syncs/s"));
    let title = "registrations, durable, 256 connections";
    let syncing = "(fdatasync after 4 KiB on this disk)";
    Ok(vec![
        Row::alone(title, Unit::PerSecond, median(&rates), Target::AtLeast(5000.0)),
        Row::alone("registration: CPU", Unit::Micros, median(&cpu), Target::None),
        Row::alone(syncing, Unit::PerSecond, syncs, Target::None),
    ])
}

/// How often the disk can acknowledge a small write, one after the other.
fn syncs_per_second(directory: &Path, count: usize) -> anyhow::Result<f64> {
    let path = directory.join("sync-probe");
    let mut file: File = OpenOptions::new().create(true).append(true).open(&path)?;
    let begun = Instant::now();
    for _ in 0..count {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    let rate = as_f64(count) / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
