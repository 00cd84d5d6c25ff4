//! Peers: others that do the same. They are no floors, and nothing has to be met.

use std::process::Command;

use anyhow::Context as _;
use countersign_protocol::keys::{Algorithm, NewKey};
use serde_json::json;

use super::{
    measuring::cpu_per_request,
    protected::{begun_sessions, signed},
};
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::{median, request},
    process::{Place, Server},
    product::{JSON, Product, collect},
    table::{Row, Target, Unit},
};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/signjwt.py");
const REQUESTS: usize = 3000;

/// *signjwt* in FastAPI, on uvicorn with httptools and uvloop, one process.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut command = Command::new(bench.python.as_ref().context("peers need --python")?);
    command.arg(PROGRAM);
    let log = bench.run_dir.join("peer.log");
    let peer = Server::start(&command, Place::OneCore, &bench.cores, &log)?;
    let product = Product::start(bench, "peers", Place::OneCore)?;
    let accounts = ("rsa-", bench.clients());
    let identities = product.register(bench, accounts, NewKey::Rsa2048, Algorithm::Ps256)?;
    register(&peer, &identities)?;
    let mut cpu = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        cpu.0.push(protected(bench, &peer, &identities)?);
        cpu.1.push(protected(bench, &product.server, &identities)?);
    }
    bench.say(&format!("peers: {cpu:.0?}"));
    let medians = (median(&cpu.0), median(&cpu.1));
    let title = "/protected of signjwt, against FastAPI: CPU";
    Ok(vec![Row::against(title, Unit::Micros, medians, Target::None)])
}

fn register(peer: &Server, identities: &[Identity]) -> anyhow::Result<()> {
    let register = |who: &Identity| {
        let key = who.key.public_key().to_spki_pem();
        let body = json!({ "user_id": who.name, "public_key": key });
        request("POST", "/register", &[JSON], &body.to_string())
    };
    let requests: Vec<_> = identities.iter().map(register).collect();
    collect(peer, &requests, 200, |_| Ok(String::new()))?;
    Ok(())
}

fn protected(bench: &Bench, server: &Server, identities: &[Identity]) -> anyhow::Result<f64> {
    let sessions = begun_sessions(bench, server, identities, bench.requests(REQUESTS))?;
    let requests = prepare(&bench.cores, sessions.len(), |number| {
        signed(&identities[number % identities.len()], &sessions[number])
    })?;
    cpu_per_request(server, &requests, 200)
}
