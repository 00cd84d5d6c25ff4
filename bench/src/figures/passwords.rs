//! Passwords: as slow as they must be, and nobody else waits for them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Context as _;
use countersign_protocol::keys::{Algorithm, NewKey};
use serde_json::json;

use super::measuring::{as_f64, p99};
use crate::{
    bench::Bench,
    floors::argon2id::Argon2id,
    identity::prepare,
    load::{Generator, Pace, Response, exchange, median, request},
    process::Place,
    product::{JSON, Product, whoami},
    table::{Row, Target, Unit},
};

const HASHES: usize = 20;
/// Clients that keep `/auth` busy: one is hashed for, the others wait.
const AUTH_CONNECTIONS: usize = 4;
/// Requests of the others, in a second and in a round.
const OTHERS_PER_SECOND: f64 = 500.0;
const OTHERS: usize = 1500;

/// `POST /auth`, and `/v1/whoami` while `/auth` is saturated on the same core.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let product = Product::start(bench, "auth", Place::OneCore)?;
    let login = login(&product)?;
    let hashes = bench.requests(HASHES);
    let requests = vec![login.clone(); hashes];
    let mut argon2 = Argon2id::new()?;
    let mut cpu = (Vec::new(), Vec::new());
    for round in 0..=bench.rounds() {
        bench.cores.enter_server(Place::OneCore)?;
        let floor = argon2.hash(hashes)?;
        bench.cores.enter_generator()?;
        let mut generator = Generator::connect(product.server.address, AUTH_CONNECTIONS)?;
        let before = product.server.cpu_time()?;
        generator.run(&requests, Pace::AsFastAsAnswered, 200, &mut |_, _| {})?;
        let ours = product.server.cpu_time()?.saturating_sub(before);
        // The first round is there to warm up.
        if round > 0 {
            let each = |time: std::time::Duration| time.as_secs_f64() * 1e3 / as_f64(hashes);
            cpu.0.push(each(floor));
            cpu.1.push(each(ours));
        }
    }
    let others = others_while_saturated(bench, &product, &requests)?;
    bench.say(&format!("auth: {cpu:.1?} ms; others' p99 {others:.0?} µs"));
    let medians = (median(&cpu.0), median(&cpu.1));
    let title = format!("whoami while /auth is saturated: p99 at {OTHERS_PER_SECOND:.0}/s");
    Ok(vec![
        Row::against("/auth against Argon2id: CPU", Unit::Millis, medians, Target::Ratio(1.3)),
        Row::alone(title, Unit::Millis, median(&others) / 1e3, Target::AtMost(5.0)),
    ])
}

/// Registers somebody with a password: the request with which they log in.
fn login(product: &Product) -> anyhow::Result<Vec<u8>> {
    let body = json!({ "username": "passenger", "email": "passenger@example.com" });
    let register = request("POST", "/register", &[JSON], &body.to_string());
    let bytes = exchange(product.server.address, &register)?;
    let (response, _) = Response::parse(&bytes)?.context("not whole")?;
    let body = json!({ "username": "passenger", "password": response.text("password")? });
    Ok(request("POST", "/auth", &[JSON], &body.to_string()))
}

/// The 99th percentile of `whoami` in microseconds, in each round, while `logins` are sent as
/// fast as they are answered.
fn others_while_saturated(
    bench: &Bench,
    product: &Product,
    logins: &[Vec<u8>],
) -> anyhow::Result<Vec<f64>> {
    let accounts = ("ec-", bench.clients());
    let identities = product.register(bench, accounts, NewKey::EcP256, Algorithm::Es256)?;
    let tokens = product.log_in(bench, &identities)?;
    let sign = |count| {
        let nonce = product.resource_nonce()?;
        prepare(&bench.cores, count, |number| {
            let who = number % identities.len();
            whoami(&identities[who], &tokens[who], &nonce)
        })
    };
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let saturate = || {
            while !enough.load(Ordering::Relaxed) {
                let mut generator = Generator::connect(product.server.address, AUTH_CONNECTIONS)?;
                generator.run(logins, Pace::AsFastAsAnswered, 200, &mut |_, _| {})?;
            }
            anyhow::Ok(())
        };
        let saturated = scope.spawn(saturate);
        let measured = (0..bench.rounds())
            .map(|_| p99(&product.server, &sign(bench.requests(OTHERS))?, OTHERS_PER_SECOND))
            .collect::<Result<Vec<_>, _>>();
        enough.store(true, Ordering::Relaxed);
        saturated.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
        Ok(measured?.concat())
    })
}
